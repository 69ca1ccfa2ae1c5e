//! The topics of `dunlin top`: the busiest, which the broker counts while this page is looked at.

use std::cmp::Ordering;

use serde::Deserialize;

use crate::cli::remote::{Broker, Failure};

/// Topics of one question: the most that the API lists.
const TOPICS_MAX: usize = 1000;

/// What the broker has counted since the look before.
#[derive(Debug, Clone, Deserialize)]
pub struct Topics {
    pub topics: Vec<Topic>,
    /// How many there are in all.
    pub matched: u64,
    /// Messages of topics that are too many to be kept apart.
    pub other_messages_per_s: f64,
}

/// One topic with its rates.
#[derive(Debug, Clone, Deserialize)]
pub struct Topic {
    pub topic: String,
    pub messages_per_s: f64,
    pub bytes_per_s: f64,
    /// So many more messages there can have been.
    pub missed_per_s_max: f64,
}

/// By what topics are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TopicOrder {
    #[default]
    Messages,
    Bytes,
    Topic,
}

impl TopicOrder {
    /// The one that follows when somebody goes through all of them.
    pub fn next(self) -> Self {
        match self {
            Self::Messages => Self::Bytes,
            Self::Bytes => Self::Topic,
            Self::Topic => Self::Messages,
        }
    }

    /// What the title says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages per second",
            Self::Bytes => "bytes per second",
            Self::Topic => "topic",
        }
    }

    /// Which of two stands higher; those that are equal stand by name, so that they stay where they are.
    pub fn compare(self, a: &Topic, b: &Topic) -> Ordering {
        let order = match self {
            Self::Messages => b.messages_per_s.total_cmp(&a.messages_per_s),
            Self::Bytes => b.bytes_per_s.total_cmp(&a.bytes_per_s),
            Self::Topic => Ordering::Equal,
        };
        order.then_with(|| a.topic.cmp(&b.topic))
    }
}

/// Asks for the busiest.
pub fn ask(broker: &Broker) -> Result<Topics, Failure> {
    broker.read(&format!("/api/v1/topics/rates?limit={TOPICS_MAX}"))
}
