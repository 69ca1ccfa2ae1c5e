//! Who is let in: the bounds on connections, in all, by address and by user.
//!
//! A connection passes in three steps. [`Gate::enter`] counts it among all; [`Ticket::place`] judges the address,
//! once that is known (behind a proxy it comes with the first bytes); [`Ticket::claim`] judges the user and the
//! client identifier, once the credentials are good. The [`Ticket`] stays with the connection and takes everything
//! back when it is dropped, wherever that happens. What addresses and users have done is in one value behind one
//! lock ([`Watch`]), which is taken a few times for a connection and never for a message.
//!
//! Every refusal ends in [`Gate::refused`]: counted by reason, held against the address where the reason says so,
//! and written to the log in one form that fail2ban can match (`packaging/fail2ban`). A flood of refusals does not
//! flood the log: an address has so many lines a minute, and all together have so many.

use super::admission::{ENVELOPE_BYTES_MAX, ListenerContext};
use super::bans::{Ban, BanCause, Banned, Bans};
use super::clock::Clock;
use super::login;
use super::pace::{Pace, Window};
use super::recent::{Held, Recent};
use super::refusal::{RefusalCounters, RefusalReason};
use crate::config::{BanOptions, Config, LimitOptions, Network};
use crate::transport::Peer;
use arc_swap::ArcSwap;
use dunlin_codec::ReasonCode;
use dunlin_core::identity::ClientIdentifier;
use dunlin_core::time::Timestamp;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// One customer of an IPv6 provider has at least so many bits of address to choose from: it counts as one.
const IPV6_PREFIX: u8 = 64;

/// Addresses without a connection that are remembered; and client identifiers that come and go.
const REMEMBERED_MAX: usize = 65_536;

/// Lines of the log about refusals in one minute: of one address, and in all.
const LINES_OF_ADDRESS: u32 = 30;
const LINES_OF_ALL: u32 = 600;
const LINES_WINDOW: Duration = Duration::from_secs(60);

/// The bounds on connections, for all listeners.
pub struct Gate {
    connections: AtomicUsize,
    connections_max: usize,
    handshakes: AtomicUsize,
    handshakes_max: usize,
    pub(super) connect_timeout: Duration,
    pub(super) connect_packet_size_max: usize,
    pub(super) verifications: Arc<Semaphore>,
    pub(super) inquiries: Arc<Semaphore>,
    clock: Clock,
    /// Client identifiers count by their hash; with a seed of this process, nobody can choose two that are the same.
    hasher: RandomState,
    rules: ArcSwap<Rules>,
    refusals: RefusalCounters,
    watch: Mutex<Watch>,
}

/// What a reload replaces.
pub(super) struct Rules {
    pub limits: LimitOptions,
    ban: BanOptions,
}

impl Rules {
    fn of(config: &Config) -> Self {
        Self { limits: config.limits.clone(), ban: config.ban.clone() }
    }

    fn spares(&self, address: IpAddr) -> bool {
        self.ban.allow.iter().any(|network| network.contains(address))
    }
}

/// What addresses and users have done.
struct Watch {
    addresses: Recent<Network, Seen>,
    /// Connections of client identifiers, to find those that come and go. The key is the address and a hash.
    comings: Recent<(Network, u64), Comings>,
    /// The client identifiers that each user is connected with, by their hash, and how often: a client that takes
    /// its own Session over is there twice for a moment, and is one.
    users: HashMap<Box<str>, HashMap<u64, u32>>,
    bans: Bans,
    /// New connections in all.
    pace: Pace,
    lines: Window,
    unlogged: u64,
}

/// What is known of an address.
#[derive(Default)]
struct Seen {
    connections: u32,
    handshakes: u32,
    pace: Pace,
    failures: Window,
    lines: Window,
}

impl Held for Seen {
    fn is_held(&self) -> bool {
        self.connections > 0
    }
}

#[derive(Default)]
struct Comings(Window);

impl Held for Comings {
    fn is_held(&self) -> bool {
        false
    }
}

/// A line about a refusal.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// Refusals since the line before that had none.
    unlogged: u64,
    /// The address has used its lines up.
    is_last: bool,
}

/// A ban that cannot be: the address is in `ban.allow`.
#[derive(Debug, PartialEq, Eq)]
pub struct Spared;

impl Gate {
    /// The gate of a configuration.
    pub fn new(config: &Config, connections_max: usize) -> Self {
        let limits = &config.limits;
        Self {
            connections: AtomicUsize::new(0),
            connections_max,
            handshakes: AtomicUsize::new(0),
            handshakes_max: limits.max_pending_handshakes as usize,
            connect_timeout: limits.connect_timeout,
            connect_packet_size_max: usize::try_from(limits.max_connect_packet_size.0).unwrap_or(usize::MAX),
            verifications: Arc::new(Semaphore::new(login::VERIFICATIONS_MAX)),
            inquiries: Arc::new(Semaphore::new(login::INQUIRIES_MAX)),
            clock: Clock::default(),
            hasher: RandomState::new(),
            rules: ArcSwap::from_pointee(Rules::of(config)),
            refusals: RefusalCounters::default(),
            watch: Mutex::new(Watch::new()),
        }
    }

