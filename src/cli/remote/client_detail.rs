//! `dunlin clients show`: all there is about one client.

use clap::Args;
use serde::Deserialize;
use time::OffsetDateTime;

use super::broker::{encode, understood};
use super::clients::Client;
use super::table::{Column, Look, Table, Tone, cell};
use super::{Asking, Failure, text};
use crate::numbers::{grouped, size};

/// The arguments of `dunlin clients show`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  dunlin clients show lamp-7\n  dunlin clients show lamp-7 --json | jq .queue"
)]
pub struct ShowArgs {
    /// The client identifier
    #[arg(value_name = "ID")]
    client: String,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Deserialize)]
struct Detail {
    #[serde(flatten)]
    client: Client,
    listener: Option<String>,
    expires_at: Option<String>,
    keep_alive_s: u64,
    outbox_bytes: u64,
    last_error: Option<String>,
    session_expiry_s: Option<u64>,
    will: Option<Will>,
    subscription_list: Vec<Subscription>,
    in_flight: Vec<InFlight>,
    queue: Vec<Queued>,
}

#[derive(Debug, Deserialize)]
struct Will {
    topic: String,
    qos: u8,
    retain: bool,
    delay_s: u64,
}

#[derive(Debug, Deserialize)]
struct Subscription {
    filter: String,
    share: Option<String>,
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    identifier: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct InFlight {
    packet_identifier: u16,
    topic: Option<String>,
    qos: u8,
    state: String,
}

#[derive(Debug, Deserialize)]
struct Queued {
    topic: Option<String>,
    qos: u8,
    size_bytes: u64,
    age_s: Option<u64>,
}

impl ShowArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let path = format!("/api/v1/clients/{}", encode(&self.client));
        self.asking.show(&path, |answer| {
            let detail: Detail = understood(answer)?;
            Ok(detail.describe(Look::of_output(), OffsetDateTime::now_utc()))
        })
    }
}

impl Detail {
    fn describe(&self, look: Look, now: OffsetDateTime) -> String {
        let sections = [
            ("Subscriptions", self.subscriptions(look)),
            ("In flight", self.in_flight(look)),
            ("Queue", self.queue(look)),
        ];
        let shown = sections.into_iter().filter(|(_, table)| !table.is_empty());
        let shown: String = shown.map(|(heading, table)| format!("\n{heading}:\n{table}")).collect();
        format!("{}{shown}", self.facts(look, now))
    }

    fn facts(&self, look: Look, now: OffsetDateTime) -> String {
        let client = &self.client;
        let mut facts = Table::of_facts(look);
        let plain = |text: String| cell(text, Tone::Plain);
        let (state, tone) = client.state();
        let since = if client.is_connected { &client.connected_at } else { &client.away_since };
        let since = since.as_deref().map(|since| format!(" for {}", text::ago(since, now)));
        facts.fact("client", plain(text::shown(&client.client)));
        facts.fact("state", cell(format!("{state}{}", since.unwrap_or_default()), tone));
        facts.fact("user", plain(text::or_dash(client.user.as_deref())));
        if client.is_connected {
            facts.fact("address", plain(text::or_dash(client.address.as_deref())));
            facts.fact("listener", plain(text::or_dash(self.listener.as_deref())));
            facts.fact("version", plain(text::or_dash(client.version.as_deref())));
            let keep_alive =
                if self.keep_alive_s == 0 { "off".into() } else { text::duration(self.keep_alive_s) };
            facts.fact("keep alive", plain(keep_alive));
        }
        facts.fact("session expiry", plain(self.expiry(now)));
        facts.fact("will", plain(self.will.as_ref().map_or_else(|| "-".to_owned(), Will::describe)));
        let queued = format!("{}, {}", grouped(client.queued_messages), size(client.queued_bytes));
        facts.fact("queued messages", plain(queued));
        facts.fact("in flight messages", plain(grouped(client.in_flight_messages)));
        facts.fact("messages received", plain(grouped(client.messages_received)));
        facts.fact("messages sent", plain(grouped(client.messages_sent)));
        facts.fact("messages dropped", plain(grouped(client.dropped)));
        facts.fact("outbox", plain(size(self.outbox_bytes)));
        if let Some(last_error) = &self.last_error {
            facts.fact("last error", cell(text::shown(last_error), Tone::Bad));
        }
        facts.text()
    }

    fn expiry(&self, now: OffsetDateTime) -> String {
        match (&self.expires_at, self.session_expiry_s) {
            (Some(expires_at), _) => text::until(expires_at, now),
            (None, None) => "never".to_owned(),
            (None, Some(0)) => "with its connection".to_owned(),
            (None, Some(seconds)) => format!("{} after its connection", text::duration(seconds)),
        }
    }

    fn subscriptions(&self, look: Look) -> String {
        let columns =
            [Column::Text("FILTER"), Column::Text("SHARE"), Column::Number("QOS"), Column::Text("OPTIONS")];
        let mut table = Table::new(columns, look);
        for subscription in &self.subscription_list {
            table.row([
                text::shown(&subscription.filter),
                text::or_dash(subscription.share.as_deref()),
                subscription.qos.to_string(),
                subscription.options(),
            ]);
        }
        table.text()
    }

    fn in_flight(&self, look: Look) -> String {
        let columns =
            [Column::Number("PACKET"), Column::Text("TOPIC"), Column::Number("QOS"), Column::Word("STATE")];
        let mut table = Table::new(columns, look);
        for message in &self.in_flight {
            table.row([
                message.packet_identifier.to_string(),
                text::or_dash(message.topic.as_deref()),
                message.qos.to_string(),
                text::shown(&message.state),
            ]);
        }
        table.text()
    }

    fn queue(&self, look: Look) -> String {
        let columns =
            [Column::Text("TOPIC"), Column::Number("QOS"), Column::Number("SIZE"), Column::Number("AGE")];
        let mut table = Table::new(columns, look);
        for message in &self.queue {
            table.row([
                message.topic.as_deref().map_or_else(|| "(in the store)".to_owned(), text::shown),
                message.qos.to_string(),
                size(message.size_bytes),
                message.age_s.map_or_else(|| "-".to_owned(), text::duration),
            ]);
        }
        table.text()
    }
}

impl Will {
    fn describe(&self) -> String {
        let retained = if self.retain { ", retained" } else { "" };
        let delay = if self.delay_s > 0 {
            format!(", after {}", text::duration(self.delay_s))
        } else {
            String::new()
        };
        format!("{} at QoS {}{retained}{delay}", text::shown(&self.topic), self.qos)
    }
}

impl Subscription {
    fn options(&self) -> String {
        let options = [
            self.no_local.then(|| "no local".to_owned()),
            self.retain_as_published.then(|| "retain as published".to_owned()),
            self.identifier.map(|identifier| format!("identifier {identifier}")),
        ];
        let options: Vec<_> = options.into_iter().flatten().collect();
        if options.is_empty() { "-".to_owned() } else { options.join(", ") }
    }
}
