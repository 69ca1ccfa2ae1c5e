//! Programs that a test runs: their output line by line, their exit status, and their end.
//!
//! Whoever waits here waits for a line or for an end, never for a time, and not for longer than [`DEADLINE`]:
//! then the test fails and shows what the program has said. A process ends with its value, so a failed test
//! leaves none behind.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The longest wait for anything. It is far above what a busy machine needs, because it decides nothing but
/// when a test gives up.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often an end is looked for once the output has ended.
const END_POLL_INTERVAL: Duration = Duration::from_millis(2);

#[derive(Clone, Copy, PartialEq)]
enum Source {
    Output,
    Error,
}

struct Line {
    source: Source,
    text: String,
}

/// A program that runs.
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<Line>,
    seen: Vec<Line>,
    /// Where in `seen` each stream was read to by whoever waited for a line of it.
    read: [usize; 2],
}

/// How a program ended.
pub struct Ended {
    /// Its exit status; a signal counts as 128 and its number, as in a shell.
    pub status: i32,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub error: String,
}

fn read_lines(stream: impl Read + Send + 'static, source: Source, lines: Sender<Line>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
            bytes.clear();
            if lines.send(Line { source, text }).is_err() {
                return;
            }
        }
    });
}

impl Process {
    /// Starts a program. `hint` says what to do when there is no such program.
    pub fn start(command: &mut Command, hint: &str) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{name} cannot be started ({error}): {hint}"));
        let (sender, lines) = mpsc::channel();
        read_lines(child.stdout.take().expect("its output is piped"), Source::Output, sender.clone());
        read_lines(child.stderr.take().expect("its errors are piped"), Source::Error, sender);
        Self { name, child, lines, seen: Vec::new(), read: [0; 2] }
    }

    /// Takes in the next line, of either stream; `None` when both have ended.
    fn next_line(&mut self, until: Instant) -> Option<()> {
        match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => self.seen.push(line),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("{} said nothing more in time{}", self.name, self.said())
            }
        }
        Some(())
    }

    /// Reads on to the next line with `text` in it, and returns it. The other stream is not read on by that: which of
    /// the two was written first, nobody can tell.
    pub fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let mut seen = self.seen.iter().enumerate();
            let is_it = |(at, line): &(usize, &Line)| {
                *at >= self.read[line.source as usize] && line.text.contains(text)
            };
            if let Some((at, line)) = seen.find(is_it) {
                self.read[line.source as usize] = at + 1;
                return line.text.clone();
            }
            if self.next_line(until).is_none() {
                panic!("{} ended without a line with {text:?}{}", self.name, self.said());
            }
        }
    }

    /// Everything it has said, for the message of a failed test.
    fn said(&self) -> String {
        self.seen.iter().fold(String::from(", having said:"), |mut said, line| {
            // Writing to a String cannot fail.
            let _ = write!(said, "\n  {}", line.text);
            said
        })
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal)
            .unwrap_or_else(|error| panic!("no signal to {}: {error}", self.name));
    }

    /// Its process identifier.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for its end.
    pub fn finish(self) -> Ended {
        self.finish_within(DEADLINE)
    }

    /// The same for one that may take longer than anything else.
    pub fn finish_within(mut self, limit: Duration) -> Ended {
        let until = Instant::now() + limit;
        while self.next_line(until).is_some() {}
        let status = loop {
            match self.child.try_wait().expect("its status can be asked for") {
                Some(status) => break status,
                None if Instant::now() >= until => panic!("{} does not end{}", self.name, self.said()),
                None => thread::sleep(END_POLL_INTERVAL),
            }
        };
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let text_of = |source| {
            let lines = self.seen.iter().filter(|line| line.source == source);
            lines.map(|line| format!("{}\n", line.text)).collect::<String>()
        };
        Ended { status, output: text_of(Source::Output), error: text_of(Source::Error) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            while let Ok(line) = self.lines.try_recv() {
                self.seen.push(line);
            }
            eprintln!("{} ran{}", self.name, self.said());
        }
    }
}
