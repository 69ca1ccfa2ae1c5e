//! Scenarios as data: who publishes what to whom, and how it is measured.
//!
//! Topics join publishers and subscribers: publisher `p` publishes to topic `p mod topics` and subscriber `s`
//! subscribes to topic `s mod topics`. So 10 publishers, 10 subscribers and 10 topics make ten pairs, and one
//! topic makes a fan-out or a fan-in. A new scenario is a new row of [`BUILT_IN`].
//!
//! Two limits close the loop. The `window` is MQTT's: messages of QoS 1 and 2 sent and not yet acknowledged.
//! `ahead_max` bounds, at every QoS, how far a publisher runs ahead of its subscribers; it keeps a QoS 0
//! publisher from filling every buffer on the way with minutes of work, and it is large enough that no broker
//! ever waits for the generator.

use std::borrow::Cow;

use dunlin_codec::{ProtocolVersion, QoS};
use serde::Serialize;

use crate::Error;
use crate::stamp::STAMP_BYTES;

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
}

/// Messages from publishers to subscribers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traffic {
    /// Publishing connections, 1 or more.
    pub publishers: u32,
    /// Subscribing connections, 1 or more, each with one Subscription.
    pub subscribers: u32,
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
    /// Messages each publisher may be ahead of what its subscribers have received, 1 or more.
    pub ahead_max: u32,
    /// Deliveries before the measurement begins.
    pub warm_up_messages: u64,
    /// How long is measured.
    pub duration_ms: u64,
}

/// Connections with one Subscription each that say nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Idle {
    /// Connections that are measured.
    pub connections: u32,
    /// Connections before the first reading, so that what a broker allocates once is not counted.
    pub warm_up_connections: u32,
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
    /// See [`Traffic::warm_up_messages`].
    pub warm_up_messages: Option<u64>,
    /// See [`Traffic::duration_ms`].
    pub duration_ms: Option<u64>,
    /// See [`Idle::connections`].
    pub connections: Option<u32>,
}

/// 10 publishers, 10 subscribers, 10 topics, 64 bytes: what the pairwise scenarios have in common.
const PAIRS: Traffic = Traffic {
    publishers: 10,
    subscribers: 10,
    topics: 10,
    qos: QoS::AtMostOnce,
    payload_bytes: 64,
    window: 20,
    ahead_max: 10_000,
    warm_up_messages: 100_000,
    duration_ms: 5_000,
};

/// The scenarios that a comparison runs when none is named.
pub const DEFAULT_NAMES: [&str; 4] = ["qos0-10-10", "fan-out-1-1000", "qos1-10-10", "idle"];

/// All scenarios that have a name.
pub const BUILT_IN: [Scenario; 7] = [
    Scenario {
        name: Cow::Borrowed("qos0-10-10"),
        summary: Cow::Borrowed("10 publishers to 10 subscribers in pairs, QoS 0, 64 bytes, saturated"),
        load: Load::Traffic(PAIRS),
    },
    Scenario {
        name: Cow::Borrowed("qos1-10-10"),
        summary: Cow::Borrowed(
            "10 publishers to 10 subscribers in pairs, QoS 1, window 20, 64 bytes, saturated",
        ),
        load: Load::Traffic(Traffic { qos: QoS::AtLeastOnce, ..PAIRS }),
    },
    Scenario {
        name: Cow::Borrowed("qos2-10-10"),
        summary: Cow::Borrowed(
            "10 publishers to 10 subscribers in pairs, QoS 2, window 20, 64 bytes, saturated",
        ),
        load: Load::Traffic(Traffic { qos: QoS::ExactlyOnce, ..PAIRS }),
    },
    Scenario {
        name: Cow::Borrowed("fan-out-1-100"),
        summary: Cow::Borrowed("1 publisher to 100 subscribers, QoS 0, 64 bytes, saturated"),
        load: Load::Traffic(Traffic {
            publishers: 1,
            subscribers: 100,
            topics: 1,
            ahead_max: 1_000,
            ..PAIRS
        }),
    },
    Scenario {
        name: Cow::Borrowed("fan-out-1-1000"),
        summary: Cow::Borrowed("1 publisher to 1,000 subscribers, QoS 0, 64 bytes, saturated"),
        load: Load::Traffic(Traffic {
            publishers: 1,
            subscribers: 1_000,
            topics: 1,
            ahead_max: 200,
            ..PAIRS
        }),
    },
    Scenario {
        name: Cow::Borrowed("fan-in-100-1"),
        summary: Cow::Borrowed("100 publishers to 1 subscriber, QoS 0, 64 bytes, saturated"),
        load: Load::Traffic(Traffic {
            publishers: 100,
            subscribers: 1,
            topics: 1,
            ahead_max: 1_000,
            ..PAIRS
        }),
    },
    Scenario {
        name: Cow::Borrowed("idle"),
        summary: Cow::Borrowed(
            "5,000 idle connections with one Subscription each: memory of the broker's process",
        ),
        load: Load::Idle(Idle { connections: 5_000, warm_up_connections: 100 }),
    },
];

