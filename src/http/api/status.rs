//! `/api/v1/status`: how the broker is doing, in numbers.

use axum::Json;
use axum::extract::State;
use dunlin_bench::process::Process;
use dunlin_core::shard::{Counters, DropReason, StoreState};
use dunlin_store::StoreHealth;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::moment::Moment;
use crate::http::problem::Problem;
use crate::metrics::Figures;
use crate::operations::Operations;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(show))
}

/// See the top of the file. What counts up counts from the start.
#[derive(Debug, Serialize, ToSchema)]
struct Status {
    version: &'static str,
    started_at: Moment,
    uptime_s: u64,
    workers: u16,
    /// Whether clients are served, as `/readyz` says.
    is_ready: bool,
    /// None without a store.
    store: Option<Store>,
    connections: u64,
    sessions: u64,
    /// Shared ones included.
    subscriptions: u64,
    retained: u64,
    retained_bytes: u64,
    /// Messages that wait, for clients and in shared groups.
    queued_messages: u64,
    queued_bytes: u64,
    /// PUBLISH packets from clients.
    messages_received: u64,
    /// PUBLISH packets to clients.
    messages_sent: u64,
    bytes_received: u64,
    bytes_sent: u64,
    /// Messages that did not reach somebody.
    dropped: u64,
    /// The memory that the process has (resident); none where the system does not say.
    memory_bytes: Option<u64>,
}

/// The store.
#[derive(Debug, Serialize, ToSchema)]
struct Store {
    /// `writing`, `full` or `failed`.
    state: &'static str,
    /// Why it does not write.
    problem: Option<String>,
    /// What the log takes on the disk.
    bytes: u64,
}

impl From<&StoreHealth> for Store {
    fn from(health: &StoreHealth) -> Self {
        let state = match health.state() {
            StoreState::Writing => "writing",
            StoreState::Full => "full",
            StoreState::Failed => "failed",
        };
        Self { state, problem: health.reason(), bytes: health.bytes() }
    }
}

/// Shows how the broker is doing, in numbers.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "numbers", security(("token" = ["read"])),
    responses((status = 200, body = Status))
)]
async fn show(State(operations): State<Operations>) -> Result<Json<Status>, Problem> {
    let figures = Figures::recent(&operations).await?;
    let census = figures.census();
    let health = &operations.health;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        started_at: operations.started_at.into(),
        uptime_s: operations.started.elapsed().as_secs(),
        workers: operations.workers_count(),
        is_ready: health.is_ready() && health.store_problem().is_none(),
        store: health.store().map(Store::from),
        connections: figures.total(|worker| worker.connections) as u64,
        sessions: census.sessions,
        subscriptions: census.subscriptions + census.shared_subscriptions,
        retained: figures.common(|worker| worker.retained) as u64,
        retained_bytes: figures.common(|worker| worker.retained_bytes) as u64,
        queued_messages: census.queued_messages + figures.total(|worker| worker.groups_queued) as u64,
        queued_bytes: census.queued_bytes + figures.total(|worker| worker.groups_queued_bytes) as u64,
        messages_received: figures.messages(Counters::messages_received),
        messages_sent: figures.messages(Counters::messages_sent),
        bytes_received: figures.sum(|counters| counters.bytes_received),
        bytes_sent: figures.sum(|counters| counters.bytes_sent),
        dropped: DropReason::ALL.into_iter().map(|reason| figures.dropped_for(reason)).sum(),
        memory_bytes: Process::this().resident_bytes().ok(),
    }))
}
