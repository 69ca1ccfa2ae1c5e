//! The broker as a command asks it: requests of HTTP, answers of JSON, and refusals as sentences.
//!
//! A question takes no longer than [`ANSWER_DEADLINE`]; a stream of events has no end. No proxy of the environment is
//! used and no redirect followed, because the token is meant for this address alone. A token that was found in the data
//! directory is looked for again when it is refused, so that what goes on for long outlives a restart of the broker.

use std::cell::RefCell;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use super::Failure;
use super::pinned::{PinnedConnector, pinned};
use super::place::Token;
use crate::client::TlsHints;
use crate::http::Problem;

/// How long the broker may take to be connected to.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How long it may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// How long it may take to say whether it serves: whoever asks that does not wait for long.
const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// The largest answer: a Retained Message, once as text and once in base64.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// All but what is unreserved in a URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The same for a topic, whose slashes stay.
const ENCODED_TOPIC: &AsciiSet = &ENCODED.remove(b'/');

/// What could help where TLS fails.
const HINTS: TlsHints = TlsHints { authorities: "--ca-file", other_host: None };

/// See the top of the file.
pub(super) struct Broker {
    url: String,
    trust: Trust,
    agent: Agent,
    /// A broker that has been started again has another, so it may change.
    token: RefCell<Option<Token>>,
}

/// Who says that it is the broker that answers.
#[derive(Debug, PartialEq)]
pub(super) enum Trust {
    /// Nobody: there is no TLS.
    Nobody,
    /// The authorities of a file, or else those of the system.
    Authorities(Option<PathBuf>),
    /// This certificate, which the broker must show.
    Certificate(PathBuf),
}

/// How long an answer may take.
#[derive(Clone, Copy)]
struct Deadlines {
    response: Duration,
    /// Without one, for ever, for each part of the body.
    read: Option<Duration>,
}

/// A part of a path, or a value of a query.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A topic as a part of a path.
pub(super) fn encode_topic(topic: &str) -> String {
    utf8_percent_encode(topic, ENCODED_TOPIC).to_string()
}

