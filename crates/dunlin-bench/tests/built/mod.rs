//! The broker's program, for tests that run against the broker itself. It is built by them, because it belongs
//! to another package.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program, built with the profile of these tests.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "dunlin", "--bin", "dunlin"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the broker cannot be built");
        // This test is in the directory deps beside it.
        let this = std::env::current_exe().unwrap();
        this.parent().unwrap().parent().unwrap().join("dunlin")
    })
}
