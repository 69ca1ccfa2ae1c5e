//! From an accepted socket to an admitted client: TLS, WebSocket, CONNECT, credentials, within a deadline and
//! a few bytes.
//!
//! Nobody is known here yet, so everything is bounded: how many connections are in this state, how long each
//! may take, and how many bytes it may send. Passwords are verified off the worker, a few at a time, because
//! that is slow on purpose.

use super::allowance::{Allowance, Rates};
use super::doorway::Doorway;
use super::login::Login;
use super::refusal::RefusalReason;
use super::ticket::Ticket;
use super::{Client, RefusedConnection, Worker, login};
use crate::auth::Access;
use crate::config::{DeniedPublish, Listener, ListenerUrl};
use crate::tls::TlsEndpoint;
use crate::trace::Tracers;
use crate::transport::{Peer, Socket, Transport, WebSocket, read_proxy_header};
use arc_swap::ArcSwap;
use dunlin_codec::{ReasonCode, Split, split};
use dunlin_core::authenticate::{Mechanism, Mechanisms};
use dunlin_core::connection::Outbox;
use dunlin_core::handshake::{ConnectRequest, Handshake, Next, Refusal, refusal_bytes};
use dunlin_core::identity::ClientIdentifier;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use zeroize::Zeroize;

/// What TLS and WebSocket may add to the bytes of a CONNECT packet.
pub(super) const ENVELOPE_BYTES_MAX: usize = 16 * 1024;

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
    packet_size_max: AtomicU32,
    pub(super) doorway: ArcSwap<Doorway>,
    /// What its clients may publish together.
    pub(super) publishing: Arc<Allowance>,
    connections_max: AtomicUsize,
    pub(super) connections: AtomicUsize,
    /// Connections that came so far, and those of them that were refused.
    pub(super) accepted: AtomicU64,
    refused: AtomicU64,
    is_closed: AtomicBool,
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
        access.begin();
        Self {
            url: listener.url.clone(),
            access: ArcSwap::from_pointee(access),
            tls: tls.map(Arc::new),
            packet_size_max: AtomicU32::new(packet_size_max(listener)),
            doorway: ArcSwap::from_pointee(Doorway::new(listener)),
            publishing: Allowance::new(&Rates::of_listener(listener)),
            connections_max: AtomicUsize::new(connections_max(listener)),
            connections: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Connections at present.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Connections that came so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Those of them that were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// One more was refused.
    pub(crate) fn count_refusal(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Applies what a reload can change, to the connections that come from now on.
    pub fn reload(&self, listener: &Listener, access: Access) {
        access.begin();
        self.access.store(Arc::new(access));
        self.doorway.store(Arc::new(Doorway::new(listener)));
        self.publishing.rates.set_listener(listener);
        self.packet_size_max.store(packet_size_max(listener), Ordering::Relaxed);
        self.connections_max.store(connections_max(listener), Ordering::Relaxed);
    }

    /// The listener has left the configuration: whoever is on its way to become a client is refused.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Whether it has left the configuration.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn packet_size_max(&self) -> u32 {
        self.packet_size_max.load(Ordering::Relaxed)
    }

    pub(super) fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }
}

fn packet_size_max(listener: &Listener) -> u32 {
    u32::try_from(listener.max_packet_size.0).unwrap_or(u32::MAX)
}

fn connections_max(listener: &Listener) -> usize {
    listener.max_connections.map_or(usize::MAX, |count| count as usize)
}

/// An accepted socket.
pub struct Arrival {
    /// The socket, on no thread yet.
    pub socket: Socket,
    /// Counts it.
    pub ticket: Ticket,
}

/// Why there is no client.
enum Failure {
    /// The transport ended or failed.
    Transport(io::Error),
    /// The proxy does not say for whom it connects.
    NoHeader(io::Error),
    /// The client is refused, and told so with these bytes.
    Refused {
        reason: RefusalReason,
        refusal: Refusal,
        /// The client, if its CONNECT was good enough to name it.
        client: Option<ClientIdentifier>,
        transport: Box<Transport>,
        answer: Vec<u8>,
    },
    /// The connection is closed without a word.
    Closed(RefusalReason),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Transport(error)
    }
}

impl From<RefusalReason> for Failure {
    fn from(reason: RefusalReason) -> Self {
        Self::Closed(reason)
    }
}

