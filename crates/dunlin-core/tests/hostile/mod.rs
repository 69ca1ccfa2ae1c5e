//! A connection that sends whatever it likes, and two ordinary clients beside it.
//!
//! [`attack`] is a function of bytes: the first two choose how the attacker behaves, the rest is what it
//! sends. Whatever they are, nothing panics, the two others exchange their messages as if they were alone,
//! what the attacker makes the broker keep stays within the limits, and when it has gone nothing of it is
//! left. `tests/arbitrary_bytes.rs` calls it with bytes that proptest made up,
//! `fuzz/fuzz_targets/connection.rs` with bytes that libFuzzer bred.

use dunlin_codec::{
    Acknowledgement, Connect, ConnectProperties, Packet, PacketIdentifier, PacketType, ProtocolVersion,
    Publish, QoS, ReasonCode, RetainHandling, Split, Subscribe, SubscribeFilters, SubscriptionFilter,
    SubscriptionOptions, UserProperties, decode, encode_subscribe_filters, split,
};
use dunlin_core::Shard;
use dunlin_core::authenticate::no_mechanisms;
use dunlin_core::handshake::{Handshake, Next};
use dunlin_core::identity::Identity;
use dunlin_core::settings::{SessionExpiryInterval, Settings};
use dunlin_core::shard::{NextInput, Output, ShardConfig};
use dunlin_core::slots::Key;
use dunlin_core::time::Timestamp;
use std::collections::HashSet;
use std::time::Duration;

const PACKET_BYTES_MAX: u32 = 4096;
const OUTBOX_BYTES_MAX: usize = 4096;
const QUEUED_BYTES_MAX: usize = 32 * 1024;
const RETAINED_BYTES_MAX: usize = 64 * 1024;
const INFLIGHT_MAX: u16 = 8;
const SESSION_EXPIRY_MAX_S: u32 = 10;

/// Two outboxes, and the answers to one more packet.
const WAITING_BYTES_MAX: usize = 2 * OUTBOX_BYTES_MAX + 4 * PACKET_BYTES_MAX as usize;

/// Everything that may be kept: for each of the few Sessions a queue, exchanges and a Will; Retained Messages
/// with their overhead.
const KEPT_BYTES_MAX: usize = 8
    * (QUEUED_BYTES_MAX + (INFLIGHT_MAX as usize + 1) * (PACKET_BYTES_MAX as usize + 256))
    + 2 * RETAINED_BYTES_MAX;

fn settings() -> Settings {
    Settings {
        maximum_packet_size_bytes: PACKET_BYTES_MAX,
        receive_maximum: 8,
        inflight_max: INFLIGHT_MAX,
        queued_messages_max: 64,
        queued_bytes_max: QUEUED_BYTES_MAX,
        session_expiry_max: SessionExpiryInterval::After(SESSION_EXPIRY_MAX_S),
        subscriptions_max: 32,
        topic_levels_max: 16,
        retained_messages_max: 64,
        retained_bytes_max: RETAINED_BYTES_MAX,
        outbox_bytes_max: OUTBOX_BYTES_MAX,
        ..Settings::default()
    }
}

/// A shard, the time, and who is to be removed.
struct Broker {
    shard: Shard,
    settings: Settings,
    now: Timestamp,
    paused: HashSet<Key>,
    closed: HashSet<Key>,
}

impl Broker {
    fn new() -> Self {
        Self {
            shard: Shard::new(ShardConfig::single(settings())),
            settings: settings(),
            now: Timestamp::from_micros(1_700_000_000_000_000),
            paused: HashSet::new(),
            closed: HashSet::new(),
        }
    }

    /// Takes the first packet of a connection. Nothing, if it is refused or not whole.
    fn accept(&mut self, input: &[u8]) -> Option<(Key, usize)> {
        let mut handshake = Handshake::new(self.settings.maximum_packet_size_bytes);
        let (frame, length) = match split(input, self.settings.maximum_packet_size_bytes) {
            Ok(Split::Packet { frame, length }) => (frame, length),
            Ok(Split::Incomplete { .. }) => return None,
            Err(error) => {
                assert!(matches!(handshake.handle_malformed(error), Next::Refused(..)));
                return None;
            }
        };
        let next = match handshake.handle_frame(frame, &self.settings, &no_mechanisms(), 1) {
            Next::Verify => handshake.accept(Identity::default()),
            other => other,
        };
        match next {
            Next::Accepted(request) => {
                let key = self.shard.handle_connect(self.now, *request);
                self.carry_out();
                Some((key, length))
            }
            _ => None,
        }
    }

