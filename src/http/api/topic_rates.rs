//! `/api/v1/topics/rates`: the topics that are published most, retained or not.
//!
//! Messages are counted by topic only while somebody asks; the core's `topic_counts.rs` says how, and what is bounded.

use axum::Json;
use axum::extract::State;
use dunlin_codec::TopicFilter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page;
use crate::http::moment::Moment;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::operations::{Operations, TopicRate};

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(list))
}

/// Which topics.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    /// A Topic Filter. `#` leaves out topics that begin with `$`, as it does for clients.
    filter: String,
    /// Topics that are listed; 100 unless something else is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { filter: "#".to_owned(), limit: None }
    }
}

/// Topics with how often they are published.
#[derive(Debug, Serialize, ToSchema)]
struct TopicRateList {
    /// The busiest first.
    topics: Vec<RateOfTopic>,
    /// How many match in all, among those that are kept apart.
    matched: usize,
    /// Of all of these.
    messages_per_s: f64,
    /// Of all of these, payloads.
    bytes_per_s: f64,
    /// Messages of all topics, matching or not, that are not kept apart: each worker keeps 1,024, the busiest, and none
    /// that is longer than 1,024 bytes.
    other_messages_per_s: f64,
    /// When the counting of these began: at the look before, by whomever it was.
    since: Moment,
    /// How long it went on.
    window_s: f64,
}

/// A topic, and how often it is published.
#[derive(Debug, Serialize, ToSchema)]
struct RateOfTopic {
    topic: String,
    messages_per_s: f64,
    /// Of payloads.
    bytes_per_s: f64,
    /// So many more messages there can have been, where there are more topics than are kept apart.
    missed_per_s_max: f64,
}

impl From<TopicRate> for RateOfTopic {
    fn from(rate: TopicRate) -> Self {
        Self {
            topic: rate.topic.into(),
            messages_per_s: rounded(rate.messages_per_s),
            bytes_per_s: rounded(rate.bytes_per_s),
            missed_per_s_max: rounded(rate.missed_per_s_max),
        }
    }
}

/// Lists the topics that are published most, retained or not, with messages and bytes a second.
///
/// Asking begins to count, so the first answer takes a second; further ones are about the time since the one before. Ten
/// seconds after the last, nothing is counted any more.
#[utoipa::path(
    get, path = "/api/v1/topics/rates", tag = "messages", security(("token" = ["read"])), params(Wanted),
    responses((status = 200, body = TopicRateList))
)]
async fn list(
    State(operations): State<Operations>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<TopicRateList>, Problem> {
    let limit = page::limit(wanted.limit)?;
    let filter = wanted.filter;
    TopicFilter::parse(&filter)
        .map_err(|error| Problem::bad_request(format!("filter = {filter:?}: {error}")))?;
    let found = operations.topic_rates(filter).await?;
    let sum = |of: fn(&TopicRate) -> f64| rounded(found.topics.iter().map(of).sum());
    Ok(Json(TopicRateList {
        matched: found.topics.len(),
        messages_per_s: sum(|rate| rate.messages_per_s),
        bytes_per_s: sum(|rate| rate.bytes_per_s),
        other_messages_per_s: rounded(found.other_messages_per_s),
        since: found.since.into(),
        window_s: rounded(found.window.as_secs_f64()),
        topics: found.topics.into_iter().take(limit).map(RateOfTopic::from).collect(),
    }))
}

/// To a thousandth: what lies below is an accident of when it was asked. Nothing is 0, not -0.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0 + 0.0
}
