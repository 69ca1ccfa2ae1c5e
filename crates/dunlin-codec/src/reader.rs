//! A cursor over the bytes of one packet body: the only place where bytes are taken apart (section 1.5).
//!
//! Every method takes its data type from the front or says why it cannot, and never looks past the end. A
//! body that ends inside a field is a Malformed Packet, as is every value that is not of its type.

use crate::VARIABLE_BYTE_INTEGER_MAX;
use crate::error::MalformedPacket;
use crate::packet_identifier::PacketIdentifier;
use crate::scan::contains_null;

#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

#[cold]
fn truncated() -> MalformedPacket {
    MalformedPacket::malformed("1.2", "a field ends beyond the end of the packet")
}

#[cold]
fn ill_formed() -> MalformedPacket {
    MalformedPacket::malformed("MQTT-1.5.4-1", "a string is not well-formed UTF-8")
}

#[cold]
fn null_character() -> MalformedPacket {
    MalformedPacket::malformed("MQTT-1.5.4-2", "a string contains U+0000")
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// All bytes that are left.
    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, MalformedPacket> {
        let Some((&byte, rest)) = self.rest.split_first() else { return Err(truncated()) };
        self.rest = rest;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn two_byte_integer(&mut self) -> Result<u16, MalformedPacket> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else { return Err(truncated()) };
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn four_byte_integer(&mut self) -> Result<u32, MalformedPacket> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else { return Err(truncated()) };
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn variable_byte_integer(&mut self) -> Result<u32, MalformedPacket> {
        match variable_byte_integer(self.rest)? {
            Some((value, length)) => {
                self.rest = self.rest.get(length..).unwrap_or_default();
                Ok(value)
            }
            None => Err(truncated()),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], MalformedPacket> {
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else { return Err(truncated()) };
        self.rest = rest;
        Ok(bytes)
    }

    /// Binary Data (section 1.5.6): a length and as many bytes.
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], MalformedPacket> {
        let length = self.two_byte_integer()?;
        self.take(usize::from(length))
    }

    /// A UTF-8 Encoded String (section 1.5.4) before it is searched for U+0000: for topics, which are
    /// searched for wildcards in the same pass.
    #[inline]
    pub(crate) fn string_before_null_check(&mut self) -> Result<&'a str, MalformedPacket> {
        let bytes = self.binary()?;
        // A byte order mark (U+FEFF) is a character like any other and stays.
        // spec(v5): [MQTT-1.5.4-1] [MQTT-1.5.4-3]
        // spec(v3.1.1): [MQTT-1.5.3-1] [MQTT-1.5.3-3]
        simdutf8::basic::from_utf8(bytes).map_err(|_| ill_formed())
    }

    /// A UTF-8 Encoded String (section 1.5.4).
    #[inline]
    pub(crate) fn string(&mut self) -> Result<&'a str, MalformedPacket> {
        let string = self.string_before_null_check()?;
        // spec(v5): [MQTT-1.5.4-2]
        // spec(v3.1.1): [MQTT-1.5.3-2]
        if contains_null(string.as_bytes()) {
            return Err(null_character());
        }
        Ok(string)
    }

    #[inline]
    pub(crate) fn packet_identifier(&mut self) -> Result<PacketIdentifier, MalformedPacket> {
        // spec(v5): [MQTT-2.2.1-3] [MQTT-2.2.1-4]
        // spec(v3.1.1): [MQTT-2.3.1-1]
        PacketIdentifier::new(self.two_byte_integer()?).ok_or_else(zero_packet_identifier)
    }

    /// Judges that the packet ends here.
    #[inline]
    pub(crate) fn finish(&self) -> Result<(), MalformedPacket> {
        if self.rest.is_empty() { Ok(()) } else { Err(trailing_bytes()) }
    }
}

#[cold]
fn zero_packet_identifier() -> MalformedPacket {
    MalformedPacket::protocol_error("MQTT-2.2.1-3", "the Packet Identifier is 0")
}

#[cold]
fn trailing_bytes() -> MalformedPacket {
    MalformedPacket::malformed("1.2", "bytes are left after the last field of the packet")
}

/// Reads a Variable Byte Integer (section 1.5.5) from the front: its value and its length of 1 to 4 bytes.
/// `None` when the bytes end inside it.
#[inline]
pub(crate) fn variable_byte_integer(bytes: &[u8]) -> Result<Option<(u32, usize)>, MalformedPacket> {
    match bytes.first() {
        None => Ok(None),
        Some(&byte) if byte < 0x80 => Ok(Some((u32::from(byte), 1))),
        Some(_) => long_variable_byte_integer(bytes),
    }
}

fn long_variable_byte_integer(bytes: &[u8]) -> Result<Option<(u32, usize)>, MalformedPacket> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            // spec(v5): [MQTT-1.5.5-1]
            if byte == 0 && index > 0 {
                let detail = "a Variable Byte Integer has more bytes than its value needs";
                return Err(MalformedPacket::malformed("MQTT-1.5.5-1", detail));
            }
            debug_assert!(value <= VARIABLE_BYTE_INTEGER_MAX);
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 4 {
        return Ok(None);
    }
    Err(MalformedPacket::malformed("1.5.5", "a Variable Byte Integer has more than four bytes"))
}
