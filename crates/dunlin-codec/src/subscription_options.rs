//! The Subscription Options (section 3.8.3.1): one byte after each Topic Filter of a SUBSCRIBE.
//!
//! In MQTT 3.x that byte is the Requested QoS and its other bits are reserved. The specification tells the
//! bad values apart: reserved bits make a Malformed Packet, a QoS or Retain Handling of 3 a Protocol Error.

use crate::error::MalformedPacket;
use crate::qos::QoS;
use crate::version::ProtocolVersion;

/// How messages that match a Subscription are sent to its Client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub struct SubscriptionOptions {
    /// The highest QoS that the Client wants.
    pub maximum_qos: QoS,
    /// Whether the Client's own messages are kept from it.
    pub no_local: bool,
    /// Whether the RETAIN flag stays as the publisher set it.
    pub retain_as_published: bool,
    /// Whether Retained Messages are sent when the Subscription is made.
    pub retain_handling: RetainHandling,
}

/// When Retained Messages are sent in answer to a SUBSCRIBE.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum RetainHandling {
    /// At every SUBSCRIBE, also when the Subscription existed.
    #[default]
    SendAtSubscribe = 0,
    /// Only when the Subscription did not exist.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

impl RetainHandling {
    /// The option with this number; `None` for 3 and above.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::SendAtSubscribe),
            1 => Some(Self::SendIfNew),
            2 => Some(Self::DoNotSend),
            _ => None,
        }
    }

    /// 0, 1 or 2.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

impl SubscriptionOptions {
    /// The options of a Subscription made with MQTT 3.x, or with the defaults of 5.0.
    #[must_use]
    pub const fn with_qos(maximum_qos: QoS) -> Self {
        Self {
            maximum_qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        }
    }

    /// The byte of MQTT 5.0.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.maximum_qos.bits()
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | self.retain_handling.bits() << 4
    }

    /// The options that this byte of MQTT 5.0 stands for; `None` when a bit or value is not allowed.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        Self::decode(bits, ProtocolVersion::V5).ok()
    }

    pub(crate) fn decode(bits: u8, version: ProtocolVersion) -> Result<Self, MalformedPacket> {
        let reserved = if version == ProtocolVersion::V5 { 0b1100_0000 } else { 0b1111_1100 };
        // spec(v5): [MQTT-3.8.3-5]
        // spec(v3.1.1): [MQTT-3.8.3-4]
        if bits & reserved != 0 {
            return Err(MalformedPacket::malformed(
                "MQTT-3.8.3-5",
                "a reserved bit of the Subscription Options is 1",
            ));
        }
        // spec(v3.1.1): [MQTT-3.8.3-4]
        let Some(maximum_qos) = QoS::from_bits(bits & 0b11) else {
            return Err(MalformedPacket::protocol_error("3.8.3.1", "the Maximum QoS of a Subscription is 3"));
        };
        let Some(retain_handling) = RetainHandling::from_bits(bits >> 4 & 0b11) else {
            return Err(MalformedPacket::protocol_error(
                "3.8.3.1",
                "the Retain Handling of a Subscription is 3",
            ));
        };
        let no_local = bits & 0b0100 != 0;
        let retain_as_published = bits & 0b1000 != 0;
        Ok(Self { maximum_qos, no_local, retain_as_published, retain_handling })
    }
}
