//! How many questions are under way at once.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Turns, some of them taken.
pub(super) struct Turns {
    free: Mutex<usize>,
    returned: Condvar,
}

/// One that is taken, until it is dropped.
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    pub fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), returned: Condvar::new() }
    }

    /// Takes one; waits for it, but not beyond the deadline.
    pub fn take(&self, deadline: Instant) -> Option<Turn<'_>> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = deadline.saturating_duration_since(Instant::now());
        let waited = self.returned.wait_timeout_while(free, patience, |free| *free == 0);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn whoever_gets_no_turn_in_time_goes_without() {
        let turns = Turns::new(1);
        let soon = || Instant::now() + Duration::from_millis(20);
        let first = turns.take(soon()).expect("one is free");
        assert!(turns.take(soon()).is_none());
        drop(first);
        assert!(turns.take(soon()).is_some());
    }
}
