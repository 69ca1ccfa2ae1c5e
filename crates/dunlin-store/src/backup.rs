//! A consistent copy of a store, of a broker that runs or one that does not.
//!
//! The segments are copied from the oldest to the newest while the broker may be writing the last of them. Of
//! each, the frames that are whole and follow one another are taken; where they end without an end frame, that
//! is the end of the copy, if there is no later segment. The copy is thus the log up to some commit. A segment
//! that is vacated meanwhile has lost its name, or its header names another number: then the copy begins
//! again, since what it held is said again further on.
//!
//! The lock of the data directory is not taken, and nothing is written to it.

use super::frame::{Frame, Kind, frame_at, frames_behind};
use super::segment::{self, SEGMENT_HEADER_BYTES};
use super::{Disk, DiskFile, StoreError};
use dunlin_core::journal::Segment;
use std::io;

/// How often the copy begins again before the store is said to be changing too quickly. A segment is read in
/// milliseconds and vacated at the earliest when several others have been written.
const ATTEMPTS: usize = 20;

/// What was copied.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct BackupReport {
    /// Segments.
    pub segments: u64,
    /// Frames: commits.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// How an attempt ended.
enum Attempt {
    Done(BackupReport),
    /// A segment vanished, or was being written.
    Again(StoreError),
}

/// Copies the log on one disk to another, on which there is none yet.
pub fn backup<D: Disk, N: Disk>(source: &D, copy: &N) -> Result<BackupReport, StoreError> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match attempt(source, copy)? {
            Attempt::Done(report) => return Ok(report),
            Attempt::Again(error) => last = Some(error),
        }
        for segment in segment::list(copy)? {
            let name = segment::name(segment);
            copy.remove(&name).map_err(|error| StoreError::unusable("removed", copy.path(&name), error))?;
        }
    }
    Err(last.unwrap_or(StoreError::Missing { path: source.path("") }))
}

fn attempt<D: Disk, N: Disk>(source: &D, copy: &N) -> Result<Attempt, StoreError> {
    let mut report = BackupReport::default();
    let (mut sequence, mut begins) = (0, Segment(1));
    let (_, segments) = super::reading::split_at_gap(segment::list(source)?);
    let Some(first) = segments.first().copied() else {
        return Ok(Attempt::Done(report));
    };
    let mut next = first;
    loop {
        // Asked first: a segment that is there before the one before it is read makes that one complete.
        let is_last = !segment::list(source)?.contains(&Segment(next.0 + 1));
        let held = match segment::read(source, next) {
            Ok(held) if segment::is_still(source, &held) => held,
            Ok(_) => {
                return Ok(Attempt::Again(StoreError::Missing { path: source.path(&segment::name(next)) }));
            }
            Err(error) if segment::list(source)?.contains(&next) => return Err(error),
            Err(error) => return Ok(Attempt::Again(error)),
        };
        let (mut end, mut is_complete) = (SEGMENT_HEADER_BYTES, false);
        while let Some(frame) = frame_at(&held.bytes, end, held.segment, held.salt)
            .filter(|frame| frame.header.sequence > sequence && !is_complete)
        {
            (sequence, begins) = (frame.header.sequence, begins.max(frame.header.begins));
            (end, is_complete) = (frame.end(), frame.header.kind == Kind::End);
            report.frames += 1;
        }
        let vouches = |frame: Frame<'_>| frame.header.durable_through > sequence;
        let mut behind = frames_behind(&held.bytes, end, held.segment, held.salt);
        if !is_complete && (!is_last || behind.any(vouches)) {
            // Or it was being written while it was read; another attempt tells.
            let (path, offset) = (source.path(&segment::name(next)), end as u64);
            let problem = "what was written there is not whole";
            return Ok(Attempt::Again(StoreError::Damaged { path, offset, problem }));
        }
        // What can be appended to needs its whole length.
        let length = if is_complete { end } else { held.bytes.len() };
        let bytes = held.bytes.get(..end).unwrap_or_default();
        let name = segment::name(next);
        write(copy, &name, bytes, length)
            .map_err(|error| StoreError::unusable("written", copy.path(&name), error))?;
        report.segments += 1;
        report.bytes += end as u64;
        if is_last {
            break;
        }
        next = Segment(next.0 + 1);
    }
    if first > begins {
        return Err(StoreError::Missing { path: source.path(&segment::name(Segment(first.0 - 1))) });
    }
    copy.sync_directory().map_err(|error| StoreError::unusable("synced", copy.path(""), error))?;
    Ok(Attempt::Done(report))
}

fn write<N: Disk>(copy: &N, name: &str, bytes: &[u8], length: usize) -> io::Result<()> {
    let file = copy.create(name, length as u64)?;
    file.write_at(0, bytes)?;
    file.sync_data()
}
