//! `dunlin status`: how the broker is, on one screen.

use clap::Args;
use serde::Deserialize;

use super::broker::understood;
use super::table::{Look, Table, Tone, cell};
use super::{Asking, Failure, text};
use crate::numbers::{grouped, size};

/// The arguments of `dunlin status`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dunlin status\n  dunlin status --json | jq .connections")]
pub struct StatusArgs {
    #[command(flatten)]
    asking: Asking,
}

/// What the API says, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub version: String,
    pub uptime_s: u64,
    workers: u64,
    pub is_ready: bool,
    store: Option<Store>,
    pub connections: u64,
    pub sessions: u64,
    subscriptions: u64,
    retained: u64,
    retained_bytes: u64,
    pub queued_messages: u64,
    queued_bytes: u64,
    messages_received: u64,
    messages_sent: u64,
    bytes_received: u64,
    bytes_sent: u64,
    dropped: u64,
    pub memory_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Store {
    state: String,
    problem: Option<String>,
    bytes: u64,
}

impl StatusArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.asking
            .show("/api/v1/status", |answer| Ok(understood::<Status>(answer)?.describe(Look::of_output())))
    }
}

impl Status {
    fn describe(&self, look: Look) -> String {
        let mut facts = Table::of_facts(look);
        let version = format!("{}, up for {}", text::shown(&self.version), text::duration(self.uptime_s));
        facts.fact("dunlin", cell(version, Tone::Plain));
        match self.is_ready {
            true => facts.fact("ready", cell("yes", Tone::Good)),
            false => facts.fact("ready", cell("no: /readyz says why", Tone::Bad)),
        }
        facts.fact("store", self.store());
        let count = |number| cell(grouped(number), Tone::Plain);
        let with_bytes = |number, bytes| cell(format!("{}, {}", grouped(number), size(bytes)), Tone::Plain);
        facts.fact("workers", count(self.workers));
        facts.fact("connections", count(self.connections));
        facts.fact("sessions", count(self.sessions));
        facts.fact("subscriptions", count(self.subscriptions));
        facts.fact("retained messages", with_bytes(self.retained, self.retained_bytes));
        facts.fact("queued messages", with_bytes(self.queued_messages, self.queued_bytes));
        facts.fact("messages received", count(self.messages_received));
        facts.fact("messages sent", count(self.messages_sent));
        facts.fact("bytes received", cell(size(self.bytes_received), Tone::Plain));
        facts.fact("bytes sent", cell(size(self.bytes_sent), Tone::Plain));
        facts.fact("messages dropped", count(self.dropped));
        if let Some(memory_bytes) = self.memory_bytes {
            facts.fact("memory", cell(size(memory_bytes), Tone::Plain));
        }
        facts.text()
    }

    fn store(&self) -> comfy_table::Cell {
        let Some(Store { state, problem, bytes }) = &self.store else {
            return cell("none: nothing survives a restart", Tone::Plain);
        };
        let tone = if state == "writing" { Tone::Good } else { Tone::Bad };
        let problem =
            problem.as_ref().map(|problem| format!(": {}", text::shown(problem))).unwrap_or_default();
        cell(format!("{}, {}{problem}", text::shown(state), size(*bytes)), tone)
    }
}
