//! A disk that fails: every call in turn, with every error that matters, and a disk without room.

use super::random::Random;
use super::simulated_disk::{Call, EIO, ENOSPC, Failing, SimulatedDisk};
use super::world::{PLAN, Plan, World};
use crate::{StoreOptions, SyncPolicy, open};
use dunlin_core::Timestamp;
use dunlin_core::shard::StoreState;
use std::time::Duration;

/// Longer than the log waits before it tries again.
const RETRY: Duration = Duration::from_millis(1001);

/// Segments of 1 KiB, so that every kind of call happens often.
fn plan() -> Plan {
    let options = StoreOptions { segment_bytes: 1024, ..PLAN.options };
    Plan { options, payload_max: 150, queue_max: 2, ..PLAN }
}

fn recovers(world: &World, disk: &SimulatedDisk, plan: Plan) {
    let opened = open(disk.clone(), plan.options, &[], Timestamp::ZERO).unwrap();
    world.judge(opened.image).unwrap();
}

/// A workload in which calls fail, and how often that kind of call came.
fn run(plan: Plan, disk: &SimulatedDisk, failing: Option<Failing>) -> Result<World, String> {
    failing.into_iter().for_each(|failing| disk.fail(failing));
    let mut world = World::begin(plan, disk, 11, Vec::new())?;
    for _ in 0..60 {
        world.step();
        if world.state == StoreState::Full {
            world.wait(RETRY);
        }
    }
    Ok(world)
}

#[test]
fn whatever_call_fails_the_log_goes_on_when_it_works_again_and_nothing_is_lost() {
    let whole = SimulatedDisk::default();
    run(plan(), &whole, None).unwrap();
    for call in [Call::Create, Call::Write, Call::Rename, Call::Remove, Call::Open, Call::List] {
        let count = whole.calls_count(call);
        assert!(count > 0, "{call:?} never happens");
        for (after, kind) in (0..count).flat_map(|after| [(after, EIO), (after, ENOSPC)]) {
            for times in [1, 3] {
                let disk = SimulatedDisk::default();
                let failing = Failing { call, after, times, kind };
                // A store that cannot be opened says so; then nothing was promised.
                let Ok(mut world) = run(plan(), &disk, Some(failing)) else { continue };
                disk.heal();
                world.wait(RETRY);
                world.step();
                assert_eq!(world.state, StoreState::Writing, "{failing:?}");
                assert_eq!(world.told, world.batches(), "{failing:?}");
                let after_cut = disk.after_power_cut(&mut Random::new(after as u64));
                recovers(&world, &after_cut, plan());
            }
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_is_durable_any_more_and_the_reason_is_said() {
    for call in [Call::Sync, Call::SyncDirectory] {
        let whole = SimulatedDisk::default();
        run(plan(), &whole, None).unwrap();
        for after in 0..whole.calls_count(call) {
            let disk = SimulatedDisk::default();
            let failing = Failing { call, after, times: 1, kind: EIO };
            let Ok(mut world) = run(plan(), &disk, Some(failing)) else { continue };
            assert_eq!(world.state, StoreState::Failed, "{failing:?}");
            let reason = world.log.health().reason().unwrap();
            assert!(reason.contains("could not be synced: Input/output error"), "{reason}");
            let (told, changes) = (world.told.clone(), disk.changes_count());
            world.step();
            world.wait(RETRY);
            world.stop();
            assert_eq!((world.told.clone(), disk.changes_count()), (told, changes), "{failing:?}");
            assert_eq!((world.log.poll_timeout(), world.state), (None, StoreState::Failed));
            // A process that begins again finds bytes in memory that are not on the disk, and must not trust them.
            let restarted = disk.after_crash();
            recovers(&world, &restarted, plan());
            let opened = World::begin(plan(), &restarted, 12, world.history.clone()).unwrap();
            recovers(&opened, &restarted.after_power_cut(&mut Random::new(after as u64)), plan());
        }
    }
}

#[test]
fn a_failed_sync_ends_a_log_that_syncs_now_and_then_too() {
    let sync = SyncPolicy::Interval(Duration::from_millis(10));
    let plan = Plan { options: StoreOptions { sync, ..plan().options }, ..plan() };
    let disk = SimulatedDisk::default();
    let failing = Failing { call: Call::Sync, after: 4, times: 1, kind: EIO };
    assert_eq!(run(plan, &disk, Some(failing)).unwrap().state, StoreState::Failed);
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    let disk = SimulatedDisk::default();
    run(plan(), &disk, None).unwrap().stop();
    for after in 0..3 {
        let disk = disk.after_crash();
        disk.fail(Failing { call: Call::Read, after, times: 1, kind: EIO });
        let error = open(disk, plan().options, &[], Timestamp::ZERO).err().unwrap().to_string();
        assert!(error.contains("cannot be read at byte 0 of log/00000000"), "{error}");
        assert!(error.contains("Input/output error"), "{error}");
    }
}

#[test]
fn a_log_that_waits_for_room_syncs_when_it_is_due_and_comes_to_rest() {
    let sync = SyncPolicy::Interval(Duration::from_millis(10));
    let plan = Plan { options: StoreOptions { sync, ..plan().options }, queue_max: usize::MAX, ..plan() };
    let disk = SimulatedDisk::default();
    let mut world = World::begin(plan, &disk, 13, Vec::new()).unwrap();
    disk.limit(8 * 1024);
    for _ in 0..60 {
        world.step();
        world.wait(Duration::from_millis(11));
    }
    assert_eq!(world.state, StoreState::Full);
    world.wait(Duration::from_secs(3600));
}

#[test]
fn a_full_disk_is_said_while_a_segment_of_room_is_left_and_forgotten_when_there_is_room_again() {
    // Nobody answers, so nothing is vacated.
    let plan = Plan { queue_max: usize::MAX, vacates: false, ..plan() };
    let disk = SimulatedDisk::default();
    let mut world = World::begin(plan, &disk, 13, Vec::new()).unwrap();
    disk.limit(8 * 1024);
    let mut steps_when_full = 0;
    while world.told == world.batches() {
        world.step();
        steps_when_full += usize::from(world.state == StoreState::Full);
    }
    assert!(steps_when_full > 1, "{steps_when_full}");
    let reason = world.log.health().reason().unwrap();
    assert!(reason.contains("No space left on device"), "{reason}");
    assert_eq!(disk.used_bytes(), 8 * 1024);
    let told = world.told.clone();
    for _ in 0..5 {
        world.step();
        world.wait(RETRY);
    }
    assert_eq!((world.told.clone(), world.state), (told, StoreState::Full));
    disk.heal();
    world.wait(RETRY);
    assert_eq!((world.told.clone(), world.state), (world.batches(), StoreState::Writing));
    assert_eq!(world.log.health().reason(), None);
    recovers(&world, &disk.after_power_cut(&mut Random::new(1)), plan);
}
