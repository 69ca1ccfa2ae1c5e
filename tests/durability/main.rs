//! What was acknowledged is there after `kill -9`.
//!
//! The program runs with its store as it comes, is killed at random moments under load and started again on
//! the same data directory. Its clients live on: they reconnect, send again what is unacknowledged and
//! compare what was promised with what comes.
//!
//! Read `load.rs` (what happens), `crowd.rs` (to whom), `client.rs` and `exchanges.rs` (clients that keep to
//! the specification), `checks.rs` (what must be true). `faults.rs` shows that the checker notices.
//! `messages.rs`, `sessions.rs` and `wills.rs` have the same promises one at a time.
//!
//! A seed decides what the load is and when it is cut, as far as one thread can: what the broker and the
//! kernel have done by then differs from run to run. `DUNLIN_SEED=<seed> DUNLIN_KILLS=<kills> cargo test -p
//! dunlin --test durability again` repeats a run alone; `DUNLIN_KILLS=10000`, with `--release`, looks for new
//! failures, seed after seed, each on a directory of its own. The directory of a failure stays.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "../support/mod.rs"]
mod support;

#[path = "../../crates/dunlin-core/tests/simulation/random.rs"]
mod random;

mod broker;
mod load;
mod crowd;
mod client;
mod requests;
mod exchanges;
mod connection;
mod history;
mod checks;
mod retained;
mod faults;

mod messages;
mod sessions;
mod wills;

use load::{Blow, Figures};

/// Kills of a run without any wish, for CI.
const KILLS: usize = 12;

/// Kills of one seed at most, when there are many.
const KILLS_OF_SEED_MAX: usize = 50;

fn wish(name: &str) -> Option<usize> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

/// Runs a seed, and says how to repeat it if it fails.
#[track_caller]
fn holds(seed: u64, blow: Blow, count: usize) {
    let figures = load::run(seed, blow, count).unwrap_or_else(|complaint| {
        panic!(
            "seed {seed}, {blow:?}: {complaint}\nrepeat: DUNLIN_SEED={seed} DUNLIN_KILLS={count} \
             cargo test -p dunlin --test durability {}",
            if blow == Blow::Kill { "again" } else { "lives" }
        )
    });
    let Figures { connections, publications, acknowledgements, arrivals, owed } = figures;
    println!(
        "seed {seed}, {count} times {blow:?}: {connections} connections, {publications} messages sent, \
         {acknowledgements} acknowledged, {arrivals} arrivals, {owed:?}"
    );
    // A run in which nothing happens would keep every promise too.
    if count >= KILLS {
        assert!(connections > count * crowd::SIZE / 4);
        assert!(owed.messages > 1000 && owed.wills > count && owed.jobs > count);
    }
}

#[test]
fn every_acknowledged_message_arrives_although_the_broker_is_killed_again_and_again() {
    let mut kills_left = wish("DUNLIN_KILLS").unwrap_or(KILLS);
    let mut seed = wish("DUNLIN_SEED").unwrap_or(0) as u64;
    while kills_left > 0 {
        let kills = kills_left.min(KILLS_OF_SEED_MAX);
        holds(seed, Blow::Kill, kills);
        (seed, kills_left) = (seed + 1, kills_left - kills);
    }
}

#[test]
fn every_acknowledged_message_arrives_when_the_broker_lives() {
    let seed = wish("DUNLIN_SEED").unwrap_or(0) as u64;
    holds(seed, Blow::Missed, 5);
    for seed in seed..seed + 3 {
        holds(seed, Blow::Cut, KILLS);
    }
}
