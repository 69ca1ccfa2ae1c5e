//! What other processes get to see of the broker's memory, where passwords and keys are.

use std::process::Command;

use crate::support::dunlin::{Dunlin, QUIET, directory, write};
use crate::support::process::Process;

const LOCAL: &str = "listener = [{ url = 'mqtt://127.0.0.1:0' }]\n";

/// A program without privileges over other processes. Root has them, and lays them down here.
fn unprivileged(program: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", program]);
    command
}

/// Whether another process of the broker's user can look into it.
fn is_open(dunlin: &Dunlin) -> bool {
    let environment = format!("/proc/{}/environ", dunlin.pid().as_raw_nonzero());
    let ended = Process::start(unprivileged("cat").arg(environment), "util-linux has it").finish();
    assert!(ended.status == 0 || ended.error.contains("Permission denied"), "{}", ended.error);
    ended.status == 0
}

/// The soft and the hard limit of the broker's core files.
fn core_limits(dunlin: &Dunlin) -> String {
    let file = format!("/proc/{}/limits", dunlin.pid().as_raw_nonzero());
    let limits = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("there is one");
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn nobody_but_root_sees_the_memory_of_a_broker_and_it_leaves_no_core_dump_unless_that_is_wanted() {
    for (option, is_wanted) in [("", false), ("server.core_dumps = true\n", true)] {
        let directory = directory();
        write(directory.path(), "dunlin.toml", &format!("{QUIET}{option}{LOCAL}"));
        let mut serve = unprivileged(env!("CARGO_BIN_EXE_dunlin"));
        serve.args(["serve", "--config", "dunlin.toml"]).current_dir(directory.path());
        let mut dunlin = Dunlin::run(&mut serve);
        dunlin.address(0);
        assert_eq!(is_open(&dunlin), is_wanted, "{option}");
        if !is_wanted {
            assert_eq!(core_limits(&dunlin), "0 0");
        }
    }
}
