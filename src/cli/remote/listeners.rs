//! `dunlin listeners`: where clients connect, how many do, and when certificates end.

use clap::Args;
use serde::Deserialize;

use super::broker::understood;
use super::table::{Column, Look, Table, Tone, cell};
use super::{Asking, Failure, text};
use crate::numbers::grouped;

/// Days before its end from which a certificate is in red; the log warns from then on, too.
const DAYS_LEFT_FEW: i64 = 30;

/// The arguments of `dunlin listeners`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dunlin listeners")]
pub struct ListenersArgs {
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Deserialize)]
struct Listeners {
    listeners: Vec<Listener>,
}

#[derive(Debug, Deserialize)]
struct Listener {
    url: String,
    address: Option<String>,
    connections: u64,
    accepted: u64,
    refused: u64,
    tls: Option<Vec<Ending>>,
}

/// A certificate, or a list of revoked ones.
#[derive(Debug, Deserialize)]
struct Ending {
    file: String,
    subject: String,
    kind: String,
    not_after: String,
    days_left: i64,
}

impl ListenersArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.asking.list("/api/v1/listeners", "there is no listener", |answer| {
            Ok(understood::<Listeners>(answer)?.describe(Look::of_output()))
        })
    }
}

impl Listeners {
    fn describe(&self, look: Look) -> String {
        let endings = self.endings(look);
        let gap = if endings.is_empty() { "" } else { "\n" };
        format!("{}{gap}{endings}", self.table(look))
    }

    fn table(&self, look: Look) -> String {
        let columns = [
            Column::Text("LISTENER"),
            Column::Text("ADDRESS"),
            Column::Number("CONNECTIONS"),
            Column::Number("ACCEPTED"),
            Column::Number("REFUSED"),
        ];
        let mut table = Table::new(columns, look);
        for listener in &self.listeners {
            table.row([
                text::shown(&listener.url),
                text::or_dash(listener.address.as_deref()),
                grouped(listener.connections),
                grouped(listener.accepted),
                grouped(listener.refused),
            ]);
        }
        table.text()
    }

    fn endings(&self, look: Look) -> String {
        let columns = [
            Column::Text("FILE"),
            Column::Word("KIND"),
            Column::Text("SUBJECT"),
            Column::Word("ENDS"),
            Column::Number("DAYS LEFT"),
        ];
        let mut table = Table::new(columns, look);
        let mut told = Vec::new();
        for ending in self.listeners.iter().flat_map(|listener| listener.tls.iter().flatten()) {
            // Several listeners may have the same files.
            if told.contains(&(&ending.file, &ending.subject)) {
                continue;
            }
            told.push((&ending.file, &ending.subject));
            let tone = if ending.days_left < DAYS_LEFT_FEW { Tone::Bad } else { Tone::Good };
            let day = ending.not_after.split('T').next().unwrap_or_default();
            table.row([
                cell(text::shown(&ending.file), Tone::Plain),
                cell(text::shown(&ending.kind), Tone::Plain),
                cell(text::shown(&ending.subject), Tone::Plain),
                cell(text::shown(day), Tone::Plain),
                cell(ending.days_left.to_string(), tone),
            ]);
        }
        table.text()
    }
}
