//! A broker, and the commands that reach it.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::dunlin::{Dunlin, QUIET, command, directory, write};
use crate::support::process::{Ended, Process};

/// Where the program comes from.
pub const HINT: &str = "cargo builds it for the tests";

/// The words of a line, which have no blanks in them.
pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs `dunlin` with these words.
pub fn dunlin(directory: &Path, line: &str) -> Process {
    Process::start(&mut command(directory, &words(line)), HINT)
}

/// One broker and its directory.
pub struct Desk {
    pub broker: Dunlin,
    pub port: u16,
    directory: TempDir,
}

impl Desk {
    /// A broker for anybody.
    pub fn open() -> Self {
        Self::with("", |_| {})
    }

    /// A broker with more configuration; `prepare` writes files before it starts.
    pub fn with(config: &str, prepare: impl FnOnce(&Path)) -> Self {
        let directory = directory();
        prepare(directory.path());
        let config = format!("{QUIET}{config}\n[[listener]]\nurl = 'mqtt://127.0.0.1:0'\n");
        let mut broker = Dunlin::start(directory.path(), &config);
        let port = broker.address(0).port();
        Self { broker, port, directory }
    }

    /// The directory in which commands run.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `dunlin pub` or `dunlin sub` (the first word) for this broker, and further words as they are.
    pub fn command(&self, line: &str, more: &[&str]) -> Command {
        let port = self.port.to_string();
        let line = words(line);
        let (subcommand, line) = line.split_first().expect("there is a command");
        command(self.path(), &[&[*subcommand, "-h", "127.0.0.1", "-p", &port], line, more].concat())
    }

    /// Starts it.
    pub fn start(&self, line: &str, more: &[&str]) -> Process {
        Process::start(&mut self.command(line, more), HINT)
    }

    /// Runs it to its end.
    pub fn run(&self, line: &str, more: &[&str]) -> Ended {
        self.start(line, more).finish()
    }

    /// Publishes, which must work.
    pub fn publish(&self, line: &str) {
        let ended = self.run(&format!("pub {line}"), &[]);
        assert_eq!((ended.status, ended.error.as_str()), (0, ""), "{line}");
    }

    /// Starts `dunlin sub`; its Subscriptions exist when this returns.
    pub fn subscribe(&self, line: &str, more: &[&str]) -> Process {
        let mut subscriber = self.start(&format!("sub -d {line}"), more);
        subscriber.wait_for("received SUBACK");
        subscriber
    }

    /// Publishes a file by standard input.
    pub fn publish_input(&self, line: &str, input: &str) -> Ended {
        write(self.path(), "input", input);
        let file = std::fs::File::open(self.path().join("input")).expect("it was written");
        Process::start(self.command(&format!("pub {line}"), &[]).stdin(Stdio::from(file)), HINT).finish()
    }
}
