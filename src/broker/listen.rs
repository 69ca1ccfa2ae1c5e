//! Opening listeners, and accepting what comes.

use super::inherited::{Inherited, InheritedSockets};
use crate::config::ListenerUrl;
use crate::transport::{Peer, Socket};
use crate::worker::{Arrival, Gate, ListenerContext, Mail, Mailboxes};
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

/// Connections the kernel keeps for us while we are busy: a fleet that reconnects at once.
const BACKLOG: i32 = 4096;

/// The pause after an error of accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundListener {
    /// As configured.
    pub url: ListenerUrl,
    /// Its address, with the port that the system chose; none for a Unix socket.
    pub address: Option<SocketAddr>,
    /// Whether its socket was open before the broker and stays when it ends: socket activation.
    pub is_inherited: bool,
}

impl BoundListener {
    /// Tells the log where clients can connect.
    pub fn announce(&self) {
        let Self { url, address, is_inherited } = self;
        let inherited = is_inherited.then_some(true);
        match address {
            Some(address) => tracing::info!(%url, %address, inherited, "listening"),
            None => tracing::info!(%url, inherited, "listening"),
        }
    }

    /// Removes the file of a Unix socket, unless it is somebody else's.
    pub(super) fn remove_file(&self) {
        if let ListenerUrl::Unix(path) = &self.url
            && !self.is_inherited
        {
            // It may be gone already.
            drop(std::fs::remove_file(path));
        }
    }
}

/// A socket that clients connect to. Clones are the same socket, which is open until the last is dropped.
#[derive(Clone)]
pub(super) struct Entrance {
    accepting: Accepting,
    pub(super) bound: BoundListener,
}

#[derive(Clone)]
enum Accepting {
    Tcp(Arc<TcpListener>),
    Unix(Arc<UnixListener>),
}

enum Listening {
    Tcp(StdTcpListener),
    Unix(StdUnixListener),
}

/// An open listener that nobody accepts from yet.
pub(super) struct OpenSocket {
    listening: Listening,
    pub(super) bound: BoundListener,
}

/// Opens the listeners of these URLs, or takes their sockets from those that are open already. The error is one
/// sentence.
pub(super) fn open<'a>(
    urls: impl Iterator<Item = &'a ListenerUrl>,
    mut inherited: InheritedSockets,
) -> Result<Vec<OpenSocket>, String> {
    let open = |url| inherited.take(url).map_or_else(|| bind(url), |socket| Ok(adopt(url, socket)));
    let sockets = urls.map(open).collect::<Result<_, _>>()?;
    inherited.finish()?;
    Ok(sockets)
}

fn adopt(url: &ListenerUrl, socket: Inherited) -> OpenSocket {
    let (listening, address) = match socket {
        Inherited::Tcp(listener, address) => (Listening::Tcp(listener), Some(address)),
        Inherited::Unix(listener, _) => (Listening::Unix(listener), None),
    };
    OpenSocket { listening, bound: BoundListener { url: url.clone(), address, is_inherited: true } }
}

/// Opens the listener of a URL; the error is one sentence.
fn bind(url: &ListenerUrl) -> Result<OpenSocket, String> {
    let explain = |error| cannot_listen(url, &error);
    let (listening, address) = match url {
        ListenerUrl::Unix(path) => (Listening::Unix(bind_unix(path).map_err(explain)?), None),
        _ => {
            let listener = resolve(url).and_then(|address| bind_tcp(address, false)).map_err(explain)?;
            let address = listener.local_addr().map_err(explain)?;
            (Listening::Tcp(listener), Some(address))
        }
    };
    Ok(OpenSocket { listening, bound: BoundListener { url: url.clone(), address, is_inherited: false } })
}

/// Opens the listener of a URL while those are open that are `leaving`: it may want the address of one of them. Those
/// that stay, or have just been opened, have the addresses that are `taken`. Call it on a runtime.
pub(super) fn bind_beside(
    url: &ListenerUrl,
    leaving: &[Entrance],
    taken: &[SocketAddr],
) -> Result<Entrance, String> {
    let explain = |error| cannot_listen(url, &error);
    let wanted = match url {
        ListenerUrl::Unix(_) => None,
        _ => Some(resolve(url).map_err(explain)?).filter(|wanted| wanted.port() != 0),
    };
    let in_the_way = |entrance: &&Entrance| {
        wanted.zip(entrance.bound.address).is_some_and(|(wanted, address)| overlap(wanted, address))
    };
    let in_the_way: Vec<_> = leaving.iter().filter(in_the_way).collect();
    let Some(wanted) = wanted.filter(|_| !in_the_way.is_empty()) else { return bind(url)?.register() };
    if taken.iter().any(|taken| overlap(wanted, *taken)) {
        return Err(explain(io::ErrorKind::AddrInUse.into()));
    }
    let bound = BoundListener { url: url.clone(), address: Some(wanted), is_inherited: false };
    if let Some(same) = in_the_way.iter().find(|entrance| entrance.bound.address == Some(wanted)) {
        let bound = BoundListener { is_inherited: same.bound.is_inherited, ..bound };
        return Ok(Entrance { accepting: same.accepting.clone(), bound });
    }
    // `127.0.0.1:1883` has become `0.0.0.0:1883`, say. The system lets both be open if both allow it. Other programs of
    // this user could then open the port, too; those of other users cannot.
    for entrance in in_the_way {
        entrance.share_port().map_err(explain)?;
    }
    let listener = bind_tcp(wanted, true).map_err(explain)?;
    OpenSocket { listening: Listening::Tcp(listener), bound }.register()
}

