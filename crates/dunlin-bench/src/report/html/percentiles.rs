//! The plots of a scenario's latencies: how long the slowest of so many waited.
//!
//! The axis of percentiles is logarithmic in what is left above them: from 90 to 99 is as far as from 99 to
//! 99.9, because each says ten times as much. A line joins the medians of the rounds; each round alone is faint.

use super::markup::Markup;
use super::plot::{Axis, Line, Plot, X_PIXELS, Y_PIXELS};
use super::scale::Scale;
use crate::compare::{ComparedScenario, Figures};
use crate::day::{Class, ClassFigures};
use crate::latency::Latency;
use crate::report::numbers::{show_wait, thousands};
use crate::statistics::Spread;

/// What is written below the axis, and one of how many waits is longer. The longest wait stands at the end,
/// wherever it would be.
const PERCENTILES: [(&str, f64); 6] =
    [("50", 2.0), ("90", 1e1), ("99", 1e2), ("99.9", 1e3), ("99.99", 1e4), ("max", 1e5)];

/// The waits of one kind: for each contender, those of each round.
pub(super) struct Waits<'a> {
    name: &'static str,
    contenders: Vec<(&'a str, Vec<Latency>)>,
}

/// All waits of a scenario that were measured, by kind.
pub(super) fn waits(compared: &ComparedScenario) -> Vec<Waits<'_>> {
    let mut names = Vec::new();
    for (name, _) in compared.figures.iter().flatten().flat_map(latencies) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let of_kind = |rounds: &[Figures], kind| -> Vec<Latency> {
        let all = rounds.iter().flat_map(latencies);
        all.filter(|(name, _)| *name == kind).map(|(_, latency)| latency).collect()
    };
    let waits = names.into_iter().map(|name| {
        let contenders = compared.contenders.iter().zip(&compared.figures);
        let contenders = contenders.map(|(contender, rounds)| (contender.as_str(), of_kind(rounds, name)));
        Waits { name, contenders: contenders.collect() }
    });
    waits.collect()
}

/// What a run has measured. The same name stands for what is worth comparing.
fn latencies(figures: &Figures) -> Vec<(&'static str, Latency)> {
    const STORED: &str = "From PUBLISH to its acknowledgement; of the raw loop, a commit";
    const ACKNOWLEDGED: &str = "From PUBLISH to its acknowledgement";
    match figures {
        Figures::Traffic(figures) => {
            let scheduled = figures.scheduled.as_ref();
            let all = [
                (STORED, figures.acknowledged.and_then(|acknowledged| acknowledged.latency)),
                ("From when a message was due until it was received", scheduled.and_then(|it| it.latency)),
                ("Of it, the generator's own lateness", scheduled.and_then(|it| it.lateness)),
            ];
            all.into_iter().filter_map(|(name, latency)| Some((name, latency?))).collect()
        }
        Figures::Subscriptions(figures) => {
            let latency = figures.churn.latency;
            latency.map(|latency| ("From when a SUBSCRIBE was due to SUBACK", latency)).into_iter().collect()
        }
        Figures::Storm(figures) => {
            let latency = figures.latency;
            latency.map(|latency| ("From the first packet of TCP to CONNACK", latency)).into_iter().collect()
        }
        Figures::Day(figures) => {
            let latency_of = |class: &ClassFigures| Some((due(class.class), class.latency?));
            figures.classes.iter().filter_map(latency_of).collect()
        }
        Figures::Commits(figures) => vec![(STORED, figures.commit)],
        Figures::Beside(figures) => {
            let stored = figures.stored.latency.map(|latency| (ACKNOWLEDGED, latency));
            let round_trips = [
                ("Round trip, alone", figures.before.round_trip),
                ("Round trip, beside durable messages", figures.beside.round_trip),
            ];
            round_trips.into_iter().chain(stored).collect()
        }
        Figures::Idle(_) | Figures::Queue(_) | Figures::Retained(_) | Figures::Recovery(_) => Vec::new(),
    }
}

/// How a class of a small day is called.
fn due(class: Class) -> &'static str {
    match class {
        Class::TelemetryToDashboard => "From when telemetry was due until the dashboard had it",
        Class::StateToDashboard => "From when a state was due until the dashboard had it",
        Class::StateToWorkers => "From when a state was due until a worker had it",
        Class::CommandToDevice => "From when a command was due until its device had it",
        Class::CommandToDashboard => "From when a command was due until the dashboard had it",
    }
}

