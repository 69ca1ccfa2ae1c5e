//! The log on a disk that works.

use super::material::{SMALL, START, batch, describe, message, queued, removed, session, show};
use super::release;
use super::simulated_disk::{Call, EIO, ENOSPC, Failing, PANIC, SimulatedDisk};
use crate::bodies::REACH;
use crate::loader::{self, Loader};
use crate::log::PUT_OFF_MAX;
use crate::reading::read_log;
use crate::recovery::HEARTBEAT_INTERVAL;
use crate::segment;
use crate::{Batch, Event, Log, Opened, RealDisk, StoreOptions, SyncPolicy, open};
use dunlin_core::Timestamp;
use dunlin_core::image::Image;
use dunlin_core::journal::{Position, Segment};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, Publication};
use dunlin_core::session::Place;
use dunlin_core::shard::{Holder, StoreState};
use dunlin_core::slots::Key;
use std::path::Path;
use std::time::Duration;

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
    let (disk, mut loader) = (RealDisk::read_only(directory.path()), Loader::default());
    for message in messages.iter().rev() {
        let read = loader.read(&disk, message.location(), message.content_bytes(), &gauge).unwrap();
        assert_eq!((show(&read), read.location()), (show(message), message.location()));
    }
    let location = messages[7].location();
    for wrong in [location + 1, location + (100 << 32), 1 << 32 | 0xFFFF_FFFF] {
        assert!(loader.read(&disk, wrong, 100, &gauge).is_err());
    }
}

#[test]
fn a_message_that_cannot_be_read_at_the_moment_is_read_later_and_not_lost() {
    let disk = SimulatedDisk::default();
    let gauge = MemoryGauge::default();
    let mut log = simulated(&disk, SMALL, START);
    let kept = message(&gauge, 0, 1, "a/b", b"patience");
    log.commit(START, [batch(0, 2, Segment(1), vec![session(7), queued(7, 1, &kept)])]);
    disk.fail(Failing { call: Call::Read, after: 0, times: usize::MAX, kind: EIO });
    let (answers, answered) = std::sync::mpsc::channel();
    let tell = move |shard, session, loaded| answers.send((shard, session, loaded)).unwrap();
    let handle = loader::start(disk.clone(), vec![gauge], tell).unwrap();
    let session = Holder::Session(Key { index: 3, generation: 1 });
    let place = Place { order: 1, location: kept.location(), content_bytes: kept.content_bytes() };
    let before = disk.calls_count(Call::Read);
    handle.load(0, session, vec![place]);
    while disk.calls_count(Call::Read) == before {
        std::thread::yield_now();
    }
    disk.heal();
    let (shard, asked, loaded) = answered.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    assert_eq!((shard, asked), (0, session));
    let [(1, Some(read))] = &loaded[..] else { panic!("{loaded:?}") };
    assert_eq!(read.payload(), b"patience");
}

#[test]
fn a_message_whose_reading_panics_is_read_later_and_the_others_still_are() {
    let disk = SimulatedDisk::default();
    let gauge = MemoryGauge::default();
    let mut log = simulated(&disk, SMALL, START);
    let kept = message(&gauge, 0, 1, "a/b", b"patience");
    log.commit(START, [batch(0, 2, Segment(1), vec![session(7), queued(7, 1, &kept)])]);
    let place = Place { order: 1, location: kept.location(), content_bytes: kept.content_bytes() };
    let (answers, answered) = std::sync::mpsc::channel();
    let tell = move |_, session, loaded| answers.send((session, loaded)).unwrap();
    let handle = loader::start(disk.clone(), vec![gauge], tell).unwrap();
    disk.fail(Failing { call: Call::Read, after: 0, times: 1, kind: PANIC });
    let [first, second] = [1, 2].map(|index| Holder::Group(Key { index, generation: 1 }));
    handle.load(0, first, vec![place]);
    handle.load(0, second, vec![place]);
    for expected in [second, first] {
        let (session, loaded) = answered.recv_timeout(Duration::from_secs(60)).unwrap();
        let [(1, Some(read))] = &loaded[..] else { panic!("{loaded:?}") };
        assert_eq!((session, read.payload()), (expected, &b"patience"[..]));
    }
}

