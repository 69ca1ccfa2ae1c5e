//! The course of a run: how much was sent and received at moments of it, for plots and for whoever watches.
//!
//! The generator knows the time in each of its turns, and compares it with the time of the next sample; that
//! is all it costs on the path of messages. A sample adds up what the publishers count anyway, ten times a second
//! at most, and who watches is told of one of them each second, by a channel that never makes the teller wait.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::latency::Latency;
use crate::progress::{Moment, Teller};

/// Samples are as far apart as this, or farther in a long run.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// More samples than this show no more.
const SAMPLES_MAX: u32 = 300;

/// What had happened at a moment of the measuring phase, counted from its beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Sample {
    /// The moment, in seconds.
    pub at_s: f64,
    /// Messages sent.
    pub sent: u64,
    /// Messages received, repeated ones included.
    pub received: u64,
    /// Messages acknowledged; with QoS 0, all that were sent.
    pub acknowledged: u64,
}

/// What a generator has counted since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) at: Instant,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) acknowledged: u64,
}

/// The samples of a run, and who is told of them.
#[derive(Debug)]
pub(crate) struct Course {
    began: Totals,
    interval: Duration,
    next: Instant,
    samples: Vec<Sample>,
    teller: Option<Teller>,
}

impl Course {
    /// A course that begins now, with nothing sent and nobody watching.
    pub(crate) fn new() -> Self {
        let at = Instant::now();
        Self {
            began: Totals { at, sent: 0, received: 0, acknowledged: 0 },
            interval: INTERVAL_MIN,
            next: at + INTERVAL_MIN,
            samples: Vec::new(),
            teller: None,
        }
    }

    /// From now on, somebody is told.
    pub(crate) fn told_to(&mut self, teller: Option<Teller>) {
        self.teller = teller;
    }

    /// Begins anew: what is measured begins with these totals and takes so long.
    pub(crate) fn begin(&mut self, totals: Totals, duration: Duration) {
        self.began = totals;
        self.interval = INTERVAL_MIN.max(duration / SAMPLES_MAX);
        self.next = totals.at + self.interval;
        self.samples = Vec::with_capacity(SAMPLES_MAX as usize + 1);
    }

    /// Whether a sample is to be taken.
    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Whether [`Course::add`] will tell somebody, who wants to know how long things take.
    pub(crate) fn is_told(&self, now: Instant) -> bool {
        self.teller.as_ref().is_some_and(|teller| teller.is_due(now))
    }

    /// Takes a sample.
    pub(crate) fn add(&mut self, totals: Totals, is_stored: bool, latency: Option<Latency>) {
        let Totals { at, sent, received, acknowledged } = totals;
        // After a long pause the next sample is an interval from now: there is nothing to catch up on.
        self.next = at + self.interval;
        if self.samples.len() < SAMPLES_MAX as usize {
            self.samples.push(Sample {
                at_s: (at - self.began.at).as_secs_f64(),
                sent: sent - self.began.sent,
                received: received - self.began.received,
                acknowledged: acknowledged - self.began.acknowledged,
            });
        }
        if let Some(teller) = self.teller.as_mut().filter(|teller| teller.is_due(at)) {
            let acknowledged = is_stored.then_some(acknowledged);
            teller.tell(Moment { at, sent, received, acknowledged, latency });
        }
    }

    /// The samples since it began.
    pub(crate) fn take(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_count_from_the_beginning_of_what_is_measured() {
        let mut course = Course::new();
        let warm = Totals { at: Instant::now(), sent: 1_000, received: 900, acknowledged: 950 };
        course.begin(warm, Duration::from_secs(5));
        assert!(!course.is_due(warm.at + INTERVAL_MIN / 2));
        let at = warm.at + INTERVAL_MIN;
        assert!(course.is_due(at));
        course.add(Totals { at, sent: 1_500, received: 1_400, acknowledged: 1_450 }, false, None);
        assert!(!course.is_due(at));
        assert_eq!(course.take(), [Sample { at_s: 0.1, sent: 500, received: 500, acknowledged: 500 }]);
    }

    #[test]
    fn a_long_run_has_no_more_samples_than_a_plot_shows() {
        let mut course = Course::new();
        let mut totals = Totals { at: Instant::now(), sent: 0, received: 0, acknowledged: 0 };
        course.begin(totals, Duration::from_secs(600));
        assert!(!course.is_due(totals.at + Duration::from_millis(1_900)));
        for _ in 0..2 * SAMPLES_MAX {
            totals.at += Duration::from_secs(2);
            course.add(totals, false, None);
        }
        assert_eq!(course.take().len(), SAMPLES_MAX as usize);
    }
}
