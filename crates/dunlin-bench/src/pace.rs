//! How a publisher keeps to a schedule, and how well it did.
//!
//! A message can leave late because the generator was late, which makes the run worth less, or because the
//! broker had not acknowledged enough or its socket was full, which is part of what is measured. The two are
//! told apart: lateness is recorded for messages that nothing but the generator held back, the others are
//! counted.

use std::time::Instant;

use crate::latency::Latencies;
use crate::schedule::Schedule;
use crate::stamp::Stamp;

/// A publisher's part of a schedule.
#[derive(Debug)]
pub(crate) struct Pace {
    schedule: Schedule,
    publisher: u32,
    /// What was due before this is not recorded.
    from: Instant,
    /// Messages before this one were due and could not leave, because of the broker.
    held: u64,
    /// When messages were sent, counted from when they were due.
    pub(crate) lateness: Latencies,
    /// Messages that the broker held back.
    pub(crate) held_back: u64,
}

impl Pace {
    pub(crate) fn new(schedule: Schedule, publisher: u32) -> Self {
        let from = schedule.start;
        Self { schedule, publisher, from, held: 0, lateness: Latencies::new(), held_back: 0 }
    }

    /// How many messages are due at `now`, those included that were sent.
    #[inline]
    pub(crate) fn count_due(&self, now: Instant) -> u64 {
        self.schedule.count_due(self.publisher, now)
    }

    /// A message leaves. The result is when it was due.
    #[inline]
    pub(crate) fn leaves(&mut self, sequence: u64, now: Instant) -> Instant {
        let due = self.schedule.due(Stamp { publisher: self.publisher, sequence });
        match sequence < self.held {
            _ if due < self.from => {}
            true => self.held_back += 1,
            false => self.lateness.record(now.saturating_duration_since(due)),
        }
        due
    }

    /// Of `due` messages, not all could leave, because of the broker.
    #[inline]
    pub(crate) fn hold(&mut self, due: u64) {
        self.held = due;
    }

    /// Begins anew to record lateness, of what becomes due at `from` or later.
    pub(crate) fn record_from(&mut self, from: Instant) {
        self.from = from;
        self.lateness.clear();
        self.held_back = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_the_broker_held_back_does_not_count_as_late() {
        let start = Instant::now();
        let mut pace = Pace::new(Schedule { start, rate_per_s: 1_000, publishers: 1 }, 0);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(pace.count_due(at(3)), 4);
        assert_eq!(pace.leaves(0, at(3)), at(0));
        pace.hold(4);
        (1..6).for_each(|sequence| assert_eq!(pace.leaves(sequence, at(5)), at(sequence)));
        assert_eq!(pace.held_back, 3);
        let late = pace.lateness.sum_up().unwrap();
        assert_eq!(late.count, 3, "those numbered 0, 4 and 5");
        assert!((late.max_us - 3_000.0).abs() < 10.0, "{late:?}");
    }
}
