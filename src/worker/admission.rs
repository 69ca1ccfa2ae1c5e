//! From an accepted socket to an admitted client: TLS, WebSocket, CONNECT, credentials, within a deadline and
//! a few bytes.
//!
//! Nobody is known here yet, so everything is bounded: how many connections are in this state, how long each
//! may take, and how many bytes it may send. Passwords are verified off the worker, a few at a time, because
//! that is slow on purpose.

use super::login::Login;
use super::{Client, Worker, login};
use crate::auth::Access;
use crate::config::{Config, DeniedPublish, Listener, ListenerUrl};
use crate::tls::TlsEndpoint;
use crate::transport::{Peer, Socket, Transport, WebSocket};
use arc_swap::ArcSwap;
use dunlin_codec::{ReasonCode, Split, split};
use dunlin_core::authenticate::{Mechanism, Mechanisms};
use dunlin_core::connection::Outbox;
use dunlin_core::handshake::{ConnectRequest, Handshake, Next, Refusal, refusal_bytes};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroize;

/// What TLS and WebSocket may add to the bytes of a CONNECT packet.
const ENVELOPE_BYTES_MAX: usize = 16 * 1024;

/// How long a refused client may take to accept its CONNACK.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(1);

/// One listener, as connections see it.
pub struct ListenerContext {
    /// Its URL, as configured.
    pub url: ListenerUrl,
    /// Who may connect here; a reload replaces it.
    pub access: ArcSwap<Access>,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<TlsEndpoint>>,
    packet_size_max: u32,
    connections_max: usize,
    connections: AtomicUsize,
}

impl Mechanisms for ListenerContext {
    fn begin(&self, method: &str) -> Option<Box<dyn Mechanism>> {
        login::begin_exchange(&self.access.load(), method)
    }
}

impl fmt::Debug for ListenerContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListenerContext({})", self.url)
    }
}

impl ListenerContext {
    /// The context of a configured listener.
    pub fn new(listener: &Listener, tls: Option<TlsEndpoint>, access: Access) -> Self {
        Self {
            url: listener.url.clone(),
            access: ArcSwap::from_pointee(access),
            tls: tls.map(Arc::new),
            packet_size_max: u32::try_from(listener.max_packet_size.0).unwrap_or(u32::MAX),
            connections_max: listener.max_connections.map_or(usize::MAX, |count| count as usize),
            connections: AtomicUsize::new(0),
        }
    }
}

/// The bounds on connections, for all listeners.
pub struct Gate {
    connections: AtomicUsize,
    connections_max: usize,
    handshakes: AtomicUsize,
    handshakes_max: usize,
    connect_timeout: Duration,
    connect_packet_size_max: usize,
    pub(super) verifications: Arc<Semaphore>,
    pub(super) inquiries: Arc<Semaphore>,
}

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
        }
    }

    /// Bytes that a connection may send before it is admitted.
    pub fn read_limit_bytes(&self) -> usize {
        self.connect_packet_size_max + ENVELOPE_BYTES_MAX
    }

    /// Connections at present.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a new connection, if there is room for it; the error says which bound is reached.
    pub fn enter(
        self: &Arc<Self>,
        listener: &Arc<ListenerContext>,
        peer: Peer,
    ) -> Result<(Ticket, Pending), &'static str> {
        let ticket = Ticket { peer, gate: Arc::clone(self), listener: Arc::clone(listener) };
        let connections = self.connections.fetch_add(1, Ordering::Relaxed);
        let of_listener = listener.connections.fetch_add(1, Ordering::Relaxed);
        let pending = Pending { gate: Arc::clone(self) };
        let handshakes = self.handshakes.fetch_add(1, Ordering::Relaxed);
        if connections >= self.connections_max {
            Err("limits.max_connections is reached")
        } else if of_listener >= listener.connections_max {
            Err("the listener's max_connections is reached")
        } else if handshakes >= self.handshakes_max {
            Err("limits.max_pending_handshakes is reached")
        } else {
            Ok((ticket, pending))
        }
    }
}

