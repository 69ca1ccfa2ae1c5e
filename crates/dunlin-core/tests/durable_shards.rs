//! Shards and their store, step by step: what a review found between the steps, so that it stays found.
//!
//! A shard stages records and learns later that they are durable; it has bodies read, and goes on meanwhile; it
//! says again what it holds when the store wants to forget old segments. Here the test is the store: it decides
//! what happens between any two of these steps, and whether the process ends there. What the store has is judged
//! by the [`Image`] that its log gives.
//!
//! [`World`] is one shard with its store, [`Pair`] two shards with a store that only counts. The same steps in
//! random order are in `simulation/`.

use dunlin_codec::{
    Connect, ConnectProperties, Packet, PacketIdentifier, PacketType, ProtocolVersion, Publish, QoS,
    ReasonCode, Split, Subscribe, SubscribeFilters, SubscriptionFilter, SubscriptionOptions, decode,
    encode_subscribe_filters, split,
};
use dunlin_core::authenticate::NoMechanisms;
use dunlin_core::connection::Cause;
use dunlin_core::handshake::{ConnectRequest, Handshake, Next};
use dunlin_core::identity::{Identity, partition};
use dunlin_core::image::{BodyImage, Image, ShardImage};
use dunlin_core::journal::{Position, Record, Segment};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, Publication};
use dunlin_core::session::Place;
use dunlin_core::settings::Settings;
use dunlin_core::shard::{Holder, Output, ShardConfig, StoreState};
use dunlin_core::slots::Key;
use dunlin_core::{Shard, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const V5: ProtocolVersion = ProtocolVersion::V5;
const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// What a client receives, as far as anybody here looks at it.
#[derive(Debug, PartialEq)]
enum Received {
    ConnAck(ReasonCode),
    PubAck(PacketIdentifier),
    Publish(String),
    Other,
}

/// One shard, and the store as the test plays it.
struct World {
    shard: Shard,
    settings: Settings,
    /// Taken from the shard and not written.
    backlog: Vec<Record>,
    /// Written, and where.
    log: Vec<(Segment, Record)>,
    /// The log's end.
    segment: Segment,
    /// The bodies in the log, by location.
    bodies: HashMap<u64, Arc<ApplicationMessage>>,
    last_location: u64,
    written: Position,
    /// Bodies that are to be read.
    loads: Vec<(Holder, Vec<Place>)>,
    /// The end of a walk that is over.
    vacated: Option<Segment>,
    /// Connections that were closed, and why.
    closed: Vec<(Key, Cause)>,
}

impl World {
    fn new(settings: Settings) -> Self {
        let settings = Settings { durable: true, ..settings };
        Self {
            shard: Shard::new(ShardConfig::single(settings.clone())),
            settings,
            backlog: Vec::new(),
            log: Vec::new(),
            segment: Segment(1),
            bodies: HashMap::new(),
            last_location: 0,
            written: Position::default(),
            loads: Vec::new(),
            vacated: None,
            closed: Vec::new(),
        }
    }

    /// No memory for bodies: what waits keeps none that the store has.
    fn without_body_memory() -> Self {
        Self::new(Settings { body_memory_bytes: 0, ..Settings::default() })
    }

    fn take(&mut self) {
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
    fn commit(&mut self, count: usize) {
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

    fn commit_all(&mut self) {
        self.take();
        while !self.backlog.is_empty() {
            self.commit(self.backlog.len());
        }
    }

    /// The log comes to another segment.
    fn roll(&mut self, segment: Segment) {
        self.commit_all();
        self.segment = segment;
        self.shard.handle_durable(START, self.written, segment);
    }

    /// Reads the bodies that are to be read, if they are still there.
    fn answer_loads(&mut self) {
        let gauge = self.shard.memory_gauge().clone();
        for (holder, places) in std::mem::take(&mut self.loads) {
            let read = |place: &Place| self.bodies.get(&place.location).map(|body| copy(body, &gauge));
            let messages = places.iter().map(|place| (place.order, read(place))).collect();
            self.shard.handle_loaded(START, holder, messages);
            self.take();
        }
    }

    fn turn(&mut self) {
        self.shard.handle_timeout(START);
        self.take();
    }

    /// Lets the shard say again what stands before a segment, as long as it takes, and forgets what is there.
    fn vacate(&mut self, before: Segment) {
        self.shard.handle_vacate(before);
        self.finish_vacating(before);
    }

    fn finish_vacating(&mut self, before: Segment) {
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
    fn crash(&mut self) {
        let image = self.image();
        self.backlog.clear();
        self.loads.clear();
        self.written = Position::default();
        self.shard = Shard::new(ShardConfig::single(self.settings.clone()));
        self.shard.restore(START, image, START);
        self.shard.handle_durable(START, self.written, self.segment);
        self.commit_all();
    }

    fn image(&self) -> ShardImage {
        let mut image = Image::default();
        for (segment, record) in &self.log {
            image.apply(record.clone(), *segment);
        }
        image.split(1).pop().expect("one shard")
    }

    /// How many messages the store has for a client.
    fn owed(&self, client_identifier: &str) -> Option<usize> {
        let sessions = self.image().sessions;
        let mut clients = sessions.iter().map(|(_, client, session)| (client.as_str(), session));
        clients.find(|(client, _)| *client == client_identifier).map(|(_, session)| session.deliveries.len())
    }

    /// The groups that the store has, and what it has for them.
    fn groups(&self) -> Vec<(String, Vec<String>)> {
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
    fn connect(&mut self, connect: Connect<'_>) -> Key {
        let key = self.shard.handle_connect(START, request(&self.settings, connect));
        self.commit_all();
        let received = self.receive(key);
        assert_eq!(received.first(), Some(&Received::ConnAck(ReasonCode::Success)));
        assert_eq!(received.len(), 1, "what else comes has to be read first");
        key
    }

    /// Lets a client in whose Session goes on: what it is sent after CONNACK.
    fn connect_again(&mut self, connect: Connect<'_>) -> Vec<Received> {
        let key = self.shard.handle_connect(START, request(&self.settings, connect));
        self.commit_all();
        let mut received = self.receive(key);
        assert_eq!(received.remove(0), Received::ConnAck(ReasonCode::Success));
        received
    }

    fn lose(&mut self, key: Key) {
        self.shard.handle_lost(START, key);
        self.shard.remove(key);
        self.commit_all();
    }

    /// Lets a client with a durable Session subscribe and go.
    fn subscribe_and_lose(&mut self, client_identifier: &str, filter: &str) {
        let key = self.connect(durable(client_identifier));
        self.send(key, &subscribe(filter, QoS::AtLeastOnce));
        self.commit_all();
        self.lose(key);
    }

    /// Lets a client publish messages with QoS 1 whose payloads are their numbers, and the store write each.
    fn publish_numbers(&mut self, key: Key, count: u16) {
        for number in 1..=count {
            let payload = number.to_string();
            self.send(key, &publish("t", QoS::AtLeastOnce, number, payload.as_bytes()));
            self.commit_all();
        }
    }

    fn send(&mut self, key: Key, bytes: &[u8]) {
        let progress = self.shard.handle_input(START, key, bytes);
        assert_eq!(progress.consumed, bytes.len());
        self.take();
    }

    fn receive(&mut self, key: Key) -> Vec<Received> {
        receive(&mut self.shard, START, key)
    }
}

/// Two shards with mail between them, and a store of which they only hear how far it is.
struct Pair {
    shards: [Shard; 2],
    settings: Settings,
    now: Timestamp,
}

impl Pair {
    fn new() -> Self {
        let settings = Settings { durable: true, ..Settings::default() };
        let shard = |id| Shard::new(ShardConfig { id, shards: 2, ..ShardConfig::single(settings.clone()) });
        Self { shards: [shard(0), shard(1)], settings, now: START }
    }

    /// Carries the mail between the shards, while the store stands still.
    fn mail(&mut self) {
        for _ in 0..4 {
            for (from, to) in [(0, 1), (1, 0)] {
                while let Some(message) = self.shards[from].poll_peer(to as u16) {
                    self.shards[to].handle_peer(self.now, from as u16, message);
                }
                self.shards[to].handle_peer_batch_end(from as u16);
                while self.shards[to].poll_flush().is_some() {}
            }
        }
    }

    /// The store has everything that a shard has staged.
    fn store(&mut self, shard: usize) {
        while self.shards[shard].poll_record().is_some() {}
        let position = self.shards[shard].staged_position();
        self.shards[shard].handle_durable(self.now, position, Segment(1));
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            self.mail();
            self.store(0);
            self.store(1);
        }
    }

    fn connect(&mut self, shard: usize, connect: Connect<'_>) -> Key {
        let key = self.shards[shard].handle_connect(self.now, request(&self.settings, connect));
        self.settle();
        assert_eq!(self.receive(shard, key), [Received::ConnAck(ReasonCode::Success)]);
        key
    }

    fn subscribe(&mut self, shard: usize, key: Key, filter: &str, qos: QoS) {
        self.send(shard, key, &subscribe(filter, qos));
        self.settle();
        assert_eq!(self.receive(shard, key), [Received::Other], "SUBACK");
    }

    fn send(&mut self, shard: usize, key: Key, bytes: &[u8]) {
        let progress = self.shards[shard].handle_input(self.now, key, bytes);
        assert_eq!(progress.consumed, bytes.len());
    }

    fn receive(&mut self, shard: usize, key: Key) -> Vec<Received> {
        receive(&mut self.shards[shard], self.now, key)
    }
}

/// CONNECT of a client whose Session lasts for ever, and goes on if there is one.
fn durable(client_identifier: &str) -> Connect<'_> {
    Connect {
        version: V5,
        clean_start: false,
        keep_alive_s: 0,
        properties: ConnectProperties {
            session_expiry_interval_s: Some(u32::MAX),
            ..ConnectProperties::default()
        },
        client_identifier,
        will: None,
        user_name: None,
        password: None,
    }
}

/// CONNECT of a client whose Session ends with the connection.
fn passing(client_identifier: &str) -> Connect<'_> {
    let properties = ConnectProperties::default();
    Connect { clean_start: true, properties, ..durable(client_identifier) }
}

fn request(settings: &Settings, connect: Connect<'_>) -> ConnectRequest {
    let mut bytes = Vec::new();
    connect.encode(connect.version, &mut bytes);
    let mut handshake = Handshake::new(settings.maximum_packet_size_bytes);
    let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else { panic!("a whole packet") };
    assert!(matches!(handshake.handle_frame(frame, settings, &NoMechanisms, 1), Next::Verify));
    let Next::Accepted(request) = handshake.accept(Identity::default()) else { panic!("it is let in") };
    *request
}

fn subscribe(filter: &str, qos: QoS) -> Vec<u8> {
    let filter = SubscriptionFilter::parse(filter).expect("a Topic Filter");
    let options = SubscriptionOptions { maximum_qos: qos, ..SubscriptionOptions::default() };
    let filters = encode_subscribe_filters(&[(filter, options)]);
    let mut bytes = Vec::new();
    Subscribe {
        packet_identifier: identifier(1),
        subscription_identifier: None,
        user_properties: Default::default(),
        filters: SubscribeFilters::from_encoded(&filters),
    }
    .encode(V5, &mut bytes);
    bytes
}

/// PUBLISH; with QoS 0 it has no Packet Identifier.
fn publish(topic: &str, qos: QoS, number: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_identifier: (qos > QoS::AtMostOnce).then(|| identifier(number)),
        topic_alias: None,
        subscription_identifiers: Default::default(),
        properties: Default::default(),
        payload,
    }
    .encode(V5, &mut bytes);
    bytes
}

/// PUBLISH with QoS 1 and RETAIN.
fn publish_retained(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = publish(topic, QoS::AtLeastOnce, 1, payload);
    bytes[0] |= 1;
    bytes
}

/// PUBACK, PUBREC or PUBREL without a Reason Code.
fn acknowledge(packet_type: PacketType, number: u16) -> Vec<u8> {
    let flags = if packet_type == PacketType::PubRel { 2 } else { 0 };
    let [high, low] = number.to_be_bytes();
    vec![(packet_type as u8) << 4 | flags, 2, high, low]
}

fn identifier(number: u16) -> PacketIdentifier {
    PacketIdentifier::new(number).expect("not 0")
}

/// The network takes everything that waits for a connection.
fn receive(shard: &mut Shard, now: Timestamp, key: Key) -> Vec<Received> {
    let mut bytes = Vec::new();
    if let Some(outbox) = shard.outbox(key) {
        bytes = outbox.chunks().flatten().copied().collect();
        outbox.advance(bytes.len());
    }
    shard.handle_flushed(now, key);
    let mut received = Vec::new();
    let mut rest = &bytes[..];
    while let Ok(Split::Packet { frame, length }) = split(rest, u32::MAX) {
        received.push(match decode(frame, V5).expect("the Server keeps to the protocol") {
            Packet::ConnAck(packet) => Received::ConnAck(packet.reason_code),
            Packet::PubAck(packet) => Received::PubAck(packet.packet_identifier),
            Packet::Publish(packet) => {
                Received::Publish(String::from_utf8_lossy(packet.payload).into_owned())
            }
            _ => Received::Other,
        });
        rest = &rest[length..];
    }
    received
}

/// The publications with the payloads 1, 2, 3 and so on.
fn numbers(count: u16) -> Vec<Received> {
    (1..=count).map(|number| Received::Publish(number.to_string())).collect()
}

/// A message as somebody else has it who reads it from the store.
fn copy(message: &ApplicationMessage, gauge: &MemoryGauge) -> Arc<ApplicationMessage> {
    let mut publication = Publication::new(message.id, message.topic(), message.qos, message.retain, gauge);
    publication.payload = message.payload();
    let copy = publication.keep();
    copy.set_location(message.location());
    copy
}

/// A name whose home is this shard of two.
fn name_at_home_in(shard: u16, prefix: &str) -> String {
    let mut names = (0..).map(|number| format!("{prefix}{number}"));
    names.find(|name| partition(name, 2) == shard).expect("every other name")
}

#[test]
fn a_session_at_which_a_slice_of_the_walk_ends_is_said_again_to_its_end() {
    let mut world = World::new(Settings { vacating_slice: 8, ..Settings::default() });
    for number in 1..8 {
        let key = world.connect(durable(&format!("other {number}")));
        world.lose(key);
    }
    // One thing is left of the first slice when its turn comes, and five wait.
    world.subscribe_and_lose("last", "t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 5);
    world.roll(Segment(5));
    world.vacate(Segment(3));
    assert_eq!(world.owed("last"), Some(5));
}

#[test]
fn what_is_sent_while_the_walk_waits_for_its_body_is_said_again() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("subscriber", "t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 100);
    world.roll(Segment(5));
    world.shard.handle_vacate(Segment(3));
    world.turn();
    assert_eq!(world.loads.len(), 1, "the walk waits");
    let subscriber = world.connect(durable("subscriber"));
    world.answer_loads();
    assert_eq!(world.receive(subscriber), numbers(100));
    world.finish_vacating(Segment(3));
    assert_eq!(world.owed("subscriber"), Some(100), "nothing was acknowledged");
}

#[test]
fn the_name_of_a_group_that_was_restored_is_said_again() {
    let mut world = World::new(Settings::default());
    let member = world.connect(durable("member"));
    world.send(member, &subscribe("$share/g/t", QoS::AtLeastOnce));
    world.commit_all();
    let publisher = world.connect(passing("publisher"));
    world.send(publisher, &publish("t", QoS::AtLeastOnce, 1, b"old"));
    // The segment that goes has the name of the group, and none of what waits for it.
    world.roll(Segment(5));
    world.send(publisher, &publish("t", QoS::AtLeastOnce, 2, b"new"));
    world.commit_all();
    world.receive(member);
    world.send(member, &acknowledge(PacketType::PubAck, 1));
    world.lose(member);
    world.crash();
    world.vacate(Segment(3));
    assert_eq!(world.groups(), [("$share/g/t".to_owned(), vec!["new".to_owned()])]);
}

#[test]
fn a_body_that_is_not_yet_written_where_its_record_is_now_is_not_given_up() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("subscriber", "t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 60);
    world.roll(Segment(9));
    world.shard.handle_vacate(Segment(5));
    world.send(publisher, &publish("t", QoS::AtLeastOnce, 61, b"61"));
    let until_new = world.backlog.len();
    world.turn();
    world.answer_loads();
    world.turn();
    assert_eq!(world.vacated, Some(Segment(5)), "all is said again");
    // The new message is durable and lets all before it give up their bodies, but theirs are on their way.
    world.commit(until_new);
    world.finish_vacating(Segment(5));
    let subscriber = world.connect(durable("subscriber"));
    world.answer_loads();
    assert_eq!(world.receive(subscriber), numbers(61));
}

#[test]
fn the_place_of_a_message_that_a_member_has_is_given_to_no_other_after_a_restart() {
    let mut world = World::new(Settings::default());
    let member = world.connect(durable("member"));
    world.send(member, &subscribe("$share/g/t", QoS::ExactlyOnce));
    let publisher = world.connect(passing("publisher"));
    world.send(publisher, &publish("t", QoS::ExactlyOnce, 1, b"old"));
    world.commit_all();
    world.receive(member);
    world.send(member, &acknowledge(PacketType::PubRec, 1));
    world.commit_all();
    world.crash();
    let publisher = world.connect(passing("publisher"));
    world.send(publisher, &publish("t", QoS::ExactlyOnce, 2, b"new"));
    world.commit_all();
    assert_eq!(world.groups(), [("$share/g/t".to_owned(), vec!["new".to_owned()])]);
}

#[test]
fn qos_0_passes_between_shards_while_nothing_is_stored() {
    for state in [StoreState::Full, StoreState::Failed] {
        let mut pair = Pair::new();
        let (stored, live) = (name_at_home_in(1, "stored"), name_at_home_in(1, "live"));
        let stored = pair.connect(1, durable(&stored));
        pair.subscribe(1, stored, "stored", QoS::AtLeastOnce);
        let live = pair.connect(1, passing(&live));
        pair.subscribe(1, live, "live", QoS::AtMostOnce);
        let publisher = pair.connect(0, passing(&name_at_home_in(0, "publisher")));
        // This one will never be durable.
        pair.send(0, publisher, &publish("stored", QoS::AtLeastOnce, 1, b""));
        pair.mail();
        for shard in &mut pair.shards {
            shard.handle_store_state(pair.now, state);
        }
        // More than may be on its way between shards.
        let payload = "x".repeat(10_000);
        for _ in 0..1000 {
            pair.send(0, publisher, &publish("live", QoS::AtMostOnce, 0, payload.as_bytes()));
            pair.mail();
            assert_eq!(pair.receive(1, live), [Received::Publish(payload.clone())], "{state:?}");
        }
        assert!(!pair.shards[0].is_paused(publisher), "{state:?}");
    }
}

#[test]
fn a_retained_message_that_was_overtaken_counts_as_stored_when_the_later_one_is() {
    let mut pair = Pair::new();
    let topic = name_at_home_in(1, "topic");
    let early = pair.connect(0, passing(&name_at_home_in(0, "early")));
    let late = pair.connect(1, passing(&name_at_home_in(1, "late")));
    pair.send(0, early, &publish_retained(&topic, b"early"));
    pair.now = pair.now + Duration::from_micros(50);
    pair.send(1, late, &publish_retained(&topic, b"late"));
    pair.mail();
    assert_eq!(pair.receive(0, early), [], "nothing is durable anywhere");
    pair.store(1);
    pair.mail();
    assert_eq!(pair.receive(0, early), [Received::PubAck(identifier(1))]);
}

#[test]
fn with_nobody_connected_no_message_that_waits_keeps_its_body() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("subscriber", "t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 40);
    // The records in the log share the messages.
    world.log.clear();
    assert_eq!(world.shard.memory_gauge().bytes(), 0);
}

#[test]
fn what_was_loaded_for_a_client_that_came_and_went_gives_up_its_body_again() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("subscriber", "t");
    let publisher = world.connect(passing("publisher"));
    // More than is loaded at once.
    world.publish_numbers(publisher, 300);
    world.log.clear();
    let mut connect = durable("subscriber");
    connect.properties.receive_maximum = Some(1);
    let subscriber = world.connect(connect);
    world.answer_loads();
    assert_eq!(world.receive(subscriber), numbers(1), "it takes no more");
    let sent = ApplicationMessage::size_bytes_of("t1".len());
    assert!(world.shard.memory_gauge().bytes() > 100 * sent, "what comes next is there");
    world.lose(subscriber);
    world.log.clear();
    assert_eq!(world.shard.memory_gauge().bytes(), sent, "what is in flight stays");
}

#[test]
fn who_has_a_durable_session_is_refused_at_once_when_the_store_has_failed() {
    let passing_on = Connect { clean_start: false, ..passing("client") };
    let anew = Connect { clean_start: true, ..durable("client") };
    // spec(v5): [MQTT-3.2.2-7]
    for connect in [durable("client"), passing_on, anew] {
        let mut world = World::new(Settings::default());
        world.subscribe_and_lose("client", "t");
        world.shard.handle_store_state(START, StoreState::Failed);
        let key = world.shard.handle_connect(START, request(&world.settings, connect));
        world.take();
        assert_eq!(world.receive(key), [Received::ConnAck(ReasonCode::QuotaExceeded)], "{connect:?}");
        let closed = world.closed.iter().find(|(closed, _)| *closed == key).map(|(_, cause)| *cause);
        let is_refused =
            |cause| matches!(cause, Cause::Server { reason_code: ReasonCode::QuotaExceeded, .. });
        assert!(closed.is_some_and(is_refused), "{connect:?}: {closed:?}");
    }
}

/// PUBLISH with QoS 1 as 3.1.1 has it.
fn publish_v311(topic: &str, number: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x32, (topic.len() + 4 + payload.len()) as u8, 0, topic.len() as u8];
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(&[0, number]);
    bytes.extend_from_slice(payload);
    bytes
}

