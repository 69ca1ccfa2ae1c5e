//! `/api/v1/drops`: what was dropped and who was refused, by reason, and who causes most of it.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use dunlin_core::shard::DropReason;
use serde::Serialize;

use crate::http::problem::Problem;
use crate::operations::{ClientOrder, ClientSort, ClientsQuery, Operations};
use crate::worker::RefusalReason;

/// Clients and addresses that are named.
const MOST: usize = 10;

pub(super) fn routes() -> Router<Operations> {
    Router::new().route("/api/v1/drops", get(show))
}

/// See the top of the file.
#[derive(Debug, Serialize)]
struct Drops {
    /// Messages that did not reach somebody, by every reason there is.
    drops: Vec<Count>,
    /// Connections that were refused, by every reason there is.
    refusals: Vec<Count>,
    /// The clients with most messages dropped, at most ten.
    clients: Vec<Client>,
    /// The addresses with most failures within `ban.window`, at most ten.
    addresses: Vec<Address>,
}

/// How often something happened so far.
#[derive(Debug, Serialize)]
struct Count {
    reason: &'static str,
    count: u64,
}

/// A client, and what was dropped for it.
#[derive(Debug, Serialize)]
struct Client {
    client: String,
    /// Modulo 2^32.
    dropped: u32,
}

/// An address, or a network of 64 bits of IPv6, and how often it failed.
#[derive(Debug, Serialize)]
struct Address {
    address: String,
    failures: u32,
}

async fn show(State(operations): State<Operations>) -> Result<Json<Drops>, Problem> {
    let totals = operations.counted().await?;
    let query = ClientsQuery {
        sort: ClientSort::Dropped,
        order: ClientOrder::Descending,
        limit: MOST,
        ..ClientsQuery::default()
    };
    let worst = operations.clients(query).await?;
    let worst = worst.rows.into_iter().map(|row| row.view).filter(|view| view.dropped > 0);
    let gate = &operations.gate;
    let counted = DropReason::ALL.into_iter().zip(totals.dropped);
    let refusals = RefusalReason::ALL.iter().map(|reason| (reason.name(), gate.refusals(*reason)));
    let failures = gate.failures(MOST).into_iter();
    Ok(Json(Drops {
        drops: counted.map(|(reason, count)| Count { reason: reason.name(), count }).collect(),
        refusals: refusals.map(|(reason, count)| Count { reason, count }).collect(),
        clients: worst
            .map(|view| Client { client: view.client_identifier.to_string(), dropped: view.dropped })
            .collect(),
        addresses: failures
            .map(|(network, failures)| Address { address: network.to_string(), failures })
            .collect(),
    }))
}
