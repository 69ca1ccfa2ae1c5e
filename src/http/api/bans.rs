//! `/api/v1/bans`: who is shut out.
//!
//! `GET` lists, `POST` adds (or changes), `DELETE` removes; the latter two name whom in a JSON object, `network` and,
//! for one client there, `client`. `POST` takes `duration_s`, too. `dunlin ban` is a client of this.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::Network;
use crate::http::audit::Subject;
use crate::http::body::JsonBody;
use crate::http::problem::Problem;
use crate::operations::Operations;
use crate::worker::Banned;

/// The path.
pub const PATH: &str = "/api/v1/bans";

/// The longest ban by hand.
pub const DURATION_S_MAX: u64 = 10 * 365 * 24 * 3600;

/// A ban as the API tells it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BanList {
    /// By network.
    pub bans: Vec<BanEntry>,
}

/// What `POST` and `DELETE` are about.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BanRequest {
    /// An address or a network.
    #[schema(example = "203.0.113.0/24")]
    pub network: String,
    /// The client identifier, for one client there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// How long, for `POST`; without it, `ban.duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 315_360_000)]
    pub duration_s: Option<u64>,
}

impl BanRequest {
    fn banned(&self) -> Result<Banned, Problem> {
        let network = Network::parse(&self.network)
            .map_err(|problem| wrong(format!("network = {:?}: {problem}", self.network)))?;
        Ok(Banned { network, client: self.client.as_deref().map(Into::into) })
    }

    /// For the audit log.
    fn subject(&self) -> Extension<Subject> {
        let client = self.client.as_ref().map(|client| format!(" client {client:?}")).unwrap_or_default();
        Extension(Subject(format!("{}{client}", self.network)))
    }
}

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(list, add, remove))
}

/// Lists who is banned, why and for how long.
#[utoipa::path(
    get, path = "/api/v1/bans", tag = "bans", security(("token" = ["read"])),
    responses((status = 200, body = BanList))
)]
async fn list(State(operations): State<Operations>) -> Json<BanList> {
    let (now, bans) = operations.gate.bans();
    let entries = bans.into_iter().map(|ban| BanEntry {
        network: ban.banned.network.to_string(),
        client: ban.banned.client.map(Into::into),
        cause: ban.cause.name().to_owned(),
        ends_in_s: ban.until.seconds_from(now),
    });
    Json(BanList { bans: entries.collect() })
}

/// Bans an address or a network, or one client there.
#[utoipa::path(
    post, path = "/api/v1/bans", tag = "bans", security(("token" = ["admin"])), request_body = BanRequest,
    responses((status = 204), (status = 409, description = "`ban.allow` has it"))
)]
async fn add(
    State(operations): State<Operations>,
    JsonBody(request): JsonBody<BanRequest>,
) -> Result<(StatusCode, Extension<Subject>), Problem> {
    let banned = request.banned()?;
    if request.duration_s.is_some_and(|duration_s| duration_s == 0 || duration_s > DURATION_S_MAX) {
        return Err(wrong(format!("duration_s must be 1 to {DURATION_S_MAX}")));
    }
    match operations.gate.ban(banned, request.duration_s.map(Duration::from_secs)) {
        Ok(()) => {
            let (network, client) = (&request.network, request.client.as_deref());
            tracing::info!(network, client, "an operator has banned");
            Ok((StatusCode::NO_CONTENT, request.subject()))
        }
        Err(_) => Err(Problem::new(StatusCode::CONFLICT, "is never banned, because ban.allow lists it")),
    }
}

/// Ends a ban.
#[utoipa::path(
    delete, path = "/api/v1/bans", tag = "bans", security(("token" = ["admin"])), request_body = BanRequest,
    responses((status = 204), (status = 404, description = "there is no such ban"))
)]
async fn remove(
    State(operations): State<Operations>,
    JsonBody(request): JsonBody<BanRequest>,
) -> Result<(StatusCode, Extension<Subject>), Problem> {
    if !operations.gate.lift_ban(&request.banned()?) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "is not banned"));
    }
    let (network, client) = (&request.network, request.client.as_deref());
    tracing::info!(network, client, "an operator has lifted a ban");
    Ok((StatusCode::NO_CONTENT, request.subject()))
}

fn wrong(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}
