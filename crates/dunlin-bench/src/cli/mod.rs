//! The command line: `run` one scenario against a broker that is there (`run.rs`), `compare` brokers (`compare.rs`),
//! `list` the scenarios, and the two that brokers are measured against: `relay` and `commits`. The arguments of `soak`
//! and `start` are beside what they run.
//!
//! [`BenchArgs`] is a clap argument group, so that another program can take it as a subcommand of its own.
//! Results go to standard output; progress and, in a comparison, the figures of each run go to standard error.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::Error;
use crate::commits::{Preparation, RawLoop};
use crate::disk::Disk;
use crate::relay::Relay;
use crate::report;
use crate::scenario::{BUILT_IN, Scenario};
use crate::soak::SoakArgs;
use crate::start::StartArgs;
use crate::transport::BrokerUrl;

mod changes;
mod compare;
mod run;

use compare::CompareArgs;
use run::RunArgs;

/// Where brokers keep their data unless the command line says otherwise: on the disk that holds the build.
const DATA_DIR: &str = "target/bench-data";

/// The arguments of the load generator.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

/// What the load generator shall do.
#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Run one scenario against a broker that is running
    #[command(after_help = "Example:\n  dunlin bench run --address 127.0.0.1:1883 --scenario qos1-10-10")]
    Run(RunArgs),
    /// Start brokers in turn, run scenarios against each and print the ratios
    #[command(after_help = "Example:\n  dunlin bench compare dunlin mosquitto")]
    Compare(CompareArgs),
    /// Relay messages without being a broker: what is left of the cost when nothing is decided
    #[command(after_help = "Example:\n  dunlin bench relay --listen 127.0.0.1:18900")]
    Relay(RelayArgs),
    /// Load a broker that is running for hours with all that clients do, and see whether it grows
    #[command(after_help = "Example:\n  dunlin bench soak --address 127.0.0.1:1883 --pid 4711")]
    Soak(SoakArgs),
    /// Start brokers again and again: how soon each answers, and what it takes before anybody has come
    #[command(after_help = "Example:\n  dunlin bench start dunlin mosquitto --rounds 10")]
    Start(StartArgs),
    /// Append and commit groups of records: what the disk gives a log that has nothing else to do
    #[command(after_help = "Example:\n  dunlin bench commits --data-dir /var/tmp/commits")]
    Commits(CommitsArgs),
    /// List the scenarios
    #[command(after_help = "Example:\n  dunlin bench list")]
    List,
}

#[derive(Debug, Args)]
struct RelayArgs {
    /// Where to listen: HOST:PORT, or mqtts:// for TLS with a certificate made for the occasion
    #[arg(long, value_name = "URL", default_value = "127.0.0.1:1883")]
    listen: String,
}

#[derive(Debug, Args)]
struct CommitsArgs {
    /// A directory on the disk; what is written there is removed
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// Records in each commit; repeat it for several
    #[arg(long, value_name = "RECORDS", default_values_t = [1, 1000], value_parser = clap::value_parser!(u32).range(1..))]
    batch: Vec<u32>,
    /// The size of each record
    #[arg(long, default_value_t = 232, value_parser = clap::value_parser!(u32).range(1..))]
    record_bytes: u32,
    /// What is done to the file before
    #[arg(long, value_enum, default_value_t = Preparation::Written)]
    file: Preparation,
    /// Seconds that are measured for each
    #[arg(long, value_parser = parse_seconds, default_value = "3")]
    duration_s: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Does what the command line says and prints the results.
///
/// # Errors
/// A wrong command line, a broker that cannot be started, or a run that fails.
pub fn run(args: BenchArgs) -> Result<(), Error> {
    match args.command {
        BenchCommand::Run(args) => run::run(&args),
        BenchCommand::Compare(args) => compare::compare(args),
        BenchCommand::Relay(args) => {
            let url: BrokerUrl = args.listen.parse()?;
            let relay = Relay::bind(url.address, url.transport.unwrap_or_default())?;
            eprintln!("relaying on {}, process {}", relay.address()?, std::process::id());
            relay.run(&AtomicBool::new(false))
        }
        BenchCommand::Soak(args) => args.run(),
        BenchCommand::Start(args) => args.run(),
        BenchCommand::Commits(args) => commits(&args),
        BenchCommand::List => {
            let mut output = io::stdout().lock();
            for Scenario { name, summary, .. } in &BUILT_IN {
                // Whoever reads may have enough, as in `dunlin bench list | head`.
                if writeln!(output, "{name:<24} {summary}").is_err() {
                    break;
                }
            }
            Ok(())
        }
    }
}

fn commits(args: &CommitsArgs) -> Result<(), Error> {
    let disk = Disk::open(&args.data_dir)?;
    let mut all = Vec::new();
    for &batch in &args.batch {
        let figures = RawLoop {
            directory: disk.path().to_owned(),
            record_bytes: args.record_bytes,
            batch,
            duration: args.duration_s,
            preparation: args.file,
        };
        all.push(figures.run()?);
    }
    if args.json {
        println!("{}", report::to_json(&all));
        return Ok(());
    }
    for figures in &all {
        println!("{} in each commit: {}", figures.batch, report::commits_in_a_line(figures));
    }
    Ok(())
}

/// A duration in seconds.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.001..=1800.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "must be 0.001 to 1800 seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::DEFAULT_NAMES;
    use clap::Parser;
    use dunlin_codec::{ProtocolVersion, QoS};

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        bench: BenchArgs,
    }

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        use clap::CommandFactory;
        Program::command().debug_assert();
    }

    #[test]
    fn changes_reach_the_scenario() {
        let line = ["x", "run", "--qos", "1", "--window", "7", "--duration-s", "0.5", "--protocol", "5.0"];
        let BenchCommand::Run(args) = Program::try_parse_from(line).unwrap().bench.command else {
            panic!("not a run");
        };
        assert_eq!(args.changes.protocol, ProtocolVersion::V5);
        let overrides = args.changes.overrides();
        assert_eq!((overrides.qos, overrides.window), (Some(QoS::AtLeastOnce), Some(7)));
        assert_eq!(overrides.duration_ms, Some(500));
    }

    #[test]
    fn brokers_are_named_with_and_without_a_flag() {
        let line = ["x", "compare", "dunlin=/d", "rumqttd=/r", "--broker", "mosquitto", "--rounds", "1"];
        let BenchCommand::Compare(args) = Program::try_parse_from(line).unwrap().bench.command else {
            panic!("not a comparison");
        };
        let names: Vec<_> = args.brokers.iter().chain(&args.broker).map(|spec| spec.name.as_str()).collect();
        assert_eq!(names, ["dunlin", "rumqttd", "mosquitto"]);
        assert!(Program::try_parse_from(["x", "compare", "--broker", "mosquitto"]).is_ok());
    }

    #[test]
    fn the_help_names_the_scenarios_that_run_when_none_is_named() {
        use clap::CommandFactory;
        let mut program = Program::command();
        let help = program.find_subcommand_mut("compare").unwrap().render_help().to_string();
        assert!(DEFAULT_NAMES.iter().all(|name| help.contains(name)), "{help}");
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for wrong in [&["x", "run", "--qos", "3"][..], &["x", "run", "--protocol", "4"], &["x", "compare"]] {
            assert!(Program::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
