//! What the bytes of MQTT go through: TCP alone, or TLS, WebSocket or both above it.
//!
//! ```text
//! Plain        MQTT ------------------------> TCP
//! Tls          MQTT -----------------> TLS -> TCP
//! WebSocket    MQTT -> WebSocket [-> TLS] --> TCP
//! ```
//!
//! A stream blocks or does not, as its socket does. [`Stream::read`] and [`Stream::write`] are for both. The poll
//! is edge-triggered, so its connections need to know when a socket is empty or full, and what lies above TCP has
//! buffers of its own: [`Stream::read_all_there`] goes on until nothing is left in them, and
//! [`Stream::is_full`] says after a write whether bytes wait for the socket. TCP alone pays for none of that: one
//! system call for a read or a write, and a look at which of the three it is.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use rustls::{ClientConnection, HandshakeKind, ServerConfig, ServerConnection};
use tungstenite::http::Uri;

use crate::Error;
use crate::tls::TlsClient;

mod tls;
mod websocket;

use tls::TlsStream;
use websocket::{Below, WebSocketStream};

/// What clients put above TCP.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    pub(crate) tls: Option<TlsClient>,
    /// Where the WebSocket is.
    pub(crate) websocket: Option<Uri>,
}

/// A connection's way to its peer.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
    WebSocket(Box<WebSocketStream>),
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadAll {
    /// Bytes; 0 when the peer has closed.
    pub(crate) count: usize,
    /// Whether the socket has no more for now.
    pub(crate) emptied: bool,
}

impl Stream {
    /// The client's side of a connection of TCP, which may still be under way. What is above it begins with the
    /// first write.
    pub(crate) fn of_client(socket: TcpStream, layers: &Layers) -> Result<Self, Error> {
        let tls = match &layers.tls {
            Some(TlsClient { config, server_name }) => {
                let session = ClientConnection::new(Arc::clone(config), server_name.clone())
                    .map_err(|error| Error::Usage(format!("TLS cannot be begun: {error}")))?;
                Some(session)
            }
            None => None,
        };
        Ok(match (tls, &layers.websocket) {
            (None, None) => Self::Plain(socket),
            (Some(session), None) => Self::Tls(Box::new(TlsStream::new(session.into(), Arc::new(socket)))),
            (tls, Some(uri)) => {
                let socket = Arc::new(socket);
                let below = match tls {
                    Some(session) => Below::Tls(Box::new(TlsStream::new(session.into(), socket))),
                    None => Below::Tcp(socket),
                };
                Self::WebSocket(Box::new(WebSocketStream::new(below, uri)?))
            }
        })
    }

    /// The server's side, with TLS if it is configured.
    pub(crate) fn of_server(socket: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Result<Self, Error> {
        let Some(config) = tls else { return Ok(Self::Plain(socket)) };
        let session = ServerConnection::new(Arc::clone(config))
            .map_err(|error| Error::Usage(format!("TLS cannot be begun: {error}")))?;
        Ok(Self::Tls(Box::new(TlsStream::new(session.into(), Arc::new(socket)))))
    }

    /// The connection of TCP below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.socket(),
            Self::WebSocket(websocket) => websocket.socket(),
        }
    }

    /// Has a poll announce its edges.
    pub(crate) fn register(&self, registry: &mio::Registry, token: mio::Token) -> io::Result<()> {
        let interests = mio::Interest::READABLE | mio::Interest::WRITABLE;
        registry.register(&mut mio::unix::SourceFd(&self.socket().as_raw_fd()), token, interests)
    }

    /// Whether TLS has resumed an earlier session, which is known after the handshake.
    pub(crate) fn is_resumed(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.handshake_kind() == Some(HandshakeKind::Resumed),
            Self::WebSocket(websocket) => websocket.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// Reads what comes first, as [`Read::read`] does; 0 when the peer has closed.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(out),
            Self::Tls(tls) => tls.read(out),
            Self::WebSocket(websocket) => websocket.read(out),
        }
    }

    /// Reads all there is, as far as `out` goes, from a socket that does not block. `out` has
    /// [`READ_BYTES`](crate::connection::READ_BYTES) or more.
    #[inline]
    pub(crate) fn read_all_there(&mut self, out: &mut [u8]) -> io::Result<ReadAll> {
        match self {
            Self::Plain(socket) => {
                socket.read(out).map(|count| ReadAll { count, emptied: count < out.len() })
            }
            Self::Tls(tls) => tls.read_all_there(out),
            Self::WebSocket(websocket) => websocket.read_all_there(out),
        }
    }

    /// Takes what is above TCP has read already, of which no edge will tell, from a socket that does not block.
    pub(crate) fn take_buffered(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut chunk = [0; 4096];
        while !matches!(self, Self::Plain(_)) {
            match self.read(&mut chunk) {
                Err(error) if would_block(&error) => break,
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => bytes.extend_from_slice(&chunk[..count]),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes bytes to be sent; the result says how many. What is above TCP may keep some of them when the socket
    /// is full; another write, even of nothing, sends those first.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
            Self::WebSocket(websocket) => websocket.write(bytes),
        }
    }

    /// Whether bytes that were taken wait for the socket.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.has_unsent(),
            Self::WebSocket(websocket) => websocket.has_unsent(),
        }
    }

    /// Whether the socket takes no more for now, after a write that has left so many bytes.
    #[inline]
    pub(crate) fn is_full(&self, left: usize) -> bool {
        match self {
            Self::Plain(_) => left > 0,
            Self::Tls(_) | Self::WebSocket(_) => self.has_unsent(),
        }
    }
}

/// Whether nothing went wrong but that the socket has, or takes, no more for now.
fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
