//! What a line does not hold, measured: a row for each figure, a column for each contender.
//!
//! Where a store is measured, the first contender is the broker with its store. Beside what every other one has
//! shown stands how the first compares with it, round by round: as a ratio, or with a sign as a difference, where
//! the figure is a cost that adds up.

use std::fmt::Write;

use super::numbers::{significant, thousands};
use super::{brokers, store};
use crate::compare::{ComparedScenario, Figures};
use crate::statistics::Spread;
use crate::traffic::TrafficFigures;

/// One figure of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measure {
    name: &'static str,
    value: f64,
    unit: Unit,
}

/// What a figure counts, which says how it is written and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Something per second, or how many.
    Count,
    /// A time that somebody waited, in microseconds.
    Wait,
    /// How late the generator itself was, in microseconds: not compared.
    Lateness,
    /// CPU time of one message in microseconds: compared as a difference.
    Cost,
    /// The same of a broker that is compared with another one: compared as a ratio.
    Cpu,
    Seconds,
    Bytes,
    /// Memory of one of many.
    Each,
    /// A ratio in itself, not compared again.
    Ratio,
    /// A part of a core, or of the time.
    Share,
    /// What must be 0.
    Fault,
}

/// The figures of a run in the order of their rows. Two contenders are compared where names are the same.
pub(super) fn measures(figures: &Figures) -> Vec<Measure> {
    match figures {
        Figures::Traffic(figures) if figures.acknowledged.is_none() => brokers::of_scheduled(figures),
        Figures::Traffic(figures) => of_traffic(figures),
        Figures::Commits(figures) => store::of_commits(figures),
        Figures::Beside(figures) => store::of_beside(figures),
        Figures::Queue(figures) => store::of_queue(figures),
        Figures::Retained(figures) => store::of_retained(figures),
        Figures::Recovery(figures) => store::of_recovery(figures),
        Figures::Subscriptions(figures) => brokers::of_subscriptions(figures),
        Figures::Storm(figures) => brokers::of_storm(figures),
        Figures::Day(figures) => brokers::of_day(figures),
        Figures::Idle(_) => Vec::new(),
    }
}

pub(super) const RATE: &str = "messages/s";
pub(super) const WAIT_P50: &str = "acknowledged or committed, p50";
pub(super) const WAIT_P99: &str = "acknowledged or committed, p99";
pub(super) const COST: &str = "CPU per message";
pub(super) const DISTURBED: &str = "disturbed";

fn of_traffic(figures: &TrafficFigures) -> Vec<Measure> {
    let Some(acknowledged) = figures.acknowledged else { return Vec::new() };
    let mut rows = vec![Unit::Count.of(RATE, acknowledged.messages_per_s)];
    if let Some(latency) = acknowledged.latency {
        rows.push(Unit::Wait.of(WAIT_P50, latency.p50_us));
        rows.push(Unit::Wait.of(WAIT_P99, latency.p99_us));
    }
    rows.extend(brokers::latency(figures));
    rows.extend(figures.broker_cpu_us_per_message.map(|cost| Unit::Cost.of(COST, cost)));
    rows.extend(figures.broker_cpu_share.map(|share| Unit::Share.of("broker core", share)));
    rows.push(Unit::Share.of("generator core", figures.generator_cpu_share));
    let disturbed = figures.generator_wait_share.max(figures.broker_wait_share.unwrap_or_default());
    rows.push(Unit::Share.of(DISTURBED, disturbed));
    rows.push(Unit::Fault.of("lost", figures.lost as f64));
    rows.push(Unit::Fault.of("repeated", figures.repeated as f64));
    rows
}

/// One run in a line: its first figures, and what must be 0 and is not.
pub(super) fn one_line(figures: &Figures) -> String {
    let rows = measures(figures);
    let shown = rows.iter().filter(|row| row.unit != Unit::Fault || row.value > 0.0);
    shown.map(|row| format!("{} {}", row.name, row.unit.show(row.value))).collect::<Vec<_>>().join(", ")
}

/// The rows of a scenario's table: its heading first.
pub(super) fn rows(compared: &ComparedScenario) -> Vec<Vec<String>> {
    let all: Vec<Vec<Vec<Measure>>> =
        compared.figures.iter().map(|rounds| rounds.iter().map(measures).collect()).collect();
    let mut heading = vec![String::new()];
    for (index, contender) in compared.contenders.iter().enumerate() {
        heading.push(contender.clone());
        heading.extend((index > 0).then(|| "first / this".to_owned()));
    }
    let mut rows = vec![heading];
    let Some(first) = all.first() else { return rows };
    let of_all = all.iter().flatten().flatten().map(|measure| (measure.name, measure.unit));
    for (name, unit) in of_all.fold(Vec::new(), unique) {
        let mut row = vec![name.to_owned()];
        for (index, contender) in all.iter().enumerate() {
            let values = values_of(contender, name);
            row.push(
                Spread::of(values.iter().copied().flatten())
                    .map_or_else(String::new, |it| unit.show_spread(it)),
            );
            row.extend((index > 0).then(|| unit.compare(&values_of(first, name), &values)));
        }
        rows.push(row);
    }
    rows
}

