//! The log as a value: batches go in, frames come out, and events tell the shards.
//!
//! Driven like the shards: `commit`, `vacated` and `handle_timeout` take an input and the time, `poll_event`
//! and `poll_timeout` give outputs. The thread (`thread.rs`) is a loop around it; tests do without.
//!
//! One frame is on its way at a time. If there is no room for it, it waits in `Pending`, encoded, and is
//! tried again at the same place until there is; what comes meanwhile waits in the backlog. If a sync fails,
//! the log has failed for good: nothing more is told durable and nothing more is written.
//!
//! A batch that nobody waits for (acknowledgements of receivers, mostly) waits in the backlog for one that
//! somebody does wait for, but not longer than [`PUT_OFF_MAX`]. So a message that goes to a connected receiver costs
//! one commit and not two, and a queue that is drained costs ten a second and not one for each round trip.
//!
//! A reference and its body. Shards remember in which segment they staged a reference, and vacate by that
//! alone. So a body must be in that segment or a later one; where the log has it only in an earlier one, it
//! is written again before the reference (`append_record`). Two more bounds have the same remedy: while segments
//! are being vacated, nothing new may rely on them, whatever an idle shard believes the newest segment to be;
//! and recovery looks back no further than [`REACH`] segments.

use super::bodies::REACH;
use super::frame::{HEADER_BYTES, Header, Kind, frame_bytes, seal};
use super::frame_bodies::FrameBodies;
use super::reading::Findings;
use super::record_writer::RecordWriter;
use super::recovery::HEARTBEAT_INTERVAL;
use super::segments::{Failure, Segments};
use super::space::Space;
use super::written_again::WrittenAgain;
use super::{Batch, Disk, Event, StoreError, StoreHealth, StoreOptions, SyncPolicy};
use dunlin_core::Timestamp;
use dunlin_core::elastic::ElasticQueue;
use dunlin_core::identity::ShardId;
use dunlin_core::journal::{Position, Record, Segment};
use dunlin_core::message::{ApplicationMessage, MemoryGauge};
use dunlin_core::shard::StoreState;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// About the most that goes into one frame, as far as batches allow.
pub(super) const COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// The payload of a frame at which even a batch is split, because offsets have 32 bits. No turn of a shard
/// that does not vacate comes near.
const FRAME_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// How long the log waits before it tries again to find room.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// For how long a batch waits that nobody waits for: what a crash may undo of it is worth so much.
pub(super) const PUT_OFF_MAX: Duration = Duration::from_millis(100);

/// Bytes of such batches that are written at once.
const PUT_OFF_BYTES_MAX: usize = 256 * 1024;

/// See the top of the file.
pub struct Log<D: Disk> {
    options: StoreOptions,
    segments: Segments<D>,
    space: Space,
    /// The bodies that the pass going on has written again.
    again: WrittenAgain,
    /// The sequence number of the next frame.
    sequence: u64,
    /// Frames up to this sequence number are synced.
    synced_through: u64,
    /// The log begins with this segment.
    begins: Segment,
    backlog: ElasticQueue<Batch>,
    /// Nobody waits for what is in the backlog, which is written then.
    put_off: Option<PutOff>,
    pending: Option<Pending>,
    state: StoreState,
    health: Arc<StoreHealth>,
    /// The position that each shard was told last.
    told: Vec<Position>,
    events: VecDeque<(ShardId, Event)>,
    written_at: Timestamp,
    /// Something was written and not synced; under `Interval` it will be then.
    sync_at: Option<Timestamp>,
    retry_at: Option<Timestamp>,
}

/// Until when the backlog may wait, and how much that is.
struct PutOff {
    until: Timestamp,
    bytes: usize,
}

/// A frame that is not written yet.
struct Pending {
    /// Room for the header, then the payload.
    buffer: Vec<u8>,
    written_at: Timestamp,
    bodies: FrameBodies,
    /// What is durable with it.
    ends: Vec<(ShardId, Position)>,
    /// With it the log begins here: a pass is over.
    begins: Option<Segment>,
}

