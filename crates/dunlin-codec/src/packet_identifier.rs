//! The Packet Identifier (section 2.2.1), which ties an acknowledgement to what it acknowledges.
//!
//! Zero is no Packet Identifier, so the type cannot hold it and an `Option` of it costs two bytes. Which
//! identifiers are in use is the Session's knowledge, and client and server count them independently of each
//! other.

use std::fmt;
use std::num::NonZeroU16;

/// A Packet Identifier: 1 to 65,535.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct PacketIdentifier(NonZeroU16);

impl PacketIdentifier {
    /// `None` for 0.
    #[inline]
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number, never 0.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl From<NonZeroU16> for PacketIdentifier {
    fn from(value: NonZeroU16) -> Self {
        Self(value)
    }
}

impl fmt::Display for PacketIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
