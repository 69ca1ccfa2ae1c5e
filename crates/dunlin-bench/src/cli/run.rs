//! `run`: one scenario against a broker that is running.

use std::path::PathBuf;

use clap::Args;

use super::changes::{ChangeArgs, ProgressArgs};
use crate::Error;
use crate::compare::{self, ComparedBroker, Comparison};
use crate::handshake::Target;
use crate::process::Process;
use crate::report::{self, HtmlFile, Machine, Subject};
use crate::scenario::{self, DEFAULT_NAMES};
use crate::tls::Trust;
use crate::transport::BrokerUrl;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Where the broker listens: HOST:PORT or mqtt://, mqtts://, ws:// or wss://
    #[arg(long, value_name = "URL", default_value = "127.0.0.1:1883")]
    address: String,
    /// With TLS: the authorities that are trusted, as PEM
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// With TLS: trust whoever answers
    #[arg(long)]
    insecure: bool,
    /// With TLS: the name that the broker's certificate has to be for [default: the host of the URL]
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// The broker's process, to measure its CPU time and memory
    #[arg(long)]
    pid: Option<u32>,
    /// The scenario to start from
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAMES[0])]
    scenario: String,
    #[command(flatten)]
    pub(super) changes: ChangeArgs,
    #[command(flatten)]
    progress: ProgressArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write a page with plots into this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Does it and prints the result.
pub(super) fn run(args: &RunArgs) -> Result<(), Error> {
    let url: BrokerUrl = args.address.parse()?;
    let mut overrides = args.changes.overrides();
    match (url.transport, overrides.transport) {
        (Some(of_url), Some(other)) if of_url != other => {
            return Err(Error::Usage(format!(
                "{} is an address for {of_url}, not for {other}",
                args.address
            )));
        }
        (of_url, other) => overrides.transport = of_url.or(other),
    }
    let scenario = scenario::by_name(&args.scenario)?.with(&overrides)?;
    let trust = args.ca.clone().map(Trust::Authorities).or(args.insecure.then_some(Trust::Anybody));
    let (version, server_name) = (args.changes.protocol, args.server_name.as_deref());
    let target = Target::at(&url, scenario.transport, version, trust.as_ref(), server_name)?;
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
