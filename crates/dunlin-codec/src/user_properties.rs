//! User Properties: name-value pairs whose meaning is the application's (section 3.1.2.11.8 and others).
//!
//! The same name may come again, and the order is kept from publisher to subscriber ([MQTT-3.3.2-18]). The
//! list is a slice of the packet's own bytes, read again when somebody asks. Other properties may stand
//! between them; they are skipped. Two lists are equal when they yield the same pairs.

use std::fmt;

use crate::property::Property;
use crate::reader::Reader;

/// The User Properties of a packet, in order.
#[derive(Clone, Copy, Default)]
pub struct UserProperties<'a> {
    block: &'a [u8],
    /// Whether the block is known to hold nothing but whole, valid User Properties.
    is_pure: bool,
}

impl<'a> UserProperties<'a> {
    #[inline]
    pub(crate) const fn over(block: &'a [u8], is_pure: bool) -> Self {
        Self { block, is_pure }
    }

    /// The User Properties in a block of encoded properties, such as [`encode_user_properties`] makes.
    /// Whatever is no User Property is passed over, and the list ends where the block makes no sense.
    #[must_use]
    pub const fn from_encoded(block: &'a [u8]) -> Self {
        Self { block, is_pure: false }
    }

    /// The pairs in the order of the packet.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
        let mut reader = Reader::new(self.block);
        std::iter::from_fn(move || {
            loop {
                let identifier = reader.byte().ok()?;
                if let Property::User(pair) = Property::read_value(identifier, &mut reader).ok()? {
                    return Some(pair);
                }
            }
        })
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.block.is_empty() || self.iter().next().is_none()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// Appends them as encoded properties.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if self.is_pure {
            out.extend_from_slice(self.block);
        } else if !self.block.is_empty() {
            self.iter().for_each(|pair| Property::User(pair).write(out));
        }
    }

    /// How many bytes [`UserProperties::write`] appends.
    #[inline]
    pub(crate) fn encoded_length(&self) -> usize {
        if self.is_pure || self.block.is_empty() {
            return self.block.len();
        }
        // Identifier and two length fields, five bytes, come with each pair.
        self.iter().map(|(name, value)| name.len() + value.len() + 5).sum()
    }
}

/// Encodes pairs so that [`UserProperties::from_encoded`] can stand for them in a packet to send.
#[must_use]
pub fn encode_user_properties(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    pairs.iter().for_each(|&pair| Property::User(pair).write(&mut block));
    block
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UserProperties<'_> {}

impl fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
