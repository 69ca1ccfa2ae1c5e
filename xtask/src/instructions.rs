//! `cargo xtask instructions`: the guard of the hot path.
//!
//! `benches/instructions` counts the instructions of each case under valgrind; `expected.tsv` beside it says
//! how many there should be. Counts repeat where times do not, so 5 % more is a finding on any machine. It is
//! one commit that makes a path dearer, with its reason in its body: `--accept` writes what was measured.
//!
//! A compiler, a C library (its allocator counts, too) or a processor other than those of `expected.tsv` moves
//! counts a little. Then more is tolerated, and the summary says so.
//!
//! Why not gungraun: its runner is built from 172 crates, over two minutes on two cores and longer than all of
//! this takes, and each release of the library wants its own. What is needed of it is one option of callgrind.

use std::env::consts::ARCH;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::process::{self, cargo, command, root};
use crate::steps::Ended;

/// By how much a count may grow.
const TOLERANCE_PERCENT: f64 = 5.0;

/// By how much it may where the expected counts come from other tools.
const TOLERANCE_ELSEWHERE_PERCENT: f64 = 15.0;

/// Before the tools that the expected counts come from.
const TOOLS_MARK: &str = "# counted with: ";

/// Measures and compares, or takes what was measured for what is expected.
pub(crate) fn run(accept: bool) -> Result<()> {
    if accept {
        let measured = Counts { tools: tools()?, lines: measure()? };
        return fs::write(expected_path(), measured.to_string()).context("benches/instructions/expected.tsv");
    }
    match check()? {
        Ended::Passed(note) => println!("{note}"),
        Ended::Skipped(reason) => println!("skipped: {reason}"),
    }
    Ok(())
}

/// The step of `cargo xtask test`.
pub(crate) fn check() -> Result<Ended> {
    let expected = fs::read_to_string(expected_path()).context("benches/instructions/expected.tsv")?;
    let expected = Counts::parse(&expected)?;
    let tools = tools()?;
    if !expected.tools.contains(ARCH) {
        return Ok(Ended::Skipped(format!("the expected counts are of another processor than {ARCH}")));
    }
    let measured = measure()?;
    let same_tools = expected.tools == tools;
    let tolerance = if same_tools { TOLERANCE_PERCENT } else { TOLERANCE_ELSEWHERE_PERCENT };
    if !same_tools {
        println!("These counts come from other tools, so {tolerance} % more is tolerated:");
        println!("  expected: {}\n  here:     {tools}", expected.tools);
    }
    let comparison = Comparison::new(&expected.lines, &measured, tolerance);
    println!("{comparison}");
    ensure!(
        comparison.failures().is_empty(),
        "{}; if that is worth it: `cargo xtask instructions --accept`, and its reason in the commit",
        comparison.failures().join("; ")
    );
    let elsewhere = if same_tools { "" } else { ", expected counts are of other tools" };
    Ok(Ended::Passed(format!("{} counts within +{tolerance} %{elsewhere}", measured.len())))
}

fn expected_path() -> PathBuf {
    root().join("benches/instructions/expected.tsv")
}

/// What decides on the counts beside our code: compiler, C library, and what of the processor they make use of.
fn tools() -> Result<String> {
    let rustc = process::output(&mut command("rustc", &["--version"]))?;
    let libc = process::output(&mut command("getconf", &["GNU_LIBC_VERSION"]))?;
    #[cfg(target_arch = "x86_64")]
    let vectors = if is_x86_feature_detected!("avx2") { " with AVX2" } else { " without AVX2" };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = "";
    Ok(format!("{}, {}, {ARCH}{vectors}", rustc.trim(), libc.trim()))
}

/// A case and the instructions of one of its operations.
type Line = (String, f64);

fn measure() -> Result<Vec<Line>> {
    let mut count = cargo("run --quiet --profile instructions -p dunlin-instructions");
    Counts::parse_lines(&process::output(&mut count)?)
}

/// `expected.tsv`.
#[derive(Debug, PartialEq)]
struct Counts {
    tools: String,
    lines: Vec<Line>,
}

impl Counts {
    fn parse(text: &str) -> Result<Self> {
        let tools = text.lines().find_map(|line| line.strip_prefix(TOOLS_MARK));
        let tools = tools.context("expected.tsv does not say what it was counted with")?.to_owned();
        Ok(Self { tools, lines: Self::parse_lines(text)? })
    }

    fn parse_lines(text: &str) -> Result<Vec<Line>> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let parse = |line: &str| {
            let (name, count) = line.split_once('\t')?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        lines.map(|line| parse(line).with_context(|| format!("no name and count: {line:?}"))).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Instructions of one operation. Written by `cargo xtask instructions --accept`.")?;
        writeln!(f, "{TOOLS_MARK}{}", self.tools)?;
        self.lines.iter().try_for_each(|(name, count)| writeln!(f, "{name}\t{count:.1}"))
    }
}

