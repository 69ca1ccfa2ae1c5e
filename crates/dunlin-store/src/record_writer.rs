//! Records as bytes.
//!
//! A record is a kind (one byte), the length of its fields, and the fields. Whoever does not know a kind
//! passes over it, and over fields behind those it knows; so a later version may add kinds, and fields at the
//! end of a record. A field is never given another meaning.
//!
//! A message body is a record of its own, written before the first record that refers to it. It can be read
//! without anything around it (`loader.rs`), so it has the whole [`MessageId`] and a checksum of its own. Other records refer
//! to messages by the difference of their id to the one that the frame named last; at its beginning, the time
//! of the frame stands for that. A kind that is added later must not rely on it, nor move it: those who pass
//! over it would lose count.

use super::varint::{put_bytes, put_difference, put_number, put_optional};
use dunlin_codec::{PacketIdentifier, QoS};
use dunlin_core::Timestamp;
use dunlin_core::identity::Identity;
use dunlin_core::image::Home;
use dunlin_core::journal::{GroupNumber, Record, SessionNumber};
use dunlin_core::message::{ApplicationMessage, MessageId, Writer};

/// The kinds of records.
pub(super) mod kind {
    pub const BODY: u8 = 1;
    pub const SESSION: u8 = 2;
    pub const SESSION_AWAY: u8 = 3;
    pub const SESSION_ENDED: u8 = 4;
    pub const SUBSCRIBED: u8 = 5;
    pub const UNSUBSCRIBED: u8 = 6;
    pub const QUEUED: u8 = 7;
    pub const SENT: u8 = 8;
    pub const RELEASED: u8 = 9;
    pub const REMOVED: u8 = 10;
    pub const RECEIVED: u8 = 11;
    pub const COMPLETED: u8 = 12;
    pub const RETAINED: u8 = 13;
    pub const WILL_SET: u8 = 14;
    pub const WILL_REMOVED: u8 = 15;
    pub const GROUP: u8 = 16;
    pub const GROUP_QUEUED: u8 = 17;
    pub const GROUP_TAKEN: u8 = 18;
    pub const GROUP_ENDED: u8 = 19;
    pub const ROUTING: u8 = 20;
    pub const ROUTED: u8 = 21;
    pub const ROUTED_TO: u8 = 22;
    pub const RETAINED_OWED: u8 = 23;
    pub const RETAINED_SENT: u8 = 24;
}

/// How a message is referred to; the first byte of a reference. 0 is the message named last.
pub(super) mod reference {
    pub const OTHER_TIME: u8 = 1;
    pub const OTHER_EPOCH: u8 = 2;
    pub const OTHER_ORIGIN: u8 = 4;
}

/// The bits of the flags of `Queued`; the lowest two are the QoS. Those of a body are the QoS, RETAIN and
/// EXPIRES.
pub(super) mod flag {
    pub const QOS: u8 = 0b11;
    pub const RETAIN: u8 = 1 << 2;
    pub const EXPIRES: u8 = 1 << 3;
    pub const IDENTIFIERS: u8 = 1 << 3;
    pub const TICKET: u8 = 1 << 4;
    pub const WRITER: u8 = 1 << 4;
    pub const NO_LOCAL: u8 = 1 << 2;
    pub const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
    pub const USER_NAME: u8 = 1 << 0;
    pub const POLICY: u8 = 1 << 1;
}

/// What references at the beginning of a frame are relative to.
pub(super) fn first_reference(written_at: Timestamp) -> MessageId {
    MessageId { received_at: written_at, boot_epoch: 0, origin: 0 }
}

/// A time in seconds, in the place of one in microseconds.
pub(super) fn in_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.as_micros() / 1_000_000)
}

/// The records of one frame.
pub(super) struct RecordWriter<'a> {
    bytes: &'a mut Vec<u8>,
    last: MessageId,
}

impl<'a> RecordWriter<'a> {
    /// Appends the records of a frame that is written then.
    pub fn new(bytes: &'a mut Vec<u8>, written_at: Timestamp) -> Self {
        Self { bytes, last: first_reference(written_at) }
    }

    /// Bytes so far.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the body of a message.
    pub fn body(&mut self, message: &ApplicationMessage) {
        self.last = message.id;
        self.record(kind::BODY, |writer| {
            let bytes = &mut *writer.bytes;
            let start = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            let MessageId { received_at, boot_epoch, origin } = message.id;
            put_number(bytes, received_at.as_micros());
            // Both are times, so the difference is short.
            put_difference(bytes, in_seconds(received_at), Timestamp::from_micros(boot_epoch.into()));
            put_number(bytes, origin.into());
            let retain = if message.retain { flag::RETAIN } else { 0 };
            let expires = if message.expires_at.is_some() { flag::EXPIRES } else { 0 };
            let written = if message.writer().is_some() { flag::WRITER } else { 0 };
            bytes.push(message.qos.bits() | retain | expires | written);
            bytes.extend_from_slice(&message.publisher.to_le_bytes());
            if let Some(expires_at) = message.expires_at {
                put_difference(bytes, received_at, expires_at);
            }
            put_bytes(bytes, message.topic().as_bytes());
            put_bytes(bytes, message.forwarded());
            put_bytes(bytes, message.payload());
            if let Some(writer) = message.writer() {
                put_writer(bytes, writer);
            }
            if let Some((checksum, fields)) = bytes.get_mut(start..).and_then(<[u8]>::split_first_chunk_mut) {
                *checksum = crc32fast::hash(fields).to_le_bytes();
            }
        });
    }

