//! A subscriber that stops reading, or reads slowly, at each QoS: what it costs the others, and the broker.
//!
//! Time is virtual: a publisher that is held back waits until the shard lets it go on, and how long that took is
//! known to the microsecond.

use dunlin_codec::{
    Acknowledgement, Connect, ConnectProperties, Packet, PacketIdentifier, PacketType, ProtocolVersion,
    Publish, QoS, ReasonCode, Split, Subscribe, SubscribeFilters, SubscriptionFilter, SubscriptionOptions,
    UserProperties, decode, encode_subscribe_filters, split,
};
use dunlin_core::authenticate::no_mechanisms;
use dunlin_core::handshake::{Handshake, Next};
use dunlin_core::identity::Identity;
use dunlin_core::settings::Settings;
use dunlin_core::shard::{DropReason, NextInput, Output, ShardConfig};
use dunlin_core::slots::Key;
use dunlin_core::{Shard, Timestamp};
use std::time::Duration;

const VERSION: ProtocolVersion = ProtocolVersion::V5;
const ALL_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

const PAYLOAD_BYTES: usize = 1_000;
/// More than the frame of a message has, and more than what is kept beside its payload.
const MESSAGE_BYTES_MAX: usize = PAYLOAD_BYTES + 300;
const OUTBOX_BYTES_MAX: usize = 64 * 1024;
const QUEUED_MESSAGES_MAX: usize = 200;
const INFLIGHT_MAX: u16 = 20;
/// What may be kept for one subscriber: its queue, and what it has not acknowledged.
const KEPT_BYTES_MAX: usize = (QUEUED_MESSAGES_MAX + INFLIGHT_MAX as usize + 1) * MESSAGE_BYTES_MAX;
const MESSAGES: u32 = 3_000;
/// How often a slow subscriber reads, and who waits looks again.
const STEP: Duration = Duration::from_millis(10);

fn settings() -> Settings {
    Settings {
        outbox_bytes_max: OUTBOX_BYTES_MAX,
        queued_messages_max: QUEUED_MESSAGES_MAX,
        inflight_max: INFLIGHT_MAX,
        ..Settings::default()
    }
}

/// A broker, the clients that read, and how long the publisher was held back.
struct World {
    shard: Shard,
    now: Timestamp,
    publisher: Key,
    is_held: bool,
    /// How long it was held back, all in all.
    held_for: Duration,
    /// Messages that a client takes, with what it has received.
    subscribers: Vec<Subscriber>,
    kept_before: usize,
    kept_most: usize,
}

struct Subscriber {
    key: Key,
    /// How many bytes its network takes in a step.
    bytes_a_step: usize,
    /// What was taken and is no whole packet yet.
    unread: Vec<u8>,
    received: Vec<u32>,
    outbox_most: usize,
}

impl World {
    /// A publisher, and subscribers to its topic at a QoS, of which each takes so many bytes in a step.
    fn new(qos: QoS, bytes_a_step: &[usize]) -> Self {
        let mut shard = Shard::new(ShardConfig::single(settings()));
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let publisher = connect(&mut shard, now, "publisher");
        let mut subscribers = Vec::new();
        for (&bytes_a_step, number) in bytes_a_step.iter().zip(0..) {
            let key = connect(&mut shard, now, &format!("subscriber {number}"));
            shard.handle_input(now, key, &subscribe(qos));
            let (unread, received) = (Vec::new(), Vec::new());
            subscribers.push(Subscriber { key, bytes_a_step, unread, received, outbox_most: 0 });
        }
        let kept_before = shard.memory_gauge().bytes();
        let (is_held, held_for) = (false, Duration::ZERO);
        Self { shard, now, publisher, is_held, held_for, subscribers, kept_before, kept_most: 0 }
    }

    /// Publishes all messages, one in each millisecond or as fast as the publisher is read.
    fn publish_all(&mut self, qos: QoS, pause: Duration) {
        for number in 0..MESSAGES {
            let mut payload = vec![0; PAYLOAD_BYTES];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            let packet_identifier = match qos {
                QoS::AtMostOnce => None,
                _ => PacketIdentifier::new((number % 1_000 + 1) as u16),
            };
            let mut bytes = Vec::new();
            Publish { qos, topic: "t", packet_identifier, payload: &payload, ..Publish::default() }
                .encode(VERSION, &mut bytes);
            self.send(bytes);
            for identifier in self.answers_to_publisher() {
                let mut release = Vec::new();
                let release_it = Acknowledgement::new(identifier, ReasonCode::Success);
                release_it.encode(PacketType::PubRel, VERSION, &mut release);
                self.send(release);
            }
            self.answers_to_publisher();
            self.pass(pause);
        }
    }