impl Broker {
    /// The broker at a URL without a path; without a token, it tells no more than whether it serves.
    pub fn at(url: String, token: Option<Token>, trust: Trust) -> Result<Self, Failure> {
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_DEADLINE))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            // The broker closes after each answer.
            .max_idle_connections(0)
            .user_agent(concat!("dunlin/", env!("CARGO_PKG_VERSION")));
        let agent = match &trust {
            Trust::Nobody => config.build().new_agent(),
            Trust::Authorities(ca_file) => {
                let tls = TlsConfig::builder()
                    .root_certs(RootCerts::new_with_certs(&authorities(ca_file.as_deref())?))
                    .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
                    .build();
                config.tls_config(tls).build().new_agent()
            }
            Trust::Certificate(path) => {
                let tls = pinned(path).map_err(|error| Failure::Arguments(error.to_string()))?;
                let connector = TcpConnector::default().chain(PinnedConnector(Arc::new(tls)));
                Agent::with_parts(config.build(), connector, DefaultResolver::default())
            }
        };
        Ok(Self { url, trust, agent, token: RefCell::new(token) })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Something that is made with the token.
    pub fn token(&self, make: impl FnOnce(&str) -> String) -> String {
        make(self.token.borrow().as_ref().map_or("", |token| &token.text))
    }

    /// What is there, as JSON.
    pub fn get(&self, path: &str) -> Result<String, Failure> {
        self.ask(Method::GET, path, None)
    }

    /// The same, read.
    pub fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        understood(&self.get(path)?)
    }

    /// Has something changed. The answer is empty or JSON.
    pub fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<String, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut response = self.send(method, path, &body, Some(ANSWER_DEADLINE))?;
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        text.map_err(|error| Failure::Unreachable(format!("the answer of {} ends early: {error}", self.url)))
    }

    /// A stream of events, which lasts until somebody ends it.
    pub fn stream(&self, path: &str) -> Result<BufReader<impl Read>, Failure> {
        let response = self.send(Method::GET, path, "", None)?;
        Ok(BufReader::new(response.into_body().into_reader()))
    }

    /// Status and text of what is told to everybody, whatever the status.
    pub fn probe(&self, path: &str) -> Result<(u16, String), Failure> {
        let deadlines = Deadlines { response: PROBE_DEADLINE, read: Some(PROBE_DEADLINE) };
        let mut response = self.exchange(&Method::GET, path, "", deadlines)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string().unwrap_or_default()))
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: &str,
        read: Option<Duration>,
    ) -> Result<Response<Body>, Failure> {
        let deadlines = Deadlines { response: ANSWER_DEADLINE, read };
        let mut response = self.exchange(&method, path, body, deadlines)?;
        if response.status() == StatusCode::UNAUTHORIZED && self.has_newer_token() {
            response = self.exchange(&method, path, body, deadlines)?;
        }
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.body_mut().read_to_string().unwrap_or_default();
        Err(self.refusal(status.as_u16(), &body))
    }

    /// Whether the broker has left another token since, which is taken then.
    fn has_newer_token(&self) -> bool {
        let newer = self.token.borrow().as_ref().and_then(Token::newer);
        newer.is_some_and(|newer| self.token.replace(Some(newer)).is_some())
    }

    fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: &str,
        deadlines: Deadlines,
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = &*self.token.borrow() {
            let shown = Zeroizing::new(format!("Bearer {}", *token.text));
            request = request.header("Authorization", shown.as_str());
        }
        if !body.is_empty() {
            request = request.header("Content-Type", "application/json");
        }
        let request = request.body(body.to_owned()).map_err(|error| self.unreachable(&error.into()))?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_recv_response(Some(deadlines.response))
            .timeout_per_read(deadlines.read)
            .allow_non_standard_methods(true)
            .build();
        self.agent.run(request).map_err(|error| self.unreachable(&error))
    }

    /// Why there is no answer.
    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let of_tls = match error {
            ureq::Error::Rustls(error) => Some(error),
            ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
            _ => None,
        };
        Failure::Unreachable(match (of_tls, &self.trust) {
            (None, _) => format!("no broker answers at {}: {error}", self.url),
            (Some(rustls::Error::InvalidCertificate(_)), Trust::Certificate(path)) => format!(
                "no TLS with {}: its certificate is not that of {} (http.tls.cert): does it run with this \
                 configuration, and has it been reloaded since?",
                self.url,
                path.display()
            ),
            (Some(error), _) => format!("no TLS with {}: {}", self.url, HINTS.explain(error)),
        })
    }

    fn refusal(&self, status: u16, body: &str) -> Failure {
        let text = match (status, serde_json::from_str::<Problem>(body)) {
            (401, _) => {
                let token = self.token.borrow();
                let source = token.as_ref().map_or("nobody", |token| &token.source);
                format!(
                    "{} does not take the token of {source}: is it of another broker, or has it ended?",
                    self.url
                )
            }
            (_, Ok(Problem { detail, errors, .. })) => {
                let errors: String = errors.iter().map(|error| format!("\n  {error}")).collect();
                format!("{detail}{errors}")
            }
            (404, Err(_)) => {
                format!("what answers at {} does not know this: is it a Dunlin of this version?", self.url)
            }
            (_, Err(_)) => format!("{} answers with status {status}", self.url),
        };
        Failure::Refused { status, text }
    }
}

/// An answer that must be this.
pub(super) fn understood<T: DeserializeOwned>(answer: &str) -> Result<T, Failure> {
    serde_json::from_str(answer).map_err(|error| {
        Failure::Unreachable(format!(
            "the answer is not understood ({error}): is the broker of another version?"
        ))
    })
}

/// Whom to trust.
fn authorities(ca_file: Option<&Path>) -> Result<Vec<Certificate<'static>>, Failure> {
    let found: Vec<CertificateDer<'static>> = match ca_file {
        None => rustls_native_certs::load_native_certs().certs,
        Some(path) => {
            let wrong = |problem: &dyn std::fmt::Display| {
                Failure::Arguments(format!("--ca-file {}: {problem}", path.display()))
            };
            let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
            let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
            let found = found.map_err(|error| wrong(&format!("is not PEM: {error}")))?;
            if found.is_empty() {
                return Err(wrong(&"has no certificate"));
            }
            found
        }
    };
    if found.is_empty() {
        return Err(Failure::Arguments(
            "the system has no trusted authorities: name those of the broker with --ca-file".to_owned(),
        ));
    }
    Ok(found.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}
