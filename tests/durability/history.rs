//! What happened in a run, as an observer above broker and clients saw it.
//!
//! The load runs on one thread, so every fact has the number of its event, and "before" is a comparison. A
//! fact that the clients know ("it was acknowledged") is noted when its bytes were read, a fact that they
//! bring about ("it began") before its bytes leave: so nothing here claims more than the broker has said.
//!
//! A payload says who sent it, its number and its length, and the rest follows from the number: a message
//! that nobody sent, or that was damaged in the store, is recognised by itself.

use std::collections::BTreeSet;

use dunlin_codec::{QoS, TopicFilter, TopicName};

/// What decides that a message is sent, and when the broker is bound to deliver it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// PUBLISH with a payload.
    Message,
    /// PUBLISH that clears a Retained Message. It is empty, so nobody can tell it from others like it.
    Clearing,
    /// A Will. It begins when its connection ends.
    Will,
}

/// One message, as its publisher meant it.
pub struct Publication {
    pub kind: Kind,
    pub publisher: usize,
    pub topic: &'static str,
    pub qos: QoS,
    pub retain: bool,
    pub filler_length: usize,
    /// When its bytes were first sent.
    pub began: Option<u64>,
    /// When they were last sent.
    pub sent_last: u64,
    /// When the broker became bound to deliver it: PUBACK or PUBREC was read, or the connection of a Will
    /// ended.
    pub acknowledged: Option<u64>,
    /// A Will that was deleted, as its client knows.
    pub is_withdrawn: bool,
    /// Kills before it began.
    pub kills: usize,
}

/// One subscription of one client.
pub struct Subscription {
    pub client: usize,
    pub filter: &'static str,
    pub qos: QoS,
    /// When SUBACK was read.
    pub acknowledged: Option<u64>,
    /// When UNSUBSCRIBE was sent.
    pub ended: Option<u64>,
    /// When UNSUBACK was read.
    pub gone: Option<u64>,
}

/// One message that reached a client, once by the rules of its QoS.
#[derive(Clone)]
pub struct Arrival {
    pub client: usize,
    pub publication: usize,
    pub qos: QoS,
    pub retain: bool,
}

/// What a moment can be counted in.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Count {
    Connections,
    Publications,
    Acknowledgements,
    Arrivals,
}

/// See the top of the file.
#[derive(Default)]
pub struct History {
    pub events: u64,
    pub kills: usize,
    pub counts: [usize; 4],
    pub clients: Vec<String>,
    pub publications: Vec<Publication>,
    pub subscriptions: Vec<Subscription>,
    pub arrivals: Vec<Arrival>,
    arrived: BTreeSet<(usize, usize)>,
    complaint: Option<String>,
}

impl Subscription {
    /// Whether it is a member's of a shared group.
    pub fn is_shared(&self) -> bool {
        self.filter.starts_with("$share/")
    }

    /// Whether a topic matches it.
    pub fn matches(&self, topic: &str) -> bool {
        let filter = match self.is_shared() {
            true => self.filter.splitn(3, '/').nth(2).unwrap_or_default(),
            false => self.filter,
        };
        let filter = TopicFilter::parse(filter).expect("a filter");
        filter.matches(TopicName::parse(topic).expect("a topic"))
    }

    /// Whether the client knew of it before the message was first sent, and kept it.
    pub fn is_bound_to(&self, publication: &Publication) -> bool {
        let is_before = self.acknowledged.zip(publication.began).is_some_and(|(known, began)| known < began);
        // What waited for a filter that was unsubscribed may be dropped with it.
        is_before && self.ended.is_none() && self.matches(publication.topic)
    }
}

impl History {
    /// Numbers the next event.
    pub fn event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    /// Counts towards a moment.
    pub fn count(&mut self, count: Count) {
        self.counts[count as usize] += 1;
    }

    /// Notes that the broker broke a rule; the first complaint counts.
    pub fn complain(&mut self, complaint: String) {
        self.complaint.get_or_insert(complaint);
    }

    /// The first complaint.
    pub fn verdict(&self) -> Result<(), String> {
        self.complaint.clone().map_or(Ok(()), Err)
    }

    /// Plans a message; its number.
    pub fn announce(
        &mut self,
        kind: Kind,
        publisher: usize,
        topic: &'static str,
        qos: QoS,
        filler_length: usize,
    ) -> usize {
        self.publications.push(Publication {
            kind,
            publisher,
            topic,
            qos,
            retain: false,
            filler_length,
            began: None,
            sent_last: 0,
            acknowledged: None,
            is_withdrawn: false,
            kills: 0,
        });
        self.publications.len() - 1
    }

    /// Notes that a message is being sent, for the first time or again.
    pub fn begin(&mut self, publication: usize) {
        let (event, kills) = (self.event(), self.kills);
        let publication = &mut self.publications[publication];
        if publication.began.is_none() {
            (publication.began, publication.kills) = (Some(event), kills);
        }
        publication.sent_last = event;
        self.count(Count::Publications);
    }

    /// Notes that the broker is bound to deliver a message.
    pub fn acknowledge(&mut self, publication: usize) {
        let event = self.event();
        self.publications[publication].acknowledged.get_or_insert(event);
        self.count(Count::Acknowledgements);
    }

    /// Notes an arrival.
    pub fn arrive(&mut self, arrival: Arrival) {
        self.event();
        self.count(Count::Arrivals);
        if !arrival.retain {
            self.arrived.insert((arrival.client, arrival.publication));
        }
        self.arrivals.push(arrival);
    }

    /// Whether a message has come to a client as it was published, not as a Retained Message.
    pub fn has_arrived(&self, client: usize, publication: usize) -> bool {
        self.arrived.contains(&(client, publication))
    }

    /// The payload of a publication.
    pub fn payload(&self, number: usize) -> Vec<u8> {
        let publication = &self.publications[number];
        if publication.kind == Kind::Clearing {
            return Vec::new();
        }
        let length = publication.filler_length;
        let mut payload = format!("{} {number} {length} ", publication.publisher).into_bytes();
        payload.extend((0..length).map(|position| (number * 31 + position * 7) as u8));
        payload
    }

    /// The publication a payload belongs to.
    pub fn recognise(&self, payload: &[u8]) -> Option<usize> {
        let number = payload.split(|byte| *byte == b' ').nth(1)?;
        let number: usize = std::str::from_utf8(number).ok()?.parse().ok()?;
        (number < self.publications.len() && self.payload(number) == payload).then_some(number)
    }

    /// A message, for a complaint.
    pub fn describe(&self, number: usize) -> String {
        let publication = &self.publications[number];
        let what = if publication.kind == Kind::Will { "Will" } else { "message" };
        format!(
            "{what} {number} ({}, QoS {}, by {}, begun after {} kills)",
            publication.topic,
            publication.qos.bits(),
            self.clients[publication.publisher],
            publication.kills
        )
    }
}
