//! Who waits until something is durable and is not a client: an operator who has published.
//!
//! Clients' acknowledgements wait in the shard, in order. An operator waits for a position of the records alone:
//! whatever its message made other shards record is in there, too, as a promise to route it again after a crash
//! (`shard/forward.rs` of the core).

use dunlin_core::Shard;
use dunlin_core::journal::Position;
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// See the top of the file. Positions ascend.
#[derive(Default)]
pub(crate) struct DurableWaiters(VecDeque<(Position, oneshot::Sender<()>)>);

impl DurableWaiters {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells `answer` when everything before `position` is durable. If the store fails, `answer` is dropped.
    pub fn wait(&mut self, position: Position, answer: oneshot::Sender<()>) {
        self.0.push_back((position, answer));
    }

    /// Tells those whose wait is over.
    pub fn release(&mut self, shard: &Shard) {
        if shard.has_store_failed() {
            self.0.retain(|(position, _)| shard.is_durable(*position));
        }
        while self.0.front().is_some_and(|(position, _)| shard.is_durable(*position)) {
            if let Some((_, answer)) = self.0.pop_front() {
                // Whoever asked may have gone.
                let _ = answer.send(());
            }
        }
    }
}