    /// Appends a record. The body of its message is written already.
    pub fn append(&mut self, record: &Record) {
        match record {
            Record::Session { session, client, user_name, policy, expiry, away_since } => {
                self.of_session(kind::SESSION, *session, |writer| {
                    put_bytes(writer.bytes, client.as_str().as_bytes());
                    writer.bytes.push(identity_flags(user_name.as_deref(), policy.as_deref()));
                    put_bytes(writer.bytes, user_name.as_deref().unwrap_or_default().as_bytes());
                    put_number(writer.bytes, expiry.as_seconds().into());
                    put_optional(writer.bytes, away_since.map(Timestamp::as_micros));
                    if let Some(policy) = policy {
                        put_bytes(writer.bytes, policy.as_bytes());
                    }
                });
            }
            Record::SessionAway { session, since } => {
                self.of_session(kind::SESSION_AWAY, *session, |writer| {
                    put_number(writer.bytes, since.as_micros());
                });
            }
            Record::SessionEnded { session } => self.of_session(kind::SESSION_ENDED, *session, |_| {}),
            Record::Subscribed { session, filter, subscription } => {
                self.of_session(kind::SUBSCRIBED, *session, |writer| {
                    put_bytes(writer.bytes, filter.as_bytes());
                    let no_local = if subscription.no_local { flag::NO_LOCAL } else { 0 };
                    let as_published =
                        if subscription.retain_as_published { flag::RETAIN_AS_PUBLISHED } else { 0 };
                    writer.bytes.push(subscription.maximum_qos & flag::QOS | no_local | as_published);
                    put_number(writer.bytes, subscription.identifier.into());
                });
            }
            Record::Unsubscribed { session, filter } => {
                self.of_session(kind::UNSUBSCRIBED, *session, |writer| {
                    put_bytes(writer.bytes, filter.as_bytes());
                });
            }
            Record::RetainedOwed { session, filter, after } => {
                self.of_session(kind::RETAINED_OWED, *session, |writer| {
                    put_bytes(writer.bytes, filter.as_bytes());
                    writer.bytes.push(u8::from(after.is_some()));
                    put_bytes(writer.bytes, after.as_deref().unwrap_or_default().as_bytes());
                });
            }
            Record::RetainedSent { session, filter } => {
                self.of_session(kind::RETAINED_SENT, *session, |writer| {
                    put_bytes(writer.bytes, filter.as_bytes());
                });
            }
            Record::Queued { session, order, message, qos, retain, identifiers, ticket } => {
                self.of_session(kind::QUEUED, *session, |writer| {
                    put_number(writer.bytes, *order);
                    writer.reference(message.id);
                    writer.delivery(*qos, *retain, identifiers.as_slice(), *ticket);
                });
            }
            Record::Sent { session, order, packet_identifier } => {
                self.of_delivery(kind::SENT, *session, *order, Some(*packet_identifier));
            }
            Record::Released { session, order, packet_identifier, ticket } => {
                self.of_session(kind::RELEASED, *session, |writer| {
                    put_number(writer.bytes, *order);
                    put_number(writer.bytes, packet_identifier.get().into());
                    writer.bytes.push(u8::from(ticket.is_some()));
                    writer.ticket(*ticket);
                });
            }
            Record::Removed { session, order } => self.of_delivery(kind::REMOVED, *session, *order, None),
            Record::Received { session, packet_identifier } => {
                self.of_session(kind::RECEIVED, *session, |writer| {
                    put_number(writer.bytes, packet_identifier.get().into());
                });
            }
            Record::Completed { session, packet_identifier } => {
                self.of_session(kind::COMPLETED, *session, |writer| {
                    put_number(writer.bytes, packet_identifier.get().into());
                });
            }
            Record::Routing { message, from } => self.record(kind::ROUTING, |writer| {
                writer.reference(message.id);
                writer.home(*from);
            }),
            Record::RoutedTo { id, home } => self.record(kind::ROUTED_TO, |writer| {
                writer.reference(*id);
                writer.home(*home);
            }),
            Record::Routed { id } => self.record(kind::ROUTED, |writer| writer.reference(*id)),
            Record::Retained { message } => {
                self.record(kind::RETAINED, |writer| writer.reference(message.id))
            }
            Record::WillSet { session, message, expiry_s, delay_s } => {
                self.of_session(kind::WILL_SET, *session, |writer| {
                    writer.reference(message.id);
                    put_optional(writer.bytes, expiry_s.map(u64::from));
                    put_number(writer.bytes, (*delay_s).into());
                });
            }
            Record::WillRemoved { session } => self.of_session(kind::WILL_REMOVED, *session, |_| {}),
            Record::Group { group, name } => {
                self.of_group(kind::GROUP, *group, |writer| put_bytes(writer.bytes, name.as_bytes()));
            }
            Record::GroupQueued { group, sequence, message } => {
                self.of_group(kind::GROUP_QUEUED, *group, |writer| {
                    put_number(writer.bytes, *sequence);
                    writer.reference(message.id);
                });
            }
            Record::GroupTaken { group, sequence } => {
                self.of_group(kind::GROUP_TAKEN, *group, |writer| put_number(writer.bytes, *sequence));
            }
            Record::GroupEnded { group } => self.of_group(kind::GROUP_ENDED, *group, |_| {}),
        }
    }

