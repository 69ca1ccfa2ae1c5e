//! Application Messages, as they are routed and as they are kept.
//!
//! A PUBLISH is routed from the bytes it arrived in: a [`Publication`] borrows them, and a QoS 0 message for
//! connected clients never becomes anything else. Only when somebody has to keep it (a queue, an
//! unacknowledged delivery, the retained tree, another shard) is it copied once into an
//! [`ApplicationMessage`], which all of them share. Topic Name, forwarded properties and payload lie in one
//! allocation, in that order.
//!
//! The forwarded properties are the encoded bytes of 5.0 section 3.3.2.3 that a Server must pass on
//! unaltered; the others (expiry, alias, Subscription Identifiers) are made anew for each receiver.

use crate::identity::{ClientIdentifier, Identity};
use crate::journal::Segment;
use crate::time::Timestamp;
use bytes::Bytes;
use dunlin_codec::QoS;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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

/// A message somebody keeps. Immutable and shared.
#[derive(Debug)]
pub struct ApplicationMessage {
    /// Its name.
    pub id: MessageId,
    /// The QoS it was published with.
    pub qos: QoS,
    /// The RETAIN flag it was published with.
    pub retain: bool,
    /// [`ClientIdentifier::hash`](crate::identity::ClientIdentifier::hash) of who published it, for No
    /// Local.
    pub publisher: u64,
    /// When it expires (5.0 section 3.3.2.3.3).
    pub expires_at: Option<Timestamp>,
    topic_length: u32,
    forwarded_length: u32,
    bytes: Bytes,
    gauge: MemoryGauge,
    writer: Option<Arc<Writer>>,
    /// Where the store has it; 0 while it has not. Only the store sets it.
    location: AtomicU64,
}

/// Who wrote a Retained Message: it is sent only as long as that client may write it.
#[derive(Debug, PartialEq, Eq)]
pub struct Writer {
    /// The client identifier of its Session.
    pub client_identifier: ClientIdentifier,
    /// What authentication found out.
    pub identity: Arc<Identity>,
}

/// What a message costs beyond its bytes: the shared allocation and the header of the byte buffer.
const OVERHEAD_BYTES: usize = size_of::<ApplicationMessage>() + 32;

impl ApplicationMessage {
    /// The Topic Name.
    pub fn topic(&self) -> &str {
        // The bytes were a `&str` when the message was made.
        self.bytes
            .get(..self.topic_length as usize)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// The encoded properties that travel with the message.
    pub fn forwarded(&self) -> &[u8] {
        let start = self.topic_length as usize;
        self.bytes.get(start..start + self.forwarded_length as usize).unwrap_or_default()
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload_start()..).unwrap_or_default()
    }

    /// Who wrote it, if it is retained.
    pub fn writer(&self) -> Option<&Arc<Writer>> {
        self.writer.as_ref()
    }

    /// The payload, sharing the message's memory.
    pub fn shared_payload(&self) -> Bytes {
        self.bytes.slice(self.payload_start()..)
    }

    /// Bytes it occupies.
    pub fn size_bytes(&self) -> usize {
        Self::size_bytes_of(self.bytes.len())
    }

    /// Bytes that a message occupies whose topic, forwarded properties and payload are together so long.
    pub fn size_bytes_of(content_bytes: usize) -> usize {
        content_bytes + OVERHEAD_BYTES
    }

    /// Bytes of its topic, forwarded properties and payload together.
    pub fn content_bytes(&self) -> usize {
        self.bytes.len()
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
        self.topic_length as usize + self.forwarded_length as usize
    }
}

impl Drop for ApplicationMessage {
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
    kept: Option<Arc<ApplicationMessage>>,
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
    pub fn of(message: &'a Arc<ApplicationMessage>) -> Self {
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
            kept: Some(Arc::clone(message)),
        }
    }

    /// The message to keep; copied at the first call, shared from then on. The copy counts in `gauge`.
    pub fn keep(&mut self, gauge: &MemoryGauge) -> Arc<ApplicationMessage> {
        Arc::clone(self.kept.get_or_insert_with(|| {
            let mut bytes = Vec::with_capacity(self.topic.len() + self.forwarded.len() + self.payload.len());
            bytes.extend_from_slice(self.topic.as_bytes());
            bytes.extend_from_slice(self.forwarded);
            bytes.extend_from_slice(self.payload);
            let message = ApplicationMessage {
                id: self.id,
                qos: self.qos,
                retain: self.retain,
                publisher: self.publisher,
                expires_at: self.expires_at,
                // A frame is at most 268,435,460 bytes long, so both fit.
                topic_length: self.topic.len() as u32,
                forwarded_length: self.forwarded.len() as u32,
                bytes: Bytes::from(bytes),
                gauge: gauge.clone(),
                writer: self.writer.clone(),
                location: AtomicU64::new(0),
            };
            gauge.0.bytes.fetch_add(message.size_bytes(), Ordering::Relaxed);
            Arc::new(message)
        }))
    }
}
