//! What addresses and users have done: connections, rates, failures, and who is banned for them.
//!
//! One value, which the gate keeps behind a lock; time comes as `now`. An address is an IPv4 address or a network of 64
//! bits of IPv6. Whatever strangers do, it stays bounded: addresses, users and client identifiers without a connection
//! are forgotten when too many others have come since (`recent.rs`), and bans make room for new ones (`bans.rs`). Users
//! and client identifiers are known by their hash, with a seed of this process: nobody can choose two that are the same.

use super::allowance::Allowance;
use super::bans::{BanCause, Banned, Bans};
use super::gate::Rules;
use super::guesses::Guesses;
use super::pace::{Pace, Window};
use super::recent::{Held, Recent};
use super::refusal::RefusalReason;
use crate::config::{LimitOptions, Network};
use crate::transport::Peer;
use dunlin_core::time::Timestamp;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// One customer of an IPv6 provider has at least so many bits of address to choose from: it counts as one.
const IPV6_PREFIX: u8 = 64;

/// Addresses without a connection that are remembered; users without one; and client identifiers that come and go.
const REMEMBERED_MAX: usize = 65_536;

/// Lines of the log about refusals in one minute: of one address, and in all.
const LINES_OF_ADDRESS: u32 = 30;
const LINES_OF_ALL: u32 = 600;
const LINES_WINDOW: Duration = Duration::from_secs(60);

/// See the top of the file.
pub(super) struct Watch {
    pub addresses: Recent<Network, Seen>,
    /// Connections of client identifiers, to find those that come and go. The key is the address and a hash.
    comings: Recent<(Network, u64), Comings>,
    /// Users, by the hash of their name.
    pub users: Recent<u64, SeenUser>,
    pub bans: Bans,
    pub guesses: Guesses,
    /// New connections in all.
    pace: Pace,
    lines: Window,
    unlogged: u64,
}

/// What is known of an address.
#[derive(Default)]
pub(super) struct Seen {
    pub connections: u32,
    pub handshakes: u32,
    pace: Pace,
    failures: Window,
    lines: Window,
    /// What its clients may publish, where that is limited.
    pub allowance: Option<Arc<Allowance>>,
}

impl Held for Seen {
    fn is_held(&self) -> bool {
        self.connections > 0
    }
}

/// What is known of a user.
#[derive(Default)]
pub(super) struct SeenUser {
    /// The client identifiers that it is connected with, by their hash, and how often: a client that takes its own
    /// Session over is there twice for a moment, and is one.
    clients: HashMap<u64, u32>,
    pace: Pace,
    /// What its clients may publish, where that is limited.
    pub allowance: Option<Arc<Allowance>>,
}

impl Held for SeenUser {
    fn is_held(&self) -> bool {
        !self.clients.is_empty()
    }
}

/// How often a client identifier has come.
#[derive(Default)]
pub(super) struct Comings {
    window: Window,
    pace: Pace,
}

impl Held for Comings {
    fn is_held(&self) -> bool {
        false
    }
}

/// A line about a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Refusals since the line before that had none.
    pub unlogged: u64,
    /// The address has used its lines up.
    pub is_last: bool,
}

impl Watch {
    /// Nobody has been seen.
    pub fn new() -> Self {
        Self {
            addresses: Recent::new(REMEMBERED_MAX),
            comings: Recent::new(REMEMBERED_MAX),
            users: Recent::new(REMEMBERED_MAX),
            bans: Bans::default(),
            guesses: Guesses::new(),
            pace: Pace::default(),
            lines: Window::default(),
            unlogged: 0,
        }
    }

    /// Holds a failure against an address; whether that was one too many.
    pub fn note_failure(&mut self, now: Timestamp, peer: Peer, rules: &Rules) -> bool {
        let (Some(block), Some(address)) = (block_of(peer), peer.ip()) else { return false };
        let seen = self.addresses.entry(block);
        let failures = seen.failures.count(now, rules.ban.window);
        let is_banned = rules.ban.enabled && failures >= rules.ban.failures && !rules.spares(address);
        if is_banned {
            // Whoever has sat its ban out begins anew.
            seen.failures = Window::default();
            let banned = Banned { network: block, client: None };
            self.bans.add(now, banned, BanCause::Failures, now + rules.ban.duration);
        }
        is_banned
    }

    /// The addresses that have failed most within a window, at most so many.
    pub fn failures(&self, now: Timestamp, window: Duration, most: usize) -> Vec<(Network, u32)> {
        let failed = self.addresses.iter().map(|(block, seen)| (*block, seen.failures.so_far(now, window)));
        let mut failed: Vec<_> = failed.filter(|(_, count)| *count > 0).collect();
        failed.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        failed.truncate(most);
        failed
    }

