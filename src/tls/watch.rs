//! Looking after the files of TLS while the broker runs: changes are read, ends are told.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::endpoint::TlsEndpoint;
use super::expiry::ExpiryLog;
use crate::file_watch::INTERVAL;

/// Watches the files of the endpoints that there are at each look, for ever. Each has the name of its listener, for the
/// log.
pub async fn watch(endpoints: impl Fn() -> Vec<(String, Arc<TlsEndpoint>)> + Send + 'static) {
    let mut watch = Watch { endpoints, expiry_log: ExpiryLog::default() };
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if (watch.endpoints)().is_empty() {
            continue;
        }
        let look = move || {
            watch.look(SystemTime::now());
            watch
        };
        // Reading may wait for a disk, and this thread accepts connections.
        match spawn_blocking(look).await {
            Ok(same) => watch = same,
            Err(error) => {
                return tracing::error!(%error, "certificates are no longer watched; SIGHUP still reads them");
            }
        }
    }
}

struct Watch<Endpoints> {
    endpoints: Endpoints,
    expiry_log: ExpiryLog,
}

impl<Endpoints: Fn() -> Vec<(String, Arc<TlsEndpoint>)>> Watch<Endpoints> {
    fn look(&mut self, now: SystemTime) {
        let endpoints = (self.endpoints)();
        for (listener, endpoint) in &endpoints {
            match endpoint.look() {
                None => {}
                Some(Ok(())) => tracing::info!(%listener, "certificates have changed and were reloaded"),
                Some(Err(error)) => {
                    tracing::error!(%listener, %error, "certificates have changed and stay as they were");
                }
            }
        }
        let expiries = endpoints.iter().flat_map(|(_, endpoint)| endpoint.expiries());
        for (expiry, validity) in self.expiry_log.due(expiries, now) {
            expiry.tell(validity);
        }
    }
}
