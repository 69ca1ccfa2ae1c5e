//! Publishing in the broker's own name, until it is durable where it has to be.

use super::{Operations, Stopping};
use dunlin_core::identity::partition;
use dunlin_core::shard::{OwnMessage, Unpublished};
use tokio::sync::oneshot;

/// Why a message is not published, or not known to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The shard did not take it.
    Unpublished(Unpublished),
    /// The store failed, or the broker stopped, before it was durable.
    NotDurable,
    /// The broker is stopping.
    Stopping,
}

impl From<Stopping> for Refusal {
    fn from(_: Stopping) -> Self {
        Self::Stopping
    }
}

impl Operations {
    /// Publishes, and waits until whatever has to be stored because of it is.
    ///
    /// It is published on the worker to which its topic belongs, which is the one that records the Retained Message;
    /// what other workers record because of it, that worker has promised to have them record after a crash. So its
    /// own records are all there is to wait for, and messages that an operator publishes to one topic keep their
    /// order.
    pub(crate) async fn publish(&self, message: OwnMessage) -> Result<(), Refusal> {
        let home = partition(&message.topic, self.workers_count());
        let (answer, durable) = oneshot::channel();
        let published = self.ask(home, move |worker| {
            let published = worker.shard.borrow_mut().publish_or_refuse(worker.now(), &message);
            published.map(|position| worker.durable.borrow_mut().wait(position, answer))
        });
        published.await?.map_err(Refusal::Unpublished)?;
        durable.await.map_err(|_| Refusal::NotDurable)
    }
}
