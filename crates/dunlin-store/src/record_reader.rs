//! Bytes as records: the other half of `record_writer.rs`, field by field in the same order.
//!
//! A checksum vouches for the bytes, but not for whoever wrote them: nothing here trusts a length or a number.

use super::record_writer::{first_reference, flag, in_seconds, kind, reference};
use super::varint::{Fields, Problem};
use dunlin_codec::{PacketIdentifier, QoS};
use dunlin_core::Timestamp;
use dunlin_core::identity::{ClientIdentifier, Identity};
use dunlin_core::image::Home;
use dunlin_core::journal::{GroupNumber, Record, SessionNumber};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, MessageId, Publication, Writer};
use dunlin_core::router::Subscription;
use dunlin_core::session::Identifiers;
use dunlin_core::settings::SessionExpiryInterval;
use std::sync::Arc;

/// What stands in a frame.
pub(super) enum Entry<'a> {
    /// The body of a message.
    Body(Body<'a>),
    /// A record.
    Record(Record),
    /// A record that refers to a message that is not known.
    Dangling,
    /// A kind that this version does not know.
    Unknown,
}

/// The body of a message.
pub(super) struct Body<'a> {
    pub id: MessageId,
    /// Where it begins in the payload of the frame.
    pub offset: usize,
    qos: QoS,
    retain: bool,
    publisher: u64,
    expires_at: Option<Timestamp>,
    topic: &'a str,
    forwarded: &'a [u8],
    payload: &'a [u8],
    writer: Option<Arc<Writer>>,
}

impl<'a> Body<'a> {
    fn read(mut fields: Fields<'a>, offset: usize) -> Result<Self, Problem> {
        let checksum = fields.take(4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        if checksum != Some(crc32fast::hash(fields.0)) {
            return Err("the checksum of a message does not match");
        }
        let received_at = Timestamp::from_micros(fields.number()?);
        let boot_epoch = fields.difference(in_seconds(received_at))?.as_micros();
        let boot_epoch = u32::try_from(boot_epoch).map_err(|_| "a number is out of its range")?;
        let id = MessageId { received_at, boot_epoch, origin: fields.narrow()? };
        let flags = fields.byte()?;
        let publisher = fields.take(8)?.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let has_expiry = flags & flag::EXPIRES != 0;
        Ok(Body {
            id,
            offset,
            qos: qos(flags)?,
            retain: flags & flag::RETAIN != 0,
            publisher,
            expires_at: has_expiry.then(|| fields.difference(received_at)).transpose()?,
            topic: fields.text()?,
            forwarded: fields.bytes()?,
            payload: fields.bytes()?,
            writer: (flags & flag::WRITER != 0).then(|| writer(&mut fields)).transpose()?,
        })
    }

    /// The body at the beginning of these bytes, which may go on behind it.
    pub fn alone(bytes: &'a [u8]) -> Result<Self, Problem> {
        let mut rest = Fields(bytes);
        if rest.byte()? != kind::BODY {
            return Err("this is not the body of a message");
        }
        Self::read(Fields(rest.bytes()?), 0)
    }

    /// The message.
    pub fn message(&self, gauge: &MemoryGauge) -> ApplicationMessage {
        let mut publication = Publication::new(self.id, self.topic, self.qos, self.retain);
        publication.publisher = self.publisher;
        publication.expires_at = self.expires_at;
        publication.forwarded = self.forwarded;
        publication.payload = self.payload;
        publication.writer = self.writer.clone();
        publication.keep(gauge)
    }
}

/// Why a record has no value.
enum Lack {
    Problem(Problem),
    Message,
}

impl From<Problem> for Lack {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// The records of one frame.
pub(super) struct RecordReader<'a> {
    payload: &'a [u8],
    rest: Fields<'a>,
    last: MessageId,
}

impl<'a> RecordReader<'a> {
    /// The records in the payload of a frame that was written then.
    pub fn new(payload: &'a [u8], written_at: Timestamp) -> Self {
        Self { payload, rest: Fields(payload), last: first_reference(written_at) }
    }

