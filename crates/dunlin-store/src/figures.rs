//! What the store says of itself to whoever watches it, from any thread.

use dunlin_core::shard::Latencies;
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
