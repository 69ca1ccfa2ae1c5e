//! What is open to clients, and what came of it.

use super::Operations;
use crate::broker::BoundListener;
use crate::worker::ListenerContext;
use std::sync::Arc;

/// A listener that accepts.
#[derive(Clone, Debug)]
pub struct OpenListener {
    /// Where it is.
    pub bound: BoundListener,
    /// What connections see of it, and its counts.
    pub context: Arc<ListenerContext>,
}

impl Operations {
    /// The listeners in the order of the configuration.
    pub fn listeners(&self) -> Arc<Vec<OpenListener>> {
        self.listeners.load_full()
    }

    /// Whoever opens and closes listeners says which there are.
    pub(crate) fn set_listeners(&self, listeners: Vec<OpenListener>) {
        self.listeners.store(Arc::new(listeners));
    }
}
