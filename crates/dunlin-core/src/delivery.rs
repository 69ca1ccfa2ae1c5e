//! A message on its way to one receiver, and what is left of it when it has arrived.

use crate::group::Ticket;
use crate::journal::Segment;
use crate::message::ApplicationMessage;
use dunlin_codec::QoS;

/// The Subscription Identifiers of a delivery. Most have none or one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identifiers {
    /// None.
    #[default]
    None,
    /// One.
    One(u32),
    /// Several: overlapping subscriptions.
    Many(Box<[u32]>),
}

impl Identifiers {
    /// From a list.
    pub fn from_slice(identifiers: &[u32]) -> Self {
        match identifiers {
            [] => Self::None,
            [one] => Self::One(*one),
            many => Self::Many(many.into()),
        }
    }

    /// As a list.
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A message for one Session: the shared body and what is particular to this delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub message: ApplicationMessage,
    /// At which QoS it is delivered: 1 or 2.
    pub qos: QoS,
    /// With which RETAIN flag.
    pub retain: bool,
    /// With which Subscription Identifiers.
    pub identifiers: Identifiers,
    /// Where it came from, if from a shared group.
    pub ticket: Option<Box<Ticket>>,
    /// Its place among all messages of the Session ([`Outbound::take_order`](crate::session::Outbound::take_order)).
    pub order: u64,
    /// The store's log has it in this segment or later; none if the store does not know it.
    pub recorded_in: Option<Segment>,
}

impl Delivery {
    /// What it costs in a queue, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.message.size_bytes() + size_of_val(self.identifiers.as_slice())
    }
}

/// What is left of a message that the client has received: what its records are called by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its place among all messages of the Session.
    pub order: u64,
    /// The store's log has it in this segment or later; none if the store does not know it.
    pub recorded_in: Option<Segment>,
    /// Where it came from, if from a shared group.
    pub ticket: Option<Box<Ticket>>,
}

impl From<Delivery> for Finished {
    fn from(Delivery { order, recorded_in, ticket, .. }: Delivery) -> Self {
        Self { order, recorded_in, ticket }
    }
}
