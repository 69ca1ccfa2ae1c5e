//! `cargo xtask check`: the quick loop, about a minute when warm.
//!
//! Only what needs no socket, no other program and no installed package: a change to the protocol is judged
//! by the unit tests, the packet vectors and the conformance scripts in memory. `everything.rs` has the rest.

use anyhow::Result;

use crate::process::{self, Tally, cargo};
use crate::steps::{Ended, Steps};

pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::default();
    format(&mut steps);
    clippy(&mut steps);
    steps.run("codec and core", || {
        tested(process::run_tests(&mut cargo("test -p dunlin-codec -p dunlin-core --no-fail-fast")))
    });
    steps.run("conformance in memory", || {
        tested(process::run_tests(&mut cargo("test -p dunlin --test conformance -- in_memory")))
    });
    steps.run("broker, unit tests", || tested(process::run_tests(&mut cargo("test -p dunlin --lib"))));
    steps.run("xtask, unit tests", || tested(process::run_tests(&mut cargo("test -p xtask"))));
    steps.finish()
}

/// The formatting is rustfmt's, everywhere.
pub(crate) fn format(steps: &mut Steps) {
    steps.run("format", || {
        process::run(&mut cargo("fmt --all --check"))?;
        Ok(Ended::well())
    });
}

/// Lints of all targets, with every warning an error.
pub(crate) fn clippy(steps: &mut Steps) {
    steps.run("clippy", || {
        process::run(&mut cargo("clippy --workspace --all-targets -- -D warnings"))?;
        Ok(Ended::well())
    });
}

/// Turns a test run into the line of the summary.
pub(crate) fn tested(tally: Result<Tally>) -> Result<Ended> {
    let Tally { passed, failed, ignored } = tally?;
    Ok(Ended::Passed(format!("{passed} passed, {failed} failed, {ignored} ignored")))
}
