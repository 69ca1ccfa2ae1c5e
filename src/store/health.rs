//! Whether the log can be written, for whoever asks from any thread.

use dunlin_core::shard::StoreState;
use std::sync::{Mutex, PoisonError};

/// The state of the log and, unless it is being written, one sentence why.
#[derive(Debug, Default)]
pub struct StoreHealth(Mutex<(StoreState, String)>);

impl StoreHealth {
    /// The state.
    pub fn state(&self) -> StoreState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// One sentence why it is not [`StoreState::Writing`]; none if it is.
    pub fn reason(&self) -> Option<String> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (held.0 != StoreState::Writing).then(|| held.1.clone())
    }

    pub(super) fn set(&self, state: StoreState, reason: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (state, reason);
    }
}
