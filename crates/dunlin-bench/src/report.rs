//! What a comparison prints: a table for the terminal, JSON for programs, Markdown for `docs/benchmarks.md`.
//!
//! The three say the same. A line for a broker holds its cost, the rate, how busy broker and generator were,
//! how much others disturbed them, and what was lost; without these a cost means little.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use crate::Error;
use crate::compare::{ComparedScenario, Comparison, Figures};
use crate::scenario::Load;
use crate::statistics::Spread;
use crate::traffic::TrafficFigures;

/// Where Markdown results begin in a document.
pub const RESULTS_BEGIN: &str = "<!-- results: begin (written by dunlin-bench compare --markdown) -->";
/// Where they end.
pub const RESULTS_END: &str = "<!-- results: end -->";

/// The machine that a comparison ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many cores this process may use, before it was moved to one.
    pub cores: usize,
    /// The kernel's version.
    pub kernel: String,
}

/// A broker's line of a scenario.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    broker: String,
    cost: String,
    rate: String,
    broker_core: String,
    generator_core: String,
    disturbed: String,
    lost: String,
    ratio: String,
}

impl Machine {
    /// This machine. To be asked before a comparison moves this process to one core.
    #[must_use]
    pub fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo").lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        Self {
            processor: processor.unwrap_or_else(|| "unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// One run in a line, for the progress of a comparison and the end of a single run.
#[must_use]
pub fn one_line(figures: &Figures) -> String {
    let line = line("", std::slice::from_ref(figures), None);
    match figures {
        Figures::Traffic(_) => format!(
            "{}, {}/s, broker {}, generator {}, disturbed {}, lost {}",
            line.cost, line.rate, line.broker_core, line.generator_core, line.disturbed, line.lost
        ),
        Figures::Idle(figures) => {
            format!("{} ({:.0} B private dirty)", line.cost, figures.private_dirty_bytes_per_connection)
        }
    }
}

/// The tables for the terminal.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let mut out = String::new();
    for scenario in &comparison.scenarios {
        let _ = writeln!(out, "\n{}: {}", scenario.scenario.name, scenario.scenario.summary);
        let [cost, rate, ..] = headings(&scenario.scenario.load);
        let _ = writeln!(
            out,
            "  {:<16} {cost:<32} {rate:>12} {:>7} {:>10} {:>10} {:>6}",
            "broker", "broker", "generator", "disturbed", "lost"
        );
        for line in lines(comparison, scenario) {
            let Line { broker, cost, rate, broker_core, generator_core, disturbed, lost, ratio } = line;
            let _ = writeln!(
                out,
                "  {broker:<16} {cost:<32} {rate:>12} {broker_core:>7} {generator_core:>10} {disturbed:>10} {lost:>6}"
            );
            if !ratio.is_empty() {
                let _ = writeln!(out, "  {} / {broker}: {ratio}", comparison.brokers[0].name);
            }
        }
    }
    out
}

/// The same as Markdown, with machine, versions and settings.
#[must_use]
pub fn markdown(comparison: &Comparison, machine: &Machine) -> String {
    let mut out = String::new();
    let cores = match comparison.cores {
        Some((broker, generator)) => format!("broker on core {broker}, generator on core {generator}"),
        None => "broker and generator share one core".to_owned(),
    };
    let _ = writeln!(
        out,
        "{}, {} cores, Linux {}; {cores}; MQTT {}; {} rounds, median (min..max).\n",
        machine.processor, machine.cores, machine.kernel, comparison.protocol, comparison.rounds
    );
    for broker in &comparison.brokers {
        let version = broker.version.as_deref().unwrap_or("version unknown");
        let _ = writeln!(out, "* {}: {version}; {}", broker.name, broker.settings);
    }
    let first = comparison.brokers.first().map_or("", |broker| &broker.name);
    let _ = writeln!(
        out,
        "\n| scenario | broker | cost | messages/s | broker core | generator core | disturbed | lost | {first} / this |"
    );
    let _ = writeln!(out, "|---|---|---|---|---|---|---|---|---|");
    for scenario in &comparison.scenarios {
        for line in lines(comparison, scenario) {
            let Line { broker, cost, rate, broker_core, generator_core, disturbed, lost, ratio } = line;
            let name = &scenario.scenario.name;
            let _ = writeln!(
                out,
                "| {name} | {broker} | {cost} | {rate} | {broker_core} | {generator_core} | {disturbed} | {lost} | \
                 {ratio} |"
            );
        }
    }
    out
}

/// Everything, figures of each round included.
#[must_use]
pub fn json(comparison: &Comparison, machine: &Machine) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        machine: &'a Machine,
        comparison: &'a Comparison,
    }
    let report = Report { machine, comparison };
    to_json(&report)
}

/// Figures or reports as JSON.
#[must_use]
pub fn to_json(value: &impl Serialize) -> String {
    // Nothing here has keys that are not strings, the one thing that JSON could not hold.
    serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}

