//! `dunlin drops`: why messages did not arrive and connections were refused, and by whom most.

use clap::Args;
use serde::Deserialize;

use super::broker::understood;
use super::table::{Column, Look, Table};
use super::{Asking, Failure, text};
use crate::numbers::grouped;

/// The arguments of `dunlin drops`.
#[derive(Debug, Args)]
#[command(
    after_help = "The counts are from the start of the broker on. Reasons that never occurred are in --json only.\n\n\
    Example:\n  dunlin drops"
)]
pub struct DropsArgs {
    #[command(flatten)]
    asking: Asking,
}

/// What the API says.
#[derive(Debug, Deserialize)]
struct Drops {
    drops: Vec<Count>,
    refusals: Vec<Count>,
    clients: Vec<Client>,
    addresses: Vec<Address>,
}

#[derive(Debug, Deserialize)]
struct Count {
    reason: String,
    count: u64,
}

#[derive(Debug, Deserialize)]
struct Client {
    client: String,
    dropped: u64,
}

#[derive(Debug, Deserialize)]
struct Address {
    address: String,
    failures: u64,
}

impl DropsArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.asking
            .show("/api/v1/drops", |answer| Ok(understood::<Drops>(answer)?.describe(Look::of_output())))
    }
}

impl Drops {
    fn describe(&self, look: Look) -> String {
        let reasons = |counts: &[Count], heading| {
            let counted = counts.iter().filter(|count| count.count > 0);
            pairs([heading, "COUNT"], counted.map(|count| (count.reason.as_str(), count.count)), look)
        };
        let clients = self.clients.iter().map(|client| (client.client.as_str(), client.dropped));
        let addresses = self.addresses.iter().map(|address| (address.address.as_str(), address.failures));
        let tables = [
            reasons(&self.drops, "MESSAGES DROPPED"),
            pairs(["MOST FOR", "COUNT"], clients, look),
            reasons(&self.refusals, "CONNECTIONS REFUSED"),
            pairs(["MOST FROM", "FAILURES"], addresses, look),
        ];
        let shown: Vec<_> = tables.into_iter().filter(|table| !table.is_empty()).collect();
        if shown.is_empty() {
            "no message was dropped, no connection refused\n".to_owned()
        } else {
            shown.join("\n")
        }
    }
}

fn pairs<'a>(headings: [&'static str; 2], rows: impl Iterator<Item = (&'a str, u64)>, look: Look) -> String {
    let mut table = Table::new([Column::Text(headings[0]), Column::Number(headings[1])], look);
    rows.for_each(|(name, count)| table.row([text::shown(name), grouped(count)]));
    table.text()
}
