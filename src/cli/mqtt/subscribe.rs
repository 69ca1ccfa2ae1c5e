//! `dunlin sub`: subscribes, and prints what comes.
//!
//! A message is acknowledged when it has been written, so a Session that is kept loses nothing to a full disk or a
//! closed pipe, and messages beyond the count of `-C` stay with the broker.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum, value_parser};
use dunlin_codec::{
    ProtocolVersion, QoS, ReasonCode, RetainHandling, SubscriptionFilter, SubscriptionOptions, TopicFilter,
    TopicName,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use super::connection_args::{ConnectionArgs, Setup, qos};
use super::exit_status;
use super::printer::{Colour, Layout, Printer};
use super::property::PropertySet;
use super::publish::{refusal, say};
use super::record::Encoding;
use super::template::Template;
use super::{misuse, run};
use crate::client::{Client, ClientError, ClientOptions, Event, Message, OutgoingMessage, Reconnect};

/// How long what is under way may take at the end.
const ENDING: Duration = Duration::from_secs(5);

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

/// Which messages count.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
struct SelectionArgs {
    /// Pass over messages of these topics; repeat for several
    #[arg(short = 'T', long, value_name = "FILTER", value_parser = plain_filter, allow_hyphen_values = true)]
    filter_out: Vec<String>,
    /// Pass over Retained Messages
    #[arg(short = 'R', conflicts_with = "retained_only")]
    no_retained: bool,
    /// Only Retained Messages: end with the first other message
    #[arg(long)]
    retained_only: bool,
    /// Clear the Retained Messages that come
    #[arg(long)]
    remove_retained: bool,
    /// Messages say whether they were published with RETAIN [MQTT 5]
    #[arg(long)]
    retain_as_published: bool,
    /// When Retained Messages are sent: always, new (when the Subscription is), or never [default: always; MQTT 5]
    #[arg(long, value_name = "WHEN", hide_possible_values = true)]
    retain_handling: Option<RetainedWhen>,
    /// Print so many in a hundred messages, by chance
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    random_filter: Option<f64>,
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

/// The words of `--retain-handling`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RetainedWhen {
    /// At every SUBSCRIBE
    Always,
    /// When the Subscription is new
    New,
    /// Not at all
    Never,
}

fn filter(text: &str) -> Result<String, String> {
    SubscriptionFilter::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn plain_filter(text: &str) -> Result<String, String> {
    TopicFilter::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.1..=100.0).contains(percent));
    percent.ok_or_else(|| "must be a number from 0.1 to 100".into())
}

/// How a subscriber comes to its end.
enum Ending {
    /// It has what it wanted, or was asked to end: the exit status, and what DISCONNECT says.
    Orderly(u8, ReasonCode),
    /// There is nobody to print for any more.
    NoReader(io::Error),
    /// There is no connection any more.
    Failed(ClientError),
}

/// A subscriber at work.
struct Subscriber {
    client: Client,
    printer: Printer,
    properties: PropertySet,
    filters: Vec<(String, SubscriptionOptions)>,
    unsubscribe: Vec<String>,
    selection: SelectionArgs,
    left: Option<u64>,
    exits_after_subscribing: bool,
    is_subscribed: bool,
    is_quiet: bool,
    has_will: bool,
    time_limit: Option<Duration>,
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
        })
    }
}

impl SelectionArgs {
    fn subscription_options(&self, qos: QoS, options: &ClientOptions) -> Result<SubscriptionOptions, String> {
        let is_5 = options.version == ProtocolVersion::V5;
        for (name, is_given) in [
            ("--retain-as-published", self.retain_as_published),
            ("--retain-handling", self.retain_handling.is_some()),
        ] {
            if is_given && !is_5 {
                return Err(format!("{name}: needs MQTT 5 (-V 5)"));
            }
        }
        let retain_handling = match self.retain_handling {
            Some(RetainedWhen::Always) => RetainHandling::SendAtSubscribe,
            Some(RetainedWhen::New) => RetainHandling::SendIfNew,
            Some(RetainedWhen::Never) => RetainHandling::DoNotSend,
            // Why have sent what is passed over? To be cleared.
            None if self.no_retained && !self.remove_retained && is_5 => RetainHandling::DoNotSend,
            None => RetainHandling::SendAtSubscribe,
        };
        let retain_as_published = self.retain_as_published;
        Ok(SubscriptionOptions { retain_handling, retain_as_published, ..SubscriptionOptions::with_qos(qos) })
    }