/// Whether two sockets with these addresses are in each other's way.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    let (one_ip, other_ip) = (one.ip(), other.ip());
    one.port() == other.port() && (one_ip == other_ip || covers(one_ip, other_ip) || covers(other_ip, one_ip))
}

fn cannot_listen(url: &ListenerUrl, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("cannot listen on {url}: another program uses this address"),
        io::ErrorKind::PermissionDenied => format!("cannot listen on {url}: permission denied"),
        _ => format!("cannot listen on {url}: {error}"),
    }
}

fn resolve(url: &ListenerUrl) -> io::Result<SocketAddr> {
    url.host_port().ok_or(io::ErrorKind::AddrNotAvailable)?.resolve()
}

impl OpenSocket {
    /// Makes it one to accept from, on the runtime of this thread.
    pub fn register(self) -> Result<Entrance, String> {
        let Self { listening, bound } = self;
        let accepting = match listening {
            Listening::Tcp(listener) => TcpListener::from_std(listener).map(Arc::new).map(Accepting::Tcp),
            Listening::Unix(listener) => UnixListener::from_std(listener).map(Arc::new).map(Accepting::Unix),
        };
        match accepting {
            Ok(accepting) => Ok(Entrance { accepting, bound }),
            Err(error) => Err(format!("cannot accept on {}: {error}", bound.url)),
        }
    }
}

impl Entrance {
    fn share_port(&self) -> io::Result<()> {
        match &self.accepting {
            Accepting::Tcp(listener) => SockRef::from(&**listener).set_reuse_port(true),
            Accepting::Unix(_) => Ok(()),
        }
    }
}

fn bind_tcp(address: SocketAddr, shares_port: bool) -> io::Result<StdTcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shares_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket file that nobody listens on is left over from a crash, and replaced.
fn bind_unix(path: &Path) -> io::Result<StdUnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        match UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
        std::fs::remove_file(path)?;
    }
    let listener = StdUnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Accepts connections of one listener, and gives them to the workers in turn.
pub(super) struct Door {
    context: Arc<ListenerContext>,
    gate: Arc<Gate>,
    mailboxes: Mailboxes,
    next: usize,
}

impl Door {
    pub fn new(context: &Arc<ListenerContext>, gate: &Arc<Gate>, mailboxes: &Mailboxes) -> Self {
        let (context, gate, mailboxes) = (Arc::clone(context), Arc::clone(gate), Arc::clone(mailboxes));
        Self { context, gate, mailboxes, next: 0 }
    }

    /// Accepts for ever.
    pub async fn accept(self, entrance: Entrance) {
        match entrance.accepting {
            Accepting::Tcp(listener) => self.accept_tcp(&listener).await,
            Accepting::Unix(listener) => self.accept_unix(&listener).await,
        }
    }

    async fn accept_tcp(mut self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let limit = self.gate.read_limit_bytes();
                    let socket = stream.into_std().and_then(|stream| Socket::tcp(stream, limit));
                    self.hand_over(socket, address.into());
                }
                Err(error) => self.pause(&error).await,
            }
        }
    }

    async fn accept_unix(mut self, listener: &UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let limit = self.gate.read_limit_bytes();
                    let socket = stream.into_std().map(|stream| Socket::unix(stream, limit));
                    self.hand_over(socket, Peer::Local);
                }
                Err(error) => self.pause(&error).await,
            }
        }
    }

    /// Gives a connection to the next worker.
    fn hand_over(&mut self, socket: io::Result<Socket>, peer: Peer) {
        match (socket, self.gate.enter(&self.context, peer)) {
            (Ok(socket), Ok(ticket)) => {
                self.next = (self.next + 1) % self.mailboxes.len();
                // A closed mailbox means that the broker is stopping.
                drop(self.mailboxes[self.next].send(Mail::Arrival(Arrival { socket, ticket })));
            }
            (Err(error), _) => {
                tracing::debug!(address = %peer, %error, "a connection ended while it was accepted")
            }
            (_, Err(reason)) => {
                self.context.count_refusal();
                self.gate.refused(peer, reason, None, reason.sentence());
            }
        }
    }

    async fn pause(&self, error: &io::Error) {
        // These are about one connection, which is gone; the next one may be fine.
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        tracing::warn!(listener = %self.context.url, %error, "a connection could not be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
