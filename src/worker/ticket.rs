//! What a connection counts as, from its acceptance to its end.
//!
//! The ticket goes where the connection goes, from thread to thread, and takes back all that was counted for it when
//! it is dropped. So no path can forget that, also not one that ends in an error or a panic.

use super::admission::ListenerContext;
use super::bans::BanCause;
use super::gate::Gate;
use super::refusal::RefusalReason;
use super::watch::block_of;
use crate::config::Network;
use crate::transport::Peer;
use dunlin_core::identity::ClientIdentifier;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
    /// Under what it counts by user, and the hash of its client identifier. Apart, because an idle client without a
    /// name is to cost little.
    user: Option<Box<(Box<str>, u64)>>,
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
        let mut watch = gate.watch();
        if keeps_identifier && let (Some(block), Some(address)) = (self.block(), self.peer.ip()) {
            let now = gate.clock.now();
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
        }
        if let Some(user_name) = user_name {
            if !watch.claim_user(user_name, key, rules.limits.max_connections_per_user) {
                return Err(RefusalReason::UserConnections);
            }
            self.user = Some(Box::new((user_name.into(), key)));
        }
        Ok(())
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
        if let Some((user_name, client)) = self.user.as_deref() {
            watch.release_user(user_name, *client);
        }
    }
}
