//! Starting brokers: how soon each answers its first client, and what it takes before anybody has come.
//!
//! The time counts from the start of the process until a CONNECT is answered, looked at every millisecond. There is
//! no store, or an empty one. The brokers take turns within each round, as in a comparison.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use dunlin_codec::ProtocolVersion;
use serde::Serialize;

use crate::broker::Spec;
use crate::cores::Cores;
use crate::disk::Disk;
use crate::idle::settled_memory;
use crate::statistics::Spread;
use crate::transport::Transport;
use crate::{Error, report};

/// What a start has cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StartFigures {
    /// The broker.
    pub broker: String,
    /// The size of its program as it is, in bytes.
    pub program_bytes: Option<u64>,
    /// From the start of the process until it had answered a CONNECT, in milliseconds.
    pub ready_ms: Spread,
    /// Resident memory once it has settled, in bytes.
    pub resident_bytes: Spread,
    /// What of it nobody else has and no file holds, in bytes: heap, stacks, and data that was relocated.
    pub private_dirty_bytes: Spread,
}

/// What starting is told.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// dunlin, mosquitto, rumqttd or relay, each with or without =PATH
    #[arg(value_name = "BROKER", required = true)]
    brokers: Vec<Spec>,
    /// How often each is started
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Start Dunlin with an empty store, each time in a new directory below this one
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StartArgs {
    /// Runs and prints.
    ///
    /// # Errors
    /// A broker that does not start, or is not started by the generator.
    pub(crate) fn run(&self) -> Result<(), Error> {
        let disk = self.data_dir.as_deref().map(Disk::open).transpose()?;
        let brokers = self.brokers.iter().map(|spec| match &disk {
            Some(disk) => spec.with_store(disk.path()),
            None => Ok(spec.clone()),
        });
        let figures = run(&brokers.collect::<Result<Vec<_>, _>>()?, self.rounds)?;
        match self.json {
            true => println!("{}", report::to_json(&figures)),
            false => print!("{}", table(&figures)),
        }
        Ok(())
    }
}

/// Starts each broker `rounds` times, 1 or more, each time on an empty directory.
///
/// # Errors
/// When one does not start, or only its address is known.
pub fn run(brokers: &[Spec], rounds: u32) -> Result<Vec<StartFigures>, Error> {
    if let Some(spec) = brokers.iter().find(|spec| !spec.is_started()) {
        return Err(Error::Usage(format!(
            "{} runs already, and only what is started can be timed",
            spec.name
        )));
    }
    let cores = Cores::choose();
    let mut starts = vec![Vec::new(); brokers.len()];
    for _ in 0..rounds {
        for (spec, starts) in brokers.iter().zip(&mut starts) {
            let running = spec.start(cores, ProtocolVersion::V3_1_1, Transport::Tcp)?;
            let process =
                running.process.ok_or_else(|| Error::Broker(format!("{} has no process", spec.name)))?;
            starts.push((running.ready_after, settled_memory(process)?));
        }
    }
    let figures = brokers.iter().zip(&starts).map(|(spec, starts)| {
        let ready = starts.iter().map(|(after, _)| after.as_secs_f64() * 1e3);
        let resident = starts.iter().map(|(_, memory)| memory.resident_bytes as f64);
        let private = starts.iter().map(|(_, memory)| memory.private_dirty_bytes as f64);
        Some(StartFigures {
            broker: spec.name.clone(),
            program_bytes: spec.program_bytes(),
            ready_ms: Spread::of(ready)?,
            resident_bytes: Spread::of(resident)?,
            private_dirty_bytes: Spread::of(private)?,
        })
    });
    figures.collect::<Option<_>>().ok_or_else(|| Error::Usage("there must be at least one round".to_owned()))
}

fn table(all: &[StartFigures]) -> String {
    let mut out =
        "| broker | start to CONNACK | resident | private | program |\n|---|---|---|---|---|\n".to_owned();
    for figures in all {
        let Spread { median, min, max } = figures.ready_ms;
        let megabytes = |bytes: f64| bytes / 1e6;
        let program = figures
            .program_bytes
            .map_or("?".to_owned(), |bytes| format!("{:.1} MB", megabytes(bytes as f64)));
        let _ = writeln!(
            out,
            "| {} | {median:.1} ms ({min:.1}..{max:.1}) | {:.1} MB | {:.1} MB | {program} |",
            figures.broker,
            megabytes(figures.resident_bytes.median),
            megabytes(figures.private_dirty_bytes.median),
        );
    }
    out
}
