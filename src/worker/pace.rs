//! A rate, kept as one number: until when what was taken is paid for.
//!
//! Each thing taken at a rate of `r` a second costs `1/r` seconds; whoever has not used its rate may be up to one
//! second ahead, so `r` things may come at once. (The literature calls it GCRA; it needs no timer that refills.)

use dunlin_core::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How far ahead of its rate somebody may be.
const AHEAD_MAX_NANOS: u64 = 1_000_000_000;

/// Who has no room takes as much with each turn as the rate gives in this part of a second: then there are some hundred
/// turns a second, however many things that is.
const TURNS_PER_SECOND: u64 = 100;

/// See the top of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// Since the epoch, which 64 bits hold until the year 2554. In microseconds, a rate of a million would be none.
    paid_at_nanos: u64,
}

impl Pace {
    /// Takes one thing if the rate has room for it.
    pub fn try_take(&mut self, now: Timestamp, rate: u32) -> bool {
        let has_room = self.room(now, rate.into()) > 0;
        if has_room {
            self.take(now, 1, rate.into());
        }
        has_room
    }

    /// Takes so many things, with or without room for them.
    pub fn take(&mut self, now: Timestamp, count: u64, rate: u64) {
        self.paid_at_nanos = self.paid_at_nanos.max(nanos(now)).saturating_add(cost_nanos(count, rate));
    }

    /// How many things the rate has room for.
    pub fn room(&self, now: Timestamp, rate: u64) -> u64 {
        let ahead_nanos = self.paid_at_nanos.saturating_sub(nanos(now));
        let left_nanos = AHEAD_MAX_NANOS.saturating_sub(ahead_nanos);
        u64::try_from(u128::from(left_nanos) * u128::from(rate) / 1_000_000_000).unwrap_or(u64::MAX)
    }

    /// When somebody who takes without room has its turn; not later than now while nothing is owed.
    pub fn ready_at(&self) -> Timestamp {
        Timestamp::from_micros(self.paid_at_nanos.saturating_sub(AHEAD_MAX_NANOS).div_ceil(1000))
    }
}

fn nanos(time: Timestamp) -> u64 {
    time.as_micros().saturating_mul(1000)
}

fn cost_nanos(count: u64, rate: u64) -> u64 {
    let nanos = u128::from(count) * 1_000_000_000 / u128::from(rate.max(1));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// A pace that several threads share. Nobody waits for a lock: whoever wants something takes it, with or without
/// room, and learns when its turn is. So turns come in the order in which they were taken, and each is waited for
/// once, however many wait.
#[derive(Debug, Default)]
pub(super) struct SharedPace(AtomicU64);

impl SharedPace {
    fn load(&self) -> Pace {
        Pace { paid_at_nanos: self.0.load(Ordering::Relaxed) }
    }

    /// How many things may be taken at a time: as many as there is room for, or what a turn is worth.
    pub fn portion(&self, now: Timestamp, rate: u64) -> u64 {
        self.load().room(now, rate).max(rate / TURNS_PER_SECOND)
    }

    /// Takes so many things; when their turn is. It is when all of them are paid for, except that a turn is worth
    /// something, and that `at_once` they come on credit, because they cannot be had in parts.
    pub fn take(&self, now: Timestamp, count: u64, rate: u64, at_once: bool) -> Timestamp {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid_at_nanos| {
            let mut pace = Pace { paid_at_nanos };
            pace.take(now, count, rate);
            Some(pace.paid_at_nanos)
        });
        // It is never an error: the closure always takes.
        let (Ok(before) | Err(before)) = taken;
        let mut pace = Pace { paid_at_nanos: before };
        pace.take(now, count, rate);
        let credit_max = if at_once { u64::MAX } else { 1_000_000_000 / TURNS_PER_SECOND };
        pace.paid_at_nanos -= cost_nanos(count, rate).min(credit_max).min(pace.paid_at_nanos);
        pace.ready_at()
    }

    /// Gives back what was taken and not used: those who take next come earlier.
    pub fn give_back(&self, count: u64, rate: u64) {
        let cost = cost_nanos(count, rate);
        // As above, it is never an error.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid_at_nanos| {
            Some(paid_at_nanos.saturating_sub(cost))
        });
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
    pub fn so_far(&self, now: Timestamp, length: Duration) -> u32 {
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
        assert_eq!(pace.room(at_ms(4500), 1000), 500);
    }

    #[test]
    fn a_rate_above_a_million_is_a_rate() {
        let mut pace = Pace::default();
        let taken = (0..3_000_000).take_while(|_| pace.try_take(at_ms(0), 2_000_000)).count();
        assert_eq!(taken, 2_000_000);
    }

    #[test]
    fn turns_of_a_shared_pace_come_one_after_the_other_and_what_is_given_back_is_taken_by_the_next() {
        let pace = SharedPace::default();
        assert_eq!(pace.portion(at_ms(0), 1000), 1000);
        assert!(pace.take(at_ms(0), 1000, 1000, false) <= at_ms(0));
        // A turn is worth ten of them, and one that is larger is paid for first, or on credit.
        assert_eq!(pace.portion(at_ms(0), 1000), 10);
        let turn = |count, at_once| pace.take(at_ms(0), count, 1000, at_once);
        assert_eq!([turn(10, false), turn(10, false), turn(500, false)], [at_ms(0), at_ms(10), at_ms(510)]);
        assert_eq!([turn(500, true), turn(1, true)], [at_ms(520), at_ms(1020)]);
        pace.give_back(1, 1000);
        assert_eq!(pace.take(at_ms(0), 1, 1000, true), at_ms(1020));
        assert_eq!((pace.portion(at_ms(1500), 1000), pace.portion(at_ms(60_000), 1000)), (479, 1000));
    }

    #[test]
    fn a_window_counts_until_it_is_over() {
        let mut window = Window::default();
        let length = Duration::from_secs(1);
        assert_eq!([0, 500, 999].map(|ms| window.count(at_ms(ms), length)), [1, 2, 3]);
        assert_eq!((window.so_far(at_ms(999), length), window.so_far(at_ms(1000), length)), (3, 0));
        assert_eq!(window.count(at_ms(1000), length), 1);
    }
}
