//! What there is in all, added up over the workers.
//!
//! What is counted as it happens is only read. What waits is counted by walking over the Sessions, some at a time, as
//! lists of clients are.

use super::{Operations, Stopping};
use crate::worker::Worker;
use dunlin_codec::QoS;
use dunlin_core::shard::DropReason;

/// Places in a worker's table of Sessions that one visit looks at.
const SESSIONS_OF_A_VISIT: u32 = 4096;

/// See the top of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub connections: u64,
    pub sessions: u64,
    /// Shared ones included.
    pub subscriptions: u64,
    pub retained: u64,
    pub retained_bytes: u64,
    pub queued_messages: u64,
    pub queued_bytes: u64,
    pub messages_received: u64,
    pub messages_sent: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// In the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
}

impl Totals {
    fn count(&mut self, worker: &Worker) {
        let shard = worker.shard.borrow();
        let counters = shard.counters();
        self.connections += shard.connections_count() as u64;
        self.sessions += shard.sessions_count() as u64;
        // Every worker keeps all of them.
        self.retained = self.retained.max(shard.retained_count() as u64);
        self.retained_bytes = self.retained_bytes.max(shard.retained_bytes() as u64);
        let (messages, bytes) = shard.queued_in_groups();
        self.queued_messages += messages as u64;
        self.queued_bytes += bytes as u64;
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            self.messages_received += counters.messages_received(qos);
            self.messages_sent += counters.messages_sent(qos);
        }
        self.bytes_received += counters.bytes_received;
        self.bytes_sent += counters.bytes_sent;
        for (count, reason) in self.dropped.iter_mut().zip(DropReason::ALL) {
            *count += counters.dropped_for(reason);
        }
    }

    fn count_sessions(&mut self, worker: &Worker, from: u32) -> Option<u32> {
        worker.shard.borrow().visit_clients(from, SESSIONS_OF_A_VISIT, |sight| {
            let session = sight.session();
            self.subscriptions += session.subscriptions_count() as u64;
            self.queued_messages += session.outbound.queued_messages() as u64;
            self.queued_bytes += session.outbound.queued_bytes() as u64;
        })
    }
}

impl Operations {
    /// All of it.
    pub(crate) async fn totals(&self) -> Result<Totals, Stopping> {
        let mut totals = self.counted().await?;
        for worker in 0..self.workers_count() {
            let mut from = Some(0);
            while let Some(start) = from {
                (totals, from) = self
                    .ask(worker, move |worker| {
                        let next = totals.count_sessions(worker, start);
                        (totals, next)
                    })
                    .await?;
            }
        }
        Ok(totals)
    }

    /// Without what only a walk over the Sessions tells.
    pub(crate) async fn counted(&self) -> Result<Totals, Stopping> {
        let mut totals = Totals::default();
        for worker in 0..self.workers_count() {
            totals = self
                .ask(worker, move |worker| {
                    totals.count(worker);
                    totals
                })
                .await?;
        }
        Ok(totals)
    }
}
