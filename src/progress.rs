//! How far something is that takes more than a second: a bar on standard error, where that is a terminal.

use std::fmt::Write;
use std::time::{Duration, Instant};

use indicatif::style::ProgressTracker;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::numbers::size;

/// How long nothing is shown: most things are done by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the top of the file. It disappears with its value.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    /// That of so many things, of which none is done yet.
    pub fn of(total: u64, things: &'static str) -> Self {
        Self::in_style(total, &format!("{{bar:40}} {{human_pos}} of {{human_len}} {things}, {{eta}} left"))
    }

    /// That of so many bytes.
    pub fn of_bytes(total: u64) -> Self {
        Self::in_style(total, "{bar:40} {done} of {all}, {eta} left")
    }

    fn in_style(total: u64, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        // A template that is wrong leaves indicatif's own.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let sizes = style.with_key("done", Bytes(ProgressState::pos)).with_key("all", Bytes(of_all));
        bar.set_style(sizes);
        Self { bar, started: Instant::now() }
    }

    /// So many more are done.
    pub fn add(&self, more: u64) {
        self.bar.inc(more);
        if self.bar.is_hidden() && self.started.elapsed() >= PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

/// A size as it is written everywhere else.
#[derive(Clone)]
struct Bytes(fn(&ProgressState) -> u64);

fn of_all(state: &ProgressState) -> u64 {
    state.len().unwrap_or_default()
}

impl ProgressTracker for Bytes {
    fn clone_box(&self) -> Box<dyn ProgressTracker> {
        Box::new(self.clone())
    }

    fn tick(&mut self, _: &ProgressState, _: Instant) {}

    fn reset(&mut self, _: &ProgressState, _: Instant) {}

    fn write(&self, state: &ProgressState, text: &mut dyn Write) {
        // What is written to is a text in memory.
        let _ = write!(text, "{}", size((self.0)(state)));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
