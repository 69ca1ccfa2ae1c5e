//! `/api/v1/listeners`: what is open to clients, what came of it, and when its certificates end.

use std::time::SystemTime;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::http::moment::Moment;
use crate::operations::{OpenListener, Operations};
use crate::tls::{Expiring, Expiry};

pub(super) fn routes() -> Router<Operations> {
    Router::new().route("/api/v1/listeners", get(list))
}

/// All listeners.
#[derive(Debug, Serialize)]
struct ListenerList {
    /// In the order of the configuration.
    listeners: Vec<Listener>,
}

/// A listener.
#[derive(Debug, Serialize)]
struct Listener {
    /// As configured.
    url: String,
    /// With the port that the system chose; none for a Unix socket.
    address: Option<String>,
    connections: usize,
    /// Connections that came so far.
    accepted: u64,
    /// Those of them that were refused.
    refused: u64,
    /// Its certificates, where TLS is spoken.
    tls: Option<Vec<Ending>>,
}

/// What of a listener's files ends by itself.
#[derive(Debug, Serialize)]
struct Ending {
    file: String,
    /// The subject of a certificate, the issuer of a list.
    subject: String,
    /// `certificate` or `crl`.
    kind: &'static str,
    not_after: Moment,
    /// Negative once it has ended.
    days_left: i64,
}

impl From<&OpenListener> for Listener {
    fn from(OpenListener { bound, context }: &OpenListener) -> Self {
        Self {
            url: bound.url.to_string(),
            address: bound.address.map(|address| address.to_string()),
            connections: context.connections(),
            accepted: context.accepted(),
            refused: context.refused(),
            tls: context.tls.as_ref().map(|tls| tls.expiries().into_iter().map(Ending::from).collect()),
        }
    }
}

impl From<Expiry> for Ending {
    fn from(expiry: Expiry) -> Self {
        let not_after = Moment::from(expiry.not_after);
        Self {
            file: expiry.path.display().to_string(),
            subject: expiry.subject,
            kind: match expiry.what {
                Expiring::Certificate => "certificate",
                Expiring::RevocationList => "crl",
            },
            not_after,
            days_left: not_after.days_from(SystemTime::now()),
        }
    }
}

async fn list(State(operations): State<Operations>) -> Json<ListenerList> {
    Json(ListenerList { listeners: operations.listeners().iter().map(Listener::from).collect() })
}