    /// Whether a message is passed over without a word.
    fn passes_over(&self, message: &Message) -> bool {
        let Ok(topic) = TopicName::parse(&message.topic) else { return true };
        let matches = |filter: &String| TopicFilter::parse(filter).is_ok_and(|filter| filter.matches(topic));
        self.filter_out.iter().any(matches)
    }

    fn is_chosen(&self) -> bool {
        self.random_filter.is_none_or(|percent| {
            let chance = getrandom::u32().unwrap_or(0);
            f64::from(chance) / f64::from(u32::MAX) * 100.0 < percent
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

impl Subscriber {
    /// Prints until it ends; the exit status.
    async fn subscribe(mut self) -> u8 {
        let ending = match Signals::catch() {
            Ok(mut signals) => self.work(&mut signals).await,
            Err(error) => {
                say(self.is_quiet, &format!("signals cannot be caught: {error}"));
                return exit_status::FAILURE;
            }
        };
        let written = self.printer.flush();
        match (ending, written) {
            (Ending::Failed(error), _) => {
                say(self.is_quiet, &error.to_string());
                exit_status::of(&error)
            }
            (Ending::NoReader(error), _) | (Ending::Orderly(..), Err(error)) => {
                // Nothing more is acknowledged: nobody has it.
                let _ = self.client.disconnect(ReasonCode::Success, &self.properties.disconnect).await;
                // `dunlin sub | head -1` has ended as it was meant to.
                if error.kind() == io::ErrorKind::BrokenPipe {
                    return exit_status::SUCCESS;
                }
                say(self.is_quiet, &format!("standard output cannot be written: {error}"));
                exit_status::FAILURE
            }
            (Ending::Orderly(status, reason_code), Ok(())) => self.end(status, reason_code).await,
        }
    }

    /// Completes what is under way, and says goodbye. What a broker does not complete in time it does again for the
    /// next client of the Session.
    async fn end(mut self, mut status: u8, reason_code: ReasonCode) -> u8 {
        let is_quiet = self.is_quiet;
        let _ = timeout(
            ENDING,
            self.client.settle(|event| {
                if let Event::NotPublished { reason_code, explanation, .. } = event {
                    status = reason_code.code();
                    say(is_quiet, &refusal("a Retained Message is not cleared", reason_code, explanation));
                }
            }),
        )
        .await;
        let _ = self.client.disconnect(reason_code, &self.properties.disconnect).await;
        if status == exit_status::TIMED_OUT {
            say(is_quiet, "the time of -W is over");
        }
        status
    }

    async fn work(&mut self, signals: &mut Signals) -> Ending {
        let deadline = self.time_limit.map(|limit| Instant::now() + limit);
        // mosquitto_sub has its Will published when it is told to end, in MQTT 5.
        let early = if self.has_will { ReasonCode::DisconnectWithWillMessage } else { ReasonCode::Success };
        loop {
            let event = match self.client.ready() {
                Some(event) => event,
                None => {
                    // Acknowledgements leave from here on, so what they are for is written before.
                    if let Err(error) = self.printer.flush() {
                        return Ending::NoReader(error);
                    }
                    tokio::select! {
                        event = self.client.next() => match event {
                            Ok(event) => event,
                            Err(error) => return Ending::Failed(error),
                        },
                        () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                            return Ending::Orderly(exit_status::TIMED_OUT, early);
                        }
                        () = signals.any() => return Ending::Orderly(exit_status::SUCCESS, early),
                    }
                }
            };
            let ending = match event {
                Event::Message(message) => self.receive(&message),
                event => self.tell(event),
            };
            if let Some(ending) = ending {
                return ending;
            }
        }
    }

    fn receive(&mut self, message: &Message) -> Option<Ending> {
        if self.selection.retained_only && !message.retain {
            return Some(Ending::Orderly(exit_status::SUCCESS, ReasonCode::Success));
        }
        let is_passed_over = self.selection.passes_over(message);
        if message.retain && self.selection.remove_retained && !is_passed_over {
            self.client.publish(OutgoingMessage {
                topic: message.topic.clone(),
                qos: QoS::AtLeastOnce,
                retain: true,
                ..OutgoingMessage::default()
            });
        }
        // spec(v5): [MQTT-4.5.0-2]
        // spec(v3.1.1): [MQTT-4.5.0-2]
        if is_passed_over || (message.retain && self.selection.no_retained) {
            self.client.acknowledge(message);
            return None;
        }
        if self.selection.is_chosen() {
            match self.printer.print(message) {
                Ok(None) => {}
                Ok(Some(complaint)) => say(self.is_quiet, &complaint),
                Err(error) => return Some(Ending::NoReader(error)),
            }
        }
        self.client.acknowledge(message);
        self.left = self.left.map(|left| left - 1);
        (self.left == Some(0)).then_some(Ending::Orderly(exit_status::SUCCESS, ReasonCode::Success))
    }

    fn tell(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Connected { session_present } => self.ask(session_present),
            Event::Subscribed { reason_codes, explanation } => {
                self.is_subscribed = true;
                return self.judge(&reason_codes, explanation);
            }
            Event::Unsubscribed { reason_codes } => {
                for (filter, reason_code) in self.unsubscribe.iter().zip(&reason_codes) {
                    if reason_code.is_error() {
                        let what = format!("the broker does not end the subscription to {filter:?}");
                        say(self.is_quiet, &refusal(&what, *reason_code, None));
                    }
                }
                if self.exits_after_subscribing && self.filters.is_empty() {
                    return Some(Ending::Orderly(exit_status::SUCCESS, ReasonCode::Success));
                }
            }
            Event::NotPublished { reason_code, explanation, .. } => {
                say(self.is_quiet, &refusal("a Retained Message is not cleared", reason_code, explanation));
            }
            Event::Lost { error, pause } => {
                say(self.is_quiet, &format!("{error}; the next attempt is in {:.1} s", pause.as_secs_f64()));
            }
            Event::Message(_) | Event::Published | Event::Room => {}
        }
        None
    }

    /// There is a connection: what is not in the Session is asked for.
    fn ask(&mut self, session_present: bool) {
        if session_present && self.is_subscribed {
            return;
        }
        let parse = |filter| SubscriptionFilter::parse(filter).ok();
        let filters: Vec<_> = (self.filters.iter())
            .filter_map(|(filter, options)| Some((parse(filter.as_str())?, *options)))
            .collect();
        if !filters.is_empty() {
            let identifier = self.properties.subscription_identifier;
            self.client.subscribe(&filters, identifier, &self.properties.subscribe);
        }
        let filters: Vec<_> = self.unsubscribe.iter().filter_map(|filter| parse(filter.as_str())).collect();
        if !filters.is_empty() {
            self.client.unsubscribe(&filters, &self.properties.unsubscribe);
        }
    }

    fn judge(&mut self, reason_codes: &[ReasonCode], explanation: Option<String>) -> Option<Ending> {
        for ((filter, _), reason_code) in self.filters.iter().zip(reason_codes) {
            if reason_code.is_error() {
                let what = format!("the broker refuses the subscription to {filter:?}");
                say(self.is_quiet, &refusal(&what, *reason_code, explanation.clone()));
            }
        }
        match reason_codes.first() {
            Some(first) if reason_codes.iter().all(|code| code.is_error()) => {
                Some(Ending::Orderly(first.code(), ReasonCode::Success))
            }
            _ if self.exits_after_subscribing => {
                Some(Ending::Orderly(exit_status::SUCCESS, ReasonCode::Success))
            }
            _ => None,
        }
    }
}

/// The signals that end it.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
