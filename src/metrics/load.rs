//! Rates as `$SYS` tells them: how many in a minute, averaged over 1, 5 and 15 minutes.
//!
//! The average is mosquitto's (and the one of a Unix load average): what was counted in an interval, put as a rate
//! per minute, pulls the average towards itself, the harder the longer the interval is against the time averaged over.

use std::time::Duration;

/// The minutes averaged over, and what topics call them.
pub const SPANS: [(f64, &str); 3] = [(1.0, "1min"), (5.0, "5min"), (15.0, "15min")];

/// The averages of one count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    counted: u64,
    averages: [f64; SPANS.len()],
}

impl Load {
    /// `total` is what was counted so far; `interval` has passed since the last time.
    pub fn note(&mut self, total: u64, interval: Duration) {
        let minutes = interval.as_secs_f64() / 60.0;
        if minutes <= 0.0 {
            return;
        }
        let rate = total.saturating_sub(self.counted) as f64 / minutes;
        self.counted = total;
        for (average, (span, _)) in self.averages.iter_mut().zip(SPANS) {
            *average = rate + (-minutes / span).exp() * (*average - rate);
        }
    }

    /// In the order of [`SPANS`].
    pub fn averages(&self) -> [f64; SPANS.len()] {
        self.averages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_approached_and_a_longer_span_takes_longer() {
        let mut load = Load::default();
        for step in 1..=6 {
            load.note(step * 100, Duration::from_secs(10));
        }
        let [one, five, fifteen] = load.averages();
        // 600 a minute for one minute: 1 - 1/e of it has arrived in the first.
        assert!((one - 600.0 * (1.0 - (-1.0_f64).exp())).abs() < 0.01, "{one}");
        assert!(one > five && five > fifteen && fifteen > 0.0);
    }

    #[test]
    fn without_time_nothing_changes() {
        let mut load = Load::default();
        load.note(100, Duration::ZERO);
        assert_eq!(load.averages(), [0.0; 3]);
    }
}
