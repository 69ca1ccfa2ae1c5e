//! Counting what all Sessions hold together, a page of them at a time.
//!
//! Sums over Sessions are not kept up to date on the way of a message: whoever wants them walks the table. A
//! page bounds how long messages wait for that.

use super::Shard;
use crate::session::Session;
use dunlin_codec::ProtocolVersion;

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

    fn count(&mut self, session: &Session, version: Option<ProtocolVersion>) {
        let queued = session.outbound.queued_messages() as u64;
        let shared = session.extras.memberships.len() as u64;
        let mut connected = [0; ProtocolVersion::ALL.len()];
        if let Some(count) = version.and_then(|version| connected.get_mut(version as usize)) {
            *count = 1;
        }
        self.add(&Self {
            sessions: 1,
            connected,
            durable: u64::from(session.is_durable()),
            subscriptions: session.filters.len() as u64,
            shared_subscriptions: shared,
            queued_messages: queued,
            queued_bytes: session.outbound.queued_bytes() as u64,
            longest_queue: queued,
            in_flight_messages: session.outbound.in_flight_messages() as u64,
        });
    }
}

impl Shard {
    /// Counts the Sessions at `budget` places of the table from a place on. Returns where to go on, if there is more.
    pub fn census(&self, from: u32, budget: u32, census: &mut Census) -> Option<u32> {
        let end = self.clients.sessions.end_index();
        let until = from.saturating_add(budget).min(end);
        for session in (from..until).filter_map(|index| self.clients.sessions.at(index)) {
            let connection = session.connection.and_then(|key| self.connection(key));
            census.count(session, connection.map(|connection| connection.version));
        }
        (until < end).then_some(until)
    }

    /// Messages that wait for a member of a shared group of this shard, and that members have.
    pub fn groups_census(&self) -> (usize, u64) {
        let waiting = self.groups.iter().map(|(_, group)| group.queue().len() as u64);
        (self.groups.len(), waiting.sum())
    }

    /// Topics, properties and payloads of all Retained Messages.
    pub fn retained_bytes(&self) -> usize {
        self.retained_bytes
    }
}
