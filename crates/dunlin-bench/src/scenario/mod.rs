//! Scenarios as data: who publishes what to whom, and how it is measured.
//!
//! Topics join publishers and subscribers: publisher `p` publishes to topic `p mod topics` and subscriber `s`
//! subscribes to topic `s mod topics`. So 10 publishers, 10 subscribers and 10 topics make ten pairs, and one
//! topic makes a fan-out or a fan-in. A new scenario is a new row of [`BUILT_IN`]. What is done to a broker's
//! store, other than to publish at full speed, is in `store.rs`; many Subscriptions, connections and
//! devices are in `population.rs`.
//!
//! Two limits close the loop. The `window` is MQTT's: messages of QoS 1 and 2 sent and not yet acknowledged.
//! `ahead_max` bounds, at every QoS, how far a publisher runs ahead of its subscribers; it keeps a QoS 0
//! publisher from filling every buffer on the way with minutes of work, and it is large enough that no broker
//! ever waits for the generator. A `rate_per_s` opens the loop: messages are due at their times, and only the
//! window holds them back.

use std::borrow::Cow;

use dunlin_codec::{ProtocolVersion, QoS};
use serde::Serialize;

use crate::Error;
use crate::stamp::STAMP_BYTES;

mod built_in;
mod population;
mod store;

pub use built_in::{BUILT_IN, DEFAULT_NAMES, STORE_NAMES, by_name, named};
pub use population::{Day, Storm, Subscriptions};
pub use store::{Baseline, Beside, Queue, Recovery, Retained};

/// What one run does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// How the command line calls it.
    pub name: Cow<'static, str>,
    /// What it shows, in a few words.
    pub summary: Cow<'static, str>,
    /// What is done.
    pub load: Load,
}

/// What is done to the broker.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Messages flow as fast as the limits allow.
    Traffic(Traffic),
    /// Connections stay open and say nothing.
    Idle(Idle),
    /// Messages to topics among many Subscriptions.
    Subscriptions(Subscriptions),
    /// Many clients connect at once.
    Storm(Storm),
    /// Devices and those who listen to them, all at once.
    Day(Day),
    /// Messages that are not stored flow alone, and beside messages that are.
    Beside(Beside),
    /// A queue is filled while its subscriber is away, and drained when it returns.
    Queue(Queue),
    /// A new subscriber receives all Retained Messages.
    Retained(Retained),
    /// The broker is killed and started again.
    Recovery(Recovery),
}

/// Whether subscribers are there, and what becomes of their Sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subscribers {
    /// They are there, and their Sessions end with their connections: nothing is stored for them.
    Clean,
    /// They are there, and their Sessions outlive their connections.
    Persistent,
    /// They have subscribed and gone; their messages wait for them.
    Away,
}

/// Messages from publishers to subscribers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traffic {
    /// Publishing connections, 1 or more.
    pub publishers: u32,
    /// Subscribing connections, 1 or more, each with one Subscription.
    pub subscribers: u32,
    /// Whether they are there.
    pub presence: Subscribers,
    /// Whether the subscribers of a topic are one shared group, of which each message goes to one member.
    pub shared: bool,
    /// Topics, 1 or more; see the file comment.
    pub topics: u32,
    /// The QoS of messages and Subscriptions.
    #[serde(serialize_with = "as_bits")]
    pub qos: QoS,
    /// The size of each payload in bytes, at least 12.
    pub payload_bytes: u32,
    /// QoS 1 and 2: messages each publisher may have unacknowledged, 1 to 65,535. A Receive Maximum of the
    /// broker lowers it.
    pub window: u16,
    /// Messages each publisher may be ahead of what its subscribers have received, 1 or more. Without meaning
    /// where there is a rate.
    pub ahead_max: u32,
    /// Messages per second of all publishers together, each due at its time; `None`: as fast as the limits
    /// allow.
    pub rate_per_s: Option<u32>,
    /// Deliveries before the measurement begins; acknowledgements, where messages are stored.
    pub warm_up_messages: u64,
    /// How long is measured.
    pub duration_ms: u64,
    /// What client identifiers begin with, and topics after `dunlin-`: two loads at once need two.
    pub prefix: &'static str,
}

