//! CONNACK (section 3.2): the Server's answer to CONNECT.
//!
//! MQTT 3.x has six return codes where 5.0 has Reason Codes; [`ConnAck`] always holds a Reason Code and the
//! table in `reason_code.rs` translates. MQTT 3.1 has no Session Present flag: its byte is written as 0 and
//! not looked at.

use crate::error::MalformedPacket;
use crate::packet_type::{PacketType, bit};
use crate::property::{MaximumPacketSize, Property, ReceiveMaximum, put};
use crate::property_block::{PropertyBlock, judge_authentication};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::user_properties::UserProperties;
use crate::version::ProtocolVersion;
use crate::writer::{put_frame, put_with_length};

/// The answer to CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the Server resumes a stored Session. Always false in 3.1 and in a refusal.
    pub session_present: bool,
    /// Success, or why not.
    pub reason_code: ReasonCode,
    /// MQTT 5.0 only.
    pub properties: ConnAckProperties<'a>,
}

/// The properties of CONNACK (section 3.2.2.3). What is absent has the default that the specification gives
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnAckProperties<'a> {
    /// Session Expiry Interval in seconds, when it differs from what the Client asked for.
    pub session_expiry_interval_s: Option<u32>,
    /// Receive Maximum, not 0; absent means 65,535.
    pub receive_maximum: Option<u16>,
    /// Maximum QoS, 0 or 1; absent means 2.
    pub maximum_qos: Option<QoS>,
    /// Retain Available; absent means true.
    pub retain_available: Option<bool>,
    /// Maximum Packet Size in bytes, not 0; absent means no limit.
    pub maximum_packet_size: Option<u32>,
    /// Assigned Client Identifier, when the Client sent an empty one.
    pub assigned_client_identifier: Option<&'a str>,
    /// Topic Alias Maximum; absent means 0.
    pub topic_alias_maximum: Option<u16>,
    /// Reason String, for people.
    pub reason_string: Option<&'a str>,
    /// User Properties in order.
    pub user_properties: UserProperties<'a>,
    /// Wildcard Subscription Available; absent means true.
    pub wildcard_subscription_available: Option<bool>,
    /// Subscription Identifiers Available; absent means true.
    pub subscription_identifiers_available: Option<bool>,
    /// Shared Subscription Available; absent means true.
    pub shared_subscription_available: Option<bool>,
    /// Server Keep Alive in seconds, which replaces what the Client asked for.
    pub server_keep_alive_s: Option<u16>,
    /// Response Information, from which the Client makes Response Topics.
    pub response_information: Option<&'a str>,
    /// Server Reference: where else to connect.
    pub server_reference: Option<&'a str>,
    /// Authentication Method, the same as in CONNECT.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data; never without a method.
    pub authentication_data: Option<&'a [u8]>,
}

impl<'a> ConnAck<'a> {
    pub(crate) fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, MalformedPacket> {
        let mut reader = Reader::new(body);
        let flags = reader.byte()?;
        let code = reader.byte()?;
        // spec(v5): [MQTT-3.2.2-1]
        if version != ProtocolVersion::V3_1 && flags > 1 {
            return Err(MalformedPacket::malformed(
                "MQTT-3.2.2-1",
                "a reserved Connect Acknowledge Flag is 1",
            ));
        }
        let session_present = version != ProtocolVersion::V3_1 && flags == 1;
        // spec(v5): [MQTT-3.2.2-8]
        // spec(v3.1.1): [MQTT-3.2.2-6]
        let reason_code = match version {
            ProtocolVersion::V5 => {
                ReasonCode::from_code(code).filter(|reason_code| reason_code.allowed_in(PacketType::ConnAck))
            }
            _ => ReasonCode::from_return_code(code),
        };
        let Some(reason_code) = reason_code else {
            let detail = "the Reason Code is not one of CONNACK";
            return Err(MalformedPacket::protocol_error("MQTT-3.2.2-8", detail));
        };
        // spec(v5): [MQTT-3.2.2-6]
        // spec(v3.1.1): [MQTT-3.2.2-4]
        if session_present && reason_code != ReasonCode::Success {
            let detail = "a CONNACK that refuses the connection says that there is a Session";
            return Err(MalformedPacket::protocol_error("MQTT-3.2.2-6", detail));
        }
        let properties = match version {
            ProtocolVersion::V5 => read_properties(&mut reader)?,
            _ => ConnAckProperties::default(),
        };
        reader.finish()?;
        Ok(Self { session_present, reason_code, properties })
    }

