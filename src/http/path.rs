//! What a path names, read or refused with a problem document.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::problem::Problem;

/// The one part of a path that is a name: a client, a topic, a user. What is no UTF-8, once decoded, is 400.
pub struct NamedBy(pub String);

impl<S: Send + Sync> FromRequestParts<S> for NamedBy {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = Path::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name)).map_err(|_| Problem::bad_request("the path is no UTF-8"))
    }
}
