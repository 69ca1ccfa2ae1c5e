//! A configuration that cannot be used ends the program with one clear sentence for each problem and status
//! 2; what is the fault of the machine ends it with status 1.

use std::net::TcpListener;
use std::path::Path;

use crate::support::certificates;
use crate::support::dunlin::{Dunlin, QUIET, directory, write};
use crate::{ANNA, run};

const TLS: &str = "listener = [{ url = 'mqtts://127.0.0.1:0' }]\n";

/// `dunlin check` and `dunlin serve` must both refuse a configuration in these words.
fn is_refused(directory: &Path, config: &str, sentences: &[&str]) {
    write(directory, "dunlin.toml", config);
    let expected: String = sentences.iter().map(|sentence| format!("{sentence}\n")).collect();
    for subcommand in ["check", "serve"] {
        let (status, output, error) = run(directory, &[subcommand, "--config", "dunlin.toml"]);
        assert_eq!(
            (status, output.as_str(), error.as_str()),
            (2, "", expected.as_str()),
            "dunlin {subcommand}"
        );
    }
}

#[test]
fn a_broken_configuration_is_refused_with_file_line_option_and_what_would_be_right() {
    let directory = directory();
    is_refused(
        directory.path(),
        "[session]\nmax_inflight = 0\noverflow = 'drop-everything'\n[limits]\nmax_conections = 5\n",
        &[
            "dunlin.toml:2: session.max_inflight = 0: must be 1 to 65535 (default 1000)",
            "dunlin.toml:3: session.overflow = \"drop-everything\": must be \"drop-oldest\", \"drop-newest\" or \
             \"disconnect\" (default \"drop-oldest\")",
            "dunlin.toml:5: limits.max_conections: unknown option; did you mean limits.max_connections?",
        ],
    );
}

#[test]
fn a_private_key_that_cannot_be_read_is_named() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    is_refused(
        directory.path(),
        &format!("{TLS}[tls]\ncert = 'server.pem'\nkey = 'missing.pem'\n"),
        &[
            "dunlin.toml:4: tls.key = \"missing.pem\": the file cannot be read: No such file or directory (os error 2)",
        ],
    );
}

#[test]
fn a_private_key_of_another_certificate_is_named() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    is_refused(
        directory.path(),
        &format!("{TLS}[tls]\ncert = 'server.pem'\nkey = 'client-key.pem'\n"),
        &[
            "dunlin.toml:4: tls.key = \"client-key.pem\": the private key does not belong to the certificate server.pem",
        ],
    );
}

#[test]
fn a_password_file_and_an_acl_file_with_errors_are_named_together() {
    let directory = directory();
    write(directory.path(), "passwords", &format!("{ANNA}boris\n"));
    write(directory.path(), "acl", "topic read a/#/b\n");
    is_refused(
        directory.path(),
        "[auth]\npassword_file = 'passwords'\nacl_file = 'acl'\n",
        &[
            "dunlin.toml:2: auth.password_file: passwords:2: a line should read USER:HASH, but has no colon",
            "dunlin.toml:3: auth.acl_file: acl:1: in \"a/#/b\", `+` and `#` should each be a whole level, and `#` the \
             last one; a comment needs a line of its own",
        ],
    );
}

#[test]
fn a_configuration_file_that_is_missing_is_named() {
    let directory = directory();
    let (status, output, error) = run(directory.path(), &["serve", "--config", "missing.toml"]);
    assert_eq!((status, output.as_str()), (2, ""));
    assert_eq!(
        error,
        "missing.toml: the configuration file cannot be read: No such file or directory (os error 2)\n"
    );
}

#[test]
fn check_says_who_may_connect_where_and_starts_nothing() {
    let directory = directory();
    // The port is in use, which only a start would notice.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it has an address").port();
    let config = format!(
        "[[listener]]\nurl = 'mqtt://127.0.0.1:{port}'\n[[listener]]\nurl = 'ws://0.0.0.0:8083/mqtt'\n"
    );
    write(directory.path(), "dunlin.toml", &config);
    let (status, output, error) = run(directory.path(), &["check", "--config", "dunlin.toml"]);
    let expected = format!(
        "configuration ok: mqtt://127.0.0.1:{port} (anonymous clients too), ws://0.0.0.0:8083/mqtt (no anonymous clients)\n"
    );
    assert_eq!((status, output, error.as_str()), (0, expected, ""));
    assert!(!directory.path().join("dunlin-data").exists(), "a check leaves nothing behind");
}

