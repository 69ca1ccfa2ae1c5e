//! The one gate in front of the API: who asks, whether they may, and the line in the audit log.
//!
//! What a route demands is read from the OpenAPI document, which is made with the routes: an operation says
//! `security(("token" = ["read"]))` or `"admin"`. Whatever the document does not have is closed, so that a handler
//! whose scope was forgotten, or that was added past the document, cannot be reached, rather than being open.
//!
//! Nothing of a request but its head is looked at before it is known who asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;

use super::access::{Access, Caller, Stranger};
use super::audit::{Audit, Change, Subject};
use super::port::Remote;
use super::problem::Problem;
use crate::config::Scope;

/// The name of the security scheme in the document.
pub(super) const SCHEME: &str = "token";

/// See the top of the file.
pub(super) struct Guard {
    access: Access,
    audit: Audit,
    scopes: Scopes,
}

/// What each route demands: by path as the router knows it, then by method.
pub(super) struct Scopes(HashMap<String, HashMap<String, Scope>>);

/// What becomes of a request.
enum Judgement {
    Allowed,
    NoSuchPath,
    /// With the methods that there are.
    NoSuchMethod(String),
    Denied,
}

impl Guard {
    pub fn new(access: Access, audit: Audit, scopes: Scopes) -> Self {
        Self { access, audit, scopes }
    }

    /// Lets somebody do what they may.
    async fn admit(
        &self,
        caller: Caller,
        matched: Option<MatchedPath>,
        mut request: Request,
        next: Next,
    ) -> Response {
        if caller.by_certificate && is_change(request.method()) && is_from_elsewhere(request.headers()) {
            // A browser shows a certificate without being asked, for whatever page wants something here.
            let detail = "a page from elsewhere may not change anything by a certificate; use a token";
            return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
        }
        match self.scopes.judge(matched.as_ref().map(MatchedPath::as_str), request.method(), &caller) {
            Judgement::Allowed => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
            Judgement::NoSuchPath => no_such_path().into_response(),
            Judgement::NoSuchMethod(there) => {
                let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("takes {there}"));
                with_header(problem, header::ALLOW, &there)
            }
            Judgement::Denied => {
                let detail = format!("the token {:?} may only read; this needs the scope admin", caller.name);
                let problem = Problem::new(StatusCode::FORBIDDEN, detail);
                let challenge = "Bearer error=\"insufficient_scope\", scope=\"admin\"";
                with_header(problem, header::WWW_AUTHENTICATE, challenge)
            }
        }
    }

    /// Answers somebody who is not known.
    async fn refuse(&self, stranger: Stranger, method: &Method, remote: &Remote) -> Response {
        // To ask without a token is no attempt at anything, but to change something is, and has a line in the audit log.
        if stranger == Stranger::ShowsWrongToken || is_change(method) {
            let Some(wait) = self.access.slowing.note(remote.address.ip(), Instant::now()) else {
                let detail = "too many requests without a right token at once; try again later";
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
                return with_header(problem, header::RETRY_AFTER, "2");
            };
            tokio::time::sleep(wait.time).await;
        }
        let (detail, challenge) = match stranger {
            Stranger::ShowsNothing => (
                "needs `Authorization: Bearer TOKEN`: a token from `dunlin token create`, or that in the data directory's \
                 file api-token",
                "Bearer",
            ),
            Stranger::ShowsWrongToken => (
                "the token is unknown, removed or expired: `dunlin token list` says which there are; that in the data \
                 directory's file api-token is another one after each start",
                "Bearer error=\"invalid_token\"",
            ),
        };
        with_header(Problem::new(StatusCode::UNAUTHORIZED, detail), header::WWW_AUTHENTICATE, challenge)
    }
}

fn is_change(method: &Method) -> bool {
    *method != Method::GET && *method != Method::HEAD
}

/// Whether a browser says that another site has made it ask.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    site.is_some_and(|site| site != "same-origin" && site != "none")
        || (headers.contains_key(header::ORIGIN) && origin != text(header::HOST))
}

fn with_header(problem: Problem, name: HeaderName, value: &str) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().extend(HeaderValue::from_str(value).map(|value| (name, value)));
    response
}

/// The answer where there is nothing.
pub(super) fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing here; /api/v1/openapi.json lists what there is")
}

impl Scopes {
    /// Reads what the document says.
    pub fn of(document: &OpenApi) -> Self {
        let document = serde_json::to_value(document).unwrap_or_default();
        let paths = document["paths"].as_object().into_iter().flatten();
        Self(paths.map(|(path, item)| (path.clone(), scopes_of(item))).collect())
    }

