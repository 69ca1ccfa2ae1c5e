//! `compare`: brokers in turn, and their ratios.

use std::path::PathBuf;

use clap::Args;

use super::DATA_DIR;
use super::changes::{ChangeArgs, ProgressArgs};
use crate::Error;
use crate::broker::{IN_FLIGHT, Spec};
use crate::compare::{self, Plan};
use crate::disk::Disk;
use crate::report::{self, Document, HtmlFile, Machine, Section, Subject};
use crate::scenario::{self, DEFAULT_NAMES};

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// dunlin, mosquitto, rumqttd or relay, each with or without =PATH, to be started; or NAME=HOST:PORT[,PID] or
    /// NAME=URL[,PID], which runs; ratios are those of the first to the others
    #[arg(value_name = "BROKER", required_unless_present = "broker")]
    pub(super) brokers: Vec<Spec>,
    /// One more of them
    #[arg(long, value_name = "BROKER")]
    pub(super) broker: Vec<Spec>,
    /// A scenario to run; repeat it for several; durable and store name several [default: qos0-10-10,
    /// fan-out-1-1000, qos1-10-10, idle]
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// How often everything is run; the brokers take turns within each round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    changes: ChangeArgs,
    /// Messages that each broker which is started may have in flight to a client; not where a store is measured
    #[arg(long, value_name = "MESSAGES", default_value_t = IN_FLIGHT, value_parser = clap::value_parser!(u16).range(1..))]
    in_flight: u16,
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

/// Does it and prints the results.
pub(super) fn compare(args: CompareArgs) -> Result<(), Error> {
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
    let brokers = args.brokers.into_iter().chain(args.broker);
    let plan = Plan {
        brokers: brokers.map(|spec| spec.with_in_flight(args.in_flight)).collect(),
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
