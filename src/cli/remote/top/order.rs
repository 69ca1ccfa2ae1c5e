//! By what `dunlin top` sorts clients.
//!
//! The API does not know rates, so for those the clients with the highest counts are fetched: whoever is busy is among
//! them before long.

use std::cmp::Ordering;

use super::figures::Row;
use crate::cli::remote::clients::Sort;

/// See the top of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Rate,
    Received,
    Sent,
    Queued,
    InFlight,
    Dropped,
    Client,
}

impl Order {
    /// The one that follows when somebody goes through all of them.
    pub fn next(self) -> Self {
        match self {
            Self::Rate => Self::Received,
            Self::Received => Self::Sent,
            Self::Sent => Self::Queued,
            Self::Queued => Self::InFlight,
            Self::InFlight => Self::Dropped,
            Self::Dropped => Self::Client,
            Self::Client => Self::Rate,
        }
    }

    /// What the title says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "messages per second",
            Self::Received => "messages received per second",
            Self::Sent => "messages sent per second",
            Self::Queued => "queued messages",
            Self::InFlight => "messages in flight",
            Self::Dropped => "messages dropped",
            Self::Client => "client identifier",
        }
    }

    /// The lists in which the broker is asked for.
    pub fn questions(self) -> &'static [Sort] {
        match self {
            Self::Rate => &[Sort::MessagesReceived, Sort::MessagesSent],
            Self::Received => &[Sort::MessagesReceived],
            Self::Sent => &[Sort::MessagesSent],
            Self::Queued => &[Sort::QueuedMessages],
            Self::InFlight => &[Sort::InFlightMessages],
            Self::Dropped => &[Sort::Dropped],
            Self::Client => &[Sort::Client],
        }
    }

    /// Which of two stands higher; those that are equal stand by name, so that they stay where they are.
    pub fn compare(self, a: &Row, b: &Row) -> Ordering {
        let by_count = |count: fn(&Row) -> u64| count(b).cmp(&count(a));
        let by_rate = |rate: fn(&Row) -> f64| rate(b).total_cmp(&rate(a));
        let order = match self {
            Self::Rate => by_rate(|row| row.received_per_s + row.sent_per_s),
            Self::Received => by_rate(|row| row.received_per_s),
            Self::Sent => by_rate(|row| row.sent_per_s),
            Self::Queued => by_count(|row| row.client.queued_messages),
            Self::InFlight => by_count(|row| row.client.in_flight_messages),
            Self::Dropped => by_count(|row| row.client.dropped),
            Self::Client => Ordering::Equal,
        };
        order.then_with(|| a.client.client.cmp(&b.client.client))
    }
}
