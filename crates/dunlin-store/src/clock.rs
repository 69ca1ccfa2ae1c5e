//! The one clock of the broker: wall-clock time at start, monotonic from then on.

use dunlin_core::time::Timestamp;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Gives all shards the same time, which never goes backwards.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at_micros: u64,
}

impl Default for Clock {
    fn default() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at_micros: since_epoch.as_micros() as u64 }
    }
}

impl Clock {
    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.started_at_micros + self.started.elapsed().as_micros() as u64)
    }

    /// The monotonic instant of a time; the past becomes the start.
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.started + at.since(Timestamp::from_micros(self.started_at_micros))
    }
}
