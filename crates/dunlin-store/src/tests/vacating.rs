//! Room comes back while a long workload runs.

use super::material::START;
use super::random::Random;
use super::simulated_disk::SimulatedDisk;
use super::world::{PLAN, Plan, World};
use crate::{StoreOptions, SyncPolicy, open};
use dunlin_core::shard::StoreState;
use std::time::Duration;

/// Bytes that the same workload writes when nothing is said again.
fn newly_written_bytes(plan: Plan, seed: u64, steps: usize) -> u64 {
    let disk = SimulatedDisk::default();
    let mut world = World::begin(Plan { vacates: false, ..plan }, &disk, seed, Vec::new()).unwrap();
    (0..steps).for_each(|_| world.step());
    disk.written_bytes()
}

/// Runs a workload of so many steps, and judges size, bytes written and what is recovered.
fn run(plan: Plan, seed: u64, steps: usize) {
    let disk = SimulatedDisk::default();
    let mut world = World::begin(plan, &disk, seed, Vec::new()).unwrap();
    let segment_bytes = plan.options.segment_bytes;
    for step in 0..steps {
        world.step();
        // Twice what is live, the slack, two spares, and what comes while a pass is going on.
        let bound = 2 * world.live_bytes() + world.live_max + 12 * segment_bytes;
        assert!(disk.used_bytes() <= bound, "step {step}: {} bytes of {bound}", disk.used_bytes());
    }
    assert!(world.passes > 3, "{} passes", world.passes);
    let (written_bytes, new_bytes) = (disk.written_bytes(), newly_written_bytes(plan, seed, steps));
    println!("{} passes, {written_bytes} bytes written for {new_bytes}", world.passes);
    assert!(written_bytes <= 2 * new_bytes, "{written_bytes} bytes written for {new_bytes}");
    world.stop();
    assert_eq!(world.told, world.batches());
    let opened = open(disk.after_crash(), plan.options, &[], START).unwrap();
    world.judge(opened.image).unwrap();
    let opened = open(disk.after_power_cut(&mut Random::new(seed)), plan.options, &[], START).unwrap();
    world.judge(opened.image).unwrap();
}

#[test]
fn segments_are_vacated_while_messages_come_and_go() {
    for seed in 0..3 {
        let options = StoreOptions { segment_bytes: 16 * 1024, ..PLAN.options };
        run(Plan { shards: 3, options, payload_max: 600, queue_max: 30, ..PLAN }, seed, 1000);
    }
}

#[test]
fn what_stays_for_long_is_not_written_again_more_than_as_much_as_comes() {
    let options = StoreOptions { segment_bytes: 16 * 1024, ..PLAN.options };
    run(Plan { options, queue_max: 2, topics: 300, ..PLAN }, 8, 2000);
}

#[test]
fn even_when_all_seems_worth_vacating_no_more_is_written_again_than_newly() {
    let options = StoreOptions { segment_bytes: 8 * 1024, ..PLAN.options };
    let plan = Plan { options, queue_max: 2, topics: 500, counts: false, ..PLAN };
    let disk = SimulatedDisk::default();
    let mut world = World::begin(plan, &disk, 8, Vec::new()).unwrap();
    (0..1500).for_each(|_| world.step());
    let (written_bytes, new_bytes) = (disk.written_bytes(), newly_written_bytes(plan, 8, 1500));
    assert!(world.passes > 10 && world.live_bytes() > 5 * options.segment_bytes);
    assert!(written_bytes <= 2 * new_bytes, "{written_bytes} bytes written for {new_bytes}");
}

#[test]
fn segments_are_vacated_whatever_the_policy_of_syncing() {
    for sync in [SyncPolicy::Never, SyncPolicy::Interval(Duration::from_millis(50))] {
        let options = StoreOptions { segment_bytes: 8 * 1024, sync, ..PLAN.options };
        run(
            Plan { shards: 2, options, payload_max: 600, queue_max: 10, put_off_percent: 50, ..PLAN },
            5,
            800,
        );
    }
}

#[test]
fn a_full_disk_is_left_by_vacating_when_enough_of_the_log_is_not_live() {
    let options = StoreOptions { segment_bytes: 16 * 1024, ..PLAN.options };
    let plan = Plan { options, queue_max: 2, ..PLAN };
    let disk = SimulatedDisk::default();
    let mut world = World::begin(plan, &disk, 21, Vec::new()).unwrap();
    // Too little for the rule that a disk with room goes by.
    disk.limit(4 * options.segment_bytes);
    let mut steps_when_full = 0;
    for _ in 0..1000 {
        world.step();
        steps_when_full += usize::from(world.state == StoreState::Full);
        world.wait(Duration::from_millis(100));
    }
    assert!(steps_when_full > 10 && world.passes > 10, "{steps_when_full}, {} passes", world.passes);
    world.wait(Duration::from_secs(2));
    world.stop();
    assert_eq!(world.told, world.batches());
    let opened = open(disk.after_power_cut(&mut Random::new(3)), options, &[], START).unwrap();
    world.judge(opened.image).unwrap();
}
