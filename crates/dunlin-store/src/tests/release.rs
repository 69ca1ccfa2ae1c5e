//! What the checked-in store of a release holds: every kind of record, in several segments.

use super::material::{START, message, queued, removed, session};
use dunlin_codec::{PacketIdentifier, QoS};
use dunlin_core::Timestamp;
use dunlin_core::image::Home;
use dunlin_core::journal::{GroupNumber, Record, SessionNumber};
use dunlin_core::message::{MemoryGauge, MessageId, Publication};
use dunlin_core::router::Subscription;
use dunlin_core::session::Identifiers;
use dunlin_core::settings::SessionExpiryInterval;

/// The batches, one a frame.
pub fn batches(gauge: &MemoryGauge) -> Vec<Vec<Record>> {
    let subscription =
        Subscription { maximum_qos: 2, no_local: true, retain_as_published: true, identifier: 268_435_455 };
    let group = GroupNumber(300);
    let identifier = |number| PacketIdentifier::new(number).unwrap();
    let plain: Vec<_> = (0..30).map(|n| message(gauge, 1, n, "plant/7/state", &[b'p'; 150])).collect();
    let (will, shared) = (message(gauge, 0, 90, "gone", b"will"), message(gauge, 2, 91, "jobs/1", b"job"));
    let full = {
        let id = MessageId { received_at: START, boot_epoch: 4_000_000_000, origin: 63 };
        let mut publication = Publication::new(id, "full/of/everything", QoS::ExactlyOnce, true);
        publication.publisher = u64::MAX;
        publication.expires_at = Some(START.after_s(3600));
        publication.forwarded = b"\x01\x01";
        publication.payload = "grüße".as_bytes();
        publication.keep(gauge)
    };
    let cleared = message(gauge, 0, 95, "plant/7/state", b"");
    let mut batches = vec![
        vec![
            Record::Session {
                session: SessionNumber(1),
                client: dunlin_core::identity::ClientIdentifier::new("anna").unwrap(),
                user_name: Some("Anna".into()),
                policy: None,
                expiry: SessionExpiryInterval::After(86_400),
                away_since: None,
            },
            Record::SessionAway { session: SessionNumber(1), since: Timestamp::from_micros(5) },
            session(2),
            session(3),
            Record::SessionEnded { session: SessionNumber(3) },
        ],
        vec![
            Record::Subscribed { session: SessionNumber(1), filter: "plant/#".into(), subscription },
            Record::Subscribed { session: SessionNumber(1), filter: "$share/g/jobs/+".into(), subscription },
            Record::Subscribed { session: SessionNumber(2), filter: "old".into(), subscription },
            Record::Unsubscribed { session: SessionNumber(2), filter: "old".into() },
            Record::Group { group, name: "$share/g/jobs/+".into() },
            Record::Group { group: GroupNumber(301), name: "$share/h/x".into() },
            Record::GroupEnded { group: GroupNumber(301) },
        ],
        vec![
            Record::WillSet {
                session: SessionNumber(1),
                message: will.clone(),
                expiry_s: Some(60),
                delay_s: 5,
            },
            Record::WillSet { session: SessionNumber(2), message: will, expiry_s: None, delay_s: 0 },
            Record::WillRemoved { session: SessionNumber(2) },
            Record::Received { session: SessionNumber(1), packet_identifier: identifier(65_535) },
            Record::Received { session: SessionNumber(1), packet_identifier: identifier(2) },
            Record::Completed { session: SessionNumber(1), packet_identifier: identifier(2) },
        ],
        vec![
            Record::Queued {
                session: SessionNumber(1),
                order: 1,
                message: full.clone(),
                qos: QoS::ExactlyOnce,
                retain: true,
                identifiers: Identifiers::Many([1, 128, 268_435_455].into()),
                ticket: Some((group, 7)),
            },
            Record::Sent { session: SessionNumber(1), order: 1, packet_identifier: identifier(9) },
            Record::Released {
                session: SessionNumber(1),
                order: 1,
                packet_identifier: identifier(9),
                ticket: Some((group, 7)),
            },
            Record::GroupQueued { group, sequence: 7, message: full.clone() },
            Record::GroupQueued { group, sequence: 8, message: shared.clone() },
            Record::GroupQueued { group, sequence: 9, message: shared },
            Record::GroupTaken { group, sequence: 9 },
            Record::Routing { message: full.clone(), from: Home { shard: 1, shards: 4 } },
            Record::RoutedTo { id: full.id, home: Home { shard: 3, shards: 4 } },
            Record::Routing { message: plain[1].clone(), from: Home { shard: 0, shards: 2 } },
            Record::Routed { id: plain[1].id },
            Record::Retained { message: full },
            Record::Retained { message: plain[0].clone() },
            Record::Retained { message: cleared },
        ],
    ];
    for (order, message) in (10..).zip(&plain) {
        batches.push(vec![queued(2, order, message), queued(1, order + 1000, message)]);
    }
    batches.push((10..20).map(|order| removed(2, order)).collect());
    batches
}
