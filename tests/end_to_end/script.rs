//! Cases written in another language: one process for each, which fails by its exit status.

use std::path::Path;
use std::process::Command;

use crate::support::process::Process;

/// What to do where a tool is missing.
pub const HINT: &str = "`cargo xtask test` installs what the end-to-end tests need";

/// Runs a script of this directory and fails with what it said unless it says that all is well.
pub fn run(interpreter: &Path, script: &str, arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/end_to_end");
    let mut command = Command::new(interpreter);
    command.arg(folder.join(script)).args(arguments);
    let ended = Process::start(&mut command, HINT).finish();
    assert!(
        ended.status == 0 && ended.output.ends_with("passed\n"),
        "{script} {arguments:?} ended with {}:\n{}{}",
        ended.status,
        ended.output,
        ended.error
    );
}