fn unique<T: PartialEq>(mut seen: Vec<T>, next: T) -> Vec<T> {
    if !seen.contains(&next) {
        seen.push(next);
    }
    seen
}

fn values_of(rounds: &[Vec<Measure>], name: &str) -> Vec<Option<f64>> {
    let of_round = |round: &Vec<Measure>| round.iter().find(|row| row.name == name).map(|row| row.value);
    rounds.iter().map(of_round).collect()
}

/// A scenario's table for the terminal.
pub(super) fn table(out: &mut String, compared: &ComparedScenario) {
    let rows = rows(compared);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        let _ = writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// The same in Markdown, with the scenario's name in the heading.
pub(super) fn markdown(out: &mut String, compared: &ComparedScenario) {
    let mut rows = rows(compared);
    rows[0][0].push_str(&compared.scenario.name);
    for (index, row) in rows.iter().enumerate() {
        let _ = writeln!(out, "| {} |", row.join(" | "));
        if index == 0 {
            let _ = writeln!(out, "|{}", "---|".repeat(row.len()));
        }
    }
}

impl Unit {
    pub(super) fn of(self, name: &'static str, value: f64) -> Measure {
        Measure { name, value, unit: self }
    }

    fn show(self, value: f64) -> String {
        format!("{}{}", self.number(value), self.symbol())
    }

    fn number(self, value: f64) -> String {
        match self {
            Self::Count | Self::Fault | Self::Wait | Self::Lateness | Self::Each => thousands(value),
            Self::Cost | Self::Cpu | Self::Seconds | Self::Ratio => significant(value),
            Self::Bytes => significant(value / 1e6),
            Self::Share => thousands(value * 100.0),
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Self::Count | Self::Fault | Self::Ratio => "",
            Self::Wait | Self::Lateness | Self::Cost | Self::Cpu => " µs",
            Self::Seconds => " s",
            Self::Bytes => " MB",
            Self::Each => " B",
            Self::Share => " %",
        }
    }

    fn show_spread(self, spread: Spread) -> String {
        match self {
            Self::Fault => self.show(spread.max),
            _ => in_spread(spread, |value| self.number(value), self.symbol()),
        }
    }

    /// How the first contender's figures compare with another one's.
    fn compare(self, first: &[Option<f64>], other: &[Option<f64>]) -> String {
        let compared = match self {
            Self::Cost => {
                Spread::of_differences(first, other).map(|it| in_spread(it, show_difference, self.symbol()))
            }
            Self::Count | Self::Wait | Self::Cpu | Self::Seconds | Self::Bytes | Self::Each => {
                Spread::of_ratios(first, other).map(|it| in_spread(it, significant, ""))
            }
            Self::Ratio | Self::Share | Self::Lateness | Self::Fault => None,
        };
        compared.unwrap_or_default()
    }
}

fn show_difference(value: f64) -> String {
    let sign = if value < 0.0 { "" } else { "+" };
    format!("{sign}{}", significant(value))
}

fn in_spread(spread: Spread, number: impl Fn(f64) -> String, symbol: &str) -> String {
    let Spread { median, min, max } = spread;
    match min == max {
        true => format!("{}{symbol}", number(median)),
        false => format!("{}{symbol} ({}..{})", number(median), number(min), number(max)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commits::CommitFigures;
    use crate::latency::Latency;
    use crate::scenario::by_name;

    fn commits(records_per_s: f64, cpu_us_per_record: f64) -> Figures {
        Figures::Commits(CommitFigures {
            batch: 1,
            record_bytes: 232,
            preparation: crate::commits::Preparation::Written,
            measured_s: 1.0,
            commits_per_s: records_per_s,
            records_per_s,
            commit: Latency { p50_us: 1.0, p99_us: 2.0, max_us: 3.0, count: 4, ..Latency::default() },
            cpu_us_per_record,
            wait_share: 0.0,
        })
    }

    #[test]
    fn rates_are_compared_as_ratios_and_costs_as_differences() {
        let compared = ComparedScenario {
            scenario: by_name("durable-offline-1").unwrap(),
            contenders: vec!["a".to_owned(), "b".to_owned()],
            figures: vec![
                vec![commits(500.0, 3.0), commits(600.0, 3.5)],
                vec![commits(1000.0, 1.0), commits(1000.0, 1.0)],
            ],
            ratios: Vec::new(),
        };
        let rows = rows(&compared);
        assert_eq!(rows[0], ["", "a", "b", "first / this"]);
        assert_eq!(rows[1], [RATE, "550 (500..600)", "1,000", "0.550 (0.500..0.600)"]);
        assert_eq!(rows[4], [COST, "3.25 µs (3.00..3.50)", "1.00 µs", "+2.25 µs (+2.00..+2.50)"]);
        let mut text = String::new();
        markdown(&mut text, &compared);
        assert!(
            text.starts_with("| durable-offline-1 | a | b | first / this |\n|---|---|---|---|\n"),
            "{text}"
        );
    }
}
