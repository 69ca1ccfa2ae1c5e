//! A Network Connection of an accepted client: what ends with it.
//!
//! An idle connection must cost little (issue of every fleet), so everything that only busy ones need is
//! behind a pointer: the outbox comes from the shard's pool and goes back when it is empty.

mod aliases;
mod completion;
mod outbox;

pub use aliases::{Alias, ClientAliases, ServerAliases};
pub use completion::{Barrier, Completion, Mark, Owed, Until};
pub use outbox::{Outbox, SHARED_PAYLOAD_MIN_BYTES};

use crate::authenticate::{Mechanism, Mechanisms};
use crate::identity::ShardId;
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::{ProtocolVersion, ReasonCode};
use std::collections::VecDeque;
use std::sync::Arc;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client sent DISCONNECT with this code.
    ClientDisconnected(ReasonCode),
    /// The connection ended without DISCONNECT.
    TransportLost,
    /// The client broke the protocol.
    Violation {
        /// The code told to it.
        reason_code: ReasonCode,
        /// What was wrong.
        detail: &'static str,
        /// The statement or section that says so.
        statement: &'static str,
    },
    /// Nothing came for one and a half times the Keep Alive.
    KeepAliveTimeout,
    /// Another connection took the Session over.
    TakenOver,
    /// The Server or its operator ended it.
    Server {
        /// The code told to the client.
        reason_code: ReasonCode,
        /// Why.
        detail: &'static str,
    },
}

impl Cause {
    /// The code for a DISCONNECT from the Server; none when there is nobody to tell.
    pub fn reason_code(&self) -> Option<ReasonCode> {
        match self {
            Self::ClientDisconnected(_) | Self::TransportLost => None,
            Self::Violation { reason_code, .. } | Self::Server { reason_code, .. } => Some(*reason_code),
            Self::KeepAliveTimeout => Some(ReasonCode::KeepAliveTimeout),
            Self::TakenOver => Some(ReasonCode::SessionTakenOver),
        }
    }

    /// A sentence fragment for people.
    pub fn detail(&self) -> &'static str {
        match self {
            Self::ClientDisconnected(ReasonCode::Success) => "the client disconnected",
            Self::ClientDisconnected(_) => "the client disconnected and gave a reason",
            Self::TransportLost => "the connection was lost",
            Self::Violation { detail, .. } | Self::Server { detail, .. } => detail,
            Self::KeepAliveTimeout => "nothing was received for one and a half times the Keep Alive",
            Self::TakenOver => "another connection uses the same client identifier",
        }
    }
}

/// Who was made to wait by a slow consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slowed {
    Connection(Key),
    Peer(ShardId),
}

/// What a client that authenticated by AUTH packets may do again.
pub(crate) struct Reauthentication {
    /// The Authentication Method of CONNECT.
    pub method: Box<str>,
    /// What its listener supports.
    pub mechanisms: Arc<dyn Mechanisms>,
    /// The exchange under way.
    pub exchange: Option<Box<dyn Mechanism>>,
}

/// What only some connections need.
#[derive(Default)]
pub(crate) struct Extras {
    /// Aliases the client set.
    pub client_aliases: ClientAliases,
    /// Aliases the Server sets, where the client allows them.
    pub server_aliases: Option<ServerAliases>,
    /// How the client authenticates again, if CONNECT named an Authentication Method.
    pub authentication: Option<Box<Reauthentication>>,
    /// Packets that wait for room in the store.
    pub parked: Vec<u8>,
    /// Acknowledgements that wait, and publications at QoS 2.
    pub completions: VecDeque<Completion>,
    /// The publications among them, and about how long they are.
    pub waiting_publications: usize,
    pub waiting_publications_bytes: usize,
    /// Publishers that wait until this consumer has read on, and since when there are any.
    pub slowed: Vec<Slowed>,
    pub slow_since: Option<Timestamp>,
    /// A timer looks after the grace. It outlives short waits, so that a consumer at its limit costs no
    /// timers.
    pub has_grace_timer: bool,
}

impl Extras {
    /// One more packet that leaves when those before it have, and its barrier is open.
    pub fn complete_later(&mut self, barrier: Barrier, owed: Owed) {
        if let Owed::Publish { size_bytes, .. } = owed {
            self.waiting_publications += 1;
            self.waiting_publications_bytes += size_bytes;
        }
        self.completions.push_back(Completion { barrier, owed });
    }

