//! The specification's tables, transcribed a second time, and every entry of them tried.
//!
//! The vectors show single cases; here all 256 first bytes, all 256 Reason Codes in every packet and all 256
//! property identifiers in every place are decoded and compared with what the tables of sections 2.1.3,
//! 2.2.2.2, 2.4 and 3 say.

use dunlin_codec::{
    Frame, MalformedPacket, Packet, PacketType, ProtocolVersion, QoS, ReasonCode, decode, split,
};

const V5: ProtocolVersion = ProtocolVersion::V5;

fn decode_body(packet_type: PacketType, body: &[u8]) -> Result<Packet<'_>, MalformedPacket> {
    decode(Frame { first_byte: packet_type.first_byte(), body }, V5)
}

#[test]
fn a_first_byte_is_accepted_exactly_when_its_type_and_flags_are_allowed() {
    // spec(v5): [MQTT-2.1.3-1] [MQTT-3.3.1-2] [MQTT-3.3.1-4]
    // spec(v3.1.1): [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.3.1-2] [MQTT-3.3.1-4]
    let allowed = |first_byte: u8| match first_byte >> 4 {
        0 => false,
        3 => matches!(first_byte & 0xF, 0 | 1 | 2 | 3 | 4 | 5 | 0b1010..=0b1101),
        6 | 8 | 10 => first_byte & 0xF == 0b0010,
        _ => first_byte & 0xF == 0,
    };
    for first_byte in 0..=255 {
        let is_accepted = split(&[first_byte], u32::MAX).is_ok();
        assert_eq!(is_accepted, allowed(first_byte), "{first_byte:02X}");
    }
}

/// The Reason Codes of each packet, from the sections of the packets and not from section 2.4. The two
/// disagree about 0x8C in DISCONNECT, which only section 2.4 lists; a peer that sends it is not wrong, so it
/// is accepted.
const REASON_CODES: &[(PacketType, &[u8])] = &[
    (
        PacketType::ConnAck,
        &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
            0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
        ],
    ),
    (PacketType::PubAck, &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
    (PacketType::PubRec, &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
    (PacketType::PubRel, &[0x00, 0x92]),
    (PacketType::PubComp, &[0x00, 0x92]),
    (PacketType::SubAck, &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]),
    (PacketType::UnsubAck, &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
    (
        PacketType::Disconnect,
        &[
            0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
            0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
        ],
    ),
    (PacketType::Auth, &[0x00, 0x18, 0x19]),
];

fn body_with_reason_code(packet_type: PacketType, code: u8) -> Vec<u8> {
    match packet_type {
        PacketType::ConnAck => vec![0, code, 0],
        PacketType::SubAck | PacketType::UnsubAck => vec![0, 1, 0, code],
        PacketType::Disconnect => vec![code],
        PacketType::Auth => vec![code, 4, 0x15, 0, 1, b'm'],
        _ => vec![0, 1, code],
    }
}

#[test]
fn a_reason_code_is_accepted_exactly_in_the_packets_that_list_it() {
    // spec(v5): [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2]
    // spec(v5): [MQTT-3.11.3-2] [MQTT-3.14.2-1] [MQTT-3.15.2-1]
    for &(packet_type, allowed) in REASON_CODES {
        for code in 0..=255 {
            let result = decode_body(packet_type, &body_with_reason_code(packet_type, code)).map(|_| ());
            let reason_code = result.map_err(|error| error.reason_code);
            let expected = if allowed.contains(&code) { Ok(()) } else { Err(ReasonCode::ProtocolError) };
            assert_eq!(reason_code, expected, "{code:02X} in {packet_type}");
        }
    }
}

#[test]
fn the_codes_a_client_may_send_are_those_of_its_column() {
    // spec(v5): [MQTT-3.14.2-1]
    let client = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    for &reason_code in ReasonCode::ALL {
        assert_eq!(
            reason_code.client_may_disconnect_with(),
            client.contains(&reason_code.code()),
            "{reason_code}"
        );
    }
}

#[test]
fn every_return_code_of_mqtt_3_comes_back_from_its_reason_code() {
    for code in 0..=5 {
        assert_eq!(ReasonCode::from_return_code(code).map(ReasonCode::return_code), Some(code));
    }
    assert_eq!(ReasonCode::from_return_code(6), None);
    for &reason_code in ReasonCode::ALL {
        assert_eq!(reason_code.is_error(), reason_code.return_code() != 0, "{reason_code}");
    }
}

#[test]
fn the_granted_codes_say_their_qos() {
    for bits in 0..=2 {
        let qos = QoS::from_bits(bits).unwrap();
        assert_eq!((qos.bits(), ReasonCode::granted(qos).code()), (bits, bits));
    }
    assert_eq!(QoS::from_bits(3), None);
}

/// A place where properties stand: the Will has its own inside CONNECT.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    In(PacketType),
    Will,
}

use PacketType::{
    Auth, ConnAck, Connect, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, SubAck, Subscribe,
    UnsubAck, Unsubscribe,
};
use Place::{In, Will};

