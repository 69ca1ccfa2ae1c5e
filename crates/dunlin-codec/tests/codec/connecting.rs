//! The first packet of a connection, and a CONNECT that is not the first.

use dunlin_codec::{ConnectError, Frame, PacketType, ProtocolVersion, ReasonCode, decode, decode_connect};

const LEVEL_6: Frame<'_> = Frame { first_byte: 0x10, body: b"\0\x04MQTT\x06\x02\0\0\0\0\0" };

#[test]
fn whatever_is_not_connect_is_no_first_packet() {
    // spec(v5): [MQTT-3.1.0-1]
    // spec(v3.1.1): [MQTT-3.1.0-1]
    for packet_type in PacketType::ALL.into_iter().filter(|&packet_type| packet_type != PacketType::Connect) {
        let frame = Frame { first_byte: packet_type.first_byte(), body: b"\0\x04MQTT\x04\x02\0\0\0\0" };
        match decode_connect(frame) {
            Err(ConnectError::Unreadable(error)) => assert_eq!(error.reason_code, ReasonCode::ProtocolError),
            other => panic!("{packet_type}: {other:?}"),
        }
    }
}

#[test]
fn a_wrong_flag_in_the_first_byte_of_connect_is_refused_before_the_version_is_read() {
    let frame = Frame { first_byte: 0x11, ..LEVEL_6 };
    assert!(matches!(decode_connect(frame), Err(ConnectError::Unreadable(_))));
}

#[test]
fn an_error_says_in_words_what_is_wrong() {
    let error = decode_connect(LEVEL_6).unwrap_err();
    assert_eq!(error.to_string(), "protocol level 6 is not supported");
    let unknown = Frame { body: b"\0\x04HTTP\x05", ..LEVEL_6 };
    assert_eq!(decode_connect(unknown).unwrap_err().to_string(), "the protocol name is unknown");
    let malformed = Frame { body: b"\0\x04MQTT\x05\x03\0\0\0\0\0", ..LEVEL_6 };
    let error = decode_connect(malformed).unwrap_err();
    assert_eq!(error.to_string(), "the reserved Connect Flag is 1 [MQTT-3.1.2-3]");
}

#[test]
fn a_connect_on_an_open_connection_is_decoded_by_its_own_version() {
    let body = b"\0\x04MQTT\x04\x02\0\0\0\0";
    let packet = decode(Frame { body, ..LEVEL_6 }, ProtocolVersion::V5).unwrap();
    assert_eq!(packet.packet_type(), PacketType::Connect);
    let error = decode(LEVEL_6, ProtocolVersion::V5).unwrap_err();
    assert_eq!(error.reason_code, ReasonCode::UnsupportedProtocolVersion);
}
