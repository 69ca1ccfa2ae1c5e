//! `/api/v1/listeners`: what is open to clients, what came of it, and when its certificates end.

use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::moment::Moment;
use crate::operations::{OpenListener, Operations};
use crate::tls::{Expiring, Expiry};

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(list))
}

/// All listeners.
#[derive(Debug, Serialize, ToSchema)]
struct ListenerList {
    /// In the order of the configuration.
    listeners: Vec<Listener>,
}

/// A listener.
#[derive(Debug, Serialize, ToSchema)]
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
    tls: Option<Vec<FileExpiry>>,
}

/// What of a listener's files ends by itself.
#[derive(Debug, Serialize, ToSchema)]
struct FileExpiry {
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
            tls: context.tls.as_ref().map(|tls| tls.expiries().into_iter().map(FileExpiry::from).collect()),
        }
    }
}

impl From<Expiry> for FileExpiry {
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

/// Lists what is open to clients.
#[utoipa::path(
    get, path = "/api/v1/listeners", tag = "numbers", security(("token" = ["read"])),
    responses((status = 200, body = ListenerList))
)]
async fn list(State(operations): State<Operations>) -> Json<ListenerList> {
    Json(ListenerList { listeners: operations.listeners().iter().map(Listener::from).collect() })
}
