//! The plot of a scenario's throughput over time.
//!
//! Each round is a line. The round in the middle of its contender's is drawn strongly, the others faintly: they
//! show what the machine did, and whether a broker stalls.

use super::plot::{Axis, Line, Plot, X_PIXELS, Y_PIXELS};
use super::scale::Scale;
use crate::compare::{ComparedScenario, Figures};
use crate::course::Sample;
use crate::report::numbers::{compact, trimmed};
use crate::statistics::Spread;
use crate::traffic::TrafficFigures;

/// A rate at a time, both from the beginning of what was measured.
type Point = (f64, f64);

/// The plot; `None` when the scenario has no course.
pub(super) fn plot(compared: &ComparedScenario) -> Option<Plot> {
    let courses: Vec<Vec<Vec<Point>>> =
        compared.figures.iter().map(|rounds| rounds.iter().map(points).collect()).collect();
    let all = || courses.iter().flatten().flatten();
    all().next()?;
    let end_s = all().map(|point| point.0).fold(0.0, f64::max);
    let most = all().map(|point| point.1).fold(0.0, f64::max);
    let x = Axis::of(Scale::of_time(end_s, X_PIXELS), "seconds", trimmed);
    let y = Axis::of(Scale::from_zero(most, Y_PIXELS), what_is_counted(compared), compact);
    let described = compared.contenders.iter().zip(&courses).filter_map(|(name, rounds)| {
        let Spread { median, min, max } = Spread::of(middle(rounds)?.iter().map(|point| point.1))?;
        let [median, min, max] = [median, min, max].map(compact);
        Some(format!("{name}: {median} messages a second, between {min} and {max}."))
    });
    let title = "Throughput over time".to_owned();
    let description = described.collect::<Vec<_>>().join(" ");
    let lines = courses.iter().enumerate().flat_map(|(contender, rounds)| lines(contender, rounds));
    Some(Plot { title, description, x, y, lines: lines.collect() })
}

fn lines(contender: usize, rounds: &[Vec<Point>]) -> Vec<Line> {
    let middle = middle(rounds);
    let shown = rounds.iter().filter(|points| !points.is_empty());
    shown.map(|points| Line { contender, is_faint: Some(points) != middle, points: points.clone() }).collect()
}

/// The round with the median throughput; of an even number, the lower one of the middle two.
fn middle(rounds: &[Vec<Point>]) -> Option<&Vec<Point>> {
    let mean = |points: &[Point]| points.iter().map(|point| point.1).sum::<f64>() / points.len() as f64;
    let mut shown: Vec<_> = rounds.iter().filter(|points| !points.is_empty()).collect();
    shown.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
    shown.get(shown.len().checked_sub(1)? / 2).copied()
}

fn points(figures: &Figures) -> Vec<Point> {
    let Figures::Traffic(figures) = figures else { return Vec::new() };
    let counted = |sample: &Sample| match is_stored(figures) {
        true => sample.acknowledged,
        false => sample.received,
    };
    let mut before = Sample::default();
    let mut points = Vec::new();
    for sample in &figures.course {
        let seconds = sample.at_s - before.at_s;
        if seconds > 0.0 {
            let rate = counted(sample).saturating_sub(counted(&before)) as f64 / seconds;
            points.push((before.at_s + seconds / 2.0, rate));
        }
        before = *sample;
    }
    points
}

fn is_stored(figures: &TrafficFigures) -> bool {
    figures.acknowledged.is_some()
}

fn what_is_counted(compared: &ComparedScenario) -> &'static str {
    match compared.figures.iter().flatten().find_map(Figures::traffic).is_some_and(is_stored) {
        true => "messages acknowledged/s",
        false => "messages delivered/s",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_in_the_middle_is_drawn_strongly() {
        let rounds = [3.0, 1.0, 2.0].map(|rate| vec![(0.1, rate)]);
        let lines = lines(0, &rounds);
        assert_eq!(lines.iter().map(|line| line.is_faint).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(middle(&[]), None);
        assert_eq!(middle(&[Vec::new()]), None);
    }
}
