//! What a line does not hold, measured: a row for each figure, a column for each contender.
//!
//! Where a store is measured, the first contender is the broker with its store. Beside what every other one has
//! shown stands how the first compares with it, round by round: as a ratio, or with a sign as a difference, where
//! the figure is a cost that adds up.

use std::fmt::Write;

use super::brokers;
use super::numbers::{significant, thousands};
use crate::beside::{BesideFigures, RelayedFigures};
use crate::commits::CommitFigures;
use crate::compare::{ComparedScenario, Figures};
use crate::queue::QueueFigures;
use crate::recovery::RecoveryFigures;
use crate::retained::RetainedFigures;
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
        Figures::Commits(figures) => of_commits(figures),
        Figures::Beside(figures) => of_beside(figures),
        Figures::Queue(figures) => of_queue(figures),
        Figures::Retained(figures) => of_retained(figures),
        Figures::Recovery(figures) => of_recovery(figures),
        Figures::Subscriptions(figures) => brokers::of_subscriptions(figures),
        Figures::Storm(figures) => brokers::of_storm(figures),
        Figures::Day(figures) => brokers::of_day(figures),
        Figures::Idle(_) => Vec::new(),
    }
}

const RATE: &str = "messages/s";
const WAIT_P50: &str = "acknowledged or committed, p50";
const WAIT_P99: &str = "acknowledged or committed, p99";
const COST: &str = "CPU per message";
const DISTURBED: &str = "disturbed";

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

fn of_commits(figures: &CommitFigures) -> Vec<Measure> {
    vec![
        Unit::Count.of(RATE, figures.records_per_s),
        Unit::Wait.of(WAIT_P50, figures.commit.p50_us),
        Unit::Wait.of(WAIT_P99, figures.commit.p99_us),
        Unit::Cost.of(COST, figures.cpu_us_per_record),
        Unit::Share.of(DISTURBED, figures.wait_share),
        Unit::Count.of("commits/s", figures.commits_per_s),
    ]
}

fn of_beside(figures: &BesideFigures) -> Vec<Measure> {
    let mut rows = Vec::new();
    let mut row = |unit: Unit, names: [&'static str; 3], figure: fn(&RelayedFigures) -> f64| {
        let (beside, alone) = figures.both(figure);
        rows.push(unit.of(names[0], alone));
        rows.push(unit.of(names[1], beside));
        rows.push(Unit::Ratio.of(names[2], beside / alone));
    };
    row(
        Unit::Count,
        ["QoS 0 messages/s, alone", "QoS 0 messages/s, beside", "QoS 0 messages/s, beside / alone"],
        |figures| figures.traffic.delivered_per_s,
    );
    row(
        Unit::Wait,
        ["round trip p50, alone", "round trip p50, beside", "round trip p50, beside / alone"],
        |f| f.round_trip.p50_us,
    );
    row(
        Unit::Wait,
        ["round trip p99, alone", "round trip p99, beside", "round trip p99, beside / alone"],
        |f| f.round_trip.p99_us,
    );
    let lost = |figures: &RelayedFigures| figures.traffic.lost as f64;
    rows.push(Unit::Count.of("durable messages/s meanwhile", figures.stored.messages_per_s));
    rows.extend(
        figures.stored.latency.map(|latency| Unit::Wait.of("their acknowledgements, p50", latency.p50_us)),
    );
    rows.push(Unit::Fault.of("lost", lost(&figures.before) + lost(&figures.beside) + lost(&figures.after)));
    rows
}

fn of_queue(figures: &QueueFigures) -> Vec<Measure> {
    let cost = if figures.is_stored { Unit::Cost } else { Unit::Cpu };
    let mut rows = vec![
        Unit::Count.of("filled, messages/s", figures.filled_per_s),
        cost.of("CPU per message filled", figures.filling_cpu_us_per_message),
    ];
    match figures.is_stored {
        true => rows.extend([
            Unit::Bytes.of("written to the disk", figures.written.disk_bytes as f64),
            Unit::Ratio.of("written / payload", figures.disk_bytes_per_payload_byte),
            Unit::Bytes.of("passed to write calls (not: to send)", figures.written.passed_bytes as f64),
        ]),
        false => rows.push(
            Unit::Each
                .of("resident memory per message beyond the payload", figures.resident_bytes_beyond_payload),
        ),
    }
    rows.extend([
        Unit::Bytes.of("resident when filled", figures.filled_resident_bytes as f64),
        Unit::Count.of("drained, messages/s", figures.drained_per_s),
        cost.of("CPU per message drained", figures.draining_cpu_us_per_message),
        Unit::Bytes.of("resident, peak", figures.peak_resident_bytes as f64),
        Unit::Fault.of("lost", figures.lost as f64),
        Unit::Fault.of("repeated", figures.repeated as f64),
        Unit::Fault.of("late", figures.late as f64),
    ]);
    rows
}

fn of_retained(figures: &RetainedFigures) -> Vec<Measure> {
    let cost = if figures.is_stored { Unit::Cost } else { Unit::Cpu };
    vec![
        Unit::Count.of("retained, messages/s", figures.retained_per_s),
        Unit::Each.of("resident memory per Retained Message", figures.resident_bytes_per_topic),
        Unit::Seconds.of("delivered to a new subscriber of #", figures.delivered_s),
        cost.of("CPU per message delivered", figures.delivering_cpu_us_per_message),
        Unit::Fault.of("lost", figures.lost as f64),
        Unit::Fault.of("repeated", figures.repeated as f64),
    ]
}

fn of_recovery(figures: &RecoveryFigures) -> Vec<Measure> {
    let RecoveryFigures { before, after, .. } = figures;
    vec![
        Unit::Bytes.of("store on the disk", figures.stored_bytes as f64),
        Unit::Seconds.of("start to listening", figures.listening_s),
        Unit::Seconds.of("start to the first CONNACK", figures.connected_s),
        Unit::Seconds.of("CPU until then", figures.cpu_s),
        Unit::Seconds.of("user CPU of it", figures.user_cpu_s),
        Unit::Bytes.of("resident then", figures.resident_bytes as f64),
        Unit::Count.of("messages that survived", after.messages as f64),
        Unit::Count.of("Sessions that survived", after.sessions as f64),
        Unit::Count.of("Retained Messages that survived", after.retained as f64),
        Unit::Fault.of("lost", before.lost(after) as f64),
    ]
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