    /// Counts a connection of a client identifier at an address; whether that was one too many.
    pub fn note_coming(
        &mut self,
        now: Timestamp,
        block: Network,
        key: u64,
        client: &str,
        rules: &Rules,
    ) -> bool {
        let Some(most) = rules.ban.flapping.filter(|_| rules.ban.enabled) else { return false };
        let comings = &mut self.comings.entry((block, key)).window;
        let is_banned = comings.count(now, rules.ban.window) > most;
        if is_banned {
            *comings = Window::default();
            let banned = Banned { network: block, client: Some(client.into()) };
            self.bans.add(now, banned, BanCause::Flapping, now + rules.ban.duration);
        }
        is_banned
    }

    /// The line about a refusal, unless the log has enough of them.
    pub fn line(&mut self, now: Timestamp, peer: Peer) -> Option<Line> {
        let of_address = match block_of(peer) {
            Some(block) => self.addresses.entry(block).lines.count(now, LINES_WINDOW),
            None => 0,
        };
        // What an address has too many of must not use up the lines of all.
        if of_address > LINES_OF_ADDRESS || self.lines.count(now, LINES_WINDOW) > LINES_OF_ALL {
            self.unlogged += 1;
            return None;
        }
        let unlogged = std::mem::take(&mut self.unlogged);
        Some(Line { unlogged, is_last: of_address == LINES_OF_ADDRESS })
    }

    /// Counts a connection of an address, if it is welcome.
    pub fn enter(
        &mut self,
        now: Timestamp,
        address: IpAddr,
        block: Network,
        rules: &Rules,
    ) -> Result<(), RefusalReason> {
        if self.bans.is_banned(now, address, None) && !rules.spares(address) {
            return Err(RefusalReason::Banned);
        }
        let limits = &rules.limits;
        let seen = self.addresses.entry(block);
        if limits.max_connections_per_address.is_some_and(|max| seen.connections >= max) {
            return Err(RefusalReason::AddressConnections);
        }
        if limits.max_pending_handshakes_per_address.is_some_and(|max| seen.handshakes >= max) {
            return Err(RefusalReason::AddressHandshakes);
        }
        if limits.connect_rate_per_address.is_some_and(|rate| !seen.pace.try_take(now, rate)) {
            return Err(RefusalReason::AddressConnectRate);
        }
        // Last: what an address is refused for itself must not use up the rate of all.
        if limits.connect_rate.is_some_and(|rate| !self.pace.try_take(now, rate)) {
            return Err(RefusalReason::ConnectRate);
        }
        seen.connections += 1;
        seen.handshakes += 1;
        Ok(())
    }

    /// Judges how often a client identifier connects from an address.
    pub fn judge_client(
        &mut self,
        now: Timestamp,
        block: Network,
        key: u64,
        limits: &LimitOptions,
    ) -> Result<(), RefusalReason> {
        let Some(rate) = limits.connect_rate_per_client else { return Ok(()) };
        if self.comings.entry((block, key)).pace.try_take(now, rate) {
            Ok(())
        } else {
            Err(RefusalReason::ClientConnectRate)
        }
    }

    /// Counts a connection of a user, unless that is one too many.
    pub fn claim_user(
        &mut self,
        now: Timestamp,
        user: u64,
        client: u64,
        limits: &LimitOptions,
    ) -> Result<(), RefusalReason> {
        let seen = self.users.entry(user);
        let is_new = !seen.clients.contains_key(&client);
        if is_new && limits.max_connections_per_user.is_some_and(|max| seen.clients.len() >= max as usize) {
            return Err(RefusalReason::UserConnections);
        }
        if limits.connect_rate_per_user.is_some_and(|rate| !seen.pace.try_take(now, rate)) {
            return Err(RefusalReason::UserConnectRate);
        }
        *seen.clients.entry(client).or_default() += 1;
        Ok(())
    }

    /// Takes that back.
    pub fn release_user(&mut self, user: u64, client: u64) {
        let clients = &mut self.users.entry(user).clients;
        if let Some(count) = clients.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&client);
            }
        }
    }
}

/// The addresses that count as one.
pub(super) fn block_of(peer: Peer) -> Option<Network> {
    let address = peer.ip()?;
    let prefix = if address.is_ipv6() { IPV6_PREFIX } else { u8::MAX };
    Some(Network::around(address, prefix))
}

#[cfg(test)]
mod tests;
