//! Encoding PUBLISH from the parts that a broker keeps: the hot path of a fan-out.
//!
//! A message is decoded once and delivered many times. What does not change between deliveries (topic,
//! forwarded properties, payload) is kept as bytes and copied; what does change (flags, Packet Identifier,
//! expiry, alias, Subscription Identifiers) is written here. Lengths are computed first, so that a packet too
//! large for its receiver is never written ([MQTT-3.1.2-24]), and nothing is moved after it was written.

use std::num::NonZeroU16;

use crate::packet_identifier::PacketIdentifier;
use crate::packet_type::PacketType;
use crate::property::{Property, SubscriptionIdentifier, put};
use crate::qos::QoS;
use crate::version::ProtocolVersion;
use crate::writer::{
    fitting, put_string, put_two_byte_integer, put_variable_byte_integer, variable_byte_integer_length,
};

/// The parts of a PUBLISH to send, all but the payload itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishParts<'a> {
    /// Whether this is a re-delivery. Never written with QoS 0.
    pub dup: bool,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// A valid Topic Name, or empty when the Topic Alias stands for it.
    pub topic: &'a str,
    /// Not looked at with QoS 0. With QoS 1 or 2 and `None`, two zero bytes are written for the caller to
    /// fill in.
    pub packet_identifier: Option<PacketIdentifier>,
    /// What is left of the Message Expiry Interval, in seconds.
    pub message_expiry_interval_s: Option<u32>,
    /// Topic Alias.
    pub topic_alias: Option<NonZeroU16>,
    /// The Subscription Identifiers of all matching Subscriptions, each 1 to 268,435,455.
    pub subscription_identifiers: &'a [u32],
    /// What [`MessageProperties::write_forwarded`](crate::MessageProperties::write_forwarded) wrote.
    pub forwarded: &'a [u8],
    /// How many bytes of payload the caller appends after the head.
    pub payload_length: usize,
}

impl PublishParts<'_> {
    /// The length in bytes of the whole packet, payload included: what a Maximum Packet Size is compared
    /// with. Above 268,435,460 there is no such packet, and the head must not be encoded.
    #[inline]
    #[must_use]
    pub fn frame_length(&self, version: ProtocolVersion) -> usize {
        let remaining_length = self.head().remaining_length(version);
        1 + variable_byte_integer_length(remaining_length) + remaining_length
    }

    /// Appends everything but the payload. The result is the offset in `out` of the Packet Identifier's two
    /// bytes, so that a fan-out can copy the frame and patch them; `None` with QoS 0.
    #[inline]
    pub fn encode_head(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Option<usize> {
        self.head().write(version, out, |out| out.extend_from_slice(self.forwarded))
    }

    #[inline]
    fn head(&self) -> PublishHead<'_, impl Iterator<Item = u32> + Clone> {
        PublishHead {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic,
            packet_identifier: self.packet_identifier,
            message_expiry_interval_s: self.message_expiry_interval_s,
            topic_alias: self.topic_alias,
            subscription_identifiers: self.subscription_identifiers.iter().copied(),
            forwarded_length: self.forwarded.len(),
            payload_length: self.payload_length,
        }
    }
}

/// What [`PublishParts`] and [`Publish`](crate::Publish) have in common when they are written.
pub(crate) struct PublishHead<'a, Identifiers> {
    pub(crate) dup: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) topic: &'a str,
    pub(crate) packet_identifier: Option<PacketIdentifier>,
    pub(crate) message_expiry_interval_s: Option<u32>,
    pub(crate) topic_alias: Option<NonZeroU16>,
    pub(crate) subscription_identifiers: Identifiers,
    pub(crate) forwarded_length: usize,
    pub(crate) payload_length: usize,
}

impl<Identifiers: Iterator<Item = u32> + Clone> PublishHead<'_, Identifiers> {
    #[inline]
    fn properties_length(&self) -> usize {
        let identifiers = self.subscription_identifiers.clone();
        let identifiers_length = identifiers
            .map(|identifier| 1 + variable_byte_integer_length(identifier as usize))
            .sum::<usize>();
        self.message_expiry_interval_s.map_or(0, |_| 5)
            + self.topic_alias.map_or(0, |_| 3)
            + identifiers_length
            + self.forwarded_length
    }

    #[inline]
    fn remaining_length(&self, version: ProtocolVersion) -> usize {
        let properties_length = match version {
            ProtocolVersion::V5 => {
                let length = self.properties_length();
                variable_byte_integer_length(length) + length
            }
            _ => 0,
        };
        let packet_identifier_length = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        2 + fitting(self.topic).len() + packet_identifier_length + properties_length + self.payload_length
    }

    /// Appends all but the payload; `write_forwarded` appends exactly `forwarded_length` bytes.
    #[inline]
    pub(crate) fn write(
        self,
        version: ProtocolVersion,
        out: &mut Vec<u8>,
        write_forwarded: impl FnOnce(&mut Vec<u8>),
    ) -> Option<usize> {
        let remaining_length = self.remaining_length(version);
        out.reserve(5 + remaining_length);
        out.push(self.first_byte());
        put_variable_byte_integer(out, remaining_length as u32);
        put_string(out, self.topic);
        // spec(v5): [MQTT-2.2.1-2]
        // spec(v3.1.1): [MQTT-2.3.1-5]
        let packet_identifier_offset = (self.qos != QoS::AtMostOnce).then(|| {
            let offset = out.len();
            put_two_byte_integer(out, self.packet_identifier.map_or(0, PacketIdentifier::get));
            offset
        });
        if version == ProtocolVersion::V5 {
            put_variable_byte_integer(out, self.properties_length() as u32);
            put(out, self.message_expiry_interval_s.map(Property::MessageExpiryInterval));
            put(out, self.topic_alias.map(Property::TopicAlias));
            for identifier in self.subscription_identifiers {
                Property::SubscriptionIdentifier(SubscriptionIdentifier(identifier)).write(out);
            }
            write_forwarded(out);
        }
        packet_identifier_offset
    }

    #[inline]
    fn first_byte(&self) -> u8 {
        // spec(v5): [MQTT-3.3.1-2]
        // spec(v3.1.1): [MQTT-3.3.1-2]
        let dup = self.dup && self.qos != QoS::AtMostOnce;
        PacketType::Publish.first_byte() | u8::from(dup) << 3 | self.qos.bits() << 1 | u8::from(self.retain)
    }
}
