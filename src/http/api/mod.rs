//! The API: every endpoint below `/api/v1`, one file for each noun.
//!
//! `all` is the one list. An endpoint is a handler with `#[utoipa::path(...)]`, which says its path, its answers and
//! its scope (`security(("token" = ["read"]))` or `["admin"]`), and `routes!` puts it into the router and into the
//! OpenAPI document at once. The guard (`guard.rs`) reads the scope from the document, so what is not there is closed.
//! What every operation can answer (401, 403 and so on) is added to the document here, once.
//!
//! Handlers take bodies by `body.rs`, names in a path by `path.rs` and what follows the `?` by `parameters.rs`, because
//! axum's own ways answer what they refuse in plain text; and they answer errors by [`Problem`]. Whatever reads a disk
//! runs on a blocking thread, because this one accepts connections.

mod page;
mod status;
mod clients;
mod subscriptions;
mod topics;
mod topic_rates;
mod retained;
mod message;
mod publish;
mod subscribe;
mod groups;
mod listeners;
mod drops;
mod metrics;
mod trace;
pub mod bans;
mod log;
mod users;
mod acl;
mod configuration;
mod backup;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use utoipa::PartialSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::Access;
use super::audit::Audit;
use super::guard::{Guard, SCHEME, Scopes, guard, no_such_path};
use super::problem::{MEDIA_TYPE, Problem};
use crate::operations::{Operations, Reread, Unfulfilled};

/// What every operation may answer, beside what it says itself.
const COMMON: [(&str, &str); 6] = [
    ("400", "the request cannot be understood"),
    ("401", "no token, or one that opens nothing"),
    ("403", "the token may only read"),
    ("429", "too many requests without a right token at once"),
    ("500", "the broker failed at it; its log says where"),
    ("503", "the broker is stopping, or busy with too many such requests"),
];

/// What an operation with a body may answer, too.
const WITH_BODY: [(&str, &str); 3] = [
    ("413", "the body is larger than `http.max_body`"),
    ("415", "the body is of another type"),
    ("422", "the body is understood, and wrong"),
];

/// All endpoints, and the document about them as they describe themselves.
fn all() -> OpenApiRouter<Operations> {
    OpenApiRouter::default()
        .routes(routes!(openapi))
        .merge(status::routes())
        .merge(clients::routes())
        .merge(subscriptions::routes())
        .merge(topics::routes())
        .merge(topic_rates::routes())
        .merge(retained::routes())
        .merge(publish::routes())
        .merge(subscribe::routes())
        .merge(groups::routes())
        .merge(listeners::routes())
        .merge(drops::routes())
        .merge(metrics::routes())
        .merge(trace::routes())
        .merge(bans::routes())
        .merge(users::routes())
        .merge(acl::routes())
        .merge(configuration::routes())
        .merge(log::routes())
        .merge(backup::routes())
}

/// The router, behind its guard, and the guard.
pub(super) fn router(operations: &Operations, access: Access, audit: Audit) -> (Router, Arc<Guard>) {
    let (router, described) = all().split_for_parts();
    let guarded = Arc::new(Guard::new(access, audit, Scopes::of(&described)));
    let body_bytes_max = usize::try_from(operations.config.load().http.max_body.0).unwrap_or(usize::MAX);
    let router = router
        .route("/api", any(nowhere))
        .route("/api/", any(nowhere))
        .route("/api/{*path}", any(nowhere))
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .route_layer(from_fn_with_state(Arc::clone(&guarded), guard))
        .with_state(operations.clone());
    (router, guarded)
}

async fn nowhere() -> Problem {
    no_such_path()
}

/// Gives this document.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "document", security(("token" = ["read"])),
    responses((status = 200, body = Object, description = "The description of the API, in OpenAPI 3.1"))
)]
async fn openapi() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(document);
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// The OpenAPI document, as `docs/openapi.json` has it.
pub fn document() -> String {
    let mut document = serde_json::to_value(all().into_openapi()).unwrap_or_default();
    document["info"] = json!({
        "title": "Dunlin",
        "description": "What operators see and do while the broker runs. docs/api.md introduces it.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        "version": env!("CARGO_PKG_VERSION"),
    });
    document["components"]["securitySchemes"][SCHEME] = json!({
        "type": "http",
        "scheme": "bearer",
        "description": "A token from `dunlin token create`, with the scope read or admin. A client certificate does as well.",
    });
    document["components"]["schemas"]["Problem"] = json!(Problem::schema());
    let paths = document["paths"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let paths = paths.into_iter().map(|(path, mut item)| {
        item.as_object_mut().into_iter().flatten().for_each(|(_, operation)| complete(operation));
        // To the router, `{*name}` is all the rest of the path; OpenAPI has no word for it.
        (path.replace("{*", "{"), item)
    });
    document["paths"] = paths.collect();
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// Adds to an operation what each can answer.
fn complete(operation: &mut Value) {
    let with_body = if operation.get("requestBody").is_some() { &WITH_BODY[..] } else { &[] };
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, description) in COMMON.iter().chain(with_body) {
        responses.entry(*status).or_insert_with(|| json!({ "description": description }));
    }
    for (status, response) in responses {
        if status.starts_with(['4', '5']) {
            response["content"] =
                json!({ MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } });
        }
    }
}

/// Has whoever owns the broker read files again after one of them was changed.
async fn reread_files(operations: &Operations, changed: &str) -> Result<(), Problem> {
    operations.reread(Reread::Files).await.map(drop).map_err(|error| {
        let detail = format!("{changed} is written, but the broker still uses what it had before");
        Problem::new(StatusCode::CONFLICT, detail).with_errors(reasons(&error))
    })
}

/// Why something was not read again, one sentence each.
fn reasons(error: &Unfulfilled) -> Vec<String> {
    match error {
        Unfulfilled::Wrong(errors) => errors.0.iter().map(ToString::to_string).collect(),
        Unfulfilled::NobodyThere => vec![error.to_string()],
    }
}

/// Does something that may wait for a disk.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    spawn_blocking(work).await.unwrap_or_else(|_| {
        let detail = "the broker failed at this; its log says where";
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_says_its_scope_and_whatever_changes_something_needs_admin() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        let mut operations = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            assert!(path.starts_with("/api/v1/"), "{path}");
            for (method, operation) in item.as_object().unwrap() {
                let expected = if method == "get" { "read" } else { "admin" };
                assert_eq!(operation["security"], json!([{ "token": [expected] }]), "{method} {path}");
                assert!(operation["summary"].is_string(), "{method} {path} says what it does");
                operations += 1;
            }
        }
        assert!(operations > 10);
    }
}
