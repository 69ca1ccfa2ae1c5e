//! `cargo xtask`: the developer commands.
//!
//! Plain Rust instead of a script, so that they work wherever the broker builds. `check` is the loop beside
//! an editor, `test` is all that must hold before a change is taken: on a machine that has only a Rust
//! toolchain it first installs what the tests need. Every command prints the processes it starts, so that
//! each can be repeated by hand.
//!
//! Look next at `check.rs` and `everything.rs` for the two lists of steps, and at `spec/` for the compliance
//! report.

mod certs;
mod check;
mod docs;
mod everything;
mod instructions;
mod machine;
mod package;
mod process;
mod sbom;
mod spec;
mod steps;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Developer commands of Dunlin")]
enum Task {
    /// The quick loop: format, lints, unit tests, packet vectors, in-memory conformance
    Check,
    /// Everything: installs what the tests need, then checks, builds and runs all of them
    Test,
    /// Writes docs/compliance.md: each statement of the specification with its code and its tests
    Spec {
        /// Write nothing; fail if the report is stale or a statement lacks code or test
        #[arg(long)]
        check: bool,
    },
    /// Writes the generated configuration reference and sample configuration
    Docs {
        /// Write nothing; fail if one of them is stale
        #[arg(long)]
        check: bool,
    },
    /// Counts the instructions of the hot path, and fails where they grew by more than 5 %
    Instructions {
        /// Take what is counted for what is expected from now on
        #[arg(long)]
        accept: bool,
    },
    /// Writes target/sbom/dunlin.cdx.json: the components of a release, with versions and licences (CycloneDX)
    Sbom,
    /// Makes the deb and the rpm package of a release build, in target/package
    Package {
        /// Make them of the debug build instead, and install, upgrade, remove and purge them in a small Debian
        #[arg(long)]
        check: bool,
    },
    /// Makes development certificates: a CA, a server and a client
    Certs {
        /// Where the files go, relative to the project
        #[arg(long, default_value = "certs")]
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Check => check::run(),
        Task::Test => everything::run(),
        Task::Spec { check } => spec::run(check),
        Task::Docs { check } => docs::run(check),
        Task::Instructions { accept } => instructions::run(accept),
        Task::Sbom => sbom::run(),
        Task::Package { check } => package::run(check),
        Task::Certs { directory } => certs::run(&process::root().join(directory)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
