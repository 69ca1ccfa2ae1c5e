//! What a request brings, JSON or text, read whole or refused with a problem document. How long it may be is a layer of
//! the router (`http.max_body`).

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::problem::Problem;

/// A JSON object. What is no JSON is 400, what is another JSON 422, and one that is too large 413.
pub struct JsonBody<T>(pub T);

/// A body of text. What is no UTF-8 is 400, and one that is too large 413.
pub struct TextBody(pub String);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = read(request, state, "application/json").await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
            Category::Data => Problem::unprocessable(format!("the body is wrong: {error}")),
            _ => Problem::bad_request(format!("the body is no JSON: {error}")),
        })?;
        // serde reads a struct from an array of its fields, too.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::unprocessable("the body is wrong: it must be an object"));
        }
        Ok(Self(value))
    }
}

impl<S: Send + Sync> FromRequest<S> for TextBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = read(request, state, "text/plain").await?;
        let text = String::from_utf8(bytes.into()).map(Self);
        text.map_err(|error| Problem::bad_request(format!("the body is no UTF-8: {error}")))
    }
}

/// The whole body, if it is of this type or does not say.
async fn read<S: Send + Sync>(request: Request, state: &S, wanted: &str) -> Result<Bytes, Problem> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let is_wanted = content_type.is_none_or(|value| {
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case(wanted)
    });
    if !is_wanted {
        let detail = format!("the body must be {wanted}");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let body = Bytes::from_request(request, state).await;
    body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))
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
        JsonBody::from_request(request, &())
            .await
            .map(|JsonBody(wanted)| wanted)
            .map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn a_body_is_wrong_in_one_of_four_ways() {
        assert_eq!(read("{\"qos\":1}", "application/json; charset=utf-8").await.unwrap().qos, 1);
        assert_eq!(read("{\"qos\":1}", "text/plain").await.unwrap_err(), 415);
        assert_eq!(read("{\"qos\":", "application/json").await.unwrap_err(), 400);
        assert_eq!(read("{\"qos\":\"1\"}", "application/json").await.unwrap_err(), 422);
        assert_eq!(read("[1]", "application/json").await.unwrap_err(), 422);
        assert_eq!(read("{\"qos\":1,\"Qos\":1}", "application/json").await.unwrap_err(), 422);
    }
}
