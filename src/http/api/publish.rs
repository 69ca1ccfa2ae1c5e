//! `/api/v1/publish`: a message in the broker's own name. The answer comes when it is durable where it has to be.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;

use super::message::{self, Content};
use crate::http::body::JsonBody;
use crate::http::problem::Problem;
use crate::operations::Operations;

pub(super) fn routes() -> Router<Operations> {
    Router::new().route("/api/v1/publish", post(publish))
}

/// A message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    topic: String,
    /// The payload as text. This or the next one.
    payload: Option<String>,
    /// The payload, encoded.
    payload_base64: Option<String>,
    /// 0, 1 or 2.
    #[serde(default)]
    qos: u8,
    /// An empty payload clears what is retained.
    #[serde(default)]
    retain: bool,
    message_expiry_s: Option<u32>,
    content_type: Option<String>,
    response_topic: Option<String>,
    correlation_data_base64: Option<String>,
    /// Pairs of name and value, in order.
    #[serde(default)]
    user_properties: Vec<(String, String)>,
}

async fn publish(
    State(operations): State<Operations>,
    JsonBody(new): JsonBody<NewMessage>,
) -> Result<StatusCode, Problem> {
    let content = Content {
        payload: new.payload,
        payload_base64: new.payload_base64,
        qos: new.qos,
        message_expiry_s: new.message_expiry_s,
        content_type: new.content_type,
        response_topic: new.response_topic,
        correlation_data_base64: new.correlation_data_base64,
        user_properties: new.user_properties,
    };
    message::publish(&operations, content.into_message(&new.topic, new.retain)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
