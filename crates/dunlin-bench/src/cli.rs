//! The command line: `run` one scenario against a broker that is there, `compare` brokers, `list` the
//! scenarios.
//!
//! [`BenchArgs`] is a clap argument group, so that another program can take it as a subcommand of its own.
//! Results go to standard output; progress and, in a comparison, the figures of each run go to standard error.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, Subcommand};
use dunlin_codec::{ProtocolVersion, QoS};

use crate::Error;
use crate::broker::{self, Spec};
use crate::commits::{Preparation, RawLoop};
use crate::compare::{self, ComparedBroker, Comparison, Plan};
use crate::disk::Disk;
use crate::handshake::Target;
use crate::process::Process;
use crate::progress::Progress;
use crate::relay::Relay;
use crate::report::{self, Document, HtmlFile, Machine, Section, Subject};
use crate::scenario::{self, BUILT_IN, DEFAULT_NAMES, Overrides, Scenario};
use crate::soak::SoakArgs;
use crate::start::StartArgs;

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
    Run(RunArgs),
    /// Start brokers in turn, run scenarios against each and print the ratios
    Compare(CompareArgs),
    /// Relay messages without being a broker: what is left of the cost when nothing is decided
    Relay(RelayArgs),
    /// Load a broker that is running for hours with all that clients do, and see whether it grows
    Soak(SoakArgs),
    /// Start brokers again and again: how soon each answers, and what it takes before anybody has come
    Start(StartArgs),
    /// Append and commit groups of records: what the disk gives a log that has nothing else to do
    Commits(CommitsArgs),
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
    #[command(flatten)]
    progress: ProgressArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write a page with plots into this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RelayArgs {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
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

#[derive(Debug, Args)]
struct CompareArgs {
    /// dunlin, mosquitto or rumqttd, each with or without =PATH, to be started; or NAME=HOST:PORT[,PID], which
    /// runs; ratios are those of the first to the others
    #[arg(value_name = "BROKER", required_unless_present = "broker")]
    brokers: Vec<Spec>,
    /// One more of them
    #[arg(long, value_name = "BROKER")]
    broker: Vec<Spec>,
    /// A scenario to run; repeat it for several; durable and store name several [default: qos0-10-10,
    /// fan-out-1-1000, qos1-10-10, idle]
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// How often everything is run; the brokers take turns within each round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    changes: ChangeArgs,
    /// Where brokers get their data directories, for scenarios of the store: on the disk to be measured
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    #[command(flatten)]
    progress: ProgressArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write the results into this document, between its two lines for them
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Also write a page with plots into this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What is shown meanwhile.
#[derive(Debug, Args)]
struct ProgressArgs {
    /// Show nothing while a scenario runs
    #[arg(long, short)]
    quiet: bool,
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
    /// Messages per second of all publishers together, each due at its time, instead of as many as possible
    #[arg(long, value_name = "MESSAGES")]
    rate: Option<u32>,
    /// What the client identifiers begin with, and the topics after "dunlin-": several generators that load one
    /// broker each have their own
    #[arg(long, value_name = "NAME", value_parser = parse_prefix)]
    prefix: Option<&'static str>,
    /// Deliveries before the measurement begins
    #[arg(long)]
    warm_up_messages: Option<u64>,
    /// Seconds that are measured
    #[arg(long, value_parser = parse_seconds)]
    duration_s: Option<Duration>,
    /// Subscriptions of the scenario subscriptions, which are shared out to its connections
    #[arg(long)]
    subscriptions: Option<u32>,
    /// Connections of the scenarios idle, connect-storm and subscriptions
    #[arg(long)]
    connections: Option<u32>,
    /// Devices of the scenario iot-day; the more there are, the more messages per second
    #[arg(long)]
    devices: Option<u32>,
    /// Messages that wait in the scenarios queue and recovery; recovery has a tenth as many Sessions and
    /// Retained Messages
    #[arg(long)]
    messages: Option<u32>,
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
        BenchCommand::Soak(args) => args.run(),
        BenchCommand::Start(args) => args.run(),
        BenchCommand::Commits(args) => commits(&args),
        BenchCommand::List => {
            for Scenario { name, summary, .. } in BUILT_IN {
                println!("{name:<24} {summary}");
            }
            Ok(())
        }
    }
}

fn run_scenario(args: &RunArgs) -> Result<(), Error> {
    let scenario = scenario::by_name(&args.scenario)?.with(&args.changes.overrides())?;
    let target = Target { address: broker::resolve(&args.address)?, version: args.changes.protocol };
    let html = args.html.clone().map(HtmlFile::open).transpose()?;
    let watch = args.progress.progress().watch(&scenario.name);
    let figures = compare::run_watched(&target, &scenario, args.pid.map(Process::new), &watch)?;
    drop(watch);
    if args.json {
        println!("{}", report::to_json(&figures));
    } else {
        println!("{}: {}", scenario.summary, report::one_line(&figures));
    }
    if let Some(html) = html {
        let settings = "started and set by somebody else".to_owned();
        let broker = ComparedBroker { name: args.address.clone(), version: None, settings };
        let comparison = Comparison::of_one_run(broker, scenario, target.version.to_string(), figures);
        html.write(&report::html(&comparison, &Machine::this(), Subject::SingleRun))?;
    }
    Ok(())
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

fn compare(args: CompareArgs) -> Result<(), Error> {
    let overrides = args.changes.overrides();
    let names = match args.scenario.is_empty() {
        true => DEFAULT_NAMES.map(str::to_owned).to_vec(),
        false => args.scenario,
    };
    let mut scenarios = Vec::new();
    for name in &names {
        for scenario in scenario::named(name)? {
            scenarios.push(scenario.with(&overrides)?);
        }
    }
    let sections: Vec<_> = scenarios.iter().map(Section::of).collect();
    let disk = sections.contains(&Section::Store).then(|| Disk::open(&args.data_dir)).transpose()?;
    let plan = Plan {
        brokers: args.brokers.into_iter().chain(args.broker).collect(),
        scenarios,
        rounds: args.rounds,
        version: args.changes.protocol,
        disk,
        progress: args.progress.progress(),
    };
    let document = args.markdown.map(|path| Document::open(path, &sections)).transpose()?;
    let html = args.html.map(HtmlFile::open).transpose()?;
    let machine = Machine::this();
    let comparison = compare::run(&plan, |scenario, round, broker, figures| {
        eprintln!("{} round {round} {broker}: {}", scenario.name, report::one_line(figures));
    })?;
    if comparison.cores.is_none() {
        eprintln!(
            "broker and generator share one core: rates are of both together, CPU times are the broker's own"
        );
    }
    if let Some(document) = document {
        for section in [Section::Brokers, Section::Store] {
            if let Some(results) = report::markdown(&comparison, &machine, section) {
                document.write(section, &results)?;
            }
        }
    }
    if let Some(html) = html {
        html.write(&report::html(&comparison, &machine, Subject::Comparison))?;
    }
    match args.json {
        true => println!("{}", report::json(&comparison, &machine)),
        false => print!("{}", report::table(&comparison)),
    }
    Ok(())
}

impl ProgressArgs {
    fn progress(&self) -> Progress {
        if self.quiet { Progress::Hidden } else { Progress::on_standard_error() }
    }
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
            rate_per_s: self.rate,
            prefix: self.prefix,
            warm_up_messages: self.warm_up_messages,
            duration_ms: self.duration_s.map(|duration| duration.as_millis() as u64),
            subscriptions: self.subscriptions,
            connections: self.connections,
            devices: self.devices,
            messages: self.messages,
        }
    }
}

fn parse_qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(QoS::from_bits).ok_or_else(|| "must be 0, 1 or 2".to_owned())
}

/// Lives as long as the program, as those of the built-in scenarios do.
fn parse_prefix(text: &str) -> Result<&'static str, String> {
    let is_good = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match text.len() {
        1..=16 if is_good(text) => Ok(String::leak(text.to_owned())),
        _ => Err("must be 1 to 16 letters, digits and hyphens".to_owned()),
    }
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
