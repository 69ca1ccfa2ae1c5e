//! The Will Message inside CONNECT (section 3.1.2.5 and 3.1.3.2 to 3.1.3.4).
//!
//! Its QoS and RETAIN stand in the Connect Flags, which `connect.rs` judges; topic, payload and properties
//! stand in the payload of CONNECT. The Will Delay Interval is the Will's alone; the other properties are
//! those of the message that will be published.

use crate::error::MalformedPacket;
use crate::message_properties::MessageProperties;
use crate::packet_type::bit;
use crate::property::{Property, put};
use crate::property_block::PropertyBlock;
use crate::qos::QoS;
use crate::reader::Reader;
use crate::topic::TopicName;
use crate::version::ProtocolVersion;
use crate::writer::{put_binary, put_string, put_with_length};

/// The Will Message that the Server publishes when the connection ends without a normal DISCONNECT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Will<'a> {
    /// The QoS to publish with.
    pub qos: QoS,
    /// Whether to publish as a Retained Message.
    pub retain: bool,
    /// A valid Topic Name.
    pub topic: &'a str,
    /// Up to 65,535 bytes.
    pub payload: &'a [u8],
    /// Will Delay Interval in seconds; absent means 0.
    pub delay_interval_s: Option<u32>,
    /// What travels with the message.
    pub properties: MessageProperties<'a>,
}

impl<'a> Will<'a> {
    /// Reads Will Properties, Will Topic and Will Payload.
    pub(crate) fn read(
        reader: &mut Reader<'a>,
        version: ProtocolVersion,
        qos: QoS,
        retain: bool,
    ) -> Result<Self, MalformedPacket> {
        // spec(v5): [MQTT-3.1.2-9] [MQTT-3.1.3-1]
        // spec(v3.1.1): [MQTT-3.1.2-9] [MQTT-3.1.3-1]
        let mut delay_interval_s = None;
        let mut properties = MessageProperties::default();
        if version == ProtocolVersion::V5 {
            let mut block = PropertyBlock::read(reader, bit::WILL)?;
            while let Some(property) = block.next()? {
                match property {
                    Property::WillDelayInterval(seconds) => delay_interval_s = Some(seconds),
                    other => properties.accept(other),
                }
            }
            properties.user_properties = block.user_properties();
        }
        // spec(v5): [MQTT-3.1.3-11]
        // spec(v3.1.1): [MQTT-3.1.3-10]
        let topic = reader.string()?;
        TopicName::parse(topic).map_err(|error| error.in_topic_name())?;
        let payload = reader.binary()?;
        Ok(Self { qos, retain, topic, payload, delay_interval_s, properties })
    }

    pub(crate) fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        if version == ProtocolVersion::V5 {
            put_with_length(out, |out| {
                put(out, self.delay_interval_s.map(Property::WillDelayInterval));
                put(out, self.properties.message_expiry_interval_s.map(Property::MessageExpiryInterval));
                self.properties.write_forwarded(out);
            });
        }
        put_string(out, self.topic);
        put_binary(out, self.payload);
    }
}
