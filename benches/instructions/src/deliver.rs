//! A message's whole way through a shard: from the bytes a publisher sent to those each subscriber gets, with
//! all acknowledgements, until nobody has anything to say.
//!
//! What the clients do here counts as well; it is little, for they look at nothing but the packet type and the
//! Packet Identifier.

use super::Case;
use dunlin_codec::{
    Connect, ConnectProperties, PacketIdentifier, ProtocolVersion, Publish, QoS, Split, Subscribe,
    SubscribeFilters, SubscriptionFilter, SubscriptionOptions, UserProperties, encode_subscribe_filters,
    split,
};
use dunlin_core::authenticate::no_mechanisms;
use dunlin_core::handshake::{Handshake, Next};
use dunlin_core::identity::Identity;
use dunlin_core::settings::Settings;
use dunlin_core::shard::ShardConfig;
use dunlin_core::slots::Key;
use dunlin_core::{Shard, Timestamp};

const MESSAGES: u16 = 100;
const TOPIC: &str = "building/7/sensor/000123";
const VERSION: ProtocolVersion = ProtocolVersion::V3_1_1;
const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

pub fn cases() -> Vec<Case> {
    let case = |name, prepare| Case { name, operations: u32::from(MESSAGES), prepare };
    vec![
        case("deliver, QoS 0, to 1", || delivering(QoS::AtMostOnce, 1)),
        case("deliver, QoS 0, to 100", || delivering(QoS::AtMostOnce, 100)),
        case("deliver, QoS 1, to 1", || delivering(QoS::AtLeastOnce, 1)),
        case("deliver, QoS 2, to 1", || delivering(QoS::ExactlyOnce, 1)),
    ]
}

fn delivering(qos: QoS, subscribers: usize) -> Box<dyn FnMut()> {
    let mut broker = Broker { shard: Shard::new(ShardConfig::single(Settings::default())), received: 0 };
    for number in 0..subscribers {
        let subscriber = broker.connect(&format!("subscriber-{number}"));
        broker.send(subscriber, &subscribe(qos));
    }
    let publisher = broker.connect("publisher");
    let messages = publish_all(qos);
    Box::new(move || {
        broker.received = 0;
        broker.send(publisher, &messages);
        assert_eq!(broker.received, usize::from(MESSAGES) * subscribers);
    })
}

/// A shard, and clients that acknowledge what they get.
struct Broker {
    shard: Shard,
    /// PUBLISH packets that clients got.
    received: usize,
}

impl Broker {
    fn connect(&mut self, client_identifier: &str) -> Key {
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
        let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else { panic!("a whole packet") };
        let mut handshake = Handshake::new(u32::MAX);
        let settings = self.shard.settings();
        assert!(matches!(handshake.handle_frame(frame, &settings, &no_mechanisms(), 1), Next::Verify));
        let Next::Accepted(request) = handshake.accept(Identity::default()) else { panic!("it is let in") };
        let key = self.shard.handle_connect(NOW, *request);
        self.flush();
        key
    }

    /// Hands in what a client sends, then what clients answer to that, until all is said.
    fn send(&mut self, client: Key, bytes: &[u8]) {
        let progress = self.shard.handle_input(NOW, client, bytes);
        assert_eq!(progress.consumed, bytes.len());
        let mut answers = self.flush();
        while let Some((client, bytes)) = answers.pop() {
            let progress = self.shard.handle_input(NOW, client, &bytes);
            assert_eq!(progress.consumed, bytes.len());
            answers.extend(self.flush());
        }
    }

    /// The network takes what waits; what the clients have to say to it.
    fn flush(&mut self) -> Vec<(Key, Vec<u8>)> {
        let mut answers = Vec::new();
        while let Some(client) = self.shard.poll_flush() {
            let Some(outbox) = self.shard.outbox(client) else { continue };
            let mut answer = Vec::new();
            for chunk in outbox.chunks() {
                self.received += acknowledge(chunk, &mut answer);
            }
            outbox.advance(usize::MAX);
            self.shard.handle_flushed(NOW, client);
            if !answer.is_empty() {
                answers.push((client, answer));
            }
        }
        assert_eq!(self.shard.poll_output(), None, "nobody is closed and nobody is held up");
        answers
    }
}

/// Answers whole packets of less than 130 bytes; how many PUBLISH were among them.
fn acknowledge(mut packets: &[u8], answer: &mut Vec<u8>) -> usize {
    let mut count = 0;
    while let [first, length, rest @ ..] = packets {
        let (body, next) = rest.split_at(usize::from(*length));
        let mut reply = |head: u8, at: usize| answer.extend_from_slice(&[head, 2, body[at], body[at + 1]]);
        match first {
            0x30 => count += 1,
            0x32 | 0x34 => {
                count += 1;
                // PUBACK or PUBREC.
                reply(if *first == 0x32 { 0x40 } else { 0x50 }, 2 + TOPIC.len());
            }
            // PUBREC, PUBREL.
            0x50 => reply(0x62, 0),
            0x62 => reply(0x70, 0),
            _ => {}
        }
        packets = next;
    }
    count
}

fn subscribe(maximum_qos: QoS) -> Vec<u8> {
    let filter = SubscriptionFilter::parse(TOPIC).expect("a Topic Filter");
    let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
    let filters = encode_subscribe_filters(&[(filter, options)]);
    let mut bytes = Vec::new();
    Subscribe {
        packet_identifier: PacketIdentifier::new(1).expect("not 0"),
        subscription_identifier: None,
        user_properties: UserProperties::default(),
        filters: SubscribeFilters::from_encoded(&filters),
    }
    .encode(VERSION, &mut bytes);
    bytes
}

fn publish_all(qos: QoS) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 1..=MESSAGES {
        let packet_identifier = if qos == QoS::AtMostOnce { None } else { PacketIdentifier::new(number) };
        Publish { qos, topic: TOPIC, packet_identifier, payload: &[0x5A; 64], ..Publish::default() }
            .encode(VERSION, &mut bytes);
    }
    bytes
}
