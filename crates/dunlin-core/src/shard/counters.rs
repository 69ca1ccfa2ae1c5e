//! What happened, counted, for metrics. Nothing is decided by these numbers.
//!
//! They are plain numbers of the shard's thread: whoever wants them asks for a copy between two turns, so counting
//! costs the way of a message an addition and no more.

use super::latency::Latencies;
use dunlin_codec::{PacketType, ProtocolVersion, QoS};

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

/// What happened so far, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Packets from clients, CONNECT included, by version and type.
    packets_received: [[u64; 16]; 3],
    /// Packets to clients, by version and type.
    packets_sent: [[u64; 16]; 3],
    /// PUBLISH packets from clients, by QoS.
    messages_received: [u64; 3],
    /// PUBLISH packets to clients, by QoS.
    messages_sent: [u64; 3],
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
}

impl Counters {
    /// Packets of a type from clients of a version.
    pub fn packets_received(&self, version: ProtocolVersion, packet_type: PacketType) -> u64 {
        of_packet(&self.packets_received, version, packet_type)
    }

    /// Packets of a type to clients of a version.
    pub fn packets_sent(&self, version: ProtocolVersion, packet_type: PacketType) -> u64 {
        of_packet(&self.packets_sent, version, packet_type)
    }

    /// PUBLISH packets of a QoS from clients.
    pub fn messages_received(&self, qos: QoS) -> u64 {
        self.messages_received.get(qos as usize).copied().unwrap_or(0)
    }

    /// PUBLISH packets of a QoS to clients.
    pub fn messages_sent(&self, qos: QoS) -> u64 {
        self.messages_sent.get(qos as usize).copied().unwrap_or(0)
    }

    /// Messages dropped for a reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    #[inline]
    pub(crate) fn packet_received(&mut self, version: ProtocolVersion, packet_type: PacketType) {
        count(&mut self.packets_received, version, packet_type);
    }

    #[inline]
    pub(crate) fn packet_sent(&mut self, version: ProtocolVersion, packet_type: PacketType) {
        count(&mut self.packets_sent, version, packet_type);
    }

    #[inline]
    pub(crate) fn message_received(&mut self, qos: QoS, payload_bytes: usize) {
        if let Some(counter) = self.messages_received.get_mut(qos as usize) {
            *counter += 1;
        }
        self.payload_bytes_received += payload_bytes as u64;
    }

    #[inline]
    pub(crate) fn message_sent(&mut self, version: ProtocolVersion, qos: QoS, payload_bytes: usize) {
        self.packet_sent(version, PacketType::Publish);
        if let Some(counter) = self.messages_sent.get_mut(qos as usize) {
            *counter += 1;
        }
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
}

#[inline]
fn count(counters: &mut [[u64; 16]; 3], version: ProtocolVersion, packet_type: PacketType) {
    if let Some(counter) =
        counters.get_mut(version as usize).and_then(|types| types.get_mut(packet_type as usize))
    {
        *counter += 1;
    }
}

fn of_packet(counters: &[[u64; 16]; 3], version: ProtocolVersion, packet_type: PacketType) -> u64 {
    let of_version = counters.get(version as usize);
    of_version.and_then(|types| types.get(packet_type as usize)).copied().unwrap_or(0)
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
    }
}
