//! The types of MQTT Control Packets (section 2.1.2) and sets of them.
//!
//! Two tables, that of the properties and that of the Reason Codes, say in which packets something may stand.
//! Both use the sets of [`bit`], where the Will counts as a place of its own because it has its own
//! properties inside CONNECT.

use std::fmt;

/// The type of an MQTT Control Packet, as in the upper four bits of its first byte (section 2.1.2).
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum PacketType {
    /// A Client asks to connect (section 3.1).
    Connect = 1,
    /// The Server answers (section 3.2).
    ConnAck = 2,
    /// An Application Message (section 3.3).
    Publish = 3,
    /// QoS 1 is complete (section 3.4).
    PubAck = 4,
    /// QoS 2, first answer (section 3.5).
    PubRec = 5,
    /// QoS 2, second step of the sender (section 3.6).
    PubRel = 6,
    /// QoS 2 is complete (section 3.7).
    PubComp = 7,
    /// A Client asks for Subscriptions (section 3.8).
    Subscribe = 8,
    /// The Server answers (section 3.9).
    SubAck = 9,
    /// A Client ends Subscriptions (section 3.10).
    Unsubscribe = 10,
    /// The Server answers (section 3.11).
    UnsubAck = 11,
    /// A Client asks whether the Server is there (section 3.12).
    PingReq = 12,
    /// The Server answers (section 3.13).
    PingResp = 13,
    /// The sender closes the connection (section 3.14).
    Disconnect = 14,
    /// Enhanced authentication, MQTT 5.0 only (section 3.15).
    Auth = 15,
}

impl PacketType {
    /// All packet types in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The type with this number, 1 to 15.
    #[inline]
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The name in the specification, such as `PUBLISH`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// The first byte of a packet of this type, with the flags that section 2.1.3 fixes. PUBLISH adds its own
    /// flags.
    #[inline]
    #[must_use]
    pub const fn first_byte(self) -> u8 {
        let flags = match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        };
        (self as u8) << 4 | flags
    }

    /// This type as a set of one; see [`bit`].
    #[inline]
    pub(crate) const fn bit(self) -> u16 {
        1 << self as u8
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Sets of packet types, one bit each, named as in the specification's tables.
pub(crate) mod bit {
    use super::PacketType;

    pub(crate) const WILL: u16 = 1;
    pub(crate) const CONNECT: u16 = PacketType::Connect.bit();
    pub(crate) const CONNACK: u16 = PacketType::ConnAck.bit();
    pub(crate) const PUBLISH: u16 = PacketType::Publish.bit();
    pub(crate) const PUBACK: u16 = PacketType::PubAck.bit();
    pub(crate) const PUBREC: u16 = PacketType::PubRec.bit();
    pub(crate) const PUBREL: u16 = PacketType::PubRel.bit();
    pub(crate) const PUBCOMP: u16 = PacketType::PubComp.bit();
    pub(crate) const SUBSCRIBE: u16 = PacketType::Subscribe.bit();
    pub(crate) const SUBACK: u16 = PacketType::SubAck.bit();
    pub(crate) const UNSUBSCRIBE: u16 = PacketType::Unsubscribe.bit();
    pub(crate) const UNSUBACK: u16 = PacketType::UnsubAck.bit();
    pub(crate) const DISCONNECT: u16 = PacketType::Disconnect.bit();
    pub(crate) const AUTH: u16 = PacketType::Auth.bit();
}
