//! What a small PUBLISH costs: splitting, decoding and encoding, in nanoseconds per packet.
//!
//! The packet is that of a sensor: a topic of 24 bytes and a payload of 64. `cargo bench -p dunlin-codec`
//! prints the figures; `split many` is per packet of a full read buffer.

use std::hint::black_box;
use std::num::NonZeroU16;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dunlin_codec::{
    MessageProperties, Packet, PacketIdentifier, ProtocolVersion, Publish, PublishParts, QoS, Split,
    UserProperties, decode, encode_user_properties, split,
};

const TOPIC: &str = "building/7/sensor/000123";
const PAYLOAD: [u8; 64] = [0x5A; 64];
const NO_LIMIT: u32 = u32::MAX;

fn publish(qos: QoS) -> Publish<'static> {
    let packet_identifier = (qos != QoS::AtMostOnce).then(|| PacketIdentifier::new(4711).unwrap());
    Publish { qos, topic: TOPIC, packet_identifier, payload: &PAYLOAD, ..Publish::default() }
}

fn encoded(publish: &Publish<'_>, version: ProtocolVersion) -> Vec<u8> {
    let mut bytes = Vec::new();
    publish.encode(version, &mut bytes);
    bytes
}

/// Splits and decodes the one packet in `bytes`, as a connection does.
fn split_and_decode(bytes: &[u8], version: ProtocolVersion) -> usize {
    match split(black_box(bytes), NO_LIMIT) {
        Ok(Split::Packet { frame, .. }) => match decode(frame, version) {
            Ok(Packet::Publish(publish)) => black_box(&publish).payload.len() + publish.topic.len(),
            other => panic!("not a PUBLISH: {other:?}"),
        },
        other => panic!("no packet: {other:?}"),
    }
}

fn shapes() -> Vec<(&'static str, ProtocolVersion, Vec<u8>)> {
    let user_properties = encode_user_properties(&[("source", "line 4"), ("unit", "K")]);
    let with_properties = Publish {
        topic_alias: NonZeroU16::new(3),
        properties: MessageProperties {
            message_expiry_interval_s: Some(3600),
            content_type: Some("application/json"),
            user_properties: UserProperties::from_encoded(&user_properties),
            ..MessageProperties::default()
        },
        ..publish(QoS::AtLeastOnce)
    };
    vec![
        (
            "v3.1.1 QoS 0",
            ProtocolVersion::V3_1_1,
            encoded(&publish(QoS::AtMostOnce), ProtocolVersion::V3_1_1),
        ),
        (
            "v3.1.1 QoS 1",
            ProtocolVersion::V3_1_1,
            encoded(&publish(QoS::AtLeastOnce), ProtocolVersion::V3_1_1),
        ),
        ("v5 QoS 0", ProtocolVersion::V5, encoded(&publish(QoS::AtMostOnce), ProtocolVersion::V5)),
        ("v5 QoS 1", ProtocolVersion::V5, encoded(&publish(QoS::AtLeastOnce), ProtocolVersion::V5)),
        ("v5 QoS 1, five properties", ProtocolVersion::V5, encoded(&with_properties, ProtocolVersion::V5)),
    ]
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("split and decode PUBLISH");
    for (name, version, bytes) in shapes() {
        group.bench_function(name, |bencher| bencher.iter(|| split_and_decode(&bytes, version)));
    }
    let puback = [0x40, 2, 0, 10];
    group.bench_function("PUBACK", |bencher| {
        bencher.iter(|| match split(black_box(&puback), NO_LIMIT) {
            Ok(Split::Packet { frame, .. }) => decode(frame, ProtocolVersion::V5).is_ok(),
            other => panic!("no packet: {other:?}"),
        });
    });
    group.finish();
}

fn splitting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("split many");
    let packet = encoded(&publish(QoS::AtMostOnce), ProtocolVersion::V3_1_1);
    let count = 64 * 1024 / packet.len();
    let buffer = packet.repeat(count);
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("64 KiB of small PUBLISH", |bencher| {
        bencher.iter(|| {
            let mut rest = black_box(buffer.as_slice());
            let mut packets = 0;
            while let Ok(Split::Packet { length, .. }) = split(rest, NO_LIMIT) {
                packets += 1;
                rest = &rest[length..];
            }
            assert_eq!(packets, count);
        });
    });
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode PUBLISH from its parts");
    for (name, version, qos) in [
        ("v3.1.1 QoS 0", ProtocolVersion::V3_1_1, QoS::AtMostOnce),
        ("v3.1.1 QoS 1", ProtocolVersion::V3_1_1, QoS::AtLeastOnce),
        ("v5 QoS 0", ProtocolVersion::V5, QoS::AtMostOnce),
        ("v5 QoS 1", ProtocolVersion::V5, QoS::AtLeastOnce),
    ] {
        let parts = PublishParts {
            qos,
            topic: TOPIC,
            packet_identifier: PacketIdentifier::new(4711),
            payload_length: PAYLOAD.len(),
            ..PublishParts::default()
        };
        let mut outbox = Vec::with_capacity(256);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                outbox.clear();
                black_box(&parts).encode_head(version, &mut outbox);
                outbox.extend_from_slice(&PAYLOAD);
                black_box(outbox.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decoding, splitting, encoding);
criterion_main!(benches);
