//! `/api/v1/status`: how the broker is doing, in numbers.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use dunlin_core::shard::StoreState;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::moment::Moment;
use crate::http::problem::Problem;
use crate::operations::Operations;
use crate::store::StoreHealth;

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
    let totals = operations.totals().await?;
    let health = &operations.health;
    let uptime = operations.started.elapsed();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        started_at: (std::time::SystemTime::now() - uptime.max(Duration::ZERO)).into(),
        uptime_s: uptime.as_secs(),
        workers: operations.workers_count(),
        is_ready: health.is_ready() && health.store_problem().is_none(),
        store: health.store().map(Store::from),
        connections: totals.connections,
        sessions: totals.sessions,
        subscriptions: totals.subscriptions,
        retained: totals.retained,
        retained_bytes: totals.retained_bytes,
        queued_messages: totals.queued_messages,
        queued_bytes: totals.queued_bytes,
        messages_received: totals.messages_received,
        messages_sent: totals.messages_sent,
        bytes_received: totals.bytes_received,
        bytes_sent: totals.bytes_sent,
        dropped: totals.dropped.iter().sum(),
        memory_bytes: resident_bytes(),
    }))
}

/// What Linux says of this process; it is in memory, so reading it waits for no disk.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_has_some_memory() {
        assert!(super::resident_bytes().unwrap() > 1024 * 1024);
    }
}