/// Connections with one Subscription each that say nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Idle {
    /// Connections that are measured.
    pub connections: u32,
    /// Connections before the first reading, so that what a broker allocates once is not counted.
    pub warm_up_connections: u32,
    /// For how long nothing is said once all are there.
    pub silent_ms: u64,
}

/// What the command line changes in a scenario.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// See [`Traffic::publishers`].
    pub publishers: Option<u32>,
    /// See [`Traffic::subscribers`].
    pub subscribers: Option<u32>,
    /// See [`Traffic::topics`].
    pub topics: Option<u32>,
    /// See [`Traffic::qos`].
    pub qos: Option<QoS>,
    /// See [`Traffic::payload_bytes`].
    pub payload_bytes: Option<u32>,
    /// See [`Traffic::window`].
    pub window: Option<u16>,
    /// See [`Traffic::ahead_max`].
    pub ahead_max: Option<u32>,
    /// See [`Traffic::rate_per_s`].
    pub rate_per_s: Option<u32>,
    /// See [`Traffic::prefix`].
    pub prefix: Option<&'static str>,
    /// See [`Traffic::warm_up_messages`].
    pub warm_up_messages: Option<u64>,
    /// See [`Traffic::duration_ms`].
    pub duration_ms: Option<u64>,
    /// See [`Subscriptions::subscriptions`].
    pub subscriptions: Option<u32>,
    /// See [`Idle::connections`], [`Storm::connections`] and [`Subscriptions::connections`].
    pub connections: Option<u32>,
    /// See [`Day::devices`].
    pub devices: Option<u32>,
    /// See [`Queue::messages`] and [`Recovery::messages`].
    pub messages: Option<u32>,
}

impl Scenario {
    /// The scenario with what the command line says otherwise.
    ///
    /// # Errors
    /// When the result has nobody to publish or to receive, or payloads too small for their stamp.
    pub fn with(mut self, overrides: &Overrides) -> Result<Self, Error> {
        let changed = match &mut self.load {
            Load::Traffic(traffic) => traffic.apply(overrides)?,
            Load::Idle(idle) => {
                let changed = apply(&mut idle.connections, overrides.connections);
                apply(&mut idle.silent_ms, overrides.duration_ms) || changed
            }
            Load::Subscriptions(subscriptions) => subscriptions.apply(overrides)?,
            Load::Storm(storm) => storm.apply(overrides)?,
            Load::Day(day) => day.apply(overrides)?,
            Load::Beside(beside) => beside.apply(overrides)?,
            Load::Queue(queue) => queue.apply(overrides)?,
            Load::Retained(retained) => retained.apply(overrides)?,
            Load::Recovery(recovery) => recovery.apply(overrides)?,
        };
        if changed {
            self.summary = Cow::Owned(self.load.describe());
        }
        Ok(self)
    }
}

impl Load {
    /// The most connections that are open at once, about.
    pub(crate) fn connections(&self) -> u32 {
        match self {
            Self::Traffic(traffic) => traffic.publishers.saturating_add(traffic.subscribers),
            Self::Idle(idle) => idle.connections.saturating_add(idle.warm_up_connections),
            Self::Subscriptions(wanted) => wanted.connections.saturating_add(wanted.publishers),
            Self::Storm(storm) => storm.connections.saturating_add(storm.warm_up_connections),
            Self::Day(day) => day.devices.saturating_add(day.workers),
            // One each, or waves of a few hundred.
            Self::Beside(_) | Self::Queue(_) | Self::Retained(_) | Self::Recovery(_) => 0,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Traffic(traffic) => {
                let Traffic { publishers, subscribers, topics, payload_bytes, .. } = traffic;
                let window = match traffic.qos {
                    QoS::AtMostOnce => String::new(),
                    _ => format!(", window {}", traffic.window),
                };
                let presence = match traffic.presence {
                    Subscribers::Clean if traffic.shared => " in a shared group",
                    Subscribers::Clean => "",
                    Subscribers::Persistent => " with persistent Sessions",
                    Subscribers::Away => " that are away",
                };
                let speed = match traffic.rate_per_s {
                    None => "saturated".to_owned(),
                    Some(rate) => format!("{rate} messages a second"),
                };
                format!(
                    "{publishers} publishers to {subscribers} subscribers{presence} over {topics} topics, \
                     QoS {}{window}, {payload_bytes} bytes, {speed}",
                    traffic.qos.bits()
                )
            }
            Self::Idle(idle) => format!("{} idle connections with one Subscription each", idle.connections),
            Self::Subscriptions(subscriptions) => subscriptions.describe(),
            Self::Storm(storm) => storm.describe(),
            Self::Day(day) => day.describe(),
            Self::Beside(beside) => beside.describe(),
            Self::Queue(queue) => queue.describe(),
            Self::Retained(retained) => retained.describe(),
            Self::Recovery(recovery) => recovery.describe(),
        }
    }
}

