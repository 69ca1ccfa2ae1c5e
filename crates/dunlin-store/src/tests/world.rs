//! A few shards and a log, without threads and time: a workload that one seed decides.
//!
//! Messages go from shard to shard, so that several refer to one body, early and late. Everything handed to
//! the log is kept as a copy (the originals count as live). What a log recovers can thus be compared with what
//! it must be: for each shard the batches up to a certain one, none of them in part, and that one is not
//! before the last that the shard was told durable.

use super::material::{SMALL, START, batch, describe_part, message};
use super::model::{Shard, marked};
use super::random::Random;
use super::simulated_disk::SimulatedDisk;
use crate::{Event, Log, StoreOptions, open};
use dunlin_core::Timestamp;
use dunlin_core::image::{Image, ShardImage};
use dunlin_core::journal::{Position, Record, Segment};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, Publication};
use dunlin_core::shard::StoreState;
use std::time::Duration;

/// What a run is like.
#[derive(Clone, Copy)]
pub struct Plan {
    pub shards: u16,
    pub options: StoreOptions,
    /// The largest payload in bytes.
    pub payload_max: usize,
    /// Messages that a Session keeps at most.
    pub queue_max: usize,
    /// Topics of each shard that have a Retained Message, in the end.
    pub topics: usize,
    /// Whether shards say again what they are asked to.
    pub vacates: bool,
    /// How many of a hundred batches nobody waits for.
    pub put_off_percent: u32,
    /// Whether the log knows how much is live; or else it takes nothing to be.
    pub counts: bool,
}

pub const PLAN: Plan = Plan {
    shards: 2,
    options: SMALL,
    payload_max: 300,
    queue_max: 6,
    topics: 5,
    vacates: true,
    put_off_percent: 0,
    counts: true,
};

/// Copies of the batches of each shard.
pub type History = Vec<Vec<Vec<Record>>>;

/// See the top of the file.
pub struct World {
    plan: Plan,
    pub log: Log<SimulatedDisk>,
    shards: Vec<Shard>,
    gauges: Vec<MemoryGauge>,
    random: Random,
    pub now: Timestamp,
    messages: u64,
    pub history: History,
    /// How many batches of each shard are durable, as it was told.
    pub told: Vec<usize>,
    pub state: StoreState,
    /// Passes that were begun.
    pub passes: usize,
    /// The most bytes that were live.
    pub live_max: u64,
}

impl World {
    /// A world whose log is on this disk, on which `history` was written. The error says what must not be.
    pub fn begin(plan: Plan, disk: &SimulatedDisk, seed: u64, mut history: History) -> Result<Self, String> {
        let gauges: Vec<_> = (0..plan.shards).map(|_| MemoryGauge::default()).collect();
        let opened = open(disk.clone(), plan.options, &gauges, START).map_err(|error| error.to_string())?;
        let part = whole(opened.image);
        let mut shards: Vec<_> = (0..plan.shards).map(Shard::new).collect();
        shards.iter_mut().for_each(|shard| shard.restore(&part));
        history.resize(shards.len(), Vec::new());
        for (batches, shard) in history.iter_mut().zip(&shards) {
            batches.truncate(shard.batches as usize);
        }
        let messages = history.iter().map(Vec::len).sum::<usize>() as u64 * 1000;
        let mut world = Self {
            plan,
            log: opened.log,
            shards,
            gauges: gauges.clone(),
            random: Random::new(seed),
            now: START + Duration::from_millis(messages),
            messages,
            told: history.iter().map(Vec::len).collect(),
            history,
            state: StoreState::Writing,
            passes: 0,
            live_max: 0,
        };
        world.log.serve(plan.shards, if plan.counts { gauges } else { Vec::new() });
        world.poll();
        Ok(world)
    }