impl Pending {
    fn new(now: Timestamp) -> Self {
        let buffer = vec![0; HEADER_BYTES];
        Self { buffer, written_at: now, bodies: FrameBodies::default(), ends: Vec::new(), begins: None }
    }
}

impl<D: Disk> Log<D> {
    pub(super) fn resume(
        segments: Segments<D>,
        options: StoreOptions,
        findings: &Findings,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut log = Self {
            options,
            segments,
            space: Space::new(findings.begins),
            again: WrittenAgain::default(),
            sequence: findings.sequence_max + 1,
            synced_through: findings.sequence,
            begins: findings.begins,
            backlog: ElasticQueue::default(),
            put_off: None,
            pending: None,
            state: StoreState::Writing,
            health: Arc::default(),
            told: Vec::new(),
            events: VecDeque::new(),
            written_at: now,
            sync_at: None,
            retry_at: None,
        };
        // Without any segment nothing works; without room for another one, all that needs no room.
        log.health.set_bytes(log.segments.total_bytes());
        if log.segments.place().is_none() && log.segments.newest() == Segment::default() {
            log.segments.begin(0).map_err(|failure| StoreError::NotBegun(failure.into_reason()))?;
        }
        log.work(now);
        Ok(log)
    }

    /// Tells shards from now on, beginning with the segment that the log is in. The gauges count what of the
    /// log is live.
    pub fn serve(&mut self, shards: u16, gauges: Vec<MemoryGauge>) {
        self.told = vec![Position::default(); usize::from(shards)];
        self.space.serve(gauges);
        self.tell_segment();
        if self.state != StoreState::Writing {
            self.tell_all(Event::State(self.state));
        }
    }

    /// Whether it can be written, for other threads.
    pub fn health(&self) -> Arc<StoreHealth> {
        Arc::clone(&self.health)
    }

    /// The segment that is written now, and what the log can do.
    pub(super) fn state(&self) -> (Segment, StoreState) {
        (self.segments.newest(), self.state)
    }

    /// For how long a commit waits for more.
    pub(super) fn commit_delay(&self) -> Duration {
        self.options.commit_delay
    }

    /// Writes these batches, in as few frames as they fit into.
    pub fn commit(&mut self, now: Timestamp, batches: impl IntoIterator<Item = Batch>) {
        for batch in batches {
            self.take(now, batch);
        }
        self.work(now);
    }

    /// Adds a batch to the backlog.
    fn take(&mut self, now: Timestamp, batch: Batch) {
        let told = self.told.get(usize::from(batch.shard)).copied().unwrap_or_default();
        let has_time = batch.awaited <= told && (self.backlog.is_empty() || self.put_off.is_some());
        let bytes = self.put_off.as_ref().map_or(0, |put_off| put_off.bytes) + batch.size_bytes();
        self.put_off = (has_time && bytes <= PUT_OFF_BYTES_MAX).then(|| {
            let until = self.put_off.as_ref().map_or(now + PUT_OFF_MAX, |put_off| put_off.until);
            PutOff { until, bytes }
        });
        self.backlog.push_back(batch);
    }

    /// A shard has said everything again that it held from before this segment.
    pub fn vacated(&mut self, now: Timestamp, shard: ShardId, before: Segment) {
        self.space.vacated(shard, before);
        self.put_off = None;
        self.work(now);
    }

