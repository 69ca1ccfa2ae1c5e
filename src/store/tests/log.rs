//! The log on a disk that works.

use super::material::{SMALL, START, batch, describe, message, queued, removed, session, show};
use crate::store::{BodyReader, Event, Log, Opened, RealDisk, StoreOptions, open};
use dunlin_core::journal::{Position, Segment};
use dunlin_core::message::MemoryGauge;
use std::path::Path;

fn reopen(directory: &Path, options: StoreOptions) -> Opened<RealDisk> {
    open(RealDisk::create(directory).unwrap(), options, &[], START).unwrap()
}

/// The log of a new store for one shard.
fn begin(directory: &Path, options: StoreOptions, gauge: &MemoryGauge) -> Log<RealDisk> {
    let mut log = reopen(directory, options).log;
    log.serve(1, vec![gauge.clone()]);
    assert_eq!(
        log.poll_event(),
        Some((0, Event::Durable { position: Position(0), segment: Segment(1) })),
        "a shard is told the segment first"
    );
    log
}

#[test]
fn what_was_committed_is_there_when_the_store_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let gauge = MemoryGauge::default();
    let mut log = begin(directory.path(), SMALL, &gauge);
    let messages: Vec<_> = (0..200).map(|n| message(&gauge, 0, n, "a/b", &[n as u8; 100])).collect();
    log.commit(START, [batch(0, 1, Segment(1), vec![session(7)])]);
    for (order, message) in (0..).zip(&messages) {
        log.commit(START, [batch(0, order + 2, Segment(1), vec![queued(7, order, message)])]);
    }
    log.commit(START, [batch(0, 300, Segment(1), (0..150).map(|order| removed(7, order)).collect())]);
    let mut told = Position(0);
    while let Some((_, event)) = log.poll_event() {
        let Event::Durable { position, .. } = event else { panic!("{event:?}") };
        assert!(position > told);
        told = position;
    }
    assert_eq!(told, Position(300));
    drop(log);
    let opened = reopen(directory.path(), SMALL);
    assert_eq!(opened.report.torn_tail, None);
    assert!(opened.report.segments > 5, "{:?}", opened.report);
    assert_eq!(opened.report.records, 352 - 1);
    let text = describe(opened.image);
    assert_eq!(text.lines().count(), 2 + 50, "{text}");
    assert!(text.contains("client-7") && text.contains("\n  199 "), "{text}");
}

#[test]
fn a_body_can_be_read_by_its_place_alone() {
    let directory = tempfile::tempdir().unwrap();
    let gauge = MemoryGauge::default();
    let mut log = begin(directory.path(), SMALL, &gauge);
    let messages: Vec<_> = (0..40)
        .map(|n| message(&gauge, 0, n, "a/b", &vec![n as u8; if n == 30 { 6000 } else { 10 * n as usize }]))
        .collect();
    log.commit(START, [batch(0, 1, Segment(1), vec![session(7)])]);
    for (order, message) in (0..).zip(&messages) {
        log.commit(START, [batch(0, order + 2, Segment(1), vec![queued(7, order, message)])]);
    }
    let mut reader = BodyReader::new(RealDisk::read_only(directory.path()), MemoryGauge::default());
    for message in messages.iter().rev() {
        for expected_bytes in [0, message.content_bytes(), 1 << 20] {
            let read = reader.read(message.location(), expected_bytes).unwrap();
            assert_eq!((show(&read), read.location()), (show(message), message.location()));
        }
    }
    let location = messages[7].location();
    for wrong in [location + 1, location + (100 << 32), 1 << 32 | 0xFFFF_FFFF] {
        reader.read(wrong, 100).unwrap_err();
    }
}
