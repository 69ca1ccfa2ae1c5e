//! A subscriber at work: it prints what comes until it has what it wanted.
//!
//! A message is acknowledged when it has been written, so a Session that is kept loses nothing to a full disk or a
//! closed pipe, and messages beyond the count of `-C` stay with the broker.

use std::io;
use std::time::Duration;

use dunlin_codec::{QoS, ReasonCode, SubscriptionFilter, SubscriptionOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use super::exit_status;
use super::narration::{refusal, say};
use super::printer::Printer;
use super::property::PropertySet;
use super::selection::SelectionArgs;
use crate::client::{Client, ClientError, Event, Message, OutgoingMessage};

/// How long what is under way may take at the end.
const ENDING: Duration = Duration::from_secs(5);

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
pub struct Subscriber {
    /// The client, before its first connection.
    pub client: Client,
    /// Where messages go.
    pub printer: Printer,
    /// All properties that are given.
    pub properties: PropertySet,
    /// What to subscribe to.
    pub filters: Vec<(String, SubscriptionOptions)>,
    /// What to unsubscribe from.
    pub unsubscribe: Vec<String>,
    /// Which messages count.
    pub selection: SelectionArgs,
    /// How many messages are left to print.
    pub left: Option<u64>,
    /// Whether it ends with SUBACK.
    pub exits_after_subscribing: bool,
    /// Whether the Session has its Subscriptions.
    pub is_subscribed: bool,
    /// Whether nothing is said.
    pub is_quiet: bool,
    /// Whether the broker has a Will of this client.
    pub has_will: bool,
    /// How long it may take.
    pub time_limit: Option<Duration>,
    /// What is printed and perhaps not written yet; or passed over after such a one, as acknowledgements keep the order.
    pub in_hand: Vec<Message>,
}

impl Subscriber {
    /// Prints until it ends; the exit status.
    pub async fn subscribe(mut self) -> u8 {
        let ending = match Signals::catch() {
            Ok(mut signals) => self.work(&mut signals).await,
            Err(error) => {
                say(self.is_quiet, &format!("signals cannot be caught: {error}"));
                return exit_status::FAILURE;
            }
        };
        let written = self.write();
        match (ending, written) {
            (Ending::Failed(error), _) => {
                say(self.is_quiet, &error.to_string());
                exit_status::of(&error)
            }
            (Ending::NoReader(error), _) | (Ending::Orderly(..), Err(error)) => {
                // What is not written stays unacknowledged: the next client of the Session gets it.
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
                    if let Err(error) = self.write() {
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
                Event::Message(message) => self.receive(*message),
                event => self.tell(event),
            };
            if let Some(ending) = ending {
                return ending;
            }
        }
    }

    /// Writes what is printed, and then acknowledges it.
    fn write(&mut self) -> io::Result<()> {
        self.printer.flush()?;
        self.in_hand.drain(..).for_each(|message| self.client.acknowledge(&message));
        Ok(())
    }

    fn receive(&mut self, message: Message) -> Option<Ending> {
        if self.selection.retained_only && !message.retain {
            return Some(Ending::Orderly(exit_status::SUCCESS, ReasonCode::Success));
        }
        let is_passed_over = self.selection.passes_over(&message);
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
            self.in_hand.push(message);
            return None;
        }
        if self.selection.is_chosen() {
            match self.printer.print(&message) {
                Ok(None) => {}
                Ok(Some(complaint)) => say(self.is_quiet, &complaint),
                Err(error) => return Some(Ending::NoReader(error)),
            }
        }
        self.in_hand.push(message);
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
