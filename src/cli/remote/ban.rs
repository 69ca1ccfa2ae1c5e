//! `dunlin ban list|add|remove`: who is shut out.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use ureq::http::Method;

use super::broker::understood;
use super::place::BrokerArgs;
use super::{Asking, Failure, text};
use crate::config::{Network, parse_duration};
use crate::http::api::bans::{BanList, DURATION_S_MAX, PATH};

/// What shall be done about bans.
#[derive(Debug, Subcommand)]
pub enum BanCommand {
    /// Say who is banned, why and for how long
    #[command(after_help = "Example:\n  dunlin ban list\n  dunlin ban list --json | jq -r '.bans[].network'")]
    List(ListArgs),
    /// Ban an address or a network, or one client there
    #[command(after_help = "Example:\n  dunlin ban add 203.0.113.0/24 --for 1h\n  \
        dunlin ban add 203.0.113.7 --client lamp-7")]
    Add(AddArgs),
    /// End a ban
    #[command(after_help = "Example:\n  dunlin ban remove 203.0.113.0/24")]
    Remove(RemoveArgs),
}

/// The arguments of `dunlin ban list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    asking: Asking,
}

/// The arguments of `dunlin ban add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    whom: Whom,
    /// How long, such as 90s, 15m, 1h or 7d [default: ban.duration]
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    duration_s: Option<u64>,
    #[command(flatten)]
    place: BrokerArgs,
}

/// The arguments of `dunlin ban remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    place: BrokerArgs,
}

/// Whom a ban is about.
#[derive(Debug, Args)]
struct Whom {
    /// An address or a network, such as 203.0.113.7 or 2001:db8::/64
    #[arg(value_parser = network)]
    network: String,
    /// Only the client with this identifier there
    #[arg(long, value_name = "ID")]
    client: Option<String>,
}

fn seconds(text: &str) -> Result<u64, String> {
    let seconds = parse_duration(text).map(|duration| duration.as_secs());
    let seconds = seconds.filter(|seconds| (1..=DURATION_S_MAX).contains(seconds));
    seconds
        .ok_or_else(|| "must be a duration such as 90s, 15m, 1h or 7d, from a second to ten years".to_owned())
}

fn network(text: &str) -> Result<String, String> {
    Network::parse(text).map(|network| network.to_string())
}

impl BanCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(ListArgs { asking }) => {
                asking.list(PATH, "nobody is banned", |answer| Ok(lines(&understood(answer)?)))
            }
            Self::Add(AddArgs { whom, duration_s, place }) => {
                let mut body = whom.body();
                if let Some(duration_s) = duration_s {
                    body["duration_s"] = duration_s.into();
                }
                whom.change(&place, Method::POST, &body)
            }
            Self::Remove(RemoveArgs { whom, place }) => whom.change(&place, Method::DELETE, &whom.body()),
        }
    }
}

impl Whom {
    fn body(&self) -> Value {
        match &self.client {
            None => json!({ "network": self.network }),
            Some(client) => json!({ "network": self.network, "client": client }),
        }
    }

    /// Has the broker change a ban. Of a ban it says only what is the matter, so whose it is comes before that.
    fn change(&self, place: &BrokerArgs, method: Method, body: &Value) -> Result<(), Failure> {
        let changed = place.find()?.ask(method, PATH, Some(body)).map(drop);
        changed.map_err(|failure| match failure {
            Failure::Refused { status: status @ (404 | 409), text } => {
                Failure::Refused { status, text: format!("{} {text}", self.network) }
            }
            other => other,
        })
    }
}

/// One for each ban: `203.0.113.7 client "lamp" operator 3600s`.
fn lines(BanList { bans }: &BanList) -> String {
    let line = |client: &Option<String>| {
        client.as_ref().map(|client| format!(" client {client:?}")).unwrap_or_default()
    };
    bans.iter()
        .map(|ban| {
            let (network, cause) = (text::shown(&ban.network), text::shown(&ban.cause));
            format!("{network}{} {cause} {}s\n", line(&ban.client), ban.ends_in_s)
        })
        .collect()
}
