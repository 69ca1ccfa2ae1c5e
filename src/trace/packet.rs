//! What is in a packet, as names and values that people and programs read.

use dunlin_codec::{Frame, MessageProperties, Packet, ProtocolVersion, ReasonCode, UserProperties, decode};
use dunlin_core::handshake::ConnectRequest;
use dunlin_core::shard::TracedPacket;
use serde_json::{Map, Value, json};

/// Names and values in the order in which they are worth reading.
pub type Fields = Map<String, Value>;

/// Characters of a payload that are shown.
const PAYLOAD_CHARACTERS_MAX: usize = 256;

/// The type of a packet and what is in it.
pub(super) fn fields(traced: &TracedPacket) -> (&'static str, Fields) {
    let Some((frame, head)) = frame(&traced.bytes) else {
        return ("packet", Fields::new());
    };
    let name = frame.packet_type().map_or("packet", dunlin_codec::PacketType::name);
    let mut fields = Fields::new();
    match decode(frame, traced.version) {
        Ok(packet) => {
            let missing = traced.length.saturating_sub(traced.bytes.len());
            describe(&packet, traced.version, missing, &mut fields);
        }
        // A long packet is cut short, and all but PUBLISH cannot be read then.
        Err(_) => drop(fields.insert("bytes".to_owned(), json!(traced.length.max(head)))),
    }
    (name, fields)
}

/// The frame at the front, its end missing or not, and the length of its fixed header.
fn frame(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let first_byte = *bytes.first()?;
    let length_bytes = bytes.get(1..)?.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let head = 1 + length_bytes;
    Some((Frame { first_byte, body: bytes.get(head..)? }, head))
}

/// What a CONNECT asked for.
pub(super) fn of_connect(request: &ConnectRequest) -> Fields {
    let mut fields = Fields::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("version", json!(request.version.to_string()));
    put("clean_start", json!(request.clean_start));
    put("keep_alive_s", json!(request.keep_alive_s));
    if let Some(user) = &request.identity.user_name {
        put("user", json!(user));
    }
    if let Some(will) = &request.will {
        put("will_topic", json!(will.topic));
        put("will_qos", json!(will.qos.bits()));
    }
    fields
}

fn describe(packet: &Packet<'_>, version: ProtocolVersion, missing: usize, fields: &mut Fields) {
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    match packet {
        Packet::Publish(publish) => {
            put("topic", json!(publish.topic));
            put("qos", json!(publish.qos.bits()));
            if publish.retain {
                put("retain", json!(true));
            }
            if publish.dup {
                put("dup", json!(true));
            }
            if let Some(identifier) = publish.packet_identifier {
                put("packet_identifier", json!(identifier.get()));
            }
            if let Some(alias) = publish.topic_alias {
                put("topic_alias", json!(alias));
            }
            if !publish.subscription_identifiers.is_empty() {
                put("subscription_identifiers", publish.subscription_identifiers.iter().collect());
            }
            message_properties(&publish.properties, &mut put);
            put("payload_bytes", json!(publish.payload.len() + missing));
            put("payload", json!(shown(publish.payload)));
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            put("packet_identifier", json!(ack.packet_identifier.get()));
            reason(version, ack.reason_code, ack.reason_string, ack.user_properties, &mut put);
        }
        Packet::Subscribe(subscribe) => {
            put("packet_identifier", json!(subscribe.packet_identifier.get()));
            if let Some(identifier) = subscribe.subscription_identifier {
                put("subscription_identifier", json!(identifier));
            }
            let filters = subscribe.filters.iter().map(|(filter, options)| {
                json!({ "filter": filter.as_str(), "qos": options.maximum_qos.bits(), "no_local": options.no_local,
                        "retain_as_published": options.retain_as_published })
            });
            put("filters", filters.collect());
            user_properties(subscribe.user_properties, &mut put);
        }
        Packet::SubAck(suback) => {
            put("packet_identifier", json!(suback.packet_identifier.get()));
            put("reason_codes", codes(suback.reason_codes));
        }
        Packet::Unsubscribe(unsubscribe) => {
            put("packet_identifier", json!(unsubscribe.packet_identifier.get()));
            put("filters", unsubscribe.filters.iter().map(|filter| filter.as_str()).collect());
        }
        Packet::UnsubAck(unsuback) => {
            put("packet_identifier", json!(unsuback.packet_identifier.get()));
            put("reason_codes", codes(unsuback.reason_codes));
        }
        Packet::ConnAck(connack) => {
            put("session_present", json!(connack.session_present));
            put("reason_code", json!(connack.reason_code.to_string()));
            if let Some(client) = connack.properties.assigned_client_identifier {
                put("assigned_client_identifier", json!(client));
            }
            if let Some(keep_alive) = connack.properties.server_keep_alive_s {
                put("server_keep_alive_s", json!(keep_alive));
            }
        }
        Packet::Disconnect(disconnect) => {
            reason(
                version,
                disconnect.reason_code,
                disconnect.reason_string,
                disconnect.user_properties,
                &mut put,
            );
            if let Some(expiry) = disconnect.session_expiry_interval_s {
                put("session_expiry_s", json!(expiry));
            }
        }
        // What it authenticates with is not shown.
        Packet::Auth(auth) => {
            put("method", json!(auth.method));
            put("reason_code", json!(auth.reason_code.to_string()));
        }
        Packet::PingReq | Packet::PingResp | Packet::Connect(_) => {}
    }
}

