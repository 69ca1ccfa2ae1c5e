//! What happened, counted, for metrics. Nothing is decided by these numbers.
//!
//! They are plain numbers of the shard's thread: whoever wants them asks for a copy between two turns, so counting
//! costs the way of a message an addition and no more.

use super::latency::Latencies;
use dunlin_codec::{PacketType, ProtocolVersion, QoS};

use crate::tally::TooMany;
use dunlin_codec::ReasonCode;

/// Why a message did not reach somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// QoS 0 for a client that is away.
    Away,
    /// QoS 0 for a client that reads too slowly.
    SlowConsumer,
    /// The queue was full.
    QueueFull,
    /// The Message Expiry Interval passed.
    Expired,
    /// The client takes no packets of that size.
    TooLargeForClient,
    /// The authorizer said no.
    NotAuthorized,
    /// QoS 0 for a shared group without a connected member, or a group that ended.
    NoMember,
    /// The publication was refused: quota, topic, payload format.
    Refused,
    /// The store could not read it any more.
    Unreadable,
    /// It waited for a Session that ended.
    SessionEnded,
}

impl DropReason {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 10] = [
        Self::Away,
        Self::SlowConsumer,
        Self::QueueFull,
        Self::Expired,
        Self::TooLargeForClient,
        Self::NotAuthorized,
        Self::NoMember,
        Self::Refused,
        Self::Unreadable,
        Self::SessionEnded,
    ];

    /// The name in metrics and in the API, which never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::SlowConsumer => "slow-consumer",
            Self::QueueFull => "queue-full",
            Self::Expired => "expired",
            Self::TooLargeForClient => "too-large-for-client",
            Self::NotAuthorized => "not-authorized",
            Self::NoMember => "no-member",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::SessionEnded => "session-ended",
        }
    }
}

/// Counts by version and by something of at most sixteen kinds, in one table whose places need no check.
#[derive(Clone, Debug)]
struct ByVersion([u64; 64]);

impl Default for ByVersion {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl ByVersion {
    #[inline]
    fn place(version: ProtocolVersion, kind: u8) -> usize {
        (version as usize & 3) << 4 | usize::from(kind & 15)
    }

    #[inline]
    fn count(&mut self, version: ProtocolVersion, kind: u8) {
        if let Some(counter) = self.0.get_mut(Self::place(version, kind)) {
            *counter += 1;
        }
    }

    fn of(&self, version: ProtocolVersion, kind: u8) -> u64 {
        self.0.get(Self::place(version, kind)).copied().unwrap_or(0)
    }
}

/// Why a Topic Filter was refused in SUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionRefusal {
    /// It is longer, or has more levels, than the Server accepts.
    Filter,
    /// The authorizer said no.
    NotAuthorized,
    /// It would have to be stored, and nothing can be.
    Store,
    /// The Session has as many as it may have.
    OfSession,
    /// Its user has.
    OfUser,
    /// All together have.
    InAll,
}

impl SubscriptionRefusal {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 6] =
        [Self::Filter, Self::NotAuthorized, Self::Store, Self::OfSession, Self::OfUser, Self::InAll];

    /// The name in metrics, which never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::NotAuthorized => "not-authorized",
            Self::Store => "store",
            Self::OfSession => "of-session",
            Self::OfUser => "of-user",
            Self::InAll => "in-all",
        }
    }

    /// What SUBACK says, in 5.0.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::Filter => ReasonCode::TopicFilterInvalid,
            Self::NotAuthorized => ReasonCode::NotAuthorized,
            Self::Store | Self::OfSession | Self::OfUser | Self::InAll => ReasonCode::QuotaExceeded,
        }
    }
}

impl From<TooMany> for SubscriptionRefusal {
    fn from(too_many: TooMany) -> Self {
        match too_many {
            TooMany::OfUser => Self::OfUser,
            TooMany::InAll => Self::InAll,
        }
    }
}

