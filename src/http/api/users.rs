//! `/api/v1/users`: the users of the password file (`auth.password_file`).
//!
//! A change is written as `dunlin passwd` writes it, whole and beside other editors, and applied at once. Nothing is
//! written that a broker would not load.

use std::path::PathBuf;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use super::{on_disk, reread_files};
use crate::auth::{PasswordFile, PasswordLines, hash_password, scram_verifier, user_name_problem};
use crate::http::body::JsonBody;
use crate::http::path::NamedBy;
use crate::http::port::Remote;
use crate::http::problem::Problem;
use crate::operations::Operations;

/// The longest password that MQTT can carry, in bytes (5.0, section 1.5.6).
const PASSWORD_BYTES_MAX: usize = 65_535;

/// How slow a verifier for SCRAM makes guessing; what `dunlin passwd add --scram` takes, too.
const SCRAM_ITERATIONS: u32 = 100_000;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(put, remove))
}

/// The users.
#[derive(Serialize, ToSchema)]
struct UserList {
    /// In the order of the file.
    users: Vec<User>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
struct User {
    /// The user name.
    name: String,
    /// The password file.
    file: String,
}

/// What a user gets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The password. A user who has a verifier for SCRAM-SHA-256 gets another one, all others a hash with argon2id.
    #[schema(min_length = 1, max_length = 65535)]
    password: String,
}

/// Lists the users of the password file.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users", security(("token" = ["read"])),
    responses((status = 200, body = UserList), (status = 409, description = "there is no password file"))
)]
async fn list(State(operations): State<Operations>) -> Result<Json<UserList>, Problem> {
    let path = password_file(&operations)?;
    on_disk(move || {
        let lines = open(&path)?;
        let user = |name: &str| User { name: name.to_owned(), file: path.display().to_string() };
        Ok(Json(UserList { users: lines.users().map(user).collect() }))
    })
    .await
}

/// Adds a user, or gives one another password.
#[utoipa::path(
    put, path = "/api/v1/users/{name}", tag = "users", security(("token" = ["admin"])),
    params(("name" = String, Path, description = "The user name")), request_body = NewPassword,
    responses((status = 204), (status = 409, description = "there is no password file, or it could not be applied"))
)]
async fn put(
    State(operations): State<Operations>,
    ConnectInfo(remote): ConnectInfo<Remote>,
    NamedBy(name): NamedBy,
    JsonBody(NewPassword { password }): JsonBody<NewPassword>,
) -> Result<StatusCode, Problem> {
    let password = Zeroizing::new(password);
    if let Some(problem) = user_name_problem(&name) {
        return Err(wrong(format!("the user name {name:?} {problem}; choose another")));
    }
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(wrong(format!("password must have 1 to {PASSWORD_BYTES_MAX} bytes")));
    }
    let path = password_file(&operations)?;
    // A busy machine may take its time over the hash.
    remote.lifetime.lift()?;
    on_disk(move || {
        // Hashing takes long on purpose, so it comes before other editors have to wait.
        let has_verifier = open(&path)?.hash_of(&name).is_some_and(|hash| hash.starts_with("SCRAM-SHA-256$"));
        let hash = if has_verifier {
            scram_verifier(password.as_bytes(), SCRAM_ITERATIONS)
                .map_err(|problem| wrong(problem.to_string()))?
        } else {
            hash_password(password.as_bytes()).map_err(|error| unwritten(&path, &error.to_string()))?
        };
        let mut lines = open(&path)?;
        lines.set(&name, &hash);
        save(lines, &path)
    })
    .await?;
    reread_files(&operations, "the password file").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a user.
#[utoipa::path(
    delete, path = "/api/v1/users/{name}", tag = "users", security(("token" = ["admin"])),
    params(("name" = String, Path, description = "The user name")),
    responses(
        (status = 204), (status = 404, description = "there is no such user"),
        (status = 409, description = "there is no password file, or it could not be applied")
    )
)]
async fn remove(State(operations): State<Operations>, NamedBy(name): NamedBy) -> Result<StatusCode, Problem> {
    let path = password_file(&operations)?;
    on_disk(move || {
        let mut lines = open(&path)?;
        if !lines.remove(&name) {
            let detail = format!("there is no user {name:?} in {}", path.display());
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
        save(lines, &path)
    })
    .await?;
    reread_files(&operations, "the password file").await?;
    Ok(StatusCode::NO_CONTENT)
}

fn password_file(operations: &Operations) -> Result<PathBuf, Problem> {
    operations.config.load().auth.password_file.clone().ok_or_else(|| {
        let detail = "there is no password file: set auth.password_file and reload";
        Problem::new(StatusCode::CONFLICT, detail)
    })
}

fn open(path: &std::path::Path) -> Result<PasswordLines, Problem> {
    PasswordLines::open(path)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn save(lines: PasswordLines, path: &std::path::Path) -> Result<(), Problem> {
    if let Err(error) = PasswordFile::parse(lines.text(), path) {
        let detail = format!("nothing is changed, since no broker would load the file: {error}");
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    lines.save().map_err(|error| unwritten(path, &error.to_string()))
}

fn wrong(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

fn unwritten(path: &std::path::Path, error: &str) -> Problem {
    let detail = format!("{}: cannot be written: {error}", path.display());
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}