/// Counts a connection while it lives.
pub struct Ticket {
    pub(crate) peer: Peer,
    pub(super) gate: Arc<Gate>,
    pub(super) listener: Arc<ListenerContext>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gate.connections.fetch_sub(1, Ordering::Relaxed);
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a connection while it is not admitted.
pub struct Pending {
    gate: Arc<Gate>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.gate.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An accepted socket.
pub struct Arrival {
    /// The socket, on no thread yet.
    pub socket: Socket,
    /// Counts it.
    pub ticket: Ticket,
    /// Counts it as long as it is not admitted.
    pub pending: Pending,
}

/// Why there is no client.
enum Failure {
    /// The transport ended or failed.
    Transport(io::Error),
    /// The client was refused.
    Refused(Refusal),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Transport(error)
    }
}

impl Arrival {
    /// Admits the client on a worker.
    pub(crate) fn admit(self, worker: Rc<Worker>) {
        tokio::task::spawn_local(async move {
            let Self { socket, ticket, pending } = self;
            let peer = ticket.peer;
            match timeout(ticket.gate.connect_timeout, admit(&worker, socket, &ticket)).await {
                Ok(Ok((request, transport, rest))) => {
                    worker.settle(Box::new(Client { request, transport, pending: rest, arrival: ticket }));
                }
                Ok(Err(Failure::Transport(error))) => {
                    tracing::info!(address = %peer, %error, "no client came of a connection")
                }
                Ok(Err(Failure::Refused(Refusal { reason_code, detail }))) => {
                    tracing::warn!(address = %peer, %reason_code, reason = detail, "refused");
                }
                Err(_) => {
                    tracing::info!(address = %peer, "refused: no CONNECT within limits.connect_timeout")
                }
            }
            drop(pending);
        });
    }
}

async fn admit(
    worker: &Worker,
    mut socket: Socket,
    ticket: &Ticket,
) -> Result<(Box<ConnectRequest>, Transport, Vec<u8>), Failure> {
    socket.attach()?;
    let mut transport = open(socket, ticket).await?;
    let settings = worker.shard.borrow().settings();
    let mechanisms: Arc<dyn Mechanisms> = Arc::clone(&ticket.listener) as _;
    let mut handshake = Handshake::new(ticket.listener.packet_size_max);
    let packet_size_max = ticket.listener.packet_size_max.min(ticket.gate.connect_packet_size_max as u32);
    let mut buffer = Vec::new();
    loop {
        let next = match split(&buffer, packet_size_max) {
            Ok(Split::Incomplete { .. }) => {
                read_more(&mut transport, &mut buffer).await?;
                continue;
            }
            Ok(Split::Packet { frame, length }) => {
                let next = handshake.handle_frame(frame, &settings, &mechanisms, random());
                // It may have held a password.
                buffer[..length].zeroize();
                buffer.drain(..length);
                buffer.shrink_to_fit();
                next
            }
            Err(error) => handshake.handle_malformed(error),
        };
        let next = match next {
            Next::Verify => match handshake.request() {
                Some(request) => match Login::new(request, &transport, ticket).verify(ticket).await {
                    Ok(identity) => handshake.accept(identity),
                    Err(Refusal { reason_code, detail }) => handshake.refuse(reason_code, detail),
                },
                None => handshake.refuse(ReasonCode::UnspecifiedError, "no credentials to verify"),
            },
            other => other,
        };
        match next {
            Next::Read(bytes) => send(&mut transport, &bytes).await?,
            Next::Accepted(mut request) => match objection(worker, &request, ticket) {
                None => {
                    let denied_publish = ticket.listener.access.load().denied_publish;
                    request.closes_when_denied = denied_publish == DeniedPublish::Disconnect;
                    transport.lift_read_limit();
                    return Ok((request, transport, buffer));
                }
                Some(refusal) => {
                    let size_max = request.maximum_packet_size_bytes;
                    let detail = request.request_problem_information.then_some(refusal.detail);
                    let bytes = refusal_bytes(request.version, refusal.reason_code, detail, size_max);
                    return Err(refuse(transport, &bytes, refusal).await);
                }
            },
            Next::Refused(bytes, refusal) => return Err(refuse(transport, &bytes, refusal).await),
            // It has been answered.
            Next::Verify => {}
        }
    }
}

/// What speaks against a client whose credentials are good.
fn objection(worker: &Worker, request: &ConnectRequest, ticket: &Ticket) -> Option<Refusal> {
    let access = ticket.listener.access.load();
    let user_name = request.identity.user_name.as_deref();
    let is_its_own = access.client_identifiers.as_ref().is_none_or(|pattern| {
        request.is_assigned || pattern.allows(user_name, request.client_identifier.as_str())
    });
    if !is_its_own {
        let (reason_code, detail) =
            (ReasonCode::ClientIdentifierNotValid, "this client identifier is not one of the user's");
        return Some(Refusal { reason_code, detail });
    }
    let detail = "the Will may not be published";
    let may_leave_will = worker.shard.borrow().may_leave_will(request);
    (!may_leave_will).then_some(Refusal { reason_code: ReasonCode::NotAuthorized, detail })
}

/// Speaks what the listener speaks below MQTT.
async fn open(socket: Socket, ticket: &Ticket) -> io::Result<Transport> {
    let listener = &ticket.listener;
    let is_websocket = matches!(listener.url, ListenerUrl::Ws(_) | ListenerUrl::Wss(_));
    let read_limit_bytes = ticket.gate.read_limit_bytes();
    let frame_bytes_max = listener.packet_size_max as usize + ENVELOPE_BYTES_MAX;
    let Some(tls) = &listener.tls else {
        return Ok(if is_websocket {
            Transport::WebSocket(Box::new(
                WebSocket::accept(socket, read_limit_bytes, frame_bytes_max).await?,
            ))
        } else {
            Transport::Plain(socket)
        });
    };
    let stream = tls.accept(socket).await?;
    Ok(if is_websocket {
        Transport::SecureWebSocket(Box::new(
            WebSocket::accept(stream, read_limit_bytes, frame_bytes_max).await?,
        ))
    } else {
        Transport::Tls(Box::new(stream))
    })
}

async fn read_more(transport: &mut Transport, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 1024];
    match poll_fn(|context| transport.poll_read(context, &mut chunk)).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before CONNECT")),
        count => {
            // Nobody is known yet: no byte more than has come.
            buffer.reserve_exact(count);
            buffer.extend_from_slice(&chunk[..count]);
            chunk[..count].zeroize();
            Ok(())
        }
    }
}