#[test]
fn a_port_in_use_is_named_and_is_no_error_of_the_configuration() {
    let directory = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it has an address").port();
    write(
        directory.path(),
        "dunlin.toml",
        &format!("{QUIET}listener = [{{ url = 'mqtt://127.0.0.1:{port}' }}]\n"),
    );
    let (status, output, error) = run(directory.path(), &["serve", "--config", "dunlin.toml"]);
    assert_eq!((status, output.as_str()), (1, ""));
    assert_eq!(
        error,
        format!("dunlin: cannot listen on mqtt://127.0.0.1:{port}: another program uses this address\n")
    );
}

#[test]
fn a_data_directory_that_another_broker_uses_is_named() {
    let directory = directory();
    let config = "http.address = ''\nstore.path = 'data'\nlistener = [{ url = 'mqtt://127.0.0.1:0' }]\n";
    let mut first = Dunlin::start(directory.path(), config);
    first.address(0);
    let (status, output, error) = run(directory.path(), &["serve", "--config", "dunlin.toml"]);
    assert_eq!((status, output.as_str()), (1, ""));
    assert_eq!(
        error,
        "dunlin: another dunlin uses the data directory data; choose another with --data-dir\n"
    );
    assert_eq!(first.stop().status, 0);
}

#[test]
fn an_operations_address_that_was_set_must_be_free() {
    let directory = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it has an address");
    let config = format!(
        "store.path = ''\nhttp.address = '{address}'\nlistener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n"
    );
    write(directory.path(), "dunlin.toml", &config);
    let (status, output, error) = run(directory.path(), &["serve", "--config", "dunlin.toml"]);
    assert_eq!((status, output.as_str()), (2, ""));
    assert_eq!(
        error,
        format!("dunlin.toml:2: http.address = \"{address}\": another program uses this address\n")
    );
}

#[test]
fn check_shows_every_option_with_its_value_its_origin_and_what_a_change_takes() {
    let directory = directory();
    write(directory.path(), "dunlin.toml", "[session]\nmax_inflight = 10\n");
    let check = |more: &[&str]| {
        let arguments = [&["check", "--config", "dunlin.toml", "--show", "--http", ""], more].concat();
        let (status, output, error) = run(directory.path(), &arguments);
        assert_eq!((status, error.as_str()), (0, ""));
        output
    };
    let table = check(&[]);
    let line = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{table}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(line("session.max_inflight"), ["session.max_inflight", "10", "reload", "dunlin.toml:2"]);
    assert_eq!(line("server.workers"), ["server.workers", "0", "restart", "default"]);
    assert_eq!(line("http.address"), ["http.address", "unset", "restart", "--http"]);
    assert_eq!(line("listener.0.url")[1], "\"mqtt://127.0.0.1:1883\"");
    let json: serde_json::Value = serde_json::from_str(&check(&["--json"])).expect("it is JSON");
    let options = json.as_array().expect("a list");
    assert_eq!(options.len(), table.lines().count());
    let option = options.iter().find(|option| option["name"] == "session.max_inflight").expect("it is there");
    assert_eq!((&option["value"], &option["origin"]), (&"10".into(), &"dunlin.toml:2".into()));
    assert_eq!((&option["needs_restart"], &option["is_secret"]), (&false.into(), &false.into()));
}

#[test]
fn check_says_what_a_reload_would_change_and_what_takes_a_restart() {
    let directory = directory();
    let old = "[session]\nmax_inflight = 10\nreceive_maximum = 20\n";
    write(directory.path(), "old.toml", old);
    write(directory.path(), "new.toml", "[log]\nlevel = \"warn\"\n[session]\nreceive_maximum = 21\n");
    let diff =
        |more: &[&str]| run(directory.path(), &[&["check", "--config", "new.toml", "--diff"], more].concat());
    let expected = "reload   session.max_inflight: 10 (old.toml:2) -> 1000 (default)\n\
                    restart  session.receive_maximum: 20 (old.toml:3) -> 21 (new.toml:4)\n\
                    reload   log.level: \"info\" (default) -> \"warn\" (new.toml:2)\n";
    assert_eq!(diff(&["--against", "old.toml"]), (0, expected.to_owned(), String::new()));
    // Without another file, the running broker is asked, and there is none.
    let (status, _, error) = diff(&["--http", "127.0.0.1:1", "--data-dir", "nowhere"]);
    assert_eq!((status, error.contains("does it run on this data directory")), (3, true), "{error}");
    assert_eq!(diff(&["--against", "new.toml"]).1, "nothing would change\n");
    let (_, json, _) = diff(&["--against", "old.toml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((&json[1]["old"]["value"], &json[1]["needs_restart"]), (&"20".into(), &true.into()));
    // What cannot be run is not compared.
    write(directory.path(), "new.toml", "session.max_inflight = 0");
    assert_eq!(diff(&[]).0, 2);
    assert_eq!(diff(&["--json", "--show"]).0, 2, "one or the other");
}
