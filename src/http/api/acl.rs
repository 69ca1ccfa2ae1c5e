//! `/api/v1/acl`: the rules about topics (`auth.acl_file`), as text.
//!
//! A new text is judged whole by the parser that the broker itself uses, replaces the file as a whole, and is applied
//! at once.

use std::path::PathBuf;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{on_disk, reread_files};
use crate::auth::Acl;
use crate::http::body::TextBody;
use crate::http::problem::Problem;
use crate::operations::Operations;
use crate::whole_file;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(show, put))
}

/// The rules.
#[derive(Serialize, ToSchema)]
struct Rules {
    /// The file.
    file: String,
    /// What it says.
    text: String,
}

/// Shows the rules about topics.
#[utoipa::path(
    get, path = "/api/v1/acl", tag = "acl", security(("token" = ["read"])),
    responses((status = 200, body = Rules), (status = 409, description = "there is no ACL file"))
)]
async fn show(State(operations): State<Operations>) -> Result<Json<Rules>, Problem> {
    let path = acl_file(&operations)?;
    on_disk(move || match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Json(Rules { file: path.display().to_string(), text })),
        Err(error) => {
            let detail = format!("{}: cannot be read: {error}", path.display());
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
        }
    })
    .await
}

/// Replaces the rules about topics, unless something is wrong with them.
#[utoipa::path(
    put, path = "/api/v1/acl", tag = "acl", security(("token" = ["admin"])),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 204), (status = 409, description = "there is no ACL file, or it could not be applied"))
)]
async fn put(State(operations): State<Operations>, TextBody(text): TextBody) -> Result<StatusCode, Problem> {
    let path = acl_file(&operations)?;
    on_disk(move || {
        Acl::parse(text.as_bytes(), &path).map_err(|error| {
            let detail = format!("nothing is changed: {error}");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        })?;
        whole_file::replace(&path, text.as_bytes(), whole_file::Mode::Keep).map_err(|error| {
            let detail = format!("{}: cannot be written: {error}", path.display());
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        })
    })
    .await?;
    reread_files(&operations, "the ACL file").await?;
    Ok(StatusCode::NO_CONTENT)
}

fn acl_file(operations: &Operations) -> Result<PathBuf, Problem> {
    operations.config.load().auth.acl_file.clone().ok_or_else(|| {
        Problem::new(StatusCode::CONFLICT, "there is no ACL file: set auth.acl_file and reload")
    })
}
