//! Frames, in the order of the log, as records with their messages.

use super::bodies::{Bodies, REACH};
use super::frame::Frame;
use super::record_reader::{Entry, RecordReader};
use super::varint::Problem;
use dunlin_core::journal::{Record, Segment};
use dunlin_core::message::MemoryGauge;

/// Where the log has something: the segment in the upper half, the offset in it in the lower.
pub(super) fn location(segment: Segment, offset: usize) -> u64 {
    u64::from(segment.0) << 32 | offset as u64
}

/// Hands out the records of one frame after the other.
pub(super) struct Replay<'a, F> {
    bodies: Bodies<'a>,
    take: F,
    first: Segment,
    /// Whether a message that is nowhere is no reason to stop, and places mean nothing.
    is_salvage: bool,
    /// Records so far.
    pub records: u64,
    /// Records besides, whose message was in a part of the log that is gone. Unless that part was lost, what
    /// they told of was said again behind them, or is over.
    pub dangling: u64,
}

impl<'a, F: FnMut(Record, Segment)> Replay<'a, F> {
    /// A log that begins with the segment `first`; `take` gets the records, each with its segment.
    pub fn new(first: Segment, gauges: &'a [MemoryGauge], take: F) -> Self {
        Self { bodies: Bodies::new(gauges), take, first, is_salvage: false, records: 0, dangling: 0 }
    }

    /// The same of a log that is not whole, for another one.
    pub fn salvage(take: F) -> Self {
        Self { is_salvage: true, ..Self::new(Segment(0), &[], take) }
    }

    /// The records of the next frame.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<(), Problem> {
        let segment = frame.header.segment;
        self.bodies.enter(segment);
        let mut reader = RecordReader::new(frame.payload, frame.header.written_at);
        while let Some(entry) = reader.next(|id| self.bodies.get(id))? {
            match entry {
                Entry::Body(body) => {
                    let place = location(segment, frame.payload_offset() + body.offset);
                    self.bodies.insert(&body, (!self.is_salvage).then_some(place));
                    continue;
                }
                Entry::Record(record) => (self.take)(record, segment),
                Entry::Dangling if self.is_salvage || segment.0 < self.first.0 + REACH => {
                    self.dangling += 1;
                    continue;
                }
                Entry::Dangling => return Err("a record refers to a message that the log does not have"),
                Entry::Unknown => {}
            }
            self.records += 1;
        }
        Ok(())
    }
}