    /// Takes the first of them.
    pub fn next_completion(&mut self) -> Option<Completion> {
        let completion = self.completions.pop_front()?;
        if let Owed::Publish { size_bytes, .. } = completion.owed {
            self.waiting_publications -= 1;
            self.waiting_publications_bytes -= size_bytes;
        }
        Some(completion)
    }
}

/// See the top of the file.
pub(crate) struct Connection {
    /// Its Session.
    pub session: Key,
    pub version: ProtocolVersion,
    /// CONNACK has left.
    pub is_established: bool,
    /// Nothing is read any more; what is in the outbox is still written.
    pub is_closing: bool,
    /// It is in the list of connections to flush.
    pub is_dirty: bool,
    /// It had its grace and is still behind: its publishers no longer wait for it.
    pub is_lagging: bool,
    /// It is a publisher that waits for a slow consumer or peer.
    pub is_paused: bool,
    /// Its input waits until CONNACK has left, until it has read what waits for it, or until what it is owed
    /// has left.
    pub is_held: bool,
    /// The runtime does not read it for a while, because it publishes too fast.
    pub is_unread: bool,
    /// It speaks 3.x and ends when it may not publish what it publishes.
    pub closes_when_denied: bool,
    /// It was refused something, and the log knows.
    pub was_refused: bool,
    /// The client welcomes Reason Strings everywhere.
    pub request_problem_information: bool,
    pub keep_alive_s: u16,
    /// QoS 1 and 2 publications of the client without their last acknowledgement.
    pub inbound_outstanding: u16,
    /// The client's Maximum Packet Size.
    pub maximum_packet_size_bytes: u32,
    /// Ours.
    pub accepted_packet_size_bytes: u32,
    /// Since when the client is silent, for Keep Alive: its last packet; or later, if it could not be heard.
    pub silent_since: Timestamp,
    /// PUBLISH packets from it and to it, modulo 2^32: enough for rates.
    pub messages_received: u32,
    pub messages_sent: u32,
    /// When the timer is due that looks whether the client's identity still holds. One is armed, however often the
    /// client renews its identity.
    pub identity_timer_at: Option<Timestamp>,
    pub outbox: Option<Box<Outbox>>,
    pub extras: Option<Box<Extras>>,
}

impl Connection {
    /// Bytes that wait to be written.
    #[inline]
    pub fn outbox_bytes(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }

    /// Bytes of publications that are to be written as soon as the store allows.
    pub fn waiting_publications_bytes(&self) -> usize {
        self.extras.as_ref().map_or(0, |extras| extras.waiting_publications_bytes)
    }

    /// Acknowledgements that wait for the store or for a peer.
    pub fn owed_answers(&self) -> usize {
        let answers = |extras: &Extras| extras.completions.len() - extras.waiting_publications;
        self.extras.as_deref().map_or(0, answers)
    }

    /// Whether publications wait for the store: later ones do not overtake them.
    #[inline]
    pub fn has_waiting_publications(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.waiting_publications > 0)
    }

    /// Whether the client is not heard, or need not speak, through our doing: CONNACK or its acknowledgements
    /// wait for the store or a peer, or we slow it down for somebody else's sake.
    pub fn waits_for_us(&self) -> bool {
        !self.is_established || self.is_paused || self.is_unread || (self.is_held && self.owed_answers() > 0)
    }

    /// Gives up extras that nothing needs at present.
    pub fn shed_extras(&mut self) {
        let is_needed = |extras: &mut Box<Extras>| {
            extras.server_aliases.is_some()
                || extras.authentication.is_some()
                || !extras.client_aliases.is_empty()
                || !extras.completions.is_empty()
                || !extras.parked.is_empty()
                || extras.slow_since.is_some()
                || extras.has_grace_timer
        };
        if self.extras.as_mut().is_some_and(|extras| !is_needed(extras)) {
            self.extras = None;
        }
    }

    pub fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// When the client has been silent for too long; `None` without Keep Alive.
    // spec(v5): [MQTT-3.1.2-22] [MQTT-3.2.2-22]
    // spec(v3.1.1): [MQTT-3.1.2-24]
    pub fn keep_alive_deadline(&self) -> Option<Timestamp> {
        (self.keep_alive_s > 0).then(|| {
            self.silent_since + std::time::Duration::from_millis(u64::from(self.keep_alive_s) * 1500)
        })
    }
}