#[test]
fn a_message_whose_reading_always_panics_is_lost_alone() {
    let disk = SimulatedDisk::default();
    let gauge = MemoryGauge::default();
    let mut log = simulated(&disk, SMALL, START);
    let messages = [1, 2].map(|number| message(&gauge, 0, number, "a/b", b"patience"));
    log.commit(
        START,
        [batch(0, 2, Segment(1), vec![queued(7, 1, &messages[0]), queued(7, 2, &messages[1])])],
    );
    let [one, two] = messages.map(|message| Place {
        order: message.id.received_at.as_micros(),
        location: message.location(),
        content_bytes: message.content_bytes(),
    });
    disk.fail(Failing { call: Call::Read, after: 0, times: 2, kind: PANIC });
    let mut loader = Loader::default();
    assert!(loader.answer(&disk, &[one, two], &gauge, false).is_none());
    let loaded = loader.answer(&disk, &[one, two], &gauge, true).unwrap();
    let found: Vec<_> = loaded.iter().map(|(order, message)| (*order, message.is_some())).collect();
    assert_eq!(found, [(one.order, false), (two.order, true)]);
}

/// A log on a simulated disk, for one shard.
fn simulated(disk: &SimulatedDisk, options: StoreOptions, now: Timestamp) -> Log<SimulatedDisk> {
    let mut log = open(disk.clone(), options, &[], now).unwrap().log;
    log.serve(1, Vec::new());
    log
}

#[test]
fn a_commit_is_one_write_and_one_sync_however_many_batches_it_has() {
    let disk = SimulatedDisk::default();
    let mut log = simulated(&disk, SMALL, START);
    for count in [1, 1, 20] {
        let before = (disk.calls_count(Call::Write), disk.calls_count(Call::Sync));
        log.commit(START, (0..count).map(|n| batch(0, n + 1, Segment(1), vec![removed(1, n)])));
        assert_eq!(
            (disk.calls_count(Call::Write), disk.calls_count(Call::Sync)),
            (before.0 + 1, before.1 + 1)
        );
    }
}