impl Waits<'_> {
    /// The plot.
    pub(super) fn plot(&self) -> Plot {
        let all = self.contenders.iter().flat_map(|(_, rounds)| rounds).flat_map(percentiles);
        let y = Axis::of(Scale::logarithmic(all, Y_PIXELS), "not longer than", show_wait);
        let [(_, first), .., (_, last)] = PERCENTILES;
        let ticks = PERCENTILES.map(|(name, place)| (place, name.to_owned())).to_vec();
        let x = Axis { scale: Scale::logarithmic_between(first, last, X_PIXELS), ticks, label: "percentile" };
        let described = self.rows().into_iter().map(|(name, medians)| {
            let figures =
                PERCENTILES.iter().zip(medians).map(|((at, _), us)| format!("{at}: {}", show_wait(us)));
            format!("{name}: {}.", figures.collect::<Vec<_>>().join(", "))
        });
        let description = described.collect::<Vec<_>>().join(" ");
        let lines = self.contenders.iter().enumerate().flat_map(|(index, (_, rounds))| lines(index, rounds));
        Plot { title: self.name.to_owned(), description, x, y, lines: lines.collect() }
    }

    /// The same as a table, for those who want numbers.
    pub(super) fn table(&self, out: &mut Markup) {
        out.element("table", &[], |table| {
            table.text_element("caption", &[], "Median of the rounds");
            table.element("thead", &[], |head| {
                head.element("tr", &[], |row| {
                    row.text_element("th", &[("scope", "col")], "percentile");
                    for (name, _) in PERCENTILES {
                        row.text_element("th", &[("scope", "col")], name);
                    }
                    row.text_element("th", &[("scope", "col")], "waits");
                });
            });
            table.element("tbody", &[], |body| {
                let counts = self.contenders.iter().filter(|(_, rounds)| !rounds.is_empty());
                let counts =
                    counts.map(|(_, rounds)| rounds.iter().map(|latency| latency.count).sum::<u64>());
                for ((name, medians), count) in self.rows().into_iter().zip(counts) {
                    body.element("tr", &[], |row| {
                        row.text_element("th", &[("scope", "row")], name);
                        medians.into_iter().for_each(|us| row.text_element("td", &[], &show_wait(us)));
                        row.text_element("td", &[], &thousands(count as f64));
                    });
                }
            });
        });
    }

    /// Each contender that has waited, with its medians.
    fn rows(&self) -> Vec<(&str, Vec<f64>)> {
        let rows = self.contenders.iter().map(|(name, rounds)| (*name, medians(rounds)));
        rows.filter(|(_, medians)| !medians.is_empty()).collect()
    }
}

fn lines(contender: usize, rounds: &[Latency]) -> Vec<Line> {
    let line = |values: &[f64], is_faint| {
        let points = PERCENTILES.iter().zip(values).map(|((_, place), us)| (*place, *us)).collect();
        Line { contender, is_faint, points }
    };
    let mut lines = vec![line(&medians(rounds), false)];
    if rounds.len() > 1 {
        lines.extend(rounds.iter().map(|round| line(&percentiles(round), true)));
    }
    lines
}

/// The medians of the rounds at each percentile; empty without rounds.
fn medians(rounds: &[Latency]) -> Vec<f64> {
    let median =
        |at: usize| Spread::of(rounds.iter().map(|round| percentiles(round)[at])).map(|it| it.median);
    (0..PERCENTILES.len()).filter_map(median).collect()
}

/// Microseconds, in the order of [`PERCENTILES`].
fn percentiles(latency: &Latency) -> [f64; PERCENTILES.len()] {
    let Latency { p50_us, p90_us, p99_us, p999_us, p9999_us, max_us, .. } = *latency;
    [p50_us, p90_us, p99_us, p999_us, p9999_us, max_us]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(rounds: &[f64]) -> Waits<'static> {
        let latency = |us: &f64| Latency {
            p50_us: *us,
            p90_us: 2.0 * us,
            p99_us: 3.0 * us,
            p999_us: 4.0 * us,
            p9999_us: 5.0 * us,
            max_us: 6.0 * us,
            count: 10,
        };
        Waits { name: "x", contenders: vec![("a", rounds.iter().map(latency).collect()), ("b", Vec::new())] }
    }

    #[test]
    fn a_line_joins_the_medians_of_the_rounds() {
        let plot = waits(&[100.0, 900.0, 200.0]).plot();
        let strong: Vec<_> = plot.lines.iter().filter(|line| !line.is_faint).collect();
        assert_eq!(strong[0].points[..2], [(2.0, 200.0), (10.0, 400.0)]);
        assert_eq!((plot.lines.len(), strong[1].points.len()), (5, 0), "three rounds, and nothing of b");
        let expected = "a: 50: 200 µs, 90: 400 µs, 99: 600 µs, 99.9: 800 µs, 99.99: 1 ms, max: 1.2 ms.";
        assert_eq!(plot.description, expected);
    }

    #[test]
    fn each_percentile_of_the_axis_is_a_tenth_further_out() {
        let plot = waits(&[100.0]).plot();
        let places: Vec<_> = plot.x.ticks.iter().map(|(value, _)| plot.x.scale.place(*value)).collect();
        let steps: Vec<_> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps[2..].iter().all(|step| (step - steps[1]).abs() < 1e-6), "{steps:?}");
        assert!((places[5] - X_PIXELS).abs() < 1e-6);
    }
}