    /// Hands in what the publisher sends. While it is held back, time passes and subscribers read.
    fn send(&mut self, bytes: Vec<u8>) {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let progress = self.shard.handle_input(self.now, self.publisher, rest);
            rest = &rest[progress.consumed..];
            self.is_held |= progress.next == NextInput::Pause;
            assert_ne!(progress.next, NextInput::Close);
            self.carry_out();
            while self.is_held {
                self.pass(STEP);
                self.held_for += STEP;
                self.read_all();
                assert!(self.held_for < Duration::from_secs(60), "the publisher is never let go");
            }
        }
        for number in 0..self.subscribers.len() {
            if self.subscribers[number].bytes_a_step == usize::MAX {
                self.read(number);
            }
        }
    }

    /// The packet identifiers of the publisher's PUBRECs.
    fn answers_to_publisher(&mut self) -> Vec<PacketIdentifier> {
        let bytes = self.take(self.publisher, usize::MAX);
        let packets = packets(&bytes).0;
        packets
            .into_iter()
            .filter_map(
                |packet| if let Packet::PubRec(rec) = packet { Some(rec.packet_identifier) } else { None },
            )
            .collect()
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.shard.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.shard.handle_timeout(self.now);
        }
        self.now = end;
        self.carry_out();
    }

    fn carry_out(&mut self) {
        // What is written and when is up to the readers here.
        while self.shard.poll_flush().is_some() {}
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Resume { connection } if connection == self.publisher => self.is_held = false,
                other => panic!("{other:?}"),
            }
        }
        self.kept_most = self.kept_most.max(self.shard.memory_gauge().bytes() - self.kept_before);
        for subscriber in &mut self.subscribers {
            let waiting = self.shard.outbox(subscriber.key).map_or(0, |outbox| outbox.len());
            subscriber.outbox_most = subscriber.outbox_most.max(waiting);
        }
    }

    fn read_all(&mut self) {
        (0..self.subscribers.len()).for_each(|number| self.read(number));
    }

    /// A subscriber reads what its network takes in a step, and acknowledges.
    fn read(&mut self, number: usize) {
        let Subscriber { key, bytes_a_step, .. } = self.subscribers[number];
        let bytes = self.take(key, bytes_a_step);
        let subscriber = &mut self.subscribers[number];
        subscriber.unread.extend(bytes);
        let (found, length) = packets(&subscriber.unread);
        let mut answers = Vec::new();
        for packet in found {
            let (identifier, answer) = match packet {
                Packet::Publish(publish) => {
                    let number = publish.payload.first_chunk().expect("a number");
                    subscriber.received.push(u32::from_be_bytes(*number));
                    let answer = match publish.qos {
                        QoS::ExactlyOnce => PacketType::PubRec,
                        _ => PacketType::PubAck,
                    };
                    (publish.packet_identifier, answer)
                }
                Packet::PubRel(release) => (Some(release.packet_identifier), PacketType::PubComp),
                Packet::SubAck(_) | Packet::ConnAck(_) => (None, PacketType::PubAck),
                other => panic!("{other:?}"),
            };
            if let Some(identifier) = identifier {
                Acknowledgement::new(identifier, ReasonCode::Success).encode(answer, VERSION, &mut answers);
            }
        }
        subscriber.unread.drain(..length);
        if !answers.is_empty() {
            let progress = self.shard.handle_input(self.now, key, &answers);
            assert_eq!(progress.consumed, answers.len());
            self.carry_out();
        }
    }

    fn take(&mut self, key: Key, count: usize) -> Vec<u8> {
        let Some(outbox) = self.shard.outbox(key) else { return Vec::new() };
        let bytes: Vec<_> = outbox.chunks().flatten().copied().take(count).collect();
        outbox.advance(bytes.len());
        if !bytes.is_empty() {
            self.shard.handle_flushed(self.now, key);
            self.carry_out();
        }
        bytes
    }

    /// All subscribers read whatever there is for them.
    fn let_all_read(&mut self) {
        for number in 0..self.subscribers.len() {
            self.subscribers[number].bytes_a_step = usize::MAX;
            let key = self.subscribers[number].key;
            while self.shard.outbox(key).is_some_and(|outbox| !outbox.is_empty()) {
                self.read(number);
            }
        }
    }

    /// Messages that were dropped for `reason`, and for all others.
    fn dropped(&self, reason: DropReason) -> (u64, u64) {
        let counters = self.shard.counters();
        let all: u64 = DropReason::ALL.iter().map(|&reason| counters.dropped_for(reason)).sum();
        let for_it = counters.dropped_for(reason);
        (for_it, all - for_it)
    }
}

fn connect(shard: &mut Shard, now: Timestamp, client_identifier: &str) -> Key {
    let mut bytes = Vec::new();
    Connect {
        version: VERSION,
        clean_start: true,
        keep_alive_s: 0,
        properties: ConnectProperties::default(),
        client_identifier,
        will: None,
        user_name: None,
        password: None,
    }
    .encode(VERSION, &mut bytes);
    let settings = settings();
    let mut handshake = Handshake::new(settings.maximum_packet_size_bytes);
    let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else { panic!("a whole packet") };
    assert!(matches!(handshake.handle_frame(frame, &settings, &no_mechanisms(), 1), Next::Verify));
    let Next::Accepted(request) = handshake.accept(Identity::default()) else { panic!("it is let in") };
    shard.handle_connect(now, *request)
}

