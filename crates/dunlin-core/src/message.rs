//! Application Messages, as they are routed and as they are kept.
//!
//! A PUBLISH is routed from the bytes it arrived in: a [`Publication`] borrows them, and a QoS 0 message for
//! connected clients never becomes anything else. Only when somebody has to keep it (a queue, an
//! unacknowledged delivery, the retained tree, another shard) is it copied once into an
//! [`ApplicationMessage`], which all of them share. It is one allocation: the [`Head`], then Topic Name, forwarded
//! properties and payload. Only a long payload is beside it, so that it can be sent without being copied.
//!
//! The forwarded properties are the encoded bytes of 5.0 section 3.3.2.3 that a Server must pass on
//! unaltered; the others (expiry, alias, Subscription Identifiers) are made anew for each receiver.

use crate::connection::SHARED_PAYLOAD_MIN_BYTES;
use crate::identity::{ClientIdentifier, Identity};
use crate::journal::Segment;
use crate::time::Timestamp;
use bytes::Bytes;
use dunlin_codec::QoS;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use triomphe::ThinArc;

/// Messages up to this length are put together without an allocation that only serves that.
const SCRATCH_BYTES: usize = 256;

/// Names a message for ever: who took it in, in which life of the process, and its place in that order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct MessageId {
    /// When the shard took it in; strictly increasing within one shard, so it is also the sequence number.
    pub received_at: Timestamp,
    /// Distinguishes the lives of a process, and the nodes of a cluster.
    pub boot_epoch: u32,
    /// The shard that took it in.
    pub origin: u16,
}

/// Memory that grows with what clients do. Bytes of message bodies alive are counted by the shard that made them
/// and given back by whoever drops the last reference.
#[derive(Clone, Debug, Default)]
pub struct MemoryGauge(Arc<Gauge>);

#[derive(Debug, Default)]
struct Gauge {
    bytes: AtomicUsize,
    stored_bytes: AtomicUsize,
    session_bytes: AtomicUsize,
}

impl MemoryGauge {
    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Topics, properties and payloads of the messages that the store has, in memory or not.
    pub fn stored_bytes(&self) -> usize {
        self.0.stored_bytes.load(Ordering::Relaxed)
    }

    /// What Sessions, their subscriptions and the places in their queues take beside message bodies, about.
    pub fn session_bytes(&self) -> usize {
        self.0.session_bytes.load(Ordering::Relaxed)
    }

    /// A Session took so much beside message bodies, and takes so much now.
    pub(crate) fn note_session(&self, before: usize, after: usize) {
        // Wraps around when it has become less, as it should.
        self.0.session_bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    /// The content of messages that the store alone has was so much, and is so much now.
    pub(crate) fn note_stored(&self, before: usize, after: usize) {
        // Wraps around when it has become less, as it should.
        self.0.stored_bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
}

/// A message somebody keeps. Immutable and shared: a clone is another reference to it.
#[derive(Clone)]
pub struct ApplicationMessage(ThinArc<Head, u8>);

/// What is known of a message beside its content.
pub struct Head {
    /// Its name.
    pub id: MessageId,
    /// [`ClientIdentifier::hash`](crate::identity::ClientIdentifier::hash) of who published it, for No
    /// Local.
    pub publisher: u64,
    /// When it expires (5.0 section 3.3.2.3.3).
    pub expires_at: Option<Timestamp>,
    gauge: MemoryGauge,
    writer: Option<Arc<Writer>>,
    /// The payload, if it is long.
    payload: Option<Box<Bytes>>,
    /// Where the store has it; 0 while it has not. Only the store sets it.
    location: AtomicU64,
    /// Of Topic Name, forwarded properties and payload together.
    content_bytes: u32,
    forwarded_bytes: u32,
    topic_bytes: u16,
    /// The QoS it was published with.
    pub qos: QoS,
    /// The RETAIN flag it was published with.
    pub retain: bool,
}

/// Who wrote a Retained Message: it is sent only as long as that client may write it.
#[derive(Debug, PartialEq, Eq)]
pub struct Writer {
    /// The client identifier of its Session.
    pub client_identifier: ClientIdentifier,
    /// What authentication found out.
    pub identity: Arc<Identity>,
}

/// What a message costs beyond its content: the head, a count, a length, and what the allocator adds.
const OVERHEAD_BYTES: usize = size_of::<Head>() + 24;

impl ApplicationMessage {
    /// The Topic Name.
    pub fn topic(&self) -> &str {
        // The bytes were a `&str` when the message was made.
        self.slice(0, usize::from(self.topic_bytes))
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// The encoded properties that travel with the message.
    pub fn forwarded(&self) -> &[u8] {
        self.slice(usize::from(self.topic_bytes), self.payload_start()).unwrap_or_default()
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        match &self.payload {
            Some(payload) => payload,
            None => self.slice(self.payload_start(), self.0.slice.len()).unwrap_or_default(),
        }
    }

    /// The payload, sharing the message's memory if it is long.
    pub fn shared_payload(&self) -> Bytes {
        match &self.payload {
            Some(payload) => Bytes::clone(payload),
            None => Bytes::copy_from_slice(self.payload()),
        }
    }

    /// Whether both are the same message in memory.
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(&**self, &**other)
    }

    /// Whether nobody else has it.
    pub fn is_sole(&self) -> bool {
        ThinArc::strong_count(&self.0) == 1
    }

    /// Bytes that a message occupies whose topic, forwarded properties and payload are together so long.
    pub fn size_bytes_of(content_bytes: usize) -> usize {
        content_bytes + OVERHEAD_BYTES
    }

    fn slice(&self, start: usize, end: usize) -> Option<&[u8]> {
        self.0.slice.get(start..end)
    }
}

impl Deref for ApplicationMessage {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.0.header.header
    }
}

impl fmt::Debug for ApplicationMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationMessage")
            .field("id", &self.id)
            .field("topic", &self.topic())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("expires_at", &self.expires_at)
            .field("content_bytes", &self.content_bytes)
            .finish_non_exhaustive()
    }
}

