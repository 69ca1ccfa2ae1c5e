//! Points in time, as the outside world tells them.
//!
//! The core never asks for the time: every `handle_*` gets `now`. Deadlines of Sessions and messages outlive
//! the process, so a timestamp counts from the Unix epoch; the runtime must hand in values that never go
//! backwards.

use std::time::Duration;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The epoch itself; earlier than every real time.
    pub const ZERO: Self = Self(0);

    /// A timestamp from microseconds since the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `seconds` later, saturating.
    pub fn after_s(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(u64::from(seconds) * 1_000_000))
    }

    /// The smallest later timestamp.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whole seconds from `now` until `self`, rounded up; zero when `self` has passed.
    pub fn seconds_from(self, now: Self) -> u32 {
        u32::try_from(self.0.saturating_sub(now.0).div_ceil(1_000_000)).unwrap_or(u32::MAX)
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}
