//! `/api/v1/log`: how much is logged, at present. A reload brings back what the configuration says.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::LogFilter;
use crate::http::audit::Subject;
use crate::http::body::JsonBody;
use crate::http::problem::Problem;
use crate::log::LogControl;
use crate::operations::Operations;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(show, put))
}

/// How much is logged.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LogLevel {
    /// A level, or directives for modules, as `log.level` has them.
    #[schema(example = "info,dunlin::tls=debug")]
    level: String,
}

/// Shows the level of the log.
#[utoipa::path(
    get, path = "/api/v1/log", tag = "log", security(("token" = ["read"])),
    responses((status = 200, body = LogLevel), (status = 409, description = "the log belongs to another program"))
)]
async fn show(State(operations): State<Operations>) -> Result<Json<LogLevel>, Problem> {
    Ok(Json(LogLevel { level: log(&operations)?.level().as_str().to_owned() }))
}

/// Changes the level of the log, until a reload.
#[utoipa::path(
    put, path = "/api/v1/log", tag = "log", security(("token" = ["admin"])), request_body = LogLevel,
    responses((status = 204), (status = 409, description = "the log belongs to another program"))
)]
async fn put(
    State(operations): State<Operations>,
    JsonBody(LogLevel { level }): JsonBody<LogLevel>,
) -> Result<(StatusCode, Extension<Subject>), Problem> {
    let log = log(&operations)?;
    let Some(filter) = LogFilter::parse(&level) else {
        let detail = format!(
            "level = {level:?}: must be error, warn, info, debug, trace or off, or directives such as \
             info,dunlin::tls=debug"
        );
        return Err(Problem::unprocessable(detail));
    };
    log.set_level(&filter);
    Ok((StatusCode::NO_CONTENT, Extension(Subject(level))))
}

fn log(operations: &Operations) -> Result<&LogControl, Problem> {
    let detail = "the log belongs to the program that runs this broker";
    operations.log().ok_or_else(|| Problem::conflict(detail))
}
