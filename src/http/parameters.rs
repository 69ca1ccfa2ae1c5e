//! The parameters after the `?` of a request, read whole or refused with a problem document.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// See the top of the file. A parameter that `T` does not know is an error: `T` denies unknown fields.
pub struct Parameters<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri).map(|Query(parameters)| Self(parameters)).map_err(|rejection| {
            let text = rejection.body_text();
            // Without axum's introduction.
            let reason = text.split_once(": ").map_or(&*text, |(_, reason)| reason);
            Problem::bad_request(format!("the query is wrong: {reason}"))
        })
    }
}
