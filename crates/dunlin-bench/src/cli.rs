//! The command line: `run` one scenario against a broker that is there, `compare` brokers, `list` the
//! scenarios.
//!
//! [`BenchArgs`] is a clap argument group, so that another program can take it as a subcommand of its own.
//! Results go to standard output, progress to standard error.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, Subcommand};
use dunlin_codec::{ProtocolVersion, QoS};

use crate::Error;
use crate::broker::{self, Spec};
use crate::compare::{self, Plan};
use crate::handshake::Target;
use crate::process::Process;
use crate::relay::Relay;
use crate::report::{self, Document, Machine};
use crate::scenario::{self, BUILT_IN, DEFAULT_NAMES, Overrides, Scenario};

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
    Run(RunArgs),
    /// Start brokers in turn, run scenarios against each and print the ratios
    Compare(CompareArgs),
    /// Relay messages without being a broker: what is left of the cost when nothing is decided
    Relay(RelayArgs),
    /// List the scenarios
    List,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Where the broker listens for plain MQTT
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    address: String,
    /// The broker's process, to measure its CPU time and memory
    #[arg(long)]
    pid: Option<u32>,
    /// The scenario to start from
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAMES[0])]
    scenario: String,
    #[command(flatten)]
    changes: ChangeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RelayArgs {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    listen: String,
}

#[derive(Debug, Args)]
struct CompareArgs {
    /// mosquitto, mosquitto=PATH, dunlin=PATH or NAME=HOST:PORT[,PID]; repeat it; ratios are those of the
    /// first to the others
    #[arg(long, value_name = "BROKER", required = true)]
    broker: Vec<Spec>,
    /// A scenario to run; repeat it for several [default: qos0-10-10, fan-out-1-1000, qos1-10-10, idle]
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// How often everything is run; the brokers take turns within each round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    changes: ChangeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write the results into this document, between its two lines for them
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// What differs from the named scenarios.
#[derive(Debug, Args)]
struct ChangeArgs {
    /// The protocol that the clients speak: 3.1, 3.1.1 or 5.0
    #[arg(long, default_value = "3.1.1", value_parser = scenario::parse_version)]
    protocol: ProtocolVersion,
    /// Publishing connections
    #[arg(long)]
    publishers: Option<u32>,
    /// Subscribing connections
    #[arg(long)]
    subscribers: Option<u32>,
    /// Topics; publisher and subscriber i have topic i mod topics
    #[arg(long)]
    topics: Option<u32>,
    /// QoS of messages and Subscriptions: 0, 1 or 2
    #[arg(long, value_parser = parse_qos)]
    qos: Option<QoS>,
    /// Size of each payload, at least 12
    #[arg(long)]
    payload_bytes: Option<u32>,
    /// QoS 1 and 2: messages each publisher may have unacknowledged
    #[arg(long)]
    window: Option<u16>,
    /// Messages each publisher may be ahead of what its subscribers have received
    #[arg(long)]
    ahead_max: Option<u32>,
    /// Deliveries before the measurement begins
    #[arg(long)]
    warm_up_messages: Option<u64>,
    /// Seconds that are measured
    #[arg(long, value_parser = parse_seconds)]
    duration_s: Option<Duration>,
    /// Idle connections
    #[arg(long)]
    connections: Option<u32>,
}

/// Does what the command line says and prints the results.
///
/// # Errors
/// A wrong command line, a broker that cannot be started, or a run that fails.
pub fn run(args: BenchArgs) -> Result<(), Error> {
    match args.command {
        BenchCommand::Run(args) => run_scenario(&args),
        BenchCommand::Compare(args) => compare(args),
        BenchCommand::Relay(args) => {
            let relay = Relay::bind(broker::resolve(&args.listen)?)?;
            eprintln!("relaying on {}, process {}", relay.address()?, std::process::id());
            relay.run(&AtomicBool::new(false))
        }
        BenchCommand::List => {
            for Scenario { name, summary, .. } in BUILT_IN {
                println!("{name:<16} {summary}");
            }
            Ok(())
        }
    }
}

fn run_scenario(args: &RunArgs) -> Result<(), Error> {
    let scenario = scenario::by_name(&args.scenario)?.with(&args.changes.overrides())?;
    let target = Target { address: broker::resolve(&args.address)?, version: args.changes.protocol };
    let figures = compare::run_one(&target, &scenario, args.pid.map(Process::new))?;
    if args.json {
        println!("{}", report::to_json(&figures));
    } else {
        println!("{}: {}", scenario.summary, report::one_line(&figures));
    }
    Ok(())
}

fn compare(args: CompareArgs) -> Result<(), Error> {
    let overrides = args.changes.overrides();
    let names = match args.scenario.is_empty() {
        true => DEFAULT_NAMES.map(str::to_owned).to_vec(),
        false => args.scenario,
    };
    let scenarios: Result<_, Error> =
        names.iter().map(|name| scenario::by_name(name)?.with(&overrides)).collect();
    let plan = Plan {
        brokers: args.broker,
        scenarios: scenarios?,
        rounds: args.rounds,
        version: args.changes.protocol,
    };
    let document = args.markdown.map(Document::open).transpose()?;
    let machine = Machine::this();
    let comparison = compare::run(&plan, |scenario, round, broker, figures| {
        eprintln!("{} round {round} {}: {}", scenario.name, broker.name, report::one_line(figures));
    })?;
    if comparison.cores.is_none() {
        eprintln!(
            "broker and generator share one core: rates are of both together, CPU times are the broker's own"
        );
    }
    if let Some(document) = document {
        document.write(&report::markdown(&comparison, &machine))?;
    }
    match args.json {
        true => println!("{}", report::json(&comparison, &machine)),
        false => print!("{}", report::table(&comparison)),
    }
    Ok(())
}

impl ChangeArgs {
    fn overrides(&self) -> Overrides {
        Overrides {
            publishers: self.publishers,
            subscribers: self.subscribers,
            topics: self.topics,
            qos: self.qos,
            payload_bytes: self.payload_bytes,
            window: self.window,
            ahead_max: self.ahead_max,
            warm_up_messages: self.warm_up_messages,
            duration_ms: self.duration_s.map(|duration| duration.as_millis() as u64),
            connections: self.connections,
        }
    }
}

fn parse_qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(QoS::from_bits).ok_or_else(|| "must be 0, 1 or 2".to_owned())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.001..=1800.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "must be 0.001 to 1800 seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

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
