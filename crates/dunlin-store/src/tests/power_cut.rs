//! The power is cut, or the process dies, and what is recovered must be right: everything that was told
//! durable, in whole batches, and nothing that never was.
//!
//! Small workloads are cut before every call that changes the disk. Large ones live several lives, and a seed
//! decides everything; a failure names it. `DUNLIN_SEED=<seed> cargo test -p dunlin-store power`
//! repeats one, `DUNLIN_SEEDS=100000` tries so many. That the checks notice is shown by disks that forget to
//! sync.

use super::random::Random;
use super::simulated_disk::{Fault, SimulatedDisk};
use super::world::{PLAN, Plan, World};
use crate::{StoreOptions, SyncPolicy, open};
use dunlin_core::Timestamp;
use dunlin_core::shard::StoreState;
use std::time::Duration;

/// Power cuts tried at each call of the exhaustive test.
const CUTS: u64 = 2;

/// Steps of the small workload.
const STEPS: usize = 60;

/// Seeds of a run without any wish, for CI.
const SEEDS: u64 = 20;

fn wish(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

/// A small workload whose log is cut before one of its calls: the disk, and the world that saw it.
fn small(plan: Plan, disk: SimulatedDisk) -> Option<World> {
    let mut world = World::begin(plan, &disk, 7, Vec::new()).ok()?;
    for _ in 0..STEPS {
        world.step();
        if world.state == StoreState::Full {
            world.wait(Duration::from_secs(1));
        }
        if disk.is_cut() {
            return Some(world);
        }
    }
    world.stop();
    Some(world)
}

/// Recovers, judges, and recovers again: what the first recovery does must not hurt the second.
fn recovers(plan: Plan, disk: &SimulatedDisk, world: Option<&World>) -> Result<(), String> {
    for _ in 0..2 {
        let opened =
            open(disk.clone(), plan.options, &[], Timestamp::ZERO).map_err(|error| error.to_string())?;
        if let Some(world) = world {
            world.judge(opened.image)?;
        }
    }
    Ok(())
}

/// The process dies there instead, another goes on, and then the power is cut.
fn goes_on(
    plan: Plan,
    disk: &SimulatedDisk,
    world: Option<World>,
    random: &mut Random,
) -> Result<(), String> {
    let disk = disk.after_crash();
    let history = world.map(|world| world.history).unwrap_or_default();
    let mut world = World::begin(plan, &disk, 9, history)?;
    (0..3).for_each(|_| world.step());
    recovers(plan, &disk.after_power_cut(random), Some(&world))
}

/// Cuts the power before every call in turn. Gives the complaints, and how many calls and passes there were.
fn every_cut(plan: Plan, disk: impl Fn() -> SimulatedDisk) -> (Vec<String>, usize, usize) {
    let whole = disk();
    let passes = small(plan, whole.clone()).map_or(0, |world| world.passes);
    let mut complaints = Vec::new();
    for call in 0..whole.changes_count() {
        for seed in 0..CUTS {
            let disk = disk().cut_before(call);
            let world = small(plan, disk.clone());
            let random = &mut Random::new(seed * 1000 + call as u64);
            let recovered = recovers(plan, &disk.after_power_cut(random), world.as_ref());
            if let Err(complaint) = recovered.and_then(|()| goes_on(plan, &disk, world, random)) {
                complaints.push(format!("cut before call {call}, seed {seed}: {complaint}"));
            }
        }
    }
    (complaints, whole.changes_count(), passes)
}

/// Segments of 1 KiB: a small workload fills many, and vacates some.
fn tiny() -> Plan {
    let options = StoreOptions { segment_bytes: 1024, ..PLAN.options };
    Plan { options, payload_max: 150, queue_max: 2, ..PLAN }
}

#[test]
fn after_a_power_cut_at_any_call_all_that_was_told_durable_is_there_in_whole_batches() {
    let (complaints, calls, passes) = every_cut(tiny(), SimulatedDisk::default);
    assert_eq!(complaints, [""; 0]);
    assert!(calls > 100 && passes > 0, "{calls} calls, {passes} passes");
}

#[test]
fn after_a_power_cut_on_a_full_disk_that_vacates_it_is_no_different() {
    let options = StoreOptions { segment_bytes: 2048, ..PLAN.options };
    let plan = Plan { options, payload_max: 100, queue_max: 1, topics: 1, ..PLAN };
    let full = || {
        let disk = SimulatedDisk::default();
        disk.limit(4 * options.segment_bytes);
        disk
    };
    let (complaints, _, passes) = every_cut(plan, full);
    assert_eq!(complaints, [""; 0]);
    assert!(passes > 1, "{passes} passes");
}

/// One of the complaints about a disk with this fault must be the expected one.
#[track_caller]
fn is_noticed(fault: Fault, expected: &str) {
    let (complaints, ..) = every_cut(tiny(), || SimulatedDisk::default().with_fault(Some(fault)));
    assert!(complaints.iter().any(|complaint| complaint.contains(expected)), "{fault:?}: {complaints:?}");
}

#[test]
fn commits_that_are_not_synced_are_noticed() {
    is_noticed(Fault::ForgetSyncsAfter(3), "lost: shard");
}

#[test]
fn headers_that_are_not_synced_are_noticed() {
    is_noticed(Fault::ForgetSyncsAfter(0), "the header of the segment is cut off");
}

#[test]
fn names_that_are_not_synced_are_noticed() {
    is_noticed(Fault::ForgetSyncDirectory, "lost: shard");
}

/// Several lives of one log, each ended by a power cut, a crash or an orderly stop.
fn lives(seed: u64) -> Result<(), String> {
    let random = &mut Random::new(seed);
    let sync = [SyncPolicy::Always, SyncPolicy::Interval(Duration::from_millis(20)), SyncPolicy::Never];
    let options = StoreOptions {
        sync: random.pick(&sync),
        segment_bytes: random.pick(&[1024, 4096, 16_384]),
        ..PLAN.options
    };
    let shards = random.between(1, 4) as u16;
    let (payload_max, queue_max) = (random.pick(&[50, 500, 3000]), random.pick(&[1, 6, 30]));
    let put_off_percent = random.pick(&[0, 30, 90]);
    let plan = Plan { shards, options, payload_max, queue_max, put_off_percent, ..PLAN };
    let (mut disk, mut history) = (SimulatedDisk::default(), Vec::new());
    for _ in 0..random.between(2, 5) {
        let mut world = World::begin(plan, &disk, random.next(), history)?;
        let told_before = world.told.clone();
        for _ in 0..random.between(1, 120) {
            world.step();
            if random.chance(5) {
                world.wait(Duration::from_millis(random.between(1, 150) as u64));
            }
        }
        if random.chance(20) {
            world.stop();
        }
        if random.chance(60) {
            disk = disk.after_power_cut(random);
            if options.sync != SyncPolicy::Always {
                world.told = told_before;
            }
        } else {
            disk = disk.after_crash();
        }
        let opened = open(disk.clone(), options, &[], Timestamp::ZERO).map_err(|error| error.to_string())?;
        world.judge(opened.image)?;
        history = world.history;
    }
    Ok(())
}

#[test]
fn every_seed_recovers_what_it_promised() {
    let first = wish("DUNLIN_SEED");
    let count = wish("DUNLIN_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    for seed in first.unwrap_or(0)..first.unwrap_or(0) + count {
        if let Err(complaint) = lives(seed) {
            panic!("seed {seed}: {complaint}\nrepeat: DUNLIN_SEED={seed} cargo test -p dunlin-store power");
        }
    }
}
