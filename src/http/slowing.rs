//! Whoever shows wrong tokens, or wants to change something without one, is answered ever later.
//!
//! Nobody guesses 256 bits; what this saves is the log, and a client with an old token from running in circles. The
//! answer to a wrong token waits, longer with every further one from that address, and only so many answers wait at
//! once, because each holds a connection; beyond that the answer is 429 at once. A right token never waits, whoever
//! else is behind the same address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Network;
use crate::worker::{Held, Recent};

/// How much longer each wrong token makes the wait for the answer to the next one.
const STEP: Duration = Duration::from_millis(100);

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Without a wrong token for so long, an address begins anew.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// Answers that wait at once.
const WAITING_MAX: usize = 16;

/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 4096;

/// One customer of an IPv6 provider has at least so many bits of address to choose from: it counts as one.
const IPV6_PREFIX: u8 = 64;

/// See the top of the file.
pub(super) struct Slowing {
    failures: Mutex<Recent<Network, Failures>>,
    waiting: Arc<Semaphore>,
}

#[derive(Default)]
struct Failures {
    count: u32,
    last: Option<Instant>,
}

impl Held for Failures {
    fn is_held(&self) -> bool {
        false
    }
}

/// The wait for an answer, which counts as waiting while this lives.
#[derive(Debug)]
pub(super) struct Wait {
    pub time: Duration,
    _counted: OwnedSemaphorePermit,
}

impl Slowing {
    pub fn new() -> Self {
        Self {
            failures: Mutex::new(Recent::new(ADDRESSES_MAX)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    /// Holds a wrong token against an address: how long the answer waits; `None` if too many wait already.
    pub fn note(&self, address: IpAddr, now: Instant) -> Option<Wait> {
        let address = address.to_canonical();
        let prefix = if address.is_ipv6() { IPV6_PREFIX } else { u8::MAX };
        let mut table = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = table.entry(Network::around(address, prefix));
        let is_forgiven =
            failures.last.is_none_or(|last| now.saturating_duration_since(last) >= FORGIVEN_AFTER);
        failures.count = if is_forgiven { 0 } else { failures.count.saturating_add(1) };
        failures.last = Some(now);
        let time = STEP.saturating_mul(failures.count).min(WAIT_MAX);
        let counted = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        Some(Wait { time, _counted: counted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_wrong_token_of_an_address_waits_longer_up_to_a_bound_and_others_do_not() {
        let (slowing, now) = (Slowing::new(), Instant::now());
        let wait = |address, now| slowing.note(ip(address), now).unwrap().time.as_millis();
        assert_eq!([0; 4].map(|_| wait("2001:db8::1", now)), [0, 100, 200, 300]);
        assert_eq!(wait("2001:db8::2", now), 400, "the same customer");
        assert_eq!(wait("192.0.2.1", now), 0);
        assert_eq!(wait("192.0.2.2", now), 0);
        for _ in 0..100 {
            wait("192.0.2.1", now);
        }
        assert_eq!(wait("192.0.2.1", now), 2000);
        assert_eq!(wait("192.0.2.1", now + FORGIVEN_AFTER), 0);
    }

    #[test]
    fn only_so_many_answers_wait_at_once() {
        let (slowing, now) = (Slowing::new(), Instant::now());
        let mut waiting: Vec<_> =
            (0..WAITING_MAX).map(|_| slowing.note(ip("192.0.2.1"), now).unwrap()).collect();
        assert!(slowing.note(ip("192.0.2.2"), now).is_none());
        waiting.pop();
        assert!(slowing.note(ip("192.0.2.2"), now).is_some());
    }
}
