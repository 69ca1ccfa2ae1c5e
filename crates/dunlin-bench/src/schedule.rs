//! When messages are due: a fixed rate that no stall slows down.
//!
//! A generator that sends its next message when the last one is through measures nothing while a broker
//! stalls: the messages that it would have sent then are never late, because they were never sent. Here each
//! message has its time beforehand, and its latency counts from that time, whoever kept it waiting. The time
//! follows from the message's stamp, so that it need not travel with the message.
//!
//! ```text
//! message          0      1      2      3      4      5       of all publishers, at start + number / rate
//! publisher        0      1      2      0      1      2
//! its sequence     0      0      0      1      1      1
//! ```

use std::time::{Duration, Instant};

use crate::stamp::Stamp;

const NANOSECONDS: u64 = 1_000_000_000;

/// The messages of some publishers, at a rate of all of them together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// When the first message is due.
    pub(crate) start: Instant,
    /// Messages per second of all publishers, 1 or more.
    pub(crate) rate_per_s: u32,
    /// Publishers that take turns, 1 or more.
    pub(crate) publishers: u32,
}

impl Schedule {
    /// When a message is due.
    #[inline]
    pub(crate) fn due(&self, stamp: Stamp) -> Instant {
        self.due_in_all(stamp.sequence * u64::from(self.publishers) + u64::from(stamp.publisher))
    }

    /// How many messages of a publisher are due at `now` since the start.
    #[inline]
    pub(crate) fn count_due(&self, publisher: u32, now: Instant) -> u64 {
        let of_all = self.count_due_in_all(now);
        of_all.saturating_sub(u64::from(publisher)).div_ceil(u64::from(self.publishers))
    }

    /// When the next message is due, of those that are not due at `now`.
    pub(crate) fn next_due(&self, now: Instant) -> Instant {
        self.due_in_all(self.count_due_in_all(now))
    }

    fn count_due_in_all(&self, now: Instant) -> u64 {
        let Some(elapsed) = now.checked_duration_since(self.start) else { return 0 };
        let rate = u64::from(self.rate_per_s);
        elapsed.as_secs() * rate + u64::from(elapsed.subsec_nanos()) * rate / NANOSECONDS + 1
    }

    fn due_in_all(&self, number: u64) -> Instant {
        let rate = u64::from(self.rate_per_s);
        let nanoseconds = (number % rate * NANOSECONDS).div_ceil(rate);
        self.start + Duration::from_secs(number / rate) + Duration::from_nanos(nanoseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate_per_s: u32, publishers: u32) -> Schedule {
        Schedule { start: Instant::now(), rate_per_s, publishers }
    }

    #[test]
    fn publishers_take_turns_at_the_rate_of_all() {
        let schedule = schedule(1_000, 3);
        let due_us =
            |publisher, sequence| (schedule.due(Stamp { publisher, sequence }) - schedule.start).as_micros();
        assert_eq!(
            (due_us(0, 0), due_us(2, 0), due_us(0, 1), due_us(1, 1_000)),
            (0, 2_000, 3_000, 3_001_000)
        );
    }

    #[test]
    fn a_message_counts_as_due_from_its_time_on_and_not_before() {
        for (rate, publishers) in [(1, 1), (7, 3), (1_000, 10), (20_000, 1), (3_000_000, 7)] {
            let schedule = schedule(rate, publishers);
            for (publisher, sequence) in [(0, 0), (publishers - 1, 0), (0, 1), (publishers / 2, 12_345)] {
                let due = schedule.due(Stamp { publisher, sequence });
                assert_eq!(schedule.count_due(publisher, due), sequence + 1, "{schedule:?} {sequence}");
                assert_eq!(schedule.count_due(publisher, due - Duration::from_nanos(1)), sequence);
            }
        }
    }

    #[test]
    fn the_next_message_is_the_first_that_is_not_due() {
        let schedule = schedule(1_000, 1);
        let at = |us| schedule.start + Duration::from_micros(us);
        assert_eq!(schedule.next_due(at(0)), at(1_000));
        assert_eq!(schedule.next_due(at(1_999)), at(2_000));
        assert_eq!(schedule.next_due(schedule.start - Duration::from_secs(1)), at(0));
    }
}
