//! UNSUBACK (section 3.11): one Reason Code for each filter of the UNSUBSCRIBE, in its order.
//!
//! In MQTT 3.x it is a Packet Identifier and nothing else, whatever became of the filters.

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

/// The answer to UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The Packet Identifier of the UNSUBSCRIBE.
    pub packet_identifier: PacketIdentifier,
    /// One code for each filter, every one a Reason Code of UNSUBACK; empty in 3.x.
    pub reason_codes: &'a [u8],
    /// Reason String, for people.
    pub reason_string: Option<&'a str>,
    /// User Properties in order.
    pub user_properties: UserProperties<'a>,
}

impl<'a> UnsubAck<'a> {
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
        if version != ProtocolVersion::V5 {
            reader.finish()?;
            return Ok(read);
        }
        let mut block = PropertyBlock::read(&mut reader, bit::UNSUBACK)?;
        while let Some(property) = block.next()? {
            if let Property::ReasonString(value) = property {
                read.reason_string = Some(value);
            }
        }
        read.user_properties = block.user_properties();
        read.reason_codes = reader.rest();
        if read.reason_codes.is_empty() {
            return Err(MalformedPacket::protocol_error("3.11.3", "the UNSUBACK has no Reason Code"));
        }
        let is_allowed = |code: &u8| {
            ReasonCode::from_code(*code)
                .is_some_and(|reason_code| reason_code.allowed_in(PacketType::UnsubAck))
        };
        // spec(v5): [MQTT-3.11.3-2]
        if !read.reason_codes.iter().all(is_allowed) {
            let detail = "a Reason Code is not one of UNSUBACK";
            return Err(MalformedPacket::protocol_error("MQTT-3.11.3-2", detail));
        }
        Ok(read)
    }

    /// Appends the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_frame(out, PacketType::UnsubAck, |out| {
            put_two_byte_integer(out, self.packet_identifier.get());
            if version == ProtocolVersion::V5 {
                put_with_length(out, |out| {
                    put(out, self.reason_string.map(Property::ReasonString));
                    self.user_properties.write(out);
                });
                out.extend_from_slice(self.reason_codes);
            }
        });
    }
}