impl Traffic {
    /// The topic that publisher `index` publishes to, and that subscriber `index` receives.
    pub(crate) fn topic(&self, index: u32) -> String {
        format!("dunlin-{}/{}", self.prefix, index % self.topics)
    }

    /// What subscriber `index` subscribes to.
    pub(crate) fn filter(&self, index: u32) -> String {
        let topic = self.topic(index);
        if self.shared { format!("$share/{}/{topic}", self.prefix) } else { topic }
    }

    /// Deliveries that a second of its rate should make.
    fn deliveries_of_a_second(&self, rate_per_s: u32) -> u64 {
        let receivers: u64 = (0..self.publishers).map(|index| u64::from(self.receivers(index))).sum();
        (receivers * u64::from(rate_per_s)).div_ceil(u64::from(self.publishers))
    }

    /// Whether the broker has to store what is published.
    pub(crate) fn is_stored(&self) -> bool {
        self.presence != Subscribers::Clean
    }

    /// Messages that may be unacknowledged, of all publishers together.
    pub(crate) fn outstanding(&self) -> u32 {
        self.publishers * u32::from(self.window)
    }

    /// How many subscribers receive each message of a publisher, of those that are there.
    pub(crate) fn receivers(&self, publisher: u32) -> u32 {
        match self.presence {
            Subscribers::Away => 0,
            _ if self.shared => self.listeners(publisher).min(1),
            _ => self.listeners(publisher),
        }
    }

    /// How many subscribers have subscribed to what a publisher publishes.
    fn listeners(&self, publisher: u32) -> u32 {
        shares(self.subscribers, publisher % self.topics, self.topics)
    }

    /// How many publishers a subscriber hears.
    pub(crate) fn senders(&self, subscriber: u32) -> u32 {
        shares(self.publishers, subscriber % self.topics, self.topics)
    }

    fn apply(&mut self, overrides: &Overrides) -> Result<bool, Error> {
        let changed = [
            apply(&mut self.publishers, overrides.publishers),
            apply(&mut self.subscribers, overrides.subscribers),
            apply(&mut self.topics, overrides.topics),
            apply(&mut self.qos, overrides.qos),
            apply(&mut self.payload_bytes, overrides.payload_bytes),
            apply(&mut self.window, overrides.window),
            apply(&mut self.ahead_max, overrides.ahead_max),
            apply(&mut self.rate_per_s, overrides.rate_per_s.map(Some)),
            apply(&mut self.prefix, overrides.prefix),
            apply(&mut self.warm_up_messages, overrides.warm_up_messages),
            apply(&mut self.duration_ms, overrides.duration_ms),
        ];
        if self.publishers == 0 || self.subscribers == 0 || self.topics == 0 {
            return Err(Error::Usage("publishers, subscribers and topics must be 1 or more".to_owned()));
        }
        if self.window == 0 || self.ahead_max == 0 || self.duration_ms == 0 || self.rate_per_s == Some(0) {
            return Err(Error::Usage("window, ahead-max, rate and duration must be more than 0".to_owned()));
        }
        if (self.payload_bytes as usize) < STAMP_BYTES {
            return Err(Error::Usage(format!("payloads must have {STAMP_BYTES} bytes or more")));
        }
        if (0..self.topics.min(self.publishers)).all(|publisher| self.listeners(publisher) == 0) {
            return Err(Error::Usage("no subscriber would receive anything; use fewer topics".to_owned()));
        }
        if self.is_stored() && self.qos == QoS::AtMostOnce {
            return Err(Error::Usage("messages of QoS 0 are not stored for anybody".to_owned()));
        }
        if let (Some(rate_per_s), None) = (overrides.rate_per_s, overrides.warm_up_messages) {
            // Another rate shall not make the warm-up longer than a second or two.
            let of_a_second = match self.presence {
                Subscribers::Away => u64::from(rate_per_s),
                Subscribers::Clean | Subscribers::Persistent => self.deliveries_of_a_second(rate_per_s),
            };
            self.warm_up_messages = self.warm_up_messages.min(of_a_second);
        }
        Ok(changed.contains(&true))
    }
}

