//! How long to wait before the next attempt to connect.
//!
//! The first pause is a second, as mosquitto's clients wait; each further one is twice as long, up to half a minute,
//! and a part of it is left to chance, so that a thousand clients of a broker that restarts do not come as one.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// See the top of the file.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    failures: u32,
}

impl BackOff {
    /// The pause after one more failure: between three quarters of its length and all of it.
    pub(super) fn pause(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(5)).min(LONGEST);
        self.failures += 1;
        // Without chance the pause is only less polite.
        let chance = getrandom::u32().unwrap_or(u32::MAX);
        whole.mul_f64(0.75 + 0.25 * f64::from(chance) / f64::from(u32::MAX))
    }

    /// There is a connection.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_minute_and_begin_anew_after_a_success() {
        let mut back_off = BackOff::default();
        for whole_s in [1, 2, 4, 8, 16, 30, 30, 30] {
            let pause = back_off.pause();
            let whole = Duration::from_secs(whole_s);
            assert!(whole.mul_f64(0.75) <= pause && pause <= whole, "{pause:?} for {whole:?}");
        }
        back_off.reset();
        assert!(back_off.pause() <= FIRST);
    }
}
