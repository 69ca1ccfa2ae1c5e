//! What has arrived at all subscribers together: how much, what twice, how far publishers have come, and how
//! long it took from when it was due.

use std::time::Instant;

use crate::group::Group;
use crate::latency::Latencies;
use crate::schedule::Schedule;
use crate::stamp::Stamp;

/// What subscribers have received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Messages, repeated ones included.
    pub(crate) received: u64,
    /// Messages that came twice or, but for shared groups, after a later one of the same publisher.
    pub(crate) repeated: u64,
}

/// What the subscribers of a run have received and are past.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) tally: Tally,
    /// Deliveries that the subscribers of each publisher are past, together.
    pub(crate) progress: Vec<u64>,
    /// What has come to a shared group, where subscribers are members of one.
    pub(crate) group: Option<Group>,
    waits: Option<Waits>,
}

/// How long messages took that were due at `from` or later.
#[derive(Debug)]
struct Waits {
    schedule: Schedule,
    from: Instant,
    latencies: Latencies,
}

impl Arrivals {
    /// From now on records how long messages take that become due at `from` or later.
    pub(crate) fn time_from(&mut self, schedule: Schedule, from: Instant) {
        self.waits = Some(Waits { schedule, from, latencies: Latencies::new() });
    }

    /// How long they took, if that is recorded.
    pub(crate) fn waits(&self) -> Option<&Latencies> {
        self.waits.as_ref().map(|waits| &waits.latencies)
    }

    /// The time, where somebody wants to know it. It is asked for once for each read.
    #[inline]
    pub(crate) fn now(&self) -> Option<Instant> {
        self.waits.is_some().then(Instant::now)
    }

    /// Counts a message that has moved its subscriber on by `passed` messages of its publisher; 0 when it was
    /// past that one already. `None` when there is no such publisher.
    #[inline]
    pub(crate) fn count(&mut self, stamp: Stamp, passed: u64, now: Option<Instant>) -> Option<()> {
        self.tally.received += 1;
        if passed == 0 {
            self.tally.repeated += 1;
            return Some(());
        }
        *self.progress.get_mut(stamp.publisher as usize)? += passed;
        if let Some((waits, now)) = self.waits.as_mut().zip(now) {
            let due = waits.schedule.due(stamp);
            if due >= waits.from {
                waits.latencies.record(now.saturating_duration_since(due));
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_latency_counts_from_when_a_message_was_due() {
        let start = Instant::now();
        let schedule = Schedule { start, rate_per_s: 1_000, publishers: 1 };
        let mut arrivals = Arrivals { progress: vec![0], ..Arrivals::default() };
        arrivals.time_from(schedule, start + Duration::from_millis(1));
        // Three messages were due at 0, 1 and 2 ms and come together at 5 ms, one of them twice.
        for (sequence, passed) in [(0, 1), (1, 1), (2, 1), (2, 0)] {
            let now = Some(start + Duration::from_millis(5));
            arrivals.count(Stamp { publisher: 0, sequence }, passed, now).unwrap();
        }
        let latency = arrivals.waits().unwrap().sum_up().unwrap();
        assert_eq!(latency.count, 2, "the first was due before it was measured, the last came again");
        assert!(
            (latency.p50_us - 3_000.0).abs() < 10.0 && (latency.max_us - 4_000.0).abs() < 10.0,
            "{latency:?}"
        );
        assert_eq!(arrivals.tally, Tally { received: 4, repeated: 1 });
        assert_eq!(arrivals.count(Stamp { publisher: 1, sequence: 0 }, 1, None), None);
    }
}