fn subscribe(qos: QoS) -> Vec<u8> {
    let filter = SubscriptionFilter::parse("t").unwrap();
    let encoded = encode_subscribe_filters(&[(filter, SubscriptionOptions::with_qos(qos))]);
    let mut bytes = Vec::new();
    Subscribe {
        packet_identifier: PacketIdentifier::new(1).unwrap(),
        subscription_identifier: None,
        user_properties: UserProperties::default(),
        filters: SubscribeFilters::from_encoded(&encoded),
    }
    .encode(VERSION, &mut bytes);
    bytes
}

/// The whole packets at the front of some bytes, and how many bytes they are.
fn packets(bytes: &[u8]) -> (Vec<Packet<'_>>, usize) {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Ok(Split::Packet { frame, length }) = split(&bytes[at..], u32::MAX) {
        found.push(decode(frame, VERSION).expect("the broker sends valid packets"));
        at += length;
    }
    (found, at)
}

fn all_messages() -> Vec<u32> {
    (0..MESSAGES).collect()
}

#[test]
fn a_subscriber_that_stops_reading_costs_others_one_grace_and_the_broker_its_limits() {
    for qos in ALL_QOS {
        let mut world = World::new(qos, &[usize::MAX, 0]);
        world.publish_all(qos, Duration::from_millis(1));

        assert_eq!(
            world.subscribers[0].received,
            all_messages(),
            "{qos:?}: the one beside it gets everything"
        );
        let grace = settings().slow_consumer_grace;
        assert!(world.held_for > Duration::ZERO && world.held_for <= grace, "{qos:?}: {:?}", world.held_for);
        let outbox_most = world.subscribers[1].outbox_most;
        assert!(outbox_most <= 2 * OUTBOX_BYTES_MAX + MESSAGE_BYTES_MAX, "{qos:?}: {outbox_most}");
        assert!(world.kept_most <= KEPT_BYTES_MAX, "{qos:?}: {} bytes are kept", world.kept_most);

        let reason = if qos == QoS::AtMostOnce { DropReason::SlowConsumer } else { DropReason::QueueFull };
        let (dropped, for_other_reasons) = world.dropped(reason);
        assert_eq!(for_other_reasons, 0, "{qos:?}");
        world.let_all_read();
        let received = &world.subscribers[1].received;
        assert_eq!(
            received.len() as u64 + dropped,
            u64::from(MESSAGES),
            "{qos:?}: each is received or counted"
        );
        assert!(received.is_sorted_by(|one, other| one < other), "{qos:?}");
        assert_eq!(world.dropped(reason), (dropped, 0), "{qos:?}: none of what had waited");
    }
}

#[test]
fn many_subscribers_that_stop_together_share_one_grace() {
    for qos in ALL_QOS {
        let mut world = World::new(qos, &[usize::MAX, 0, 0, 0, 0, 0, 0, 0, 0]);
        world.publish_all(qos, Duration::from_millis(1));
        assert_eq!(world.subscribers[0].received, all_messages(), "{qos:?}");
        // The last to be waited for can be one step behind the first.
        let longest = settings().slow_consumer_grace + STEP;
        assert!(world.held_for <= longest, "{qos:?}: {:?}", world.held_for);
    }
}

#[test]
fn a_subscriber_that_reads_again_is_waited_for_again() {
    for qos in ALL_QOS {
        let mut world = World::new(qos, &[0]);
        for round in 1..=3 {
            world.publish_all(qos, Duration::from_millis(1));
            let grace = settings().slow_consumer_grace;
            let (least, most) = (grace * (round - 1), grace * round);
            assert!(world.held_for > least && world.held_for <= most, "{qos:?}: {:?}", world.held_for);
            world.let_all_read();
            world.subscribers[0].bytes_a_step = 0;
        }
    }
}

#[test]
fn a_publisher_that_outruns_its_subscriber_is_slowed_to_its_pace_and_nothing_is_dropped() {
    for qos in ALL_QOS {
        let mut world = World::new(qos, &[OUTBOX_BYTES_MAX / 4]);
        world.publish_all(qos, Duration::ZERO);
        assert!(world.held_for >= Duration::from_secs(1), "{qos:?}: {:?}", world.held_for);
        let outbox_most = world.subscribers[0].outbox_most;
        // One message fills it, and the next one makes the publisher wait.
        assert!(outbox_most <= OUTBOX_BYTES_MAX + 2 * MESSAGE_BYTES_MAX, "{qos:?}: {outbox_most}");
        assert!(world.kept_most <= KEPT_BYTES_MAX, "{qos:?}: {} bytes are kept", world.kept_most);
        world.let_all_read();
        assert_eq!(world.subscribers[0].received, all_messages(), "{qos:?}");
        assert_eq!(world.dropped(DropReason::SlowConsumer), (0, 0), "{qos:?}");
    }
}
