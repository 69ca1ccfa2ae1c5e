//! One line of a trace.

use super::Fields;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use time::OffsetDateTime;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceLine {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The client identifier; empty where a connection was refused before it named one.
    pub client: String,
    /// Where the client is, if it is connected.
    pub address: Option<String>,
    /// What happened.
    pub event: Happened,
    /// The type of the packet, where one came or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet: Option<Cow<'static, str>>,
    /// What is in it, or what was decided.
    pub details: Fields,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Happened {
    /// The client has connected.
    Connected,
    /// A packet came from it.
    Received,
    /// A packet went to it.
    Sent,
    /// What it wanted was not accepted, be it the connection.
    Refused,
    /// A message did not reach it.
    Dropped,
    /// Its connection has ended.
    Closed,
}

impl Happened {
    /// What a line for people has in its place.
    fn sign(self) -> &'static str {
        match self {
            Self::Connected => "++",
            Self::Received => "->",
            Self::Sent => "<-",
            Self::Refused => "!! refused",
            Self::Dropped => "!! dropped",
            Self::Closed => "--",
        }
    }
}

impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = self.at.to_hms();
        let milli = self.at.millisecond();
        let client = if self.client.is_empty() { "-" } else { &self.client };
        write!(f, "{hour:02}:{minute:02}:{second:02}.{milli:03} {client} {}", self.event.sign())?;
        if let Some(packet) = &self.packet {
            write!(f, " {packet}")?;
        }
        self.details.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}
