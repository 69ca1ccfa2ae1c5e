//! The command line: `dunlin serve`, `check`, `import`, `pub`, `sub`, `passwd`, `acl`, `store`, `token`, `bench`,
//! `completions`, `man` and those that ask a running broker (`remote/`); `dunlin` alone is `dunlin serve`.
//!
//! Flags are the last layer of the configuration, so the first two take the same ones and `check` judges
//! exactly what `serve` would run with. `bench` is the command line of the load generator
//! (`crates/dunlin-bench/src/cli/mod.rs`), which shares nothing with the broker but the codec. Results go to standard
//! output, problems to standard error. A wrong configuration, like a wrong flag, ends with exit status 2; problems that
//! come later end with 1, and with 3 where a command of `remote/` reaches no broker.

mod acl;
mod import;
mod check;
mod documents;
mod mqtt;
mod passwd;
mod remote;
mod store;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use dunlin_bench::cli::BenchArgs;

pub use check::{CheckCommand, check_files};

use crate::config::{Config, ConfigError, ConfigErrors, ENVIRONMENT_PREFIX, Flags, Sources};
use crate::numbers::count;

pub use acl::AclCommand;
pub use documents::{CompletionsCommand, ManCommand};
pub use import::ImportCommand;
pub use mqtt::{PubCommand, SubCommand, arguments};
pub use passwd::PasswdCommand;
pub use remote::RemoteCommand;
pub use store::StoreCommand;
pub use token::TokenCommand;

/// The exit status for a configuration that cannot be used.
pub const EXIT_BAD_CONFIGURATION: u8 = 2;

/// The arguments of the program.
#[derive(Debug, Parser)]
#[command(name = "dunlin", version, about = "An MQTT 3.1, 3.1.1 and 5.0 broker")]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  dunlin --config dunlin.toml\n  dunlin sub -t '#' -v\n  dunlin status")]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ConfigArgs,
}

/// What the program shall do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the broker (what `dunlin` alone does)
    #[command(after_help = "Example:\n  dunlin serve --config /etc/dunlin/dunlin.toml\n  \
        dunlin serve --listen mqtt://127.0.0.1:1884 --data-dir /tmp/dunlin --http 127.0.0.1:18084")]
    Serve(ConfigArgs),
    /// Check the configuration and the files it names, and show what it comes to, without starting anything
    Check(CheckCommand),
    /// Translate the configuration of another broker
    #[command(subcommand)]
    Import(ImportCommand),
    /// Publish a message, with the options of mosquitto_pub
    Pub(PubCommand),
    /// Subscribe and print what comes, with the options of mosquitto_sub
    Sub(SubCommand),
    /// Add, remove or verify the users of a password file
    #[command(subcommand)]
    Passwd(PasswdCommand),
    /// Ask the rules about topics
    #[command(subcommand)]
    Acl(AclCommand),
    /// Look into a store, copy it, or take out what is whole of a damaged one
    #[command(subcommand)]
    Store(StoreCommand),
    /// Make, list and remove the tokens that open the API
    #[command(subcommand)]
    Token(TokenCommand),
    /// Ask and steer a running broker
    #[command(flatten)]
    Remote(RemoteCommand),
    /// Measure what MQTT brokers, this one or others, spend per message and per connection
    Bench(BenchArgs),
    /// Write the completions of a shell
    Completions(CompletionsCommand),
    /// Write the manual
    Man(ManCommand),
}

/// The flags of the configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML); docs/configuration.md lists its options
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients connect: mqtt://, mqtts://, ws://, wss:// or unix://; repeat for several
    #[arg(long, value_name = "URL")]
    listen: Vec<String>,
    /// Data directory; "" for none [default: dunlin-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address of the operations port; "" for none [default: 127.0.0.1:18083]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
}

