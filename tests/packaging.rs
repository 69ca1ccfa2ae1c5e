//! What is shipped around the program (units, image, compose file, packaged configuration, recipes) is read here and
//! compared with the program, because no systemd and no container engine runs in the tests. What packages do when they
//! are installed is tried by `cargo xtask package --check`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use dunlin::Config;
use dunlin::cli::{Cli, Command, RemoteCommand};
use dunlin::config::{ListenerUrl, Sources};

const DOCKERFILE: &str = "packaging/docker/Dockerfile";

fn in_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(in_project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands after a keyword at the beginning of lines; lines that go on are one.
fn after<'a>(text: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().map(str::trim_start);
    lines.filter_map(move |line| line.strip_prefix(keyword)).map(str::trim)
}

/// The configuration that these variables make.
fn configured(variables: &[(String, String)]) -> Config {
    let sources = Sources { environment: variables.to_vec(), ..Sources::default() };
    sources.load().unwrap_or_else(|errors| panic!("{errors}"))
}

/// The arguments in `["dunlin", "serve"]`.
fn arguments(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn command(words: &[String]) -> Command {
    Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{words:?}: {error}")).command()
}

/// The variables of the image.
fn image_variables() -> Vec<(String, String)> {
    let text = read(DOCKERFILE);
    let variables = after(&text, "ENV ").map(|line| line.split_once('=').expect("NAME=VALUE"));
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The patterns of `.dockerignore`, of which only names and `**/NAME` are used here.
fn is_ignored(path: &Path) -> bool {
    let text = read(".dockerignore");
    let patterns = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    patterns.into_iter().any(|pattern| match pattern.strip_prefix("**/") {
        Some(name) => path.components().any(|part| part.as_os_str() == name),
        None => path.starts_with(pattern),
    })
}

#[test]
fn what_the_image_copies_is_there_and_not_left_out_of_the_build() {
    let text = read(DOCKERFILE);
    let mut copied = 0;
    for line in after(&text, "COPY ").filter(|line| !line.starts_with("--from=")) {
        let paths: Vec<_> = line.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        let (_, sources) = paths.split_last().expect("COPY has a destination");
        for source in sources {
            assert!(in_project(source).exists(), "{source}");
            assert!(!is_ignored(Path::new(source)), "{source} is in .dockerignore");
            copied += 1;
        }
    }
    assert!(copied >= 3, "only {copied} sources");
    // cargo reads the manifest of every member, whichever it builds.
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).expect("Cargo.toml is valid");
    for member in manifest["workspace"]["members"].as_array().expect("a list") {
        let member = Path::new(member.as_str().expect("a path"));
        assert!(!is_ignored(&member.join("Cargo.toml")), "{} is in .dockerignore", member.display());
    }
    assert!(is_ignored(Path::new("target/debug")) && is_ignored(Path::new("tests/end_to_end/node_modules")));
}

#[test]
fn the_image_runs_the_broker_without_root_and_asks_it_for_its_health() {
    let text = read(DOCKERFILE);
    let one = |keyword| after(&text, keyword).last().unwrap_or_else(|| panic!("no {keyword}"));
    let words = [arguments(one("ENTRYPOINT ")), arguments(one("CMD "))].concat();
    assert!(matches!(command(&words), Command::Serve(_)));
    let (_, check) = one("HEALTHCHECK ").split_once(" CMD ").expect("a command");
    assert!(matches!(command(&arguments(check)), Command::Remote(RemoteCommand::Health(_))));
    let user = one("USER ").split(':').next().expect("a user");
    assert!(
        user.parse::<u32>().is_ok_and(|id| id > 0),
        "Kubernetes can only see of a number that it is not root"
    );
    let exposed: BTreeSet<u16> =
        one("EXPOSE ").split_whitespace().map(|port| port.parse().expect("a port")).collect();
    let defaults = ["mqtt://a", "mqtts://a", "ws://a", "wss://a"].map(|url| {
        let url = ListenerUrl::parse(url).expect("a URL");
        url.host_port().expect("it has an address").port
    });
    assert_eq!(exposed, defaults.into());
}

#[test]
fn the_image_keeps_data_where_its_volume_is_and_is_closed_to_others_until_a_variable_opens_it() {
    let mut variables = image_variables();
    let closed = configured(&variables);
    assert_eq!(closed.store.path.as_deref(), Some(Path::new("/var/lib/dunlin")));
    assert!(read(DOCKERFILE).contains("\nVOLUME [\"/var/lib/dunlin\"]\n"));
    assert!(closed.listeners().iter().all(|listener| listener.url.is_loopback()));
    variables.push(("DUNLIN__LISTENER".to_owned(), "mqtt://0.0.0.0:1883".to_owned()));
    assert!(configured(&variables).listeners().iter().all(|listener| !listener.allow_anonymous));
}

#[test]
fn the_compose_file_sets_options_that_exist_and_admits_nobody_without_a_user() {
    let text = read("packaging/docker/compose.yaml");
    let variables: Vec<_> = after(&text, "DUNLIN__")
        .map(|line| line.split_once(": ").expect("NAME: VALUE"))
        .map(|(name, value)| (format!("DUNLIN__{name}"), value.to_owned()))
        .collect();
    assert_eq!(variables.len(), 3, "{variables:?}");
    let config = configured(&[image_variables(), variables].concat());
    let listeners = config.listeners();
    assert_eq!(listeners.len(), 2);
    for listener in &listeners {
        assert!(!listener.allow_anonymous && listener.auth.password_file.is_some());
        let port = listener.url.host_port().expect("it has an address").port;
        assert!(text.contains(&format!("- \"{port}:{port}\"")), "port {port} is not published");
    }
    let dockerfile = after(&text, "dockerfile: ").next().expect("it is built");
    assert_eq!(dockerfile, DOCKERFILE);
}

#[test]
fn the_unit_starts_the_broker_with_the_packaged_configuration() {
    let unit = read("packaging/systemd/dunlin.service");
    let start = after(&unit, "ExecStart=").next().expect("it starts something");
    let words: Vec<_> = start.split_whitespace().map(str::to_owned).collect();
    let Command::Serve(arguments) = command(&words) else { panic!("{start}") };
    assert_eq!(arguments.sources().file.as_deref(), Some(Path::new("/etc/dunlin/dunlin.toml")));
    let config = Config::from_toml("dunlin.toml", &read("packaging/dunlin.toml")).expect("it is valid");
    let state = after(&unit, "StateDirectory=").next().expect("it has a state directory");
    assert_eq!(config.store.path, Some(Path::new("/var/lib").join(state)));
    assert!(config.listeners().iter().all(|listener| listener.url.is_loopback()));
}

#[test]
fn the_packaged_configuration_opens_the_broker_to_users_as_its_comments_say() {
    let text = read("packaging/dunlin.toml").replace("127.0.0.1", "0.0.0.0");
    let opened =
        text.replace("# password_file", "password_file").replace("# allow_anonymous", "allow_anonymous");
    let config = Config::from_toml("dunlin.toml", &opened).expect("it is valid");
    let listener = &config.listeners()[0];
    assert_eq!(listener.url.to_string(), "mqtt://0.0.0.0:1883");
    assert_eq!(listener.auth.password_file.as_deref(), Some(Path::new("passwords")));
    assert!(!listener.allow_anonymous);
}

#[test]
fn each_address_of_the_socket_unit_is_that_of_the_listener_above_it() {
    let unit = read("packaging/systemd/optional/dunlin.socket");
    let mut url = None;
    let mut addresses = 0;
    for line in unit.lines() {
        if let Some(text) = line.strip_prefix("# url = ") {
            url = Some(ListenerUrl::parse(text.trim_matches('"')).expect("a URL"));
        } else if let Some(address) = line.strip_prefix("ListenStream=") {
            let url = url.take().expect("a listener for each address");
            assert_eq!(url.host_port().expect("it has an address").to_string(), address);
            addresses += 1;
        }
    }
    assert_eq!(addresses, 1);
}

#[test]
fn every_configuration_in_a_recipe_is_valid() {
    for document in ["docs/installing.md", "docs/home-assistant.md", "docs/zigbee2mqtt.md"] {
        let text = read(document);
        let blocks: Vec<_> =
            text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!blocks.is_empty(), "{document} has no configuration");
        for block in blocks {
            Config::from_toml(document, block).unwrap_or_else(|errors| panic!("{errors}\n{block}"));
        }
    }
}
