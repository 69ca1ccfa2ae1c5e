//! A list of steps that are all run, with one summary at the end.
//!
//! A failed step does not stop the others, so that one run shows everything that is wrong. A step that cannot
//! be done on this machine is reported as skipped with its reason and never counts as passed.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a step that did not fail ended.
pub(crate) enum Ended {
    /// All is well; the note (a test count, for example) goes into the summary and may be empty.
    Passed(String),
    /// It could not be done here, for this reason.
    Skipped(String),
}

impl Ended {
    pub(crate) fn well() -> Self {
        Ended::Passed(String::new())
    }
}

enum Outcome {
    Passed,
    Skipped,
    Failed,
}

struct Line {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
    note: String,
}

/// The steps run so far.
#[derive(Default)]
pub(crate) struct Steps {
    lines: Vec<Line>,
}

impl Steps {
    /// Runs one step and remembers how it ended.
    pub(crate) fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<Ended>) {
        println!("\n=== {name}");
        let started = Instant::now();
        let (outcome, note) = match work() {
            Ok(Ended::Passed(note)) => (Outcome::Passed, note),
            Ok(Ended::Skipped(reason)) => (Outcome::Skipped, reason),
            Err(error) => (Outcome::Failed, format!("{error:#}")),
        };
        if matches!(outcome, Outcome::Failed) {
            println!("FAILED: {note}");
        }
        self.lines.push(Line { name, outcome, took: started.elapsed(), note });
    }

    /// Prints the summary; an error if any step failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n{self}");
        let failed: Vec<&str> = self.named(|outcome| matches!(outcome, Outcome::Failed));
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }

    fn named(&self, wanted: impl Fn(&Outcome) -> bool) -> Vec<&'static str> {
        self.lines.iter().filter(|line| wanted(&line.outcome)).map(|line| line.name).collect()
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            let outcome = match line.outcome {
                Outcome::Passed => "passed",
                Outcome::Skipped => "skipped",
                Outcome::Failed => "FAILED",
            };
            let row = format!("{outcome:8}{:28}{:7.1} s  {}", line.name, line.took.as_secs_f64(), line.note);
            writeln!(f, "{}", row.trim_end())?;
        }
        let passed = self.named(|outcome| matches!(outcome, Outcome::Passed)).len();
        let skipped = self.named(|outcome| matches!(outcome, Outcome::Skipped)).len();
        let failed = self.named(|outcome| matches!(outcome, Outcome::Failed)).len();
        write!(f, "steps: {passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_whole_and_the_later_ones_still_run() {
        let mut steps = Steps::default();
        let mut later_ran = false;
        steps.run("first", || bail!("broken"));
        steps.run("second", || {
            later_ran = true;
            Ok(Ended::Passed("3 passed, 0 failed".to_owned()))
        });
        steps.run("third", || Ok(Ended::Skipped("no such tool".to_owned())));
        assert!(later_ran);
        let summary = steps.to_string();
        assert!(summary.contains("FAILED  first") && summary.contains("broken"), "{summary}");
        assert!(summary.ends_with("steps: 1 passed, 1 failed, 1 skipped"), "{summary}");
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed: first");
    }

    #[test]
    fn a_skipped_step_does_not_fail_the_whole() {
        let mut steps = Steps::default();
        steps.run("only", || Ok(Ended::Skipped("no such tool".to_owned())));
        assert!(steps.finish().is_ok());
    }
}
