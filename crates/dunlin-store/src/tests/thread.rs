//! The log on its thread, and a real disk.

use super::material::{SMALL, START, batch, describe, message, queued, session};
use super::simulated_disk::{Call, Failing, PANIC, SimulatedDisk};
use crate::{Clock, Event, RealDisk, Store, StoreOptions, SyncPolicy, open};
use dunlin_core::journal::{Position, Segment};
use dunlin_core::message::MemoryGauge;
use dunlin_core::shard::StoreState;
use std::sync::mpsc;
use std::time::Duration;

/// Four shards hand over batches at once, and each waits until all of its own are durable.
fn shards_at_once(options: StoreOptions) {
    let directory = tempfile::tempdir().unwrap();
    let gauges: Vec<_> = (0..4).map(|_| MemoryGauge::default()).collect();
    let disk = || RealDisk::create(directory.path()).unwrap();
    let opened = open(disk(), options, &gauges, START).unwrap();
    let (senders, receivers): (Vec<_>, Vec<_>) = gauges.iter().map(|_| mpsc::channel()).unzip();
    let tell = move |shard, event| senders[usize::from(shard)].send(event).unwrap_or_default();
    let store = Store::start_on(opened.log, 4, gauges.clone(), Clock::default(), tell).unwrap();
    std::thread::scope(|scope| {
        for ((shard, events), gauge) in (0u16..).zip(receivers).zip(&gauges) {
            let handle = store.handle();
            scope.spawn(move || {
                let first = events.recv().unwrap();
                assert_eq!(first, Event::Durable { position: Position(0), segment: Segment(1) });
                let number = u64::from(shard) + 1;
                for end in 1..=50 {
                    let message = message(gauge, shard, end, "a/b", &[shard as u8; 100]);
                    let records = vec![session(number), queued(number, end, &message)];
                    handle.append(batch(shard, end, Segment(1), records));
                }
                let mut told = Position(0);
                while told < Position(50) {
                    match events.recv().unwrap() {
                        Event::Durable { position, .. } => {
                            assert!(position >= told);
                            told = position;
                        }
                        Event::Vacate { before } => handle.vacated(shard, before),
                        Event::State(state) => panic!("{state:?}"),
                    }
                }
            });
        }
    });
    let health = store.health();
    store.handle().append(batch(0, 51, Segment(1), vec![session(99)]));
    store.stop();
    assert_eq!((health.state(), health.reason()), (StoreState::Writing, None));
    let opened = open(disk(), options, &[], START).unwrap();
    assert_eq!(opened.report.torn_tail, None);
    let text = describe(opened.image);
    assert_eq!(text.lines().count(), 4 * (2 + 50) + 2, "{text}");
}

#[test]
fn shards_are_told_when_their_batches_are_durable() {
    shards_at_once(SMALL);
}

#[test]
fn a_commit_delay_and_syncing_now_and_then_change_nothing_about_that() {
    shards_at_once(StoreOptions { commit_delay: Duration::from_millis(1), ..SMALL });
    shards_at_once(StoreOptions { sync: SyncPolicy::Interval(Duration::from_millis(1)), ..SMALL });
    shards_at_once(StoreOptions { sync: SyncPolicy::Never, ..SMALL });
}

#[test]
fn a_panic_of_the_thread_is_told_to_every_shard_like_a_log_that_failed() {
    let disk = SimulatedDisk::default();
    let (sender, events) = mpsc::channel();
    let log = open(disk.clone(), SMALL, &[], START).unwrap().log;
    let tell = move |shard, event| sender.send((shard, event)).unwrap();
    let store = Store::start_on(log, 2, Vec::new(), Clock::default(), tell).unwrap();
    for shard in 0..2 {
        let first = Event::Durable { position: Position(0), segment: Segment(1) };
        assert_eq!(events.recv().unwrap(), (shard, first));
    }
    disk.fail(Failing { call: Call::Write, after: 0, times: 1, kind: PANIC });
    store.handle().append(batch(1, 1, Segment(1), vec![session(1)]));
    for shard in 0..2 {
        assert_eq!(events.recv().unwrap(), (shard, Event::State(StoreState::Failed)));
    }
    let health = store.health();
    assert_eq!(health.state(), StoreState::Failed);
    assert!(health.reason().unwrap().contains("panicked"), "{:?}", health.reason());
    // What comes later is not waited for.
    store.handle().append(batch(1, 2, Segment(1), vec![session(2)]));
    store.stop();
    events.recv().unwrap_err();
}
