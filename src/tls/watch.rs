//! Looking after the files of TLS while the broker runs: changes are read, ends are told.
//!
//! Files are looked at every two seconds rather than awaited with inotify. A look is a handful of system calls,
//! and it sees what inotify needs a watch for each directory along the way for: a renamed file, a link that
//! points elsewhere, a link in between that does, a network file system.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::endpoint::TlsEndpoint;
use super::expiry::ExpiryLog;

/// The time between two looks; a change is in effect after at most two of them.
const INTERVAL: Duration = Duration::from_secs(2);

/// Watches the files of these endpoints for ever. Each has the name of its listener, for the log.
pub async fn watch(endpoints: Vec<(String, Arc<TlsEndpoint>)>) {
    if endpoints.is_empty() {
        return;
    }
    let mut watch = Watch { endpoints, expiry_log: ExpiryLog::default() };
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
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

struct Watch {
    endpoints: Vec<(String, Arc<TlsEndpoint>)>,
    expiry_log: ExpiryLog,
}

impl Watch {
    fn look(&mut self, now: SystemTime) {
        for (listener, endpoint) in &self.endpoints {
            match endpoint.look() {
                None => {}
                Some(Ok(())) => tracing::info!(%listener, "certificates have changed and were reloaded"),
                Some(Err(error)) => {
                    tracing::error!(%listener, %error, "certificates have changed and stay as they were");
                }
            }
        }
        let expiries = self.endpoints.iter().flat_map(|(_, endpoint)| endpoint.expiries());
        for (expiry, validity) in self.expiry_log.due(expiries, now) {
            expiry.tell(validity);
        }
    }
}