    /// Some shards have their turn, then the log does its work.
    pub fn step(&mut self) {
        self.now = self.now + Duration::from_millis(1);
        let (mut batches, mut vacated) = (Vec::new(), Vec::new());
        for index in 0..self.shards.len() {
            if !self.random.chance(70) {
                continue;
            }
            // A shard refuses publications while the store is full.
            for _ in 0..self.random.below(if self.state == StoreState::Full { 1 } else { 3 }) {
                self.publish(index);
            }
            let shard = &mut self.shards[index];
            for _ in 0..self.random.below(5) {
                if let Some(event) = shard.events.pop_front() {
                    shard.handle(event);
                }
            }
            shard.act(&mut self.random, self.plan.queue_max);
            if self.plan.vacates {
                vacated.extend(shard.say_again().map(|before| (shard.id, before)));
            }
            let records = shard.take_records();
            self.history[index].push(records.iter().map(copy).collect());
            let mut batch = batch(shard.id, shard.batches, shard.segment, records);
            if self.random.chance(self.plan.put_off_percent) {
                batch.awaited = Position::default();
            }
            batches.push(batch);
        }
        self.log.commit(self.now, batches);
        self.live_max = self.live_max.max(self.live_bytes());
        for (shard, before) in vacated {
            self.log.vacated(self.now, shard, before);
        }
        self.poll();
    }

    /// Time passes, and the log does what is due.
    pub fn wait(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.log.handle_timeout(self.now);
        // Or its thread would not come to rest.
        assert!(self.log.poll_timeout().is_none_or(|at| at > self.now), "what was due has been done");
        self.poll();
    }

    /// An orderly end.
    pub fn stop(&mut self) {
        self.log.stop(self.now);
        self.poll();
    }

    /// How many batches of each shard there were.
    pub fn batches(&self) -> Vec<usize> {
        self.history.iter().map(Vec::len).collect()
    }

    /// Bytes of the bodies that are live.
    pub fn live_bytes(&self) -> u64 {
        self.gauges.iter().map(|gauge| gauge.stored_bytes() as u64).sum()
    }

    /// Judges what a store has recovered; the error says what must not be.
    pub fn judge(&self, image: Image) -> Result<(), String> {
        let part = whole(image);
        let mut expected = Image::default();
        for (shard, batches) in (0..).zip(&self.history) {
            let recovered = marked(&part, shard) as usize;
            let told = self.told[usize::from(shard)];
            if recovered < told {
                return Err(format!("lost: shard {shard} was told {told} batches, {recovered} are there"));
            }
            for record in batches.get(..recovered).ok_or("batches that never were")?.iter().flatten() {
                expected.apply(record.clone(), Segment(1));
            }
        }
        let (found, expected) = (describe_part(part), describe_part(whole(expected)));
        let mut lines = found.lines().zip(expected.lines()).filter(|(found, expected)| found != expected);
        if found == expected { Ok(()) } else { Err(format!("not whole batches: {:?}", lines.next())) }
    }

    fn publish(&mut self, index: usize) {
        self.messages += 1;
        let payload = vec![b'a' + (self.messages % 26) as u8; self.random.below(self.plan.payload_max + 1)];
        let topic = format!("{index}/{}", self.random.below(self.plan.topics));
        let message = message(&self.gauges[index], index as u16, self.messages, &topic, &payload);
        if self.random.chance(20) {
            self.shards[index].retain(&message);
        }
        for shard in &mut self.shards {
            if self.random.chance(60) {
                shard.mail.push_back(message.clone());
            }
        }
    }

    /// Takes the log's events to the shards. What was told durable counts from here on, read or not.
    fn poll(&mut self) {
        while let Some((shard, event)) = self.log.poll_event() {
            let shard = usize::from(shard);
            match event {
                Event::Durable { position, .. } => {
                    self.told[shard] = self.told[shard].max(position.0 as usize);
                }
                Event::State(state) => self.state = state,
                Event::Vacate { .. } => self.passes += usize::from(shard == 0),
            }
            self.shards[shard].events.push_back(event);
        }
    }
}

/// An image as one part.
pub fn whole(image: Image) -> ShardImage {
    image.split(1).pop().expect("one part")
}

/// A record whose message counts for nobody.
fn copy(record: &Record) -> Record {
    let mut record = record.clone();
    if let Record::Queued { message, .. } | Record::Retained { message } = &mut record {
        let nobody = MemoryGauge::default();
        let mut publication = Publication::new(message.id, message.topic(), message.qos, message.retain);
        publication.publisher = message.publisher;
        publication.payload = message.payload();
        let kept: ApplicationMessage = publication.keep(&nobody);
        *message = kept;
    }
    record
}
