//! `dunlin retained list|get|set|clear`: Retained Messages of the running broker.

use std::io::{self, IsTerminal, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use dunlin_codec::{TopicError, TopicFilter, TopicName};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use ureq::http::Method;

use super::broker::{encode_topic, understood};
use super::clients::at_least_one;
use super::pages::{Listing, entries, has_more};
use super::place::BrokerArgs;
use super::table::{Column, Look, Table};
use super::{Asking, Failure, print, print_bytes, print_list, text};
use crate::config::parse_duration;
use crate::numbers::{count, size};

/// Messages of a list unless the command says how many.
const LIMIT: usize = 1000;

/// What shall be done with Retained Messages.
#[derive(Debug, Subcommand)]
pub enum RetainedCommand {
    /// List those whose topics match a Topic Filter
    #[command(after_help = "Example:\n  dunlin retained list 'home/+/state'")]
    List(ListArgs),
    /// Print the payload of one
    #[command(after_help = "Example:\n  dunlin retained get home/kitchen/state\n  \
        dunlin retained get home/kitchen/state --json | jq .properties")]
    Get(GetArgs),
    /// Publish one
    #[command(after_help = "Example:\n  dunlin retained set home/kitchen/state on --qos 1\n  \
        dunlin retained set home/plan --content-type image/png < plan.png")]
    Set(SetArgs),
    /// Remove one
    #[command(after_help = "Example:\n  dunlin retained clear home/kitchen/state")]
    Clear(ClearArgs),
}

/// The arguments of `dunlin retained list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The Topic Filter; # leaves out topics that begin with $, as it does for clients
    #[arg(default_value = "#", value_parser = topic_filter)]
    filter: String,
    /// Not more than this many
    #[arg(long, value_name = "N", default_value_t = LIMIT, value_parser = at_least_one)]
    limit: usize,
    /// All of them, however many there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    asking: Asking,
}

/// The arguments of `dunlin retained get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The topic
    #[arg(value_parser = topic)]
    topic: String,
    #[command(flatten)]
    asking: Asking,
}

/// The arguments of `dunlin retained set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The topic
    #[arg(value_parser = topic)]
    topic: String,
    /// The payload [default: what standard input has]
    value: Option<String>,
    /// 0, 1 or 2
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// How long it is kept, such as 90s, 15m or 7d [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    expiry: Option<u32>,
    /// What the payload is, such as application/json
    #[arg(long, value_name = "TEXT")]
    content_type: Option<String>,
    /// Of which broker.
    #[command(flatten)]
    place: BrokerArgs,
}

/// The arguments of `dunlin retained clear`.
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// The topic
    #[arg(value_parser = topic)]
    topic: String,
    /// Of which broker.
    #[command(flatten)]
    place: BrokerArgs,
}

#[derive(Debug, Deserialize)]
struct Retained {
    topic: String,
    qos: u8,
    size_bytes: u64,
    received_at: String,
    expires_at: Option<String>,
    writer: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    payload_base64: String,
}

fn seconds(text: &str) -> Result<u32, String> {
    let seconds = parse_duration(text).and_then(|duration| u32::try_from(duration.as_secs()).ok());
    seconds
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| "must be a duration such as 90s, 15m, 1h or 7d".to_owned())
}

/// A Topic Name.
fn topic(text: &str) -> Result<String, TopicError> {
    TopicName::parse(text).map(|topic| topic.as_str().to_owned())
}

/// A Topic Filter, without a group.
pub(super) fn topic_filter(text: &str) -> Result<String, TopicError> {
    TopicFilter::parse(text).map(|filter| filter.as_str().to_owned())
}

impl RetainedCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(arguments) => arguments.run(),
            Self::Get(arguments) => arguments.run(),
            Self::Set(arguments) => arguments.run(),
            Self::Clear(arguments) => {
                arguments.place.find()?.ask(Method::DELETE, &path(&arguments.topic), None).map(drop)
            }
        }
    }
}

impl ListArgs {
    fn run(self) -> Result<(), Failure> {
        let parameters = [("filter", self.filter.as_str())];
        let limit = if self.all { usize::MAX } else { self.limit };
        let listing =
            Listing { path: "/api/v1/retained", member: "messages", parameters: &parameters, limit };
        let answer = listing.collect(&self.asking.place.find()?)?;
        if self.asking.json {
            return print(&format!("{}\n", Value::Object(answer)));
        }
        let messages: Vec<Retained> = entries(&answer, "messages")?;
        print_list(
            &table(&messages, Look::of_output(), OffsetDateTime::now_utc()),
            "no Retained Message matches",
        )?;
        if has_more(&answer) {
            eprintln!(
                "{}, and there are more: --all lists them all",
                count(messages.len() as u64, "message")
            );
        }
        Ok(())
    }
}

impl GetArgs {
    fn run(self) -> Result<(), Failure> {
        let answer = self.asking.place.find()?.get(&path(&self.topic))?;
        if self.asking.json {
            return print(&format!("{}\n", answer.trim_end()));
        }
        let content: Content = understood(&answer)?;
        let payload = STANDARD.decode(content.payload_base64).map_err(|error| {
            Failure::Unreachable(format!(
                "the answer is not understood ({error}): is the broker of another version?"
            ))
        })?;
        if !io::stdout().is_terminal() {
            return print_bytes(&payload);
        }
        // A terminal gets what it can show, and a program the bytes as they are.
        let lines: Vec<_> = String::from_utf8_lossy(&payload).lines().map(text::shown).collect();
        print(&format!("{}\n", lines.join("\n")))
    }
}

impl SetArgs {
    fn run(self) -> Result<(), Failure> {
        let path = path(&self.topic);
        let broker = self.place.find()?;
        let payload = match self.value {
            Some(value) => value.into_bytes(),
            None => standard_input()?,
        };
        if payload.is_empty() {
            return Err(Failure::Arguments(
                "an empty payload would clear the topic: `dunlin retained clear` does that".to_owned(),
            ));
        }
        let mut body = match String::from_utf8(payload) {
            Ok(text) => json!({ "payload": text, "qos": self.qos }),
            Err(error) => json!({ "payload_base64": STANDARD.encode(error.as_bytes()), "qos": self.qos }),
        };
        if let Some(expiry_s) = self.expiry {
            body["message_expiry_s"] = expiry_s.into();
        }
        if let Some(content_type) = self.content_type {
            body["content_type"] = content_type.into();
        }
        broker.ask(Method::PUT, &path, Some(&body)).map(drop)
    }
}

fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut payload = Vec::new();
    match io::stdin().lock().read_to_end(&mut payload) {
        Ok(_) => Ok(payload),
        Err(error) => Err(Failure::Arguments(format!("standard input cannot be read: {error}"))),
    }
}

fn path(topic: &str) -> String {
    format!("/api/v1/retained/{}", encode_topic(topic))
}

fn table(messages: &[Retained], look: Look, now: OffsetDateTime) -> String {
    let columns = [
        Column::Text("TOPIC"),
        Column::Number("QOS"),
        Column::Number("SIZE"),
        Column::Number("AGE"),
        Column::Number("EXPIRES"),
        Column::Text("WRITER"),
    ];
    let mut table = Table::new(columns, look);
    for message in messages {
        let expires = message.expires_at.as_deref().map_or_else(|| "-".to_owned(), |at| text::until(at, now));
        table.row([
            text::shown(&message.topic),
            message.qos.to_string(),
            size(message.size_bytes),
            text::ago(&message.received_at, now),
            expires,
            text::or_dash(message.writer.as_deref()),
        ]);
    }
    table.text()
}
