//! SUBACK (section 3.9): one Reason Code for each filter of the SUBSCRIBE, in its order.
//!
//! The codes stay bytes: a list of them is what both sides have at hand. In MQTT 3.x they are the granted QoS
//! or 0x80 for every failure, so encoding for 3.x turns each failure into 0x80.

use crate::error::MalformedPacket;
use crate::packet_identifier::PacketIdentifier;
use crate::packet_type::{PacketType, bit};
use crate::property::{Property, put};
use crate::property_block::PropertyBlock;
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::user_properties::UserProperties;
use crate::version::ProtocolVersion;
use crate::writer::{put_frame, put_two_byte_integer, put_with_length};

/// The answer to SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The Packet Identifier of the SUBSCRIBE.
    pub packet_identifier: PacketIdentifier,
    /// One code for each filter; every one is a Reason Code of SUBACK.
    pub reason_codes: &'a [u8],
    /// Reason String, for people.
    pub reason_string: Option<&'a str>,
    /// User Properties in order.
    pub user_properties: UserProperties<'a>,
}

impl<'a> SubAck<'a> {
    /// An answer without properties.
    #[must_use]
    pub fn new(packet_identifier: PacketIdentifier, reason_codes: &'a [u8]) -> Self {
        Self {
            packet_identifier,
            reason_codes,
            reason_string: None,
            user_properties: UserProperties::default(),
        }
    }

    pub(crate) fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, MalformedPacket> {
        let mut reader = Reader::new(body);
        let mut read = Self::new(reader.packet_identifier()?, &[]);
        if version == ProtocolVersion::V5 {
            let mut block = PropertyBlock::read(&mut reader, bit::SUBACK)?;
            while let Some(property) = block.next()? {
                if let Property::ReasonString(value) = property {
                    read.reason_string = Some(value);
                }
            }
            read.user_properties = block.user_properties();
        }
        read.reason_codes = reader.rest();
        // spec(v5): [MQTT-3.8.4-6]
        // spec(v3.1.1): [MQTT-3.8.4-5]
        if read.reason_codes.is_empty() {
            return Err(MalformedPacket::protocol_error("MQTT-3.8.4-6", "the SUBACK has no Reason Code"));
        }
        // spec(v5): [MQTT-3.9.3-2]
        // spec(v3.1.1): [MQTT-3.9.3-2]
        if !read.reason_codes.iter().all(|&code| is_allowed(code, version)) {
            let detail = "a Reason Code is not one of SUBACK";
            return Err(MalformedPacket::protocol_error("MQTT-3.9.3-2", detail));
        }
        Ok(read)
    }

    /// Appends the packet. In 3.x every failure becomes 0x80.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_frame(out, PacketType::SubAck, |out| {
            put_two_byte_integer(out, self.packet_identifier.get());
            if version == ProtocolVersion::V5 {
                put_with_length(out, |out| {
                    put(out, self.reason_string.map(Property::ReasonString));
                    self.user_properties.write(out);
                });
                out.extend_from_slice(self.reason_codes);
            } else {
                // spec(v3.1.1): [MQTT-3.9.3-2]
                out.extend(
                    self.reason_codes.iter().map(|&code| code.min(ReasonCode::UnspecifiedError.code())),
                );
            }
        });
    }
}

fn is_allowed(code: u8, version: ProtocolVersion) -> bool {
    match version {
        ProtocolVersion::V5 => {
            ReasonCode::from_code(code).is_some_and(|reason_code| reason_code.allowed_in(PacketType::SubAck))
        }
        _ => matches!(code, 0 | 1 | 2 | 0x80),
    }
}