    /// Appends the packet. In 3.x the Reason Code becomes the nearest return code.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_frame(out, PacketType::ConnAck, |out| {
            // spec(v5): [MQTT-3.2.2-6]
            // spec(v3.1.1): [MQTT-3.2.2-4]
            let session_present = self.session_present
                && self.reason_code == ReasonCode::Success
                && version != ProtocolVersion::V3_1;
            out.push(u8::from(session_present));
            if version == ProtocolVersion::V5 {
                out.push(self.reason_code.code());
                put_with_length(out, |out| self.properties.write(out));
            } else {
                out.push(self.reason_code.return_code());
            }
        });
    }
}

fn read_properties<'a>(reader: &mut Reader<'a>) -> Result<ConnAckProperties<'a>, MalformedPacket> {
    let mut block = PropertyBlock::read(reader, bit::CONNACK)?;
    let mut read = ConnAckProperties::default();
    while let Some(property) = block.next()? {
        match property {
            Property::SessionExpiryInterval(value) => read.session_expiry_interval_s = Some(value),
            Property::ReceiveMaximum(ReceiveMaximum(value)) => read.receive_maximum = Some(value),
            Property::MaximumQoS(value) => read.maximum_qos = Some(value),
            Property::RetainAvailable(value) => read.retain_available = Some(value),
            Property::MaximumPacketSize(MaximumPacketSize(value)) => read.maximum_packet_size = Some(value),
            Property::AssignedClientIdentifier(value) => read.assigned_client_identifier = Some(value),
            Property::TopicAliasMaximum(value) => read.topic_alias_maximum = Some(value),
            Property::ReasonString(value) => read.reason_string = Some(value),
            Property::WildcardSubscriptionAvailable(value) => {
                read.wildcard_subscription_available = Some(value)
            }
            Property::SubscriptionIdentifiersAvailable(value) => {
                read.subscription_identifiers_available = Some(value);
            }
            Property::SharedSubscriptionAvailable(value) => read.shared_subscription_available = Some(value),
            Property::ServerKeepAlive(value) => read.server_keep_alive_s = Some(value),
            Property::ResponseInformation(value) => read.response_information = Some(value),
            Property::ServerReference(value) => read.server_reference = Some(value),
            Property::AuthenticationMethod(value) => read.authentication_method = Some(value),
            Property::AuthenticationData(value) => read.authentication_data = Some(value),
            _ => {}
        }
    }
    read.user_properties = block.user_properties();
    judge_authentication(read.authentication_method, read.authentication_data)?;
    Ok(read)
}

impl ConnAckProperties<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.session_expiry_interval_s.map(Property::SessionExpiryInterval));
        put(out, self.assigned_client_identifier.map(Property::AssignedClientIdentifier));
        put(out, self.server_keep_alive_s.map(Property::ServerKeepAlive));
        put(out, self.authentication_method.map(Property::AuthenticationMethod));
        put(out, self.authentication_data.map(Property::AuthenticationData));
        put(out, self.response_information.map(Property::ResponseInformation));
        put(out, self.server_reference.map(Property::ServerReference));
        put(out, self.reason_string.map(Property::ReasonString));
        put(out, self.receive_maximum.map(ReceiveMaximum).map(Property::ReceiveMaximum));
        put(out, self.topic_alias_maximum.map(Property::TopicAliasMaximum));
        // A Maximum QoS of 2 is said by leaving the property out.
        let maximum_qos = self.maximum_qos.filter(|&qos| qos != QoS::ExactlyOnce);
        put(out, maximum_qos.map(Property::MaximumQoS));
        put(out, self.retain_available.map(Property::RetainAvailable));
        self.user_properties.write(out);
        put(out, self.maximum_packet_size.map(MaximumPacketSize).map(Property::MaximumPacketSize));
        put(out, self.wildcard_subscription_available.map(Property::WildcardSubscriptionAvailable));
        put(out, self.subscription_identifiers_available.map(Property::SubscriptionIdentifiersAvailable));
        put(out, self.shared_subscription_available.map(Property::SharedSubscriptionAvailable));
    }
}
