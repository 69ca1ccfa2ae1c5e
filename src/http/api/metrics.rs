//! `/api/v1/metrics`: what `/metrics` says, as JSON.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::problem::Problem;
use crate::metrics::{Family, families};
use crate::operations::Operations;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(show))
}

/// All metrics.
#[derive(Debug, Serialize, ToSchema)]
struct Metrics {
    /// Each with `name`, `type` (`counter`, `gauge` or `histogram`), `help` and `samples`. A sample has `labels` and
    /// either a `value` or, of a histogram, `buckets` (pairs of an upper bound and how many do not exceed it), `sum` and
    /// `count`.
    #[schema(value_type = Vec<Object>)]
    metrics: Vec<Family>,
}

/// Shows all metrics, as docs/metrics.md lists them.
#[utoipa::path(
    get, path = "/api/v1/metrics", tag = "numbers", security(("token" = ["read"])),
    responses((status = 200, body = Metrics))
)]
async fn show(State(operations): State<Operations>) -> Result<Json<Metrics>, Problem> {
    Ok(Json(Metrics { metrics: families(&operations).await? }))
}
