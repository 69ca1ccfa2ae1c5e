//! AUTH (section 3.15): the packets of enhanced authentication, in MQTT 5.0 only.
//!
//! Without content it means Success. Otherwise Reason Code and properties stand there, and the properties
//! name the Authentication Method. Whether that is the method of the CONNECT is the core's to judge
//! ([MQTT-4.12.0-5]).

use crate::error::MalformedPacket;
use crate::packet_type::{PacketType, bit};
use crate::property::{Property, put};
use crate::property_block::PropertyBlock;
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::user_properties::UserProperties;
use crate::version::ProtocolVersion;
use crate::writer::{put_frame, put_with_length};

/// One step of enhanced authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, Continue authentication or Re-authenticate.
    pub reason_code: ReasonCode,
    /// Authentication Method; absent only in the packet without content.
    pub method: Option<&'a str>,
    /// Authentication Data, as the method defines.
    pub data: Option<&'a [u8]>,
    /// Reason String, for people.
    pub reason_string: Option<&'a str>,
    /// User Properties in order.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Auth<'a> {
    /// An AUTH without data.
    #[must_use]
    pub fn new(reason_code: ReasonCode, method: Option<&'a str>) -> Self {
        Self {
            reason_code,
            method,
            data: None,
            reason_string: None,
            user_properties: UserProperties::default(),
        }
    }

    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, MalformedPacket> {
        if body.is_empty() {
            return Ok(Self::new(ReasonCode::Success, None));
        }
        let mut reader = Reader::new(body);
        let reason_code = ReasonCode::from_code(reader.byte()?);
        // spec(v5): [MQTT-3.15.2-1]
        let Some(reason_code) = reason_code.filter(|code| code.allowed_in(PacketType::Auth)) else {
            let detail = "the Reason Code is not one of AUTH";
            return Err(MalformedPacket::protocol_error("MQTT-3.15.2-1", detail));
        };
        let mut read = Self::new(reason_code, None);
        let mut block = PropertyBlock::read(&mut reader, bit::AUTH)?;
        while let Some(property) = block.next()? {
            match property {
                Property::AuthenticationMethod(value) => read.method = Some(value),
                Property::AuthenticationData(value) => read.data = Some(value),
                Property::ReasonString(value) => read.reason_string = Some(value),
                _ => {}
            }
        }
        read.user_properties = block.user_properties();
        reader.finish()?;
        if read.method.is_none() {
            let detail = "the AUTH has no Authentication Method";
            return Err(MalformedPacket::protocol_error("3.15.2.2.2", detail));
        }
        Ok(read)
    }

    /// Appends the packet. Only MQTT 5.0 has it; for 3.x nothing is appended.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        if version != ProtocolVersion::V5 {
            return;
        }
        let has_properties = self.method.is_some()
            || self.data.is_some()
            || self.reason_string.is_some()
            || !self.user_properties.is_empty();
        put_frame(out, PacketType::Auth, |out| {
            if self.reason_code == ReasonCode::Success && !has_properties {
                return;
            }
            out.push(self.reason_code.code());
            put_with_length(out, |out| {
                put(out, self.method.map(Property::AuthenticationMethod));
                put(out, self.data.map(Property::AuthenticationData));
                put(out, self.reason_string.map(Property::ReasonString));
                self.user_properties.write(out);
            });
        });
    }
}
