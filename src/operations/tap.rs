//! Listening to what is published, on all workers at once.

use super::{Operations, Stopping};
use crate::worker::{Heard, TapReceiver, tap_channel};
use dunlin_core::identity::ShardId;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers the taps of this process.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A tap that is open on all workers until it is dropped.
pub(crate) struct OpenTap {
    number: u64,
    operations: Operations,
    receiver: TapReceiver,
}

impl Operations {
    /// Opens a tap for these filters, which are valid and not shared ones. When this returns, nothing that is
    /// published later is missed.
    pub(crate) async fn open_tap(&self, filters: Vec<Box<str>>) -> Result<OpenTap, Stopping> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = tap_channel();
        // From here on it is closed wherever it was opened, also if whoever asked goes away meanwhile.
        let tap = OpenTap { number, operations: self.clone(), receiver };
        self.ask_all(move |worker| {
            worker.shard.borrow_mut().open_tap(number, filters.clone());
            worker.taps.borrow_mut().open(number, sender.clone());
        })
        .await?;
        Ok(tap)
    }
}

impl OpenTap {
    /// What comes next; `None` when the broker has stopped.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        self.receiver.next().await
    }
}

impl Drop for OpenTap {
    fn drop(&mut self) {
        let number = self.number;
        for worker in 0..self.operations.workers_count() as ShardId {
            // Nobody waits for the answer, and a worker that is gone has no taps.
            drop(self.operations.post(worker, move |worker| {
                worker.shard.borrow_mut().close_tap(number);
                worker.taps.borrow_mut().close(number);
            }));
        }
    }
}
