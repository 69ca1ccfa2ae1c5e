//! Topics that carry a number: a pattern such as `dunlin-bench/~~~~/~~~~`, in which each `~` stands for a digit.
//!
//! A publisher writes the digits over those of its last message, wherever they stand in the packet. Numbers go
//! up, or they are scattered: as good as random, and yet the same in each run and for each broker.

use crate::stamp::Stamp;

/// What stands for a digit in a pattern.
const DIGIT: char = '~';

/// Which number a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// 0, 1, 2 and so on, and after so many 0 again.
    InTurn(u32),
    /// Any that is less than this, each as often as the others.
    Scattered(u32),
}

impl Numbers {
    /// The number of a message.
    #[inline]
    pub(crate) fn of(self, stamp: Stamp) -> u32 {
        match self {
            Self::InTurn(count) => (stamp.sequence % u64::from(count)) as u32,
            Self::Scattered(count) => {
                let random = scatter(u64::from(stamp.publisher) << 40 ^ stamp.sequence) >> 32;
                ((random * u64::from(count)) >> 32) as u32
            }
        }
    }
}

/// A number that seems to have nothing to do with the next one's: the finalizer of SplitMix64.
#[inline]
pub(crate) fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// A pattern with a number in it.
pub(crate) fn numbered(pattern: &str, number: u32) -> String {
    let mut topic = pattern.as_bytes().to_vec();
    write_digits(&mut topic, &digits_of(pattern), number);
    String::from_utf8_lossy(&topic).into_owned()
}

/// Where the digits of a pattern are.
pub(crate) fn digits_of(pattern: &str) -> Vec<usize> {
    pattern.match_indices(DIGIT).map(|(at, _)| at).collect()
}

/// Writes a number to the places `at`; what they do not hold is left out.
#[inline]
pub(crate) fn write_digits(bytes: &mut [u8], at: &[usize], mut number: u32) {
    for &at in at.iter().rev() {
        if let Some(digit) = bytes.get_mut(at) {
            *digit = b'0' + (number % 10) as u8;
        }
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_fills_the_digits_of_a_pattern_from_the_last() {
        assert_eq!(numbered("a/~~/b/~~~/c", 1_234), "a/01/b/234/c");
        assert_eq!(numbered("a/~~", 7_005), "a/05");
        assert_eq!(numbered("a/b", 7), "a/b");
    }

    #[test]
    fn scattered_numbers_meet_everyone_about_as_often_and_in_no_order() {
        let of = |publisher, sequence| Numbers::Scattered(10).of(Stamp { publisher, sequence });
        let mut times = [0; 10];
        (0..10_000).for_each(|sequence| times[of(3, sequence) as usize] += 1);
        assert!(times.iter().all(|times| (850..1_150).contains(times)), "{times:?}");
        assert!((0..100).any(|sequence| of(0, sequence) != of(1, sequence)), "publishers differ");
        assert_eq!(Numbers::InTurn(3).of(Stamp { publisher: 9, sequence: 7 }), 1);
    }
}
