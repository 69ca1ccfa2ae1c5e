//! The traces that a worker takes part in.

use super::packet::{fields, of_connect};
use super::{Fields, Happened, TraceLine, TraceRequest, TraceSender};
use crate::transport::Peer;
use crate::worker::{RefusalReason, Worker};
use dunlin_codec::{ReasonCode, TopicFilter, TopicName};
use dunlin_core::connection::Cause;
use dunlin_core::handshake::ConnectRequest;
use dunlin_core::identity::ClientIdentifier;
use dunlin_core::shard::{TraceEvent, TraceWish, Traced};
use dunlin_core::slots::Key;
use serde_json::json;
use std::net::IpAddr;
use time::OffsetDateTime;

/// See the top of the file.
#[derive(Default)]
pub(crate) struct Tracers(Vec<Tracer>);

struct Tracer {
    number: u64,
    request: TraceRequest,
    sender: TraceSender,
}

impl Tracers {
    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Somebody watches from now on.
    pub fn begin(worker: &Worker, number: u64, request: TraceRequest, sender: TraceSender) {
        worker.tracers.borrow_mut().0.push(Tracer { number, request, sender });
        Self::set_wish(worker);
    }

    /// Somebody does not watch any more.
    pub fn end(worker: &Worker, number: u64) {
        worker.tracers.borrow_mut().0.retain(|tracer| tracer.number != number);
        Self::set_wish(worker);
    }

    /// Tells the shard who and what is watched.
    pub fn set_wish(worker: &Worker) {
        let mut wish = TraceWish::default();
        for tracer in &worker.tracers.borrow().0 {
            match &tracer.request {
                TraceRequest::Client(client) => wish.clients.push(client.clone()),
                TraceRequest::Topic(filter) => wish.topic_filters.push(filter.clone()),
                TraceRequest::Address(address) => wish.connections.extend(at_address(worker, *address)),
            }
        }
        worker.shard.borrow_mut().set_trace(wish);
    }

    /// Whether a client at this address would be watched for that.
    pub fn want_address(&self, address: Option<IpAddr>) -> bool {
        self.0
            .iter()
            .any(|tracer| matches!(tracer.request, TraceRequest::Address(wanted) if Some(wanted) == address))
    }

    /// Hands on what the shard has seen in this turn.
    pub fn take(worker: &Worker) {
        let now = OffsetDateTime::now_utc();
        loop {
            let Some(event) = worker.shard.borrow_mut().poll_trace() else {
                break;
            };
            let link = event.connection.and_then(|key| worker.link(key));
            let address = link.as_ref().map(|link| link.description.peer().to_string());
            let ip = link.as_ref().and_then(|link| link.description.peer().ip());
            let topic = event.topic.clone();
            let line = line(now, event, address);
            worker.tracers.borrow().hand_on(&line, ip, topic.as_deref());
        }
        let lost = worker.shard.borrow_mut().take_trace_lost();
        if lost > 0 {
            worker.tracers.borrow().0.iter().for_each(|tracer| tracer.sender.lose(lost));
        }
    }

    /// A connection has ended.
    pub fn closed(worker: &Worker, key: Key, cause: &Cause) {
        let Some(link) = worker.link(key) else { return };
        let mut details = Fields::new();
        details.insert("cause".to_owned(), json!(cause.detail()));
        if let Some(reason_code) = cause.reason_code() {
            details.insert("reason_code".to_owned(), json!(reason_code.to_string()));
        }
        let line = TraceLine {
            at: OffsetDateTime::now_utc(),
            client: link.description.client().as_str().to_owned(),
            address: Some(link.description.peer().to_string()),
            event: Happened::Closed,
            packet: None,
            details,
        };
        worker.tracers.borrow().hand_on(&line, link.description.peer().ip(), None);
    }

