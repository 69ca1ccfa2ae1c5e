//! The program `dunlin`, run as a user runs it: with a configuration file, in a directory of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::process::{Ended, Process};

/// The configuration of most tests starts with this: no data directory, no operations port. Two workers, so
/// that messages cross from one to the other.
pub const QUIET: &str = "store.path = ''\nhttp.address = ''\nserver.workers = 2\n";

/// A running broker.
pub struct Dunlin {
    process: Process,
    addresses: Vec<SocketAddr>,
}

/// The address in a line of its log.
pub fn address_in(line: &str) -> SocketAddr {
    let start = line.rfind("127.0.0.1:").or_else(|| line.rfind("0.0.0.0:"));
    let text = start.and_then(|start| line[start..].split(['"', ' ', ',']).next()).unwrap_or_default();
    text.parse().unwrap_or_else(|_| panic!("no address in {line:?}"))
}

/// A new directory for a test.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("dunlin-test-").tempdir().expect("a temporary directory can be made")
}

/// Writes a file of a test.
pub fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// The command `dunlin` in a directory, with nothing of this process's environment that could change it.
pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args(arguments).current_dir(directory);
    let changes = |name: &str| name.starts_with("DUNLIN__") || name == "DUNLIN_TOKEN";
    for (name, _) in std::env::vars_os().filter(|(name, _)| changes(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

impl Dunlin {
    /// Starts it with this configuration, written to `dunlin.toml` in `directory`.
    pub fn start(directory: &Path, config: &str) -> Self {
        write(directory, "dunlin.toml", config);
        Self::run(&mut command(directory, &["serve", "--config", "dunlin.toml"]))
    }

    /// Starts it by a command.
    pub fn run(command: &mut Command) -> Self {
        Self { process: Process::start(command, "cargo builds it for the tests"), addresses: Vec::new() }
    }

    /// The address of one of its listeners, in the order of the configuration, when it is open.
    pub fn address(&mut self, index: usize) -> SocketAddr {
        while self.addresses.len() <= index {
            self.addresses.push(address_in(&self.process.wait_for("listening")));
        }
        self.addresses[index]
    }

    /// Waits for a line of its log.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.process.wait_for(text)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Its process identifier.
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// The memory it has now, in bytes.
    pub fn resident_bytes(&self) -> usize {
        self.memory_bytes("VmRSS:")
    }

    /// The most memory it has had at any time, in bytes.
    pub fn peak_resident_bytes(&self) -> usize {
        self.memory_bytes("VmHWM:")
    }

    fn memory_bytes(&self, name: &str) -> usize {
        let file = format!("/proc/{}/status", self.process.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it has memory");
        let number = line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kilobytes");
        number * 1024
    }

    /// Ends it as an operator does, and returns what it said.
    pub fn stop(self) -> Ended {
        self.process.signal(Signal::TERM);
        self.process.finish()
    }

    /// Kills it (`kill -9`), waits until it is gone, and returns what it said.
    pub fn kill(self) -> Ended {
        self.process.signal(Signal::KILL);
        self.process.finish()
    }

    /// Waits until it ends by itself.
    pub fn finish(self) -> Ended {
        self.process.finish()
    }
}