/// What is expected beside what was measured; either is missing where the other is new.
struct Comparison {
    rows: Vec<(String, Option<f64>, Option<f64>)>,
    tolerance_percent: f64,
}

impl Comparison {
    fn new(expected: &[Line], measured: &[Line], tolerance_percent: f64) -> Self {
        let find = |lines: &[Line], wanted: &str| {
            lines.iter().find(|(name, _)| name == wanted).map(|(_, count)| *count)
        };
        let mut rows: Vec<_> =
            measured.iter().map(|(name, count)| (name.clone(), find(expected, name), Some(*count))).collect();
        let gone = expected.iter().filter(|(name, _)| find(measured, name).is_none());
        rows.extend(gone.map(|(name, count)| (name.clone(), Some(*count), None)));
        Self { rows, tolerance_percent }
    }

    /// What is wrong with a row, if anything, and what is worth a word.
    fn judge(&self, expected: Option<f64>, measured: Option<f64>) -> Verdict {
        let (Some(expected), Some(measured)) = (expected, measured) else {
            return Verdict::Failed(
                if measured.is_some() { "is not in expected.tsv" } else { "is gone" }.into(),
            );
        };
        let change = change_percent(expected, measured);
        if change > self.tolerance_percent {
            Verdict::Failed(format!("takes {change:.1} % more instructions"))
        } else if change < -TOLERANCE_PERCENT {
            Verdict::Cheaper
        } else {
            Verdict::AsExpected
        }
    }

    fn failures(&self) -> Vec<String> {
        let failed = |(name, expected, measured): &(String, Option<f64>, Option<f64>)| match self
            .judge(*expected, *measured)
        {
            Verdict::Failed(why) => Some(format!("{name} {why}")),
            Verdict::Cheaper | Verdict::AsExpected => None,
        };
        self.rows.iter().filter_map(failed).collect()
    }
}

enum Verdict {
    AsExpected,
    /// No failure, but the guard is closer when it is accepted.
    Cheaper,
    Failed(String),
}

fn change_percent(expected: f64, measured: f64) -> f64 {
    (measured / expected - 1.0) * 100.0
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |count: Option<f64>| count.map_or("-".to_owned(), |count| format!("{count:.1}"));
        write!(f, "{:32}{:>12}{:>12}{:>9}", "instructions per operation", "expected", "measured", "change")?;
        for (name, expected, measured) in &self.rows {
            let change =
                expected.zip(*measured).map(|(expected, measured)| change_percent(expected, measured));
            let change = change.map_or("-".to_owned(), |change| format!("{change:+.1} %"));
            write!(f, "\n{name:32}{:>12}{:>12}{change:>9}", number(*expected), number(*measured))?;
            match self.judge(*expected, *measured) {
                Verdict::AsExpected => {}
                Verdict::Cheaper => write!(f, "  cheaper: `cargo xtask instructions --accept` keeps it so")?,
                Verdict::Failed(_) => write!(f, "  FAILED")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(expected: &[(&str, f64)], measured: &[(&str, f64)], tolerance_percent: f64) -> Comparison {
        let lines = |pairs: &[(&str, f64)]| -> Vec<Line> {
            pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        Comparison::new(&lines(expected), &lines(measured), tolerance_percent)
    }

    #[test]
    fn a_count_fails_when_it_grew_by_more_than_is_tolerated() {
        let failures = |measured| compare(&[("a", 200.0)], &[("a", measured)], 5.0).failures();
        assert!(failures(209.9).is_empty());
        assert_eq!(failures(220.0), ["a takes 10.0 % more instructions"]);
        assert!(compare(&[("a", 200.0)], &[("a", 220.0)], 15.0).failures().is_empty());
    }

    #[test]
    fn what_became_cheaper_is_said_and_does_not_fail() {
        let comparison = compare(&[("a", 200.0)], &[("a", 180.0)], 5.0);
        assert!(comparison.failures().is_empty());
        assert!(comparison.to_string().contains("-10.0 %  cheaper"), "{comparison}");
    }

    #[test]
    fn a_case_that_is_new_or_gone_fails_until_it_is_accepted() {
        let failures = compare(&[("gone", 1.0)], &[("new", 1.0)], 5.0).failures();
        assert_eq!(failures, ["new is not in expected.tsv", "gone is gone"]);
    }

    #[test]
    fn what_is_accepted_is_read_as_it_was_written() -> Result<()> {
        let counts = Counts { tools: "rustc 1".to_owned(), lines: vec![("a, b".to_owned(), 12.5)] };
        assert_eq!(Counts::parse(&counts.to_string())?, counts);
        assert!(Counts::parse("a\t1").is_err(), "nobody knows what it was counted with");
        Ok(())
    }
}