impl Arrival {
    /// Admits the client on a worker.
    pub(crate) fn admit(self, worker: Rc<Worker>) {
        tokio::task::spawn_local(async move {
            let Self { socket, mut ticket } = self;
            let connect_timeout = ticket.gate.connect_timeout();
            match timeout(connect_timeout, admit(&worker, socket, &mut ticket)).await {
                Ok(Ok((request, transport, rest))) => {
                    ticket.admitted();
                    worker.settle(Box::new(Client { request, transport, pending: rest, arrival: ticket }));
                }
                Ok(Err(failure)) => {
                    // First, because a client may take its time to listen to the answer.
                    failure.report(&worker, &ticket);
                    if let Failure::Refused { transport, answer, .. } = failure {
                        say_no(*transport, &answer).await;
                    }
                }
                Err(_) => Failure::Closed(RefusalReason::Timeout).report(&worker, &ticket),
            }
        });
    }
}

impl Failure {
    fn report(&self, worker: &Worker, ticket: &Ticket) {
        let (gate, peer) = (&ticket.gate, ticket.peer);
        let refused = |reason, told: Option<(ReasonCode, Option<&ClientIdentifier>)>, detail: &str| {
            gate.refused(peer, reason, told, detail);
            Tracers::refused(worker, peer, reason, told, detail);
        };
        match self {
            Self::Closed(reason) => refused(*reason, None, reason.sentence()),
            Self::Refused { reason, refusal, client, .. } => {
                refused(*reason, Some((refusal.reason_code, client.as_ref())), refusal.detail);
                if let Some(client) = client {
                    let refused = RefusedConnection { at: worker.now(), peer, refusal: *refusal };
                    worker.refusals.borrow_mut().note(client, refused);
                }
            }
            // It is not held against the address, which is that of the proxy.
            Self::NoHeader(error) => refused(RefusalReason::Proxy, None, &error.to_string()),
            Self::Transport(error) => match breach(error) {
                Some(reason) => refused(reason, None, &error.to_string()),
                None => {
                    return tracing::info!(address = %peer, %error, "no client came of a connection");
                }
            },
        }
        ticket.listener.count_refusal();
    }
}

/// What an error of the transport is to be called if the client is to blame for it. Connections simply end, too, and
/// a client that does not trust our certificate says so in TLS.
fn breach(error: &io::Error) -> Option<RefusalReason> {
    use rustls::Error as Tls;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
    match tls {
        Some(Tls::AlertReceived(_)) => None,
        Some(Tls::NoCertificatesPresented | Tls::InvalidCertificate(_)) => Some(RefusalReason::Login),
        Some(_) => Some(RefusalReason::Protocol),
        None => matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::QuotaExceeded)
            .then_some(RefusalReason::Protocol),
    }
}

/// What a refusal of the handshake is to be called.
fn reason_of(reason_code: ReasonCode) -> RefusalReason {
    match reason_code {
        ReasonCode::BadUserNameOrPassword => RefusalReason::Login,
        ReasonCode::NotAuthorized => RefusalReason::NotAuthorized,
        ReasonCode::ConnectionRateExceeded => RefusalReason::LoginRate,
        ReasonCode::ServerUnavailable | ReasonCode::ServerBusy => RefusalReason::Unavailable,
        ReasonCode::MalformedPacket | ReasonCode::ProtocolError | ReasonCode::PacketTooLarge => {
            RefusalReason::Protocol
        }
        _ => RefusalReason::Unacceptable,
    }
}

