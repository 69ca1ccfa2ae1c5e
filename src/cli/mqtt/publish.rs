//! `dunlin pub`: publishes a message, or one for each line of standard input.

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, value_parser};
use dunlin_codec::{QoS, ReasonCode};

use super::connection_args::{ConnectionArgs, Setup, qos, topic};
use super::exit_status;
use super::narration::{refusal, say};
use super::payload::{Feed, PayloadArgs, Repetition};
use super::{misuse, run};
use crate::client::{Client, ClientError, DisconnectOptions, Event, OutgoingMessage, Reconnect};

const EXAMPLES: &str = "\
Examples:
  dunlin pub -t sensors/temperature -m 21.5
  dunlin pub -t lamp/state -m on -q 1 -r -D publish content-type text/plain
  tail -f app.log | dunlin pub -L mqtts://anna@broker.example/logs/app -l --password-file secret

The options are mosquitto_pub's. Exit status: 0, or the broker's Reason Code, or 1; 2 for a wrong option;
docs/clients.md lists them all.";

/// The options of `dunlin pub`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, args_override_self = true, after_help = EXAMPLES)]
pub struct PubCommand {
    /// The topic
    #[arg(short, long, value_name = "TOPIC", value_parser = topic, allow_hyphen_values = true)]
    topic: Option<String>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    payload: PayloadArgs,
    /// How often it shall arrive: 0 at most once, 1 at least once, 2 exactly once
    #[arg(short, long, value_name = "N", value_parser = qos, default_value = "0")]
    qos: QoS,
    /// The broker shall keep it for later subscribers
    #[arg(short, long)]
    retain: bool,
    /// Publish it so many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    repeat: u32,
    /// Seconds between a delivery and the next repetition, such as 0.5
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    repeat_delay: Duration,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// A publisher at work.
struct Publisher {
    client: Client,
    feed: Feed,
    /// All but the payload.
    message: OutgoingMessage,
    is_connected: bool,
    is_over: bool,
    is_quiet: bool,
    status: u8,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "must be a number of seconds, such as 2 or 0.5".into())
}

impl PubCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        match self.start() {
            Ok((publisher, disconnect)) => run(publisher.publish(disconnect)),
            Err(sentence) => misuse(&sentence),
        }
    }

    fn start(self) -> Result<(Publisher, DisconnectOptions), String> {
        let is_lines = self.payload.is_lines();
        if is_lines && self.repeat > 1 {
            return Err("--repeat: not with --stdin-line, where each line is a message".into());
        }
        let is_quiet = self.connection.quiet;
        // As mosquitto_pub does: a stream of lines goes on, a single message fails.
        let otherwise = if is_lines { Reconnect::WhenLost } else { Reconnect::Never };
        let commands = ["connect", "publish", "disconnect", "will"];
        let Setup { options, properties, topic: url_topic } = self.connection.setup(&commands, otherwise)?;
        let url_topic = url_topic.map(|text| topic(&text).map_err(|problem| format!("--url: {problem}")));
        let topic = match (self.topic, url_topic) {
            (Some(topic), _) => topic,
            (None, Some(topic)) => topic?,
            (None, None) => return Err("--topic: is missing, and the URL has none either".into()),
        };
        let feed = self.payload.feed(Repetition { count: self.repeat, delay: self.repeat_delay })?;
        let message = OutgoingMessage {
            topic,
            payload: Bytes::new(),
            qos: self.qos,
            retain: self.retain,
            topic_alias: properties.topic_alias,
            properties: properties.publish,
        };
        let publisher = Publisher {
            client: Client::new(options),
            feed,
            message,
            is_connected: false,
            is_over: false,
            is_quiet,
            status: exit_status::SUCCESS,
        };
        Ok((publisher, properties.disconnect))
    }
}

impl Publisher {
    /// Publishes all there is; the exit status.
    async fn publish(mut self, disconnect: DisconnectOptions) -> u8 {
        let ended = match self.work().await {
            Ok(()) => self.client.disconnect(ReasonCode::Success, &disconnect).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            say(self.is_quiet, &error.to_string());
            return exit_status::of(&error);
        }
        self.status
    }

    async fn work(&mut self) -> Result<(), ClientError> {
        while !(self.is_over && self.is_connected && self.client.unfinished() == 0) {
            let has_room = self.client.has_room();
            tokio::select! {
                payload = self.feed.next(), if has_room && !self.is_over => match payload {
                    Some(Ok(payload)) => {
                        self.client.publish(OutgoingMessage { payload, ..self.message.clone() });
                    }
                    Some(Err(error)) => {
                        say(self.is_quiet, &format!("standard input cannot be read: {error}"));
                        self.status = exit_status::FAILURE;
                        self.is_over = true;
                    }
                    None => self.is_over = true,
                },
                event = self.client.next() => self.tell(event?),
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Connected { .. } => self.is_connected = true,
            Event::Published => self.feed.delivered(),
            Event::NotPublished { number, reason_code, explanation } => {
                self.feed.delivered();
                self.status = reason_code.code();
                say(
                    self.is_quiet,
                    &refusal(&format!("message {number} is not published"), reason_code, explanation),
                );
            }
            Event::Lost { error, pause } => {
                say(self.is_quiet, &format!("{error}; the next attempt is in {:.1} s", pause.as_secs_f64()));
            }
            // It has no Subscriptions, unless its Session had some.
            Event::Message(message) => self.client.acknowledge(&message),
            Event::Room | Event::Subscribed { .. } | Event::Unsubscribed { .. } => {}
        }
    }
}
