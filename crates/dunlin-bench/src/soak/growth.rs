//! Whether something has grown: the second quarter of a run is compared with its last, and the third with its last.
//!
//! The first quarter is left out, in which tables reach their size and an allocator its working set. A median of
//! a quarter does not move with a single sample. What leaks grows by the same in each quarter. What fills up, as a
//! cache does that has a limit, may still grow after the first quarter, but less and less. So growth is a fault when
//! it is more than is allowed for half of the run and has not ended: in its last quarter it is more than half of that.
//!
//! The last quarter is not compared with growth before it, as in "half as fast": a leak would hide behind whatever
//! fills up at the same time.

use serde::Serialize;

use crate::statistics::Spread;

/// A figure in three quarters of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Growth {
    /// Its median in the second quarter.
    pub second_quarter: f64,
    /// Its median in the third quarter.
    pub third_quarter: f64,
    /// Its median in the last quarter.
    pub last_quarter: f64,
    /// By how much it may grow from the second to the last, and by half of it from the third; `None` where growth is
    /// only reported.
    pub allowed: Option<f64>,
}

impl Growth {
    /// How `samples` have grown; `None` when there are fewer than four. `allowed` tells from the median of the
    /// second quarter how much more is allowed.
    pub(super) fn of(samples: &[f64], allowed: impl FnOnce(f64) -> Option<f64>) -> Option<Self> {
        let second_quarter = median(quarter(samples, 1))?;
        let third_quarter = median(quarter(samples, 2))?;
        let last_quarter = median(quarter(samples, 3))?;
        Some(Self { second_quarter, third_quarter, last_quarter, allowed: allowed(second_quarter) })
    }

    /// Whether it has grown by no more than is allowed, or by more and that has ended.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.allowed
            .is_none_or(|allowed| self.since_second() <= allowed || self.since_third() <= allowed / 2.0)
    }

    /// How much more it is in the last quarter than in the second.
    #[must_use]
    pub fn since_second(&self) -> f64 {
        self.last_quarter - self.second_quarter
    }

    /// How much more it is in the last quarter than in the third.
    #[must_use]
    pub fn since_third(&self) -> f64 {
        self.last_quarter - self.third_quarter
    }

    /// The last quarter as a multiple of the second.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.last_quarter / self.second_quarter
    }
}

/// A quarter of some samples, counted from 0. What does not divide by four goes to the earlier ones.
pub(super) fn quarter<T>(samples: &[T], number: usize) -> &[T] {
    let bound = |quarters: usize| (samples.len() * quarters).div_ceil(4);
    samples.get(bound(number)..bound(number + 1)).unwrap_or_default()
}

pub(super) fn median(samples: &[f64]) -> Option<f64> {
    Spread::of(samples.iter().copied()).map(|spread| spread.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(samples: impl IntoIterator<Item = f64>) -> Growth {
        let samples: Vec<_> = samples.into_iter().collect();
        Growth::of(&samples, |_| Some(5.0)).unwrap()
    }

    #[test]
    fn a_leak_is_found_and_a_warm_up_is_not() {
        assert!(!growth((0..60).map(f64::from)).is_within(), "1 more each time");
        assert!(
            growth((0..60).map(|at| f64::from(at.min(15)))).is_within(),
            "until the first quarter is over"
        );
        let one_peak = (0..60).map(|at| if at == 50 { 1e9 } else { 100.0 });
        assert!(growth(one_peak).is_within(), "a single sample");
    }

    /// A cache that holds 100 when it is full, is filled at random, and has half of that after 7 of 60 samples.
    fn cache(at: u32) -> f64 {
        100.0 * (1.0 - 0.5_f64.powf(f64::from(at) / 7.0))
    }

    #[test]
    fn a_cache_that_fills_is_told_from_a_leak_that_has_grown_by_as_much() {
        let filling = growth((0..60).map(cache));
        assert!(filling.since_second() > 5.0, "more than is allowed: {filling:?}");
        assert!(filling.is_within(), "but it has ended: {filling:?}");
        let per_sample = filling.since_second() / 30.0;
        let leaking = growth((0..60).map(|at| f64::from(at) * per_sample));
        assert!(!leaking.is_within(), "{leaking:?}");
    }

    #[test]
    fn a_leak_does_not_hide_behind_a_cache_that_fills() {
        let both = growth((0..60).map(|at| cache(at) + f64::from(at) / 5.0));
        assert!(both.since_third() < both.since_second() / 2.0, "slower and slower: {both:?}");
        assert!(!both.is_within(), "{both:?}");
    }

    #[test]
    fn what_shrinks_or_is_only_reported_is_no_growth() {
        assert!(growth((0..60).map(|at| f64::from(60 - at))).is_within());
        let reported = Growth::of(&[1.0, 1.0, 1.0, 100.0], |_| None).unwrap();
        assert_eq!((reported.is_within(), reported.ratio()), (true, 100.0));
    }

    #[test]
    fn quarters_hold_all_samples_once() {
        for length in 4..20 {
            let samples: Vec<_> = (0..length).collect();
            let quarters: Vec<_> = (0..4).flat_map(|number| quarter(&samples, number)).copied().collect();
            assert_eq!(quarters, samples);
            assert!((0..4).all(|number| !quarter(&samples, number).is_empty()), "{length}");
        }
        assert_eq!(Growth::of(&[1.0, 2.0, 3.0], |_| None), None);
    }
}
