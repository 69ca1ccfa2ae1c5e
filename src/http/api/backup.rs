//! `/api/v1/backup`: a consistent copy of the store, made while the broker runs, as `dunlin store backup` makes it.

use std::path::{Path, PathBuf};

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use dunlin_store::{RealDisk, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::on_disk;
use crate::http::audit::Subject;
use crate::http::body::JsonBody;
use crate::http::port::Remote;
use crate::http::problem::Problem;
use crate::operations::Operations;

/// One at a time: two would only make each other slower.
static UNDER_WAY: Semaphore = Semaphore::const_new(1);

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(copy))
}

/// Where the copy goes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BackupRequest {
    /// An absolute path on the broker's machine, where there is nothing yet.
    destination: String,
}

/// What was copied.
#[derive(Serialize, ToSchema)]
struct Backup {
    /// The copy: a data directory to start on.
    destination: String,
    /// Its size.
    bytes: u64,
}

/// Copies the store, while the broker goes on.
#[utoipa::path(
    post, path = "/api/v1/backup", tag = "backup", security(("token" = ["admin"])), request_body = BackupRequest,
    responses(
        (status = 200, body = Backup),
        (status = 409, description = "there is no store, or something at the destination, or a backup is under way")
    )
)]
async fn copy(
    State(operations): State<Operations>,
    ConnectInfo(remote): ConnectInfo<Remote>,
    JsonBody(BackupRequest { destination }): JsonBody<BackupRequest>,
) -> Result<(Extension<Subject>, Json<Backup>), Problem> {
    let conflict = |detail: String| Problem::new(StatusCode::CONFLICT, detail);
    let Some(data_dir) = operations.started_with.store.path.clone() else {
        return Err(conflict("this broker has no store: store.path is not set".to_owned()));
    };
    let path = PathBuf::from(&destination);
    if !path.is_absolute() || destination.contains('\0') {
        let detail = format!("destination {destination:?} must be an absolute path on the broker's machine");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let alone = UNDER_WAY.try_acquire().map_err(|_| conflict("another backup is under way".to_owned()))?;
    remote.lifetime.lift()?;
    let bytes = on_disk(move || {
        let _alone = alone;
        if path.symlink_metadata().is_ok() {
            return Err(conflict(format!("there is something at {} already", path.display())));
        }
        copied(&data_dir, &path).map_err(|error| conflict(error.to_string()))
    })
    .await?;
    Ok((Extension(Subject(destination.clone())), Json(Backup { destination, bytes })))
}

fn copied(data_dir: &Path, destination: &Path) -> Result<u64, StoreError> {
    let source = RealDisk::of_reader(data_dir)?;
    Ok(dunlin_store::backup(&source, &RealDisk::of_copy(destination)?)?.bytes)
}
