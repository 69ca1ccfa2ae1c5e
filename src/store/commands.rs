//! `dunlin store check`, `stats`, `salvage` and `backup`: what a person does with a store.
//!
//! Results go to standard output, problems to standard error as one sentence with exit status 1. The first two
//! and `backup` also work beside a broker that runs: they take no lock and change nothing in its directory. A
//! frame that is being written while it is read can look damaged, so a problem counts when it stays.

use super::watched_disk::WatchedDisk;
use super::{BackupReport, backup, inventory, reading, salvage};
use super::{Disk, Holding, Inventory, LOG_DIRECTORY, RealDisk, StoreError, StoreOptions};
use crate::numbers::{count, grouped, size};
use dunlin_core::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sessions and groups that `stats` shows.
const SHOWN: usize = 10;

/// How often a store is read before a problem is believed, and how long is waited in between.
const ATTEMPTS: usize = 3;
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(200);

/// Reads all of a store and says what is there.
pub fn check(data_dir: &Path) -> ExitCode {
    ended(source(data_dir).and_then(|disk| {
        let report = settled(|| reading::read_log(&disk, &[], |_, _| {}))?.report;
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
pub fn stats(data_dir: &Path) -> ExitCode {
    ended(source(data_dir).and_then(|disk| {
        let found = settled(|| inventory(&disk))?;
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
pub fn take_out(data_dir: &Path, new: &Path, options: StoreOptions) -> ExitCode {
    ended(source(data_dir).and_then(|disk| {
        let report = salvage(&disk, destination(new)?, options, now())?;
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

/// Copies a store, and says what was copied.
pub fn copied(data_dir: &Path, new: &Path) -> Result<BackupReport, StoreError> {
    backup(&source(data_dir)?, &destination(new)?)
}

/// Copies a store.
pub fn copy(data_dir: &Path, new: &Path) -> ExitCode {
    ended(copied(data_dir, new).map(|report| {
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

/// The log in a data directory, to be read.
fn source(data_dir: &Path) -> Result<WatchedDisk<RealDisk>, StoreError> {
    let path = data_dir.join(LOG_DIRECTORY);
    if path.is_dir() {
        return Ok(WatchedDisk::new(RealDisk::read_only(&path)));
    }
    let error = io::Error::new(io::ErrorKind::NotFound, "there is no such directory");
    Err(StoreError::unusable("opened", path, error))
}

/// The place of a log in a data directory that has none.
fn destination(data_dir: &Path) -> Result<RealDisk, StoreError> {
    let path = data_dir.join(LOG_DIRECTORY);
    let refused = |path: PathBuf, error| StoreError::unusable("created", path, error);
    let disk = RealDisk::create(&path).map_err(|error| refused(path.clone(), error))?;
    match disk.list() {
        Ok(names) if names.is_empty() => Ok(disk),
        Ok(_) => Err(refused(path, io::Error::new(io::ErrorKind::AlreadyExists, "it is not empty"))),
        Err(error) => Err(refused(path, error)),
    }
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
