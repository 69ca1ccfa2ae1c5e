//! A rate, kept as one number: until when what was taken is paid for.
//!
//! Each thing taken at a rate of `r` a second costs `1/r` seconds; whoever has not used its rate may be up to one
//! second ahead, so `r` things may come at once. (The literature calls it GCRA; it needs no timer that refills.)

use dunlin_core::time::Timestamp;
use std::time::Duration;

/// How far ahead of its rate somebody may be.
const AHEAD_MAX: Duration = Duration::from_secs(1);

/// See the top of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    paid_at: Timestamp,
}

impl Pace {
    /// Takes one thing if the rate has room for it.
    pub fn try_take(&mut self, now: Timestamp, rate: u32) -> bool {
        let mut next = *self;
        next.take(now, 1, rate.into());
        let has_room = next.ready_at() <= now;
        if has_room {
            *self = next;
        }
        has_room
    }

    /// Takes so many things, with or without room for them.
    pub fn take(&mut self, now: Timestamp, count: u64, rate: u64) {
        let micros = count.saturating_mul(1_000_000) / rate.max(1);
        self.paid_at = self.paid_at.max(now) + Duration::from_micros(micros);
    }

    /// When there is room again; not later than now if there is.
    pub fn ready_at(&self) -> Timestamp {
        Timestamp::from_micros(self.paid_at.as_micros().saturating_sub(AHEAD_MAX.as_micros() as u64))
    }
}

/// How often something happened since a window of time began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    began: Timestamp,
    count: u32,
}

impl Window {
    /// Counts one more; how many that are in this window of time. A new one begins when this one is over.
    pub fn count(&mut self, now: Timestamp, length: Duration) -> u32 {
        if self.began + length <= now {
            *self = Self { began: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }

    /// How many there are in this window of time.
    pub fn counted(&self, now: Timestamp, length: Duration) -> u32 {
        if self.began + length <= now { 0 } else { self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ms(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + ms * 1000)
    }

    #[test]
    fn as_many_as_the_rate_come_at_once_and_then_one_by_one() {
        let mut pace = Pace::default();
        let taken = |pace: &mut Pace, ms| (0..100).filter(|_| pace.try_take(at_ms(ms), 10)).count();
        assert_eq!(taken(&mut pace, 0), 10);
        assert_eq!(taken(&mut pace, 99), 0);
        assert_eq!(taken(&mut pace, 100), 1);
        assert_eq!(taken(&mut pace, 350), 2);
        assert_eq!(taken(&mut pace, 60_000), 10);
    }

    #[test]
    fn what_is_taken_without_room_is_waited_for() {
        let mut pace = Pace::default();
        pace.take(at_ms(0), 5000, 1000);
        assert_eq!(pace.ready_at(), at_ms(4000));
    }

    #[test]
    fn a_window_counts_until_it_is_over() {
        let mut window = Window::default();
        let length = Duration::from_secs(1);
        assert_eq!([0, 500, 999].map(|ms| window.count(at_ms(ms), length)), [1, 2, 3]);
        assert_eq!(window.count(at_ms(1000), length), 1);
    }
}
