//! A connection fed with arbitrary bytes, in the bounds of an ordinary test.
//!
//! Bytes that are all random are refused at the second packet at the latest. So most of these are packets of
//! an attacker who knows MQTT: of every type, good or nearly good, about topics that it shares with others,
//! with a byte changed here and there. The search without bounds is `fuzz/fuzz_targets/connection.rs`; what
//! is asserted is in `hostile/mod.rs`.
// spec(v5): [MQTT-4.13.1-1]
// spec(v3.1.1): [MQTT-4.8.0-1]

mod hostile;

use dunlin_codec::{
    Acknowledgement, PacketIdentifier, PacketType, ProtocolVersion, Publish, QoS, ReasonCode,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::num::NonZeroU16;

fn version() -> impl Strategy<Value = ProtocolVersion> {
    select(vec![ProtocolVersion::V3_1_1, ProtocolVersion::V5, ProtocolVersion::V5])
}

fn publish(version: ProtocolVersion) -> impl Strategy<Value = Vec<u8>> {
    let topic = select(vec!["a", "a/b", "bystanders/only", "$SYS/x", "$share/g/a", ""]);
    let qos = select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
    let length = select(vec![0, 1, 100, 2100, 3900, 5000]);
    (topic, qos, any::<bool>(), 1..12_u16, 0..5_u16, length).prop_map(
        move |(topic, qos, retain, identifier, alias, length)| {
            let mut bytes = Vec::new();
            Publish {
                qos,
                retain,
                topic,
                packet_identifier: PacketIdentifier::new(identifier).filter(|_| qos != QoS::AtMostOnce),
                topic_alias: NonZeroU16::new(alias),
                payload: &vec![b'x'; length],
                ..Publish::default()
            }
            .encode(version, &mut bytes);
            bytes
        },
    )
}

fn acknowledgement(version: ProtocolVersion) -> impl Strategy<Value = Vec<u8>> {
    let packet_type =
        select(vec![PacketType::PubAck, PacketType::PubRec, PacketType::PubRel, PacketType::PubComp]);
    (packet_type, 1..12_u16).prop_map(move |(packet_type, identifier)| {
        let mut bytes = Vec::new();
        let identifier = PacketIdentifier::new(identifier).unwrap();
        Acknowledgement::new(identifier, ReasonCode::Success).encode(packet_type, version, &mut bytes);
        bytes
    })
}

/// SUBSCRIBE and UNSUBSCRIBE, made by hand so that they may be wrong.
fn subscribe(version: ProtocolVersion) -> impl Strategy<Value = Vec<u8>> {
    let filter =
        select(vec!["#", "a/#", "+", "bystanders/+", "$share/g/a", "$share/g/#", "$share//a", "a#", ""]);
    (filter, any::<bool>(), 0..64_u8).prop_map(move |(filter, is_new, options)| {
        let mut body = vec![0, 9];
        if version == ProtocolVersion::V5 {
            body.push(0);
        }
        body.extend((filter.len() as u16).to_be_bytes());
        body.extend(filter.bytes());
        if is_new {
            body.push(options);
        }
        [vec![if is_new { 0x82 } else { 0xA2 }, body.len() as u8], body].concat()
    })
}

fn packet(version: ProtocolVersion) -> impl Strategy<Value = Vec<u8>> {
    let fixed =
        vec![vec![0xC0, 0], vec![0xD0, 0], vec![0xE0, 0], vec![0xE0, 2, 4, 0], vec![0xF0, 0], vec![0x10, 0]];
    prop_oneof![
        8 => publish(version),
        5 => acknowledgement(version),
        5 => subscribe(version),
        2 => select(fixed),
        1 => vec(any::<u8>(), 0..40),
    ]
}

/// What an attacker sends that begins with a good CONNECT of this version.
fn stream() -> impl Strategy<Value = (ProtocolVersion, Vec<u8>)> {
    version().prop_flat_map(|version| {
        let damage = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        (vec(packet(version), 0..60), damage).prop_map(move |(packets, damage)| {
            let mut bytes = packets.concat();
            for (place, value) in damage {
                if !bytes.is_empty() {
                    let place = place.index(bytes.len());
                    bytes[place] = value;
                }
            }
            (version, bytes)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_harm_nobody(bytes in vec(any::<u8>(), 0..300)) {
        hostile::attack(&bytes);
    }

    #[test]
    fn packets_of_a_hostile_client_harm_nobody(
        (version, stream) in stream(),
        manner in 0..16_u8,
        piece in select(vec![1, 3, 50, 255]),
    ) {
        // The third of the remainders of `manner` that `hostile::attack` takes for this version, and a good CONNECT first.
        let wanted = if version == ProtocolVersion::V5 { 2 } else { 1 };
        let manner = (0x10 | manner << 4..=255).find(|manner| manner % 3 == wanted && manner & 0x10 != 0).unwrap_or(0x10);
        hostile::attack(&[vec![manner, piece], stream].concat());
    }
}

#[test]
fn a_client_that_asks_and_never_reads_is_not_answered_without_bound() {
    for manner in [0x10_u8, 0x11, 0x12] {
        let pings = [0xC0, 0].repeat(100_000);
        hostile::attack(&[vec![manner, 255], pings].concat());
        let releases = [0x62, 2, 0, 1].repeat(50_000);
        hostile::attack(&[vec![manner, 255], releases].concat());
    }
}