async fn send(transport: &mut Transport, bytes: &[u8]) -> io::Result<()> {
    let mut outbox = Outbox::default();
    outbox.push(bytes);
    poll_fn(|context| transport.poll_write(context, &mut outbox)).await
}

/// Sends the CONNACK that refuses, and closes.
// spec(v5): [MQTT-3.2.2-7]
// spec(v3.1.1): [MQTT-3.2.2-5]
async fn refuse(mut transport: Transport, bytes: &[u8], refusal: Refusal) -> Failure {
    let goodbye = async {
        send(&mut transport, bytes).await?;
        poll_fn(|context| transport.poll_shutdown(context)).await?;
        // Unread bytes would make the kernel reset the connection, and the client would lose the CONNACK.
        let mut buffer = Vec::new();
        while buffer.len() < ENVELOPE_BYTES_MAX && read_more(&mut transport, &mut buffer).await.is_ok() {}
        io::Result::Ok(())
    };
    // Whether the client listened makes no difference.
    drop(timeout(REFUSAL_DEADLINE, goodbye).await);
    Failure::Refused(refusal)
}

/// 128 bits for an assigned client identifier.
fn random() -> u128 {
    let mut bytes = [0; 16];
    // Without the system's randomness nothing here is safe: better to end than to guess.
    getrandom::fill(&mut bytes).expect("the system has randomness");
    u128::from_ne_bytes(bytes)
}
