//! Packets from bytes and to bytes: a sensor's PUBLISH, with a topic of 24 bytes and a payload of 64.

use super::Case;
use dunlin_codec::{
    Acknowledgement, Packet, PacketIdentifier, PacketType, ProtocolVersion, Publish, PublishParts, QoS,
    ReasonCode, Split, decode, split,
};
use std::hint::black_box;

const TOPIC: &str = "building/7/sensor/000123";
const PAYLOAD: [u8; 64] = [0x5A; 64];
const PACKETS: u32 = 1000;

const V3_1_1: ProtocolVersion = ProtocolVersion::V3_1_1;
const V5: ProtocolVersion = ProtocolVersion::V5;

pub fn cases() -> Vec<Case> {
    let case = |name, prepare| Case { name, operations: PACKETS, prepare };
    vec![
        case("decode PUBLISH, 3.1.1, QoS 0", || decoding(V3_1_1, QoS::AtMostOnce)),
        case("decode PUBLISH, 3.1.1, QoS 1", || decoding(V3_1_1, QoS::AtLeastOnce)),
        case("decode PUBLISH, 5.0, QoS 0", || decoding(V5, QoS::AtMostOnce)),
        case("decode PUBLISH, 5.0, QoS 1", || decoding(V5, QoS::AtLeastOnce)),
        case("encode PUBLISH, 3.1.1, QoS 1", || encoding(V3_1_1)),
        case("encode PUBLISH, 5.0, QoS 1", || encoding(V5)),
        case("encode PUBACK, 5.0", encoding_puback),
    ]
}

fn packet_identifier() -> PacketIdentifier {
    PacketIdentifier::new(4711).expect("not 0")
}

fn decoding(version: ProtocolVersion, qos: QoS) -> Box<dyn FnMut()> {
    let packet_identifier = (qos != QoS::AtMostOnce).then(packet_identifier);
    let publish = Publish { qos, topic: TOPIC, packet_identifier, payload: &PAYLOAD, ..Publish::default() };
    let mut bytes = Vec::new();
    for _ in 0..PACKETS {
        publish.encode(version, &mut bytes);
    }
    Box::new(move || {
        let (mut rest, mut packets) = (bytes.as_slice(), 0);
        while let Ok(Split::Packet { frame, length }) = split(rest, u32::MAX) {
            let packet = decode(frame, black_box(version));
            assert!(matches!(black_box(&packet), Ok(Packet::Publish(_))));
            rest = &rest[length..];
            packets += 1;
        }
        assert_eq!(packets, PACKETS);
    })
}

fn encoding(version: ProtocolVersion) -> Box<dyn FnMut()> {
    let parts = PublishParts {
        qos: QoS::AtLeastOnce,
        topic: TOPIC,
        packet_identifier: Some(packet_identifier()),
        payload_length: PAYLOAD.len(),
        ..PublishParts::default()
    };
    let mut outbox = Vec::new();
    Box::new(move || {
        outbox.clear();
        for _ in 0..PACKETS {
            black_box(&parts).encode_head(black_box(version), &mut outbox);
            outbox.extend_from_slice(&PAYLOAD);
        }
        black_box(&outbox);
    })
}

fn encoding_puback() -> Box<dyn FnMut()> {
    let puback = Acknowledgement::new(packet_identifier(), ReasonCode::Success);
    let mut outbox = Vec::new();
    Box::new(move || {
        outbox.clear();
        for _ in 0..PACKETS {
            // As little is known beforehand as where the kind and the version come from a connection.
            let (packet_type, version) = black_box((PacketType::PubAck, V5));
            black_box(&puback).encode(packet_type, version, &mut outbox);
        }
        black_box(&outbox);
    })
}
