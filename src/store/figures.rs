//! What the store says of itself to whoever watches it, from any thread.

use super::LOG_DIRECTORY;
use dunlin_core::shard::Latencies;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long commits take, each with its writes and its sync.
#[derive(Debug, Default)]
pub struct CommitFigures(Mutex<Latencies>);

impl CommitFigures {
    /// All since the start.
    pub fn latencies(&self) -> Latencies {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, duration: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(duration.as_micros() as u64, 1);
    }
}

/// Bytes of the log in a data directory. What comes or goes meanwhile counts or does not.
pub fn size_bytes(data_dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(data_dir.join(LOG_DIRECTORY)) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
