//! What a comparison prints: a table for the terminal, JSON for programs, Markdown for `docs/benchmarks.md`, and a
//! page with plots for a browser.
//!
//! The four say the same. A line for a broker holds its cost, the rate, how busy broker and generator were,
//! how much others disturbed them, and what was lost; without these a cost means little. What a store does has
//! more figures than a line holds, and so has a fixed rate; each such scenario has a table of its own.

use std::fmt::Write;
use std::fs;

use serde::Serialize;

use crate::commits::CommitFigures;
use crate::compare::{ComparedScenario, Comparison, Figures};
use crate::disk::{DiskFigures, FileSystem};
use crate::scenario::{Load, Scenario};

mod brokers;
mod date;
mod document;
mod html;
mod lines;
mod measures;
mod numbers;
mod store;

pub use document::{Document, Section};
pub use html::{HtmlFile, Subject, html};
pub(crate) use numbers::thousands;
use numbers::{percent, significant};

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
    let line = lines::line("", std::slice::from_ref(figures), None);
    match figures {
        Figures::Traffic(traffic) if traffic.acknowledged.is_none() && traffic.scheduled.is_none() => {
            format!(
                "{}, {}/s, broker {}, generator {}, disturbed {}, lost {}",
                line.cost, line.rate, line.broker_core, line.generator_core, line.disturbed, line.lost
            )
        }
        Figures::Idle(figures) => {
            format!(
                "{} ({:.0} B private dirty), {:.1} ms CPU in {:.0} s of silence, resident {:.1} MB before, {:.1} MB \
                 with them, {:.1} MB when they have left",
                line.cost,
                figures.private_dirty_bytes_per_connection,
                figures.silent_cpu_s * 1e3,
                figures.silent_s,
                figures.before.resident_bytes as f64 / 1e6,
                figures.after.resident_bytes as f64 / 1e6,
                figures.left.resident_bytes as f64 / 1e6,
            )
        }
        Figures::Commits(figures) => commits_in_a_line(figures),
        _ => measures::one_line(figures),
    }
}

/// A raw loop in a line.
#[must_use]
pub fn commits_in_a_line(figures: &CommitFigures) -> String {
    let CommitFigures { commits_per_s, records_per_s, commit, .. } = figures;
    format!(
        "{} commits/s, {} records/s, commit p50 {} µs, p99 {} µs, {} µs CPU per record, disturbed {}",
        thousands(*commits_per_s),
        thousands(*records_per_s),
        thousands(commit.p50_us),
        thousands(commit.p99_us),
        significant(figures.cpu_us_per_record),
        percent(figures.wait_share)
    )
}

/// The tables for the terminal.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let mut out = comparison.disk.as_ref().map(|disk| format!("{}\n", show_disk(disk))).unwrap_or_default();
    for compared in &comparison.scenarios {
        let Scenario { name, summary, .. } = &compared.scenario;
        let _ = writeln!(out, "\n{name}: {summary}");
        match has_lines(compared) {
            true => lines::table(&mut out, compared),
            false => measures::table(&mut out, compared),
        }
    }
    out
}

/// The results that stand in one section of a document, with machine, versions and settings; `None` when the
/// comparison has none for it.
#[must_use]
pub fn markdown(comparison: &Comparison, machine: &Machine, section: Section) -> Option<String> {
    let scenarios: Vec<_> = section.scenarios(comparison).collect();
    if scenarios.is_empty() {
        return None;
    }
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
        if scenarios.iter().any(|compared| compared.contenders.contains(&broker.name)) {
            let version = broker.version.as_ref().map(|version| format!("{version}; ")).unwrap_or_default();
            let _ = writeln!(out, "* {}: {version}{}", broker.name, broker.settings);
        }
    }
    match section {
        Section::Brokers => {
            let (in_lines, others): (Vec<_>, Vec<_>) =
                scenarios.into_iter().partition(|compared| has_lines(compared));
            if !in_lines.is_empty() {
                out.push('\n');
                lines::markdown(&mut out, in_lines.into_iter());
            }
            for compared in others {
                out.push('\n');
                measures::markdown(&mut out, compared);
            }
        }
        Section::Store => {
            let disk = comparison.disk.as_ref().map(|disk| format!("* {}\n", show_disk(disk)));
            out.push_str(&disk.unwrap_or_default());
            for compared in scenarios {
                out.push('\n');
                measures::markdown(&mut out, compared);
            }
        }
    }
    Some(out)
}

/// Whether a line for each broker holds what a scenario shows.
fn has_lines(compared: &ComparedScenario) -> bool {
    match &compared.scenario.load {
        Load::Traffic(traffic) => !traffic.is_stored() && traffic.rate.is_none(),
        Load::Idle(_) => true,
        _ => false,
    }
}

fn show_disk(disk: &DiskFigures) -> String {
    let FileSystem { kind, device } = &disk.file_system;
    format!("disk: {kind} on {device}; one record after the other: {}", commits_in_a_line(&disk.commits))
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
