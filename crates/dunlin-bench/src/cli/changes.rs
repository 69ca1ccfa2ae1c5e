//! What the command line changes in scenarios, for `run` and `compare` alike, and how it is shown.

use std::time::Duration;

use clap::Args;
use dunlin_codec::{ProtocolVersion, QoS};

use super::parse_seconds;
use crate::progress::Progress;
use crate::scenario::{self, Overrides, Rate};
use crate::transport::Transport;

/// What differs from the named scenarios.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// The protocol that the clients speak: 3.1, 3.1.1 or 5.0
    #[arg(long, default_value = "3.1.1", value_parser = scenario::parse_version)]
    pub(super) protocol: ProtocolVersion,
    /// What MQTT travels over; with TLS, version 1.3
    #[arg(long, value_enum)]
    transport: Option<Transport>,
    /// Publishing connections
    #[arg(long)]
    publishers: Option<u32>,
    /// Subscribing connections
    #[arg(long)]
    subscribers: Option<u32>,
    /// Topics; publisher and subscriber i have topic i mod topics
    #[arg(long)]
    topics: Option<u32>,
    /// QoS of messages and Subscriptions: 0, 1 or 2
    #[arg(long, value_parser = parse_qos)]
    qos: Option<QoS>,
    /// Size of each payload, at least 12
    #[arg(long)]
    payload_bytes: Option<u32>,
    /// QoS 1 and 2: messages each publisher may have unacknowledged
    #[arg(long)]
    window: Option<u16>,
    /// Messages each publisher may be ahead of what its subscribers have received
    #[arg(long)]
    ahead_max: Option<u32>,
    /// Messages per second of all publishers together, each due at its time, instead of as many as possible; half:
    /// first as many as possible, then half of that
    #[arg(long, value_name = "MESSAGES")]
    rate: Option<Rate>,
    /// What the client identifiers begin with, and the topics after "dunlin-": several generators that load one
    /// broker each have their own
    #[arg(long, value_name = "NAME", value_parser = parse_prefix)]
    prefix: Option<&'static str>,
    /// Deliveries before the measurement begins
    #[arg(long)]
    warm_up_messages: Option<u64>,
    /// Seconds that are measured
    #[arg(long, value_parser = parse_seconds)]
    duration_s: Option<Duration>,
    /// Subscriptions of the scenario subscriptions, which are shared out to its connections
    #[arg(long)]
    subscriptions: Option<u32>,
    /// Connections of the scenarios idle, tls-idle, connect-storm, tls-handshakes-full, tls-handshakes-resumed and
    /// subscriptions
    #[arg(long)]
    connections: Option<u32>,
    /// Devices of the scenario iot-day; the more there are, the more messages per second
    #[arg(long)]
    devices: Option<u32>,
    /// Messages that wait in the scenarios offline-queue, queue and recovery; recovery has a tenth as many Sessions and
    /// Retained Messages
    #[arg(long)]
    messages: Option<u32>,
}

/// What is shown meanwhile.
#[derive(Debug, Args)]
pub(super) struct ProgressArgs {
    /// Show nothing while a scenario runs
    #[arg(long, short)]
    quiet: bool,
}

impl ProgressArgs {
    pub(super) fn progress(&self) -> Progress {
        if self.quiet { Progress::Hidden } else { Progress::on_standard_error() }
    }
}

impl ChangeArgs {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            transport: self.transport,
            publishers: self.publishers,
            subscribers: self.subscribers,
            topics: self.topics,
            qos: self.qos,
            payload_bytes: self.payload_bytes,
            window: self.window,
            ahead_max: self.ahead_max,
            rate: self.rate,
            prefix: self.prefix,
            warm_up_messages: self.warm_up_messages,
            duration_ms: self.duration_s.map(|duration| duration.as_millis() as u64),
            subscriptions: self.subscriptions,
            connections: self.connections,
            devices: self.devices,
            messages: self.messages,
        }
    }
}

fn parse_qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(QoS::from_bits).ok_or_else(|| "must be 0, 1 or 2".to_owned())
}

/// Lives as long as the program, as those of the built-in scenarios do.
fn parse_prefix(text: &str) -> Result<&'static str, String> {
    let is_good = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match text.len() {
        1..=16 if is_good(text) => Ok(String::leak(text.to_owned())),
        _ => Err("must be 1 to 16 letters, digits and hyphens".to_owned()),
    }
}