/// A 3.1.1 client without Keep Alive, and the bytes that wait for it.
fn connect_v311(world: &mut World) -> Key {
    let connect = Connect { version: ProtocolVersion::V3_1_1, ..passing("old") };
    let key = world.shard.handle_connect(START, request(&world.settings, connect));
    world.commit_all();
    assert_eq!(take_bytes(world, key), [0x20, 2, 0, 0]);
    key
}

fn take_bytes(world: &mut World, key: Key) -> Vec<u8> {
    let Some(outbox) = world.shard.outbox(key) else { return Vec::new() };
    let bytes: Vec<u8> = outbox.chunks().flatten().copied().collect();
    outbox.advance(bytes.len());
    world.shard.handle_flushed(START, key);
    bytes
}

#[test]
fn a_3_x_client_waits_for_room_in_the_store_and_is_heard_meanwhile() {
    let mut world = World::new(Settings::default());
    world.subscribe_and_lose("subscriber", "t");
    world.closed.clear();
    let old = connect_v311(&mut world);
    world.shard.handle_store_state(START, StoreState::Full);
    // spec(v3.1.1): [MQTT-4.3.2-2]
    world.send(old, &publish_v311("t", 1, b"1"));
    world.send(old, &[0xC0, 0]);
    assert_eq!(take_bytes(&mut world, old), [0xD0, 0], "PINGRESP and no PUBACK");
    // What need not be stored stays behind it.
    world.send(old, &publish_v311("elsewhere", 2, b""));
    assert_eq!(take_bytes(&mut world, old), []);
    world.shard.handle_store_state(START, StoreState::Writing);
    world.commit_all();
    assert_eq!(take_bytes(&mut world, old), [0x40, 2, 0, 1, 0x40, 2, 0, 2]);
    assert_eq!(world.owed("subscriber"), Some(1));
    assert_eq!(world.closed, []);
}