    /// Applies what a reload can change.
    pub fn reload(&self, config: &Config) {
        self.rules.store(Arc::new(Rules::of(config)));
    }

    /// Bytes that a connection may send before it is admitted.
    pub fn read_limit_bytes(&self) -> usize {
        self.connect_packet_size_max + ENVELOPE_BYTES_MAX
    }

    /// Connections at present.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Refusals so far for a reason.
    pub fn refusals(&self, reason: RefusalReason) -> u64 {
        self.refusals.of(reason)
    }

    /// Lets a new connection in, if there is room for it and its address is welcome.
    pub fn enter(
        self: &Arc<Self>,
        listener: &Arc<ListenerContext>,
        peer: Peer,
    ) -> Result<Ticket, RefusalReason> {
        let (gate, listener) = (Arc::clone(self), Arc::clone(listener));
        let connections = self.connections.fetch_add(1, Ordering::Relaxed);
        let of_listener = listener.connections.fetch_add(1, Ordering::Relaxed);
        let handshakes = self.handshakes.fetch_add(1, Ordering::Relaxed);
        let connections_of_listener_max = listener.connections_max;
        let doorway = listener.doorway.load_full();
        let is_of_proxy = doorway.expects_proxy();
        let mut ticket =
            Ticket { peer, is_of_proxy, gate, listener, block: None, is_pending: true, user: None };
        if connections >= self.connections_max {
            return Err(RefusalReason::Connections);
        }
        if of_listener >= connections_of_listener_max {
            return Err(RefusalReason::ListenerConnections);
        }
        if handshakes >= self.handshakes_max {
            return Err(RefusalReason::Handshakes);
        }
        if !is_of_proxy {
            ticket.place()?;
        } else if !doorway.is_proxy(peer) {
            return Err(RefusalReason::Proxy);
        }
        Ok(ticket)
    }

    /// Counts a refusal, holds it against the address, and writes it to the log.
    pub fn refused(&self, peer: Peer, reason: RefusalReason, reason_code: Option<ReasonCode>, detail: &str) {
        self.refusals.count(reason);
        let rules = self.rules.load();
        let (line, is_banned) = {
            let now = self.clock.now();
            let mut watch = self.watch();
            let is_banned = reason.blames_address() && watch.note_failure(now, peer, &rules);
            (watch.line(now, peer), is_banned)
        };
        if let Some(Line { unlogged, is_last }) = line {
            if unlogged > 0 {
                tracing::warn!(count = unlogged, "refusals were not logged, to keep this log readable");
            }
            let reason_code = reason_code.map(tracing::field::display);
            tracing::warn!(address = %peer, kind = reason.name(), reason = detail, reason_code, "refused");
            if is_last {
                tracing::warn!(address = %peer, "further refusals of this address are not logged for a while");
            }
        }
        if is_banned {
            let (cause, duration) = (BanCause::Failures.name(), rules.ban.duration);
            tracing::warn!(address = %peer, cause, ?duration, "banned");
        }
    }

    /// The bans at present, and the time by the clock they end by.
    pub fn bans(&self) -> (Timestamp, Vec<Ban>) {
        let now = self.clock.now();
        (now, self.watch().bans.list(now))
    }

    /// Bans somebody for so long, by default for `ban.duration`.
    pub fn ban(&self, banned: Banned, duration: Option<Duration>) -> Result<(), Spared> {
        let rules = self.rules.load();
        if rules.ban.allow.iter().any(|network| network.contains_all(&banned.network)) {
            return Err(Spared);
        }
        let now = self.clock.now();
        let until = now + duration.unwrap_or(rules.ban.duration);
        self.watch().bans.add(now, banned, BanCause::Operator, until);
        Ok(())
    }