const PLACES: [Place; 14] = [
    In(Connect),
    In(ConnAck),
    In(Publish),
    Will,
    In(PubAck),
    In(PubRec),
    In(PubRel),
    In(PubComp),
    In(Subscribe),
    In(SubAck),
    In(Unsubscribe),
    In(UnsubAck),
    In(Disconnect),
    In(Auth),
];

/// Table 2-4: identifier, the bytes of a valid value, where it may stand.
fn properties() -> Vec<(u8, &'static [u8], Vec<Place>)> {
    let string: &[u8] = &[0, 1, b'a'];
    let two: &[u8] = &[0, 1];
    let four: &[u8] = &[0, 0, 0, 1];
    let message = || vec![In(Publish), Will];
    let connection = || vec![In(Connect), In(ConnAck)];
    let authentication = || vec![In(Connect), In(ConnAck), In(Auth)];
    let connack = || vec![In(ConnAck)];
    vec![
        (1, &[1], message()),
        (2, four, message()),
        (3, string, message()),
        (8, string, message()),
        (9, string, message()),
        (11, &[1], vec![In(Publish), In(Subscribe)]),
        (17, four, vec![In(Connect), In(ConnAck), In(Disconnect)]),
        (18, string, connack()),
        (19, two, connack()),
        (21, string, authentication()),
        (22, string, authentication()),
        (23, &[1], vec![In(Connect)]),
        (24, four, vec![Will]),
        (25, &[1], vec![In(Connect)]),
        (26, string, connack()),
        (28, string, vec![In(ConnAck), In(Disconnect)]),
        (
            31,
            string,
            [ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth].map(In).to_vec(),
        ),
        (33, two, connection()),
        (34, two, connection()),
        (35, two, vec![In(Publish)]),
        (36, &[1], connack()),
        (37, &[1], connack()),
        (38, &[0, 1, b'k', 0, 1, b'v'], PLACES.to_vec()),
        (39, four, connection()),
        (40, &[1], connack()),
        (41, &[1], connack()),
        (42, &[1], connack()),
    ]
}

/// The body of a packet with these properties in that place, and an Authentication Method where one is
/// needed.
fn body_with_properties(place: Place, properties: &[u8]) -> Vec<u8> {
    let needs_method = matches!(place, In(Connect | ConnAck | Auth)) && !properties.contains(&0x15);
    let method: &[u8] = if needs_method { &[0x15, 0, 1, b'm'] } else { &[] };
    let block = [&[(method.len() + properties.len()) as u8], method, properties].concat();
    let connect = |flags: u8, rest: &[u8]| [b"\0\x04MQTT\x05".as_slice(), &[flags, 0, 0], rest].concat();
    match place {
        In(Connect) => connect(2, &[&block[..], &[0, 0]].concat()),
        Will => connect(6, &[&[0, 0, 0], &block[..], &[0, 1, b'w', 0, 0]].concat()),
        In(ConnAck) => [&[0, 0], &block[..]].concat(),
        In(Publish) => [&[0, 1, b't'], &block[..]].concat(),
        In(Subscribe) => [&[0, 1], &block[..], &[0, 1, b'f', 0]].concat(),
        In(SubAck | UnsubAck) => [&[0, 1], &block[..], &[0]].concat(),
        In(Unsubscribe) => [&[0, 1], &block[..], &[0, 1, b'f']].concat(),
        In(Disconnect | Auth) => [&[0], &block[..]].concat(),
        In(_) => [&[0, 1, 0], &block[..]].concat(),
    }
}

fn outcome(place: Place, properties: &[u8]) -> Result<(), ReasonCode> {
    let packet_type = if let In(packet_type) = place { packet_type } else { Connect };
    decode_body(packet_type, &body_with_properties(place, properties))
        .map(|_| ())
        .map_err(|error| error.reason_code)
}

#[test]
fn a_property_is_accepted_exactly_in_the_packets_that_list_it() {
    let table = properties();
    for place in PLACES {
        for identifier in 0..=255 {
            let row = table.iter().find(|(known, ..)| *known == identifier);
            let (value, is_allowed) =
                row.map_or((&[][..], false), |(_, value, places)| (*value, places.contains(&place)));
            let expected = if is_allowed { Ok(()) } else { Err(ReasonCode::MalformedPacket) };
            let found = outcome(place, &[&[identifier], value].concat());
            assert_eq!(found, expected, "property {identifier} in {place:?}");
        }
    }
}

#[test]
fn a_property_stands_only_once_unless_the_specification_lets_it_repeat() {
    for (identifier, value, places) in properties() {
        for place in places {
            let one = [&[identifier], value].concat();
            let may_repeat = identifier == 38 || (identifier == 11 && place == In(Publish));
            let expected = if may_repeat { Ok(()) } else { Err(ReasonCode::ProtocolError) };
            assert_eq!(outcome(place, &one.repeat(2)), expected, "property {identifier} twice in {place:?}");
        }
    }
}

#[test]
fn a_property_cut_off_anywhere_is_malformed() {
    for (identifier, value, places) in properties() {
        let whole = [&[identifier], value].concat();
        for place in places {
            for end in 1..whole.len() {
                let found = outcome(place, &whole[..end]);
                assert_eq!(found, Err(ReasonCode::MalformedPacket), "{:02X?} in {place:?}", &whole[..end]);
            }
        }
    }
}
