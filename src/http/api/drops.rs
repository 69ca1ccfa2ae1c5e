//! `/api/v1/drops`: what was dropped and who was refused, by reason, and who causes most of it.

use axum::Json;
use axum::extract::State;
use dunlin_core::shard::DropReason;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::problem::Problem;
use crate::metrics::Figures;
use crate::operations::{ClientOrder, ClientSort, ClientsQuery, Operations};
use crate::worker::RefusalReason;

/// Clients and addresses that are named.
const MOST: usize = 10;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(show))
}

/// See the top of the file.
#[derive(Debug, Serialize, ToSchema)]
struct Drops {
    /// Messages that did not reach somebody, by every reason there is.
    drops: Vec<ReasonCount>,
    /// Connections that were refused, by every reason there is.
    refusals: Vec<ReasonCount>,
    /// The clients with most messages dropped, at most ten.
    clients: Vec<DropsOfClient>,
    /// The addresses with most failures within `ban.window`, at most ten.
    addresses: Vec<FailuresOfAddress>,
}

/// How often something happened so far.
#[derive(Debug, Serialize, ToSchema)]
struct ReasonCount {
    reason: &'static str,
    count: u64,
}

/// A client, and what was dropped for it.
#[derive(Debug, Serialize, ToSchema)]
struct DropsOfClient {
    client: String,
    /// Modulo 2^32.
    dropped: u32,
}

/// An address, or a network of 64 bits of IPv6, and how often it failed.
#[derive(Debug, Serialize, ToSchema)]
struct FailuresOfAddress {
    address: String,
    failures: u32,
}

/// Shows what was dropped and who was refused, by reason and by who causes it.
#[utoipa::path(
    get, path = "/api/v1/drops", tag = "numbers", security(("token" = ["read"])),
    responses((status = 200, body = Drops))
)]
async fn show(State(operations): State<Operations>) -> Result<Json<Drops>, Problem> {
    let figures = Figures::counted(&operations).await?;
    let query = ClientsQuery {
        sort: ClientSort::Dropped,
        order: ClientOrder::Descending,
        limit: MOST,
        ..ClientsQuery::default()
    };
    let worst = operations.clients(query).await?;
    let worst = worst.rows.into_iter().map(|row| row.view).filter(|view| view.dropped > 0);
    let gate = &operations.gate;
    let counted = DropReason::ALL.into_iter().map(|reason| (reason, figures.dropped_for(reason)));
    let refusals = RefusalReason::ALL.iter().map(|reason| (reason.name(), gate.refusals(*reason)));
    let failures = gate.failures(MOST).into_iter();
    Ok(Json(Drops {
        drops: counted.map(|(reason, count)| ReasonCount { reason: reason.name(), count }).collect(),
        refusals: refusals.map(|(reason, count)| ReasonCount { reason, count }).collect(),
        clients: worst
            .map(|view| DropsOfClient { client: view.client_identifier.to_string(), dropped: view.dropped })
            .collect(),
        addresses: failures
            .map(|(network, failures)| FailuresOfAddress { address: network.to_string(), failures })
            .collect(),
    }))
}
