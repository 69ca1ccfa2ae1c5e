//! What all Sessions hold together.
//!
//! Sums over Sessions are not kept up to date on the way of a message: whoever wants them walks the table, a page at a
//! time.

use dunlin_codec::ProtocolVersion;
use dunlin_core::shard::ClientSight;

/// What some Sessions hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Sessions.
    pub sessions: u64,
    /// Those with a connection, in the order of [`ProtocolVersion::ALL`].
    pub connected: [u64; ProtocolVersion::ALL.len()],
    /// Those that outlive their connection.
    pub durable: u64,
    /// Subscriptions that are not shared.
    pub subscriptions: u64,
    /// Memberships in shared groups.
    pub shared_subscriptions: u64,
    /// Messages that wait for a Session.
    pub queued_messages: u64,
    /// Their topics, properties and payloads.
    pub queued_bytes: u64,
    /// Messages that wait in the longest queue.
    pub longest_queue: u64,
    /// Messages sent and not finished.
    pub in_flight_messages: u64,
}

impl Census {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        for (own, others) in self.connected.iter_mut().zip(other.connected) {
            *own += others;
        }
        self.durable += other.durable;
        self.subscriptions += other.subscriptions;
        self.shared_subscriptions += other.shared_subscriptions;
        self.queued_messages += other.queued_messages;
        self.queued_bytes += other.queued_bytes;
        self.longest_queue = self.longest_queue.max(other.longest_queue);
        self.in_flight_messages += other.in_flight_messages;
    }

    /// Counts a Session.
    pub fn count(&mut self, sight: &ClientSight<'_>) {
        let session = sight.session();
        let shared = session.extras.memberships.len() as u64;
        let queued = session.outbound.queued_messages() as u64;
        self.sessions += 1;
        if let Some(connection) = sight.connection() {
            self.connected[connection.version as usize] += 1;
        }
        self.durable += u64::from(session.is_durable());
        self.subscriptions += session.subscriptions_count() as u64 - shared;
        self.shared_subscriptions += shared;
        self.queued_messages += queued;
        self.queued_bytes += session.outbound.queued_bytes() as u64;
        self.longest_queue = self.longest_queue.max(queued);
        self.in_flight_messages += session.outbound.in_flight_messages() as u64;
    }
}
