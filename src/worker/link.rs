//! The runtime's side of a connection: its transport, its tasks, and what the log says about it.

use super::throttle::Throttle;
use super::ticket::Ticket;
use crate::transport::Transport;
use dunlin_codec::{ProtocolVersion, ReasonCode};
use dunlin_core::connection::Cause;
use dunlin_core::handshake::ConnectRequest;
use dunlin_core::identity::ClientIdentifier;
use dunlin_core::shard::NextInput;
use dunlin_core::slots::Key;
use std::cell::{Cell, RefCell};
use std::task::Waker;
use tokio::task::AbortHandle;

/// A connection of this worker.
pub(crate) struct Link {
    pub key: Key,
    pub transport: RefCell<Transport>,
    /// The task that reads.
    pub reader: Cell<Option<AbortHandle>>,
    /// The task that waits until the network takes more, while there is one.
    pub writer: Cell<Option<AbortHandle>>,
    /// Its last bytes are being written by the task that closes it.
    pub is_closing: Cell<bool>,
    /// Wakes the reader when its pause is over.
    pub paused: Cell<Option<Waker>>,
    pub description: Description,
    /// Bytes of a packet that is not whole, or that the shard has not taken yet.
    pub pending: RefCell<Vec<u8>>,
    /// Slows the client down where `limits.publish_rate` or `publish_bytes_rate` says so.
    pub(super) throttle: Option<Box<Throttle>>,
    /// What the shard wants next.
    pub next: Cell<NextInput>,
}

impl Link {
    pub fn new(key: Key, transport: Transport, description: Description, pending: Vec<u8>) -> Self {
        let throttle = Throttle::of(&description.ticket.gate.rules().limits).map(Box::new);
        Self {
            key,
            throttle,
            transport: RefCell::new(transport),
            reader: Cell::default(),
            writer: Cell::default(),
            is_closing: Cell::new(false),
            paused: Cell::default(),
            description,
            pending: RefCell::new(pending),
            // What came with CONNECT is handed in first.
            next: Cell::new(NextInput::Yield),
        }
    }

    /// Ends both tasks of the connection, which is being closed.
    pub fn stop_tasks(&self) {
        self.is_closing.set(true);
        for task in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            task.abort();
        }
    }
}

/// Who is at the other end, for the log.
pub(crate) struct Description {
    client: ClientIdentifier,
    version: ProtocolVersion,
    /// Knows where that is, and counts the connection as long as it lives.
    ticket: Ticket,
}

impl Description {
    pub fn new(request: &ConnectRequest, ticket: Ticket) -> Self {
        Self { client: request.client_identifier.clone(), version: request.version, ticket }
    }

    pub fn connected(&self) {
        tracing::info!(client = ?self.client, address = %self.ticket.peer, version = %self.version, "connected");
    }

    pub fn closed(&self, cause: &Cause) {
        let (client, address, reason) = (&self.client, &self.ticket.peer, cause.detail());
        match cause {
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
