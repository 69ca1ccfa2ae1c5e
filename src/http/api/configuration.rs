//! `/api/v1/config`: reading the configuration again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::reasons;
use crate::http::problem::Problem;
use crate::operations::{Operations, Reloaded, Reread, Unfulfilled};

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(reload))
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