/// A document with a place for results, from [`RESULTS_BEGIN`] to [`RESULTS_END`].
///
/// It is opened before a comparison runs, so that minutes of measuring do not end in a wrong path.
#[derive(Debug)]
pub struct Document {
    path: PathBuf,
}

impl Document {
    /// The document in this file.
    ///
    /// # Errors
    /// When the file cannot be read, or has no such place.
    pub fn open(path: PathBuf) -> Result<Self, Error> {
        let document = Self { path };
        document.with_results("").map(|_| document)
    }

    /// Replaces the results in the document.
    ///
    /// # Errors
    /// When the file has changed so that it has no place for results, or cannot be written.
    pub fn write(&self, results: &str) -> Result<(), Error> {
        let text = self.with_results(results)?;
        fs::write(&self.path, text).map_err(Error::io(format!("write {}", self.path.display())))
    }

    fn with_results(&self, results: &str) -> Result<String, Error> {
        let path = self.path.display();
        let text = fs::read_to_string(&self.path).map_err(Error::io(format!("read {path}")))?;
        replace_results(&text, results).ok_or_else(|| {
            Error::Usage(format!("{path} has no lines \"{RESULTS_BEGIN}\" and \"{RESULTS_END}\""))
        })
    }
}

fn replace_results(text: &str, results: &str) -> Option<String> {
    let (before, rest) = text.split_once(RESULTS_BEGIN)?;
    let (_, after) = rest.split_once(RESULTS_END)?;
    Some(format!("{before}{RESULTS_BEGIN}\n{}\n{RESULTS_END}{after}", results.trim_end()))
}

fn headings(load: &Load) -> [&'static str; 2] {
    match load {
        Load::Traffic(_) => ["CPU per delivered message", "messages/s"],
        Load::Idle(_) => ["resident memory per connection", ""],
    }
}

fn lines(comparison: &Comparison, scenario: &ComparedScenario) -> Vec<Line> {
    let ratio_of =
        |broker: usize| broker.checked_sub(1).and_then(|other| scenario.ratios.get(other).copied()?);
    let brokers = comparison.brokers.iter().zip(&scenario.figures).enumerate();
    brokers.map(|(index, (broker, rounds))| line(&broker.name, rounds, ratio_of(index))).collect()
}

fn line(broker: &str, rounds: &[Figures], ratio: Option<Spread>) -> Line {
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

fn show_spread(spread: Spread, unit: &str) -> String {
    let Spread { median, min, max } = spread;
    let number = |value: f64| if unit == "B" { thousands(value) } else { significant(value) };
    if min == max {
        return format!("{} {unit}", number(median));
    }
    format!("{} {unit} ({}..{})", number(median), number(min), number(max))
}

fn show_ratio(ratio: Spread) -> String {
    let Spread { median, min, max } = ratio;
    let spread = format!("{} ({}..{})", significant(median), significant(min), significant(max));
    if median > 0.0 && median < 1.0 { format!("{spread}, 1/{:.1}", 1.0 / median) } else { spread }
}

/// Three significant digits, and no more than that many after the point.
fn significant(value: f64) -> String {
    match value.abs() {
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idle::IdleFigures;
    use crate::process::Memory;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0.0, 999.0, 1000.4, 1_234_567.0].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.1234, 1.234, 12.34, 1234.0].map(significant), ["0.123", "1.23", "12.3", "1234"]);
        let ratio = Spread { median: 0.1, min: 0.08, max: 0.125 };
        assert_eq!(show_ratio(ratio), "0.100 (0.080..0.125), 1/10.0");
    }

    #[test]
    fn results_replace_those_before_and_leave_the_rest_of_the_document() {
        let document = format!("before\n{RESULTS_BEGIN}\nold\n{RESULTS_END}\nafter\n");
        let replaced = replace_results(&document, "new\n").unwrap();
        assert_eq!(replaced, format!("before\n{RESULTS_BEGIN}\nnew\n{RESULTS_END}\nafter\n"));
        assert_eq!(replace_results(&replaced, "new").unwrap(), replaced);
        assert_eq!(replace_results("no place", "new"), None);
    }

    #[test]
    fn a_document_without_a_place_for_results_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("benchmarks.md");
        assert!(matches!(Document::open(path.clone()), Err(Error::Io { .. })));
        fs::write(&path, "nothing").unwrap();
        assert!(matches!(Document::open(path.clone()), Err(Error::Usage(_))));
        fs::write(&path, format!("{RESULTS_BEGIN}{RESULTS_END}")).unwrap();
        Document::open(path.clone()).unwrap().write("new").unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("new"));
    }

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
            })
        };
        let line = line("x", &[idle(900.0), idle(1100.0), idle(5000.0)], None);
        assert_eq!(line.cost, "1,100 B (900..5,000)");
        assert_eq!(line.rate, "-");
    }
}
