//! `/api/v1/config`: what the broker runs with, and reading it again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::reasons;
use crate::config::{EffectiveOption, Place};
use crate::http::problem::Problem;
use crate::operations::{Operations, Reloaded, Reread, Unfulfilled};

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(show)).routes(routes!(reload))
}

/// The configuration.
#[derive(Serialize, ToSchema)]
struct Configuration {
    /// In the order of the reference.
    options: Vec<ConfigurationOption>,
}

/// One option.
#[derive(Serialize, ToSchema)]
struct ConfigurationOption {
    /// Its name, such as `session.max_inflight` or `listener.0.url`.
    name: String,
    /// Its value as TOML, `(set)` for a secret; null if it is unset.
    value: Option<String>,
    /// What has set it.
    origin: Origin,
    /// The file and line, the variable or the flag.
    #[serde(rename = "where")]
    place: Option<String>,
    /// Whether a reload applies a change; else it takes a restart.
    reloads: bool,
}

/// What has set an option.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Origin {
    Default,
    File,
    Environment,
    Flag,
}

impl From<EffectiveOption> for ConfigurationOption {
    fn from(option: EffectiveOption) -> Self {
        let origin = match &option.origin {
            Place::Default => Origin::Default,
            Place::File(_) | Place::Line(..) => Origin::File,
            Place::Environment(_) => Origin::Environment,
            Place::Flag(_) => Origin::Flag,
        };
        let place = (option.origin != Place::Default).then(|| option.origin.to_string());
        let EffectiveOption { name, value, needs_restart, .. } = option;
        Self { name, value, origin, place, reloads: !needs_restart }
    }
}

/// Shows every option with what is in force, and where that was written.
#[utoipa::path(
    get, path = "/api/v1/config", tag = "config", security(("token" = ["read"])),
    responses((status = 200, body = Configuration))
)]
async fn show(State(operations): State<Operations>) -> Json<Configuration> {
    Json(Configuration { options: operations.effective().into_iter().map(Into::into).collect() })
}

/// Reads the configuration again, as SIGHUP does.
#[utoipa::path(
    post, path = "/api/v1/config/reload", tag = "config", security(("token" = ["admin"])),
    responses(
        (status = 200, body = Reloaded),
        (status = 409, description = "the program that runs this broker cannot do that"),
        (status = 422, description = "the configuration is wrong, and nothing has changed; `errors` has all that is wrong")
    )
)]
async fn reload(State(operations): State<Operations>) -> Result<Json<Reloaded>, Problem> {
    operations.reread(Reread::Configuration).await.map(Json).map_err(|error| match &error {
        Unfulfilled::NobodyThere => Problem::new(StatusCode::CONFLICT, error.to_string()),
        Unfulfilled::Wrong(_) => {
            let detail = "the configuration is wrong, and nothing has changed";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_errors(reasons(&error))
        }
    })
}
