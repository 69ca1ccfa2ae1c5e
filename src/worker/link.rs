//! The runtime's side of a connection: its transport, its tasks, and what the log says about it.
//!
//! There is one for each idle client. It takes 104 bytes, because what only a busy connection has is made when it is
//! needed ([`Busy`]), and what only the log wants lies apart ([`Description`]): pieces of that size fill the gaps that
//! the two allocations tokio makes for each connection leave, which are aligned to 128 bytes.

use super::ListenerContext;
use super::throttle::Throttle;
use super::ticket::Ticket;
use crate::transport::{Peer, Transport};
use dunlin_codec::{ProtocolVersion, ReasonCode};
use dunlin_core::connection::Cause;
use dunlin_core::handshake::ConnectRequest;
use dunlin_core::identity::ClientIdentifier;
use dunlin_core::shard::NextInput;
use dunlin_core::slots::Key;
use dunlin_core::time::Timestamp;
use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::task::Waker;
use tokio::task::AbortHandle;

/// A connection of this worker.
pub(crate) struct Link {
    pub key: Key,
    pub transport: RefCell<Transport>,
    /// The task that reads; none once the task that closes the connection is there.
    pub reader: Cell<Option<AbortHandle>>,
    pub description: Box<Description>,
    /// Slows the client down where `limits.publish_rate` or the like says so.
    throttle: OnceCell<Box<Throttle>>,
    /// What the shard wants next.
    pub next: Cell<NextInput>,
    busy: Cell<Option<Box<Busy>>>,
}

/// What a connection has only at times.
#[derive(Default)]
struct Busy {
    /// The task that waits until the network takes more.
    writer: Option<AbortHandle>,
    /// Wakes the reader when its pause is over.
    paused: Option<Waker>,
    /// Bytes of a packet that is not whole, or that the shard has not taken yet.
    pending: Vec<u8>,
}

impl Busy {
    fn is_needed(&self) -> bool {
        self.writer.is_some() || self.paused.is_some() || !self.pending.is_empty()
    }
}

impl Link {
    pub fn new(key: Key, transport: Transport, description: Description, pending: Vec<u8>) -> Self {
        let link = Self {
            key,
            throttle: OnceCell::new(),
            transport: RefCell::new(transport),
            reader: Cell::default(),
            description: Box::new(description),
            // What came with CONNECT is handed in first.
            next: Cell::new(NextInput::Yield),
            busy: Cell::default(),
        };
        link.set_pending(pending);
        link.begin_throttling();
        link
    }

    /// Slows the client down from now on, if anything does.
    pub fn begin_throttling(&self) {
        if self.throttle.get().is_none()
            && let Some(throttle) = Throttle::of(&self.description.ticket)
        {
            // There is none yet.
            drop(self.throttle.set(Box::new(throttle)));
        }
    }

    /// What slows the client down, if anything does.
    #[inline]
    pub(super) fn throttle(&self) -> Option<&Throttle> {
        self.throttle.get().map(Box::as_ref)
    }

    /// Takes something out of what a busy connection has; nothing, if it is not busy.
    #[inline]
    fn take<T: Default>(&self, part: impl FnOnce(&mut Busy) -> &mut T) -> T {
        let Some(mut busy) = self.busy.take() else {
            return T::default();
        };
        let taken = std::mem::take(part(&mut busy));
        self.busy.set(Some(busy).filter(|busy| busy.is_needed()));
        taken
    }

    fn set(&self, change: impl FnOnce(&mut Busy)) {
        let mut busy = self.busy.take().unwrap_or_default();
        change(&mut busy);
        self.busy.set(Some(busy));
    }

    /// Takes the bytes of a packet that is not whole, or that the shard has not taken yet.
    pub fn take_pending(&self) -> Vec<u8> {
        self.take(|busy| &mut busy.pending)
    }

