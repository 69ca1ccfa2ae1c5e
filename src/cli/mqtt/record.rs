//! The JSON of `--json`: one object a line, with all that a message says.
//!
//! `payload` is a text when it is UTF-8 (or `--json=text` asks for it), otherwise digits; `encoding` says which. User
//! Properties are a list of pairs, because a name can come again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use jiff::Zoned;
use serde::Serialize;

use crate::client::Message;

/// How payloads are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// Text where it is UTF-8, base64 where it is not
    Auto,
    /// Text, with U+FFFD for what is not UTF-8
    Text,
    /// Base64
    Base64,
    /// Hexadecimal digits
    Hex,
}

#[derive(Serialize)]
struct Record<'a> {
    time: String,
    topic: &'a str,
    qos: u8,
    retain: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dup: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_identifier: Option<u16>,
    encoding: &'static str,
    payload: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<PropertyRecord<'a>>,
}

#[derive(Serialize, PartialEq, Default)]
struct PropertyRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format_indicator: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_alias: Option<u16>,
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    subscription_identifiers: &'a [u32],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<(&'a str, &'a str)>,
}

/// The line of a message, without its end.
pub fn line(message: &Message, now: &Zoned, encoding: Encoding) -> String {
    let (encoding, payload) = encode(&message.payload, encoding);
    let properties = &message.properties;
    let properties = PropertyRecord {
        payload_format_indicator: properties.payload_format_is_utf8.map(u8::from),
        message_expiry_interval: properties.message_expiry_interval_s,
        content_type: properties.content_type.as_deref(),
        response_topic: properties.response_topic.as_deref(),
        // It is binary, and what it means only its receiver knows.
        correlation_data: properties.correlation_data.as_ref().map(|data| STANDARD.encode(data)),
        topic_alias: message.topic_alias.map(std::num::NonZeroU16::get),
        subscription_identifiers: &message.subscription_identifiers,
        user_properties: properties.user_properties.iter().collect(),
    };
    let record = Record {
        time: super::template::time(now, "%FT%T.%6f%:z"),
        topic: &message.topic,
        qos: message.qos.bits(),
        retain: message.retain,
        dup: message.dup,
        packet_identifier: message.packet_identifier.map(dunlin_codec::PacketIdentifier::get),
        encoding,
        payload,
        properties: (properties != PropertyRecord::default()).then_some(properties),
    };
    // Texts and numbers can always be written.
    serde_json::to_string(&record).unwrap_or_default()
}

fn encode(payload: &[u8], encoding: Encoding) -> (&'static str, String) {
    match (encoding, std::str::from_utf8(payload)) {
        (Encoding::Auto, Ok(text)) => ("text", text.to_owned()),
        (Encoding::Text, _) => ("text", String::from_utf8_lossy(payload).into_owned()),
        (Encoding::Auto | Encoding::Base64, _) => ("base64", STANDARD.encode(payload)),
        (Encoding::Hex, _) => ("hex", payload.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_says_how_it_is_written() {
        assert_eq!(encode("ä".as_bytes(), Encoding::Auto), ("text", "ä".into()));
        assert_eq!(encode(&[0xFF, 0], Encoding::Auto), ("base64", "/wA=".into()));
        assert_eq!(encode(&[0xFF, b'a'], Encoding::Text), ("text", "\u{FFFD}a".into()));
        assert_eq!(encode(b"a", Encoding::Base64), ("base64", "YQ==".into()));
        assert_eq!(encode(&[0xFF, 0], Encoding::Hex), ("hex", "ff00".into()));
    }
}
