//! Brokers compared with each other: a line for each, with its cost.

use std::fmt::Write;

use super::numbers::{percent, show_ratio, show_spread, thousands};
use crate::compare::{ComparedScenario, Figures};
use crate::scenario::Load;
use crate::statistics::Spread;
use crate::traffic::TrafficFigures;

/// A broker's line of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) broker: String,
    pub(super) cost: String,
    pub(super) rate: String,
    pub(super) broker_core: String,
    pub(super) generator_core: String,
    pub(super) disturbed: String,
    pub(super) lost: String,
    pub(super) ratio: String,
}

/// A scenario's table for the terminal.
pub(super) fn table(out: &mut String, compared: &ComparedScenario) {
    let [cost, rate, ..] = headings(&compared.scenario.load);
    let _ = writeln!(
        out,
        "  {:<16} {cost:<32} {rate:>12} {:>7} {:>10} {:>10} {:>6}",
        "broker", "broker", "generator", "disturbed", "lost"
    );
    for line in lines(compared) {
        let Line { broker, cost, rate, broker_core, generator_core, disturbed, lost, ratio } = line;
        let _ = writeln!(
            out,
            "  {broker:<16} {cost:<32} {rate:>12} {broker_core:>7} {generator_core:>10} {disturbed:>10} {lost:>6}"
        );
        if !ratio.is_empty() {
            let _ = writeln!(out, "  {} / {broker}: {ratio}", compared.contenders[0]);
        }
    }
}

/// One table in Markdown for several scenarios.
pub(super) fn markdown<'a>(out: &mut String, compared: impl Iterator<Item = &'a ComparedScenario>) {
    let mut compared = compared.peekable();
    let first = compared.peek().and_then(|compared| compared.contenders.first()).map_or("", String::as_str);
    let _ = writeln!(
        out,
        "| scenario | broker | cost | messages/s | broker core | generator core | disturbed | lost | {first} / this |"
    );
    let _ = writeln!(out, "|---|---|---|---|---|---|---|---|---|");
    for compared in compared {
        for line in lines(compared) {
            let Line { broker, cost, rate, broker_core, generator_core, disturbed, lost, ratio } = line;
            let name = &compared.scenario.name;
            let _ = writeln!(
                out,
                "| {name} | {broker} | {cost} | {rate} | {broker_core} | {generator_core} | {disturbed} | {lost} | \
                 {ratio} |"
            );
        }
    }
}

fn headings(load: &Load) -> [&'static str; 2] {
    match load {
        Load::Idle(_) => ["resident memory per connection", ""],
        _ => ["CPU per delivered message", "messages/s"],
    }
}

/// The lines of a scenario, the first contender's first.
pub(super) fn lines(compared: &ComparedScenario) -> Vec<Line> {
    let ratio_of =
        |broker: usize| broker.checked_sub(1).and_then(|other| compared.ratios.get(other).copied()?);
    let brokers = compared.contenders.iter().zip(&compared.figures).enumerate();
    brokers.map(|(index, (broker, rounds))| line(broker, rounds, ratio_of(index))).collect()
}

/// The line of a broker, with the median of its rounds.
pub(super) fn line(broker: &str, rounds: &[Figures], ratio: Option<Spread>) -> Line {
    let traffic: Vec<_> = rounds.iter().filter_map(Figures::traffic).collect();
    let median = |values: Vec<f64>, show: fn(f64) -> String| {
        Spread::of(values).map_or_else(|| "-".to_owned(), |spread| show(spread.median))
    };
    let cost = Spread::of(rounds.iter().filter_map(Figures::cost));
    let unit = if traffic.is_empty() { "B" } else { "µs" };
    Line {
        broker: broker.to_owned(),
        cost: cost.map_or_else(|| "unknown".to_owned(), |cost| show_spread(cost, unit)),
        rate: median(traffic.iter().map(|figures| figures.delivered_per_s).collect(), thousands),
        broker_core: median(traffic.iter().filter_map(|figures| figures.broker_cpu_share).collect(), percent),
        generator_core: median(traffic.iter().map(|figures| figures.generator_cpu_share).collect(), percent),
        disturbed: median(traffic.iter().map(|figures| disturbed(figures)).collect(), percent),
        lost: show_faults(&traffic),
        ratio: ratio.map(show_ratio).unwrap_or_default(),
    }
}

/// The share of the time in which broker or generator had work and others had its core.
fn disturbed(figures: &TrafficFigures) -> f64 {
    figures.generator_wait_share.max(figures.broker_wait_share.unwrap_or_default())
}

/// The worst round's lost messages, and its repeated ones if there were any.
fn show_faults(traffic: &[&TrafficFigures]) -> String {
    let worst = |count: fn(&TrafficFigures) -> u64| traffic.iter().map(|&figures| count(figures)).max();
    let lost = worst(|figures| figures.lost).map_or_else(|| "-".to_owned(), |lost| thousands(lost as f64));
    match worst(|figures| figures.repeated) {
        None | Some(0) => lost,
        Some(repeated) => format!("{lost} (and {} repeated)", thousands(repeated as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idle::IdleFigures;
    use crate::process::Memory;

    #[test]
    fn a_line_holds_the_median_of_its_rounds() {
        let memory = Memory { resident_bytes: 0, private_dirty_bytes: 0 };
        let idle = |bytes| {
            Figures::Idle(IdleFigures {
                connections: 1,
                resident_bytes_per_connection: bytes,
                private_dirty_bytes_per_connection: bytes,
                before: memory,
                after: memory,
                silent_s: 1.0,
                silent_cpu_s: 0.0,
                left: memory,
            })
        };
        let line = line("x", &[idle(900.0), idle(1100.0), idle(5000.0)], None);
        assert_eq!(line.cost, "1,100 B (900..5,000)");
        assert_eq!(line.rate, "-");
    }
}
