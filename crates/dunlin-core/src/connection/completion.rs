//! Acknowledgements that may have to wait, in order.
//!
//! Every acknowledgement of a connection is a [`Completion`]: a packet and the [`Barrier`] it waits behind.
//! Without a store and with one shard the barrier is open from the start and the packet leaves at once.
//! Otherwise the connection's completions leave in the order in which their packets came ([MQTT-4.6.0-2] and
//! its kin), each when its records are durable and its peers have applied it.

use crate::identity::ShardId;
use crate::journal::Position;
use dunlin_codec::{PacketIdentifier, ReasonCode};
use smallvec::SmallVec;

/// What has to happen first.
#[derive(Clone, Debug, Default)]
pub struct Barrier {
    /// The records before it are durable.
    pub position: Position,
    /// What peers have done.
    pub peers: SmallVec<[Mark; 1]>,
    /// The joins of shared groups with this token are answered.
    pub joins: Option<u64>,
}

/// What one peer has to have done with the messages that it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Which peer.
    pub peer: ShardId,
    /// The number of a message.
    pub sequence: u64,
    /// What has to have become of it.
    pub until: Until,
}

/// What has to have become of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// It is applied.
    Applied,
    /// And what the peer has recorded because of it is durable.
    Stored,
    /// And so it is for all messages before.
    AllStored,
}

/// A packet that is owed.
#[derive(Debug)]
pub enum Owed {
    /// CONNACK, already encoded.
    ConnAck(Vec<u8>),
    /// A PUBLISH. At QoS 2 its Packet Identifier must outlive us before the client sees it.
    Publish {
        /// Its name.
        packet_identifier: PacketIdentifier,
        /// About how long it is; what waits counts as if it were in the outbox already.
        size_bytes: usize,
    },
    /// PUBACK.
    PubAck(PacketIdentifier, ReasonCode),
    /// PUBREC.
    PubRec(PacketIdentifier, ReasonCode),
    /// PUBREL.
    PubRel(PacketIdentifier, ReasonCode),
    /// PUBCOMP.
    PubComp(PacketIdentifier, ReasonCode),
    /// SUBACK. Retained Messages follow it.
    SubAck {
        /// Of SUBSCRIBE.
        packet_identifier: PacketIdentifier,
        /// One per filter.
        reason_codes: SmallVec<[u8; 8]>,
    },
    /// UNSUBACK.
    UnsubAck {
        /// Of UNSUBSCRIBE.
        packet_identifier: PacketIdentifier,
        /// One per filter.
        reason_codes: SmallVec<[u8; 8]>,
    },
}

/// See the top of the file.
#[derive(Debug)]
pub struct Completion {
    /// What it waits for.
    pub barrier: Barrier,
    /// What leaves then.
    pub owed: Owed,
}
