//! Scales: from a value to its place on an axis, and the values that are written beside it.
//!
//! A linear scale begins at 0, so that twice as much looks like twice as much. A logarithmic one begins and ends
//! at 1, 2 or 5 times a power of ten.

/// A scale of so many pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    kind: Kind,
    from: f64,
    to: f64,
    pixels: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Linear,
    Logarithmic,
}

/// A linear axis has at most this many steps.
const STEPS_MAX: f64 = 6.0;
/// A logarithmic axis of more decades shows only powers of ten.
const FINE_DECADES_MAX: f64 = 2.5;

impl Scale {
    /// From 0 to `max`, or to the next round value.
    pub(super) fn from_zero(max: f64, pixels: f64) -> Self {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let step = step_of(max);
        Self { kind: Kind::Linear, from: 0.0, to: (max / step).ceil() * step, pixels }
    }

    /// From 0 to exactly `max`, for time.
    pub(super) fn of_time(max: f64, pixels: f64) -> Self {
        let to = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        Self { kind: Kind::Linear, from: 0.0, to, pixels }
    }

    /// Logarithmic, with all of `values` that are more than 0 on it.
    pub(super) fn logarithmic(values: impl IntoIterator<Item = f64>, pixels: f64) -> Self {
        let positive = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
        let (min, max) = positive.fold((f64::MAX, 0.0_f64), |(min, max), it| (min.min(it), max.max(it)));
        let (min, max) = if min > max { (1.0, 10.0) } else { (min, max) };
        let round: Vec<_> = round_values(min / 10.0, max * 10.0).collect();
        let from = round.iter().copied().rfind(|&value| value <= min).unwrap_or(min);
        let to = round.iter().copied().find(|&value| value >= max && value > from).unwrap_or(max);
        Self { kind: Kind::Logarithmic, from, to, pixels }
    }

    /// Logarithmic between exactly these, both more than 0.
    pub(super) fn logarithmic_between(from: f64, to: f64, pixels: f64) -> Self {
        Self { kind: Kind::Logarithmic, from, to, pixels }
    }

    /// How far from its beginning a value is, in pixels; never beyond its ends.
    pub(super) fn place(&self, value: f64) -> f64 {
        let part = match self.kind {
            Kind::Linear => (value - self.from) / (self.to - self.from),
            Kind::Logarithmic => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
        };
        part.clamp(0.0, 1.0) * self.pixels
    }

    /// The values that are written beside it.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.kind {
            Kind::Linear => {
                let step = step_of(self.to);
                // A little more, because the end was computed.
                let end = self.to * (1.0 + 1e-9);
                (0..).map(|count| f64::from(count) * step).take_while(|it| *it <= end).collect()
            }
            Kind::Logarithmic => {
                let is_fine = (self.to / self.from).log10() <= FINE_DECADES_MAX;
                let ticks = round_values(self.from, self.to).filter(|it| is_fine || is_power_of_ten(*it));
                ticks.collect()
            }
        }
    }
}

/// The step of a linear axis: 1, 2 or 5 times a power of ten.
fn step_of(max: f64) -> f64 {
    let least = max / STEPS_MAX;
    // A little less, because what was rounded up to a multiple of the step must find the same step again.
    round_values(least / 10.0, least * 10.0).find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(least)
}

/// 1, 2 and 5 times powers of ten, from one value to another.
fn round_values(from: f64, to: f64) -> impl Iterator<Item = f64> {
    let slack = 1e-9;
    let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
    let all = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)));
    all.filter(move |value| *value >= from * (1.0 - slack) && *value <= to * (1.0 + slack))
}

fn is_power_of_ten(value: f64) -> bool {
    let power = value.log10();
    (power - power.round()).abs() < 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_begins_at_nothing_and_ends_at_a_round_value() {
        let scale = Scale::from_zero(4_100_000.0, 200.0);
        assert_eq!(scale.ticks(), [0.0, 1e6, 2e6, 3e6, 4e6, 5e6]);
        assert_eq!([0.0, 2.5e6, 5e6, 9e6].map(|value| scale.place(value)), [0.0, 100.0, 200.0, 200.0]);
        assert_eq!(Scale::from_zero(0.7, 1.0).ticks().len(), 5, "0 to 0.8 in steps of 0.2");
        for nothing in [0.0, f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(Scale::from_zero(nothing, 10.0).place(1.0), 10.0);
        }
    }

    #[test]
    fn time_fills_its_axis() {
        let scale = Scale::of_time(5.03, 503.0);
        assert_eq!(scale.ticks(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!((scale.place(5.0) - 500.0).abs() < 1e-6);
    }

    #[test]
    fn each_decade_of_a_logarithmic_axis_is_as_long() {
        let scale = Scale::logarithmic([120.0, 70_000.0, 0.0, f64::NAN], 300.0);
        assert_eq!(scale.ticks(), [100.0, 1e3, 1e4, 1e5]);
        for (value, place) in [(100.0, 0.0), (1e3, 100.0), (1e5, 300.0), (1.0, 0.0), (1e9, 300.0)] {
            assert!((scale.place(value) - place).abs() < 1e-6, "{value}");
        }
        assert_eq!(Scale::logarithmic([48.0, 90.0], 1.0).ticks(), [20.0, 50.0, 100.0]);
        assert_eq!(Scale::logarithmic([50.0], 1.0).ticks(), [50.0, 100.0]);
        assert_eq!(Scale::logarithmic([], 1.0).ticks(), [1.0, 2.0, 5.0, 10.0]);
    }
}
