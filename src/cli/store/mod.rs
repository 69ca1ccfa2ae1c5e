//! `dunlin store check`, `stats`, `salvage` and `backup`: what a person does with a store.
//!
//! Results go to standard output, problems to standard error as one sentence with exit status 1. The first two
//! and `backup` also work beside a broker that runs: they take no lock and change nothing in its directory. A
//! frame that is being written while it is read can look damaged, so a problem counts when it stays.

mod watched_disk;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use dunlin_core::Timestamp;
use dunlin_store::{Disk, Holding, Inventory, RealDisk, StoreError, StoreOptions};

use super::{bad_configuration, sources};
use crate::config::Flags;
use crate::numbers::{count, grouped, size};
use watched_disk::WatchedDisk;

/// Sessions and groups that `stats` shows.
const SHOWN: usize = 10;

/// How often a store is read before a problem is believed, and how long is waited in between.
const ATTEMPTS: usize = 3;
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(200);

/// What shall be done with a store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Read all of a store and say what is there; exit status 1 if something is damaged
    #[command(after_help = "Example:\n  dunlin store check /var/lib/dunlin")]
    Check(StorePlace),
    /// Say what occupies a store
    #[command(after_help = "Example:\n  dunlin store stats --config /etc/dunlin/dunlin.toml")]
    Stats(StorePlace),
    /// Take what is whole of a damaged store to a new one, and say what is lost
    #[command(after_help = "Example:\n  dunlin store salvage /var/lib/dunlin /var/lib/dunlin-rescued")]
    Salvage {
        /// The data directory with the damaged store; nothing in it is changed
        #[arg(value_name = "DIR")]
        damaged: PathBuf,
        /// The data directory for the new store
        #[arg(value_name = "DEST")]
        new: PathBuf,
    },
    /// Copy a store, whether its broker runs or not; the copy is a data directory to start on
    #[command(override_usage = "dunlin store backup [--config FILE] [DIR] DEST")]
    #[command(after_help = "Example:\n  dunlin store backup /var/lib/dunlin /backup/monday\n  \
        dunlin store backup --config /etc/dunlin/dunlin.toml /backup/monday")]
    Backup {
        /// The data directory, unless it is the configured one; then where the copy goes
        #[arg(value_name = "DIR] [DEST", num_args = 1..=2, required = true)]
        places: Vec<PathBuf>,
        /// Configuration file (TOML) that names the data directory
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Where a store is.
#[derive(Debug, Args)]
pub struct StorePlace {
    /// The data directory [default: the configured one]
    #[arg(value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Configuration file (TOML) that names the data directory
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StoreCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        match self {
            Self::Check(place) => place.with(check),
            Self::Stats(place) => place.with(stats),
            Self::Salvage { damaged, new } => take_out(&damaged, &new, StoreOptions::default()),
            Self::Backup { mut places, config } => {
                let Some(new) = places.pop() else {
                    return ExitCode::FAILURE;
                };
                let place = StorePlace { data_dir: places.pop(), config };
                place.with(|data_dir| copy(data_dir, &new))
            }
        }
    }
}

impl StorePlace {
    /// Does something with the data directory.
    fn with(self, action: impl FnOnce(&Path) -> ExitCode) -> ExitCode {
        if let Some(data_dir) = self.data_dir {
            return action(&data_dir);
        }
        match sources(self.config, Flags::default()).load() {
            Ok(config) => match &config.store.path {
                Some(data_dir) => action(data_dir),
                None => {
                    eprintln!(
                        "dunlin: the configuration has no data directory (store.path), so there is no store"
                    );
                    ExitCode::FAILURE
                }
            },
            Err(errors) => bad_configuration(&errors),
        }
    }
}

/// Reads all of a store and says what is there.
fn check(data_dir: &Path) -> ExitCode {
    ended(source(data_dir).and_then(|disk| {
        let report = settled(|| dunlin_store::check(&disk))?;
        println!(
            "{}: {}, {}, {}, {}; nothing is damaged",
            disk.path("").display(),
            count(report.segments, "segment"),
            count(report.frames, "frame"),
            count(report.records, "record"),
            size(report.bytes),
        );
        if let Some(tail) = report.torn_tail {
            println!(
                "the last {} of {}, from byte {} on, were not finished when the broker ended (or are just being \
                 written); the next start cuts them. Unless store.sync was other than \"always\", nothing there was \
                 acknowledged",
                size(tail.bytes),
                tail.path.display(),
                tail.offset
            );
        }
        Ok(())
    }))
}

