//! `/api/v1/topics`: the topics of Retained Messages, one level of the tree at a time.
//!
//! `below` is the beginning of topics whose next level is shown: a topic from this list and a `/`. (The `/` may be
//! left out, except behind an empty level.) Empty, it stands for the first levels.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page;
use crate::http::moment::Moment;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::operations::Operations;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(list))
}

/// Which level.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    below: String,
    /// Entries of the page; 100 unless something else is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A page of a level.
#[derive(Debug, Serialize, ToSchema)]
struct TopicList {
    /// In order.
    topics: Vec<Topic>,
    next: Option<String>,
}

/// A topic, or the beginning of some.
#[derive(Debug, Serialize, ToSchema)]
struct Topic {
    /// The last level of it.
    level: String,
    topic: String,
    /// Whether this topic itself has a Retained Message.
    has_message: bool,
    /// Whether topics below it have.
    has_children: bool,
    qos: Option<u8>,
    /// Of the payload.
    size_bytes: Option<usize>,
    received_at: Option<Moment>,
}

/// Lists the levels below a level in the topics of Retained Messages, in pages.
#[utoipa::path(
    get, path = "/api/v1/topics", tag = "messages", security(("token" = ["read"])), params(Wanted),
    responses((status = 200, body = TopicList))
)]
async fn list(
    State(operations): State<Operations>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<TopicList>, Problem> {
    let limit = page::limit(wanted.limit)?;
    let after = page::open(wanted.after.as_deref(), |level| Some(level.to_owned()))?;
    let mut below = wanted.below;
    if below.contains('\0') {
        return Err(Problem::bad_request("below: a topic contains no U+0000"));
    }
    if !below.is_empty() && !below.ends_with('/') {
        below.push('/');
    }
    let prefix = below.clone();
    // Every worker keeps all Retained Messages; one more than is wanted says whether there is another page.
    let mut children = operations
        .ask(0, move |worker| worker.shard.borrow().retained_children(&below, after.as_deref(), limit + 1))
        .await?;
    let has_more = children.len() > limit;
    children.truncate(limit);
    let next = children.last().filter(|_| has_more).map(|last| page::seal(&last.level));
    let topics = children.into_iter().map(|child| Topic {
        topic: format!("{prefix}{}", child.level),
        level: child.level.into(),
        has_message: child.message.is_some(),
        has_children: child.has_children,
        qos: child.message.as_ref().map(|message| message.qos as u8),
        size_bytes: child.message.as_ref().map(|message| message.payload().len()),
        received_at: child.message.as_ref().map(|message| message.id.received_at.into()),
    });
    Ok(Json(TopicList { topics: topics.collect(), next }))
}
