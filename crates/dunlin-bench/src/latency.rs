//! How long answers took: a histogram of bounded size, and the few figures of it that are shown.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer waits count as this one; no run goes on for so long without an answer.
const LONGEST: Duration = Duration::from_secs(60);
/// Significant digits of what is recorded.
const DIGITS: u8 = 3;

/// What a histogram of waits is summed up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the waits were not longer than this, in microseconds.
    pub p50_us: f64,
    /// 9 of 10 waits were not longer than this, in microseconds.
    pub p90_us: f64,
    /// 99 of 100 waits were not longer than this, in microseconds.
    pub p99_us: f64,
    /// 999 of 1,000 waits were not longer than this, in microseconds.
    pub p999_us: f64,
    /// 9,999 of 10,000 waits were not longer than this, in microseconds.
    pub p9999_us: f64,
    /// The longest wait in microseconds.
    pub max_us: f64,
    /// How many waits there were.
    pub count: u64,
}

/// Waits, to three significant digits.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    nanoseconds: Histogram<u64>,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        let longest = LONGEST.as_nanos() as u64;
        let nanoseconds = Histogram::new_with_max(longest, DIGITS);
        Self {
            nanoseconds: nanoseconds.expect("three digits up to a minute are within hdrhistogram's bounds"),
        }
    }

    #[inline]
    pub(crate) fn record(&mut self, wait: Duration) {
        self.nanoseconds.saturating_record(wait.as_nanos() as u64);
    }

    /// Forgets everything, the longest wait included, which the histogram's own `clear` remembers.
    pub(crate) fn clear(&mut self) {
        self.nanoseconds.reset();
    }

    pub(crate) fn add(&mut self, other: &Self) {
        // Both have the same bounds, the one thing that could be wrong.
        let _ = self.nanoseconds.add(&other.nanoseconds);
    }

    /// The figures; `None` when nothing was recorded.
    pub(crate) fn sum_up(&self) -> Option<Latency> {
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        (!self.nanoseconds.is_empty()).then(|| Latency {
            p50_us: microseconds(self.nanoseconds.value_at_quantile(0.5)),
            p90_us: microseconds(self.nanoseconds.value_at_quantile(0.9)),
            p99_us: microseconds(self.nanoseconds.value_at_quantile(0.99)),
            p999_us: microseconds(self.nanoseconds.value_at_quantile(0.999)),
            p9999_us: microseconds(self.nanoseconds.value_at_quantile(0.9999)),
            max_us: microseconds(self.nanoseconds.max()),
            count: self.nanoseconds.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cleared_is_not_the_longest_wait_of_what_follows() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_millis(9));
        latencies.clear();
        assert_eq!(latencies.sum_up(), None);
        latencies.record(Duration::from_millis(2));
        let latency = latencies.sum_up().unwrap();
        assert!((latency.max_us - 2_000.0).abs() < 10.0, "{latency:?}");
    }

    #[test]
    fn half_of_the_waits_are_not_longer_than_the_median() {
        let (mut all, mut some) = (Latencies::new(), Latencies::new());
        assert_eq!(all.sum_up(), None);
        (1..=98).for_each(|us| some.record(Duration::from_micros(us)));
        all.record(Duration::from_millis(7));
        all.record(Duration::from_secs(3600));
        all.add(&some);
        let latency = all.sum_up().unwrap();
        assert_eq!((latency.count, latency.p50_us.round()), (100, 50.0));
        assert!((latency.p99_us - 7_000.0).abs() < 10.0, "{latency:?}");
        assert!(latency.p50_us <= latency.p90_us && latency.p99_us <= latency.p999_us, "{latency:?}");
        assert_eq!(latency.p9999_us, latency.max_us);
        assert!((latency.max_us - 6e7).abs() < 1e5, "an hour counts as a minute: {latency:?}");
    }

    #[test]
    fn nothing_is_left_of_waits_that_were_cleared() {
        let mut waits = Latencies::new();
        waits.record(Duration::from_secs(1));
        waits.clear();
        assert_eq!(waits.sum_up(), None);
        waits.record(Duration::from_micros(5));
        let latency = waits.sum_up().unwrap();
        assert!(latency.max_us < 6.0 && latency.count == 1, "{latency:?}");
    }
}
