//! What older versions cannot say is left out when a packet is encoded for them, and what is left is valid.

use dunlin_codec::{
    Acknowledgement, Auth, ConnAck, ConnAckProperties, Disconnect, Packet, PacketIdentifier, PacketType,
    ProtocolVersion, ReasonCode, Split, SubAck, decode, split,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::generate;

const OLDER: [ProtocolVersion; 2] = [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1];

fn encoded(packet: &Packet<'_>, version: ProtocolVersion) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    bytes
}

fn identifier() -> PacketIdentifier {
    PacketIdentifier::new(10).unwrap()
}

proptest! {
    #[test]
    fn a_packet_of_mqtt_5_encoded_for_an_older_version_is_valid_there(
        packet in generate::packet(ProtocolVersion::V5),
        version in select(&OLDER[..]),
    ) {
        // An alias cannot stand for a topic where there are no aliases, and AUTH does not exist.
        let is_possible = match packet {
            Packet::Publish(publish) => !publish.topic.is_empty(),
            Packet::Auth(_) => false,
            _ => true,
        };
        prop_assume!(is_possible);
        let bytes = encoded(&packet, version);
        let Ok(Split::Packet { frame, length }) = split(&bytes, u32::MAX) else { panic!("no packet: {bytes:02X?}") };
        prop_assert_eq!(length, bytes.len());
        let read = decode(frame, version);
        prop_assert!(read.is_ok(), "{:?}", read);
        // What came through an older version comes through it again.
        prop_assert_eq!(encoded(&read.unwrap(), version), bytes);
    }
}

#[test]
fn an_acknowledgement_of_mqtt_3_has_no_reason_code() {
    let refusal = Acknowledgement::new(identifier(), ReasonCode::NotAuthorized);
    for version in OLDER {
        let mut bytes = Vec::new();
        refusal.encode(PacketType::PubAck, version, &mut bytes);
        assert_eq!(bytes, [0x40, 2, 0, 10]);
    }
}

#[test]
fn a_refused_subscription_of_mqtt_3_is_0x80_whatever_the_reason() {
    // spec(v3.1.1): [MQTT-3.9.3-2]
    let codes = [0x00, 0x01, 0x02, 0x80, 0x87, 0xA2];
    let suback = Packet::SubAck(SubAck::new(identifier(), &codes));
    for version in OLDER {
        assert_eq!(encoded(&suback, version), [0x90, 8, 0, 10, 0, 1, 2, 0x80, 0x80, 0x80]);
    }
}

#[test]
fn a_refused_connection_of_mqtt_3_has_the_nearest_return_code_and_no_session() {
    // spec(v3.1.1): [MQTT-3.2.2-4]
    for (reason_code, return_code) in [
        (ReasonCode::Success, 0),
        (ReasonCode::UnsupportedProtocolVersion, 1),
        (ReasonCode::ClientIdentifierNotValid, 2),
        (ReasonCode::ServerBusy, 3),
        (ReasonCode::QuotaExceeded, 3),
        (ReasonCode::BadUserNameOrPassword, 4),
        (ReasonCode::NotAuthorized, 5),
        (ReasonCode::Banned, 5),
        (ReasonCode::BadAuthenticationMethod, 5),
    ] {
        let connack =
            ConnAck { session_present: true, reason_code, properties: ConnAckProperties::default() };
        let session_present = u8::from(return_code == 0);
        let bytes = encoded(&Packet::ConnAck(connack), ProtocolVersion::V3_1_1);
        assert_eq!(bytes, [0x20, 2, session_present, return_code], "{reason_code}");
        // MQTT 3.1 has no Session Present at all.
        assert_eq!(encoded(&Packet::ConnAck(connack), ProtocolVersion::V3_1), [0x20, 2, 0, return_code]);
    }
}

#[test]
fn a_disconnect_of_mqtt_3_says_nothing_and_there_is_no_auth() {
    for version in OLDER {
        let disconnect = Packet::Disconnect(Disconnect::new(ReasonCode::DisconnectWithWillMessage));
        assert_eq!(encoded(&disconnect, version), [0xE0, 0]);
        assert!(encoded(&Packet::Auth(Auth::new(ReasonCode::ReAuthenticate, Some("m"))), version).is_empty());
    }
}
