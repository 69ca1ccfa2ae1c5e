//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7): four packets of one shape.
//!
//! In MQTT 3.x they are a Packet Identifier and nothing else. MQTT 5.0 adds a Reason Code and properties, and
//! lets the sender leave them out from the end: two bytes mean Success without properties, three mean without
//! properties. Dunlin always writes the shortest form. Which Reason Codes are allowed differs among the four.

use crate::error::MalformedPacket;
use crate::packet_identifier::PacketIdentifier;
use crate::packet_type::PacketType;
use crate::property::{Property, put};
use crate::property_block::PropertyBlock;
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::user_properties::UserProperties;
use crate::version::ProtocolVersion;
use crate::writer::{put_frame, put_two_byte_integer, put_with_length};

/// One step of acknowledging a PUBLISH. The packet type stands beside it, in [`Packet`](crate::Packet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement<'a> {
    /// The Packet Identifier of the PUBLISH.
    pub packet_identifier: PacketIdentifier,
    /// Always [`ReasonCode::Success`] in 3.x.
    pub reason_code: ReasonCode,
    /// Reason String, for people.
    pub reason_string: Option<&'a str>,
    /// User Properties in order.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Acknowledgement<'a> {
    /// An acknowledgement with a Reason Code and no properties.
    #[inline]
    #[must_use]
    pub fn new(packet_identifier: PacketIdentifier, reason_code: ReasonCode) -> Self {
        Self {
            packet_identifier,
            reason_code,
            reason_string: None,
            user_properties: UserProperties::default(),
        }
    }

    #[inline]
    pub(crate) fn decode(
        packet_type: PacketType,
        body: &'a [u8],
        version: ProtocolVersion,
    ) -> Result<Self, MalformedPacket> {
        let mut reader = Reader::new(body);
        let mut read = Self::new(reader.packet_identifier()?, ReasonCode::Success);
        if version == ProtocolVersion::V5 && !reader.is_empty() {
            read.read_reason(packet_type, &mut reader)?;
        }
        reader.finish()?;
        Ok(read)
    }

    fn read_reason(
        &mut self,
        packet_type: PacketType,
        reader: &mut Reader<'a>,
    ) -> Result<(), MalformedPacket> {
        let reason_code = ReasonCode::from_code(reader.byte()?);
        // spec(v5): [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
        let Some(reason_code) = reason_code.filter(|reason_code| reason_code.allowed_in(packet_type)) else {
            return Err(wrong_reason_code(packet_type));
        };
        self.reason_code = reason_code;
        if reader.is_empty() {
            return Ok(());
        }
        let mut block = PropertyBlock::read(reader, packet_type.bit())?;
        while let Some(property) = block.next()? {
            if let Property::ReasonString(value) = property {
                self.reason_string = Some(value);
            }
        }
        self.user_properties = block.user_properties();
        Ok(())
    }

    /// Appends the packet as one of `packet_type`, which is PUBACK, PUBREC, PUBREL or PUBCOMP.
    #[inline]
    pub fn encode(&self, packet_type: PacketType, version: ProtocolVersion, out: &mut Vec<u8>) {
        let has_properties = self.reason_string.is_some() || !self.user_properties.is_empty();
        let is_short = self.reason_code == ReasonCode::Success && !has_properties;
        if is_short || version != ProtocolVersion::V5 {
            let [high, low] = self.packet_identifier.get().to_be_bytes();
            out.extend_from_slice(&[packet_type.first_byte(), 2, high, low]);
            return;
        }
        put_frame(out, packet_type, |out| {
            put_two_byte_integer(out, self.packet_identifier.get());
            out.push(self.reason_code.code());
            if has_properties {
                put_with_length(out, |out| {
                    put(out, self.reason_string.map(Property::ReasonString));
                    self.user_properties.write(out);
                });
            }
        });
    }
}

#[cold]
fn wrong_reason_code(packet_type: PacketType) -> MalformedPacket {
    let statement = match packet_type {
        PacketType::PubAck => "MQTT-3.4.2-1",
        PacketType::PubRec => "MQTT-3.5.2-1",
        PacketType::PubRel => "MQTT-3.6.2-1",
        _ => "MQTT-3.7.2-1",
    };
    MalformedPacket::protocol_error(statement, "the Reason Code is not one of this packet type")
}
