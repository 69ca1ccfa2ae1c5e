//! What is shown while a scenario runs: a line about the last second, on standard error.
//!
//! On a terminal the line is written again and again in its place, once a second; elsewhere a new one comes every
//! five seconds, so that a log stays short. A thread of its own writes it, and lives as long as its [`Watch`]. The
//! generator tells it what it has counted (`Teller`) and waits neither for the thread nor for the terminal. What
//! tells nothing, such as a thousand connections that open, still shows that time passes.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::latency::Latency;
use crate::report::thousands;

/// How often the line on a terminal is written again.
const REWRITE_EVERY: Duration = Duration::from_secs(1);
/// How often a line is written elsewhere.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// A line on a terminal is cut here, because one that wraps would not be written over.
const COLUMNS_MAX: usize = 79;

/// How the progress of runs is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Progress {
    /// Not at all.
    #[default]
    Hidden,
    /// As lines below each other.
    Lines,
    /// As one line that is written over.
    Rewritten,
}

/// A run that is watched. When it is dropped, its line is gone from the terminal.
#[derive(Debug)]
pub struct Watch {
    teller: Option<Teller>,
    writer: Option<JoinHandle<()>>,
}

/// Tells the thread that writes.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    moments: Sender<Moment>,
    every: Duration,
    next: Instant,
}

/// What a generator has counted since it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Where messages are stored.
    pub(crate) acknowledged: Option<u64>,
    pub(crate) latency: Option<Latency>,
}

impl Progress {
    /// What fits standard error.
    #[must_use]
    pub fn on_standard_error() -> Self {
        if io::stderr().is_terminal() { Self::Rewritten } else { Self::Lines }
    }

    /// Begins to show a run by this name.
    #[must_use]
    pub fn watch(self, name: &str) -> Watch {
        let every = match self {
            Self::Hidden => return Watch::nobody(),
            Self::Lines => LINE_EVERY,
            Self::Rewritten => REWRITE_EVERY,
        };
        let (moments, told) = mpsc::channel();
        let mut lines = Lines { progress: self, name: name.to_owned(), began: Instant::now(), written: 0 };
        let writer = thread::spawn(move || lines.write_all(&told, every, &mut io::stderr()));
        Watch { teller: Some(Teller { moments, every, next: Instant::now() + every }), writer: Some(writer) }
    }
}

impl Watch {
    /// A run that nobody watches.
    #[must_use]
    pub fn nobody() -> Self {
        Self { teller: None, writer: None }
    }

    /// For the generator of this run.
    pub(crate) fn teller(&self) -> Option<Teller> {
        self.teller.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.teller = None;
        if let Some(writer) = self.writer.take() {
            // A line that could not be written is no reason to fail.
            let _ = writer.join();
        }
    }
}

impl Teller {
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    pub(crate) fn tell(&mut self, moment: Moment) {
        self.next = moment.at + self.every;
        // Nobody listens any more when the run is over.
        let _ = self.moments.send(moment);
    }
}

/// The thread that writes.
struct Lines {
    progress: Progress,
    name: String,
    began: Instant,
    /// Characters of the line on the terminal.
    written: usize,
}

impl Lines {
    fn write_all(&mut self, told: &Receiver<Moment>, every: Duration, out: &mut impl Write) {
        let mut last: Option<Moment> = None;
        // Half as long again: whoever tells is never overtaken by the silence.
        let silence = every * 3 / 2;
        loop {
            let (now, figures) = match told.recv_timeout(silence) {
                Ok(moment) => {
                    let figures = since(last.as_ref(), &moment, self.began);
                    last = Some(moment);
                    (moment.at, figures)
                }
                Err(RecvTimeoutError::Timeout) => (Instant::now(), String::new()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let elapsed_s = now.saturating_duration_since(self.began).as_secs();
            self.write(&format!("{}: {elapsed_s} s{figures}", self.name), out);
        }
        if self.written > 0 {
            let _ = write!(out, "\r{:width$}\r", "", width = self.written);
        }
    }

    fn write(&mut self, line: &str, out: &mut impl Write) {
        // What cannot be shown is not worth a failed run.
        let _ = match self.progress {
            Progress::Hidden => Ok(()),
            Progress::Lines => writeln!(out, "{line}"),
            Progress::Rewritten => {
                let line: String = line.chars().take(COLUMNS_MAX).collect();
                let before = std::mem::replace(&mut self.written, line.chars().count());
                write!(out, "\r{line:<before$}").and_then(|()| out.flush())
            }
        };
    }
}

/// The figures between two moments; before the first one, nothing had been counted.
fn since(last: Option<&Moment>, now: &Moment, began: Instant) -> String {
    let (at, sent, received, acknowledged) = match last {
        Some(last) => (last.at, last.sent, last.received, last.acknowledged.unwrap_or_default()),
        None => (began, 0, 0, 0),
    };
    let seconds = now.at.saturating_duration_since(at).as_secs_f64().max(f64::MIN_POSITIVE);
    let rate = |now: u64, before: u64| thousands(now.saturating_sub(before) as f64 / seconds);
    let mut text = format!(", sent {}/s", rate(now.sent, sent));
    if let Some(now) = now.acknowledged {
        text += &format!(", acknowledged {}/s", rate(now, acknowledged));
    }
    if now.received > 0 {
        text += &format!(", received {}/s", rate(now.received, received));
    }
    if let Some(Latency { p50_us, p99_us, .. }) = now.latency {
        text += &format!(", p50 {} µs, p99 {} µs", thousands(p50_us), thousands(p99_us));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written of a run that tells of two moments, a second apart.
    fn written(progress: Progress) -> String {
        let began = Instant::now();
        let (sender, told) = mpsc::channel();
        let mut moment = Moment { at: began, sent: 500, received: 400, acknowledged: None, latency: None };
        for _ in 0..2 {
            moment = Moment { at: moment.at + Duration::from_secs(1), ..moment };
            sender.send(moment).unwrap();
            moment.sent += 1_000;
        }
        drop(sender);
        let mut lines = Lines { progress, name: "x".to_owned(), began, written: 0 };
        let mut out = Vec::new();
        lines.write_all(&told, REWRITE_EVERY, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rates_are_those_since_the_line_before() {
        let expected = "x: 1 s, sent 500/s, received 400/s\nx: 2 s, sent 1,000/s, received 0/s\n";
        assert_eq!(written(Progress::Lines), expected);
    }

    #[test]
    fn a_line_on_a_terminal_is_written_over_and_gone_at_the_end() {
        let (first, second) = ("x: 1 s, sent 500/s, received 400/s", "x: 2 s, sent 1,000/s, received 0/s");
        let (text, blank) = (written(Progress::Rewritten), " ".repeat(second.len()));
        assert_eq!(text, format!("\r{first}\r{second}\r{blank}\r"));
    }

    #[test]
    fn stored_messages_are_acknowledged_and_may_wait_for_nobody() {
        let at = Instant::now();
        let latency = Some(Latency { p50_us: 1_234.0, p99_us: 9.0, ..Latency::default() });
        let now = Moment { at, sent: 30, received: 0, acknowledged: Some(20), latency };
        let shown = since(None, &now, at - Duration::from_secs(2));
        assert_eq!(shown, ", sent 15/s, acknowledged 10/s, p50 1,234 µs, p99 9 µs");
    }

    #[test]
    fn the_end_of_a_watch_ends_its_thread() {
        for progress in [Progress::Hidden, Progress::Lines, Progress::Rewritten] {
            drop(progress.watch("nothing"));
        }
    }
}