#[test]
fn what_is_too_much_to_wait_for_room_closes_the_connection_unacknowledged() {
    let mut world = World::new(Settings::default());
    world.subscribe_and_lose("subscriber", "t");
    world.closed.clear();
    for ending in [StoreState::Full, StoreState::Failed] {
        let old = connect_v311(&mut world);
        world.shard.handle_store_state(START, StoreState::Full);
        let mut count = 0;
        while world.closed.is_empty() {
            assert!(count < 1000, "it waits for ever");
            world.send(old, &publish_v311("t", (count % 20) as u8 + 1, &[b'x'; 100]));
            count += 1;
            if count == 5 && ending == StoreState::Failed {
                world.shard.handle_store_state(START, ending);
                world.take();
            }
        }
        assert!(count > 4);
        assert_eq!(take_bytes(&mut world, old), [], "no acknowledgement");
        world.shard.remove(old);
        world.closed.clear();
        world.shard.handle_store_state(START, StoreState::Writing);
        world.commit_all();
        assert_eq!(world.owed("subscriber"), Some(0), "nothing of it was taken in");
    }
}

#[test]
fn what_a_member_was_sent_before_it_left_its_group_is_its_own_after_a_restart() {
    let mut world = World::new(Settings::default());
    let member = world.connect(durable("member"));
    world.send(member, &subscribe("$share/g/t", QoS::AtLeastOnce));
    world.commit_all();
    world.receive(member);
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 2);
    assert_eq!(world.receive(member), numbers(2));
    world.send(member, &acknowledge(PacketType::PubAck, 1));
    // spec(v5): [MQTT-3.10.4-3]
    world.send(member, &unsubscribe("$share/g/t"));
    world.commit_all();
    world.crash();
    assert_eq!(world.groups(), []);
    let member = world.connect_again(durable("member"));
    assert_eq!(member, [Received::Publish("2".into())]);
}

