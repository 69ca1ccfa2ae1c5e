//! Messages, records and batches for tests, and an image as text, by which two are compared.

use crate::{Batch, StoreOptions};
use dunlin_codec::QoS;
use dunlin_core::Timestamp;
use dunlin_core::identity::ShardId;
use dunlin_core::image::{BodyImage, ContentImage, Image, ShardImage, Unrouted};
use dunlin_core::journal::{Position, Record, Segment, SessionNumber};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, MessageId, Publication};
use dunlin_core::session::Identifiers;
use dunlin_core::settings::SessionExpiryInterval;
use std::fmt::Write;

/// The time at which tests begin.
pub const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// Segments of 4 KiB, so that a few records fill one.
pub const SMALL: StoreOptions = StoreOptions {
    sync: crate::SyncPolicy::Always,
    commit_delay: std::time::Duration::ZERO,
    segment_bytes: 4096,
    memory_bytes: usize::MAX,
};

/// A message of shard `origin`; `number` tells it from others.
pub fn message(
    gauge: &MemoryGauge,
    origin: ShardId,
    number: u64,
    topic: &str,
    payload: &[u8],
) -> ApplicationMessage {
    let received_at = Timestamp::from_micros(START.as_micros() + number);
    let id = MessageId { received_at, boot_epoch: 1_700_000_000, origin };
    let mut publication = Publication::new(id, topic, QoS::AtLeastOnce, false);
    publication.publisher = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    publication.payload = payload;
    publication.keep(gauge)
}

pub fn session(number: u64) -> Record {
    Record::Session {
        session: SessionNumber(number),
        client: dunlin_core::identity::ClientIdentifier::new(&format!("client-{number}")).unwrap(),
        user_name: None,
        policy: None,
        expiry: SessionExpiryInterval::Never,
        away_since: None,
    }
}

pub fn queued(session: u64, order: u64, message: &ApplicationMessage) -> Record {
    Record::Queued {
        session: SessionNumber(session),
        order,
        message: message.clone(),
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: Identifiers::None,
        ticket: None,
    }
}

pub fn removed(session: u64, order: u64) -> Record {
    Record::Removed { session: SessionNumber(session), order }
}

/// A batch that ends at `end`, staged while the shard knew of `segment`.
pub fn batch(shard: ShardId, end: u64, segment: Segment, records: Vec<Record>) -> Batch {
    // Something waits for it, whatever its position.
    Batch { shard, records, end: Position(end), awaited: Position(u64::MAX), segment }
}

/// Everything in an image, as text with a line for each thing; where it is recorded does not count.
pub fn describe(image: Image) -> String {
    describe_part(image.split(1).pop().unwrap())
}

/// The same of a part.
pub fn describe_part(part: ShardImage) -> String {
    let mut text = String::new();
    for (number, client, session) in part.sessions {
        let (user, expiry, away) = (session.user_name, session.expiry, session.away_since);
        writeln!(text, "{number:?} {client} {user:?} {expiry:?} {away:?}").unwrap();
        writeln!(text, "  {:?} {:?}", session.subscriptions, session.inbound.iter().collect::<Vec<_>>())
            .unwrap();
        for (order, delivery) in session.deliveries {
            let content = delivery
                .content
                .map(|content| (show(&body(&content)), content.qos, content.retain, content.identifiers));
            let (identifier, ticket) = (delivery.packet_identifier, delivery.ticket);
            writeln!(text, "  {order} {content:?} {identifier:?} {ticket:?}").unwrap();
        }
        if let Some(will) = session.will {
            writeln!(text, "  will {} {:?} {}", show(&will.message), will.expiry_s, will.delay_s).unwrap();
        }
    }
    for group in part.groups {
        writeln!(text, "{:?} {} {:?}", group.number, group.name, group.finished).unwrap();
        for (sequence, body, _) in group.waiting {
            let BodyImage::Here(message) = body else { panic!("nothing is released here") };
            writeln!(text, "  waits {sequence} {}", show(&message)).unwrap();
        }
        for lent in group.lent {
            writeln!(text, "  lent {} {}", lent.sequence, show(&lent.message)).unwrap();
        }
    }
    for unrouted in &*part.unrouted {
        let Unrouted { message, done, is_outdated } = unrouted;
        writeln!(text, "unrouted {} {done:?} {is_outdated}", show(message)).unwrap();
    }
    let mut retained: Vec<_> = part.retained.iter().map(|(message, _)| show(message)).collect();
    retained.sort();
    retained.iter().for_each(|message| writeln!(text, "retained {message}").unwrap());
    text
}

/// The message of a delivery, which is in memory here.
pub fn body(content: &ContentImage) -> ApplicationMessage {
    match &content.body {
        BodyImage::Here(message) => message.clone(),
        BodyImage::Stored { .. } => panic!("there is memory enough"),
    }
}

/// A message as text.
pub fn show(message: &ApplicationMessage) -> String {
    let writer = message.writer().map(|writer| format!(" by {writer:?}")).unwrap_or_default();
    format!(
        "{:?} {:?} {} {} {:?} {} {:?} {:?}{writer}",
        message.id,
        message.qos,
        message.retain,
        message.publisher,
        message.expires_at,
        message.topic(),
        message.forwarded(),
        String::from_utf8_lossy(message.payload()),
    )
}
