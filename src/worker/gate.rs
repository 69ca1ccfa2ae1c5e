//! Who is let in: the bounds on connections, in all, by address and by user.
//!
//! A connection passes in three steps. [`Gate::enter`] counts it among all; [`Ticket::place`] judges the address,
//! once that is known (behind a proxy it comes with the first bytes); [`Ticket::claim`] judges the user and the
//! client identifier, once the credentials are good. The [`Ticket`] stays with the connection and takes everything
//! back when it is dropped, wherever that happens (`ticket.rs`). What addresses and users have done is in one value
//! behind one lock (`watch.rs`), which is taken a few times for a connection and never for a message.
//!
//! Every refusal ends in [`Gate::refused`]: counted by reason, held against the address where the reason says so,
//! and written to the log in one form that fail2ban can match (`packaging/fail2ban`). A flood of refusals does not
//! flood the log: an address has so many lines a minute, and all together have so many.

use super::admission::{ENVELOPE_BYTES_MAX, ListenerContext};
use super::allowance::PublishLimits;
use super::bans::{Ban, BanCause, Banned};
use super::delay::{DelayCounters, DelayReason};
use super::login;
use super::refusal::{RefusalCounters, RefusalReason};
use super::ticket::Ticket;
use super::watch::{Line, Watch};
use crate::config::{BanOptions, Config, LimitOptions, Network};
use crate::transport::Peer;
use arc_swap::ArcSwap;
use dunlin_codec::ReasonCode;
use dunlin_core::identity::ClientIdentifier;
use dunlin_core::time::Timestamp;
use dunlin_store::Clock;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::field::{debug, display};

/// The bounds on connections, for all listeners.
pub struct Gate {
    pub(super) connections: AtomicUsize,
    pub(super) handshakes: AtomicUsize,
    pub(super) verifications: Arc<Semaphore>,
    pub(super) inquiries: Arc<Semaphore>,
    pub(super) clock: Clock,
    /// Client identifiers and users count by their hash (`watch.rs`).
    pub(super) hasher: RandomState,
    pub(super) rules: ArcSwap<Rules>,
    pub(super) publish_limits: PublishLimits,
    refusals: RefusalCounters,
    pub(super) delays: DelayCounters,
    watch: Mutex<Watch>,
}

/// What a reload replaces.
pub(super) struct Rules {
    /// `limits.max_connections`, or what the machine allows of it.
    pub connections_max: usize,
    pub limits: LimitOptions,
    pub ban: BanOptions,
}

impl Rules {
    pub fn of(config: &Config, connections_max: usize) -> Self {
        Self { connections_max, limits: config.limits.clone(), ban: config.ban.clone() }
    }

    /// Whether nobody bans this address.
    pub fn spares(&self, address: IpAddr) -> bool {
        self.ban.allow.iter().any(|network| network.contains(address))
    }
}

/// A ban that cannot be: the address is in `ban.allow`.
#[derive(Debug, PartialEq, Eq)]
pub struct Spared;

impl Gate {
    /// The gate of a configuration.
    pub fn new(config: &Config, connections_max: usize) -> Self {
        Self {
            connections: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
            verifications: Arc::new(Semaphore::new(login::VERIFICATIONS_MAX)),
            inquiries: Arc::new(Semaphore::new(login::INQUIRIES_MAX)),
            clock: Clock::default(),
            hasher: RandomState::new(),
            rules: ArcSwap::from_pointee(Rules::of(config, connections_max)),
            publish_limits: PublishLimits::of(&config.limits),
            refusals: RefusalCounters::default(),
            delays: DelayCounters::default(),
            watch: Mutex::new(Watch::new()),
        }
    }

    /// Applies what a reload can change.
    pub fn reload(&self, config: &Config, connections_max: usize) {
        self.rules.store(Arc::new(Rules::of(config, connections_max)));
        self.publish_limits.set(&config.limits);
    }

    /// The time that a connection has for its CONNECT.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.rules.load().limits.connect_timeout
    }

    /// The largest CONNECT packet, in bytes.
    pub(super) fn connect_packet_size_max(&self) -> usize {
        usize::try_from(self.rules.load().limits.max_connect_packet_size.0).unwrap_or(usize::MAX)
    }

    /// Bytes that a connection may send before it is admitted.
    pub fn read_limit_bytes(&self) -> usize {
        self.connect_packet_size_max() + ENVELOPE_BYTES_MAX
    }

    /// The time by the broker's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Connections at present.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Refusals so far for a reason.
    pub fn refusals(&self, reason: RefusalReason) -> u64 {
        self.refusals.of(reason)
    }

    /// How often clients were made to wait so far for a reason.
    pub fn delays(&self, reason: DelayReason) -> u64 {
        self.delays.of(reason)
    }

    /// Lets a new connection in, if there is room for it and its address is welcome.
    pub fn enter(
        self: &Arc<Self>,
        listener: &Arc<ListenerContext>,
        peer: Peer,
    ) -> Result<Ticket, RefusalReason> {
        let connections = self.connections.fetch_add(1, Ordering::Relaxed);
        let of_listener = listener.connections.fetch_add(1, Ordering::Relaxed);
        listener.accepted.fetch_add(1, Ordering::Relaxed);
        let handshakes = self.handshakes.fetch_add(1, Ordering::Relaxed);
        let doorway = listener.doorway.load_full();
        let rules = self.rules.load();
        // From here on the ticket takes back what was counted.
        let mut ticket = Ticket::new(self, listener, peer, doorway.expects_proxy());
        if connections >= rules.connections_max {
            return Err(RefusalReason::Connections);
        }
        if of_listener >= listener.connections_max() {
            return Err(RefusalReason::ListenerConnections);
        }
        if handshakes >= rules.limits.max_pending_handshakes as usize {
            return Err(RefusalReason::Handshakes);
        }
        if !ticket.is_of_proxy {
            ticket.place()?;
        } else if !doorway.is_proxy(peer) {
            return Err(RefusalReason::Proxy);
        }
        Ok(ticket)
    }

    /// Counts a refusal, holds it against the address, and writes it to the log, with the code that the client was told
    /// and its identifier, where there are such.
    pub fn refused(
        &self,
        peer: Peer,
        reason: RefusalReason,
        told: Option<(ReasonCode, Option<&ClientIdentifier>)>,
        detail: &str,
    ) {
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
            let reason_code = told.map(|(reason_code, _)| display(reason_code));
            let client = told.and_then(|(_, client)| client).map(debug);
            // The order is that of the filter for fail2ban, and what the client has written comes last.
            tracing::warn!(address = %peer, kind = reason.name(), reason = detail, reason_code, client, "refused");
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

    /// The addresses that have failed most within `ban.window`, at most so many, with how often.
    pub fn failures(&self, most: usize) -> Vec<(Network, u32)> {
        let (now, rules) = (self.clock.now(), self.rules.load());
        self.watch().failures(now, rules.ban.window, most)
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

    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        // Counts that a panic left half done are still counts.
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
