//! Whether the log can be written, for whoever asks from any thread.

use dunlin_core::shard::StoreState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The state of the log and, unless it is being written, one sentence why; and how large it is.
#[derive(Debug, Default)]
pub struct StoreHealth {
    state: Mutex<(StoreState, String)>,
    bytes: AtomicU64,
}

impl StoreHealth {
    /// The state.
    pub fn state(&self) -> StoreState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// One sentence why it is not [`StoreState::Writing`]; none if it is.
    pub fn reason(&self) -> Option<String> {
        let held = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (held.0 != StoreState::Writing).then(|| held.1.clone())
    }

    /// What the log takes on the disk.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn set(&self, state: StoreState, reason: String) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = (state, reason);
    }
}