impl Head {
    /// Who wrote it, if it is retained.
    pub fn writer(&self) -> Option<&Arc<Writer>> {
        self.writer.as_ref()
    }

    /// Bytes it occupies.
    pub fn size_bytes(&self) -> usize {
        ApplicationMessage::size_bytes_of(self.content_bytes())
    }

    /// Bytes of its topic, forwarded properties and payload together.
    pub fn content_bytes(&self) -> usize {
        self.content_bytes as usize
    }

    /// Where the store has it: the segment in the upper half, the offset in it in the lower; 0 while it has
    /// not.
    pub fn location(&self) -> u64 {
        self.location.load(Ordering::Relaxed)
    }

    /// The segment where the store has it.
    pub fn segment(&self) -> Segment {
        Segment((self.location() >> 32) as u32)
    }

    /// The store has it here from now on. Called by whoever writes the message to the log or reads it from there;
    /// once shards know a message, by the one thread that writes.
    pub fn set_location(&self, location: u64) {
        if self.location.swap(location, Ordering::Relaxed) == 0 {
            self.gauge.0.stored_bytes.fetch_add(self.content_bytes(), Ordering::Relaxed);
        }
    }

    /// Whether its Message Expiry Interval has passed.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    fn payload_start(&self) -> usize {
        usize::from(self.topic_bytes) + self.forwarded_bytes as usize
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.gauge.0.bytes.fetch_sub(self.size_bytes(), Ordering::Relaxed);
        if *self.location.get_mut() != 0 {
            self.gauge.0.stored_bytes.fetch_sub(self.content_bytes(), Ordering::Relaxed);
        }
    }
}

/// A message on its way through the router: borrowed until somebody keeps it.
pub struct Publication<'a> {
    /// Its name.
    pub id: MessageId,
    /// The Topic Name.
    pub topic: &'a str,
    /// The QoS it was published with.
    pub qos: QoS,
    /// The RETAIN flag it was published with.
    pub retain: bool,
    /// Hash of who published it, for No Local.
    pub publisher: u64,
    /// Who published it, if it is to be retained.
    pub writer: Option<Arc<Writer>>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The encoded properties that travel with it.
    pub forwarded: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    kept: Option<ApplicationMessage>,
}

impl<'a> Publication<'a> {
    /// A publication that nobody keeps yet.
    pub fn new(id: MessageId, topic: &'a str, qos: QoS, retain: bool) -> Self {
        Self {
            id,
            topic,
            qos,
            retain,
            publisher: 0,
            writer: None,
            expires_at: None,
            forwarded: &[],
            payload: &[],
            kept: None,
        }
    }

    /// A message that was kept, on its way again.
    pub fn of(message: &'a ApplicationMessage) -> Self {
        Self {
            id: message.id,
            topic: message.topic(),
            qos: message.qos,
            retain: message.retain,
            publisher: message.publisher,
            writer: message.writer.clone(),
            expires_at: message.expires_at,
            forwarded: message.forwarded(),
            payload: message.payload(),
            kept: Some(message.clone()),
        }
    }

    /// The message to keep; copied at the first call, shared from then on. The copy counts in `gauge`.
    pub fn keep(&mut self, gauge: &MemoryGauge) -> ApplicationMessage {
        if let Some(kept) = &self.kept {
            return kept.clone();
        }
        self.kept.insert(self.copied(gauge)).clone()
    }

    fn copied(&self, gauge: &MemoryGauge) -> ApplicationMessage {
        let is_long = self.payload.len() >= SHARED_PAYLOAD_MIN_BYTES;
        let beside: &[u8] = if is_long { &[] } else { self.payload };
        let head = Head {
            id: self.id,
            publisher: self.publisher,
            expires_at: self.expires_at,
            gauge: gauge.clone(),
            writer: self.writer.clone(),
            payload: is_long.then(|| Box::new(Bytes::copy_from_slice(self.payload))),
            location: AtomicU64::new(0),
            // A string has at most 65,535 bytes, a packet at most 268,435,460.
            content_bytes: (self.topic.len() + self.forwarded.len() + self.payload.len()) as u32,
            forwarded_bytes: self.forwarded.len() as u32,
            topic_bytes: self.topic.len() as u16,
            qos: self.qos,
            retain: self.retain,
        };
        gauge.0.bytes.fetch_add(head.size_bytes(), Ordering::Relaxed);
        let parts = [self.topic.as_bytes(), self.forwarded, beside];
        let mut scratch = [0; SCRATCH_BYTES];
        ApplicationMessage(match joined(parts, &mut scratch) {
            Some(content) => ThinArc::from_header_and_slice(head, content),
            None => ThinArc::from_header_and_slice(head, &parts.concat()),
        })
    }
}

/// The parts one after the other, if there is room for them.
fn joined<'s>(parts: [&[u8]; 3], scratch: &'s mut [u8]) -> Option<&'s [u8]> {
    let mut length = 0;
    for part in parts {
        if !part.is_empty() {
            scratch.get_mut(length..length + part.len())?.copy_from_slice(part);
            length += part.len();
        }
    }
    scratch.get(..length)
}
