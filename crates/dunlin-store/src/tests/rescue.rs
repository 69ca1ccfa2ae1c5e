//! Salvage, backup and inventory.

use super::material::{SMALL, START, batch, describe, message, queued, removed, session};
use super::random::Random;
use super::simulated_disk::{SimulatedDisk, SimulatedFile};
use super::world::{PLAN, Plan, World};
use crate::segment;
use crate::{Disk, Loss, StoreOptions, backup, inventory, open, salvage};
use dunlin_core::journal::{Record, Segment, SessionNumber};
use dunlin_core::message::MemoryGauge;
use dunlin_core::router::Subscription;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

/// A store of some segments with a queue of 60 messages.
fn stored() -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let mut log = open(disk.clone(), SMALL, &[], START).unwrap().log;
    for order in 0..60 {
        let message = message(&MemoryGauge::default(), 0, order, "a/b", &[b'x'; 100]);
        let records = vec![session(7), queued(7, order, &message)];
        log.commit(START, [batch(0, order + 1, Segment(1), records)]);
    }
    log.stop(START);
    disk
}

fn contents(disk: &SimulatedDisk) -> String {
    describe(open(disk.clone(), SMALL, &[], START).unwrap().image)
}

#[test]
fn salvage_of_a_store_that_is_whole_loses_nothing() {
    let (disk, new) = (stored(), SimulatedDisk::default());
    let changes = disk.changes_count();
    let report = salvage(&disk, new.clone(), SMALL, START).unwrap();
    assert_eq!((report.losses, report.records_lost, report.records), (vec![], 0, 120));
    assert_eq!(disk.changes_count(), changes);
    assert_eq!(contents(&new), contents(&disk));
}

#[test]
fn salvage_takes_what_is_whole_and_says_where_something_was_not() {
    let whole = stored();
    for (damage, lines_lost) in [(200, 1), (16, 10), (2000, 1)] {
        let (disk, new) = (whole.after_crash(), SimulatedDisk::default());
        disk.tamper("0000000002.log", |bytes| bytes[damage] ^= 0x40);
        let report = salvage(&disk, new.clone(), SMALL, START).unwrap();
        let path = PathBuf::from("log/0000000002.log");
        match damage {
            // The salt: without it no frame of the segment can be told from anything else.
            16 => assert_eq!(report.losses, [Loss { path, offset: 32, bytes: None }]),
            _ => {
                let [Loss { path: lost, offset, bytes: Some(bytes) }] = &report.losses[..] else {
                    panic!("{report:?}");
                };
                assert!(*lost == path && (*offset..offset + bytes).contains(&(damage as u64)), "{report:?}");
            }
        }
        let lines = contents(&whole).lines().count() - contents(&new).lines().count();
        assert!(lines >= lines_lost && (damage == 16 || lines == lines_lost), "{lines} lines at {damage}");
    }
}

#[test]
fn salvage_of_a_store_with_a_missing_segment_takes_the_others() {
    let (disk, new) = (stored(), SimulatedDisk::default());
    disk.remove("0000000002.log").unwrap();
    let report = salvage(&disk, new.clone(), SMALL, START).unwrap();
    let path = PathBuf::from("log/0000000002.log");
    assert_eq!(report.losses, [Loss { path, offset: 0, bytes: None }]);
    assert!(contents(&new).lines().count() > 30);
}

/// A disk whose log goes on whenever somebody looks at it.
struct Busy {
    disk: SimulatedDisk,
    world: Mutex<(World, Random)>,
}

impl Busy {
    fn look(&self) {
        let (world, random) = &mut *self.world.lock().unwrap();
        (0..random.below(20)).for_each(|_| world.step());
    }
}

impl Disk for Busy {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.look();
        self.disk.list()
    }

    fn create(&self, name: &str, length_bytes: u64) -> io::Result<SimulatedFile> {
        self.disk.create(name, length_bytes)
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let opened = self.disk.open(name);
        self.look();
        opened
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

#[test]
fn a_backup_of_a_store_that_is_written_and_vacated_is_a_store() {
    let options = StoreOptions { segment_bytes: 16 * 1024, ..PLAN.options };
    let plan = Plan { options, queue_max: 3, topics: 50, ..PLAN };
    let mut vacated_meanwhile = 0;
    for seed in 0..8 {
        let disk = SimulatedDisk::default();
        let mut world = World::begin(plan, &disk, seed, Vec::new()).unwrap();
        (0..300).for_each(|_| world.step());
        let (told, passes) = (world.told.clone(), world.passes);
        let busy = Busy { disk, world: Mutex::new((world, Random::new(seed))) };
        let copy = SimulatedDisk::default();
        let report = backup(&busy, &copy).unwrap();
        let (mut world, _) = busy.world.into_inner().unwrap();
        vacated_meanwhile += world.passes - passes;
        world.told = told;
        let opened = open(copy.clone(), options, &[], START).unwrap();
        assert_eq!((opened.report.frames, opened.report.torn_tail.clone()), (report.frames, None));
        world.judge(opened.image).unwrap();
        // It starts and goes on, as any store.
        drop(opened.log);
        let mut copied = World::begin(plan, &copy, seed, world.history.clone()).unwrap();
        (0..50).for_each(|_| copied.step());
        let opened = open(copy.after_power_cut(&mut Random::new(seed)), options, &[], START).unwrap();
        copied.judge(opened.image).unwrap();
    }
    assert!(vacated_meanwhile > 0);
}

#[test]
fn a_backup_of_a_damaged_store_is_refused() {
    for (name, offset) in [("0000000001.log", 300), ("0000000003.log", 50)] {
        let disk = stored();
        disk.tamper(name, |bytes| bytes[offset] ^= 1);
        let error = backup(&disk, &SimulatedDisk::default()).unwrap_err().to_string();
        assert!(error.contains("damaged at byte") && error.contains(name), "{error}");
    }
}

#[test]
fn an_inventory_says_who_holds_what() {
    let disk = SimulatedDisk::default();
    let mut log = open(disk.clone(), SMALL, &[], START).unwrap().log;
    let gauge = MemoryGauge::default();
    let messages: Vec<_> = (0..10).map(|n| message(&gauge, 0, n, "a/b", &[b'x'; 97])).collect();
    let subscription =
        Subscription { maximum_qos: 1, no_local: false, retain_as_published: false, identifier: 0 };
    let mut records = vec![session(1), session(2)];
    records.extend((0..).zip(&messages).map(|(order, message)| queued(1, order, message)));
    records.extend((0..).zip(&messages[..4]).map(|(order, message)| queued(2, order, message)));
    records.extend([removed(1, 9), Record::Retained { message: messages[0].clone() }]);
    records.push(Record::Subscribed { session: SessionNumber(2), filter: "a/#".into(), subscription });
    log.commit(START, [batch(0, 1, Segment(1), records)]);
    let found = inventory(&disk).unwrap();
    let sessions: Vec<_> =
        found.sessions.iter().map(|it| (it.name.as_str(), it.messages, it.bytes, it.subscriptions)).collect();
    assert_eq!(sessions, [("client-1", 9, 900, 0), ("client-2", 4, 400, 1)]);
    assert_eq!((found.retained.messages, found.live_bytes), (1, 900));
    assert_eq!(found.total_bytes, segment::list(&disk).unwrap().len() as u64 * 4096);
}