fn unsubscribe(filter: &str) -> Vec<u8> {
    let mut bytes = vec![0xA2, (filter.len() + 5) as u8, 0, 2, 0, 0, filter.len() as u8];
    bytes.extend_from_slice(filter.as_bytes());
    bytes
}

#[test]
fn retained_messages_that_are_owed_when_the_process_ends_come_afterwards_and_once() {
    let mut world = World::new(Settings::default());
    let publisher = world.connect(passing("publisher"));
    for topic in ["1", "2", "3"] {
        world.send(publisher, &publish_retained(topic, topic.as_bytes()));
        world.commit_all();
    }
    let mut slow = durable("slow");
    slow.properties.receive_maximum = Some(1);
    let subscriber = world.connect(slow);
    world.send(subscriber, &subscribe("#", QoS::ExactlyOnce));
    world.commit_all();
    world.commit_all();
    assert_eq!(world.receive(subscriber), [Received::Other, Received::Publish("1".into())]);
    world.send(subscriber, &acknowledge(PacketType::PubAck, 1));
    world.commit_all();
    assert_eq!(world.receive(subscriber), [Received::Publish("2".into())]);
    // The store says all of it again.
    world.roll(Segment(2));
    world.vacate(Segment(2));
    world.crash();
    assert_eq!(
        world.connect_again(durable("slow")),
        [Received::Publish("2".into()), Received::Publish("3".into())]
    );
    world.crash();
    assert_eq!(
        world.connect_again(durable("slow")),
        [Received::Publish("2".into()), Received::Publish("3".into())]
    );
}