    /// Where fields go.
    #[cfg(test)]
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        self.bytes
    }

    /// A record with its kind and length around the fields.
    pub(super) fn record(&mut self, kind: u8, fields: impl FnOnce(&mut Self)) {
        self.bytes.push(kind);
        // Most lengths fit into one byte; for others room is made when they are known.
        self.bytes.push(0);
        let start = self.bytes.len();
        fields(self);
        let length = self.bytes.len() - start;
        match self.bytes.get_mut(start - 1) {
            Some(place) if length < 0x80 => *place = length as u8,
            _ => {
                let mut bytes = Vec::with_capacity(5);
                put_number(&mut bytes, length as u64);
                self.bytes.splice(start - 1..start, bytes);
            }
        }
    }

    fn of_session(&mut self, kind: u8, session: SessionNumber, fields: impl FnOnce(&mut Self)) {
        self.record(kind, |writer| {
            put_number(writer.bytes, session.0);
            fields(writer);
        });
    }

    fn of_group(&mut self, kind: u8, group: GroupNumber, fields: impl FnOnce(&mut Self)) {
        self.record(kind, |writer| {
            put_number(writer.bytes, group.0);
            fields(writer);
        });
    }

    fn of_delivery(
        &mut self,
        kind: u8,
        session: SessionNumber,
        order: u64,
        packet_identifier: Option<PacketIdentifier>,
    ) {
        self.of_session(kind, session, |writer| {
            put_number(writer.bytes, order);
            if let Some(packet_identifier) = packet_identifier {
                put_number(writer.bytes, packet_identifier.get().into());
            }
        });
    }

    fn delivery(&mut self, qos: QoS, retain: bool, identifiers: &[u32], ticket: Option<(GroupNumber, u64)>) {
        let retain = if retain { flag::RETAIN } else { 0 };
        let has_identifiers = if identifiers.is_empty() { 0 } else { flag::IDENTIFIERS };
        let has_ticket = if ticket.is_some() { flag::TICKET } else { 0 };
        self.bytes.push(qos.bits() | retain | has_identifiers | has_ticket);
        if !identifiers.is_empty() {
            put_number(self.bytes, identifiers.len() as u64);
            for identifier in identifiers {
                put_number(self.bytes, (*identifier).into());
            }
        }
        self.ticket(ticket);
    }

    fn home(&mut self, home: Home) {
        put_number(self.bytes, home.shard.into());
        put_number(self.bytes, home.shards.into());
    }

    fn ticket(&mut self, ticket: Option<(GroupNumber, u64)>) {
        if let Some((group, sequence)) = ticket {
            put_number(self.bytes, group.0);
            put_number(self.bytes, sequence);
        }
    }

    fn reference(&mut self, id: MessageId) {
        let last = std::mem::replace(&mut self.last, id);
        let mut tag = 0;
        if id.received_at != last.received_at {
            tag |= reference::OTHER_TIME;
        }
        if id.boot_epoch != last.boot_epoch {
            tag |= reference::OTHER_EPOCH;
        }
        if id.origin != last.origin {
            tag |= reference::OTHER_ORIGIN;
        }
        self.bytes.push(tag);
        if tag & reference::OTHER_TIME != 0 {
            put_difference(self.bytes, last.received_at, id.received_at);
        }
        if tag & reference::OTHER_EPOCH != 0 {
            put_number(self.bytes, id.boot_epoch.into());
        }
        if tag & reference::OTHER_ORIGIN != 0 {
            put_number(self.bytes, id.origin.into());
        }
    }
}

/// Which texts of an identity follow.
fn identity_flags(user_name: Option<&str>, policy: Option<&str>) -> u8 {
    let user_name = if user_name.is_some() { flag::USER_NAME } else { 0 };
    let policy = if policy.is_some() { flag::POLICY } else { 0 };
    user_name | policy
}

fn put_writer(bytes: &mut Vec<u8>, writer: &Writer) {
    let Identity { user_name, policy, .. } = &*writer.identity;
    put_bytes(bytes, writer.client_identifier.as_str().as_bytes());
    bytes.push(identity_flags(user_name.as_deref(), policy.as_deref()));
    for text in [user_name, policy].into_iter().flatten() {
        put_bytes(bytes, text.as_bytes());
    }
}