    /// The next record; `message` gives the messages that were read already.
    pub fn next(
        &mut self,
        message: impl Fn(MessageId) -> Option<ApplicationMessage>,
    ) -> Result<Option<Entry<'a>>, Problem> {
        if self.rest.0.is_empty() {
            return Ok(None);
        }
        let offset = self.payload.len() - self.rest.0.len();
        let kind = self.rest.byte()?;
        let mut fields = Fields(self.rest.bytes()?);
        if kind == kind::BODY {
            let body = Body::read(fields, offset)?;
            self.last = body.id;
            return Ok(Some(Entry::Body(body)));
        }
        match self.record(kind, &mut fields, message) {
            Ok(Some(record)) => Ok(Some(Entry::Record(record))),
            Ok(None) => Ok(Some(Entry::Unknown)),
            Err(Lack::Message) => Ok(Some(Entry::Dangling)),
            Err(Lack::Problem(problem)) => Err(problem),
        }
    }

    fn record(
        &mut self,
        kind: u8,
        fields: &mut Fields<'a>,
        message: impl Fn(MessageId) -> Option<ApplicationMessage>,
    ) -> Result<Option<Record>, Lack> {
        Ok(Some(match kind {
            kind::SESSION..=kind::UNSUBSCRIBED => session_record(kind, fields)?,
            kind::QUEUED => {
                let (session, order) = (session(fields)?, fields.number()?);
                let message = message(self.reference(fields)?).ok_or(Lack::Message)?;
                let flags = fields.byte()?;
                let identifiers = identifiers(fields, flags & flag::IDENTIFIERS != 0)?;
                let ticket = ticket(fields, flags & flag::TICKET != 0)?;
                let (qos, retain) = (qos(flags)?, flags & flag::RETAIN != 0);
                Record::Queued { session, order, message, qos, retain, identifiers, ticket }
            }
            kind::SENT..=kind::COMPLETED => delivery_record(kind, fields)?,
            kind::RETAINED => {
                Record::Retained { message: message(self.reference(fields)?).ok_or(Lack::Message)? }
            }
            kind::RETAINED_OWED => {
                let (session, filter) = (session(fields)?, fields.text()?.into());
                let (has_begun, after) = (fields.byte()? != 0, fields.text()?);
                Record::RetainedOwed { session, filter, after: has_begun.then(|| after.into()) }
            }
            kind::RETAINED_SENT => {
                Record::RetainedSent { session: session(fields)?, filter: fields.text()?.into() }
            }
            kind::WILL_SET => {
                let session = session(fields)?;
                let message = message(self.reference(fields)?).ok_or(Lack::Message)?;
                let expiry_s = fields.optional()?.map(seconds).transpose()?;
                Record::WillSet { session, message, expiry_s, delay_s: fields.narrow()? }
            }
            kind::WILL_REMOVED => Record::WillRemoved { session: session(fields)? },
            kind::GROUP => Record::Group { group: group(fields)?, name: fields.text()?.into() },
            kind::GROUP_QUEUED => {
                let (group, sequence) = (group(fields)?, fields.number()?);
                let message = message(self.reference(fields)?).ok_or(Lack::Message)?;
                Record::GroupQueued { group, sequence, message }
            }
            kind::GROUP_TAKEN => Record::GroupTaken { group: group(fields)?, sequence: fields.number()? },
            kind::GROUP_ENDED => Record::GroupEnded { group: group(fields)? },
            kind::ROUTING => {
                let message = message(self.reference(fields)?).ok_or(Lack::Message)?;
                Record::Routing { message, from: home(fields)? }
            }
            kind::ROUTED_TO => Record::RoutedTo { id: self.reference(fields)?, home: home(fields)? },
            kind::ROUTED => Record::Routed { id: self.reference(fields)? },
            _ => return Ok(None),
        }))
    }

    fn reference(&mut self, fields: &mut Fields<'_>) -> Result<MessageId, Problem> {
        let tag = fields.byte()?;
        if tag & reference::OTHER_TIME != 0 {
            self.last.received_at = fields.difference(self.last.received_at)?;
        }
        if tag & reference::OTHER_EPOCH != 0 {
            self.last.boot_epoch = fields.narrow()?;
        }
        if tag & reference::OTHER_ORIGIN != 0 {
            self.last.origin = fields.narrow()?;
        }
        Ok(self.last)
    }
}

/// Who wrote a Retained Message.
fn writer(fields: &mut Fields<'_>) -> Result<Arc<Writer>, Problem> {
    let client_identifier = ClientIdentifier::new(fields.text()?).ok_or("a client identifier is empty")?;
    let flags = fields.byte()?;
    let user_name = (flags & flag::USER_NAME != 0).then(|| fields.text().map(Box::from)).transpose()?;
    let policy = (flags & flag::POLICY != 0).then(|| fields.text().map(Box::from)).transpose()?;
    let identity = Identity { user_name, policy, valid_until: None }.into_shared();
    Ok(Arc::new(Writer { client_identifier, identity }))
}