impl Cli {
    /// The command to carry out.
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

impl ConfigArgs {
    /// Where the configuration comes from: these flags, the file they name and the environment of the
    /// process.
    pub fn sources(self) -> Sources {
        let flags = Flags { listen: self.listen, data_dir: self.data_dir, http: self.http };
        sources(self.config, flags)
    }
}

fn sources(file: Option<PathBuf>, flags: Flags) -> Sources {
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
        .collect();
    Sources { file, environment, flags, program: std::env::args().next() }
}

/// The configuration of a running broker, of which a command needs these options. What is wrong with others keeps no
/// operator from asking.
fn running_broker(sources: &Sources, needed: &[&str]) -> Result<Config, ConfigErrors> {
    let (config, errors) = sources.load_readable()?;
    let matters = |error: &ConfigError| needed.iter().any(|option| error.is_about(option));
    if errors.iter().any(matters) {
        return Err(ConfigErrors(errors.into_iter().filter(matters).collect()));
    }
    // Some may only follow from a file that is no TOML: `check` does not name those, so it is asked for their number.
    if let Err(ConfigErrors(errors)) = sources.load() {
        let errors = count(errors.len() as u64, "error");
        eprintln!(
            "dunlin: the configuration has {errors}, which `dunlin check` names; going on with the rest"
        );
    }
    Ok(config)
}

/// Carries out `dunlin bench`.
pub fn bench(arguments: BenchArgs) -> ExitCode {
    match dunlin_bench::cli::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dunlin: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}

/// Reports a configuration that cannot be used; the exit status is for `main` to return.
pub fn bad_configuration(errors: &ConfigErrors) -> ExitCode {
    eprintln!("{errors}");
    ExitCode::from(EXIT_BAD_CONFIGURATION)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Command {
        Cli::try_parse_from([&["dunlin"], arguments].concat()).unwrap().command()
    }

    #[test]
    fn the_program_alone_serves() {
        assert!(matches!(parse(&[]), Command::Serve(_)));
        assert!(matches!(parse(&["--listen", "mqtt://0.0.0.0:1883"]), Command::Serve(_)));
    }

    #[test]
    fn serve_and_check_take_the_same_flags() {
        let flags =
            ["--config", "a.toml", "--listen", "ws://[::1]", "--listen", "unix:///s", "--data-dir", "d"];
        for command in ["serve", "check"] {
            let parsed = parse(&[&[command][..], &flags[..], &["--http", "127.0.0.1:0"][..]].concat());
            let arguments = match parsed {
                Command::Serve(arguments) => arguments,
                Command::Check(check) => check.config,
                other => panic!("{other:?}"),
            };
            let sources = arguments.sources();
            assert_eq!(sources.file, Some("a.toml".into()));
            assert_eq!(sources.flags.listen, ["ws://[::1]", "unix:///s"]);
            assert_eq!(sources.flags.data_dir.as_deref(), Some("d"));
            assert_eq!(sources.flags.http.as_deref(), Some("127.0.0.1:0"));
        }
    }

    #[test]
    fn a_backup_is_of_the_configured_directory_unless_another_is_named() {
        for (arguments, count) in [(&["to"][..], 1), (&["from", "to"][..], 2)] {
            let parsed = parse(&[&["store", "backup"], arguments].concat());
            let Command::Store(StoreCommand::Backup { places, .. }) = parsed else { panic!("{parsed:?}") };
            assert_eq!(places.len(), count);
        }
        let three = ["dunlin", "store", "backup", "a", "b", "c"];
        assert!(Cli::try_parse_from(three).is_err());
    }

    /// This command and those below it, as far as they can be run.
    fn commands(command: clap::Command, name: &str) -> Vec<(String, clap::Command)> {
        let below: Vec<_> = command
            .get_subcommands()
            .flat_map(|sub| commands(sub.clone(), &format!("{name} {}", sub.get_name())))
            .collect();
        let runs = !command.has_subcommands() || command.is_args_conflicts_with_subcommands_set();
        below.into_iter().chain(runs.then(|| (name.to_owned(), command))).collect()
    }

    #[test]
    fn the_help_of_every_command_has_an_example_that_can_be_typed() {
        for (name, mut command) in commands(<Cli as CommandFactory>::command(), "dunlin") {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{name} has no example:\n{help}");
            // How many words follow -D depends on its first, and clap does not know that (`mqtt::arguments`).
            let lines = help.lines().filter(|line| line.starts_with("  dunlin ") && !line.contains(" -D "));
            for line in lines {
                let words = line.split(['|', '<', '>', '&']).next().unwrap_or_default().split_whitespace();
                let parsed = Cli::try_parse_from(words.map(|word| word.trim_matches('\'')));
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        <Cli as CommandFactory>::command().debug_assert();
    }
}
