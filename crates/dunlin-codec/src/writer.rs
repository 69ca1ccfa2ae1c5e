//! How MQTT's data types are appended to a buffer (section 1.5), and how a frame gets its lengths.
//!
//! Encoding cannot fail. A string or binary field longer than its two length bytes can say is cut (a string
//! at a character), which no value that came from decoding ever needs. Most packets are written body first,
//! and the lengths are then inserted before it: bodies are short, and each field is named once. PUBLISH,
//! whose payload may be long, computes its lengths instead (`publish_parts.rs`).

use crate::VARIABLE_BYTE_INTEGER_MAX;
use crate::packet_type::PacketType;

const FIELD_LENGTH_MAX: usize = u16::MAX as usize;

#[inline]
pub(crate) fn put_two_byte_integer(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[inline]
pub(crate) fn put_four_byte_integer(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Binary Data (section 1.5.6).
#[inline]
pub(crate) fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = bytes.get(..FIELD_LENGTH_MAX).unwrap_or(bytes);
    put_two_byte_integer(out, bytes.len() as u16);
    out.extend_from_slice(bytes);
}

/// A UTF-8 Encoded String (section 1.5.4).
#[inline]
pub(crate) fn put_string(out: &mut Vec<u8>, string: &str) {
    put_binary(out, fitting(string).as_bytes());
}

/// The longest part of the string that a UTF-8 Encoded String can hold.
#[inline]
pub(crate) fn fitting(string: &str) -> &str {
    if string.len() <= FIELD_LENGTH_MAX {
        return string;
    }
    string.get(..string.floor_char_boundary(FIELD_LENGTH_MAX)).unwrap_or_default()
}

/// The bytes of a Variable Byte Integer (section 1.5.5) and how many of them count.
#[inline]
pub(crate) fn variable_byte_integer(value: u32) -> ([u8; 4], usize) {
    debug_assert!(value <= VARIABLE_BYTE_INTEGER_MAX);
    let continued = |shift: u32| ((value >> shift) & 0x7F) as u8 | 0x80;
    let last = |shift: u32| ((value >> shift) & 0x7F) as u8;
    // spec(v5): [MQTT-1.5.5-1]
    match value {
        0..=0x7F => ([last(0), 0, 0, 0], 1),
        0x80..=0x3FFF => ([continued(0), last(7), 0, 0], 2),
        0x4000..=0x1F_FFFF => ([continued(0), continued(7), last(14), 0], 3),
        _ => ([continued(0), continued(7), continued(14), last(21)], 4),
    }
}

#[inline]
pub(crate) fn put_variable_byte_integer(out: &mut Vec<u8>, value: u32) {
    let (bytes, length) = variable_byte_integer(value);
    out.extend(bytes.iter().take(length));
}

/// How many bytes this length takes as a Variable Byte Integer.
#[inline]
pub(crate) const fn variable_byte_integer_length(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Appends what `write_content` writes, with its length in front as a Variable Byte Integer.
#[inline]
pub(crate) fn put_with_length(out: &mut Vec<u8>, write_content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write_content(out);
    let content_length = out.len().saturating_sub(start);
    let (bytes, length) = variable_byte_integer(content_length as u32);
    out.splice(start..start, bytes.into_iter().take(length));
}

/// Appends a whole packet whose body `write_body` writes.
#[inline]
pub(crate) fn put_frame(out: &mut Vec<u8>, packet_type: PacketType, write_body: impl FnOnce(&mut Vec<u8>)) {
    out.push(packet_type.first_byte());
    put_with_length(out, write_body);
}