/// Records about a Session that are not about its messages.
fn session_record(kind: u8, fields: &mut Fields<'_>) -> Result<Record, Problem> {
    let session = session(fields)?;
    Ok(match kind {
        kind::SESSION => {
            let client = ClientIdentifier::new(fields.text()?).ok_or("a client identifier is empty")?;
            let flags = fields.byte()?;
            let user_name = Some(fields.text()?).filter(|_| flags & flag::USER_NAME != 0).map(Box::from);
            let expiry = SessionExpiryInterval::from_seconds(fields.narrow()?);
            let away_since = fields.optional()?.map(Timestamp::from_micros);
            let policy = if flags & flag::POLICY == 0 { None } else { Some(fields.text()?.into()) };
            Record::Session { session, client, user_name, policy, expiry, away_since }
        }
        kind::SESSION_AWAY => {
            Record::SessionAway { session, since: Timestamp::from_micros(fields.number()?) }
        }
        kind::SESSION_ENDED => Record::SessionEnded { session },
        kind::SUBSCRIBED => {
            let filter = fields.text()?.into();
            let flags = fields.byte()?;
            let subscription = Subscription {
                maximum_qos: qos(flags)?.bits(),
                no_local: flags & flag::NO_LOCAL != 0,
                retain_as_published: flags & flag::RETAIN_AS_PUBLISHED != 0,
                identifier: subscription_identifier(fields)?,
            };
            Record::Subscribed { session, filter, subscription }
        }
        _ => Record::Unsubscribed { session, filter: fields.text()?.into() },
    })
}

/// Records about a message of a Session, or a Packet Identifier, that do not name the message.
fn delivery_record(kind: u8, fields: &mut Fields<'_>) -> Result<Record, Problem> {
    let session = session(fields)?;
    Ok(match kind {
        kind::SENT => {
            let order = fields.number()?;
            Record::Sent { session, order, packet_identifier: packet_identifier(fields)? }
        }
        kind::RELEASED => {
            let order = fields.number()?;
            let packet_identifier = packet_identifier(fields)?;
            let has_ticket = fields.byte()? != 0;
            let ticket = ticket(fields, has_ticket)?;
            Record::Released { session, order, packet_identifier, ticket }
        }
        kind::REMOVED => Record::Removed { session, order: fields.number()? },
        kind::RECEIVED => Record::Received { session, packet_identifier: packet_identifier(fields)? },
        _ => Record::Completed { session, packet_identifier: packet_identifier(fields)? },
    })
}

fn session(fields: &mut Fields<'_>) -> Result<SessionNumber, Problem> {
    fields.number().map(SessionNumber)
}

fn group(fields: &mut Fields<'_>) -> Result<GroupNumber, Problem> {
    fields.number().map(GroupNumber)
}

fn packet_identifier(fields: &mut Fields<'_>) -> Result<PacketIdentifier, Problem> {
    PacketIdentifier::new(fields.narrow()?).ok_or("a Packet Identifier is 0")
}

fn qos(flags: u8) -> Result<QoS, Problem> {
    QoS::from_bits(flags & flag::QOS).ok_or("a QoS is 3")
}

fn seconds(number: u64) -> Result<u32, Problem> {
    u32::try_from(number).map_err(|_| "a number is out of its range")
}

/// A Subscription Identifier has 28 bits; the router packs it into as many.
fn subscription_identifier(fields: &mut Fields<'_>) -> Result<u32, Problem> {
    let identifier: u32 = fields.narrow()?;
    if identifier < 1 << 28 { Ok(identifier) } else { Err("a Subscription Identifier is out of its range") }
}

fn identifiers(fields: &mut Fields<'_>, are_there: bool) -> Result<Identifiers, Problem> {
    if !are_there {
        return Ok(Identifiers::None);
    }
    let count = fields.number()?;
    let identifiers: Vec<_> =
        (0..count).map(|_| subscription_identifier(fields)).collect::<Result<_, _>>()?;
    Ok(Identifiers::from_slice(&identifiers))
}

fn home(fields: &mut Fields<'_>) -> Result<Home, Problem> {
    Ok(Home { shard: fields.narrow()?, shards: fields.narrow()? })
}

fn ticket(fields: &mut Fields<'_>, is_there: bool) -> Result<Option<(GroupNumber, u64)>, Problem> {
    is_there.then(|| Ok((group(fields)?, fields.number()?))).transpose()
}
