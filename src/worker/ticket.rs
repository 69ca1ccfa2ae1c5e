//! What a connection counts as, from its acceptance to its end.
//!
//! The ticket goes where the connection goes, from thread to thread, and takes back all that was counted for it when
//! it is dropped. So no path can forget that, also not one that ends in an error or a panic.

use super::admission::ListenerContext;
use super::allowance::Allowance;
use super::bans::BanCause;
use super::delay::DelayReason;
use super::gate::{Gate, Rules};
use super::guesses::TooManyWait;
use super::refusal::RefusalReason;
use super::watch::block_of;
use crate::config::Network;
use crate::transport::Peer;
use dunlin_core::identity::ClientIdentifier;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// See the top of the file.
pub struct Ticket {
    /// Where the client is: the other end of the socket, or what the proxy there says.
    pub(crate) peer: Peer,
    /// A PROXY header comes first, and then the address is judged.
    pub(super) is_of_proxy: bool,
    pub(super) gate: Arc<Gate>,
    pub(super) listener: Arc<ListenerContext>,
    /// It is counted under its address.
    is_placed: bool,
    /// No client has come of it yet.
    is_pending: bool,
    /// Under what it counts by user, and its client identifier, both by their hash. Apart, because an idle client
    /// without a name is to cost little.
    user: Option<Box<(u64, u64)>>,
}

impl Ticket {
    /// That of a connection that has just been counted.
    pub(super) fn new(
        gate: &Arc<Gate>,
        listener: &Arc<ListenerContext>,
        peer: Peer,
        is_of_proxy: bool,
    ) -> Self {
        let (gate, listener) = (Arc::clone(gate), Arc::clone(listener));
        Self { peer, is_of_proxy, gate, listener, is_placed: false, is_pending: true, user: None }
    }

    /// Judges the address of the client, and counts the connection under it.
    pub(super) fn place(&mut self) -> Result<(), RefusalReason> {
        let Some(address) = self.peer.ip() else { return Ok(()) };
        if !self.listener.doorway.load().is_open_to(address) {
            return Err(RefusalReason::Network);
        }
        let Some(block) = block_of(self.peer) else { return Ok(()) };
        let rules = self.gate.rules.load();
        self.gate.watch().enter(self.gate.clock.now(), address, block, &rules)?;
        self.is_placed = true;
        Ok(())
    }

    /// Under what it counts by address, if it does.
    fn block(&self) -> Option<Network> {
        block_of(self.peer).filter(|_| self.is_placed)
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
        let now = gate.clock.now();
        let mut watch = gate.watch();
        if keeps_identifier && let (Some(block), Some(address)) = (self.block(), self.peer.ip()) {
            let is_spared = rules.spares(address);
            if !is_spared && watch.bans.is_banned(now, address, Some(client.as_str())) {
                return Err(RefusalReason::Banned);
            }
            if !is_spared && watch.note_coming(now, block, key, client.as_str(), &rules) {
                drop(watch);
                let (cause, duration) = (BanCause::Flapping.name(), rules.ban.duration);
                tracing::warn!(address = %self.peer, ?client, cause, ?duration, "banned");
                return Err(RefusalReason::Banned);
            }
            watch.judge_client(now, block, key, &rules.limits)?;
        }
        if let Some(user_name) = user_name {
            let user = gate.hasher.hash_one(user_name);
            watch.claim_user(now, user, key, &rules.limits)?;
            self.user = Some(Box::new((user, key)));
        }
        Ok(())
    }

    /// How long the password of somebody who says to be this user has to wait before it is judged (`guesses.rs`).
    pub(super) fn login_turn(&self, user_name: &str) -> Result<Duration, RefusalReason> {
        let gate = &self.gate;
        let rules = gate.rules.load_full();
        let Some(from) = self.guesses_from(&rules) else { return Ok(Duration::ZERO) };
        let now = gate.clock.now();
        // Time is left for what comes after it.
        let patience = gate.connect_timeout() / 2;
        let name = guarded_name(gate, user_name);
        let turn = gate.watch().guesses.turn(now, name, from, &rules, patience);
        let ready_at = turn.map_err(|TooManyWait| RefusalReason::LoginRate)?;
        if ready_at > now {
            gate.delays.count(DelayReason::Login);
        }
        Ok(ready_at.since(now))
    }

    /// Somebody has shown that it is this user, or has not.
    pub(super) fn note_login(&self, user_name: &str, has_shown_it: bool) {
        let rules = self.gate.rules.load_full();
        let Some(from) = self.guesses_from(&rules) else { return };
        let name = guarded_name(&self.gate, user_name);
        let now = self.gate.clock.now();
        let guesses = &mut self.gate.watch().guesses;
        if has_shown_it {
            guesses.succeeded(name, from);
        } else {
            guesses.failed(now, name, from, &rules);
        }
    }

    /// Where failed logins are held against a name: not where nobody is banned for them either.
    fn guesses_from(&self, rules: &Rules) -> Option<Network> {
        self.block().filter(|_| self.peer.ip().is_some_and(|address| !rules.spares(address)))
    }

    /// What the client may publish, if that is limited: for itself, and together with those it counts with.
    pub(super) fn allowances(&self) -> Option<Vec<Arc<Allowance>>> {
        let (limits, of_listener) = (&self.gate.publish_limits, &self.listener.publishing);
        if !limits.are_limits() && !of_listener.rates.are_limits() {
            return None;
        }
        let mut allowances =
            vec![Allowance::new(&limits.client), Arc::clone(of_listener), Arc::clone(&limits.all)];
        let mut watch = self.gate.watch();
        if let Some(block) = self.block() {
            let of_address = &mut watch.addresses.entry(block).allowance;
            allowances.push(of_address.get_or_insert_with(|| Allowance::new(&limits.address)).clone());
        }
        if let Some((user, _)) = self.user.as_deref() {
            let of_user = &mut watch.users.entry(*user).allowance;
            allowances.push(of_user.get_or_insert_with(|| Allowance::new(&limits.user)).clone());
        }
        Some(allowances)
    }

    /// A client came of it.
    pub(super) fn admitted(&mut self) {
        if std::mem::replace(&mut self.is_pending, false) {
            self.gate.handshakes.fetch_sub(1, Ordering::Relaxed);
            if let Some(block) = self.block() {
                self.gate.watch().addresses.entry(block).handshakes -= 1;
            }
        }
    }
}

/// A name as it is guarded: a directory behind the authentication service may not tell "Anna" from "anna ".
fn guarded_name(gate: &Gate, user_name: &str) -> u64 {
    gate.hasher.hash_one(user_name.trim().to_lowercase())
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admitted();
        self.gate.connections.fetch_sub(1, Ordering::Relaxed);
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        let block = self.block();
        if block.is_none() && self.user.is_none() {
            return;
        }
        let mut watch = self.gate.watch();
        if let Some(block) = block {
            watch.addresses.entry(block).connections -= 1;
        }
        if let Some((user, client)) = self.user.as_deref() {
            watch.release_user(*user, *client);
        }
    }
}
