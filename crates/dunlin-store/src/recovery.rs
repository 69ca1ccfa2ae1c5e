//! From the files of a store to the broker's durable state, and to a log that goes on where it ended.
//!
//! What was read may only be in the memory of the operating system: the process may have died between writing
//! and syncing, or because a sync failed. Everything behind the last frame that is known to be synced is
//! therefore written again, and synced, before anybody builds on it.

use super::loader::Loader;
use super::reading::{Findings, LastSegment, read_log};
use super::segments::Segments;
use super::{Disk, DiskFile, Log, StoreError, StoreOptions, segment};
use dunlin_core::Timestamp;
use dunlin_core::image::{BodyImage, ContentImage, Image};
use dunlin_core::journal::{Record, Segment};
use dunlin_core::message::{ApplicationMessage, MemoryGauge};
use std::path::PathBuf;
use std::time::Duration;

/// An idle log writes an empty frame this often, so that the time of its last frame tells when the process
/// ended: the Session Expiry of clients that were connected then runs from the latest moment that is
/// possible, never early and at most this much late.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(600);

/// A store that was read and can be written.
pub struct Opened<D: Disk> {
    /// What the records add up to.
    pub image: Image,
    /// When the connections of the process's last life ended, at the latest.
    pub ended_at: Timestamp,
    /// What was found.
    pub report: RecoveryReport,
    /// The log, ready to append.
    pub log: Log<D>,
}

/// What was found when a store was read.
#[derive(Debug, Default, Clone)]
pub struct RecoveryReport {
    /// Segment files.
    pub segments: u64,
    /// Frames in them: commits.
    pub frames: u64,
    /// Records in those.
    pub records: u64,
    /// Bytes of the frames.
    pub bytes: u64,
    /// The end of the last segment was not whole and was cut.
    pub torn_tail: Option<TornTail>,
}

/// Bytes at the end of the log that a crash left unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// In which file.
    pub path: PathBuf,
    /// From where on.
    pub offset: u64,
    /// So many bytes.
    pub bytes: u64,
}

/// Reads the store on a disk, an empty one too. The bytes of the messages count for
/// `gauges[id.origin % gauges.len()]`.
pub fn open<D: Disk>(
    disk: D,
    options: StoreOptions,
    gauges: &[MemoryGauge],
    now: Timestamp,
) -> Result<Opened<D>, StoreError> {
    let mut image = Image::default();
    let findings = read_log(&disk, gauges, |record, segment| {
        let taken: usize = gauges.iter().map(MemoryGauge::bytes).sum();
        if taken > options.memory_bytes {
            leave(&mut image, record, segment)
        } else {
            image.apply(record, segment)
        }
    })?;
    let (nobody, mut loader) = (MemoryGauge::default(), Loader::default());
    let gauge = gauges.first().unwrap_or(&nobody);
    let unreadable =
        image.load_in_flight(|location, bytes| loader.read(&disk, location, bytes as usize, gauge).ok());
    if unreadable > 0 {
        tracing::error!(messages = unreadable, "messages that were in flight cannot be read from the store");
    }
    let ended_at = now.min(findings.written_at + HEARTBEAT_INTERVAL);
    let report = findings.report.clone();
    let log = resume(disk, options, findings, now)?;
    Ok(Opened { image, ended_at, report, log })
}

/// Applies a record without keeping the body of a message that only waits: there is no memory for it.
fn leave(image: &mut Image, record: Record, segment: Segment) {
    match record {
        Record::Queued { session, order, message, qos, retain, identifiers, ticket: None }
            if identifiers.as_slice().len() <= 1 =>
        {
            let content = ContentImage { body: stored(&message), qos, retain, identifiers };
            let recorded_in = segment.min(message.segment());
            image.apply_queued(session, order, content, None, recorded_in, message.id);
        }
        Record::GroupQueued { group, sequence, message } => {
            let recorded_in = segment.min(message.segment());
            image.apply_group_queued(group, sequence, stored(&message), recorded_in, message.id);
        }
        other => image.apply(other, segment),
    }
}

fn stored(message: &ApplicationMessage) -> BodyImage {
    let content_bytes = u32::try_from(message.content_bytes()).unwrap_or(u32::MAX);
    BodyImage::Stored { location: message.location(), content_bytes }
}

/// The log that goes on after what was found.
pub(super) fn resume<D: Disk>(
    disk: D,
    options: StoreOptions,
    findings: Findings,
    now: Timestamp,
) -> Result<Log<D>, StoreError> {
    if let Some(last) = &findings.last {
        write_again(&disk, last)?;
    }
    let segments = Segments::resume(disk, options.segment_bytes, &findings)?;
    Log::resume(segments, options, &findings, now)
}

fn write_again<D: Disk>(disk: &D, last: &LastSegment) -> Result<(), StoreError> {
    let Some(bytes) = last.held.bytes.get(last.unsynced..last.end).filter(|bytes| !bytes.is_empty()) else {
        return Ok(());
    };
    let name = segment::name(last.held.segment);
    disk.open(&name)
        .and_then(|file| {
            file.write_at(last.unsynced as u64, bytes)?;
            file.sync_data()
        })
        .map_err(|error| StoreError::unusable("written", disk.path(&name), error))
}