    /// When [`Log::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.state == StoreState::Failed {
            return None;
        }
        let next_at = self.retry_at.unwrap_or(self.written_at + HEARTBEAT_INTERVAL);
        let put_off_until = self.put_off.as_ref().map(|put_off| put_off.until);
        [Some(next_at), self.sync_at, put_off_until].into_iter().flatten().min()
    }

    /// Does what is due: tries again, syncs, gives a sign of life.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        if self.put_off.as_ref().is_some_and(|put_off| put_off.until <= now) {
            self.put_off = None;
        }
        let is_idle = self.pending.is_none() && self.retry_at.is_none();
        if is_idle && self.written_at + HEARTBEAT_INTERVAL <= now {
            self.pending = Some(Pending::new(now));
        }
        self.work(now);
    }

    /// The next event, and for which shard.
    pub fn poll_event(&mut self) -> Option<(ShardId, Event)> {
        self.events.pop_front()
    }

    /// Writes what is left, as far as there is room, and syncs. The last frame says that all others are
    /// synced, so that damage to them can be told from a torn tail.
    pub fn stop(&mut self, now: Timestamp) {
        (self.retry_at, self.put_off) = (None, None);
        self.work(now);
        if self.state == StoreState::Failed || self.pending.is_some() {
            return;
        }
        if let Err(failure) = self.sync() {
            return self.fail(failure, now);
        }
        self.pending = Some(Pending::new(now));
        self.work(now);
        if let Err(failure) = self.sync() {
            self.fail(failure, now);
        }
    }

    /// Does everything that can be done now. While room is waited for, that is what fits into the segment.
    fn work(&mut self, now: Timestamp) {
        if self.state == StoreState::Failed {
            self.backlog.clear();
            self.put_off = None;
            return;
        }
        let is_waiting = self.retry_at.is_some();
        let is_blocked = is_waiting && self.pending.is_some();
        let written = if is_blocked { Ok(()) } else { self.write_frames(now) };
        let mut done = written.and_then(|()| self.sync_if_due(now));
        // Behind everything else, so that nobody waits for it.
        if done.is_ok() && !is_waiting {
            done = self.segments.keep_spare().map(|()| self.set_state(StoreState::Writing, String::new()));
        }
        if let Err(failure) = done {
            self.fail(failure, now);
        }
        self.health.set_bytes(self.segments.total_bytes());
    }

    fn write_frames(&mut self, now: Timestamp) -> Result<(), Failure> {
        loop {
            if self.pending.is_none() {
                self.pending = self.next_frame(now);
            }
            let Some(mut pending) = self.pending.take() else { return Ok(()) };
            let written = self.write(&mut pending, now);
            if let Err(Failure::Retry(_)) = &written {
                self.pending = Some(pending);
            }
            written?;
        }
    }

    /// Encodes what comes next: the backlog, then the end of a pass.
    fn next_frame(&mut self, now: Timestamp) -> Option<Pending> {
        if !self.backlog.is_empty() && self.put_off.is_none() {
            let mut pending = Pending::new(now);
            self.encode(&mut pending);
            return Some(pending);
        }
        if let Some(begins) = self.space.finished() {
            return Some(Pending { begins: Some(begins), ..Pending::new(now) });
        }
        if let Some(before) = self.space.wanted(&self.segments, self.told.len() as u16, self.state) {
            // Whoever says something again should know where that is written.
            self.tell_segment();
            self.tell_all(Event::Vacate { before });
        }
        None
    }

    fn encode(&mut self, pending: &mut Pending) {
        let newest = self.segments.newest();
        let least = self.space.floor().max(Segment(newest.0.saturating_sub(REACH - 1)));
        self.again.forget_before(least);
        let mut writer = RecordWriter::new(&mut pending.buffer, pending.written_at);
        while let Some(mut batch) = self.backlog.pop_front() {
            let needed = least.max(batch.segment).min(newest);
            let mut records = std::mem::take(&mut batch.records).into_iter();
            for record in records.by_ref() {
                append_record(&mut writer, &mut pending.bodies, &self.again, &record, needed);
                if writer.length() > FRAME_BYTES_MAX {
                    break;
                }
            }
            let rest: Vec<_> = records.collect();
            if rest.is_empty() {
                pending.ends.push((batch.shard, batch.end));
            } else {
                self.backlog.push_front(Batch { records: rest, ..batch });
            }
            if writer.length() > COMMIT_BYTES {
                break;
            }
        }
    }

    /// Writes a frame, syncs if the policy says so, and tells whom it concerns.
    fn write(&mut self, pending: &mut Pending, now: Timestamp) -> Result<(), Failure> {
        let length = frame_bytes(pending.buffer.len() - HEADER_BYTES);
        if !self.segments.has_room(length) {
            if self.segments.place().is_some() {
                self.close(pending.written_at)?;
            }
            self.segments.begin(length)?;
        }
        let Some((segment, offset, salt)) = self.segments.place() else {
            return Err(Failure::Retry("no segment was begun".into()));
        };
        let header = self.header(segment, pending, Kind::Records);
        let payload_end = pending.buffer.len();
        seal(&mut pending.buffer, &header, salt);
        if let Err(failure) = self.segments.append(&pending.buffer) {
            // Without the padding it can be sealed again.
            pending.buffer.truncate(payload_end);
            return Err(failure);
        }
        self.sequence += 1;
        self.written_at = now;
        self.space.written(length as u64, pending.bodies.again_bytes());
        let again = self.space.is_vacating().then_some(&mut self.again);
        pending.bodies.written(segment, offset as usize + HEADER_BYTES, again);
        if self.options.sync == SyncPolicy::Always || pending.begins.is_some() {
            self.sync()?;
        } else if let SyncPolicy::Interval(interval) = self.options.sync {
            self.sync_at.get_or_insert(now + interval);
        }
        for (shard, position) in std::mem::take(&mut pending.ends) {
            self.tell_durable(shard, position, segment);
        }
        if let Some(begins) = pending.begins {
            self.begins = begins;
            let freed_bytes = self.segments.free(begins)?;
            self.space.freed(freed_bytes);
            self.again.clear();
        }
        Ok(())
    }

    fn header(&self, segment: Segment, pending: &Pending, kind: Kind) -> Header {
        Header {
            segment,
            begins: pending.begins.unwrap_or(self.begins),
            sequence: self.sequence,
            durable_through: self.synced_through,
            written_at: pending.written_at,
            kind,
        }
    }

    /// Ends the current segment.
    fn close(&mut self, now: Timestamp) -> Result<(), Failure> {
        let Some((segment, _, salt)) = self.segments.place() else { return Ok(()) };
        let mut end = Pending::new(now);
        let header = self.header(segment, &end, Kind::End);
        seal(&mut end.buffer, &header, salt);
        self.segments.append(&end.buffer)?;
        self.sequence += 1;
        self.sync()?;
        self.segments.close();
        Ok(())
    }

    fn sync_if_due(&mut self, now: Timestamp) -> Result<(), Failure> {
        if self.sync_at.is_some_and(|at| at <= now) { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.segments.sync()?;
        self.synced_through = self.sequence - 1;
        self.sync_at = None;
        Ok(())
    }

    fn fail(&mut self, failure: Failure, now: Timestamp) {
        match failure {
            Failure::Retry(reason) => {
                self.retry_at = Some(now + RETRY_INTERVAL);
                self.set_state(StoreState::Full, reason);
            }
            Failure::Final(reason) => {
                self.backlog.clear();
                self.set_state(StoreState::Failed, reason);
            }
        }
    }

    fn set_state(&mut self, state: StoreState, reason: String) {
        if std::mem::replace(&mut self.state, state) != state {
            self.health.set(state, reason);
            self.tell_all(Event::State(state));
        }
    }

    fn tell_durable(&mut self, shard: ShardId, position: Position, segment: Segment) {
        if let Some(told) = self.told.get_mut(usize::from(shard)) {
            *told = position;
        }
        let segment = self.space.known(segment);
        self.events.push_back((shard, Event::Durable { position, segment }));
    }

    fn tell_segment(&mut self) {
        let segment = self.space.known(self.segments.newest());
        for (shard, position) in (0..).zip(self.told.clone()) {
            self.events.push_back((shard, Event::Durable { position, segment }));
        }
    }

    fn tell_all(&mut self, event: Event) {
        self.events.extend((0..self.told.len() as u16).map(|shard| (shard, event)));
    }
}

/// Appends a record, and before it the body that it refers to, unless the log has that in `needed` or later or
/// the frame has it already.
fn append_record(
    writer: &mut RecordWriter<'_>,
    bodies: &mut FrameBodies,
    again: &WrittenAgain,
    record: &Record,
    needed: Segment,
) {
    let is_missing = |message: &ApplicationMessage| message.location() == 0 || message.segment() < needed;
    if let Some(message) = record.message().filter(|message| is_missing(message)) {
        again.apply(message);
        if is_missing(message) && bodies.insert(message, writer.length() - HEADER_BYTES) {
            writer.body(message);
        }
    }
    writer.append(record);
}
