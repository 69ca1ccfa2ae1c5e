//! `/api/v1/retained`: Retained Messages by filter, and one of them to read, write or clear.
//!
//! In the path, a topic has its slashes as they are; whatever else a path cannot hold is percent-encoded. A list is
//! in the order of topics, level by level: a topic that is there all the time is on exactly one page.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dunlin_codec::{QoS, TopicFilter, TopicName};
use dunlin_core::message::ApplicationMessage;
use dunlin_core::retained::Cursor;
use dunlin_core::shard::OwnMessage;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::message::{self, Content, Properties};
use super::page;
use crate::http::body::JsonBody;
use crate::http::moment::Moment;
use crate::http::parameters::Parameters;
use crate::http::path::NamedBy;
use crate::http::problem::Problem;
use crate::operations::Operations;

/// Topics that one visit to a worker looks at.
const VISIT: usize = 1024;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(show, set, clear))
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    /// A Topic Filter. `#` leaves out topics that begin with `$`, as it does for clients.
    filter: String,
    /// Entries of the page; 100 unless something else is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { filter: "#".to_owned(), limit: None, after: None }
    }
}

/// A page of Retained Messages.
#[derive(Debug, Serialize, ToSchema)]
struct RetainedList {
    messages: Vec<Retained>,
    next: Option<String>,
}

/// A Retained Message, without its payload.
#[derive(Debug, Serialize, ToSchema)]
struct Retained {
    topic: String,
    qos: u8,
    /// Of the payload.
    size_bytes: usize,
    received_at: Moment,
    expires_at: Option<Moment>,
    /// The client that published it; none for the broker itself.
    writer: Option<String>,
}

/// A Retained Message.
#[derive(Debug, Serialize, ToSchema)]
struct RetainedMessage {
    #[serde(flatten)]
    retained: Retained,
    /// The payload, if it is UTF-8.
    payload: Option<String>,
    payload_base64: String,
    properties: Properties,
}

/// What is to be retained.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRetained {
    /// The payload as text. This or the next one; not empty.
    payload: Option<String>,
    /// The payload, encoded.
    payload_base64: Option<String>,
    /// 0, 1 or 2.
    #[serde(default)]
    #[schema(maximum = 2)]
    qos: u8,
    message_expiry_s: Option<u32>,
    content_type: Option<String>,
    /// Pairs of name and value, in order.
    #[serde(default)]
    user_properties: Vec<(String, String)>,
}

impl From<&ApplicationMessage> for Retained {
    fn from(message: &ApplicationMessage) -> Self {
        Self {
            topic: message.topic().to_owned(),
            qos: message.qos as u8,
            size_bytes: message.payload().len(),
            received_at: message.id.received_at.into(),
            expires_at: message.expires_at.map(Moment::from),
            writer: message.writer().map(|writer| writer.client_identifier.as_str().to_owned()),
        }
    }
}

