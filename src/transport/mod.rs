//! How bytes reach a client: TCP, Unix socket, TLS, WebSocket, and WebSocket over TLS.
//!
//! A [`Transport`] is read and written by polling, because the worker's driver writes to many of them in one
//! go and a connection's own task reads. It can move to another thread: [`Transport::detach`] takes the
//! socket off this thread's reactor, and [`Transport::attach`] puts it on another's; TLS and WebSocket state
//! travel with it.

mod socket;
mod proxy_header;
mod frame_gate;
mod websocket;

pub use proxy_header::{parse_v1 as parse_proxy_v1, parse_v2 as parse_proxy_v2, read_proxy_header};
pub use socket::{Peer, Socket};
pub use websocket::WebSocket;

use crate::auth::ClientCertificate;
use dunlin_core::connection::Outbox;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

/// Pieces of an outbox handed to the kernel in one system call.
const SLICES_MAX: usize = 64;

/// One client's stream of bytes: ordered and lossless, both ways.
// spec(v5): [MQTT-4.2-1]
// spec(v3.1.1): [MQTT-7.1.1-1]
pub enum Transport {
    /// TCP or a Unix socket.
    Plain(Socket),
    /// TLS.
    Tls(Box<TlsStream<Socket>>),
    /// WebSocket.
    WebSocket(Box<WebSocket<Socket>>),
    /// WebSocket over TLS.
    SecureWebSocket(Box<WebSocket<TlsStream<Socket>>>),
}

impl Transport {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_mut().0,
            Self::WebSocket(stream) => stream.get_mut(),
            Self::SecureWebSocket(stream) => stream.get_mut().get_mut().0,
        }
    }

    /// The certificate that the client has shown in the TLS handshake.
    pub fn client_certificate(&self) -> Option<ClientCertificate> {
        let session = match self {
            Self::Plain(_) | Self::WebSocket(_) => return None,
            Self::Tls(stream) => stream.get_ref().1,
            Self::SecureWebSocket(stream) => stream.get_ref().get_ref().1,
        };
        session.peer_certificates()?.first().map(|der| ClientCertificate::new(der.clone().into_owned()))
    }

    /// Takes the socket off this thread.
    pub fn detach(&mut self) -> io::Result<()> {
        self.socket().detach()
    }

    /// Puts the socket on this thread.
    pub fn attach(&mut self) -> io::Result<()> {
        self.socket().attach()
    }

    /// The client is authenticated: it may send more than a CONNECT.
    pub fn lift_read_limit(&mut self) {
        match self {
            Self::Plain(_) | Self::Tls(_) => {}
            Self::WebSocket(stream) => stream.lift_read_limit(),
            Self::SecureWebSocket(stream) => stream.lift_read_limit(),
        }
        self.socket().lift_read_limit();
    }

    /// Reads into `buffer`; 0 bytes is the end.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let result = match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, &mut buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            Self::WebSocket(stream) => stream.poll_read(context, &mut buffer),
            Self::SecureWebSocket(stream) => stream.poll_read(context, &mut buffer),
        };
        result.map_ok(|()| buffer.filled().len())
    }

    /// Writes what waits in the outbox; ready when all of it has been given to the network.
    pub fn poll_write(&mut self, context: &mut Context<'_>, outbox: &mut Outbox) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => poll_write_all(socket, context, outbox),
            Self::Tls(stream) => {
                ready!(poll_write_all(&mut **stream, context, outbox))?;
                self.poll_flush(context)
            }
            Self::WebSocket(stream) => stream.poll_write(context, outbox),
            Self::SecureWebSocket(stream) => stream.poll_write(context, outbox),
        }
    }

    /// Ready when nothing is buffered between the outbox and the network.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::WebSocket(stream) => stream.poll_flush(context),
            Self::SecureWebSocket(stream) => stream.poll_flush(context),
        }
    }

    /// Says, in the words of the transport, that nothing more comes.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::WebSocket(stream) => stream.poll_shutdown(context),
            Self::SecureWebSocket(stream) => stream.poll_shutdown(context),
        }
    }
}

/// Writes until the outbox is empty, many pieces at a time.
fn poll_write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    outbox: &mut Outbox,
) -> Poll<io::Result<()>> {
    while !outbox.is_empty() {
        let stream = Pin::new(&mut *stream);
        let pieces = {
            let mut chunks = outbox.chunks();
            (chunks.next(), chunks.next())
        };
        let written = match pieces {
            // Small frames lie in one piece, which costs the system less to take.
            (Some(only), None) => ready!(stream.poll_write(context, only))?,
            _ => {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let mut count = 0;
                for (slice, chunk) in slices.iter_mut().zip(outbox.chunks()) {
                    *slice = IoSlice::new(chunk);
                    count += 1;
                }
                ready!(stream.poll_write_vectored(context, &slices[..count]))?
            }
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        outbox.advance(written);
    }
    Poll::Ready(Ok(()))
}