    /// Keeps such bytes.
    pub fn set_pending(&self, pending: Vec<u8>) {
        if !pending.is_empty() {
            self.set(|busy| busy.pending = pending);
        }
    }

    /// Takes the task that waits until the network takes more, if there is one.
    pub fn take_writer(&self) -> Option<AbortHandle> {
        self.take(|busy| &mut busy.writer)
    }

    /// There is such a task.
    pub fn set_writer(&self, writer: AbortHandle) {
        self.set(|busy| busy.writer = Some(writer));
    }

    /// Takes what wakes the reader when its pause is over.
    pub fn take_paused(&self) -> Option<Waker> {
        self.take(|busy| &mut busy.paused)
    }

    /// The reader pauses.
    pub fn set_paused(&self, reader: Waker) {
        self.set(|busy| busy.paused = Some(reader));
    }

    /// Whether its last bytes are being written by the task that closes it.
    pub fn is_closing(&self) -> bool {
        let reader = self.reader.take();
        let is_closing = reader.is_none();
        self.reader.set(reader);
        is_closing
    }

    /// Ends both tasks of the connection, which is being closed.
    pub fn stop_tasks(&self) {
        for task in [self.reader.take(), self.take_writer()].into_iter().flatten() {
            task.abort();
        }
    }
}

/// Who is at the other end, for the log.
pub(crate) struct Description {
    client: ClientIdentifier,
    /// Knows where that is, and counts the connection as long as it lives.
    ticket: Ticket,
    /// Since when it is a client's.
    connected_at: Timestamp,
}

impl Description {
    pub fn new(request: &ConnectRequest, ticket: Ticket, connected_at: Timestamp) -> Self {
        Self { client: request.client_identifier.clone(), ticket, connected_at }
    }

    /// Whose connection it is.
    pub fn client(&self) -> &ClientIdentifier {
        &self.client
    }

    /// Since when it is a client's.
    pub fn connected_at(&self) -> Timestamp {
        self.connected_at
    }

    /// Where the client is.
    pub fn peer(&self) -> Peer {
        self.ticket.peer
    }

    /// Where it came in.
    pub fn listener(&self) -> &Arc<ListenerContext> {
        &self.ticket.listener
    }

    pub fn connected(&self, version: ProtocolVersion) {
        tracing::info!(client = ?self.client, address = %self.ticket.peer, %version, "connected");
    }

    pub fn closed(&self, cause: &Cause) {
        let (client, address, reason) = (&self.client, &self.ticket.peer, cause.detail());
        match cause {
            // `auth.denied_publish = "disconnect"`: it spoke well, of what it has no right to.
            Cause::Violation { reason_code: reason_code @ ReasonCode::NotAuthorized, .. } => {
                tracing::warn!(?client, %address, reason, %reason_code, "closed: the client may not do that");
            }
            Cause::Violation { reason_code, statement, .. } => {
                tracing::warn!(?client, %address, reason, %reason_code, statement, "closed: the client broke the protocol");
            }
            Cause::ClientDisconnected(ReasonCode::Success) => {
                tracing::info!(?client, %address, "disconnected")
            }
            Cause::ClientDisconnected(reason_code) => {
                tracing::info!(?client, %address, %reason_code, "disconnected");
            }
            _ => tracing::info!(?client, %address, reason, "closed"),
        }
    }

    pub fn failed(&self, error: &std::io::Error) {
        tracing::debug!(client = ?self.client, address = %self.ticket.peer, %error, "the transport failed");
    }

    pub fn refused(&self, reason_code: ReasonCode, topic: &str) {
        let (client, address) = (&self.client, &self.ticket.peer);
        tracing::warn!(?client, %address, %reason_code, topic, "refused (further refusals of this connection are not logged)");
    }

    pub fn panicked(&self) {
        tracing::error!(client = ?self.client, address = %self.ticket.peer, "a packet made the broker panic: the connection is closed; please report this");
    }
}
