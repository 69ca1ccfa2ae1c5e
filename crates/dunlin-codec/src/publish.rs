//! PUBLISH (section 3.3): an Application Message on its way.
//!
//! This is the packet that a broker decodes most, so its decoding allocates nothing and copies nothing. A
//! Topic Alias is not resolved here (the connection knows its aliases), and whether the payload is UTF-8 when
//! the Payload Format Indicator says so is left to the core, which answers with 0x99 instead of closing.
//! Encoding from the stored parts of a message, without a `Publish`, is in `publish_parts.rs`.

use std::num::NonZeroU16;

use crate::error::MalformedPacket;
use crate::frame::Frame;
use crate::message_properties::MessageProperties;
use crate::packet_identifier::PacketIdentifier;
use crate::packet_type::bit;
use crate::property::Property;
use crate::property_block::PropertyBlock;
use crate::publish_parts::PublishHead;
use crate::qos::QoS;
use crate::reader::Reader;
use crate::subscription_identifiers::SubscriptionIdentifiers;
use crate::topic::{TopicError, TopicName};
use crate::version::ProtocolVersion;

/// An Application Message as one packet carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether this may be a re-delivery; never with QoS 0.
    pub dup: bool,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// A valid Topic Name, or empty when the Topic Alias stands for it.
    pub topic: &'a str,
    /// Present exactly with QoS 1 and 2.
    pub packet_identifier: Option<PacketIdentifier>,
    /// Topic Alias, not 0. Whether it is within the Topic Alias Maximum is the core's to judge.
    pub topic_alias: Option<NonZeroU16>,
    /// Only from Server to Client; the core refuses them in the other direction ([MQTT-3.3.4-6]).
    pub subscription_identifiers: SubscriptionIdentifiers<'a>,
    /// What travels with the message.
    pub properties: MessageProperties<'a>,
    /// The message itself; may be empty.
    pub payload: &'a [u8],
}

#[cold]
fn no_topic() -> MalformedPacket {
    MalformedPacket::protocol_error("3.3.2.1", "the Topic Name is empty and there is no Topic Alias")
}

impl<'a> Publish<'a> {
    /// Decodes a frame whose first byte [`Frame::packet_type`] has judged to be that of a PUBLISH.
    #[inline]
    pub(crate) fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, MalformedPacket> {
        let mut reader = Reader::new(frame.body);
        let qos = QoS::from_bits(frame.first_byte >> 1 & 0b11).unwrap_or_default();
        // spec(v5): [MQTT-3.3.2-1]
        // spec(v3.1.1): [MQTT-3.3.2-1]
        let topic = reader.string_before_null_check()?;
        let topic_is_empty = match TopicName::parse(topic) {
            Ok(_) => false,
            Err(TopicError::Empty) => true,
            // spec(v5): [MQTT-3.3.2-2]
            // spec(v3.1.1): [MQTT-3.3.2-2]
            Err(error) => return Err(error.in_topic_name()),
        };
        // spec(v5): [MQTT-2.2.1-2]
        // spec(v3.1.1): [MQTT-2.3.1-5]
        let packet_identifier = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_identifier()?),
        };
        let mut publish = Self {
            dup: frame.first_byte & 0b1000 != 0,
            qos,
            retain: frame.first_byte & 0b0001 != 0,
            topic,
            packet_identifier,
            topic_alias: None,
            subscription_identifiers: SubscriptionIdentifiers::default(),
            properties: MessageProperties::default(),
            payload: &[],
        };
        if version == ProtocolVersion::V5 {
            publish.read_properties(&mut reader)?;
        }
        publish.payload = reader.rest();
        // spec(v5): [MQTT-4.7.3-1]
        // spec(v3.1.1): [MQTT-4.7.3-1]
        if topic_is_empty && publish.topic_alias.is_none() {
            return Err(no_topic());
        }
        Ok(publish)
    }

    #[inline]
    fn read_properties(&mut self, reader: &mut Reader<'a>) -> Result<(), MalformedPacket> {
        let mut block = PropertyBlock::read(reader, bit::PUBLISH)?;
        if block.is_empty() {
            return Ok(());
        }
        while let Some(property) = block.next()? {
            match property {
                Property::TopicAlias(alias) => self.topic_alias = Some(alias),
                other => self.properties.accept(other),
            }
        }
        self.subscription_identifiers = block.subscription_identifiers();
        self.properties.user_properties = block.user_properties();
        Ok(())
    }

    /// Appends the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let head = PublishHead {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic,
            packet_identifier: self.packet_identifier,
            message_expiry_interval_s: self.properties.message_expiry_interval_s,
            topic_alias: self.topic_alias,
            subscription_identifiers: self.subscription_identifiers.iter(),
            forwarded_length: self.properties.forwarded_length(),
            payload_length: self.payload.len(),
        };
        head.write(version, out, |out| self.properties.write_forwarded(out));
        out.extend_from_slice(self.payload);
    }
}
