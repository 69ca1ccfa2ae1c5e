//! `dunlin trace`: packets and decisions as they happen, until Ctrl-C.
//!
//! The lines are those of `src/trace/line.rs`. What the broker could not send in time it counts, and so does this.

use std::net::IpAddr;

use clap::{ArgGroup, Args};
use serde::Deserialize;

use super::broker::{encode, understood};
use super::events::{Event, Events};
use super::{Asking, Failure, print, text};
use crate::numbers;
use crate::trace::TraceLine;

/// The arguments of `dunlin trace`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["client", "topic", "address"])))]
#[command(
    after_help = "`->` came from the client, `<-` went to it, `!!` is a refusal. Passwords are never shown, payloads are, shortened.\n\n\
    Example:\n  dunlin trace --client lamp-7\n  dunlin trace --topic 'home/+/state' --count 10\n  \
    dunlin trace --address 192.0.2.7 --json | jq .details"
)]
pub struct TraceArgs {
    /// Everything about the client with this identifier, connected or not yet
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Messages whose topics match this Topic Filter
    #[arg(long, value_name = "FILTER", value_parser = super::retained::topic_filter)]
    topic: Option<String>,
    /// Everything about clients at this address
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// End after so many lines
    #[arg(long, value_name = "N", value_parser = super::clients::at_least_one)]
    count: Option<usize>,
    #[command(flatten)]
    asking: Asking,
}

/// Lines that the broker could not send in time.
#[derive(Deserialize)]
struct Lost {
    count: u64,
}

impl TraceArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let broker = self.asking.place.find()?;
        let mut left = self.count.unwrap_or(usize::MAX);
        for event in Events(broker.stream(&self.path())?) {
            let event = event.map_err(|error| {
                Failure::Unreachable(format!("{} ended the trace: {error}", broker.url()))
            })?;
            if event.name == "lost" {
                let Lost { count } = understood(&event.data)?;
                eprintln!("dunlin: {} came too fast and cannot be shown", numbers::count(count, "line"));
                continue;
            }
            print(&self.shown(&event)?)?;
            left -= 1;
            if left == 0 {
                return Ok(());
            }
        }
        Err(Failure::Unreachable(format!("{} has ended the trace: did it stop?", broker.url())))
    }

    fn path(&self) -> String {
        let (name, value) = match (&self.client, &self.topic, self.address) {
            (Some(client), ..) => ("client", encode(client)),
            (_, Some(topic), _) => ("topic", encode(topic)),
            (.., address) => {
                ("address", address.map(|address| encode(&address.to_string())).unwrap_or_default())
            }
        };
        format!("/api/v1/trace?{name}={value}")
    }

    fn shown(&self, event: &Event) -> Result<String, Failure> {
        if self.asking.json {
            return Ok(format!("{}\n", event.data));
        }
        let line: TraceLine = understood(&event.data)?;
        Ok(format!("{}\n", text::shown(&line.to_string())))
    }
}