fn message_properties(properties: &MessageProperties<'_>, put: &mut impl FnMut(&str, Value)) {
    if let Some(expiry) = properties.message_expiry_interval_s {
        put("message_expiry_s", json!(expiry));
    }
    if let Some(content_type) = properties.content_type {
        put("content_type", json!(content_type));
    }
    if let Some(topic) = properties.response_topic {
        put("response_topic", json!(topic));
    }
    if let Some(data) = properties.correlation_data {
        put("correlation_data", json!(shown(data)));
    }
    user_properties(properties.user_properties, put);
}

fn user_properties(properties: UserProperties<'_>, put: &mut impl FnMut(&str, Value)) {
    if !properties.is_empty() {
        put("user_properties", properties.iter().map(|pair| json!(pair)).collect());
    }
}

fn reason(
    version: ProtocolVersion,
    code: ReasonCode,
    text: Option<&str>,
    properties: UserProperties<'_>,
    put: &mut impl FnMut(&str, Value),
) {
    if version == ProtocolVersion::V5 {
        put("reason_code", json!(code.to_string()));
    }
    if let Some(text) = text {
        put("reason", json!(text));
    }
    user_properties(properties, put);
}

fn codes(codes: &[u8]) -> Value {
    codes.iter().map(|code| format!("0x{code:02X}")).collect()
}

/// Bytes as text, or in hexadecimal; the first of them.
fn shown(bytes: &[u8]) -> String {
    let end = bytes.len().min(PAYLOAD_CHARACTERS_MAX);
    let start = &bytes[..end];
    let text = match std::str::from_utf8(start) {
        Ok(text) => Some(text),
        // A character may have been cut in two.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    let ellipsis = if bytes.len() > end { "…" } else { "" };
    match text.filter(|text| {
        !text.contains(|character: char| character.is_control() && !"\t\r\n".contains(character))
    }) {
        Some(text) => format!("{text}{ellipsis}"),
        None => {
            let hex: String = start.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
            format!("0x{hex}{}", if bytes.len() > 64 { "…" } else { "" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_codec::{Publish, QoS};

    fn traced(packet: &Packet<'_>, kept: usize) -> TracedPacket {
        let mut bytes = Vec::new();
        packet.encode(ProtocolVersion::V5, &mut bytes);
        let length = bytes.len();
        bytes.truncate(kept);
        TracedPacket { version: ProtocolVersion::V5, bytes: bytes.into(), length }
    }

    fn publish<'a>(payload: &'a [u8]) -> Publish<'a> {
        Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: "plant/7",
            packet_identifier: None,
            topic_alias: None,
            subscription_identifiers: dunlin_codec::SubscriptionIdentifiers::default(),
            properties: MessageProperties::default(),
            payload,
        }
    }

    #[test]
    fn a_publish_shows_its_topic_and_its_payload_as_text() {
        let (name, fields) = fields(&traced(&Packet::Publish(publish("21,5 °C".as_bytes())), 4096));
        assert_eq!(name, "PUBLISH");
        assert_eq!(fields["topic"], "plant/7");
        assert_eq!(fields["payload"], "21,5 °C");
        assert_eq!(fields["payload_bytes"], 8);
    }

    #[test]
    fn a_payload_that_is_no_text_is_shown_in_hexadecimal() {
        let (_, fields) = fields(&traced(&Packet::Publish(publish(&[0xFF, 0x00, 0x10])), 4096));
        assert_eq!(fields["payload"], "0xff0010");
    }

    #[test]
    fn a_long_publish_says_how_long_it_is_although_its_end_is_missing() {
        let payload = vec![b'x'; 5000];
        let (_, fields) = fields(&traced(&Packet::Publish(publish(&payload)), 1000));
        assert_eq!(fields["payload_bytes"], 5000);
        assert!(fields["payload"].as_str().is_some_and(|text| text.ends_with('…')));
    }
}
