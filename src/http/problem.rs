//! What the API answers when it does not do what was asked: a problem document (RFC 9457).
//!
//! One type for all endpoints, and the extractors that read a request and fail with it, so that a program that uses
//! the API finds one shape. The detail says what was wrong and what would be right; it never repeats a token or
//! a password.

use std::fmt;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::operations::Stopping;

/// A problem document. It is an error like any other until it is answered.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is; `about:blank` means that the status says all.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind in words, the same for all of its kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong this time, and what would be right.
    pub detail: String,
    /// The single errors, where there can be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

impl Problem {
    /// A problem of which the status says the kind.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Unknown").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// 400: the request cannot be read, or a parameter is not one.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404: what the path names is not there.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: it is at odds with what there is.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 422: the body is JSON, and wrong.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// The same with all errors that were found.
    pub fn with_errors(self, errors: Vec<String>) -> Self {
        Self { errors, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl From<Stopping> for Problem {
    fn from(stopping: Stopping) -> Self {
        Self::unavailable(stopping.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let content_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }
}

/// The parameters after the `?`. One that `T` does not know is an error, if `T` denies unknown fields as it should.
pub struct Parameters<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        serde_urlencoded::from_str(query)
            .map(Self)
            .map_err(|error| Problem::bad_request(format!("the query is wrong: {error}")))
    }
}

/// A JSON body. What is no JSON is 400, what is another JSON 422, and one that is too large 413.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_json = content_type.is_none_or(|value| {
            let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case("application/json")
        });
        if !is_json {
            let detail = "the body must be application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| match error.classify() {
            Category::Data => Problem::unprocessable(format!("the body is wrong: {error}")),
            _ => Problem::bad_request(format!("the body is no JSON: {error}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[allow(dead_code)]
        qos: u8,
    }

    async fn read(body: &'static str, content_type: &str) -> Result<Wanted, u16> {
        let request =
            Request::builder().header(header::CONTENT_TYPE, content_type).body(body.into()).unwrap();
        Body::from_request(request, &()).await.map(|Body(wanted)| wanted).map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn a_body_is_wrong_in_one_of_four_ways() {
        assert_eq!(read("{\"qos\":1}", "application/json; charset=utf-8").await.unwrap().qos, 1);
        assert_eq!(read("{\"qos\":1}", "text/plain").await.unwrap_err(), 415);
        assert_eq!(read("{\"qos\":", "application/json").await.unwrap_err(), 400);
        assert_eq!(read("{\"qos\":\"1\"}", "application/json").await.unwrap_err(), 422);
        assert_eq!(read("{\"qos\":1,\"Qos\":1}", "application/json").await.unwrap_err(), 422);
    }

    #[test]
    fn a_problem_is_a_problem_document() {
        let response = Problem::not_found("there is no client \"a\"").into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let document = serde_json::to_value(Problem::not_found("gone")).unwrap();
        let expected = serde_json::json!({
            "type": "about:blank", "title": "Not Found", "status": 404, "detail": "gone",
        });
        assert_eq!(document, expected);
    }
}