    /// Ends a ban; whether there was one.
    pub fn lift_ban(&self, banned: &Banned) -> bool {
        self.watch().bans.remove(banned)
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        // Counts that a panic left half done are still counts.
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    fn new() -> Self {
        Self {
            addresses: Recent::new(REMEMBERED_MAX),
            comings: Recent::new(REMEMBERED_MAX),
            users: HashMap::new(),
            bans: Bans::default(),
            pace: Pace::default(),
            lines: Window::default(),
            unlogged: 0,
        }
    }

    /// Holds a failure against an address; whether that was one too many.
    fn note_failure(&mut self, now: Timestamp, peer: Peer, rules: &Rules) -> bool {
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

    /// The line about a refusal, unless the log has enough of them.
    fn line(&mut self, now: Timestamp, peer: Peer) -> Option<Line> {
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
    fn enter(
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

    /// Counts a connection of a user, unless that is one too many.
    fn claim_user(&mut self, user_name: &str, client: u64, max: Option<u32>) -> bool {
        let clients = self.users.entry(user_name.into()).or_default();
        let is_new = !clients.contains_key(&client);
        if is_new && max.is_some_and(|max| clients.len() >= max as usize) {
            return false;
        }
        *clients.entry(client).or_default() += 1;
        true
    }

    fn release_user(&mut self, user_name: &str, client: u64) {
        let Some(clients) = self.users.get_mut(user_name) else { return };
        if let Some(count) = clients.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&client);
            }
        }
        if clients.is_empty() {
            self.users.remove(user_name);
        }
    }
}

/// The addresses that count as one.
fn block_of(peer: Peer) -> Option<Network> {
    let address = peer.ip()?;
    let prefix = if address.is_ipv6() { IPV6_PREFIX } else { u8::MAX };
    Some(Network::around(address, prefix))
}

/// Counts a connection while it lives.
pub struct Ticket {
    /// Where the client is: the other end of the socket, or what the proxy there says.
    pub(crate) peer: Peer,
    /// A PROXY header comes first, and then the address is judged.
    pub(super) is_of_proxy: bool,
    pub(super) gate: Arc<Gate>,
    pub(super) listener: Arc<ListenerContext>,
    /// Under what it counts by address.
    block: Option<Network>,
    /// No client has come of it yet.
    is_pending: bool,
    /// Under what it counts by user, and the hash of its client identifier.
    user: Option<(Box<str>, u64)>,
}

impl Ticket {
    /// Judges the address of the client, and counts the connection under it.
    pub(super) fn place(&mut self) -> Result<(), RefusalReason> {
        let Some(address) = self.peer.ip() else { return Ok(()) };
        if !self.listener.doorway.load().is_open_to(address) {
            return Err(RefusalReason::Network);
        }
        let Some(block) = block_of(self.peer) else { return Ok(()) };
        let rules = self.gate.rules.load();
        self.gate.watch().enter(self.gate.clock.now(), address, block, &rules)?;
        self.block = Some(block);
        Ok(())
    }

    /// Judges who the client turned out to be, and counts the connection under it. `keeps_identifier` is false for
    /// one that the broker has made up, which never comes again.
    pub(super) fn claim(
        &mut self,
        user_name: Option<&str>,
        client: &ClientIdentifier,
        keeps_identifier: bool,
    ) -> Result<(), RefusalReason> {
        let rules = self.gate.rules.load_full();
        let gate = Arc::clone(&self.gate);
        let key = gate.hasher.hash_one(client);
        let mut watch = gate.watch();
        if keeps_identifier && let (Some(block), Some(address)) = (self.block, self.peer.ip()) {
            let now = gate.clock.now();
            let is_spared = rules.spares(address);
            if !is_spared && watch.bans.is_banned(now, address, Some(client.as_str())) {
                return Err(RefusalReason::Banned);
            }
            if rules.ban.enabled
                && !is_spared
                && let Some(most) = rules.ban.flapping
            {
                let Comings(comings) = watch.comings.entry((block, key));
                if comings.count(now, rules.ban.window) > most {
                    *comings = Window::default();
                    let banned = Banned { network: block, client: Some(client.as_str().into()) };
                    watch.bans.add(now, banned, BanCause::Flapping, now + rules.ban.duration);
                    drop(watch);
                    let (cause, duration) = (BanCause::Flapping.name(), rules.ban.duration);
                    tracing::warn!(address = %self.peer, ?client, cause, ?duration, "banned");
                    return Err(RefusalReason::Banned);
                }
            }
        }
        if let Some(user_name) = user_name {
            if !watch.claim_user(user_name, key, rules.limits.max_connections_per_user) {
                return Err(RefusalReason::UserConnections);
            }
            self.user = Some((user_name.into(), key));
        }
        Ok(())
    }

    /// A client came of it.
    pub(super) fn admitted(&mut self) {
        if std::mem::replace(&mut self.is_pending, false) {
            self.gate.handshakes.fetch_sub(1, Ordering::Relaxed);
            if let Some(block) = self.block {
                self.gate.watch().addresses.entry(block).handshakes -= 1;
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admitted();
        self.gate.connections.fetch_sub(1, Ordering::Relaxed);
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        if self.block.is_none() && self.user.is_none() {
            return;
        }
        let mut watch = self.gate.watch();
        if let Some(block) = self.block {
            watch.addresses.entry(block).connections -= 1;
        }
        if let Some((user_name, client)) = &self.user {
            watch.release_user(user_name, *client);
        }
    }
}

#[cfg(test)]
mod tests;
