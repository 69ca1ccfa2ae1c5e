//! What a batch of messages for a persistent Session costs the store until it is written: on a real directory,
//! without a sync, since what the kernel does is not counted anyway.

use super::Case;
use dunlin_codec::QoS;
use dunlin_core::Timestamp;
use dunlin_core::identity::ClientIdentifier;
use dunlin_core::journal::{Position, Record, Segment, SessionNumber};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, MessageId, Publication};
use dunlin_core::session::Identifiers;
use dunlin_core::settings::SessionExpiryInterval;
use dunlin_store::{Batch, Log, RealDisk, StoreOptions, SyncPolicy, open};

const MESSAGES: u32 = 100;
const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const SESSION: SessionNumber = SessionNumber(1);

pub fn cases() -> Vec<Case> {
    vec![Case { name: "store, append a batch of 100", operations: MESSAGES, prepare: appending }]
}

fn appending() -> Box<dyn FnMut()> {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::create(directory.path()).expect("a disk");
    let gauge = MemoryGauge::default();
    let options = StoreOptions { sync: SyncPolicy::Never, ..StoreOptions::default() };
    let mut log = open(disk, options, &[], NOW).expect("a new log").log;
    log.serve(1, vec![gauge.clone()]);
    commit(&mut log, 1, vec![session()]);
    // The Session still has them when they are written, so none is freed meanwhile.
    let messages: Vec<_> = (0..2 * u64::from(MESSAGES)).map(|order| message(&gauge, order)).collect();
    let records: Vec<Record> = (0..).zip(&messages).map(|(order, message)| queued(message, order)).collect();
    let batches: Vec<Vec<Record>> = records.chunks(MESSAGES as usize).map(<[Record]>::to_vec).collect();
    let mut batches = (2..).zip(batches);
    Box::new(move || {
        let _kept = (&directory, &messages, &records);
        let (end, records) = batches.next().expect("a batch for each turn");
        commit(&mut log, end, records);
    })
}

/// Commits records that somebody waits for, and hears that they are durable.
fn commit(log: &mut Log<RealDisk>, end: u64, records: Vec<Record>) {
    let (end, awaited) = (Position(end), Position(u64::MAX));
    log.commit(NOW, [Batch { shard: 0, records, end, awaited, segment: Segment(1) }]);
    assert!(std::iter::from_fn(|| log.poll_event()).count() > 0);
}

fn session() -> Record {
    Record::Session {
        session: SESSION,
        client: ClientIdentifier::new("client").expect("a Client Identifier"),
        user_name: None,
        policy: None,
        expiry: SessionExpiryInterval::Never,
        away_since: Some(NOW),
    }
}

fn message(gauge: &MemoryGauge, order: u64) -> ApplicationMessage {
    let received_at = Timestamp::from_micros(NOW.as_micros() + order);
    let id = MessageId { received_at, boot_epoch: 1, origin: 0 };
    let mut publication = Publication::new(id, "building/7/sensor/000123", QoS::AtLeastOnce, false);
    publication.payload = &[0x5A; 64];
    publication.keep(gauge)
}

fn queued(message: &ApplicationMessage, order: u64) -> Record {
    Record::Queued {
        session: SESSION,
        order,
        message: message.clone(),
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: Identifiers::None,
        ticket: None,
    }
}
