//! What a filter leads to: a [`Target`] with the options of its [`Subscription`], and both packed
//! into one [`Entry`] of 8 bytes.
//!
//! A broker with a million subscriptions holds a million entries, so their size is what a
//! subscription costs. Two facts of MQTT make 8 bytes enough: a Subscription Identifier has 28 bits,
//! which leaves room for the QoS and two flags in one `u32`, and slots are dense indices, so two bits
//! of the other `u32` can tell a Session from a shared group or a peer.
//!
//! What must stay true: the packed target orders as [`Target`] does, because lists are sorted by it;
//! packed options are never zero, because `Option<Entry>` and the list enum keep their tag in that
//! zero.

use std::num::NonZeroU32;

/// Whom a filter leads to. Orders by variant, then by index.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub enum Target {
    /// The slot of a local Session, at most [`Target::SESSION_MAX`].
    Session(u32),
    /// The slot of a local shared group, at most [`Target::GROUP_MAX`].
    Group(u32),
    /// Another worker that has subscribers for the filter.
    Peer(u16),
}

impl Target {
    /// The highest slot of a Session: 2,147,483,647.
    pub const SESSION_MAX: u32 = GROUP_TAG - 1;
    /// The highest slot of a shared group: 1,073,741,823.
    pub const GROUP_MAX: u32 = PEER_TAG - GROUP_TAG - 1;

    /// Whether the target lives on this worker.
    pub fn is_local(self) -> bool {
        !matches!(self, Target::Peer(_))
    }
}

/// The options of a Subscription that matter to routing (section 3.8.3.1).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The highest QoS at which messages are sent, 0 to 2.
    pub maximum_qos: u8,
    /// Messages published by the subscriber itself are not sent to it.
    pub no_local: bool,
    /// Messages keep the RETAIN flag they were published with.
    pub retain_as_published: bool,
    /// The Subscription Identifier, 1 to 268,435,455, or 0 for none.
    pub identifier: u32,
}

const GROUP_TAG: u32 = 1 << 31;
const PEER_TAG: u32 = 0b11 << 30;

const NO_LOCAL: u32 = 1 << 2;
const RETAIN_AS_PUBLISHED: u32 = 1 << 3;
const IDENTIFIER_SHIFT: u32 = 4;
const IDENTIFIER_MAX: u32 = (1 << 28) - 1;

/// A [`Target`] in 32 bits: `0` and 31 bits of a Session, `10` and 30 bits of a group, `11` and a peer.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug)]
pub(super) struct PackedTarget(u32);

impl From<Target> for PackedTarget {
    /// A slot beyond its limit would silently become another target, hence the assertions: they
    /// guard against a mistake of ours, since slots are handed out densely.
    fn from(target: Target) -> Self {
        match target {
            Target::Session(slot) => {
                assert!(slot <= Target::SESSION_MAX, "a worker holds fewer than 2^31 Sessions");
                Self(slot)
            }
            Target::Group(slot) => {
                assert!(slot <= Target::GROUP_MAX, "a worker holds fewer than 2^30 shared groups");
                Self(GROUP_TAG | slot)
            }
            Target::Peer(worker) => Self(PEER_TAG | u32::from(worker)),
        }
    }
}

impl From<PackedTarget> for Target {
    #[inline]
    fn from(packed: PackedTarget) -> Self {
        let PackedTarget(bits) = packed;
        if bits < GROUP_TAG {
            Target::Session(bits)
        } else if bits < PEER_TAG {
            Target::Group(bits & Target::GROUP_MAX)
        } else {
            Target::Peer((bits & 0xFFFF) as u16)
        }
    }
}

/// A [`Subscription`] in 32 bits: QoS + 1, two flags, 28 bits of identifier. Never zero.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
struct PackedSubscription(NonZeroU32);

impl From<Subscription> for PackedSubscription {
    fn from(subscription: Subscription) -> Self {
        debug_assert!(subscription.maximum_qos <= 2 && subscription.identifier <= IDENTIFIER_MAX);
        let flags = if subscription.no_local { NO_LOCAL } else { 0 }
            | if subscription.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        let identifier = (subscription.identifier & IDENTIFIER_MAX) << IDENTIFIER_SHIFT;
        let qos_bits = NonZeroU32::MIN.saturating_add(u32::from(subscription.maximum_qos.min(2)));
        Self(qos_bits | flags | identifier)
    }
}

/// One subscriber of one filter.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) target: PackedTarget,
    options: PackedSubscription,
}

impl Entry {
    pub(super) fn new(target: Target, subscription: Subscription) -> Self {
        Self { target: target.into(), options: subscription.into() }
    }

    pub(super) fn subscription(self) -> Subscription {
        Subscription {
            maximum_qos: self.maximum_qos(),
            no_local: self.no_local(),
            retain_as_published: self.retain_as_published(),
            identifier: self.identifier(),
        }
    }

    #[inline]
    pub(super) fn maximum_qos(self) -> u8 {
        ((self.bits() & 0b11) - 1) as u8
    }

    #[inline]
    pub(super) fn no_local(self) -> bool {
        self.bits() & NO_LOCAL != 0
    }

    #[inline]
    pub(super) fn retain_as_published(self) -> bool {
        self.bits() & RETAIN_AS_PUBLISHED != 0
    }

    /// The Subscription Identifier, or 0 for none.
    #[inline]
    pub(super) fn identifier(self) -> u32 {
        self.bits() >> IDENTIFIER_SHIFT
    }

    #[inline]
    fn bits(self) -> u32 {
        self.options.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_targets_unpack_to_themselves_and_order_alike() {
        let targets = [
            Target::Session(0),
            Target::Session(7),
            Target::Session(Target::SESSION_MAX),
            Target::Group(0),
            Target::Group(Target::GROUP_MAX),
            Target::Peer(0),
            Target::Peer(u16::MAX),
        ];
        for (index, target) in targets.into_iter().enumerate() {
            assert_eq!(Target::from(PackedTarget::from(target)), target);
            for other in targets.iter().skip(index + 1) {
                assert!(target < *other);
                assert!(PackedTarget::from(target) < PackedTarget::from(*other));
            }
        }
    }

    #[test]
    fn packed_subscriptions_unpack_to_themselves() {
        for maximum_qos in 0..=2 {
            for (no_local, retain_as_published) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                for identifier in [0, 1, 268_435_455] {
                    let subscription =
                        Subscription { maximum_qos, no_local, retain_as_published, identifier };
                    assert_eq!(Entry::new(Target::Peer(3), subscription).subscription(), subscription);
                }
            }
        }
    }

    #[test]
    fn an_entry_takes_eight_bytes_even_when_optional() {
        assert_eq!(size_of::<Entry>(), 8);
        assert_eq!(size_of::<Option<Entry>>(), 8);
    }
}
