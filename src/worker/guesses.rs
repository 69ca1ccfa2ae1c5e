//! Guessing at one user name from many addresses: it is made slow, and locks nobody out.
//!
//! A ban stops an address that keeps failing. A thousand addresses can share the work, each below what bans it. So the
//! failures of a name are counted wherever they come from, and when there are many (`ban.user_failures` in one
//! `ban.window`), its passwords are judged one a second. To lock the name instead would hand everybody a weapon
//! against its owner; that is why:
//!
//! * addresses from which the name has logged in lately go on as ever, and so does who is connected;
//! * whoever comes from elsewhere has its turn, which it waits for before its password is looked at, right or wrong.
//!   Only who would have to wait for too long is refused, and may try again at once.
//!
//! Names that do not exist are treated alike, so that nobody learns which do. Names and addresses are remembered in
//! bounded tables (`recent.rs`), names by their hash.

use super::gate::Rules;
use super::pace::{Pace, Window};
use super::recent::{Held, Recent};
use crate::config::Network;
use dunlin_core::time::Timestamp;
use std::time::Duration;

/// Names with failures that are remembered; and names with addresses from which they have logged in.
const REMEMBERED_MAX: usize = 65_536;

/// Passwords of a name that are judged in a second, when there are many failures.
const JUDGED_PER_SECOND: u64 = 1;

/// How long somebody waits for its turn at the most. It holds a place among those that have not finished CONNECT.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// See the top of the file.
pub(super) struct Guesses {
    names: Recent<u64, Guessed>,
    known: Recent<(u64, Network), Known>,
}

/// How often somebody failed to log in with a name.
#[derive(Default)]
struct Guessed {
    failures: Window,
    pace: Pace,
}

/// The name has logged in from the address.
#[derive(Default)]
struct Known;

/// Too many wait for their turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooManyWait;

impl Held for Guessed {
    fn is_held(&self) -> bool {
        false
    }
}

impl Held for Known {
    fn is_held(&self) -> bool {
        false
    }
}

impl Guesses {
    pub fn new() -> Self {
        Self { names: Recent::new(REMEMBERED_MAX), known: Recent::new(REMEMBERED_MAX) }
    }

    /// When the password of somebody who says to be `name` may be judged.
    pub fn turn(
        &mut self,
        now: Timestamp,
        name: u64,
        from: Network,
        rules: &Rules,
        patience: Duration,
    ) -> Result<Timestamp, TooManyWait> {
        let Some(most) = rules.ban.user_failures.filter(|_| rules.ban.enabled) else { return Ok(now) };
        let Some(guessed) = self.names.find(&name) else { return Ok(now) };
        if guessed.failures.so_far(now, rules.ban.window) < most || self.known.find(&(name, from)).is_some() {
            return Ok(now);
        }
        let ready_at = guessed.pace.ready_at().max(now);
        if ready_at > now + WAIT_MAX.min(patience) {
            return Err(TooManyWait);
        }
        guessed.pace.take(now, 1, JUDGED_PER_SECOND);
        Ok(ready_at)
    }

    /// Somebody could not show that it is `name`. What fails at a known address is the owner's own mistake, and bounded
    /// by the ban of that address.
    pub fn failed(&mut self, now: Timestamp, name: u64, from: Network, rules: &Rules) {
        if self.known.find(&(name, from)).is_none() {
            self.names.entry(name).failures.count(now, rules.ban.window);
        }
    }

    /// Somebody could.
    pub fn succeeded(&mut self, name: u64, from: Network) {
        self.known.entry((name, from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);
    const ANNA: u64 = 1;
    const BORIS: u64 = 2;
    const PATIENCE: Duration = Duration::from_secs(60);

    fn rules(text: &str) -> Rules {
        Rules::of(&Config::from_toml("test.toml", text).unwrap(), 1)
    }

    fn address(number: u8) -> Network {
        Network::parse(&format!("203.0.113.{number}")).unwrap()
    }

    /// Somebody who has failed ten times as anna, each time from another address.
    fn attacked(rules: &Rules) -> Guesses {
        let mut guesses = Guesses::new();
        guesses.succeeded(ANNA, address(1));
        for number in 100..110 {
            assert_eq!(guesses.turn(NOW, ANNA, address(number), rules, PATIENCE), Ok(NOW));
            guesses.failed(NOW, ANNA, address(number), rules);
        }
        guesses
    }

    #[test]
    fn after_many_failures_a_name_has_a_turn_a_second_wherever_they_come_from_and_who_waits_for_long_is_refused()
     {
        let rules = rules("ban.user_failures = 10");
        let mut guesses = attacked(&rules);
        let turns: Vec<_> = (0..9)
            .map(|number| guesses.turn(NOW, ANNA, address(number + 10), &rules, PATIENCE))
            .map(|turn| turn.map(|at| at.since(NOW).as_secs()))
            .collect();
        let refused = Err(TooManyWait);
        assert_eq!(turns, [Ok(0), Ok(0), Ok(1), Ok(2), Ok(3), Ok(4), Ok(5), refused, Err(TooManyWait)]);
        assert_eq!(guesses.turn(NOW, ANNA, address(99), &rules, Duration::from_secs(2)), Err(TooManyWait));
        let later = NOW.after_s(1);
        assert_eq!(guesses.turn(later, ANNA, address(99), &rules, PATIENCE), Ok(NOW.after_s(6)));
        // When the window is over, it is as if nothing had been.
        let over = NOW.after_s(600);
        assert_eq!(guesses.turn(over, ANNA, address(99), &rules, PATIENCE), Ok(over));
    }

    #[test]
    fn known_addresses_and_other_names_never_wait_and_known_addresses_fail_for_themselves() {
        let rules = rules("ban.user_failures = 10");
        let mut guesses = attacked(&rules);
        guesses.succeeded(BORIS, address(2));
        for _ in 0..20 {
            assert_eq!(guesses.turn(NOW, ANNA, address(1), &rules, PATIENCE), Ok(NOW));
            assert_eq!(guesses.turn(NOW, BORIS, address(50), &rules, PATIENCE), Ok(NOW));
            guesses.failed(NOW, BORIS, address(2), &rules);
        }
        assert_eq!(guesses.turn(NOW, BORIS, address(50), &rules, PATIENCE), Ok(NOW));
    }

    #[test]
    fn it_can_be_switched_off() {
        let rules = rules("ban.enabled = false\nban.user_failures = 10");
        let mut guesses = attacked(&rules);
        assert!((0..20).all(|_| guesses.turn(NOW, ANNA, address(99), &rules, PATIENCE) == Ok(NOW)));
    }
}
