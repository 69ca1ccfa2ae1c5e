//! `/api/v1/subscribe`: messages as they are published, as a stream of events (`text/event-stream`).
//!
//! A watcher is no client (`shard/tap.rs` of the core): no Session, no acknowledgements, and nobody waits for it. First
//! come the Retained Messages that match, then whatever is published. What a watcher is too slow for is lost, and an
//! event `lost` says how much that was, in its place.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::{ConnectInfo, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use dunlin_codec::{QoS, TopicFilter, TopicName};
use dunlin_core::message::ApplicationMessage;
use dunlin_core::retained::Cursor;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::message;
use crate::http::moment::Moment;
use crate::http::parameters::Parameters;
use crate::http::port::Remote;
use crate::http::problem::Problem;
use crate::operations::{OpenTap, Operations};
use crate::worker::Heard;

/// Filters of one watcher.
const FILTERS_MAX: usize = 100;

/// Topics of Retained Messages that one visit to a worker looks at, and how many it brings.
const VISIT: usize = 1024;
const RETAINED_AT_ONCE: usize = 64;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(subscribe))
}

/// A message, as an event tells it.
#[derive(Debug, Serialize)]
struct Message {
    topic: String,
    /// The payload, if it is UTF-8.
    payload: Option<String>,
    payload_base64: String,
    qos: u8,
    /// It was retained before the watcher came.
    retain: bool,
    /// When the broker took it in.
    at: Moment,
}

/// Messages that the watcher was too slow for.
#[derive(Debug, Serialize)]
struct Lost {
    count: u64,
}

/// What is watched, judged.
struct Watched {
    filters: Vec<Box<str>>,
    maximum_qos: QoS,
}

impl Watched {
    fn new(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut filters = Vec::new();
        let mut maximum_qos = QoS::ExactlyOnce;
        for (name, value) in parameters {
            match name.as_str() {
                "filter" => filters.push(judged(value)?),
                "qos" => {
                    let qos = value.parse().ok().and_then(QoS::from_bits);
                    let wrong = || Problem::bad_request(format!("qos = {value:?}: must be 0, 1 or 2"));
                    maximum_qos = qos.ok_or_else(wrong)?;
                }
                _ => {
                    let detail = format!("unknown parameter {name:?}: there are filter and qos");
                    return Err(Problem::bad_request(detail));
                }
            }
        }
        match filters.len() {
            1..=FILTERS_MAX => Ok(Self { filters, maximum_qos }),
            count => Err(Problem::bad_request(format!(
                "filter: is needed once to {FILTERS_MAX} times, not {count}"
            ))),
        }
    }
}

fn judged(filter: String) -> Result<Box<str>, Problem> {
    if filter.starts_with("$share/") {
        let detail = format!("filter = {filter:?}: a watcher takes no part in a shared group");
        return Err(Problem::bad_request(detail));
    }
    match TopicFilter::parse(&filter) {
        Ok(_) => Ok(filter.into()),
        Err(error) => Err(Problem::bad_request(format!("filter = {filter:?}: {error}"))),
    }
}

/// Streams messages as they are published.
#[utoipa::path(
    get, path = "/api/v1/subscribe", tag = "streams", security(("token" = ["read"])), params(("filter" = Vec<String>, Query, description = "A Topic Filter; several are several parameters"), ("qos" = Option<u8>, Query, description = "The highest QoS that is shown")),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events `message` and `lost`"))
)]
async fn subscribe(
    State(operations): State<Operations>,
    ConnectInfo(remote): ConnectInfo<Remote>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let watched = Watched::new(parameters)?;
    // Whoever comes so far has shown a token.
    remote.lifetime.lift()?;
    // Before the Retained Messages, so that nothing is missed between the two.
    let tap = operations.open_tap(watched.filters.clone()).await?;
    let watcher =
        Watcher { operations, watched, tap, retained: VecDeque::new(), walk: Some(Walk::default()) };
    let events = unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Some((Ok(event), watcher))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// How far the Retained Messages are sent.
#[derive(Default)]
struct Walk {
    /// Which filter.
    filter: usize,
    /// Where in it; none at its beginning.
    cursor: Option<Cursor>,
}

struct Watcher {
    operations: Operations,
    watched: Watched,
    tap: OpenTap,
    /// Those that are read and not sent.
    retained: VecDeque<ApplicationMessage>,
    walk: Option<Walk>,
}

impl Watcher {
    /// The next event; `None` when the broker stops.
    async fn next(&mut self) -> Option<Event> {
        if let Some(message) = self.next_retained().await {
            return Some(self.event_of(&message, true));
        }
        Some(match self.tap.next().await? {
            Heard::One(message) => self.event_of(&message, false),
            Heard::Lost(count) => event("lost", &Lost { count }),
        })
    }

    async fn next_retained(&mut self) -> Option<ApplicationMessage> {
        loop {
            if let Some(message) = self.retained.pop_front() {
                return Some(message);
            }
            let walk = self.walk.take()?;
            let filter = self.watched.filters.get(walk.filter)?.clone();
            let now = self.operations.gate.now();
            let visit = move |worker: &crate::worker::Worker| {
                let shard = worker.shard.borrow();
                let mut cursor = walk.cursor.unwrap_or_else(|| shard.retained_cursor(&filter, None));
                (shard.retained_page(&mut cursor, RETAINED_AT_ONCE, VISIT), cursor)
            };
            // Without an answer the broker is stopping, which the tap says, too.
            let (found, cursor) = self.operations.ask(0, visit).await.ok()?;
            let is_first = |message: &ApplicationMessage| {
                let before = self.watched.filters.iter().take(walk.filter);
                !before.into_iter().any(|filter| matches(filter, message.topic()))
            };
            let there = found.into_iter().filter(|message| !message.is_expired(now) && is_first(message));
            self.retained = there.collect();
            self.walk = Some(match cursor.is_done() {
                true => Walk { filter: walk.filter + 1, cursor: None },
                false => Walk { cursor: Some(cursor), ..walk },
            });
        }
    }

    fn event_of(&self, message: &ApplicationMessage, retain: bool) -> Event {
        let (payload, payload_base64) = message::payload(message);
        let topic = message.topic().to_owned();
        let qos = message.qos.min(self.watched.maximum_qos) as u8;
        let at = message.id.received_at.into();
        event("message", &Message { topic, payload, payload_base64, qos, retain, at })
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    let parsed = TopicFilter::parse(filter).ok().zip(TopicName::parse(topic).ok());
    parsed.is_some_and(|(filter, topic)| filter.matches(topic))
}

/// An event with this name, as JSON.
pub(super) fn event(name: &str, data: &impl Serialize) -> Event {
    // These are texts and numbers, of which JSON can be made.
    let data = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_judged_before_anything_is_opened() {
        let watched = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Watched::new(pairs.collect())
                .map(|watched| watched.filters.len())
                .map_err(|problem| problem.detail)
        };
        assert_eq!(watched(&[("filter", "a/#"), ("filter", "b"), ("qos", "1")]), Ok(2));
        assert!(watched(&[]).unwrap_err().starts_with("filter: is needed"));
        assert!(watched(&[("filter", "a/#/b")]).unwrap_err().starts_with("filter = \"a/#/b\""));
        assert!(watched(&[("filter", "$share/g/a")]).unwrap_err().contains("shared group"));
        assert!(watched(&[("filter", "a"), ("qos", "3")]).unwrap_err().starts_with("qos"));
        assert!(watched(&[("filtre", "a")]).unwrap_err().contains("filter and qos"));
    }
}
