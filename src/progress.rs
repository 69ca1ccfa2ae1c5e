//! How far something is that takes more than a second: a bar on standard error, where that is a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
        Self::in_style(total, "{bar:40} {binary_bytes} of {binary_total_bytes}, {eta} left")
    }

    fn in_style(total: u64, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        // A template that is wrong leaves indicatif's own.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
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

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