async fn admit(
    worker: &Worker,
    mut socket: Socket,
    ticket: &mut Ticket,
) -> Result<(Box<ConnectRequest>, Transport, Vec<u8>), Failure> {
    socket.attach()?;
    if ticket.is_of_proxy {
        let header = read_proxy_header(&mut socket).await.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Failure::NoHeader(error),
            _ => Failure::Transport(error),
        })?;
        if let Some(address) = header {
            ticket.peer = Peer::from(address);
        }
        ticket.place()?;
    }
    let mut transport = open(socket, ticket).await?;
    let settings = worker.shard.borrow().settings();
    let mechanisms: Arc<dyn Mechanisms> = Arc::clone(&ticket.listener) as _;
    let packet_size_max = ticket.listener.packet_size_max();
    let mut handshake = Handshake::new(packet_size_max);
    let packet_size_max = packet_size_max.min(ticket.gate.connect_packet_size_max() as u32);
    let mut buffer = Vec::new();
    loop {
        let next = match split(&buffer, packet_size_max) {
            Ok(Split::Incomplete { .. }) => {
                read_more(&mut transport, &mut buffer).await?;
                continue;
            }
            Ok(Split::Packet { frame, length }) => {
                // Whoever proves with this frame that it knows a password may have guessed it.
                let claimed_user = handshake.claimed_user().map(Box::<str>::from);
                let turn = match &claimed_user {
                    Some(user_name) => login::wait_for_turn(ticket, user_name).await,
                    None => Ok(()),
                };
                let next = match turn {
                    Ok(()) => handshake.handle_frame(frame, &settings, &mechanisms, random()),
                    Err(Refusal { reason_code, detail }) => handshake.refuse(reason_code, detail),
                };
                if let Some(user_name) = claimed_user.filter(|_| turn.is_ok()) {
                    ticket.note_login(&user_name, matches!(next, Next::Accepted(_)));
                }
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
                Ok(()) => {
                    let denied_publish = ticket.listener.access.load().denied_publish;
                    request.closes_when_denied = denied_publish == DeniedPublish::Disconnect;
                    transport.lift_read_limit();
                    return Ok((request, transport, buffer));
                }
                Err((reason, refusal)) => {
                    let size_max = request.maximum_packet_size_bytes;
                    let detail = request.request_problem_information.then_some(refusal.detail);
                    let answer = refusal_bytes(request.version, refusal.reason_code, detail, size_max);
                    let (client, transport) = (Some(request.client_identifier), Box::new(transport));
                    return Err(Failure::Refused { reason, refusal, client, transport, answer });
                }
            },
            Next::Refused(answer, refusal) => {
                let reason = reason_of(refusal.reason_code);
                let client = handshake.request().map(|request| request.client_identifier.clone());
                return Err(Failure::Refused {
                    reason,
                    refusal,
                    client,
                    transport: Box::new(transport),
                    answer,
                });
            }
            // It has been answered.
            Next::Verify => {}
        }
    }
}

/// What speaks against a client whose credentials are good.
fn objection(
    worker: &Worker,
    request: &ConnectRequest,
    ticket: &mut Ticket,
) -> Result<(), (RefusalReason, Refusal)> {
    if ticket.listener.is_closed() {
        let (reason, reason_code) = (RefusalReason::ListenerClosed, ReasonCode::ServerUnavailable);
        return Err((reason, Refusal { reason_code, detail: reason.sentence() }));
    }
    let access = ticket.listener.access.load_full();
    let user_name = request.identity.user_name.as_deref();
    let is_its_own = access.client_identifiers.as_ref().is_none_or(|pattern| {
        request.is_assigned || pattern.allows(user_name, request.client_identifier.as_str())
    });
    if !is_its_own {
        let (reason_code, detail) =
            (ReasonCode::ClientIdentifierNotValid, "this client identifier is not one of the user's");
        return Err((RefusalReason::NotAuthorized, Refusal { reason_code, detail }));
    }
    if !worker.shard.borrow().may_leave_will(request) {
        let (reason_code, detail) = (ReasonCode::NotAuthorized, "the Will may not be published");
        return Err((RefusalReason::NotAuthorized, Refusal { reason_code, detail }));
    }
    ticket.claim(user_name, &request.client_identifier, !request.is_assigned).map_err(|reason| {
        let reason_code = match reason {
            RefusalReason::Banned => ReasonCode::Banned,
            RefusalReason::UserConnectRate | RefusalReason::ClientConnectRate => {
                ReasonCode::ConnectionRateExceeded
            }
            _ => ReasonCode::QuotaExceeded,
        };
        (reason, Refusal { reason_code, detail: reason.sentence() })
    })
}

/// Speaks what the listener speaks below MQTT.
async fn open(socket: Socket, ticket: &Ticket) -> io::Result<Transport> {
    let listener = &ticket.listener;
    let is_websocket = matches!(listener.url, ListenerUrl::Ws(_) | ListenerUrl::Wss(_));
    let read_limit_bytes = ticket.gate.read_limit_bytes();
    let frame_bytes_max = listener.packet_size_max() as usize + ENVELOPE_BYTES_MAX;
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
async fn say_no(mut transport: Transport, bytes: &[u8]) {
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
}

/// 128 bits for an assigned client identifier.
fn random() -> u128 {
    let mut bytes = [0; 16];
    // Without the system's randomness nothing here is safe: better to end than to guess.
    getrandom::fill(&mut bytes).expect("the system has randomness");
    u128::from_ne_bytes(bytes)
}
