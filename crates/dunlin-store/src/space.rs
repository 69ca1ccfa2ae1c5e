//! When the oldest segments of the log are vacated, and which.
//!
//! What is live is, for the most part, message bodies, and the gauges know their bytes. When the log is more
//! than twice as large as that, and a few segments more, the oldest quarter of it is vacated: every shard says
//! again what it holds from there, and when that is durable, those segments are not needed.
//!
//! Only one pass at a time, and no new one before as much was written as the last pass may have written again:
//! so what is written again stays below what is newly written, however much of the log is live.
//!
//! On a full disk the log helps itself, if a third of it is not live: it vacates one segment at a time, whose
//! live part fits into the segment of room that is left, where no body is written again more than once
//! (`written_again.rs`).

use super::Disk;
use super::segments::Segments;
use dunlin_core::identity::ShardId;
use dunlin_core::journal::Segment;
use dunlin_core::message::MemoryGauge;
use dunlin_core::shard::StoreState;
use std::collections::BTreeSet;

/// The log may be larger than twice what is live by so many segments.
const SLACK_SEGMENTS: u64 = 4;

/// See the top of the file.
#[derive(Default)]
pub(super) struct Space {
    gauges: Vec<MemoryGauge>,
    /// Bytes written since the last pass ended.
    written_bytes: u64,
    /// Bytes to be written before the next pass.
    owed_bytes: u64,
    /// Nothing may rely on what is before this segment.
    floor: Segment,
    pass: Option<Pass>,
}

struct Pass {
    before: Segment,
    /// The segment that was written when it began.
    began_in: Segment,
    /// Who has not answered yet.
    waiting: BTreeSet<ShardId>,
    /// Bytes written since it began.
    written_bytes: u64,
    /// Among those, bytes of bodies that the log had already.
    again_bytes: u64,
}

impl Space {
    /// For a log that begins with this segment.
    pub fn new(begins: Segment) -> Self {
        Self { floor: begins, ..Self::default() }
    }

    /// What of the log is live is counted by these.
    pub fn serve(&mut self, gauges: Vec<MemoryGauge>) {
        self.gauges = gauges;
    }

    /// Nothing may rely on what is before this segment.
    pub fn floor(&self) -> Segment {
        self.floor
    }

    /// Whether a pass is going on.
    pub fn is_vacating(&self) -> bool {
        self.pass.is_some()
    }

    /// What shards are told of the segment that the log is in. While they say things again, it is the one in
    /// which they began to: were they told of later ones, each of those would need a body of its own for what
    /// refers to it. A segment that is too early only makes them say it again sooner.
    pub fn known(&self, newest: Segment) -> Segment {
        self.pass.as_ref().map_or(newest, |pass| pass.began_in.min(newest))
    }

    /// So many bytes were written, and among them so many of bodies that the log had already.
    pub fn written(&mut self, bytes: u64, again_bytes: u64) {
        match &mut self.pass {
            Some(pass) => {
                pass.written_bytes += bytes;
                pass.again_bytes += again_bytes;
            }
            None => self.written_bytes += bytes,
        }
    }

    /// Begins a pass if one is wanted: all `shards` are to say again what is before this segment.
    pub fn wanted<D: Disk>(
        &mut self,
        segments: &Segments<D>,
        shards: u16,
        state: StoreState,
    ) -> Option<Segment> {
        if self.pass.is_some() || shards == 0 {
            return None;
        }
        let live_bytes =
            self.gauges.iter().map(|gauge| gauge.stored_bytes() as u64).fold(0, u64::saturating_add);
        let (total_bytes, segment_bytes) = (segments.total_bytes(), segments.segment_bytes());
        let take_bytes = if state == StoreState::Writing {
            let is_paid = self.written_bytes >= self.owed_bytes;
            let is_large = total_bytes.saturating_sub(SLACK_SEGMENTS * segment_bytes) / 2 > live_bytes;
            (is_paid && is_large).then_some(total_bytes / 4)
        } else {
            let is_large = total_bytes.saturating_sub(segment_bytes) / 3 * 2 > live_bytes;
            (is_large && segments.room_bytes() > segment_bytes / 2).then_some(1)
        }?;
        let mut taken_bytes = 0;
        let oldest = segments.complete().take_while(|(_, bytes)| {
            let is_taken = taken_bytes < take_bytes;
            taken_bytes += bytes;
            is_taken
        });
        let before = oldest.last().map(|(segment, _)| Segment(segment.0 + 1))?;
        self.floor = before;
        let waiting = (0..shards).collect();
        self.pass =
            Some(Pass { before, began_in: segments.newest(), waiting, written_bytes: 0, again_bytes: 0 });
        Some(before)
    }

    /// A shard has said everything again.
    pub fn vacated(&mut self, shard: ShardId, before: Segment) {
        if let Some(pass) = self.pass.as_mut().filter(|pass| pass.before == before) {
            pass.waiting.remove(&shard);
        }
    }

    /// Where the log begins when what is written so far is durable, if every shard has answered.
    pub fn finished(&self) -> Option<Segment> {
        self.pass.as_ref().filter(|pass| pass.waiting.is_empty()).map(|pass| pass.before)
    }

    /// The pass is over and has freed so much.
    pub fn freed(&mut self, bytes: u64) {
        if let Some(pass) = self.pass.take() {
            // No more can have been said again than was there, but for bodies that had to be written more than
            // once because the log had come to another segment; so those are counted.
            self.owed_bytes = pass.written_bytes.min(bytes.max(pass.again_bytes));
            self.written_bytes = 0;
        }
    }
}
