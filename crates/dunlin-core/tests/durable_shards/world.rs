//! One shard, and the store as the test plays it.

use super::packets::*;
use super::rules::{Right, Rules};
use dunlin_codec::{Connect, QoS, ReasonCode};
use dunlin_core::Shard;
use dunlin_core::connection::Cause;
use dunlin_core::image::{BodyImage, ContentImage, Image, ShardImage};
use dunlin_core::journal::{Position, Record, Segment};
use dunlin_core::message::{ApplicationMessage, MemoryGauge};
use dunlin_core::session::Place;
use dunlin_core::settings::Settings;
use dunlin_core::shard::{Holder, Output, ShardConfig};
use dunlin_core::slots::Key;
use dunlin_core::tally::SubscriptionTally;
use std::collections::HashMap;
use std::sync::Arc;

fn shard(settings: &Settings, rules: &Arc<Rules>, subscriptions: SubscriptionTally) -> Shard {
    let authorizer = Some(Arc::clone(rules) as _);
    Shard::new(ShardConfig { authorizer, subscriptions, ..ShardConfig::single(settings.clone()) })
}

/// One shard, and the store as the test plays it.
pub struct World {
    pub shard: Shard,
    pub rules: Arc<Rules>,
    pub settings: Settings,
    /// Taken from the shard and not written.
    pub backlog: Vec<Record>,
    /// Written, and where.
    pub log: Vec<(Segment, Record)>,
    /// The log's end.
    pub segment: Segment,
    /// The bodies in the log, by location.
    pub bodies: HashMap<u64, ApplicationMessage>,
    pub last_location: u64,
    pub written: Position,
    /// Bodies that are to be read.
    pub loads: Vec<(Holder, Vec<Place>)>,
    /// Whether recovery has no memory for the bodies of what waits.
    pub leaves_bodies: bool,
    /// The end of a walk that is over.
    pub vacated: Option<Segment>,
    /// Connections that were closed, and why.
    pub closed: Vec<(Key, Cause)>,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        let settings = Settings { durable: true, ..settings };
        let rules = Arc::new(Rules::default());
        Self {
            shard: shard(&settings, &rules, SubscriptionTally::default()),
            rules,
            settings,
            backlog: Vec::new(),
            log: Vec::new(),
            segment: Segment(1),
            bodies: HashMap::new(),
            last_location: 0,
            written: Position::default(),
            loads: Vec::new(),
            leaves_bodies: false,
            vacated: None,
            closed: Vec::new(),
        }
    }

    /// No memory for bodies: what waits keeps none that the store has.
    pub fn without_body_memory() -> Self {
        Self::new(Settings { body_memory_bytes: 0, ..Settings::default() })
    }

    /// Somebody changes the rules: these clients may no longer do this with any topic.
    pub fn forbid(&mut self, forbidden: &[(&'static str, Right)]) {
        self.rules.replace(forbidden);
    }

    pub fn take(&mut self) {
        self.backlog.extend(std::iter::from_fn(|| self.shard.poll_record()));
        while self.shard.poll_flush().is_some() {}
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Load { holder, places } => self.loads.push((holder, places)),
                Output::Vacated { before } => self.vacated = Some(before),
                Output::Close { connection, cause } => self.closed.push((connection, cause)),
                _ => {}
            }
        }
    }

    /// Writes the first records of the backlog and makes them durable.
    pub fn commit(&mut self, count: usize) {
        let records: Vec<Record> = self.backlog.drain(..count).collect();
        for record in records {
            if let Some(message) = record.message().filter(|message| message.segment() < self.segment) {
                self.last_location += 1;
                message.set_location(u64::from(self.segment.0) << 32 | self.last_location);
                self.bodies.insert(message.location(), copy(message, &MemoryGauge::default()));
            }
            self.log.push((self.segment, record));
            self.written.0 += 1;
        }
        self.shard.handle_durable(START, self.written, self.segment);
        self.take();
    }

    pub fn commit_all(&mut self) {
        self.take();
        while !self.backlog.is_empty() {
            self.commit(self.backlog.len());
        }
    }

    /// The log comes to another segment.
    pub fn roll(&mut self, segment: Segment) {
        self.commit_all();
        self.segment = segment;
        self.shard.handle_durable(START, self.written, segment);
    }

    /// Reads the bodies that are to be read, if they are still there.
    pub fn answer_loads(&mut self) {
        let gauge = self.shard.memory_gauge().clone();
        for (holder, places) in std::mem::take(&mut self.loads) {
            let read = |place: &Place| self.bodies.get(&place.location).map(|body| copy(body, &gauge));
            let messages = places.iter().map(|place| (place.order, read(place))).collect();
            self.shard.handle_loaded(START, holder, messages);
            self.take();
        }
    }

    pub fn turn(&mut self) {
        self.shard.handle_timeout(START);
        self.take();
    }

    /// Lets the shard say again what stands before a segment, as long as it takes, and forgets what is there.
    pub fn vacate(&mut self, before: Segment) {
        self.shard.handle_vacate(before);
        self.finish_vacating(before);
    }

    pub fn finish_vacating(&mut self, before: Segment) {
        for _ in 0..100 {
            if self.vacated.is_some() {
                break;
            }
            self.turn();
            self.commit_all();
            self.answer_loads();
        }
        assert_eq!(self.vacated.take(), Some(before), "the walk comes to its end");
        self.commit_all();
        self.log.retain(|(segment, _)| *segment >= before);
        self.bodies.retain(|location, _| location >> 32 >= u64::from(before.0));
    }

    /// The process ends; another begins with what the log has.
    pub fn crash(&mut self) {
        self.crash_and_count(SubscriptionTally::default());
    }

    /// The same, and the other one counts its subscriptions here.
    pub fn crash_and_count(&mut self, subscriptions: SubscriptionTally) {
        let image = self.image();
        self.backlog.clear();
        self.loads.clear();
        self.written = Position::default();
        self.shard = shard(&self.settings, &self.rules, subscriptions);
        self.shard.restore(START, image, START);
        self.shard.handle_durable(START, self.written, self.segment);
        self.commit_all();
    }

    pub fn image(&self) -> ShardImage {
        let mut image = Image::default();
        for (segment, record) in &self.log {
            match record.clone() {
                Record::Queued { session, order, message, qos, retain, identifiers, ticket: None }
                    if self.leaves_bodies =>
                {
                    let content_bytes = message.content_bytes() as u32;
                    let body = BodyImage::Stored { location: message.location(), content_bytes };
                    let content = ContentImage { body, qos, retain, identifiers };
                    image.apply_queued(session, order, content, None, *segment, message.id);
                }
                record => image.apply(record, *segment),
            }
        }
        image.split(1).pop().expect("one shard")
    }

    /// How many messages the store has for a client.
    pub fn owed(&self, client_identifier: &str) -> Option<usize> {
        let sessions = self.image().sessions;
        let mut clients = sessions.iter().map(|(_, client, session)| (client.as_str(), session));
        clients.find(|(client, _)| *client == client_identifier).map(|(_, session)| session.deliveries.len())
    }

    /// The groups that the store has, and what it has for them.
    pub fn groups(&self) -> Vec<(String, Vec<String>)> {
        let groups = self.image().groups;
        let payload = |message: &ApplicationMessage| String::from_utf8_lossy(message.payload()).into_owned();
        let held = groups.iter().map(|group| {
            let waiting = group.waiting.iter().map(|(_, body, _)| match body {
                BodyImage::Here(message) => payload(message),
                BodyImage::Stored { .. } => "stored".to_owned(),
            });
            let held = waiting.chain(group.lent.iter().map(|lent| payload(&lent.message)));
            (group.name.to_string(), held.collect())
        });
        held.collect()
    }

    /// Lets a client in; its CONNACK has come and is not received again.
    pub fn connect(&mut self, connect: Connect<'_>) -> Key {
        let key = self.shard.handle_connect(START, request(&self.settings, connect));
        self.commit_all();
        let received = self.receive(key);
        assert_eq!(received.first(), Some(&Received::ConnAck(ReasonCode::Success)));
        assert_eq!(received.len(), 1, "what else comes has to be read first");
        key
    }

    /// Lets a client in whose Session goes on: what it is sent after CONNACK.
    pub fn connect_again(&mut self, connect: Connect<'_>) -> Vec<Received> {
        let key = self.shard.handle_connect(START, request(&self.settings, connect));
        self.commit_all();
        let mut received = self.receive(key);
        assert_eq!(received.remove(0), Received::ConnAck(ReasonCode::Success));
        received
    }

    pub fn lose(&mut self, key: Key) {
        self.shard.handle_lost(START, key);
        self.shard.remove(key);
        self.commit_all();
    }

    /// Lets a client with a durable Session subscribe and go.
    pub fn subscribe_and_lose(&mut self, client_identifier: &str, filter: &str) {
        let key = self.connect(durable(client_identifier));
        self.send(key, &subscribe(filter, QoS::AtLeastOnce));
        self.commit_all();
        self.lose(key);
    }

    /// Lets a client publish messages with QoS 1 whose payloads are their numbers, and the store write each.
    pub fn publish_numbers(&mut self, key: Key, count: u16) {
        for number in 1..=count {
            let payload = number.to_string();
            self.send(key, &publish("t", QoS::AtLeastOnce, number, payload.as_bytes()));
            self.commit_all();
        }
    }

    pub fn send(&mut self, key: Key, bytes: &[u8]) {
        let progress = self.shard.handle_input(START, key, bytes);
        assert_eq!(progress.consumed, bytes.len());
        self.take();
    }

    pub fn receive(&mut self, key: Key) -> Vec<Received> {
        receive(&mut self.shard, START, key)
    }
}