/// Lists Retained Messages by filter, in pages.
#[utoipa::path(
    get, path = "/api/v1/retained", tag = "messages", security(("token" = ["read"])), params(Wanted),
    responses((status = 200, body = RetainedList))
)]
async fn list(
    State(operations): State<Operations>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<RetainedList>, Problem> {
    let limit = page::limit(wanted.limit)?;
    let mut after = page::open(wanted.after.as_deref(), |topic| Some(topic.to_owned()))?;
    let filter = &wanted.filter;
    TopicFilter::parse(filter)
        .map_err(|error| Problem::bad_request(format!("filter = {filter:?}: {error}")))?;
    let now = operations.gate.now();
    let mut messages: Vec<Retained> = Vec::new();
    let mut walk: Option<Cursor> = None;
    let next = loop {
        let (filter, from, room) = (filter.clone(), after.take(), limit - messages.len());
        let (found, cursor) = operations
            .ask(0, move |worker| {
                let shard = worker.shard.borrow();
                let mut cursor = walk.unwrap_or_else(|| shard.retained_cursor(&filter, from.as_deref()));
                (shard.retained_page(&mut cursor, room, VISIT), cursor)
            })
            .await?;
        let there = found.iter().filter(|message| !message.is_expired(now));
        messages.extend(there.map(Retained::from));
        if cursor.is_done() {
            break None;
        }
        if messages.len() == limit {
            break found.last().map(|message| message.topic().to_owned());
        }
        walk = Some(cursor);
    };
    Ok(Json(RetainedList { messages, next: next.map(|topic| page::seal(&topic)) }))
}

/// Shows a Retained Message with its payload.
#[utoipa::path(
    get, path = "/api/v1/retained/{*topic}", tag = "messages", security(("token" = ["read"])), params(("topic" = String, Path, description = "A Topic Name, with its slashes as they are")),
    responses((status = 200, body = RetainedMessage), (status = 404, description = "nothing is retained there"))
)]
async fn show(
    State(operations): State<Operations>,
    NamedBy(topic): NamedBy,
) -> Result<Json<RetainedMessage>, Problem> {
    judged(&topic)?;
    let (wanted, now) = (topic.clone(), operations.gate.now());
    let found = operations
        .ask(0, move |worker| worker.shard.borrow().retained_message(&wanted).cloned())
        .await?
        .filter(|message| !message.is_expired(now))
        .ok_or_else(|| nothing_retained(&topic))?;
    let (payload, payload_base64) = message::payload(&found);
    let properties = Properties::of(&found);
    Ok(Json(RetainedMessage { retained: Retained::from(&found), payload, payload_base64, properties }))
}

/// What is no Topic Name has no message.
fn judged(topic: &str) -> Result<(), Problem> {
    TopicName::parse(topic).map(drop).map_err(|_| nothing_retained(topic))
}

/// Publishes a Retained Message.
#[utoipa::path(
    put, path = "/api/v1/retained/{*topic}", tag = "messages", security(("token" = ["admin"])), params(("topic" = String, Path, description = "A Topic Name, with its slashes as they are")), request_body = NewRetained,
    responses((status = 204), (status = 507, description = "there is no room for it"))
)]
async fn set(
    State(operations): State<Operations>,
    NamedBy(topic): NamedBy,
    JsonBody(new): JsonBody<NewRetained>,
) -> Result<StatusCode, Problem> {
    let content = Content {
        payload: new.payload,
        payload_base64: new.payload_base64,
        qos: new.qos,
        message_expiry_s: new.message_expiry_s,
        content_type: new.content_type,
        user_properties: new.user_properties,
        ..Content::default()
    };
    let message = content.into_message(&topic, true)?;
    if message.payload.is_empty() {
        return Err(Problem::unprocessable("payload: must not be empty; DELETE clears a Retained Message"));
    }
    message::publish(&operations, message).await?;
    tracing::info!(topic, "an operator has set a Retained Message");
    Ok(StatusCode::NO_CONTENT)
}

/// Clears a Retained Message.
#[utoipa::path(
    delete, path = "/api/v1/retained/{*topic}", tag = "messages", security(("token" = ["admin"])), params(("topic" = String, Path, description = "A Topic Name, with its slashes as they are")),
    responses((status = 204), (status = 404, description = "nothing is retained there"), (status = 422, description = "topics below $SYS are the broker's"))
)]
async fn clear(State(operations): State<Operations>, NamedBy(topic): NamedBy) -> Result<StatusCode, Problem> {
    judged(&topic)?;
    let wanted = topic.clone();
    let is_there =
        operations.ask(0, move |worker| worker.shard.borrow().retained_message(&wanted).is_some()).await?;
    if !is_there {
        return Err(nothing_retained(&topic));
    }
    let qos = QoS::AtMostOnce;
    let (payload, forwarded) = (Box::default(), Box::default());
    let message =
        OwnMessage { topic: topic.as_str().into(), payload, qos, retain: true, expiry_s: None, forwarded };
    message::publish(&operations, message).await?;
    tracing::info!(topic, "an operator has cleared a Retained Message");
    Ok(StatusCode::NO_CONTENT)
}

fn nothing_retained(topic: &str) -> Problem {
    Problem::not_found(format!("the topic {topic:?} has no Retained Message"))
}