#[test]
fn retained_messages_are_owed_although_the_process_ended_when_suback_had_just_left() {
    let mut world = World::new(Settings::default());
    let publisher = world.connect(passing("publisher"));
    world.send(publisher, &publish_retained("1", b"1"));
    world.commit_all();
    let subscriber = world.connect(durable("subscriber"));
    world.send(subscriber, &subscribe("#", QoS::AtLeastOnce));
    world.commit(world.backlog.len());
    assert_eq!(world.receive(subscriber).first(), Some(&Received::Other), "SUBACK");
    world.crash();
    assert_eq!(world.connect_again(durable("subscriber")), numbers(1));
}

#[test]
fn what_waits_for_a_group_gives_up_its_bodies_and_is_read_back_in_order() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("member", "$share/g/t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 600);
    world.log.clear();
    assert_eq!(world.shard.memory_gauge().bytes(), 0, "nobody is there to take them");
    let mut slow = durable("member");
    slow.properties.receive_maximum = Some(10);
    let member = world.connect(slow);
    let mut received = Vec::new();
    for number in 1..=600 {
        world.answer_loads();
        received.extend(world.receive(member));
        world.send(member, &acknowledge(PacketType::PubAck, number));
    }
    assert_eq!(received, numbers(600));
}

#[test]
fn what_waits_for_a_group_is_said_again_wherever_it_is() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("member", "$share/g/t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 300);
    world.roll(Segment(5));
    world.shard.handle_vacate(Segment(3));
    world.turn();
    assert_eq!(world.loads.len(), 1, "the walk waits for the first of them");
    // A member takes some of these meanwhile and goes, so that they come back to where the walk has been.
    let member = world.connect(durable("member"));
    world.answer_loads();
    world.receive(member);
    world.turn();
    world.lose(member);
    world.finish_vacating(Segment(3));
    let waiting: Vec<String> = (1..=300).map(|number| number.to_string()).collect();
    assert_eq!(world.groups(), [("$share/g/t".to_owned(), waiting)]);
    world.crash();
    assert_eq!(world.connect_again(durable("member")).len(), 300);
}
