//! A segment: one file of the log, and its header.
//!
//! ```text
//!   0 magic "DunlinLg"      8 format version  10 0   12 number   16 salt   24 0   28 checksum
//!  32 frames
//! ```
//!
//! The name of the file is the number in ten digits, `0000000001.log`. A spare is a file that is allocated
//! ahead or was a segment: what is in it means nothing until it has a header, and a name, again.
//!
//! The place and meaning of the fields above are the same in every format version, so that a later one can be
//! refused by name.

use super::frame::number;
use super::{Disk, DiskFile, StoreError};
use dunlin_core::journal::Segment;

/// The version of all that is in a segment: frames and records. Raised when an older Dunlin could no longer
/// read it rightly; a new kind of record that it may pass over is no reason.
pub(super) const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"DunlinLg";

/// Where the first frame begins.
pub(super) const SEGMENT_HEADER_BYTES: usize = 32;

/// Bytes read at once; also how precisely a place that cannot be read is named.
const READ_BYTES: usize = 1024 * 1024;

/// Goes into the checksums of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Salt(pub [u8; 8]);

impl Salt {
    /// A new one.
    pub fn random() -> Self {
        let mut salt = [0; 8];
        // Without randomness a frame can be feigned, which is no reason not to store anything.
        let _ = getrandom::fill(&mut salt);
        Self(salt)
    }
}

/// The name of a segment's file.
pub(super) fn name(segment: Segment) -> String {
    format!("{:010}.log", segment.0)
}

/// The segment that a file is, by its name.
pub(super) fn parse_name(name: &str) -> Option<Segment> {
    let digits = name.strip_suffix(".log")?;
    let is_ours = digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_ours).map(Segment)
}

/// The name of a spare file.
pub(super) fn spare_name(number: u32) -> String {
    format!("spare-{number}")
}

/// The number of a spare file, by its name.
pub(super) fn parse_spare_name(name: &str) -> Option<u32> {
    name.strip_prefix("spare-")?.parse().ok()
}

/// The header of a segment.
pub(super) fn header(segment: Segment, salt: Salt) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&segment.0.to_le_bytes());
    bytes.extend_from_slice(&salt.0);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// A segment in memory.
pub(super) struct SegmentBytes {
    pub segment: Segment,
    pub salt: Salt,
    pub bytes: Vec<u8>,
}

/// The segments on a disk, in order.
pub(super) fn list<D: Disk>(disk: &D) -> Result<Vec<Segment>, StoreError> {
    let names = disk.list().map_err(|error| StoreError::unusable("listed", disk.path(""), error))?;
    let mut segments: Vec<_> = names.iter().filter_map(|name| parse_name(name)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Reads a whole segment and judges its header.
pub(super) fn read<D: Disk>(disk: &D, segment: Segment) -> Result<SegmentBytes, StoreError> {
    let held = read_anyway(disk, segment)?;
    let damaged = |problem| StoreError::Damaged { path: disk.path(&name(segment)), offset: 0, problem };
    if !is_whole(&held.bytes) {
        return Err(damaged("this is not the header of a segment"));
    }
    if number(&held.bytes, 12) != Some(segment.0) {
        return Err(damaged("the header names another segment"));
    }
    Ok(held)
}

/// Reads a whole segment; its header may be damaged, as long as it is not that of a newer version.
pub(super) fn read_anyway<D: Disk>(disk: &D, segment: Segment) -> Result<SegmentBytes, StoreError> {
    let path = || disk.path(&name(segment));
    let opened = |error| StoreError::unusable("opened", path(), error);
    let file = disk.open(&name(segment)).map_err(opened)?;
    let length = usize::try_from(file.length_bytes().map_err(opened)?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    for (index, chunk) in bytes.chunks_mut(READ_BYTES).enumerate() {
        let offset = (index * READ_BYTES) as u64;
        file.read_at(offset, chunk).map_err(|error| StoreError::Unreadable {
            path: path(),
            offset,
            error,
        })?;
    }
    let version = number(&bytes, 8).unwrap_or_default() as u16;
    if is_whole(&bytes) && version > FORMAT_VERSION {
        return Err(StoreError::Newer { path: path(), version });
    }
    let salt = bytes.get(16..).and_then(<[u8]>::first_chunk).filter(|_| length >= SEGMENT_HEADER_BYTES);
    let problem = "the header of the segment is cut off";
    let salt = Salt(*salt.ok_or_else(|| StoreError::Damaged { path: path(), offset: 0, problem })?);
    Ok(SegmentBytes { segment, salt, bytes })
}

/// Whether the file still has the header that was read: it is not being used for another segment meanwhile.
pub(super) fn is_still<D: Disk>(disk: &D, held: &SegmentBytes) -> bool {
    let mut header = [0; SEGMENT_HEADER_BYTES];
    let read = disk.open(&name(held.segment)).and_then(|file| file.read_at(0, &mut header));
    read.is_ok() && held.bytes.starts_with(&header)
}

/// Whether these bytes begin with the header of a segment, of whatever version.
fn is_whole(bytes: &[u8]) -> bool {
    let checked = bytes.get(..28);
    bytes.starts_with(&MAGIC) && checked.is_some_and(|it| number(bytes, 28) == Some(crc32fast::hash(it)))
}
