//! The properties of an Application Message that travel with it from publisher to subscriber.
//!
//! PUBLISH and the Will in CONNECT share them. All but the Message Expiry Interval reach the subscriber
//! unaltered, so a broker encodes them once per message, keeps that block
//! ([`MessageProperties::write_forwarded`]) beside the payload, and copies it into every PUBLISH
//! ([`PublishParts::forwarded`](crate::PublishParts::forwarded)). The expiry interval shrinks while a message
//! waits, and alias and Subscription Identifiers belong to one connection: they are not in it.

use crate::error::MalformedPacket;
use crate::packet_type::bit;
use crate::property::{Property, ResponseTopic, put};
use crate::property_block::PropertyBlock;
use crate::user_properties::UserProperties;
use crate::writer::fitting;

/// The properties of an Application Message (section 3.3.2.3; 3.1.3.2 for the Will).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageProperties<'a> {
    /// Payload Format Indicator: whether the payload says that it is UTF-8. Not judged here.
    pub payload_format_is_utf8: Option<bool>,
    /// Message Expiry Interval in seconds; absent means never.
    pub message_expiry_interval_s: Option<u32>,
    /// Content Type, as the applications agree.
    pub content_type: Option<&'a str>,
    /// Response Topic, a valid Topic Name.
    pub response_topic: Option<&'a str>,
    /// Correlation Data.
    pub correlation_data: Option<&'a [u8]>,
    /// User Properties in order.
    pub user_properties: UserProperties<'a>,
}

impl<'a> MessageProperties<'a> {
    /// Takes the property if it is one of these; User Properties come from the block as a whole.
    #[inline]
    pub(crate) fn accept(&mut self, property: Property<'a>) {
        match property {
            Property::PayloadFormatIndicator(value) => self.payload_format_is_utf8 = Some(value),
            Property::MessageExpiryInterval(value) => self.message_expiry_interval_s = Some(value),
            // spec(v5): [MQTT-3.3.2-19]
            Property::ContentType(value) => self.content_type = Some(value),
            Property::ResponseTopic(ResponseTopic(value)) => self.response_topic = Some(value),
            Property::CorrelationData(value) => self.correlation_data = Some(value),
            _ => {}
        }
    }

    /// Appends, encoded, what a Server forwards unaltered: Payload Format Indicator, Content Type, Response
    /// Topic, Correlation Data and the User Properties in order.
    #[inline]
    pub fn write_forwarded(&self, out: &mut Vec<u8>) {
        if self.forwarded_is_empty() {
            return;
        }
        // spec(v5): [MQTT-3.3.2-4]
        put(out, self.payload_format_is_utf8.map(Property::PayloadFormatIndicator));
        // spec(v5): [MQTT-3.3.2-20]
        put(out, self.content_type.map(Property::ContentType));
        // spec(v5): [MQTT-3.3.2-15]
        put(out, self.response_topic.map(ResponseTopic).map(Property::ResponseTopic));
        // spec(v5): [MQTT-3.3.2-16]
        put(out, self.correlation_data.map(Property::CorrelationData));
        // spec(v5): [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.1.3-10]
        self.user_properties.write(out);
    }

    /// Whether [`MessageProperties::write_forwarded`] appends nothing.
    #[inline]
    #[must_use]
    pub fn forwarded_is_empty(&self) -> bool {
        self.payload_format_is_utf8.is_none()
            && self.content_type.is_none()
            && self.response_topic.is_none()
            && self.correlation_data.is_none()
            && self.user_properties.is_empty()
    }

    /// How many bytes [`MessageProperties::write_forwarded`] appends.
    #[inline]
    #[must_use]
    pub fn forwarded_length(&self) -> usize {
        let string = |field: Option<&str>| field.map_or(0, |string| fitting(string).len() + 3);
        let binary = |field: Option<&[u8]>| field.map_or(0, |bytes| bytes.len().min(65_535) + 3);
        self.payload_format_is_utf8.map_or(0, |_| 2)
            + string(self.content_type)
            + string(self.response_topic)
            + binary(self.correlation_data)
            + self.user_properties.encoded_length()
    }
}

/// Reads back a block that [`MessageProperties::write_forwarded`] wrote.
///
/// # Errors
/// When the block holds anything that no PUBLISH may hold, or what is never in such a block.
pub fn decode_forwarded(block: &[u8]) -> Result<MessageProperties<'_>, MalformedPacket> {
    let mut properties = MessageProperties::default();
    let mut properties_read = PropertyBlock::over(block, bit::PUBLISH);
    while let Some(property) = properties_read.next()? {
        if let Property::MessageExpiryInterval(_)
        | Property::TopicAlias(_)
        | Property::SubscriptionIdentifier(_) = property
        {
            let detail = "a property of one connection stands in a block of forwarded properties";
            return Err(MalformedPacket::malformed("2.2.2.2", detail));
        }
        properties.accept(property);
    }
    properties.user_properties = properties_read.user_properties();
    Ok(properties)
}
