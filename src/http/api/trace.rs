//! `/api/v1/trace`: one client, one address or some topics watched live, as a stream of events (`text/event-stream`).

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use dunlin_core::identity::ClientIdentifier;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::subscribe::event;
use crate::http::parameters::Parameters;
use crate::http::port::Remote;
use crate::http::problem::Problem;
use crate::operations::Operations;
use crate::trace::{Seen, TraceError, TraceRequest};

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(trace))
}

/// Streams what happens to a client, to the clients of an address, or to the messages of some topics: an event `line`
/// for each packet and each decision, and `lost` for those that there was no room for. Exactly one of the parameters
/// says what is watched.
#[utoipa::path(
    get, path = "/api/v1/trace", tag = "streams", security(("token" = ["read"])),
    params(
        ("client" = Option<String>, Query, description = "A client identifier"),
        ("address" = Option<String>, Query, description = "An IP address"),
        ("topic" = Option<String>, Query, description = "A Topic Filter"),
    ),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events `line` and `lost`"))
)]
async fn trace(
    State(operations): State<Operations>,
    ConnectInfo(remote): ConnectInfo<Remote>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let request = request(&parameters)?;
    // Whoever comes so far has shown a token.
    remote.lifetime.lift()?;
    let trace = operations.trace(request).await?;
    let events = unfold(trace, async |mut trace| {
        let event = match trace.next().await? {
            Seen::Line(line) => event("line", &line),
            Seen::Lost(count) => event("lost", &json!({ "count": count })),
        };
        Some((Ok(event), trace))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn request(parameters: &[(String, String)]) -> Result<TraceRequest, Problem> {
    let [(name, value)] = parameters else {
        return Err(Problem::bad_request("needs exactly one of client, address and topic"));
    };
    let wrong = |should: &str| Problem::bad_request(format!("{name} = {value:?}: {should}"));
    match name.as_str() {
        "client" => ClientIdentifier::new(value)
            .map(TraceRequest::Client)
            .ok_or_else(|| wrong("must be a client identifier")),
        "address" => value
            .parse::<IpAddr>()
            .map(TraceRequest::Address)
            .map_err(|_| wrong("must be an IP address, without a port")),
        "topic" => TraceRequest::topic(value).map_err(Into::into),
        _ => Err(Problem::bad_request(format!(
            "unknown parameter {name:?}: there are client, address and topic"
        ))),
    }
}

impl From<TraceError> for Problem {
    fn from(error: TraceError) -> Self {
        match error {
            TraceError::Stopping | TraceError::TooMany => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
            TraceError::Filter(problem) => Self::bad_request(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_thing_is_watched_and_it_must_be_one() {
        let judged = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            request(&pairs).map_err(|problem| problem.detail)
        };
        assert!(matches!(judged(&[("topic", "a/#")]), Ok(TraceRequest::Topic(_))));
        assert!(matches!(judged(&[("address", "::1")]), Ok(TraceRequest::Address(_))));
        assert!(judged(&[]).unwrap_err().starts_with("needs exactly one"));
        assert!(judged(&[("client", "a"), ("topic", "b")]).unwrap_err().starts_with("needs exactly one"));
        assert!(judged(&[("topic", "a/#/b")]).unwrap_err().contains("no Topic Filter"));
        assert!(judged(&[("address", "127.0.0.1:80")]).unwrap_err().contains("without a port"));
        assert!(judged(&[("who", "a")]).unwrap_err().contains("unknown parameter"));
    }
}
