//! The log from its beginning to its end, and the judgement of what is not whole.
//!
//! The last frames of the last segment may be torn: the process or the machine stopped while they were being
//! written. They were not durable then, so they are cut. Whatever else is not whole is damage, and a log with
//! damage is not read on: what follows builds on what is missing. That bad bytes were durable is known when
//! they are not in the last segment, or when a later frame says so.
//!
//! Segments before a gap are what a deletion left that a crash interrupted, provided that a frame says that
//! the log begins behind the gap. Otherwise somebody took a segment away.

use super::frame::{ALIGNMENT, Frame, Kind, frame_at, frame_bytes, frames_behind, header_at};
use super::replay::Replay;
use super::segment::{self, SEGMENT_HEADER_BYTES, SegmentBytes};
use super::{Disk, RecoveryReport, StoreError, TornTail};
use dunlin_core::Timestamp;
use dunlin_core::journal::{Record, Segment};
use dunlin_core::message::MemoryGauge;

/// What was found out about a log that was read to its end.
#[derive(Default)]
pub(super) struct Findings {
    pub report: RecoveryReport,
    /// The segments of the log, in order, with the lengths of their files.
    pub segments: Vec<(Segment, u64)>,
    /// Segment files from before the log begins.
    pub leftovers: Vec<Segment>,
    /// The last segment.
    pub last: Option<LastSegment>,
    /// The sequence number of the last frame.
    pub sequence: u64,
    /// The highest sequence number seen anywhere, behind the last frame too.
    pub sequence_max: u64,
    /// The frames up to this sequence number had been synced when the last one was written.
    pub synced_through: u64,
    /// The segment that the log begins with, as its last frame has it.
    pub begins: Segment,
    /// When the last frame was written.
    pub written_at: Timestamp,
}

/// The segment in which, or after which, the log goes on.
pub(super) struct LastSegment {
    pub held: SegmentBytes,
    /// Where the next frame belongs.
    pub end: usize,
    /// From where on frames are not known to be synced.
    pub unsynced: usize,
    /// Whether it has its end frame.
    pub is_complete: bool,
}

/// Reads a log; `take` gets the records in order, each with its segment.
pub(super) fn read_log<D: Disk>(
    disk: &D,
    gauges: &[MemoryGauge],
    take: impl FnMut(Record, Segment),
) -> Result<Findings, StoreError> {
    let (leftovers, segments) = split_at_gap(segment::list(disk)?);
    let mut findings = Findings { leftovers, begins: Segment(1), ..Findings::default() };
    let Some(first) = segments.first().copied() else {
        return Ok(findings);
    };
    let mut replay = Replay::new(first, gauges, take);
    for segment in &segments {
        let held = segment::read(disk, *segment)?;
        findings.segments.push((*segment, held.bytes.len() as u64));
        findings.report.segments += 1;
        let damaged = |offset: usize, problem| {
            let path = disk.path(&segment::name(*segment));
            StoreError::Damaged { path, offset: offset as u64, problem }
        };
        let (mut end, mut is_complete, mut offsets) = (SEGMENT_HEADER_BYTES, false, Vec::new());
        while let Some(frame) = next_frame(&held, end, findings.sequence).filter(|_| !is_complete) {
            replay.frame(&frame).map_err(|problem| damaged(frame.offset, problem))?;
            findings.note(&frame);
            offsets.push((frame.header.sequence, frame.offset));
            (end, is_complete) = (frame.end(), frame.header.kind == Kind::End);
        }
        if segments.last() != Some(segment) {
            if !is_complete {
                return Err(damaged(end, "what was written there is not whole"));
            }
            continue;
        }
        if !is_complete && findings.is_tail_damaged(&held, end) {
            return Err(damaged(end, "what was written there is not whole, and later frames are"));
        }
        findings.report.torn_tail = findings.torn_tail(&held, end, is_complete, disk);
        let is_unsynced = |(sequence, _): &&(u64, usize)| *sequence > findings.synced_through;
        let unsynced = offsets.iter().find(is_unsynced).map_or(end, |(_, offset)| *offset);
        findings.last = Some(LastSegment { held, end, unsynced, is_complete });
    }
    findings.report.records = replay.records;
    if first > findings.begins {
        return Err(StoreError::Missing { path: disk.path(&segment::name(Segment(first.0 - 1))) });
    }
    Ok(findings)
}

/// The segments before the last gap in the numbers, and those from there on.
pub(super) fn split_at_gap(mut segments: Vec<Segment>) -> (Vec<Segment>, Vec<Segment>) {
    let followed = |pair: &[Segment]| matches!(pair, [one, next] if one.0 + 1 == next.0);
    let start = segments.windows(2).rposition(|pair| !followed(pair)).map_or(0, |gap| gap + 1);
    let behind = segments.split_off(start);
    (segments, behind)
}

/// The frame that continues the log there.
fn next_frame(held: &SegmentBytes, offset: usize, after: u64) -> Option<Frame<'_>> {
    frame_at(&held.bytes, offset, held.segment, held.salt).filter(|frame| frame.header.sequence > after)
}

impl Findings {
    fn note(&mut self, frame: &Frame<'_>) {
        let header = &frame.header;
        self.report.frames += 1;
        self.report.bytes += (frame.end() - frame.offset) as u64;
        (self.sequence, self.written_at) = (header.sequence, header.written_at);
        self.sequence_max = self.sequence_max.max(header.sequence);
        self.synced_through = self.synced_through.max(header.durable_through);
        self.begins = self.begins.max(header.begins);
    }

    /// Looks at what is behind the last frame: whether a frame there vouches for one that is not whole.
    fn is_tail_damaged(&mut self, held: &SegmentBytes, end: usize) -> bool {
        let mut is_damaged = false;
        for frame in frames_behind(&held.bytes, end + ALIGNMENT, held.segment, held.salt) {
            self.sequence_max = self.sequence_max.max(frame.header.sequence);
            is_damaged |= frame.header.durable_through > self.sequence;
        }
        is_damaged
    }

    /// What of this segment is behind its last whole frame and was meant to follow it.
    fn torn_tail<D: Disk>(
        &self,
        held: &SegmentBytes,
        end: usize,
        is_complete: bool,
        disk: &D,
    ) -> Option<TornTail> {
        if is_complete {
            return None;
        }
        let is_next = |sequence| sequence > self.sequence;
        let begun = header_at(&held.bytes, end, held.salt)
            .filter(|(header, _)| is_next(header.sequence))
            .map(|(_, length)| end.saturating_add(frame_bytes(length)));
        let later = frames_behind(&held.bytes, end + ALIGNMENT, held.segment, held.salt)
            .filter(|frame| is_next(frame.header.sequence))
            .map(|frame| frame.end());
        let torn_end = begun.into_iter().chain(later).max()?.min(held.bytes.len());
        let path = disk.path(&segment::name(held.segment));
        Some(TornTail { path, offset: end as u64, bytes: (torn_end - end) as u64 })
    }
}
