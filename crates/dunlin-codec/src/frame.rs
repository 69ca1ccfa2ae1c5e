//! Cutting packets off a stream of bytes (section 2.1): first byte, Remaining Length, body.
//!
//! [`split`] judges what the fixed header alone shows as soon as its bytes are there, so that a peer that
//! sends garbage is refused at its first bytes and never makes anyone buffer a body that cannot be wanted. It
//! does not know the protocol version: what it refuses is wrong in all of them.

use crate::error::MalformedPacket;
use crate::packet_type::PacketType;
use crate::qos::QoS;
use crate::reader::variable_byte_integer;
use crate::reason_code::ReasonCode;

/// One packet as bytes: its first byte, and what follows the Remaining Length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Packet type in the upper four bits, flags in the lower.
    pub first_byte: u8,
    /// Variable header and payload.
    pub body: &'a [u8],
}

/// What stands at the front of a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Split<'a> {
    /// More bytes are needed.
    Incomplete {
        /// The length of the whole packet, once the fixed header is there.
        packet_length: Option<usize>,
    },
    /// A whole packet.
    Packet {
        /// The packet.
        frame: Frame<'a>,
        /// How many bytes of the buffer it takes.
        length: usize,
    },
}

impl Frame<'_> {
    /// The packet type, when the flags are those that section 2.1.3 asks of it.
    ///
    /// # Errors
    /// When the type is 0 or a flag is wrong.
    #[inline]
    pub const fn packet_type(&self) -> Result<PacketType, MalformedPacket> {
        judge_first_byte(self.first_byte)
    }
}

/// Splits the first MQTT Control Packet off `input`.
///
/// # Errors
/// As soon as the fixed header shows it: an unknown type, wrong flags, a Remaining Length that is too long or
/// not minimal, or a packet larger than `maximum_packet_size` bytes (0x95).
#[inline]
pub fn split(input: &[u8], maximum_packet_size: u32) -> Result<Split<'_>, MalformedPacket> {
    let Some((&first_byte, after_first)) = input.split_first() else {
        return Ok(Split::Incomplete { packet_length: None });
    };
    judge_first_byte(first_byte)?;
    let Some((remaining_length, length_bytes)) = variable_byte_integer(after_first)? else {
        return Ok(Split::Incomplete { packet_length: None });
    };
    let header_length = 1 + length_bytes;
    let length = header_length + remaining_length as usize;
    // spec(v5): [MQTT-3.2.2-15]
    if length > maximum_packet_size as usize {
        return Err(too_large());
    }
    match input.get(header_length..length) {
        Some(body) => Ok(Split::Packet { frame: Frame { first_byte, body }, length }),
        None => Ok(Split::Incomplete { packet_length: Some(length) }),
    }
}

#[cold]
fn too_large() -> MalformedPacket {
    let detail = "the packet is larger than the Maximum Packet Size";
    MalformedPacket::new(ReasonCode::PacketTooLarge, "MQTT-3.2.2-15", detail)
}

#[inline]
const fn judge_first_byte(first_byte: u8) -> Result<PacketType, MalformedPacket> {
    let Some(packet_type) = PacketType::from_number(first_byte >> 4) else {
        return Err(MalformedPacket::malformed("2.1.2", "the packet type is 0"));
    };
    if matches!(packet_type, PacketType::Publish) {
        return judge_publish_flags(first_byte);
    }
    // spec(v5): [MQTT-2.1.3-1]
    // spec(v3.1.1): [MQTT-2.2.2-1] [MQTT-2.2.2-2]
    if first_byte != packet_type.first_byte() {
        return Err(wrong_flags(packet_type));
    }
    Ok(packet_type)
}

#[inline]
const fn judge_publish_flags(first_byte: u8) -> Result<PacketType, MalformedPacket> {
    let dup = first_byte & 0b1000 != 0;
    match QoS::from_bits(first_byte >> 1 & 0b11) {
        // spec(v5): [MQTT-3.3.1-4]
        // spec(v3.1.1): [MQTT-3.3.1-4]
        None => Err(MalformedPacket::malformed("MQTT-3.3.1-4", "the QoS of the PUBLISH is 3")),
        // spec(v5): [MQTT-3.3.1-2]
        // spec(v3.1.1): [MQTT-3.3.1-2]
        Some(QoS::AtMostOnce) if dup => {
            Err(MalformedPacket::malformed("MQTT-3.3.1-2", "DUP is set in a PUBLISH with QoS 0"))
        }
        Some(_) => Ok(PacketType::Publish),
    }
}

#[cold]
const fn wrong_flags(packet_type: PacketType) -> MalformedPacket {
    let statement = match packet_type {
        // spec(v5): [MQTT-3.6.1-1]
        // spec(v3.1.1): [MQTT-3.6.1-1]
        PacketType::PubRel => "MQTT-3.6.1-1",
        // spec(v5): [MQTT-3.8.1-1]
        // spec(v3.1.1): [MQTT-3.8.1-1]
        PacketType::Subscribe => "MQTT-3.8.1-1",
        // spec(v5): [MQTT-3.10.1-1]
        // spec(v3.1.1): [MQTT-3.10.1-1]
        PacketType::Unsubscribe => "MQTT-3.10.1-1",
        // spec(v5): [MQTT-3.14.1-1]
        // spec(v3.1.1): [MQTT-3.14.1-1]
        PacketType::Disconnect => "MQTT-3.14.1-1",
        // spec(v5): [MQTT-3.15.1-1]
        PacketType::Auth => "MQTT-3.15.1-1",
        _ => "MQTT-2.1.3-1",
    };
    MalformedPacket::malformed(statement, "the reserved flags of the fixed header have the wrong value")
}
