//! The statistics of a comparison: medians, and ratios round by round.
//!
//! A ratio is taken within a round, where both brokers met the same machine, and the spread of those ratios
//! is shown. A ratio of two medians would hide how much the machine moved between rounds.

use serde::Serialize;

/// The middle of some values and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle value; of an even number of values, the mean of the middle two.
    pub median: f64,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`; `None` when there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values.len() / 2;
        let lower = (values.len() - 1) / 2;
        Some(Self { median: f64::midpoint(values[lower], values[upper]), min, max })
    }

    /// The spread of `a / b` of each round in which both have a figure.
    #[must_use]
    pub fn of_ratios(a: &[Option<f64>], b: &[Option<f64>]) -> Option<Self> {
        let rounds = a.iter().zip(b).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
        Self::of(rounds.filter(|&(_, b)| b > 0.0).map(|(a, b)| a / b))
    }

    /// The spread of `a - b` of each round in which both have a figure.
    #[must_use]
    pub fn of_differences(a: &[Option<f64>], b: &[Option<f64>]) -> Option<Self> {
        Self::of(a.iter().zip(b).filter_map(|(a, b)| Some((*a)? - (*b)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_not_the_mean() {
        assert_eq!(Spread::of([9.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 9.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]).unwrap().median, 3.0);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let ratios = Spread::of_ratios(&[Some(1.0), None, Some(4.0)], &[Some(10.0), Some(3.0), Some(8.0)]);
        assert_eq!(ratios, Some(Spread { median: 0.3, min: 0.1, max: 0.5 }));
        assert_eq!(Spread::of_ratios(&[Some(1.0)], &[Some(0.0)]), None);
    }
}
