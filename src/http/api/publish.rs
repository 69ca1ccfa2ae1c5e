//! `/api/v1/publish`: a message in the broker's own name. The answer comes when it is durable where it has to be.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::message::{self, Content};
use crate::http::audit::Subject;
use crate::http::body::JsonBody;
use crate::http::problem::Problem;
use crate::operations::Operations;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(publish))
}

/// A message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    topic: String,
    /// The payload as text. This or the next one.
    payload: Option<String>,
    /// The payload, encoded.
    payload_base64: Option<String>,
    /// 0, 1 or 2.
    #[serde(default)]
    #[schema(maximum = 2)]
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

/// Publishes a message; the answer comes when it is durable where it has to be.
#[utoipa::path(
    post, path = "/api/v1/publish", tag = "messages", security(("token" = ["admin"])), request_body = NewMessage,
    responses((status = 204), (status = 507, description = "there is no room to retain it"))
)]
async fn publish(
    State(operations): State<Operations>,
    JsonBody(new): JsonBody<NewMessage>,
) -> Result<(StatusCode, Extension<Subject>), Problem> {
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
    Ok((StatusCode::NO_CONTENT, Extension(Subject(new.topic))))
}
