//! A frame: what one commit writes.
//!
//! ```text
//!   0 magic             4 length of the payload    8 segment        12 the log begins with this segment
//!  16 sequence number                             24 highest sequence number known to be synced
//!  32 when it was written (µs)                    40 kind  42 check of the header so far
//!  44 checksum
//!  48 payload: records; then zeros up to the next multiple of 8
//! ```
//!
//! All numbers are little endian. The checksum (CRC-32) is over the segment's salt, all of the header before
//! it, and the payload, so a frame is whole or nothing. The salt is secret: a payload published to look like
//! a frame is none. The check of the header (16 bits of such a checksum) comes first, so that a payload full of
//! headers does not make whoever looks for frames add up everything behind each of them.
//!
//! Sequence numbers only ascend. One that was seen anywhere is never given again, so what an earlier life
//! left behind the end of the log is never taken for its continuation. "Known to be synced" tells a torn tail
//! from damage: what a later frame vouches for had been on the disk.

use super::segment::Salt;
use dunlin_core::Timestamp;
use dunlin_core::journal::Segment;

const MAGIC: [u8; 4] = *b"DnLf";

/// The length of a header. Also the length of an end frame, which has no payload.
pub(super) const HEADER_BYTES: usize = 48;

/// Frames begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Its payload is records, perhaps none.
    Records,
    /// The last one of its segment, which is complete.
    End,
}

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub segment: Segment,
    /// What is before this segment is not needed, if it is still there.
    pub begins: Segment,
    pub sequence: u64,
    /// Every frame up to this sequence number had been synced when this one was written.
    pub durable_through: u64,
    pub written_at: Timestamp,
    pub kind: Kind,
}

/// A frame that was found whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub header: Header,
    /// Where it begins in its segment.
    pub offset: usize,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Where the next one begins.
    pub fn end(&self) -> usize {
        self.offset + HEADER_BYTES + self.payload.len().next_multiple_of(ALIGNMENT)
    }

    /// Where the payload begins in the segment.
    pub fn payload_offset(&self) -> usize {
        self.offset + HEADER_BYTES
    }
}

/// The length of a frame with such a payload.
pub(super) fn frame_bytes(payload_bytes: usize) -> usize {
    HEADER_BYTES + payload_bytes.next_multiple_of(ALIGNMENT)
}

/// Makes a frame of a buffer in which the payload begins at [`HEADER_BYTES`]: fills in the header and pads.
pub(super) fn seal(buffer: &mut Vec<u8>, header: &Header, salt: Salt) {
    let length = (buffer.len() - HEADER_BYTES) as u32;
    let mut fields = Vec::with_capacity(HEADER_BYTES);
    fields.extend_from_slice(&MAGIC);
    fields.extend_from_slice(&length.to_le_bytes());
    fields.extend_from_slice(&header.segment.0.to_le_bytes());
    fields.extend_from_slice(&header.begins.0.to_le_bytes());
    fields.extend_from_slice(&header.sequence.to_le_bytes());
    fields.extend_from_slice(&header.durable_through.to_le_bytes());
    fields.extend_from_slice(&header.written_at.as_micros().to_le_bytes());
    fields.extend_from_slice(&u16::from(header.kind == Kind::End).to_le_bytes());
    fields.extend_from_slice(&(checksum(salt, &fields, &[]) as u16).to_le_bytes());
    let (_, payload) = buffer.split_at(HEADER_BYTES);
    fields.extend_from_slice(&checksum(salt, &fields, payload).to_le_bytes());
    let padding = length as usize % ALIGNMENT;
    buffer.splice(..HEADER_BYTES, fields);
    if padding > 0 {
        buffer.resize(buffer.len() + ALIGNMENT - padding, 0);
    }
}

fn checksum(salt: Salt, header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.0);
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

/// The frame that begins there, if there is a whole one of this segment.
pub(super) fn frame_at(bytes: &[u8], offset: usize, segment: Segment, salt: Salt) -> Option<Frame<'_>> {
    let (header, length) = header_at(bytes, offset, salt).filter(|(header, _)| header.segment == segment)?;
    let (fields, rest) = bytes.get(offset..)?.split_at_checked(HEADER_BYTES)?;
    let (fields, expected) = fields.split_last_chunk::<4>()?;
    let payload = rest.get(..length)?;
    (checksum(salt, fields, payload) == u32::from_le_bytes(*expected)).then_some(Frame {
        header,
        offset,
        payload,
    })
}

/// The header that begins there and the length it gives, whether the rest of the frame is whole or not.
pub(super) fn header_at(bytes: &[u8], offset: usize, salt: Salt) -> Option<(Header, usize)> {
    let bytes = bytes.get(offset..)?.get(..HEADER_BYTES)?;
    if !bytes.starts_with(&MAGIC) {
        return None;
    }
    let kind_and_check = number(bytes, 40)?;
    if checksum(salt, bytes.get(..42)?, &[]) as u16 != (kind_and_check >> 16) as u16 {
        return None;
    }
    let kind = match kind_and_check & 0xFFFF {
        0 => Kind::Records,
        1 => Kind::End,
        _ => return None,
    };
    let header = Header {
        segment: Segment(number(bytes, 8)?),
        begins: Segment(number(bytes, 12)?),
        sequence: wide_number(bytes, 16)?,
        durable_through: wide_number(bytes, 24)?,
        written_at: Timestamp::from_micros(wide_number(bytes, 32)?),
        kind,
    };
    Some((header, number(bytes, 4)? as usize))
}

/// The four bytes there.
pub(super) fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

fn wide_number(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// The whole frames of the segment that begin at `from` or later, whatever is between them.
pub(super) fn frames_behind(
    bytes: &[u8],
    from: usize,
    segment: Segment,
    salt: Salt,
) -> impl Iterator<Item = Frame<'_>> {
    let mut offset = from;
    std::iter::from_fn(move || {
        while offset + HEADER_BYTES <= bytes.len() {
            if let Some(frame) = frame_at(bytes, offset, segment, salt) {
                offset = frame.end();
                return Some(frame);
            }
            offset += ALIGNMENT;
        }
        None
    })
}