    /// Hands in bytes until no more are taken; says how many were.
    fn feed(&mut self, key: Key, input: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let progress = self.shard.handle_input(self.now, key, &input[used..]);
            assert!(used + progress.consumed <= input.len());
            used += progress.consumed;
            if progress.next == NextInput::Pause {
                self.paused.insert(key);
            }
            self.carry_out();
            match progress.next {
                NextInput::Yield => continue,
                NextInput::Pause if !self.paused.contains(&key) => continue,
                NextInput::Pause | NextInput::Read { .. } | NextInput::Close => return used,
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(key) = self.shard.poll_flush() {
            let waiting = self.shard.outbox(key).map_or(0, |outbox| outbox.len());
            assert!(waiting <= WAITING_BYTES_MAX, "{waiting} bytes wait for one client");
        }
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Resume { connection } => drop(self.paused.remove(&connection)),
                Output::Close { connection, .. } => drop(self.closed.insert(connection)),
                Output::Refused { .. }
                | Output::Traced { .. }
                | Output::Vacated { .. }
                | Output::Load { .. } => {}
            }
        }
        let kept = self.shard.memory_gauge().bytes();
        assert!(kept <= KEPT_BYTES_MAX, "{kept} bytes of messages are kept");
    }

    /// The client reads everything.
    fn read(&mut self, key: Key) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(outbox) = self.shard.outbox(key).filter(|outbox| !outbox.is_empty()) {
            bytes.extend(outbox.chunks().flatten());
            outbox.advance(usize::MAX);
            self.shard.handle_flushed(self.now, key);
            self.carry_out();
        }
        bytes
    }

    /// The connection ends, whoever ended it.
    fn end(&mut self, key: Key) {
        self.shard.handle_lost(self.now, key);
        self.carry_out();
        self.shard.remove(key);
        self.paused.remove(&key);
        self.closed.remove(&key);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        while self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
            self.shard.handle_timeout(self.now);
            self.carry_out();
        }
    }
}

fn connect(client_identifier: &str, version: ProtocolVersion, expiry_s: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let properties =
        ConnectProperties { session_expiry_interval_s: Some(expiry_s), ..ConnectProperties::default() };
    let is_v5 = version == ProtocolVersion::V5;
    Connect {
        version,
        clean_start: expiry_s == 0,
        keep_alive_s: 0,
        properties: if is_v5 { properties } else { ConnectProperties::default() },
        client_identifier,
        will: None,
        user_name: None,
        password: None,
    }
    .encode(version, &mut bytes);
    bytes
}

/// The two clients that want nothing but to exchange their messages.
struct Bystanders {
    publisher: Key,
    subscriber: Key,
    sent: u8,
    received: Vec<u8>,
}

impl Bystanders {
    fn new(broker: &mut Broker) -> Self {
        let version = ProtocolVersion::V5;
        let (publisher, _) = broker.accept(&connect("bystander: publisher", version, 0)).unwrap();
        let (subscriber, _) = broker.accept(&connect("bystander: subscriber", version, 0)).unwrap();
        let filter = SubscriptionFilter::parse("bystanders/only").unwrap();
        let options = SubscriptionOptions {
            maximum_qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::DoNotSend,
        };
        let encoded = encode_subscribe_filters(&[(filter, options)]);
        let mut bytes = Vec::new();
        Subscribe {
            packet_identifier: PacketIdentifier::new(1).unwrap(),
            subscription_identifier: None,
            user_properties: UserProperties::default(),
            filters: SubscribeFilters::from_encoded(&encoded),
        }
        .encode(version, &mut bytes);
        assert_eq!(broker.feed(subscriber, &bytes), bytes.len());
        Self { publisher, subscriber, sent: 0, received: Vec::new() }
    }

