//! `dunlin kick`: ends the connection of a client, and with `--end-session` its Session, too.

use clap::Args;
use ureq::http::Method;

use super::broker::encode;
use super::place::BrokerArgs;
use super::{Broker, Failure};

/// The arguments of `dunlin kick`.
#[derive(Debug, Args)]
#[command(
    after_help = "A client that was disconnected may come back at once; `dunlin ban add` keeps it out.\n\n\
    Example:\n  dunlin kick lamp-7\n  dunlin kick lamp-7 --end-session"
)]
pub struct KickArgs {
    /// The client identifier
    #[arg(value_name = "ID")]
    client: String,
    /// End its Session, too: its subscriptions and whatever waits for it are gone
    #[arg(long)]
    end_session: bool,
    #[command(flatten)]
    place: BrokerArgs,
}

impl KickArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let broker = self.place.find()?;
        if self.end_session { end_session(&broker, &self.client) } else { disconnect(&broker, &self.client) }
    }
}

/// Ends the connection of a client.
pub(super) fn disconnect(broker: &Broker, client: &str) -> Result<(), Failure> {
    broker.ask(Method::POST, &format!("/api/v1/clients/{}/disconnect", encode(client)), None).map(drop)
}

fn end_session(broker: &Broker, client: &str) -> Result<(), Failure> {
    broker.ask(Method::DELETE, &format!("/api/v1/clients/{}", encode(client)), None).map(drop)
}
