//! The Subscription Identifiers of a PUBLISH (section 3.3.2.3.8).
//!
//! A Server sends the identifier of every matching Subscription that has one, so there may be several, and
//! the order has no meaning. A Client never sends any: [MQTT-3.3.4-6] is for the core to judge, since the
//! codec does not know who sent a packet.

use std::fmt;

use crate::property::{Property, SubscriptionIdentifier};
use crate::reader::Reader;

/// The Subscription Identifiers in a packet, as a view of its bytes.
#[derive(Clone, Copy, Default)]
pub struct SubscriptionIdentifiers<'a>(&'a [u8]);

impl<'a> SubscriptionIdentifiers<'a> {
    #[inline]
    pub(crate) const fn over(block: &'a [u8]) -> Self {
        Self(block)
    }

    /// The Subscription Identifiers in a block of encoded properties, such as
    /// [`encode_subscription_identifiers`] makes. Whatever is none is passed over, and the list ends
    /// where the block makes no sense.
    #[must_use]
    pub const fn from_encoded(block: &'a [u8]) -> Self {
        Self(block)
    }

    /// The identifiers, each 1 to 268,435,455, in the order of the packet.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || {
            loop {
                let identifier = reader.byte().ok()?;
                let property = Property::read_value(identifier, &mut reader).ok()?;
                if let Property::SubscriptionIdentifier(SubscriptionIdentifier(number)) = property {
                    return Some(number);
                }
            }
        })
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty() || self.iter().next().is_none()
    }
}

/// Encodes identifiers so that [`SubscriptionIdentifiers::from_encoded`] can stand for them in a packet to
/// send.
#[must_use]
pub fn encode_subscription_identifiers(identifiers: &[u32]) -> Vec<u8> {
    let mut block = Vec::new();
    for &identifier in identifiers {
        Property::SubscriptionIdentifier(SubscriptionIdentifier(identifier)).write(&mut block);
    }
    block
}

impl PartialEq for SubscriptionIdentifiers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscriptionIdentifiers<'_> {}

impl fmt::Debug for SubscriptionIdentifiers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
