//! What happened in a run, as an observer above broker and clients saw it.
//!
//! Every fact carries the number of its event, so that "before" is a comparison. The checkers (`checks.rs`)
//! read nothing else. A payload begins with the number of its [`Publication`], and the rest follows from that
//! number, so that a message that nobody sent, or that was damaged on the way, is recognised by itself.
//!
//! A [`Session`] here is one life of a broker's Session: Clean Start, expiry or the loss of a non-persistent
//! connection begin another one with the same client identifier.

use dunlin_codec::{QoS, TopicFilter, TopicName};
use dunlin_core::journal::SessionNumber;
use dunlin_core::time::Timestamp;

/// One message, as its publisher meant it.
pub struct Publication {
    pub publisher: usize,
    pub topic: &'static str,
    pub qos: QoS,
    pub retain: bool,
    pub payload_length: usize,
    pub expires_at: Option<Timestamp>,
    /// When the publisher first sent it.
    pub began: Option<u64>,
    /// When the publisher last sent it.
    pub sent_last: u64,
    /// When PUBACK or PUBREC reached the publisher.
    pub acknowledged: Option<u64>,
    /// The publisher's Session at each transmission.
    pub transmissions: Vec<usize>,
    /// Whether it is a Will, sent by the broker.
    pub is_will: bool,
    /// A Will that a DISCONNECT has deleted: must not arrive from this event on.
    pub withdrawn: Option<u64>,
}

impl Publication {
    /// How often the broker may have taken it in: QoS 2 once in each Session of its publisher, others once
    /// for each transmission.
    pub fn copies_max(&self) -> usize {
        if self.is_will {
            return 1;
        }
        if self.qos != QoS::ExactlyOnce {
            return self.transmissions.len();
        }
        let mut sessions = self.transmissions.clone();
        sessions.dedup();
        sessions.len()
    }
}

/// One subscription of one life of a Session.
pub struct Subscription {
    /// The whole filter, `$share/...` included.
    pub filter: &'static str,
    pub qos: QoS,
    pub no_local: bool,
    /// When SUBACK reached the client.
    pub acknowledged: Option<u64>,
    /// When the client sent UNSUBSCRIBE, or subscribed to the same filter again.
    pub ended: Option<u64>,
}

impl Subscription {
    /// Whether it is a member's of a shared group.
    pub fn is_shared(&self) -> bool {
        self.filter.starts_with("$share/")
    }

    /// Whether a topic matches it.
    pub fn matches(&self, topic: &str) -> bool {
        let filter = if self.is_shared() {
            self.filter.splitn(3, '/').nth(2).unwrap_or_default()
        } else {
            self.filter
        };
        let (filter, topic) = (TopicFilter::parse(filter), TopicName::parse(topic));
        filter.unwrap().matches(topic.unwrap())
    }
}

/// One message that reached a client, once by the rules of its QoS.
#[derive(Clone)]
pub struct Arrival {
    pub event: u64,
    pub publication: usize,
    pub qos: QoS,
    pub dup: bool,
    pub retain: bool,
    /// On which Network Connection.
    pub wire: usize,
    /// How many bytes of the client the broker must have read for it to know of the acknowledgement.
    pub acknowledged_at: Option<u64>,
}

/// One life of a Session.
pub struct Session {
    pub client: usize,
    pub subscriptions: Vec<Subscription>,
    pub arrivals: Vec<Arrival>,
    pub is_over: bool,
    pub maximum_packet_size: Option<u32>,
    /// Its name in records, if it outlives connections.
    pub number: Option<SessionNumber>,
    /// A CONNACK has told of it.
    pub is_known: bool,
    /// Its expiry has passed, or a crash has shown that it is no more.
    pub is_gone: bool,
    /// When the client went, since it last heard CONNACK.
    pub absences: Vec<Timestamp>,
}

/// See the top of the file.
#[derive(Default)]
pub struct History {
    events: u64,
    pub publications: Vec<Publication>,
    pub sessions: Vec<Session>,
    /// When the broker crashed.
    pub crashes: Vec<u64>,
    complaint: Option<String>,
}

impl History {
    /// Numbers the next event.
    pub fn event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    /// How often the broker has crashed after an event.
    pub fn crashes_after(&self, event: u64) -> usize {
        self.crashes.iter().filter(|crash| **crash > event).count()
    }

    /// Notes that the broker broke a rule; the first complaint counts.
    pub fn complain(&mut self, complaint: String) {
        self.complaint.get_or_insert(complaint);
    }

    /// The first complaint.
    pub fn verdict(&self) -> Result<(), String> {
        self.complaint.clone().map_or(Ok(()), Err)
    }

    /// The payload of a publication.
    pub fn payload(&self, publication: usize) -> Vec<u8> {
        payload(publication, self.publications[publication].payload_length)
    }

    /// The publication a payload belongs to.
    pub fn recognise(&self, payload: &[u8]) -> Option<usize> {
        let number = u32::from_be_bytes(*payload.first_chunk()?) as usize;
        (self.publications.get(number)?.began.is_some() && self.payload(number) == payload).then_some(number)
    }
}

/// Empty when it clears a Retained Message.
fn payload(publication: usize, length: usize) -> Vec<u8> {
    if length == 0 {
        return Vec::new();
    }
    let mut payload = (publication as u32).to_be_bytes().to_vec();
    payload.extend((4..length).map(|position| (publication * 31 + position * 7) as u8));
    payload
}