    fn judge(&self, path: Option<&str>, method: &Method, caller: &Caller) -> Judgement {
        let Some(methods) = path.and_then(|path| self.0.get(path)).filter(|methods| !methods.is_empty())
        else {
            return Judgement::NoSuchPath;
        };
        let name =
            if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
        match methods.get(&name) {
            None => {
                let mut there: Vec<_> = methods.keys().map(|method| method.to_ascii_uppercase()).collect();
                there.sort();
                Judgement::NoSuchMethod(there.join(", "))
            }
            Some(demanded) if *demanded > caller.scope => Judgement::Denied,
            Some(_) => Judgement::Allowed,
        }
    }
}

/// The scopes of the operations of one path; those without are not there.
fn scopes_of(item: &serde_json::Value) -> HashMap<String, Scope> {
    let operations = item.as_object().into_iter().flatten();
    operations
        .filter_map(|(method, operation)| {
            let scope = serde_json::from_value(operation["security"][0][SCHEME][0].clone()).ok()?;
            Some((method.clone(), scope))
        })
        .collect()
}

/// The gate before what is no part of the API and changes nothing: everybody who is known may pass.
pub(super) async fn only_known(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(remote): ConnectInfo<Remote>,
    request: Request,
    next: Next,
) -> Response {
    match guard.access.identify(request.headers(), &remote) {
        Ok(_) => next.run(request).await,
        Err(stranger) => guard.refuse(stranger, request.method(), &remote).await,
    }
}

/// The gate; see the top of the file.
pub(super) async fn guard(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(remote): ConnectInfo<Remote>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let caller = guard.access.identify(request.headers(), &remote);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answered = {
        let (guard, caller, remote) = (Arc::clone(&guard), caller.clone(), remote.clone());
        async move {
            match caller {
                Err(stranger) => guard.refuse(stranger, request.method(), &remote).await,
                Ok(caller) => guard.admit(caller, matched, request, next).await,
            }
        }
    };
    if !is_change(&method) {
        return answered.await;
    }
    // A change that has begun is finished and noted, also when whoever asked for it hangs up.
    let noted = tokio::spawn(async move {
        let response = answered.await;
        // Of those who were turned away because there are too many, the others have their lines.
        if response.status() != StatusCode::TOO_MANY_REQUESTS {
            let change = Change::new(caller.ok(), remote.address, method.to_string(), &path);
            let subject = response.extensions().get::<Subject>();
            guard.audit.note(change.ended(response.status().as_u16(), subject)).await;
        }
        response
    });
    noted.await.unwrap_or_else(|_| {
        let detail = "the broker failed at this; its log says where";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_browser_that_another_site_has_made_ask_is_known_by_what_it_says() {
        let from = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            is_from_elsewhere(&pairs.collect())
        };
        assert!(!from(&[("host", "broker:18083")]), "a program");
        assert!(!from(&[
            ("host", "broker:18083"),
            ("origin", "https://broker:18083"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(from(&[("host", "broker:18083"), ("origin", "https://evil.example")]));
        assert!(from(&[("host", "broker:18083"), ("origin", "null")]));
        assert!(from(&[("host", "broker:18083"), ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn what_has_no_scope_in_the_document_is_closed_and_what_changes_something_is_not_for_readers() {
        let operation = |scopes: serde_json::Value| json!({ "responses": {}, "security": scopes });
        let document = json!({
            "openapi": "3.1.0",
            "info": { "title": "", "version": "" },
            "paths": {
                "/good": { "get": operation(json!([{ "token": ["read"] }])), "put": operation(json!([{ "token": ["admin"] }])) },
                "/forgotten": { "get": { "responses": {} } },
                "/misspelt": { "get": operation(json!([{ "token": ["raed"] }])), "put": operation(json!([{ "token": ["admin"] }])) },
            },
        });
        let scopes = Scopes::of(&serde_json::from_value(document).unwrap());
        let judged = |path: Option<&str>, method: Method, scope: Scope| {
            let caller = Caller { name: "somebody".into(), scope, by_certificate: false };
            match scopes.judge(path, &method, &caller) {
                Judgement::Allowed => "allowed".to_owned(),
                Judgement::Denied => "denied".to_owned(),
                Judgement::NoSuchPath => "no path".to_owned(),
                Judgement::NoSuchMethod(there) => there,
            }
        };
        assert_eq!(judged(Some("/good"), Method::GET, Scope::Read), "allowed");
        assert_eq!(judged(Some("/good"), Method::HEAD, Scope::Read), "allowed");
        assert_eq!(judged(Some("/good"), Method::PUT, Scope::Read), "denied");
        assert_eq!(judged(Some("/good"), Method::PUT, Scope::Admin), "allowed");
        assert_eq!(judged(Some("/good"), Method::POST, Scope::Admin), "GET, PUT");
        assert_eq!(judged(Some("/forgotten"), Method::GET, Scope::Admin), "no path");
        assert_eq!(judged(Some("/misspelt"), Method::GET, Scope::Admin), "PUT");
        assert_eq!(judged(Some("/beside"), Method::GET, Scope::Admin), "no path");
        assert_eq!(judged(None, Method::GET, Scope::Admin), "no path");
    }
}