/// What happened so far, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Packets from clients but PUBLISH, CONNECT included, by type.
    packets_received: ByVersion,
    /// Packets to clients but PUBLISH, by type.
    packets_sent: ByVersion,
    /// PUBLISH packets from clients, by QoS.
    messages_received: ByVersion,
    /// PUBLISH packets to clients, by QoS.
    messages_sent: ByVersion,
    /// Bytes from clients after their CONNECT.
    pub bytes_received: u64,
    /// Bytes handed to connections.
    pub bytes_sent: u64,
    /// Payload bytes of PUBLISH packets from clients.
    pub payload_bytes_received: u64,
    /// Payload bytes of PUBLISH packets to clients.
    pub payload_bytes_sent: u64,
    /// Messages that did not reach somebody, in the order of [`DropReason::ALL`].
    dropped: [u64; DropReason::ALL.len()],
    /// Sessions that ended because their client did not come back in time.
    pub sessions_expired: u64,
    /// How long messages took from client to client.
    pub delivery: Latencies,
    /// Topic Filters that were refused, in the order of [`SubscriptionRefusal::ALL`].
    subscriptions_refused: [u64; SubscriptionRefusal::ALL.len()],
}

impl Counters {
    /// Packets of a type from clients of a version.
    pub fn packets_received(&self, version: ProtocolVersion, packet_type: PacketType) -> u64 {
        packets(&self.packets_received, &self.messages_received, version, packet_type)
    }

    /// Packets of a type to clients of a version.
    pub fn packets_sent(&self, version: ProtocolVersion, packet_type: PacketType) -> u64 {
        packets(&self.packets_sent, &self.messages_sent, version, packet_type)
    }

    /// PUBLISH packets of a QoS from clients.
    pub fn messages_received(&self, qos: QoS) -> u64 {
        ProtocolVersion::ALL.into_iter().map(|version| self.messages_received.of(version, qos.bits())).sum()
    }

    /// PUBLISH packets of a QoS to clients.
    pub fn messages_sent(&self, qos: QoS) -> u64 {
        ProtocolVersion::ALL.into_iter().map(|version| self.messages_sent.of(version, qos.bits())).sum()
    }

    /// Messages dropped for a reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// A packet other than PUBLISH came.
    #[inline]
    pub(crate) fn packet_received(&mut self, version: ProtocolVersion, packet_type: PacketType) {
        self.packets_received.count(version, packet_type as u8);
    }

    /// A packet other than PUBLISH was sent.
    #[inline]
    pub(crate) fn packet_sent(&mut self, version: ProtocolVersion, packet_type: PacketType) {
        self.packets_sent.count(version, packet_type as u8);
    }

    #[inline]
    pub(crate) fn message_received(&mut self, version: ProtocolVersion, qos: QoS, payload_bytes: usize) {
        self.messages_received.count(version, qos.bits());
        self.payload_bytes_received += payload_bytes as u64;
    }

    #[inline]
    pub(crate) fn message_sent(&mut self, version: ProtocolVersion, qos: QoS, payload_bytes: usize) {
        self.messages_sent.count(version, qos.bits());
        self.payload_bytes_sent += payload_bytes as u64;
    }

    #[inline]
    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.drop_many(reason, 1);
    }

    #[inline]
    pub(crate) fn drop_many(&mut self, reason: DropReason, count: u64) {
        if let Some(counter) = self.dropped.get_mut(reason as usize) {
            *counter += count;
        }
    }

    pub(crate) fn refuse_subscription(&mut self, reason: SubscriptionRefusal) {
        if let Some(counter) = self.subscriptions_refused.get_mut(reason as usize) {
            *counter += 1;
        }
    }

    /// Topic Filters refused for a reason.
    pub fn subscriptions_refused_for(&self, reason: SubscriptionRefusal) -> u64 {
        self.subscriptions_refused.get(reason as usize).copied().unwrap_or(0)
    }
}

fn packets(
    others: &ByVersion,
    messages: &ByVersion,
    version: ProtocolVersion,
    packet_type: PacketType,
) -> u64 {
    match packet_type {
        PacketType::Publish => QoS::ALL.into_iter().map(|qos| messages.of(version, qos.bits())).sum(),
        other => others.of(version, other as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let mut counters = Counters::default();
        for (reason, count) in DropReason::ALL.into_iter().zip(1..) {
            counters.drop_many(reason, count);
        }
        for (reason, count) in DropReason::ALL.into_iter().zip(1..) {
            assert_eq!(counters.dropped_for(reason), count, "{reason:?}");
        }
        for (reason, count) in SubscriptionRefusal::ALL.into_iter().zip(1..) {
            (0..count).for_each(|_| counters.refuse_subscription(reason));
        }
        for (reason, count) in SubscriptionRefusal::ALL.into_iter().zip(1..) {
            assert_eq!(counters.subscriptions_refused_for(reason), count, "{reason:?}");
        }
    }
}