    /// One message, which must arrive.
    fn exchange(&mut self, broker: &mut Broker) {
        self.sent += 1;
        let payload = [b'#', self.sent];
        let packet_identifier = PacketIdentifier::new(u16::from(self.sent));
        let qos = QoS::AtLeastOnce;
        let topic = "bystanders/only";
        let mut bytes = Vec::new();
        Publish { qos, topic, packet_identifier, payload: &payload, ..Publish::default() }
            .encode(ProtocolVersion::V5, &mut bytes);
        assert_eq!(broker.feed(self.publisher, &bytes), bytes.len(), "the publisher is held up");
        self.read(broker);
        assert_eq!(self.received.last(), Some(&self.sent));
        assert!(self.received.is_sorted_by(|one, other| one < other), "{:?}", self.received);
        let answer = broker.read(self.publisher);
        assert_eq!(answer.first(), Some(&if self.sent == 1 { 0x20 } else { 0x40 }), "{answer:?}");
    }

    fn read(&mut self, broker: &mut Broker) {
        loop {
            let bytes = broker.read(self.subscriber);
            let mut start = 0;
            let mut answers = Vec::new();
            while let Split::Packet { frame, length } = split(&bytes[start..], u32::MAX).unwrap() {
                start += length;
                if let Packet::Publish(publish) = decode(frame, ProtocolVersion::V5).unwrap() {
                    if let ([b'#', number], QoS::AtLeastOnce) = (publish.payload, publish.qos)
                        && publish.topic == "bystanders/only"
                    {
                        self.received.push(*number);
                    }
                    if let Some(identifier) = publish.packet_identifier {
                        Acknowledgement::new(identifier, ReasonCode::Success).encode(
                            PacketType::PubAck,
                            ProtocolVersion::V5,
                            &mut answers,
                        );
                    }
                }
            }
            if answers.is_empty() {
                return;
            }
            assert_eq!(broker.feed(self.subscriber, &answers), answers.len());
        }
    }
}

/// Lets the attacker send `bytes`. The first two say how it begins, whether it reads, and in what pieces it
/// sends.
pub fn attack(bytes: &[u8]) {
    let [manner, piece, bytes @ ..] = bytes else { return };
    let mut broker = Broker::new();
    let mut bystanders = Bystanders::new(&mut broker);
    bystanders.exchange(&mut broker);
    let version =
        [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5][usize::from(manner % 3)];
    let (is_polite, reads, comes_back) = (manner & 0x10 != 0, manner & 0x20 != 0, manner & 0x40 != 0);
    let mut rest = bytes;
    for _ in 0..=usize::from(comes_back) {
        // Polite means a good CONNECT first, so that what follows comes further.
        let begun = if is_polite {
            broker.accept(&connect("attacker", version, SESSION_EXPIRY_MAX_S)).map(|(key, _)| (key, 0))
        } else {
            broker.accept(rest)
        };
        let Some((key, length)) = begun else { break };
        rest = rest.get(length..).unwrap_or_default();
        rest = send(&mut broker, key, rest, usize::from(*piece).max(1), reads);
        bystanders.exchange(&mut broker);
        broker.pass(Duration::from_millis(u64::from(*piece) * 40));
        if reads {
            broker.read(key);
        }
        broker.end(key);
        bystanders.exchange(&mut broker);
    }
    broker.pass(Duration::from_secs(3 * u64::from(SESSION_EXPIRY_MAX_S)));
    bystanders.exchange(&mut broker);
    assert_eq!(broker.shard.connections_count(), 2);
    assert_eq!(broker.shard.sessions_count(), 2);
    assert_eq!(broker.shard.subscriptions_count(), 1);
    assert!(broker.shard.memory_gauge().bytes() <= 2 * RETAINED_BYTES_MAX);
}

/// Sends in pieces until the broker has closed, or takes no more; returns what it did not take.
fn send<'a>(broker: &mut Broker, key: Key, bytes: &'a [u8], piece: usize, reads: bool) -> &'a [u8] {
    let (mut used, mut arrived) = (0, 0);
    while !broker.closed.contains(&key) {
        arrived = (arrived + piece).min(bytes.len());
        used += broker.feed(key, &bytes[used..arrived]);
        if reads {
            broker.read(key);
        }
        if broker.paused.contains(&key) {
            // A slow consumer's publishers wait for its grace; who does not read waits for ever.
            broker.pass(broker.settings.slow_consumer_grace);
            if broker.paused.contains(&key) {
                break;
            }
        } else if arrived == bytes.len() {
            break;
        }
    }
    bytes.get(used..).unwrap_or_default()
}
