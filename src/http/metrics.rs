//! `/metrics`, for Prometheus.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::metrics::{CONTENT_TYPE, exposition, families};
use crate::operations::Operations;

pub(super) fn router(operations: Operations) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(operations)
}

async fn metrics(State(operations): State<Operations>) -> Response {
    match families(&operations).await {
        Ok(families) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], exposition(&families)).into_response(),
        Err(stopping) => (StatusCode::SERVICE_UNAVAILABLE, format!("{stopping}\n")).into_response(),
    }
}
