//! Points in time, as the outside world tells them.
//!
//! The core never asks for the time: every `handle_*` gets `now`. Deadlines of Sessions and messages outlive
//! the process, so a timestamp counts from the Unix epoch; the runtime must hand in values that never go
//! backwards.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

/// Microseconds since 1970-01-01T00:00:00Z.
// One more than that is stored, so that `Option<Timestamp>` takes no more room: a Session has four of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The epoch itself; earlier than every real time.
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// A timestamp from microseconds since the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        match NonZeroU64::new(micros.saturating_add(1)) {
            Some(stored) => Self(stored),
            None => Self::ZERO,
        }
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.as_micros().saturating_sub(earlier.as_micros()))
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
        let micros = self.as_micros().saturating_sub(now.as_micros());
        u32::try_from(micros.div_ceil(1_000_000)).unwrap_or(u32::MAX)
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.as_micros()).finish()
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}
