//! The whole broker in memory, thrown about by seeds.
//!
//! One number decides everything: how many shards and clients there are, what they want, what they do, when
//! each byte and each message between shards moves, and how late the store is. Time is virtual. A failure
//! names its seed; `DUNLIN_SEED=<seed> cargo test -p dunlin-core --test simulation` repeats that run alone,
//! and `DUNLIN_SEEDS=100000 cargo test --release -p dunlin-core --test simulation` looks for new ones, from
//! `DUNLIN_SEED` on if that is given too. With `DUNLIN_TRACE=1` and `-- --nocapture` a run says what passes
//! between clients and shards.
//!
//! Read `scenario.rs` (what happens), `client.rs` (who does it), `world.rs` (shards, network, store),
//! `checks.rs` (what must be true). That the checkers notice is shown by faults planted between broker and
//! observer, at the end of this file.

mod checks;
mod client;
mod history;
mod random;
mod scenario;
mod world;

use client::Fault;
use scenario::{Figures, run};

/// Seeds of a run without any wish, for CI.
const SEEDS: u64 = 600;

/// Seeds tried until a planted fault must have been noticed.
const FAULT_SEEDS: u64 = 600;

fn wish(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

// spec(v5): [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.4.0-1] [MQTT-4.6.0-5] [MQTT-4.6.0-6]
// [MQTT-3.3.4-9]
// spec(v5): [MQTT-3.2.0-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-3.3.1-5] [MQTT-3.8.3-3]
// [MQTT-4.8.2-4] [MQTT-4.8.2-5]
// spec(v3.1.1): [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-4.4.0-1] [MQTT-4.6.0-5]
// [MQTT-4.6.0-6] [MQTT-3.2.0-1] [MQTT-3.3.1-5]
#[test]
fn every_seed_keeps_every_promise() {
    let first = wish("DUNLIN_SEED");
    let count = wish("DUNLIN_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let seeds = first.unwrap_or(0)..first.unwrap_or(0) + count;
    let mut all = Figures::default();
    for seed in seeds.clone() {
        match run(seed, None) {
            Ok(figures) => {
                all.publications += figures.publications;
                all.arrivals += figures.arrivals;
                all.connections += figures.connections;
                all.shared_arrivals += figures.shared_arrivals;
                all.resent += figures.resent;
                all.crashes += figures.crashes;
                all.vacated += figures.vacated;
                all.obligations += figures.obligations;
            }
            Err(complaint) => {
                panic!(
                    "seed {seed}: {complaint}\nrepeat: DUNLIN_SEED={seed} cargo test -p dunlin-core --test simulation every_seed"
                );
            }
        }
    }
    println!(
        "{seeds:?}: {} messages, {} arrivals ({} shared, {} resent, {} owed), {} connections, {} crashes, {} times vacated",
        all.publications,
        all.arrivals,
        all.shared_arrivals,
        all.resent,
        all.obligations,
        all.connections,
        all.crashes,
        all.vacated
    );
    // A run in which nothing happens would keep every promise too.
    if seeds.end - seeds.start >= SEEDS {
        assert!(
            all.arrivals > 10 * SEEDS as usize
                && all.shared_arrivals > SEEDS as usize
                && all.resent > SEEDS as usize / 2
                && all.obligations > 4 * SEEDS as usize
                && all.crashes > SEEDS as usize / 2
                && all.vacated > SEEDS as usize / 4
        );
    }
}

/// Plants a fault in many runs; one of the complaints must be the expected one.
#[track_caller]
fn is_noticed(fault: Fault, expected: &str) {
    let mut others = Vec::new();
    for complaint in (0..FAULT_SEEDS).filter_map(|seed| run(seed, Some(fault)).err()) {
        if complaint.contains(expected) {
            return;
        }
        others.push(complaint);
    }
    panic!("{fault:?}: {others:?}");
}

#[test]
fn a_lost_message_is_noticed() {
    is_noticed(Fault::LoseMessage, "never came to client");
    is_noticed(Fault::LoseMessage, "never came to any member");
}

#[test]
fn a_repeated_message_is_noticed() {
    is_noticed(Fault::RepeatMessage, "times to client");
}

#[test]
fn swapped_messages_are_noticed() {
    is_noticed(Fault::SwapMessages, "out of order");
}

#[test]
fn a_damaged_message_is_noticed() {
    is_noticed(Fault::DamageMessage, "nobody sent this");
}

#[test]
fn a_message_of_a_group_for_two_members_is_noticed() {
    is_noticed(Fault::RepeatMessage, "members of $share");
}

#[test]
fn an_acknowledgement_before_the_store_is_noticed() {
    is_noticed(Fault::AcknowledgeEarly, "left before its record was durable");
}

#[test]
fn a_batch_that_a_crash_takes_back_is_noticed() {
    is_noticed(Fault::ForgetBatch, "never came to client");
    is_noticed(Fault::ForgetBatch, "is not there after a crash");
}

#[test]
fn records_that_were_not_durable_when_the_store_said_so_are_missed_after_a_crash() {
    is_noticed(Fault::LieAndCrash, "that had ended is back");
    is_noticed(Fault::LieAndCrash, "is not there after a crash");
}

#[test]
fn segments_that_go_before_they_are_vacated_are_missed_after_a_crash() {
    is_noticed(Fault::DeleteEarly, "is not there after a crash");
}

#[test]
fn a_connection_that_is_never_removed_is_noticed() {
    is_noticed(Fault::KeepConnection, "connections");
}

#[test]
fn an_outdated_retained_message_is_noticed() {
    is_noticed(Fault::ShowOldRetained, "has the Retained Message");
}