/// Says what occupies a store.
fn stats(data_dir: &Path) -> ExitCode {
    ended(source(data_dir).and_then(|disk| {
        let found = settled(|| dunlin_store::inventory(&disk))?;
        println!(
            "{}: {} in {}, of which {} are messages that somebody needs",
            disk.path("").display(),
            size(found.total_bytes),
            count(found.report.segments, "segment"),
            size(found.live_bytes)
        );
        print!("{}", describe(&found));
        Ok(())
    }))
}

/// Takes what is whole of a damaged store to a new one.
fn take_out(data_dir: &Path, new: &Path, options: StoreOptions) -> ExitCode {
    ended(source(data_dir).and_then(|disk| {
        let report = dunlin_store::salvage(&disk, RealDisk::of_copy(new)?, options, now())?;
        for loss in &report.losses {
            let bytes = loss.bytes.map_or("what is there".to_owned(), size);
            println!("lost: {bytes} at byte {} of {}", loss.offset, loss.path.display());
        }
        if report.records_lost > 0 {
            let records = count(report.records_lost, "record");
            println!("lost: {records} whose message was in what is lost or no longer needed");
        }
        if !report.losses.is_empty() {
            println!("what is lost may have ended Sessions and messages that are there again");
        }
        println!(
            "{}: {} in {} were taken",
            new.display(),
            count(report.records, "record"),
            count(report.frames, "frame")
        );
        Ok(())
    }))
}

/// Copies a store.
fn copy(data_dir: &Path, new: &Path) -> ExitCode {
    let copied = source(data_dir).and_then(|disk| dunlin_store::backup(&disk, &RealDisk::of_copy(new)?));
    ended(copied.map(|report| {
        println!(
            "{}: {} in {}, {}",
            new.display(),
            size(report.bytes),
            count(report.segments, "segment"),
            count(report.frames, "frame")
        );
    }))
}

fn ended(result: Result<(), StoreError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dunlin: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The log in a data directory, to be read with its progress shown.
fn source(data_dir: &Path) -> Result<WatchedDisk<RealDisk>, StoreError> {
    RealDisk::of_reader(data_dir).map(WatchedDisk::new)
}

/// What `read` gives, if need be after a moment.
fn settled<T>(read: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut attempts = 1;
    loop {
        match read() {
            Err(_) if attempts < ATTEMPTS => attempts += 1,
            result => return result,
        }
        std::thread::sleep(ATTEMPT_INTERVAL);
    }
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(since_epoch.as_micros() as u64)
}

fn describe(found: &Inventory) -> String {
    let mut text = table("Session", &found.sessions);
    let retained = Holding { name: "Retained Messages".to_owned(), ..found.retained.clone() };
    text += &format!("Retained Messages: {}\n", contents(&retained));
    text + &table("shared group", &found.groups)
}

/// A line for all of a kind, and one for each of the largest.
fn table(kind: &str, holdings: &[Holding]) -> String {
    let (messages, bytes) = (
        holdings.iter().map(|holding| holding.messages).sum(),
        holdings.iter().map(|holding| holding.bytes).sum(),
    );
    let all = Holding { messages, bytes, ..Holding::default() };
    let mut text = format!("{}, in all {}\n", count(holdings.len() as u64, kind), contents(&all));
    for holding in holdings.iter().take(SHOWN) {
        text += &format!("  {:?}: {}", holding.name, contents(holding));
        if holding.subscriptions > 0 {
            text += &format!(", {}", count(holding.subscriptions, "subscription"));
        }
        text.push('\n');
    }
    if holdings.len() > SHOWN {
        text += &format!("  and {} more\n", grouped((holdings.len() - SHOWN) as u64));
    }
    text
}

fn contents(holding: &Holding) -> String {
    format!("{}, {}", count(holding.messages, "message"), size(holding.bytes))
}
