//! Messages from publishers to subscribers, as data.
//!
//! Topics join them: publisher `p` publishes to topic `p mod topics` and subscriber `s` subscribes to topic
//! `s mod topics`. So 10 publishers, 10 subscribers and 10 topics make ten pairs, and one topic makes a fan-out or a
//! fan-in.
//!
//! Two limits close the loop. The `window` is MQTT's: messages of QoS 1 and 2 sent and not yet acknowledged.
//! `ahead_max` bounds, at every QoS, how far a publisher runs ahead of its subscribers; it keeps a QoS 0
//! publisher from filling every buffer on the way with minutes of work, and it is large enough that no broker
//! ever waits for the generator. A `rate` opens the loop: messages are due at their times, and only the window holds
//! them back.

use std::str::FromStr;

use dunlin_codec::QoS;
use serde::{Serialize, Serializer};

use super::{Overrides, apply};
use crate::Error;
use crate::stamp::STAMP_BYTES;

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

/// How many messages of all publishers together are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// So many per second, 1 or more.
    PerSecond(u32),
    /// Half of what goes through when nothing but the limits holds publishers back, which is measured first.
    HalfOfSaturation,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("half", _) => Ok(Self::HalfOfSaturation),
            (_, Ok(rate @ 1..)) => Ok(Self::PerSecond(rate)),
            _ => Err(format!("must be 1 to {} messages per second, or half", u32::MAX)),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::PerSecond(rate) => serializer.serialize_u32(*rate),
            Self::HalfOfSaturation => serializer.serialize_str("half"),
        }
    }
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
    #[serde(serialize_with = "super::as_bits")]
    pub qos: QoS,
    /// The size of each payload in bytes, at least 12.
    pub payload_bytes: u32,
    /// QoS 1 and 2: messages each publisher may have unacknowledged, 1 to 65,535. A Receive Maximum of the
    /// broker lowers it.
    pub window: u16,
    /// Messages each publisher may be ahead of what its subscribers have received, 1 or more. Without meaning
    /// where there is a rate.
    pub ahead_max: u32,
    /// How many messages are due, each at its time; `None`: as many as the limits allow.
    pub rate: Option<Rate>,
    /// Deliveries before the measurement begins; acknowledgements, where messages are stored.
    pub warm_up_messages: u64,
    /// How long is measured.
    pub duration_ms: u64,
    /// What client identifiers begin with, and topics after `dunlin-`: two loads at once need two.
    pub prefix: &'static str,
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

    /// The same at a fixed rate.
    pub(crate) fn at_rate(&self, rate_per_s: u32) -> Self {
        let mut traffic = Self { rate: Some(Rate::PerSecond(rate_per_s)), ..self.clone() };
        traffic.warm_up_for_a_second(rate_per_s);
        traffic
    }

    /// A rate shall not make the warm-up longer than a second or two.
    fn warm_up_for_a_second(&mut self, rate_per_s: u32) {
        let of_a_second = match self.presence {
            Subscribers::Away => u64::from(rate_per_s),
            Subscribers::Clean | Subscribers::Persistent => {
                (self.deliveries() * u64::from(rate_per_s)).div_ceil(u64::from(self.publishers))
            }
        };
        self.warm_up_messages = self.warm_up_messages.min(of_a_second);
    }

    /// Deliveries that one message of each publisher makes.
    pub(crate) fn deliveries(&self) -> u64 {
        (0..self.publishers).map(|index| u64::from(self.receivers(index))).sum()
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

    pub(super) fn apply(&mut self, overrides: &Overrides) -> Result<bool, Error> {
        let changed = [
            apply(&mut self.publishers, overrides.publishers),
            apply(&mut self.subscribers, overrides.subscribers),
            apply(&mut self.topics, overrides.topics),
            apply(&mut self.qos, overrides.qos),
            apply(&mut self.payload_bytes, overrides.payload_bytes),
            apply(&mut self.window, overrides.window),
            apply(&mut self.ahead_max, overrides.ahead_max),
            apply(&mut self.rate, overrides.rate.map(Some)),
            apply(&mut self.prefix, overrides.prefix),
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
        if (0..self.topics.min(self.publishers)).all(|publisher| self.listeners(publisher) == 0) {
            return Err(Error::Usage("no subscriber would receive anything; use fewer topics".to_owned()));
        }
        if self.is_stored() && self.qos == QoS::AtMostOnce {
            return Err(Error::Usage("messages of QoS 0 are not stored for anybody".to_owned()));
        }
        if let (Some(Rate::PerSecond(rate_per_s)), None) = (overrides.rate, overrides.warm_up_messages) {
            self.warm_up_for_a_second(rate_per_s);
        }
        Ok(changed.contains(&true))
    }

    pub(super) fn describe(&self) -> String {
        let Traffic { publishers, subscribers, topics, payload_bytes, .. } = self;
        let window = match self.qos {
            QoS::AtMostOnce => String::new(),
            _ => format!(", window {}", self.window),
        };
        let presence = match self.presence {
            Subscribers::Clean if self.shared => " in a shared group",
            Subscribers::Clean => "",
            Subscribers::Persistent => " with persistent Sessions",
            Subscribers::Away => " that are away",
        };
        let speed = match self.rate {
            None => "saturated".to_owned(),
            Some(Rate::PerSecond(rate)) => format!("{rate} messages a second"),
            Some(Rate::HalfOfSaturation) => "at half of saturation".to_owned(),
        };
        format!(
            "{publishers} publishers to {subscribers} subscribers{presence} over {topics} topics, \
             QoS {}{window}, {payload_bytes} bytes, {speed}",
            self.qos.bits()
        )
    }
}

/// How many of `count` members fall on topic `topic` of `topics`.
fn shares(count: u32, topic: u32, topics: u32) -> u32 {
    count.saturating_sub(topic).div_ceil(topics)
}

#[cfg(test)]
mod tests {
    use super::super::built_in::PAIRS;
    use super::*;

    #[test]
    fn topics_share_publishers_and_subscribers_out() {
        let traffic = Traffic { publishers: 7, subscribers: 5, topics: 3, ..PAIRS };
        assert_eq!([0, 1, 2, 3].map(|publisher| traffic.receivers(publisher)), [2, 2, 1, 2]);
        assert_eq!([0, 1, 2, 4].map(|subscriber| traffic.senders(subscriber)), [3, 2, 2, 2]);
        let expectations: u32 = (0..5).map(|subscriber| traffic.senders(subscriber)).sum();
        assert_eq!(traffic.deliveries(), u64::from(expectations));
    }

    #[test]
    fn a_rate_is_a_number_or_half() {
        assert_eq!("half".parse(), Ok(Rate::HalfOfSaturation));
        assert_eq!("2000".parse(), Ok(Rate::PerSecond(2_000)));
        for wrong in ["0", "-1", "halves", "4294967296", ""] {
            assert!(wrong.parse::<Rate>().unwrap_err().contains("or half"), "{wrong}");
        }
    }
}
