//! The store: one log for all shards, in memory.
//!
//! What a turn of a shard has staged is one [`Batch`]. Batches wait in the order in which shards handed them
//! over; the log writes them one by one, and what is written is durable. A crash loses what waits. The log is
//! in segments, the oldest of which can go when every shard has said again what it held from there.
//!
//! A message body is written once and then referred to by its place, and again when a batch was staged in a
//! later segment than where the body lies. What is on the disk is a copy: nothing of the broker's memory
//! outlives a crash here.

use super::World;
use dunlin_core::image::{BodyImage, ContentImage, Image};
use dunlin_core::journal::{Position, Record, Segment};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, MessageId, Publication};
use dunlin_core::session::Place;
use dunlin_core::shard::DropReason;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// The records of one turn of one shard.
pub struct Batch {
    pub shard: usize,
    /// The shard's position after them.
    pub end: u64,
    /// The segment of the shard's journal when it handed them over.
    pub segment: Segment,
    pub records: Vec<Record>,
}

/// A record in the log, and the place of the body it refers to.
struct Entry {
    record: Record,
    body: Option<u64>,
}

/// A segment, batch by batch.
struct SegmentFile {
    number: Segment,
    batches: Vec<Vec<Entry>>,
}

/// The shards are saying again what they have from before a segment.
struct Pass {
    before: Segment,
    walking: BTreeSet<usize>,
    /// The segments can go when so many batches are durable.
    until: Option<u64>,
}

/// See the top of the file.
pub struct Log {
    segments: VecDeque<SegmentFile>,
    bodies: HashMap<u64, ApplicationMessage>,
    bodies_count: u64,
    waiting: VecDeque<Batch>,
    handed_over: u64,
    written: u64,
    pass: Option<Pass>,
    gauge: MemoryGauge,
}

/// Stands in the identifier of a message whose body is gone.
const GONE: u16 = u16::MAX;

impl Log {
    pub fn new() -> Self {
        Self {
            segments: VecDeque::from([SegmentFile { number: Segment(1), batches: Vec::new() }]),
            bodies: HashMap::new(),
            bodies_count: 0,
            waiting: VecDeque::new(),
            handed_over: 0,
            written: 0,
            pass: None,
            gauge: MemoryGauge::default(),
        }
    }

    /// Where records are written now.
    pub fn segment(&self) -> Segment {
        self.segments.back().map_or(Segment(1), |segment| segment.number)
    }

    /// The oldest segment.
    pub fn first_segment(&self) -> Segment {
        self.segments.front().map_or(Segment(1), |segment| segment.number)
    }

    /// Goes on in a new segment.
    pub fn begin_segment(&mut self) {
        let number = Segment(self.segment().0 + 1);
        self.segments.push_back(SegmentFile { number, batches: Vec::new() });
    }

    /// Batches that are not durable.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a batch.
    pub fn hand_over(&mut self, batch: Batch) {
        self.handed_over += 1;
        self.waiting.push_back(batch);
    }

    /// Makes the next batch durable; whose, and the position after it.
    pub fn write(&mut self) -> Option<(usize, u64)> {
        let batch = self.waiting.pop_front()?;
        let entries = batch.records.into_iter().map(|record| self.entry(record, batch.segment)).collect();
        if let Some(segment) = self.segments.back_mut() {
            segment.batches.push(entries);
        }
        self.written += 1;
        Some((batch.shard, batch.end))
    }

    fn entry(&mut self, record: Record, staged_in: Segment) -> Entry {
        let Some(message) = record.message().cloned() else {
            return Entry { record, body: None };
        };
        if message.location() == 0 || message.segment() < staged_in {
            self.bodies_count += 1;
            let location = u64::from(self.segment().0) << 32 | self.bodies_count;
            self.bodies.insert(location, copy(&message, message.id, &self.gauge));
            message.set_location(location);
        }
        let location = message.location();
        let written = self.bodies.get(&location).cloned();
        let written = written.unwrap_or_else(|| copy(&message, message.id, &self.gauge));
        Entry { record: with_message(record, written), body: Some(location) }
    }

