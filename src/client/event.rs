//! What a client tells whoever drives it.

use std::time::Duration;

use dunlin_codec::ReasonCode;

use super::error::ClientError;
use super::message::Message;

/// What a client tells.
#[derive(Debug)]
pub enum Event {
    /// There is a connection.
    Connected {
        /// Whether the broker has the Session, with its Subscriptions.
        session_present: bool,
    },
    /// A message has come; [`Client::acknowledge`] is due when it is dealt with.
    Message(Box<Message>),
    /// A message is with the broker; at QoS 0, with the network.
    Published,
    /// A message is not published.
    NotPublished {
        /// What [`Client::publish`] returned.
        number: u64,
        /// Why.
        reason_code: ReasonCode,
        /// The same in other words: the broker's, or ours, if it was not sent.
        explanation: Option<String>,
    },
    /// SUBACK, with a code for each filter.
    Subscribed {
        /// The codes.
        reason_codes: Vec<ReasonCode>,
        /// The broker's Reason String.
        explanation: Option<String>,
    },
    /// UNSUBACK, with a code for each filter in 5.0.
    Unsubscribed {
        /// The codes.
        reason_codes: Vec<ReasonCode>,
    },
    /// [`Client::has_room`] would say yes again.
    Room,
    /// There is no connection; another attempt follows.
    Lost {
        /// Why.
        error: ClientError,
        /// When it follows.
        pause: Duration,
    },
}