#[test]
fn a_batch_that_nobody_waits_for_goes_with_the_next_or_when_its_time_is_over() {
    let disk = SimulatedDisk::default();
    let mut log = simulated(&disk, StoreOptions::default(), START);
    let put_off = |end| Batch { awaited: Position(0), ..batch(0, end, Segment(1), vec![removed(1, end)]) };
    let told = |log: &mut Log<_>| {
        let told = std::iter::from_fn(|| log.poll_event()).last();
        told.map(|(_, event)| match event {
            Event::Durable { position, .. } => position.0,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(told(&mut log), Some(0));
    let syncs = disk.calls_count(Call::Sync);
    log.commit(START, [put_off(1)]);
    log.commit(START + Duration::from_millis(60), [put_off(2)]);
    assert_eq!((told(&mut log), disk.calls_count(Call::Sync)), (None, syncs));
    assert_eq!(log.poll_timeout(), Some(START + PUT_OFF_MAX), "the first decides");
    log.commit(START + Duration::from_millis(60), [batch(0, 3, Segment(1), vec![session(1)])]);
    assert_eq!((told(&mut log), disk.calls_count(Call::Sync)), (Some(3), syncs + 1));
    log.commit(START + Duration::from_millis(70), [put_off(4)]);
    log.handle_timeout(START + Duration::from_millis(70) + PUT_OFF_MAX);
    assert_eq!((told(&mut log), disk.calls_count(Call::Sync)), (Some(4), syncs + 2));
    // Somebody begins to wait for what was handed over before.
    log.commit(START + Duration::from_secs(1), [put_off(5)]);
    log.commit(START + Duration::from_secs(1), [batch(0, 5, Segment(1), Vec::new())]);
    assert_eq!((told(&mut log), disk.calls_count(Call::Sync)), (Some(5), syncs + 3));
    // Too much to be put off.
    let many = (0..20_000).map(|n| removed(1, n)).collect();
    log.commit(START + Duration::from_secs(2), [Batch { records: many, ..put_off(6) }]);
    assert_eq!((told(&mut log), disk.calls_count(Call::Sync)), (Some(6), syncs + 4));
}

#[test]
fn syncing_now_and_then_tells_at_once_and_syncs_when_it_is_due() {
    let interval = Duration::from_millis(100);
    let disk = SimulatedDisk::default();
    let mut log = simulated(&disk, StoreOptions { sync: SyncPolicy::Interval(interval), ..SMALL }, START);
    let syncs = disk.calls_count(Call::Sync);
    for end in 1..=10 {
        log.commit(START, [batch(0, end, Segment(1), vec![session(end)])]);
    }
    let told = std::iter::from_fn(|| log.poll_event()).last();
    assert_eq!(told, Some((0, Event::Durable { position: Position(10), segment: Segment(1) })));
    assert_eq!((log.poll_timeout(), disk.calls_count(Call::Sync)), (Some(START + interval), syncs));
    log.handle_timeout(START + interval);
    assert_eq!(disk.calls_count(Call::Sync), syncs + 1);
    // Nothing is left to sync.
    assert_eq!(log.poll_timeout(), Some(START + HEARTBEAT_INTERVAL));
}

#[test]
fn without_syncing_only_a_segment_that_is_complete_and_the_end_are_synced() {
    let disk = SimulatedDisk::default();
    let mut log = simulated(&disk, StoreOptions { sync: SyncPolicy::Never, ..SMALL }, START);
    let syncs = disk.calls_count(Call::Sync);
    log.commit(START, [batch(0, 1, Segment(1), vec![session(1)])]);
    log.handle_timeout(START + Duration::from_secs(60));
    assert_eq!(disk.calls_count(Call::Sync), syncs);
    log.stop(START);
    assert!(disk.calls_count(Call::Sync) > syncs);
}

#[test]
fn the_end_of_the_last_life_is_said_never_early_and_at_most_a_heartbeat_late() {
    let disk = SimulatedDisk::default();
    let mut log = simulated(&disk, SMALL, START);
    let mut now = START;
    for _ in 0..5 {
        now = log.poll_timeout().unwrap();
        log.handle_timeout(now);
    }
    assert_eq!(now, START + 5 * HEARTBEAT_INTERVAL);
    // The process dies somewhere between two signs of life.
    let day = Duration::from_secs(86_400);
    let ended_at = |now| open(disk.after_crash(), SMALL, &[], now).unwrap().ended_at;
    assert_eq!(ended_at(now + day), now + HEARTBEAT_INTERVAL);
    assert_eq!(ended_at(now + Duration::from_secs(5)), now + Duration::from_secs(5));
}

#[test]
fn a_body_is_written_once_for_as_long_as_references_can_rely_on_it() {
    let disk = SimulatedDisk::default();
    let gauge = MemoryGauge::default();
    let mut log = open(disk.clone(), SMALL, &[], START).unwrap().log;
    // All of this is live, so nothing is worth vacating.
    log.serve(1, vec![gauge.clone()]);
    let shared = message(&gauge, 0, 1, "a/b", &[b'x'; 300]);
    let mut refer = |order: u64, segment: Segment| {
        let before = disk.written_bytes();
        log.commit(START, [batch(0, order, segment, vec![queued(order, order, &shared)])]);
        (disk.written_bytes() - before > 300, shared.segment())
    };
    assert_eq!(refer(1, Segment(1)), (true, Segment(1)));
    for order in 2..20 {
        assert_eq!(refer(order, Segment(1)), (false, Segment(1)));
    }
    assert_eq!(gauge.stored_bytes(), 303);
    // The log goes on to other segments; a large message has one of its own.
    let fillers: Vec<_> = (2..4).map(|number| message(&gauge, 0, number, "a/b", &[b'y'; 5000])).collect();
    let refer = |log: &mut Log<_>, message, order: u64| {
        log.commit(START, [batch(0, order, Segment(1), vec![queued(order, order, message)])]);
        (message.segment(), log.state().0)
    };
    for (order, filler, newest) in [(20, &fillers[0], 2), (22, &fillers[1], 4)] {
        assert_eq!(refer(&mut log, filler, order), (Segment(newest), Segment(newest)));
        assert_eq!(refer(&mut log, &shared, order + 1), (Segment(1), Segment(newest + 1)));
    }
    // Recovery could still look back so far, but not if this were to begin another segment.
    assert_eq!(Segment(1 + REACH), log.state().0);
    assert_eq!(refer(&mut log, &shared, 24), (Segment(5), Segment(5)));
    drop(shared);
    assert_eq!(gauge.stored_bytes(), 2 * 5003);
}

/// The same message again, as the loader makes it: a copy with the place of the original.
fn read_back(gauge: &MemoryGauge, original: &ApplicationMessage) -> ApplicationMessage {
    let mut publication = Publication::new(original.id, original.topic(), original.qos, original.retain);
    publication.publisher = original.publisher;
    publication.payload = original.payload();
    let copy: ApplicationMessage = publication.keep(gauge);
    copy.set_location(original.location());
    copy
}

#[test]
fn a_message_has_no_new_place_before_its_body_is_written_there() {
    let disk = SimulatedDisk::default();
    let gauge = MemoryGauge::default();
    let mut log = simulated(&disk, SMALL, START);
    let [old, filler, new] = [(1, 500), (2, 5000), (3, 500)]
        .map(|(number, bytes)| message(&gauge, 0, number, "a/b", &vec![b'x'; bytes]));
    log.commit(START, [batch(0, 1, Segment(1), vec![session(1), queued(1, 1, &old)])]);
    log.commit(START, [batch(0, 2, Segment(1), vec![queued(1, 2, &filler)])]);
    let old_place = old.location();
    assert_eq!((old.segment(), filler.segment()), (Segment(1), Segment(2)));
    // Both bodies are in the next frame, and the disk is full.
    disk.fail(Failing { call: Call::Write, after: 0, times: 2, kind: ENOSPC });
    let records = vec![session(2), queued(2, 1, &old), queued(2, 2, &new)];
    log.commit(START, [batch(0, 3, Segment(2), records)]);
    for seconds in 1..=2 {
        assert_eq!((old.location(), new.location()), (old_place, 0));
        assert_eq!(log.state().1, StoreState::Full);
        log.handle_timeout(START + Duration::from_secs(seconds));
    }
    assert_eq!(log.state().1, StoreState::Writing);
    let mut loader = Loader::default();
    for message in [&old, &new] {
        assert_eq!(message.segment(), Segment(3));
        let read = loader.read(&disk, message.location(), message.content_bytes(), &gauge).unwrap();
        assert_eq!(show(&read), show(message));
    }
}

#[test]
fn a_frame_has_a_body_once_however_many_of_its_records_and_copies_refer_to_it() {
    let disk = SimulatedDisk::default();
    let gauge = MemoryGauge::default();
    let mut log = simulated(&disk, SMALL, START);
    let [shared, other] = [1, 2].map(|number| message(&gauge, 0, number, "a/b", &[b'x'; 300]));
    let copies: Vec<_> = (0..5).map(|_| read_back(&gauge, &shared)).collect();
    let refer = |shard, message| batch(shard, 1, Segment(1), vec![queued(1, 1, message)]);
    let before = disk.written_bytes();
    let others = [refer(1, &shared), refer(2, &other), refer(3, &shared)];
    log.commit(START, others.into_iter().chain(copies.iter().map(|copy| refer(4, copy))));
    let written_bytes = disk.written_bytes() - before;
    assert!((600..900).contains(&written_bytes), "{written_bytes}");
    assert!(copies.iter().all(|copy| copy.location() == shared.location() && copy.location() != 0));
    assert_ne!(other.location(), shared.location());
}

#[test]
fn a_body_is_not_in_an_earlier_segment_than_its_reference_was_staged_in() {
    let disk = SimulatedDisk::default();
    let gauge = MemoryGauge::default();
    let mut log = simulated(&disk, SMALL, START);
    let shared = message(&gauge, 0, 1, "a/b", &[b'x'; 3700]);
    log.commit(START, [batch(0, 1, Segment(1), vec![queued(1, 1, &shared)])]);
    let filler = message(&gauge, 0, 2, "a/b", &[b'y'; 500]);
    log.commit(START, [batch(0, 2, Segment(1), vec![queued(1, 2, &filler)])]);
    assert_eq!((shared.segment(), filler.segment()), (Segment(1), Segment(2)));
    for (staged_in, expected) in [(Segment(1), Segment(1)), (Segment(2), Segment(3))] {
        log.commit(START, [batch(0, 3, staged_in, vec![queued(2, 3, &shared)])]);
        assert_eq!(shared.segment(), expected);
    }
}

/// A log that has asked to vacate everything but its last segment, and a message in the segment before that.
fn vacating() -> (SimulatedDisk, Log<SimulatedDisk>, ApplicationMessage) {
    let disk = SimulatedDisk::default();
    let (gauge, counted) = (MemoryGauge::default(), MemoryGauge::default());
    let mut log = open(disk.clone(), SMALL, &[], START).unwrap().log;
    log.serve(1, vec![counted.clone()]);
    // As long as this counts as live, nothing is worth vacating.
    let live = message(&counted, 0, 0, "a/b", &[b'x'; 30_000]);
    live.set_location(1 << 32);
    let large = message(&gauge, 0, 1, "a/b", &[b'x'; 30_000]);
    log.commit(START, [batch(0, 1, Segment(1), vec![session(1)])]);
    log.commit(START, [batch(0, 2, Segment(1), vec![queued(1, 1, &large)])]);
    // Segment 2 is of its own size, so this begins segment 3.
    log.commit(START, [batch(0, 3, Segment(1), vec![session(1)])]);
    while let Some(told) = log.poll_event() {
        assert!(!matches!(told, (_, Event::Vacate { .. })));
    }
    drop(live);
    log.commit(START, [batch(0, 4, Segment(1), vec![session(1)])]);
    let events: Vec<_> = std::iter::from_fn(|| log.poll_event()).map(|(_, event)| event).collect();
    let durable = Event::Durable { position: Position(4), segment: Segment(3) };
    assert_eq!(events, [durable, durable, Event::Vacate { before: Segment(3) }]);
    (disk, log, large)
}

#[test]
fn while_segments_are_vacated_nothing_new_relies_on_them_whatever_its_shard_knows() {
    let (disk, mut log, large) = vacating();
    assert_eq!(large.segment(), Segment(2));
    // The shard has not heard of any segment but the first.
    log.commit(START, [batch(0, 5, Segment(1), vec![session(2), queued(2, 1, &large)])]);
    assert!(large.segment() >= Segment(3));
    log.vacated(START, 0, Segment(3));
    assert_eq!(segment::list(&disk).unwrap().first(), Some(&Segment(3)));
    assert_eq!(open(disk.after_crash(), SMALL, &[], START).unwrap().image.queued_count(), 1);
}

#[test]
fn while_segments_are_vacated_a_body_that_many_sessions_read_back_is_written_again_once() {
    let disk = SimulatedDisk::default();
    let gauge = MemoryGauge::default();
    let options = StoreOptions { segment_bytes: 256 * 1024, ..SMALL };
    let mut log = open(disk.clone(), options, &[], START).unwrap().log;
    log.serve(1, vec![MemoryGauge::default()]);
    let messages: Vec<_> = (0..200).map(|n| message(&gauge, 0, n, "a/b", &[n as u8; 500])).collect();
    let body_bytes = 200 * 503;
    let queue = |session: u64, messages: &[ApplicationMessage]| -> Vec<_> {
        (0..).zip(messages).map(|(order, message)| queued(session, order, message)).collect()
    };
    let mut end = 0;
    let mut commit = |log: &mut Log<_>, segment, records| {
        end += 1;
        log.commit(START, [batch(0, end, segment, records)]);
    };
    (1..=20).for_each(|number| commit(&mut log, Segment(1), vec![session(number)]));
    (1..=20).for_each(|number| commit(&mut log, Segment(1), queue(number, &messages)));
    // Segment 2 is of its own size, and the third is that of the rest. All of it seems worth vacating.
    let filler = message(&gauge, 0, 999, "a/b", &[b'x'; 1_500_000]);
    commit(&mut log, Segment(1), vec![queued(1, 999, &filler)]);
    commit(&mut log, Segment(1), vec![removed(1, 999)]);
    let mut events = std::iter::from_fn(|| log.poll_event()).map(|(_, event)| event);
    assert!(events.any(|event| event == Event::Vacate { before: Segment(2) }));
    let copies: Vec<Vec<_>> =
        (0..20).map(|_| messages.iter().map(|message| read_back(&gauge, message)).collect()).collect();
    let before = disk.written_bytes();
    for (number, copies) in (1..).zip(&copies) {
        commit(&mut log, Segment(3), [vec![session(number)], queue(number, copies)].concat());
    }
    let written_bytes = disk.written_bytes() - before;
    assert!((body_bytes..2 * body_bytes).contains(&written_bytes), "{written_bytes} of {body_bytes}");
    for (index, message) in messages.iter().enumerate() {
        let places: Vec<_> = copies.iter().map(|copies| copies[index].location()).collect();
        assert!(places.iter().all(|place| *place == places[0] && place >> 32 == 3), "{places:x?}");
        assert_eq!(message.segment(), Segment(1), "nobody has said this copy again");
    }
    // What is staged later can only rely on what is written later.
    commit(&mut log, Segment(3), vec![queued(1, 999, &filler)]);
    commit(&mut log, Segment(3), vec![removed(1, 999)]);
    let newest = log.state().0;
    let late = read_back(&gauge, &messages[0]);
    assert!(newest > Segment(3));
    commit(&mut log, newest, vec![queued(20, 500, &late)]);
    assert_eq!(late.segment(), newest);
    log.vacated(START, 0, Segment(2));
    assert_eq!(segment::list(&disk).unwrap().first(), Some(&Segment(2)));
    let opened = open(disk.after_crash(), options, &[], START).unwrap();
    assert_eq!(opened.image.queued_count(), 20 * 200 + 1);
}

#[test]
fn segments_are_deleted_only_when_what_was_said_before_the_answer_is_written() {
    let (disk, mut log, large) = vacating();
    disk.fail(Failing { call: Call::Write, after: 0, times: 1, kind: EIO });
    // The second of these waits behind the first.
    log.commit(START, [batch(0, 5, Segment(3), vec![session(1)])]);
    log.commit(START, [batch(0, 6, Segment(3), vec![queued(1, 1, &large)])]);
    log.vacated(START, 0, Segment(3));
    assert_eq!(segment::list(&disk).unwrap().first(), Some(&Segment(1)));
    // Both are written now, but not that the log begins with segment 3.
    disk.fail(Failing { call: Call::Write, after: 2, times: 1, kind: EIO });
    log.handle_timeout(START + Duration::from_secs(1));
    assert_eq!(segment::list(&disk).unwrap().first(), Some(&Segment(1)));
    log.handle_timeout(START + Duration::from_secs(2));
    assert_eq!(segment::list(&disk).unwrap().first(), Some(&Segment(3)));
    assert_eq!(open(disk.after_crash(), SMALL, &[], START).unwrap().image.queued_count(), 1);
}

#[test]
fn a_batch_larger_than_a_segment_is_whole_in_one_of_its_own() {
    let disk = SimulatedDisk::default();
    let gauge = MemoryGauge::default();
    let mut log = simulated(&disk, SMALL, START);
    let records = (0..100).map(|n| queued(7, n, &message(&gauge, 0, n, "a/b", &[b'x'; 1000]))).collect();
    log.commit(START, [batch(0, 1, Segment(1), vec![session(7)]), batch(0, 2, Segment(1), records)]);
    log.commit(START, [batch(0, 3, Segment(1), vec![removed(7, 0)])]);
    let opened = open(disk.after_crash(), SMALL, &[], START).unwrap();
    assert_eq!((opened.report.segments, opened.image.queued_count()), (3, 99));
}

#[test]
fn a_checked_in_store_of_this_release_stays_readable() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store-0.1/log");
    let mut image = Image::default();
    let disk = RealDisk::read_only(&directory);
    let report = read_log(&disk, &[], |record, segment| image.apply(record, segment)).unwrap().report;
    assert!(report.records > 20 && report.segments >= 2, "{report:?}");
    let expected = std::fs::read_to_string(directory.with_file_name("contents.txt")).unwrap();
    assert_eq!(describe(image), expected);
}

/// Writes `tests/store-0.1`; once for every release whose format is new.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_store_of_this_release() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store-0.1");
    std::fs::create_dir_all(&directory).unwrap();
    let gauge = MemoryGauge::default();
    let mut log = begin(&directory.join("log"), SMALL, &gauge);
    let mut end = 0;
    for records in release::batches(&gauge) {
        end += 1;
        log.commit(START, [batch(0, end, Segment(1), records)]);
    }
    log.stop(START);
    for spare in std::fs::read_dir(directory.join("log")).unwrap().map(|entry| entry.unwrap().path()) {
        if spare.file_name().unwrap().to_string_lossy().starts_with("spare") {
            std::fs::remove_file(spare).unwrap();
        }
    }
    let mut image = Image::default();
    let disk = RealDisk::read_only(&directory.join("log"));
    read_log(&disk, &[], |record, segment| image.apply(record, segment)).unwrap();
    std::fs::write(directory.join("contents.txt"), describe(image)).unwrap();
}
