//! What a shared group has received: each message once, at whichever member.
//!
//! Members see gaps all the time, because what one has not got another has. So the group as a whole remembers
//! which messages of a publisher have come, for the last million of them: more than a publisher can be ahead.

use crate::stamp::Stamp;

/// How many of the last messages are remembered; what is older counts as repeated.
const REMEMBERED: u64 = 1 << 20;
/// The bits of one element.
const BITS: u64 = u64::BITS as u64;

/// The messages of some publishers that have come.
#[derive(Debug)]
pub(crate) struct Group {
    by_publisher: Vec<Seen>,
}

/// The last messages of a publisher, one bit for each, in a ring.
#[derive(Debug)]
struct Seen {
    bits: Vec<u64>,
    /// One more than the greatest number that has come.
    next: u64,
}

impl Group {
    /// For the messages of so many publishers.
    pub(crate) fn new(publishers: u32) -> Self {
        let seen = || Seen { bits: vec![0; (REMEMBERED / BITS) as usize], next: 0 };
        Self { by_publisher: (0..publishers).map(|_| seen()).collect() }
    }

    /// 1 when the message has not come before, otherwise 0. `None` when it is of no publisher of the group.
    #[inline]
    pub(crate) fn advance(&mut self, stamp: Stamp) -> Option<u64> {
        let seen = self.by_publisher.get_mut(stamp.publisher as usize)?;
        // No publisher is that far ahead; it is the message of somebody else.
        (stamp.sequence < seen.next + REMEMBERED).then(|| u64::from(seen.insert(stamp.sequence)))
    }
}

impl Seen {
    #[inline]
    fn insert(&mut self, sequence: u64) -> bool {
        while self.next <= sequence {
            let (at, bit) = place(self.next);
            self.bits[at] &= !bit;
            self.next += 1;
        }
        let (at, bit) = place(sequence);
        let is_new = sequence + REMEMBERED >= self.next && self.bits[at] & bit == 0;
        self.bits[at] |= bit;
        is_new
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let position = sequence % REMEMBERED;
    ((position / BITS) as usize, 1 << (position % BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_knows_what_has_come_at_any_member_in_any_order() {
        let mut group = Group::new(2);
        let mut advance = |publisher, sequence| group.advance(Stamp { publisher, sequence });
        assert_eq!([5, 0, 3, 5, 0].map(|sequence| advance(0, sequence)), [1, 1, 1, 0, 0].map(Some));
        assert_eq!(advance(1, 5), Some(1), "the other publisher counts for itself");
        assert_eq!(advance(2, 0), None, "there is no third");
        assert_eq!(advance(0, REMEMBERED + 6), None, "nobody is so far ahead");
    }

    #[test]
    fn a_place_in_the_ring_is_free_again_when_its_message_is_too_old() {
        let mut group = Group::new(1);
        let mut advance = |sequence| group.advance(Stamp { publisher: 0, sequence });
        assert_eq!((advance(0), advance(7), advance(REMEMBERED - 1)), (Some(1), Some(1), Some(1)));
        assert_eq!((advance(REMEMBERED), advance(REMEMBERED + 6)), (Some(1), Some(1)));
        assert_eq!(advance(8), Some(1), "still remembered, and missing until now");
        assert_eq!(advance(0), Some(0), "too old to be known");
    }
}
