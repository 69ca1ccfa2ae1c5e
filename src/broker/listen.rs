//! Opening listeners, and accepting what comes.

use crate::config::ListenerUrl;
use crate::tls::TlsEndpoint;
use crate::transport::{Peer, Socket};
use crate::worker::{Arrival, Gate, ListenerContext, Mail, Mailboxes};
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

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

/// Opens the listener of a URL; the error is one sentence.
pub(super) fn bind(url: &ListenerUrl) -> Result<OpenSocket, String> {
    let explain = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("cannot listen on {url}: another program uses this address"),
        io::ErrorKind::PermissionDenied => format!("cannot listen on {url}: permission denied"),
        _ => format!("cannot listen on {url}: {error}"),
    };
    let (listening, address) = match url {
        ListenerUrl::Unix(path) => (Listening::Unix(bind_unix(path).map_err(explain)?), None),
        _ => {
            let Some(host_port) = url.host_port() else {
                return Err(format!("cannot listen on {url}: it has no address"));
            };
            let listener = host_port.resolve().and_then(bind_tcp).map_err(explain)?;
            let address = listener.local_addr().map_err(explain)?;
            (Listening::Tcp(listener), Some(address))
        }
    };
    Ok(OpenSocket { listening, bound: BoundListener { url: url.clone(), address } })
}

fn bind_tcp(address: SocketAddr) -> io::Result<StdTcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
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

/// Removes the files of Unix sockets.
pub(super) fn remove_sockets(listeners: &[BoundListener]) {
    for listener in listeners {
        if let ListenerUrl::Unix(path) = &listener.url {
            // It may be gone already.
            drop(std::fs::remove_file(path));
        }
    }
}

/// All listeners, ready to accept.
pub(super) struct Doors {
    pub sockets: Vec<(OpenSocket, Arc<ListenerContext>)>,
    pub gate: Arc<Gate>,
    pub mailboxes: Mailboxes,
}

impl Doors {
    /// The listeners with TLS, by their URLs.
    pub fn endpoints(&self) -> Vec<(String, Arc<TlsEndpoint>)> {
        let contexts = self.sockets.iter().map(|(_, context)| context);
        contexts
            .filter_map(|context| Some((context.url.to_string(), Arc::clone(context.tls.as_ref()?))))
            .collect()
    }

    /// Accepts on the runtime of this thread, and gives connections to the workers in turn.
    pub fn open(self) -> Result<Vec<JoinHandle<()>>, String> {
        let mut tasks = Vec::new();
        for (socket, context) in self.sockets {
            let explain = |error| format!("cannot accept on {}: {error}", context.url);
            let door = Door {
                context: Arc::clone(&context),
                gate: Arc::clone(&self.gate),
                mailboxes: Arc::clone(&self.mailboxes),
                next: 0,
            };
            tasks.push(match socket.listening {
                Listening::Tcp(listener) => {
                    let listener = TcpListener::from_std(listener).map_err(explain)?;
                    tokio::spawn(door.accept_tcp(listener))
                }
                Listening::Unix(listener) => {
                    let listener = UnixListener::from_std(listener).map_err(explain)?;
                    tokio::spawn(door.accept_unix(listener))
                }
            });
        }
        Ok(tasks)
    }
}

struct Door {
    context: Arc<ListenerContext>,
    gate: Arc<Gate>,
    mailboxes: Mailboxes,
    next: usize,
}

impl Door {
    async fn accept_tcp(mut self, listener: TcpListener) {
        let read_limit = self.gate.read_limit_bytes();
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let socket = stream.into_std().and_then(|stream| Socket::tcp(stream, read_limit));
                    self.hand_over(socket, address.into());
                }
                Err(error) => self.pause(&error).await,
            }
        }
    }

    async fn accept_unix(mut self, listener: UnixListener) {
        let read_limit = self.gate.read_limit_bytes();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let socket = stream.into_std().map(|stream| Socket::unix(stream, read_limit));
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