/// How many of `count` members fall on topic `topic` of `topics`.
fn shares(count: u32, topic: u32, topics: u32) -> u32 {
    count.saturating_sub(topic).div_ceil(topics)
}

fn apply<T>(field: &mut T, value: Option<T>) -> bool {
    let changed = value.is_some();
    if let Some(value) = value {
        *field = value;
    }
    changed
}

fn as_bits<S: serde::Serializer>(qos: &QoS, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(qos.bits())
}

/// The protocol version that a command line names: `3.1`, `3.1.1` or `5.0`.
///
/// # Errors
/// When it is none of them.
pub fn parse_version(text: &str) -> Result<ProtocolVersion, String> {
    [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5]
        .into_iter()
        .find(|version| version.to_string() == text)
        .ok_or_else(|| "must be 3.1, 3.1.1 or 5.0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::built_in::PAIRS;
    use super::*;

    #[test]
    fn topics_share_publishers_and_subscribers_out() {
        let traffic = Traffic { publishers: 7, subscribers: 5, topics: 3, ..PAIRS };
        assert_eq!([0, 1, 2, 3].map(|publisher| traffic.receivers(publisher)), [2, 2, 1, 2]);
        assert_eq!([0, 1, 2, 4].map(|subscriber| traffic.senders(subscriber)), [3, 2, 2, 2]);
        let deliveries: u32 = (0..7).map(|publisher| traffic.receivers(publisher)).sum();
        let expectations: u32 = (0..5).map(|subscriber| traffic.senders(subscriber)).sum();
        assert_eq!(deliveries, expectations);
    }

    #[test]
    fn a_built_in_scenario_is_valid_and_found_by_its_name() {
        for scenario in BUILT_IN {
            let found = by_name(&scenario.name).unwrap();
            assert_eq!(found.with(&Overrides::default()).unwrap(), scenario);
        }
        assert!(DEFAULT_NAMES.iter().all(|name| by_name(name).is_ok()));
        let stored = BUILT_IN.iter().filter(|scenario| scenario.load.baselines().is_some());
        let stored: Vec<_> = stored.map(|scenario| scenario.name.as_ref()).collect();
        assert_eq!(stored, STORE_NAMES);
        assert!(named("durable").unwrap().iter().all(|scenario| scenario.name.starts_with("durable-o")));
    }

    #[test]
    fn a_changed_scenario_describes_what_it_became() {
        let overrides = Overrides { qos: Some(QoS::AtLeastOnce), window: Some(5), ..Overrides::default() };
        let summary = by_name("qos0-10-10").unwrap().with(&overrides).unwrap().summary;
        assert!(summary.contains("QoS 1, window 5"), "{summary}");
    }

    #[test]
    fn a_scenario_in_which_nobody_receives_is_refused() {
        let wrong = [
            Overrides { subscribers: Some(0), ..Overrides::default() },
            Overrides { publishers: Some(0), ..Overrides::default() },
            Overrides { window: Some(0), ..Overrides::default() },
            Overrides { payload_bytes: Some(3), ..Overrides::default() },
        ];
        for overrides in wrong {
            assert!(by_name("qos1-10-10").unwrap().with(&overrides).is_err(), "{overrides:?}");
        }
    }
}
