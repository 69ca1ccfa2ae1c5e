//! What clients send and receive, as bytes.

use dunlin_codec::{
    Connect, ConnectProperties, Packet, PacketIdentifier, PacketType, ProtocolVersion, Publish, QoS,
    ReasonCode, Split, Subscribe, SubscribeFilters, SubscriptionFilter, SubscriptionOptions, decode,
    encode_subscribe_filters, split,
};
use dunlin_core::authenticate::no_mechanisms;
use dunlin_core::handshake::{ConnectRequest, Handshake, Next};
use dunlin_core::identity::{Identity, partition};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, Publication};
use dunlin_core::settings::Settings;
use dunlin_core::slots::Key;
use dunlin_core::{Shard, Timestamp};

pub const V5: ProtocolVersion = ProtocolVersion::V5;
pub const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// What a client receives, as far as anybody here looks at it.
#[derive(Debug, PartialEq)]
pub enum Received {
    ConnAck(ReasonCode),
    PubAck(PacketIdentifier),
    Publish(String),
    Other,
}

/// CONNECT of a client whose Session lasts for ever, and goes on if there is one.
pub fn durable(client_identifier: &str) -> Connect<'_> {
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
pub fn passing(client_identifier: &str) -> Connect<'_> {
    let properties = ConnectProperties::default();
    Connect { clean_start: true, properties, ..durable(client_identifier) }
}

/// Lets it in as who it says it is.
pub fn request(settings: &Settings, connect: Connect<'_>) -> ConnectRequest {
    let mut bytes = Vec::new();
    connect.encode(connect.version, &mut bytes);
    let mut handshake = Handshake::new(settings.maximum_packet_size_bytes);
    let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else { panic!("a whole packet") };
    assert!(matches!(handshake.handle_frame(frame, settings, &no_mechanisms(), 1), Next::Verify));
    let user_name = connect.user_name.map(Into::into);
    let identity = Identity { user_name, ..Identity::default() };
    let Next::Accepted(request) = handshake.accept(identity) else { panic!("it is let in") };
    *request
}

pub fn subscribe(filter: &str, qos: QoS) -> Vec<u8> {
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

pub fn unsubscribe(filter: &str) -> Vec<u8> {
    let mut bytes = vec![0xA2, (filter.len() + 5) as u8, 0, 2, 0, 0, filter.len() as u8];
    bytes.extend_from_slice(filter.as_bytes());
    bytes
}

/// PUBLISH; with QoS 0 it has no Packet Identifier.
pub fn publish(topic: &str, qos: QoS, number: u16, payload: &[u8]) -> Vec<u8> {
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
pub fn publish_retained(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = publish(topic, QoS::AtLeastOnce, 1, payload);
    bytes[0] |= 1;
    bytes
}

/// PUBLISH with QoS 1 as 3.1.1 has it.
pub fn publish_v311(topic: &str, number: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x32, (topic.len() + 4 + payload.len()) as u8, 0, topic.len() as u8];
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(&[0, number]);
    bytes.extend_from_slice(payload);
    bytes
}

/// PUBACK, PUBREC or PUBREL without a Reason Code.
pub fn acknowledge(packet_type: PacketType, number: u16) -> Vec<u8> {
    let flags = if packet_type == PacketType::PubRel { 2 } else { 0 };
    let [high, low] = number.to_be_bytes();
    vec![(packet_type as u8) << 4 | flags, 2, high, low]
}

pub fn identifier(number: u16) -> PacketIdentifier {
    PacketIdentifier::new(number).expect("not 0")
}

/// The network takes everything that waits for a connection.
pub fn receive(shard: &mut Shard, now: Timestamp, key: Key) -> Vec<Received> {
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
pub fn numbers(count: u16) -> Vec<Received> {
    (1..=count).map(|number| Received::Publish(number.to_string())).collect()
}

/// A message as somebody else has it who reads it from the store.
pub fn copy(message: &ApplicationMessage, gauge: &MemoryGauge) -> ApplicationMessage {
    let mut publication = Publication::new(message.id, message.topic(), message.qos, message.retain);
    publication.payload = message.payload();
    let copy = publication.keep(gauge);
    copy.set_location(message.location());
    copy
}

/// A name whose home is this shard of two.
pub fn name_at_home_in(shard: u16, prefix: &str) -> String {
    let mut names = (0..).map(|number| format!("{prefix}{number}"));
    names.find(|name| partition(name, 2) == shard).expect("every other name")
}
