//! Messages as the API takes and shows them: payloads as text or base64, properties by name.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dunlin_codec::{
    MessageProperties, QoS, TopicName, UserProperties, decode_forwarded, encode_user_properties,
};
use dunlin_core::message::ApplicationMessage;
use dunlin_core::shard::{OwnMessage, Unpublished};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::operations::{Operations, Refusal};

/// The longest text or binary data that MQTT can carry, in bytes (5.0 section 1.5.4).
const TEXT_BYTES_MAX: usize = 65_535;

/// The longest payload that is sure to fit into a PUBLISH with its topic and properties, in bytes.
const PAYLOAD_BYTES_MAX: usize = 268_435_455 - 1024 * 1024;

/// What a message to be published says beside its topic.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Content {
    /// The payload as text. This or the next one.
    pub payload: Option<String>,
    /// The payload, encoded.
    pub payload_base64: Option<String>,
    /// 0, 1 or 2.
    pub qos: u8,
    pub message_expiry_s: Option<u32>,
    pub content_type: Option<String>,
    pub response_topic: Option<String>,
    pub correlation_data_base64: Option<String>,
    /// Pairs of name and value, in order.
    pub user_properties: Vec<(String, String)>,
}

impl Content {
    /// The message for a topic, judged whole.
    pub fn into_message(self, topic: &str, retain: bool) -> Result<OwnMessage, Problem> {
        judge_topic("topic", topic)?;
        let qos = QoS::from_bits(self.qos).ok_or_else(|| wrong("qos", "must be 0, 1 or 2"))?;
        let payload = match (self.payload, self.payload_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(encoded)) => decode("payload_base64", &encoded)?,
            _ => return Err(wrong("payload", "is needed, or payload_base64, and not both")),
        };
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "no MQTT packet holds such a payload"));
        }
        if let Some(content_type) = &self.content_type {
            judge_text("content_type", content_type)?;
        }
        if let Some(response_topic) = &self.response_topic {
            judge_topic("response_topic", response_topic)?;
        }
        let correlation_data = match &self.correlation_data_base64 {
            Some(encoded) => Some(decode("correlation_data_base64", encoded)?),
            None => None,
        };
        if correlation_data.as_ref().is_some_and(|data| data.len() > TEXT_BYTES_MAX) {
            return Err(wrong("correlation_data_base64", "must be at most 65,535 bytes"));
        }
        for (name, value) in &self.user_properties {
            judge_text("user_properties", name)?;
            judge_text("user_properties", value)?;
        }
        let pairs: Vec<_> = self.user_properties.iter().map(|(name, value)| (&**name, &**value)).collect();
        let user_properties = encode_user_properties(&pairs);
        let properties = MessageProperties {
            content_type: self.content_type.as_deref(),
            response_topic: self.response_topic.as_deref(),
            correlation_data: correlation_data.as_deref(),
            user_properties: UserProperties::from_encoded(&user_properties),
            ..MessageProperties::default()
        };
        let mut forwarded = Vec::new();
        properties.write_forwarded(&mut forwarded);
        Ok(OwnMessage {
            topic: topic.into(),
            payload: payload.into(),
            qos,
            retain,
            expiry_s: self.message_expiry_s,
            forwarded: forwarded.into(),
        })
    }
}

/// The properties of a message, those that it has.
#[derive(Debug, Default, Serialize, PartialEq, Eq, ToSchema)]
pub struct Properties {
    /// The payload says that it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_format_is_utf8: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_data_base64: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub user_properties: Vec<(String, String)>,
}

impl Properties {
    /// Those of a message.
    pub fn of(message: &ApplicationMessage) -> Self {
        // The broker has encoded them itself.
        let properties = decode_forwarded(message.forwarded()).unwrap_or_default();
        let pairs = properties.user_properties.iter();
        Self {
            payload_format_is_utf8: properties.payload_format_is_utf8,
            content_type: properties.content_type.map(str::to_owned),
            response_topic: properties.response_topic.map(str::to_owned),
            correlation_data_base64: properties.correlation_data.map(|data| STANDARD.encode(data)),
            user_properties: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}

/// A payload: its text, if it is UTF-8, and its bytes.
pub fn payload(message: &ApplicationMessage) -> (Option<String>, String) {
    let payload = message.payload();
    (std::str::from_utf8(payload).ok().map(str::to_owned), STANDARD.encode(payload))
}

/// Publishes until it is durable where it has to be.
pub async fn publish(operations: &Operations, message: OwnMessage) -> Result<(), Problem> {
    let topic = message.topic.clone();
    operations.publish(message).await.map_err(|refusal| match refusal {
        Refusal::Unpublished(Unpublished::Reserved) => {
            Problem::unprocessable(format!("topic = {topic:?}: topics below $SYS are the broker's own"))
        }
        Refusal::Unpublished(Unpublished::Topic(problem)) => {
            Problem::unprocessable(format!("topic = {topic:?}: {problem} (limits.max_topic_length, limits.max_topic_levels)"))
        }
        Refusal::Unpublished(Unpublished::NoRoom) => Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "there is no room for another Retained Message (retained.max_messages, retained.max_bytes, limits.max_memory)",
        ),
        Refusal::Unpublished(Unpublished::Store) => {
            Problem::unavailable("the store does not write at present; /readyz says why")
        }
        Refusal::NotDurable => {
            Problem::unavailable("it was published, and the store or the broker stopped before it was durable")
        }
        Refusal::Stopping => Problem::unavailable("the broker is stopping"),
    })
}

fn judge_topic(member: &str, topic: &str) -> Result<(), Problem> {
    let problem = |error: String| Problem::unprocessable(format!("{member} = {topic:?}: {error}"));
    TopicName::parse(topic).map(drop).map_err(|error| problem(error.to_string()))
}

// spec(v5): [MQTT-1.5.4-2]
fn judge_text(member: &str, text: &str) -> Result<(), Problem> {
    if text.len() > TEXT_BYTES_MAX || text.contains('\0') {
        return Err(wrong(member, "must be at most 65,535 bytes without U+0000"));
    }
    Ok(())
}

fn decode(member: &str, encoded: &str) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(encoded).map_err(|error| wrong(member, &format!("must be base64 with padding: {error}")))
}

fn wrong(member: &str, problem: &str) -> Problem {
    Problem::unprocessable(format!("{member}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_packet_could_carry_is_refused_by_name() {
        let refused = |content: Content, topic: &str| content.into_message(topic, false).unwrap_err().detail;
        let text = || Content { payload: Some("x".into()), ..Content::default() };
        assert!(text().into_message("a/b", false).is_ok());
        assert!(refused(text(), "a/+").starts_with("topic = \"a/+\""));
        assert!(refused(text(), "").starts_with("topic"));
        assert!(refused(Content::default(), "t").starts_with("payload:"));
        assert!(
            refused(Content { payload_base64: Some("eA==".into()), ..text() }, "t").starts_with("payload:")
        );
        let wrong = Content { payload_base64: Some("???".into()), ..Content::default() };
        assert!(refused(wrong, "t").starts_with("payload_base64:"));
        assert!(refused(Content { qos: 3, ..text() }, "t").starts_with("qos:"));
        assert!(
            refused(Content { content_type: Some("\0".into()), ..text() }, "t").starts_with("content_type")
        );
        assert!(
            refused(Content { response_topic: Some("#".into()), ..text() }, "t")
                .starts_with("response_topic")
        );
        let long = "x".repeat(65_536);
        let pairs = vec![("a".into(), long)];
        assert!(refused(Content { user_properties: pairs, ..text() }, "t").starts_with("user_properties"));
    }
}
