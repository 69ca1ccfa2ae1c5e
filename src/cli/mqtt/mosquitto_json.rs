//! The JSON of mosquitto_sub's `%j` and `%J`. Its names are mosquitto's; that of `--json` is in `record.rs`.
//!
//! User Properties are an object in it, although a name can come again: the list is in `--json`.

use jiff::Zoned;
use serde_json::{Value, json};

use super::json_text;
use super::template::time;
use crate::client::Message;

/// With the payload as a text.
pub fn with_text_payload(message: &Message, now: &Zoned, is_pretty: bool) -> String {
    let payload = match message.payload.is_empty() {
        true => "null".to_owned(),
        false => Value::from(String::from_utf8_lossy(&message.payload)).to_string(),
    };
    object(message, now, &payload, is_pretty)
}

/// With the payload as what it is; `None` if that is no JSON.
pub fn with_json_payload(message: &Message, now: &Zoned, is_pretty: bool) -> Option<String> {
    if message.payload.is_empty() {
        return Some(object(message, now, "null", is_pretty));
    }
    let payload = std::str::from_utf8(&message.payload).ok()?;
    serde_json::from_str::<serde::de::IgnoredAny>(payload).ok()?;
    Some(object(message, now, &json_text::compact(payload), is_pretty))
}

fn object(message: &Message, now: &Zoned, payload: &str, is_pretty: bool) -> String {
    let mut members = vec![
        ("tst", json!(time(now, "%FT%T.%6f%z")).to_string()),
        ("topic", json!(message.topic).to_string()),
        ("qos", message.qos.bits().to_string()),
        ("retain", u8::from(message.retain).to_string()),
        ("payloadlen", message.payload.len().to_string()),
    ];
    members.extend(message.packet_identifier.map(|identifier| ("mid", identifier.to_string())));
    let properties = properties(message);
    if !properties.is_empty() {
        members.push(("properties", json_text::object(&properties)));
    }
    members.push(("payload", payload.to_owned()));
    let object = json_text::object(&members);
    if is_pretty { json_text::indent(&object) } else { object }
}

fn properties(message: &Message) -> Vec<(&'static str, String)> {
    let properties = &message.properties;
    let text = |text: &str| json!(text).to_string();
    let mut members = Vec::new();
    members.extend(
        properties.payload_format_is_utf8.map(|is| ("payload-format-indicator", u8::from(is).to_string())),
    );
    members.extend(properties.message_expiry_interval_s.map(|s| ("message-expiry-interval", s.to_string())));
    members.extend(properties.content_type.as_deref().map(|value| ("content-type", text(value))));
    members.extend(properties.response_topic.as_deref().map(|value| ("response-topic", text(value))));
    let correlation = properties.correlation_data.as_deref().map(String::from_utf8_lossy);
    members.extend(correlation.map(|value| ("correlation-data", text(&value))));
    members.extend(
        message.subscription_identifiers.iter().map(|number| ("subscription-identifier", number.to_string())),
    );
    members.extend(message.topic_alias.map(|alias| ("topic-alias", alias.to_string())));
    if !properties.user_properties.is_empty() {
        let pairs: Vec<_> =
            properties.user_properties.iter().map(|(name, value)| (name, text(value))).collect();
        members.push(("user-properties", json_text::object(&pairs)));
    }
    members
}
