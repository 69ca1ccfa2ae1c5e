//! What is encoded decodes to the same, and no bytes do harm.
//!
//! The packets are random (`generate.rs`), in every version. Arbitrary bytes have no meaning to compare with,
//! so the promises are about what splitting and decoding must never do, and about encoding whatever is
//! accepted.

use crate::generate;
use dunlin_codec::{
    Frame, Packet, PacketIdentifier, ProtocolVersion, PublishParts, QoS, Split, UserProperties, decode,
    decode_connect, decode_forwarded, split,
};
use proptest::collection::vec;
use proptest::prelude::*;

const NO_LIMIT: u32 = u32::MAX;

fn encoded(packet: &Packet<'_>, version: ProtocolVersion) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    bytes
}

fn only_frame(bytes: &[u8]) -> Frame<'_> {
    match split(bytes, NO_LIMIT) {
        Ok(Split::Packet { frame, length }) if length == bytes.len() => frame,
        other => panic!("not one whole packet: {other:?}"),
    }
}

fn version_and_packet() -> impl Strategy<Value = (ProtocolVersion, Packet<'static>)> {
    generate::version().prop_flat_map(|version| (Just(version), generate::packet(version)))
}

/// Bytes that often begin like a packet.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let with_header = (any::<u8>(), vec(any::<u8>(), 0..80)).prop_map(|(first_byte, body)| {
        let mut bytes = vec![first_byte, body.len() as u8];
        bytes.extend(body);
        bytes
    });
    let mutated = (version_and_packet(), vec((any::<u16>(), any::<u8>()), 1..4)).prop_map(
        |((version, packet), mutations)| {
            let mut bytes = encoded(&packet, version);
            for (place, byte) in mutations {
                let place = usize::from(place) % bytes.len();
                bytes[place] = byte;
            }
            bytes
        },
    );
    prop_oneof![1 => vec(any::<u8>(), 0..40), 2 => with_header, 4 => mutated]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn decoding_what_was_encoded_gives_the_same_packet((version, packet) in version_and_packet()) {
        let bytes = encoded(&packet, version);
        prop_assert_eq!(decode(only_frame(&bytes), version), Ok(packet));
    }

    #[test]
    fn encoding_appends_and_leaves_what_was_there((version, packet) in version_and_packet()) {
        let mut out = vec![1, 2, 3];
        packet.encode(version, &mut out);
        prop_assert_eq!(&out[..3], &[1, 2, 3]);
        prop_assert_eq!(&out[3..], &encoded(&packet, version));
    }

    #[test]
    fn a_packet_that_decodes_is_encoded_to_bytes_that_decode_to_it(
        bytes in hostile_bytes(),
        version in generate::version(),
    ) {
        let Ok(Split::Packet { frame, .. }) = split(&bytes, NO_LIMIT) else { return Ok(()) };
        let Ok(packet) = decode(frame, version) else { return Ok(()) };
        let version = match packet {
            Packet::Connect(connect) => connect.version,
            _ => version,
        };
        let again = encoded(&packet, version);
        prop_assert_eq!(decode(only_frame(&again), version), Ok(packet));
    }

    #[test]
    fn a_frame_made_by_hand_does_no_harm(
        first_byte in any::<u8>(),
        body in vec(any::<u8>(), 0..60),
        version in generate::version(),
    ) {
        let frame = Frame { first_byte, body: &body };
        let _ = decode(frame, version);
        let _ = decode_connect(frame);
        let _ = decode_forwarded(&body);
        let _ = UserProperties::from_encoded(&body).count();
    }

    #[test]
    fn a_prefix_never_contradicts_the_whole(bytes in hostile_bytes(), limit in 0..200u32) {
        let whole = split(&bytes, limit);
        for end in 0..bytes.len() {
            match (split(&bytes[..end], limit), whole) {
                // What is refused early stays refused, for the same reason.
                (Err(error), whole) => prop_assert_eq!(whole, Err(error)),
                // A whole packet stays that packet, whatever follows.
                (Ok(packet @ Split::Packet { .. }), whole) => prop_assert_eq!(whole, Ok(packet)),
                (Ok(Split::Incomplete { packet_length: Some(announced) }), Ok(Split::Packet { length, .. })) => {
                    prop_assert_eq!(announced, length);
                    prop_assert!(end < length);
                }
                (Ok(Split::Incomplete { .. }), _) => {}
            }
        }
    }

    #[test]
    fn packets_in_a_row_are_split_one_by_one(
        packets in generate::version().prop_flat_map(|version| vec(generate::packet(version), 1..6).prop_map(move |packets| (version, packets))),
    ) {
        let (version, packets) = packets;
        let stream: Vec<u8> = packets.iter().flat_map(|packet| encoded(packet, version)).collect();
        let mut rest = stream.as_slice();
        for packet in packets {
            let Ok(Split::Packet { frame, length }) = split(rest, NO_LIMIT) else { panic!("a packet is missing") };
            prop_assert_eq!(decode(frame, version), Ok(packet));
            rest = &rest[length..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_publish_from_its_parts_is_the_publish(
        publish in generate::publish(ProtocolVersion::V5),
        version in generate::version(),
    ) {
        let mut forwarded = Vec::new();
        publish.properties.write_forwarded(&mut forwarded);
        prop_assert_eq!(forwarded.len(), publish.properties.forwarded_length());
        prop_assert_eq!(forwarded.is_empty(), publish.properties.forwarded_is_empty());
        let identifiers: Vec<u32> = publish.subscription_identifiers.iter().collect();
        let parts = PublishParts {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic: publish.topic,
            packet_identifier: publish.packet_identifier,
            message_expiry_interval_s: publish.properties.message_expiry_interval_s,
            topic_alias: publish.topic_alias,
            subscription_identifiers: &identifiers,
            forwarded: &forwarded,
            payload_length: publish.payload.len(),
        };
        let mut bytes = Vec::new();
        parts.encode_head(version, &mut bytes);
        bytes.extend_from_slice(publish.payload);
        prop_assert_eq!(bytes.len(), parts.frame_length(version));
        prop_assert_eq!(bytes, encoded(&Packet::Publish(publish), version));
    }

    #[test]
    fn the_packet_identifier_can_be_filled_in_later(
        publish in generate::publish(ProtocolVersion::V5),
        packet_identifier in generate::packet_identifier(),
        version in generate::version(),
    ) {
        let head = |packet_identifier| {
            let parts = PublishParts { qos: publish.qos, topic: "t", packet_identifier, ..PublishParts::default() };
            let mut bytes = vec![0xFF];
            let offset = parts.encode_head(version, &mut bytes);
            (bytes, offset)
        };
        let (mut bytes, offset) = head(None);
        prop_assert_eq!(offset.is_some(), publish.qos != QoS::AtMostOnce);
        if let Some(offset) = offset {
            bytes[offset..offset + 2].copy_from_slice(&PacketIdentifier::get(packet_identifier).to_be_bytes());
        }
        prop_assert_eq!(bytes, head(Some(packet_identifier)).0);
    }

    // spec(v5): [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    #[test]
    fn forwarded_properties_can_be_read_back(properties in generate::message_properties(ProtocolVersion::V5)) {
        let mut block = Vec::new();
        properties.write_forwarded(&mut block);
        let mut expected = properties;
        expected.message_expiry_interval_s = None;
        prop_assert_eq!(decode_forwarded(&block), Ok(expected));
    }
}

#[test]
fn a_block_of_forwarded_properties_holds_none_of_one_connection() {
    for block in [&[0x23, 0, 1][..], &[0x0B, 1], &[0x02, 0, 0, 0, 1]] {
        assert!(decode_forwarded(block).is_err(), "{block:02X?}");
    }
}

#[test]
fn every_packet_type_is_generated() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = generate::packet(ProtocolVersion::V5);
    let mut seen = [false; 16];
    for _ in 0..2000 {
        seen[strategy.new_tree(&mut runner).unwrap().current().packet_type() as usize] = true;
    }
    assert!(seen[1..].iter().all(|&is_seen| is_seen), "{seen:?}");
}

#[test]
fn a_string_that_is_too_long_is_cut_at_a_character() {
    let topic = "€".repeat(30_000);
    let parts = PublishParts { topic: &topic, ..PublishParts::default() };
    let mut bytes = Vec::new();
    parts.encode_head(ProtocolVersion::V3_1_1, &mut bytes);
    assert_eq!(bytes.len(), parts.frame_length(ProtocolVersion::V3_1_1));
    match decode(only_frame(&bytes), ProtocolVersion::V3_1_1) {
        Ok(Packet::Publish(publish)) => assert_eq!(publish.topic, &topic[..65_535]),
        other => panic!("not a PUBLISH: {other:?}"),
    }
}
