//! How many instructions the hot path takes: decode, encode, match, deliver, append to the store.
//!
//! On a machine that others use too, times move by a quarter; the number of instructions does not move at all,
//! so that a limit of a few percent can stand on it. `cargo xtask instructions` runs this and compares what it
//! prints with `expected.tsv`. It is no measure of speed: a cache miss and an addition count the same, and
//! what the kernel does counts nothing.
//!
//! Each [`Case`] runs in a process of its own under valgrind's callgrind, which counts only while
//! [`counted_by_callgrind`] runs. So a case changes no other's count, and what prepares it is free. The work is
//! done twice and the second time counts: buffers have grown then and pools are full. Everything is decided
//! beforehand: no time, no threads, fixed seeds.
//!
//! A new case is a line in the `cases` of its file and `cargo xtask instructions --accept`.

mod codec;
mod routes;
mod deliver;
mod store;

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Something whose instructions are counted.
struct Case {
    /// As in `expected.tsv`.
    name: &'static str,
    /// How many packets, matches or messages the work is.
    operations: u32,
    /// Prepares the work, which can then be done twice.
    prepare: fn() -> Box<dyn FnMut()>,
}

fn cases() -> impl Iterator<Item = Case> {
    codec::cases().into_iter().chain(routes::cases()).chain(deliver::cases()).chain(store::cases())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    if let [_, option, name] = arguments.as_slice()
        && option == "--count"
    {
        let case = cases().find(|case| case.name == name).ok_or("there is no such case")?;
        let mut work = (case.prepare)();
        work();
        counted_by_callgrind(&mut *work);
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    for case in cases() {
        let instructions = count(&case, directory.path())?;
        println!("{}\t{:.1}", case.name, instructions as f64 / f64::from(case.operations));
    }
    Ok(())
}

/// Callgrind begins to count where this is called and ends where it returns.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    black_box(work)();
}

/// Runs a case in a process of its own and says how many instructions its work took.
fn count(case: &Case, directory: &Path) -> Result<u64, Box<dyn Error>> {
    let profile = directory.join("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet", "--toggle-collect=*counted_by_callgrind*"]);
    valgrind.arg(format!("--callgrind-out-file={}", profile.display()));
    // Without the environment: its size decides where the stack begins, and that how memory is copied.
    let status = valgrind.arg(env::current_exe()?).args(["--count", case.name]).env_clear().status();
    let status = status.map_err(|error| format!("valgrind could not be started: {error}"))?;
    if !status.success() {
        return Err(format!("`{}` failed under valgrind ({status})", case.name).into());
    }
    let profile = fs::read_to_string(profile)?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    match total.and_then(|total| total.trim().parse().ok()) {
        Some(0) | None => Err(format!("callgrind counted nothing for `{}`", case.name).into()),
        Some(instructions) => Ok(instructions),
    }
}