    /// Reads a body for a shard that has given it up.
    pub fn read(&self, location: u64, gauge: &MemoryGauge) -> Option<ApplicationMessage> {
        let body = self.bodies.get(&location)?;
        let copy = copy(body, body.id, gauge);
        copy.set_location(location);
        Some(copy)
    }

    /// Wants the segments before this one to be vacated by so many shards.
    pub fn begin_pass(&mut self, before: Segment, shards: usize) {
        self.pass = Some(Pass { before, walking: (0..shards).collect(), until: None });
    }

    /// Whether shards are walking, or their records are not durable.
    pub fn has_pass(&self) -> bool {
        self.pass.is_some()
    }

    /// A shard has said everything again.
    pub fn vacated(&mut self, shard: usize, before: Segment) {
        let Some(pass) = self.pass.as_mut().filter(|pass| pass.before == before) else { return };
        pass.walking.remove(&shard);
        if pass.walking.is_empty() {
            pass.until.get_or_insert(self.handed_over);
        }
    }

    /// Deletes the segments that every shard has left, if that is durable; which are gone.
    pub fn end_pass(&mut self) -> Option<Segment> {
        let is_over = |pass: &mut Pass| pass.until.is_some_and(|until| until <= self.written);
        let before = self.pass.take_if(is_over)?.before;
        self.delete_before(before);
        Some(before)
    }

    /// Deletes segments.
    pub fn delete_before(&mut self, before: Segment) {
        self.segments.retain(|segment| segment.number >= before);
        self.bodies.retain(|location, _| location >> 32 >= u64::from(before.0));
    }

    /// The power goes: what waits is lost.
    pub fn crash(&mut self) {
        self.waiting.clear();
        (self.handed_over, self.pass) = (self.written, None);
    }

    /// A planted fault: the last batch that was durable is not there.
    pub fn forget_last_batch(&mut self) {
        let last = self.segments.iter_mut().rev().find(|segment| !segment.batches.is_empty());
        last.map(|segment| segment.batches.pop());
    }

    /// What the log adds up to. Bodies are new objects, counted by `gauge`.
    /// With `leaves_bodies`, messages that only wait are left in the log.
    pub fn recover(&self, gauge: &MemoryGauge, leaves_bodies: bool) -> Image {
        let mut image = Image::default();
        let mut bodies: HashMap<u64, ApplicationMessage> = HashMap::new();
        for segment in &self.segments {
            for entry in segment.batches.iter().flatten() {
                let mut record = entry.record.clone();
                if let (Some(location), Some(message)) = (entry.body, entry.record.message()) {
                    // Whoever refers to a body that is gone must be over by the end of the log.
                    let is_there = self.bodies.contains_key(&location);
                    let origin = if is_there { message.id.origin } else { GONE };
                    let body = bodies.entry(location).or_insert_with(|| {
                        let body = copy(message, MessageId { origin, ..message.id }, gauge);
                        body.set_location(location);
                        body
                    });
                    record = with_message(record, body.clone());
                }
                match record {
                    Record::Queued { session, order, message, qos, retain, identifiers, ticket: None }
                        if leaves_bodies && identifiers.as_slice().len() <= 1 && !is_gone(&message) =>
                    {
                        let content = ContentImage { body: stored(&message), qos, retain, identifiers };
                        let recorded_in = segment.number.min(message.segment());
                        image.apply_queued(session, order, content, None, recorded_in, message.id);
                    }
                    Record::GroupQueued { group, sequence, message }
                        if leaves_bodies && !is_gone(&message) =>
                    {
                        let recorded_in = segment.number.min(message.segment());
                        let body = stored(&message);
                        image.apply_group_queued(group, sequence, body, recorded_in, message.id);
                    }
                    record => image.apply(record, segment.number),
                }
            }
        }
        image.load_in_flight(|location, _| self.read(location, gauge));
        image
    }
}

