//! `dunlin clients`: who is there, as a list; `dunlin clients show` (`client_detail.rs`) has all about one.

use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use time::OffsetDateTime;

use super::client_detail::ShowArgs;
use super::pages::{Listing, entries, has_more};
use super::table::{Column, Look, Table, Tone, cell};
use super::{Asking, Failure, print, print_list, text};
use crate::numbers::{count, grouped};

/// Clients of a list unless the command says how many.
const LIMIT: usize = 100;

/// The arguments of `dunlin clients`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Example:\n  dunlin clients --search sensor --state away\n  \
    dunlin clients --sort queued-messages --limit 10\n  dunlin clients show lamp-7")]
pub struct ClientsArgs {
    #[command(subcommand)]
    one: Option<OneClient>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum OneClient {
    /// Show all there is about one client
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those with this in their client identifier, user name or address
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    search: String,
    /// Only those that are connected, or away
    #[arg(long, value_enum, default_value_t)]
    state: Presence,
    /// By what to sort: names from a to z, numbers from the largest, times from the latest
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// Not more than this many
    #[arg(long, value_name = "N", default_value_t = LIMIT, value_parser = at_least_one)]
    limit: usize,
    /// All of them, however many there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Presence {
    #[default]
    All,
    Connected,
    Away,
}

/// By what clients are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    #[default]
    Client,
    MessagesReceived,
    MessagesSent,
    QueuedMessages,
    QueuedBytes,
    InFlightMessages,
    Dropped,
    Subscriptions,
    ConnectedAt,
}

/// A client, as far as a list shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Client {
    pub client: String,
    pub user: Option<String>,
    pub address: Option<String>,
    pub version: Option<String>,
    pub is_connected: bool,
    pub connected_at: Option<String>,
    pub away_since: Option<String>,
    pub subscriptions: u64,
    pub queued_messages: u64,
    pub queued_bytes: u64,
    pub in_flight_messages: u64,
    pub messages_received: u64,
    pub messages_sent: u64,
    pub dropped: u64,
    pub is_slow: bool,
}

/// A limit of 1 and more.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    let limit = text.replace('_', "").parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| "must be a number from 1".to_owned())
}

impl ClientsArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.one {
            Some(OneClient::Show(arguments)) => arguments.run(),
            None => self.list.run(),
        }
    }
}

impl ListArgs {
    fn run(self) -> Result<(), Failure> {
        let order = if self.sort.is_descending() != self.reverse { "desc" } else { "asc" };
        let parameters = [
            ("search", self.search.as_str()),
            ("state", self.state.name()),
            ("sort", self.sort.name()),
            ("order", order),
        ];
        let limit = if self.all { usize::MAX } else { self.limit };
        let listing = Listing { path: "/api/v1/clients", member: "clients", parameters: &parameters, limit };
        let answer = listing.collect(&self.asking.place.find()?)?;
        if self.asking.json {
            return print(&format!("{}\n", serde_json::Value::Object(answer)));
        }
        let clients: Vec<Client> = entries(&answer, "clients")?;
        let is_whole = self.search.is_empty() && matches!(self.state, Presence::All);
        let nothing = if is_whole { "there is no client" } else { "no client matches" };
        print_list(&table(&clients, Look::of_output(), OffsetDateTime::now_utc()), nothing)?;
        if has_more(&answer) {
            let matched = answer.get("matched").and_then(serde_json::Value::as_u64).unwrap_or_default();
            eprintln!("{} of {}: --all lists them all", clients.len(), count(matched, "client"));
        }
        Ok(())
    }
}

fn table(clients: &[Client], look: Look, now: OffsetDateTime) -> String {
    let mut table = Table::new(
        [
            Column::Text("CLIENT"),
            Column::Word("STATE"),
            Column::Number("FOR"),
            Column::Number("QUEUED"),
            Column::Number("IN FLIGHT"),
            Column::Number("RECEIVED"),
            Column::Number("SENT"),
            Column::Number("DROPPED"),
            Column::Number("SUBS"),
            Column::Text("ADDRESS"),
            Column::Text("USER"),
            Column::Word("MQTT"),
        ],
        look,
    );
    for client in clients {
        let (state, tone) = client.state();
        let since = if client.is_connected { &client.connected_at } else { &client.away_since };
        let number = |number| cell(grouped(number), Tone::Plain);
        table.row([
            cell(text::shown(&client.client), Tone::Plain),
            cell(state, tone),
            cell(since.as_deref().map_or_else(|| "-".to_owned(), |since| text::ago(since, now)), Tone::Plain),
            number(client.queued_messages),
            number(client.in_flight_messages),
            number(client.messages_received),
            number(client.messages_sent),
            cell(grouped(client.dropped), if client.dropped > 0 { Tone::Bad } else { Tone::Plain }),
            number(client.subscriptions),
            cell(text::or_dash(client.address.as_deref()), Tone::Plain),
            cell(text::or_dash(client.user.as_deref()), Tone::Plain),
            cell(text::or_dash(client.version.as_deref()), Tone::Plain),
        ]);
    }
    table.text()
}

impl Client {
    /// A word for how it is.
    pub fn state(&self) -> (&'static str, Tone) {
        match (self.is_connected, self.is_slow) {
            (false, _) => ("away", Tone::Faint),
            (true, false) => ("connected", Tone::Good),
            (true, true) => ("slow", Tone::Bad),
        }
    }
}

impl Presence {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Connected => "connected",
            Self::Away => "away",
        }
    }
}

impl Sort {
    /// As the API calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::MessagesReceived => "messages_received",
            Self::MessagesSent => "messages_sent",
            Self::QueuedMessages => "queued_messages",
            Self::QueuedBytes => "queued_bytes",
            Self::InFlightMessages => "in_flight_messages",
            Self::Dropped => "dropped",
            Self::Subscriptions => "subscriptions",
            Self::ConnectedAt => "connected_at",
        }
    }

    fn is_descending(self) -> bool {
        self != Self::Client
    }
}