    /// A connection came to nothing: the client was told the Reason Code, and may have said who it is.
    pub fn refused(
        worker: &Worker,
        peer: Peer,
        reason: RefusalReason,
        told: Option<(ReasonCode, Option<&ClientIdentifier>)>,
        detail: &str,
    ) {
        if worker.tracers.borrow().is_empty() {
            return;
        }
        let mut details = Fields::new();
        details.insert("kind".to_owned(), json!(reason.name()));
        details.insert("reason".to_owned(), json!(detail));
        if let Some((reason_code, _)) = told {
            details.insert("reason_code".to_owned(), json!(reason_code.to_string()));
        }
        let client = told.and_then(|(_, client)| client);
        let line = TraceLine {
            at: OffsetDateTime::now_utc(),
            client: client.map(|client| client.as_str().to_owned()).unwrap_or_default(),
            address: Some(peer.to_string()),
            event: Happened::Refused,
            packet: Some("CONNECT".into()).filter(|_| client.is_some()),
            details,
        };
        worker.tracers.borrow().hand_on(&line, peer.ip(), None);
    }

    /// Gives a line to those who want it.
    pub fn hand_on(&self, line: &TraceLine, address: Option<IpAddr>, topic: Option<&str>) {
        for tracer in &self.0 {
            let is_wanted = match &tracer.request {
                TraceRequest::Client(client) => client.as_str() == line.client,
                TraceRequest::Address(wanted) => Some(*wanted) == address,
                TraceRequest::Topic(filter) => topic.is_some_and(|topic| matches(filter, topic)),
            };
            if is_wanted {
                tracer.sender.send(line.clone());
            }
        }
    }
}

/// The line that says that a client has connected.
pub(crate) fn connected_line(request: &ConnectRequest, address: String) -> TraceLine {
    TraceLine {
        at: OffsetDateTime::now_utc(),
        client: request.client_identifier.as_str().to_owned(),
        address: Some(address),
        event: Happened::Connected,
        packet: Some("CONNECT".into()),
        details: of_connect(request),
    }
}

fn at_address(worker: &Worker, address: IpAddr) -> Vec<Key> {
    let links = worker.links.borrow();
    let here = links.iter().flatten().filter(|link| link.description.peer().ip() == Some(address));
    here.map(|link| link.key).collect()
}

fn matches(filter: &str, topic: &str) -> bool {
    match (TopicFilter::parse(filter), TopicName::parse(topic)) {
        (Ok(filter), Ok(topic)) => filter.matches(topic),
        _ => false,
    }
}

fn line(at: OffsetDateTime, event: TraceEvent, address: Option<String>) -> TraceLine {
    let mut details = Fields::new();
    if let Some(topic) = &event.topic {
        details.insert("topic".to_owned(), json!(topic));
    }
    let (happened, packet) = match event.traced {
        Traced::Received(packet) => {
            let (name, fields) = fields(&packet);
            details = merged(fields, details);
            (Happened::Received, Some(name.into()))
        }
        Traced::Sent(packet) => {
            let (name, fields) = fields(&packet);
            details = merged(fields, details);
            (Happened::Sent, Some(name.into()))
        }
        Traced::Refused { reason_code, rule } => {
            details.insert("reason_code".to_owned(), json!(reason_code.to_string()));
            rule.map(|rule| details.insert("rule".to_owned(), json!(rule)));
            (Happened::Refused, None)
        }
        Traced::Dropped { reason, rule } => {
            details.insert("reason".to_owned(), json!(reason.name()));
            rule.map(|rule| details.insert("rule".to_owned(), json!(rule)));
            (Happened::Dropped, None)
        }
    };
    let client = event.client.as_str().to_owned();
    TraceLine { at, client, address, event: happened, packet, details }
}

/// What the packet says, but the topic that an alias stands for instead of an empty one.
fn merged(mut fields: Fields, known: Fields) -> Fields {
    for (name, value) in known {
        fields.insert(name, value);
    }
    fields
}
