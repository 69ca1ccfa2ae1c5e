//! The options of `dunlin sub`; what it then does is in `subscriber.rs`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args, value_parser};
use dunlin_codec::{QoS, SubscriptionFilter};

use super::connection_args::{ConnectionArgs, Setup, qos};
use super::printer::{Colour, Layout, Printer};
use super::record::Encoding;
use super::selection::SelectionArgs;
use super::subscriber::Subscriber;
use super::template::Template;
use super::{misuse, run};
use crate::client::{Client, Reconnect};

const EXAMPLES: &str = "\
Examples:
  dunlin sub -t 'sensors/#' -v
  dunlin sub -t lamp/state -C 1 -W 5
  dunlin sub -L mqtts://anna@broker.example/# --json --password-file secret | jq .topic

The options are mosquitto_sub's. Exit status: 0, or the broker's Reason Code, or 1; 27 when the time of -W is over; 2 for a
wrong option; docs/clients.md lists them all.";

/// The options of `dunlin sub`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, args_override_self = true, after_help = EXAMPLES)]
pub struct SubCommand {
    /// A Topic Filter to subscribe to; repeat for several
    #[arg(short, long, value_name = "FILTER", value_parser = filter, allow_hyphen_values = true)]
    topic: Vec<String>,
    /// The highest QoS of what is sent here
    #[arg(short, long, value_name = "N", value_parser = qos, default_value = "0")]
    qos: QoS,
    /// End a Subscription of the Session; repeat for several
    #[arg(short = 'U', long, value_name = "FILTER", value_parser = filter, allow_hyphen_values = true)]
    unsubscribe: Vec<String>,
    /// End after so many messages
    #[arg(short = 'C', value_name = "COUNT", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds, with exit status 27
    #[arg(short = 'W', value_name = "SECONDS", value_parser = value_parser!(u64).range(1..))]
    time_limit_s: Option<u64>,
    /// End when the Subscriptions are made
    #[arg(short = 'E')]
    exit_after_subscribing: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How messages are printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    /// Print the topic before the payload; twice: QoS, RETAIN and properties on a line of their own, too
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Print by a format such as '%t %q %p', where %t is the topic, %p the payload; docs/clients.md has all
    #[arg(short = 'F', value_name = "FORMAT", value_parser = Template::parse, conflicts_with = "json", allow_hyphen_values = true)]
    format: Option<Template>,
    /// Indent the JSON of %j and %J
    #[arg(long, requires = "format")]
    pretty: bool,
    /// Print an object on each line; payloads as text, hex or base64 [default: text where it is UTF-8, else base64]
    #[arg(long, value_name = "ENCODING", num_args = 0..=1, require_equals = true, default_missing_value = "auto", hide_possible_values = true)]
    json: Option<Encoding>,
    /// Print no line end after a message
    #[arg(short = 'N')]
    no_line_end: bool,
    /// Whether topics and properties are in colour: always, never, or auto (on a terminal, unless NO_COLOR is set)
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    color: Colour,
}

fn filter(text: &str) -> Result<String, String> {
    SubscriptionFilter::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl SubCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        match self.start() {
            Ok(subscriber) => run(subscriber.subscribe()),
            Err(sentence) => misuse(&sentence),
        }
    }

    fn start(self) -> Result<Subscriber, String> {
        let is_quiet = self.connection.quiet;
        let commands = ["connect", "subscribe", "unsubscribe", "disconnect", "will"];
        let Setup { options, properties, topic } = self.connection.setup(&commands, Reconnect::WhenLost)?;
        let url_topic = topic.map(|text| filter(&text).map_err(|problem| format!("--url: {problem}")));
        let topics: Vec<_> = url_topic.transpose()?.into_iter().chain(self.topic).collect();
        if topics.is_empty() && self.unsubscribe.is_empty() {
            return Err("--topic: is missing: say what to subscribe to (-t), or unsubscribe from (-U)".into());
        }
        let options_of_filters = self.selection.subscription_options(self.qos, &options)?;
        let has_will = options.will.is_some();
        Ok(Subscriber {
            client: Client::new(options),
            printer: self.output.printer(),
            properties,
            filters: topics.into_iter().map(|topic| (topic, options_of_filters)).collect(),
            unsubscribe: self.unsubscribe,
            selection: self.selection,
            left: self.count,
            exits_after_subscribing: self.exit_after_subscribing,
            is_subscribed: false,
            is_quiet,
            has_will,
            time_limit: self.time_limit_s.map(Duration::from_secs),
            in_hand: Vec::new(),
        })
    }
}

impl OutputArgs {
    fn printer(self) -> Printer {
        let layout = match (self.format, self.json, self.verbose) {
            (Some(template), ..) => Layout::Template(template, self.pretty),
            (None, Some(encoding), _) => Layout::Json(encoding),
            (None, None, 0) => Layout::Payload,
            (None, None, 1) => Layout::Topic,
            (None, None, _) => Layout::Everything,
        };
        Printer::new(layout, !self.no_line_end, self.color)
    }
}