/// Whether the log has lost the body of a recovered message.
pub fn is_gone(message: &ApplicationMessage) -> bool {
    message.id.origin == GONE
}

fn copy(message: &ApplicationMessage, id: MessageId, gauge: &MemoryGauge) -> ApplicationMessage {
    let mut publication = Publication::new(id, message.topic(), message.qos, message.retain);
    (publication.publisher, publication.expires_at) = (message.publisher, message.expires_at);
    (publication.forwarded, publication.payload) = (message.forwarded(), message.payload());
    publication.keep(gauge)
}

/// What recovery keeps of a message for which there is no memory.
fn stored(message: &ApplicationMessage) -> BodyImage {
    BodyImage::Stored { location: message.location(), content_bytes: message.content_bytes() as u32 }
}

fn with_message(mut record: Record, body: ApplicationMessage) -> Record {
    match &mut record {
        Record::Queued { message, .. }
        | Record::Retained { message }
        | Record::Routing { message, .. }
        | Record::WillSet { message, .. }
        | Record::GroupQueued { message, .. } => *message = body,
        _ => {}
    }
    record
}

impl World {
    /// The log makes up to `count` more batches durable; the shards have not heard of it yet.
    pub fn write_log(&mut self, count: usize) -> bool {
        for written in 0..count {
            if self.random.chance(self.rolls_percent) && self.log.waiting() > 0 {
                self.log.begin_segment();
            }
            let Some((shard, end)) = self.log.write() else {
                return written > 0;
            };
            self.nodes[shard].durable = end;
            if let Some(before) = self.log.end_pass() {
                self.vacated += 1;
                self.trace(|| format!("the log begins at {before:?}"));
            }
        }
        self.note_settled();
        count > 0
    }

    /// A shard hears how far its records are durable, and where the log is.
    pub fn tell(&mut self, shard: usize) -> bool {
        let node = &mut self.nodes[shard];
        let position = if self.store_lies { node.staged } else { node.durable };
        let told = (position, self.log.segment());
        let has_news = std::mem::replace(&mut node.told, told) != told;
        if has_news {
            node.shard.handle_durable(self.now, Position(position), told.1);
            self.collect(shard);
        }
        has_news
    }

    /// The log wants to forget its oldest segments.
    pub fn vacate(&mut self) {
        let (first, last) = (self.log.first_segment().0, self.log.segment().0);
        if self.log.has_pass() || last == first {
            return;
        }
        let before = Segment(self.random.between(first as usize + 1, last as usize) as u32);
        self.trace(|| format!("everything before {before:?} is to be said again"));
        self.log.begin_pass(before, self.nodes.len());
        if self.deletes_early {
            self.log.delete_before(before);
        }
        for node in &mut self.nodes {
            node.shard.handle_vacate(before);
        }
    }

    /// Whether segments wait to be deleted.
    pub fn is_vacating(&self) -> bool {
        self.log.has_pass()
    }

    /// The log answers the oldest question of a shard.
    pub fn read_bodies(&mut self, shard: usize) -> bool {
        let Some(place) = self.loads.iter().position(|(asking, ..)| *asking == shard) else { return false };
        let Some((_, session, places)) = self.loads.remove(place) else { return false };
        self.trace(|| format!("shard {shard} is given {places:x?} of {session:?}"));
        let read = |place: Place| (place.order, self.log.read(place.location, &self.gauge));
        let messages: Vec<_> = places.into_iter().map(read).collect();
        let node = &mut self.nodes[shard];
        node.shard.handle_loaded(self.now, session, messages);
        // Nobody may need it any more.
        if node.shard.counters().dropped_for(DropReason::Unreadable) > 0 {
            self.history.complain("a body that was given up is gone from the log".into());
        }
        self.collect(shard);
        true
    }
}