/// The scenario of that name.
///
/// # Errors
/// When there is none; the message names all that there are.
pub fn by_name(name: &str) -> Result<Scenario, Error> {
    BUILT_IN.into_iter().find(|scenario| scenario.name == name).ok_or_else(|| {
        let names: Vec<_> = BUILT_IN.iter().map(|scenario| scenario.name.to_string()).collect();
        Error::Usage(format!("there is no scenario \"{name}\"; there are {}", names.join(", ")))
    })
}

impl Scenario {
    /// The scenario with what the command line says otherwise.
    ///
    /// # Errors
    /// When the result has nobody to publish or to receive, or payloads too small for their stamp.
    pub fn with(mut self, overrides: &Overrides) -> Result<Self, Error> {
        let changed = match &mut self.load {
            Load::Traffic(traffic) => traffic.apply(overrides)?,
            Load::Idle(idle) => apply(&mut idle.connections, overrides.connections),
        };
        if changed {
            self.summary = Cow::Owned(self.load.describe());
        }
        Ok(self)
    }
}

impl Load {
    fn describe(&self) -> String {
        match self {
            Self::Traffic(traffic) => {
                let Traffic { publishers, subscribers, topics, payload_bytes, .. } = traffic;
                let window = match traffic.qos {
                    QoS::AtMostOnce => String::new(),
                    _ => format!(", window {}", traffic.window),
                };
                format!(
                    "{publishers} publishers to {subscribers} subscribers over {topics} topics, QoS {}{window}, \
                     {payload_bytes} bytes, saturated",
                    traffic.qos.bits()
                )
            }
            Self::Idle(idle) => format!("{} idle connections with one Subscription each", idle.connections),
        }
    }
}

impl Traffic {
    /// The topic that publisher `index` publishes to and subscriber `index` subscribes to.
    pub(crate) fn topic(&self, index: u32) -> String {
        format!("dunlin-bench/{}", index % self.topics)
    }

    /// How many subscribers receive each message of a publisher.
    pub(crate) fn receivers(&self, publisher: u32) -> u32 {
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
            apply(&mut self.warm_up_messages, overrides.warm_up_messages),
            apply(&mut self.duration_ms, overrides.duration_ms),
        ];
        if self.publishers == 0 || self.subscribers == 0 || self.topics == 0 {
            return Err(Error::Usage("publishers, subscribers and topics must be 1 or more".to_owned()));
        }
        if self.window == 0 || self.ahead_max == 0 || self.duration_ms == 0 {
            return Err(Error::Usage("window, ahead-max and duration must be more than 0".to_owned()));
        }
        if (self.payload_bytes as usize) < STAMP_BYTES {
            return Err(Error::Usage(format!("payloads must have {STAMP_BYTES} bytes or more")));
        }
        if (0..self.topics.min(self.publishers)).all(|publisher| self.receivers(publisher) == 0) {
            return Err(Error::Usage("no subscriber would receive anything; use fewer topics".to_owned()));
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
