//! DISCONNECT (section 3.14): the last packet of a connection.
//!
//! MQTT 3.x knows it only from Client to Server and without content. In 5.0 both sides send it with a Reason
//! Code, and may leave Reason Code and properties out from the end as in the acknowledgements. Who may send
//! which code, and that a Server sends no Session Expiry Interval, needs the direction and is the core's to
//! judge ([`ReasonCode::client_may_disconnect_with`]).

use crate::error::MalformedPacket;
use crate::packet_type::{PacketType, bit};
use crate::property::{Property, put};
use crate::property_block::PropertyBlock;
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::user_properties::UserProperties;
use crate::version::ProtocolVersion;
use crate::writer::{put_frame, put_with_length};

/// The announcement that the sender closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// [`ReasonCode::Success`] is Normal disconnection, and all that 3.x can say.
    pub reason_code: ReasonCode,
    /// Session Expiry Interval in seconds, from Client to Server only.
    pub session_expiry_interval_s: Option<u32>,
    /// Reason String, for people.
    pub reason_string: Option<&'a str>,
    /// Server Reference: where else to connect.
    pub server_reference: Option<&'a str>,
    /// User Properties in order.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT without properties.
    #[must_use]
    pub fn new(reason_code: ReasonCode) -> Self {
        Self {
            reason_code,
            session_expiry_interval_s: None,
            reason_string: None,
            server_reference: None,
            user_properties: UserProperties::default(),
        }
    }

    pub(crate) fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, MalformedPacket> {
        let mut reader = Reader::new(body);
        let mut read = Self::new(ReasonCode::Success);
        if version == ProtocolVersion::V5 && !reader.is_empty() {
            read.read_reason(&mut reader)?;
        }
        reader.finish()?;
        Ok(read)
    }

    fn read_reason(&mut self, reader: &mut Reader<'a>) -> Result<(), MalformedPacket> {
        let reason_code = ReasonCode::from_code(reader.byte()?);
        // spec(v5): [MQTT-3.14.2-1]
        let Some(reason_code) = reason_code.filter(|code| code.allowed_in(PacketType::Disconnect)) else {
            let detail = "the Reason Code is not one of DISCONNECT";
            return Err(MalformedPacket::protocol_error("MQTT-3.14.2-1", detail));
        };
        self.reason_code = reason_code;
        if reader.is_empty() {
            return Ok(());
        }
        let mut block = PropertyBlock::read(reader, bit::DISCONNECT)?;
        while let Some(property) = block.next()? {
            match property {
                Property::SessionExpiryInterval(value) => self.session_expiry_interval_s = Some(value),
                Property::ReasonString(value) => self.reason_string = Some(value),
                Property::ServerReference(value) => self.server_reference = Some(value),
                _ => {}
            }
        }
        self.user_properties = block.user_properties();
        Ok(())
    }

    /// Appends the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let has_properties = self.session_expiry_interval_s.is_some()
            || self.reason_string.is_some()
            || self.server_reference.is_some()
            || !self.user_properties.is_empty();
        put_frame(out, PacketType::Disconnect, |out| {
            if version != ProtocolVersion::V5 || (self.reason_code == ReasonCode::Success && !has_properties)
            {
                return;
            }
            out.push(self.reason_code.code());
            if has_properties {
                put_with_length(out, |out| self.write_properties(out));
            }
        });
    }

    fn write_properties(&self, out: &mut Vec<u8>) {
        put(out, self.session_expiry_interval_s.map(Property::SessionExpiryInterval));
        put(out, self.server_reference.map(Property::ServerReference));
        put(out, self.reason_string.map(Property::ReasonString));
        self.user_properties.write(out);
    }
}
