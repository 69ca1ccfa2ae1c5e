//! Application Messages that own what they are made of: one that is to be sent, and one that came.
//!
//! The codec's packets borrow from the bytes of a connection. What waits here for an acknowledgement, or to be
//! printed, outlives those bytes; payloads are shared with them and not copied.

use std::num::NonZeroU16;

use bytes::Bytes;
use dunlin_codec::{MessageProperties, PacketIdentifier, Publish, QoS, encode_user_properties};

/// User Properties in their order, as their bytes in a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserProperties(Vec<u8>);

/// What travels with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Payload Format Indicator: whether the payload says that it is UTF-8.
    pub payload_format_is_utf8: Option<bool>,
    /// Message Expiry Interval in seconds.
    pub message_expiry_interval_s: Option<u32>,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic, a valid Topic Name.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Vec<u8>>,
    /// User Properties.
    pub user_properties: UserProperties,
}

/// A message to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// A valid Topic Name.
    pub topic: String,
    /// The message itself.
    pub payload: Bytes,
    /// How often it shall arrive.
    pub qos: QoS,
    /// Whether it shall be retained.
    pub retain: bool,
    /// The Topic Alias that stands for the topic from the second message of a connection on.
    pub topic_alias: Option<NonZeroU16>,
    /// What travels with it.
    pub properties: Properties,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The Topic Name, also where a Topic Alias stood for it.
    pub topic: String,
    /// The message itself.
    pub payload: Bytes,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// Whether it may have come before.
    pub dup: bool,
    /// Present exactly with QoS 1 and 2.
    pub packet_identifier: Option<PacketIdentifier>,
    /// The Topic Alias, if one was used or set.
    pub topic_alias: Option<NonZeroU16>,
    /// Those of the Subscriptions that matched.
    pub subscription_identifiers: Vec<u32>,
    /// What travels with it.
    pub properties: Properties,
    /// The connection it came by: an acknowledgement by another one would be of another message.
    pub(super) connection_number: u64,
}

impl UserProperties {
    /// Adds one at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.extend(encode_user_properties(&[(name, value)]));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.view().iter()
    }

    /// The same for a packet to send.
    pub fn view(&self) -> dunlin_codec::UserProperties<'_> {
        dunlin_codec::UserProperties::from_encoded(&self.0)
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for UserProperties {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut properties = Self::default();
        pairs.into_iter().for_each(|(name, value)| properties.push(name, value));
        properties
    }
}

impl Properties {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same for a packet to send.
    pub fn view(&self) -> MessageProperties<'_> {
        MessageProperties {
            payload_format_is_utf8: self.payload_format_is_utf8,
            message_expiry_interval_s: self.message_expiry_interval_s,
            content_type: self.content_type.as_deref(),
            response_topic: self.response_topic.as_deref(),
            correlation_data: self.correlation_data.as_deref(),
            user_properties: self.user_properties.view(),
        }
    }
}

impl From<MessageProperties<'_>> for Properties {
    fn from(properties: MessageProperties<'_>) -> Self {
        Self {
            payload_format_is_utf8: properties.payload_format_is_utf8,
            message_expiry_interval_s: properties.message_expiry_interval_s,
            content_type: properties.content_type.map(str::to_owned),
            response_topic: properties.response_topic.map(str::to_owned),
            correlation_data: properties.correlation_data.map(<[u8]>::to_vec),
            user_properties: properties.user_properties.iter().collect(),
        }
    }
}

impl Message {
    /// The message of a packet, whose payload lies in `frame`.
    pub(super) fn new(publish: &Publish<'_>, topic: String, frame: &Bytes, connection_number: u64) -> Self {
        Self {
            topic,
            payload: frame.slice_ref(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_identifier: publish.packet_identifier,
            topic_alias: publish.topic_alias,
            subscription_identifiers: publish.subscription_identifiers.iter().collect(),
            properties: publish.properties.into(),
            connection_number,
        }
    }
}
