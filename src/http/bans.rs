//! `/api/v1/bans`: who is shut out, for those who have the token.
//!
//! `GET` lists, `POST` adds (or changes), `DELETE` removes; the latter two name whom in a JSON object, `network` and,
//! for one client there, `client`. `POST` takes `duration_s`, too. `dunlin ban` is a client of this.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::token::ApiToken;
use crate::config::Network;
use crate::operations::Operations;
use crate::worker::Banned;

/// The path.
pub const PATH: &str = "/api/v1/bans";

/// The longest ban by hand.
pub const DURATION_S_MAX: u64 = 10 * 365 * 24 * 3600;

/// What the API needs.
#[derive(Clone)]
pub struct Api {
    /// The way to the broker.
    pub operations: Operations,
    /// Who may ask. Without a data directory there is no token, and nobody may.
    pub token: Option<Arc<ApiToken>>,
}

/// A ban as the API tells it.
#[derive(Debug, Serialize, Deserialize)]
pub struct BanEntry {
    /// The address or network.
    pub network: String,
    /// The client identifier, if it is about one client there.
    pub client: Option<String>,
    /// `failures`, `flapping` or `operator`.
    pub cause: String,
    /// How long it still lasts.
    pub ends_in_s: u32,
}

/// The answer to `GET`.
#[derive(Debug, Serialize, Deserialize)]
pub struct BanList {
    /// By network.
    pub bans: Vec<BanEntry>,
}

/// What `POST` and `DELETE` are about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BanRequest {
    /// An address or a network.
    pub network: String,
    /// The client identifier, for one client there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// How long, for `POST`; without it, `ban.duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<u64>,
}

impl BanRequest {
    fn banned(&self) -> Result<Banned, String> {
        let network = Network::parse(&self.network)
            .map_err(|problem| format!("network = {:?}: {problem}", self.network))?;
        Ok(Banned { network, client: self.client.as_deref().map(Into::into) })
    }
}

pub(super) fn router(api: Api) -> Router {
    Router::new()
        .route(PATH, get(list).post(add).delete(remove))
        .route_layer(from_fn_with_state(api.clone(), guard))
        .with_state(api)
}

/// Lets nobody through without the token, before a byte of what they want is looked at.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Some(token) = &api.token else {
        return failure(
            StatusCode::FORBIDDEN,
            "without a data directory (store.path) there is no token for this",
        );
    };
    let shown = request.headers().get(header::AUTHORIZATION);
    if shown.is_some_and(|value| token.is_shown_by(value.as_bytes())) {
        return next.run(request).await;
    }
    let mut refusal =
        failure(StatusCode::UNAUTHORIZED, "needs the token in the data directory's file api-token");
    refusal.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    refusal
}

async fn list(State(api): State<Api>) -> Json<BanList> {
    let (now, bans) = api.operations.gate.bans();
    let entries = bans.into_iter().map(|ban| BanEntry {
        network: ban.banned.network.to_string(),
        client: ban.banned.client.map(Into::into),
        cause: ban.cause.name().to_owned(),
        ends_in_s: ban.until.seconds_from(now),
    });
    Json(BanList { bans: entries.collect() })
}

async fn add(State(api): State<Api>, body: Bytes) -> Response {
    let (request, banned) = match parse(&body) {
        Ok(parsed) => parsed,
        Err(problem) => return failure(StatusCode::BAD_REQUEST, &problem),
    };
    if request.duration_s.is_some_and(|duration_s| duration_s == 0 || duration_s > DURATION_S_MAX) {
        return failure(StatusCode::BAD_REQUEST, &format!("duration_s must be 1 to {DURATION_S_MAX}"));
    }
    match api.operations.gate.ban(banned, request.duration_s.map(Duration::from_secs)) {
        Ok(()) => {
            let (network, client) = (&request.network, &request.client);
            tracing::info!(network, ?client, "an operator has banned");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(_) => failure(StatusCode::CONFLICT, "is never banned, because ban.allow lists it"),
    }
}

async fn remove(State(api): State<Api>, body: Bytes) -> Response {
    match parse(&body) {
        Ok((request, banned)) if api.operations.gate.lift_ban(&banned) => {
            let (network, client) = (&request.network, &request.client);
            tracing::info!(network, ?client, "an operator has lifted a ban");
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(_) => failure(StatusCode::NOT_FOUND, "is not banned"),
        Err(problem) => failure(StatusCode::BAD_REQUEST, &problem),
    }
}

fn parse(body: &[u8]) -> Result<(BanRequest, Banned), String> {
    let request: BanRequest = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let banned = request.banned()?;
    Ok((request, banned))
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
