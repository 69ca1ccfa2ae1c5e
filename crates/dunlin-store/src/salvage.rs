//! What is whole of a store that is damaged, into a new one.
//!
//! Every frame that is whole is taken, wherever it stands, as long as the sequence ascends; its records are
//! written to the new log, one frame for each. What was in between is lost, and said: bytes that are no frame,
//! and records whose message was there. Among what was lost can be removals, so something that was over can be
//! there again.
//!
//! The damaged store is only read.

use super::frame::{Frame, Kind, frames_behind};
use super::replay::Replay;
use super::segment::{self, SEGMENT_HEADER_BYTES, SegmentBytes};
use super::{Batch, Disk, StoreError, StoreOptions, open};
use dunlin_core::Timestamp;
use dunlin_core::journal::{Position, Segment};
use dunlin_core::shard::StoreState;
use std::cell::RefCell;
use std::path::PathBuf;

/// What became of a damaged store.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SalvageReport {
    /// Frames that were taken.
    pub frames: u64,
    /// Records that were taken.
    pub records: u64,
    /// What could not be taken.
    pub losses: Vec<Loss>,
    /// Records that could not be taken, because their message was in what is lost.
    pub records_lost: u64,
}

/// Something that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// In which file.
    pub path: PathBuf,
    /// From where on.
    pub offset: u64,
    /// So many bytes; none if that is not known, or the whole file is.
    pub bytes: Option<u64>,
}

/// Takes what is whole of the log on `damaged` to the disk `new`, which has no log yet.
pub fn salvage<D: Disk, N: Disk>(
    damaged: &D,
    new: N,
    options: StoreOptions,
    now: Timestamp,
) -> Result<SalvageReport, StoreError> {
    let mut report = SalvageReport::default();
    let segments = needed_segments(damaged)?;
    let mut log = open(new, options, &[], now)?.log;
    let records = RefCell::new(Vec::new());
    let mut replay = Replay::salvage(|record, _| records.borrow_mut().push(record));
    let mut sequence = 0;
    let (mut expected, last) = (segments.first().copied(), segments.last().copied());
    for segment in segments {
        let path = damaged.path(&segment::name(segment));
        let loss = |offset: usize, bytes: Option<usize>| Loss {
            path: path.clone(),
            offset: offset as u64,
            bytes: bytes.map(|bytes| bytes as u64),
        };
        while let Some(missing) = expected.filter(|missing| *missing < segment) {
            let path = damaged.path(&segment::name(missing));
            report.losses.push(Loss { path, offset: 0, bytes: None });
            expected = Some(Segment(missing.0 + 1));
        }
        expected = Some(Segment(segment.0 + 1));
        let held = match segment::read_anyway(damaged, segment) {
            Ok(held) => held,
            Err(StoreError::Newer { path, version }) => return Err(StoreError::Newer { path, version }),
            Err(_) => {
                report.losses.push(loss(0, None));
                continue;
            }
        };
        let (mut end, mut is_complete) = (SEGMENT_HEADER_BYTES, false);
        while let Some(frame) = next_whole(&held, end, sequence).filter(|_| !is_complete) {
            if frame.offset > end {
                report.losses.push(loss(end, Some(frame.offset - end)));
            }
            if replay.frame(&frame).is_err() {
                report.losses.push(loss(frame.offset, Some(frame.end() - frame.offset)));
            }
            report.frames += 1;
            sequence = frame.header.sequence;
            (end, is_complete) = (frame.end(), frame.header.kind == Kind::End);
            let (newest, _) = log.state();
            let batch = Batch {
                shard: 0,
                records: std::mem::take(&mut records.borrow_mut()),
                end: Position(report.frames),
                // Nobody waits but for the whole.
                awaited: Position::default(),
                segment: newest,
            };
            log.commit(now, (!batch.records.is_empty()).then_some(batch));
        }
        // The last segment may end anywhere, and may have a torn tail.
        if !is_complete && last != Some(segment) {
            report.losses.push(loss(end, None));
        }
    }
    log.stop(now);
    if log.state().1 != StoreState::Writing {
        return Err(StoreError::NotBegun(log.health().reason().unwrap_or_default()));
    }
    (report.records, report.records_lost) = (replay.records, replay.dangling);
    Ok(report)
}

/// The segments that are there, from where the log begins according to the last of its frames that are whole.
fn needed_segments<D: Disk>(disk: &D) -> Result<Vec<Segment>, StoreError> {
    let all = segment::list(disk)?;
    let mut begins = Segment::default();
    for segment in &all {
        if let Ok(held) = segment::read_anyway(disk, *segment) {
            let frames = frames_behind(&held.bytes, SEGMENT_HEADER_BYTES, held.segment, held.salt);
            begins = frames.map(|frame| frame.header.begins).max().unwrap_or_default().max(begins);
        }
    }
    Ok(all.into_iter().filter(|segment| *segment >= begins).collect())
}

/// The next frame that is whole and continues the log.
fn next_whole(held: &SegmentBytes, from: usize, after: u64) -> Option<Frame<'_>> {
    frames_behind(&held.bytes, from, held.segment, held.salt).find(|frame| frame.header.sequence > after)
}
