//! A socket that can move between threads, and that trusts nobody before CONNECT.
//!
//! tokio ties a socket to the reactor of the thread that made it. A connection is accepted anywhere but
//! belongs to its Session's worker, so a [`Socket`] can be detached (back to a plain descriptor) and attached
//! on the other side.
//!
//! Until [`Socket::lift_read_limit`], only so many bytes can be read, whatever lies above: a stranger cannot
//! make TLS or WebSocket buffers grow.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Where a client connects from: 24 bytes for each connection, where a [`SocketAddr`] takes 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over IPv4.
    V4(SocketAddrV4),
    /// Over IPv6.
    V6 {
        /// The address.
        address: Ipv6Addr,
        /// Through which network, if the address is a link's own.
        scope: u32,
        /// The port.
        port: u16,
    },
    /// Over a Unix socket.
    Local,
}

impl Peer {
    /// The address without its port; none over a Unix socket.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::V4(address) => Some((*address.ip()).into()),
            Self::V6 { address, .. } => Some(address.into()),
            Self::Local => None,
        }
    }
}

/// The address of a socket; an IPv4 address that came mapped into IPv6 is an IPv4 address.
impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Self::V4(address),
            SocketAddr::V6(address) => match address.ip().to_ipv4_mapped() {
                Some(mapped) => Self::V4(SocketAddrV4::new(mapped, address.port())),
                None => Self::V6 { address: *address.ip(), scope: address.scope_id(), port: address.port() },
            },
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6 { address, scope, port } => SocketAddrV6::new(*address, *port, 0, *scope).fmt(f),
            Self::Local => f.write_str("unix"),
        }
    }
}

/// TCP asks after so long a silence whether the other end is still there: a client without Keep Alive whose
/// network has vanished would stay for ever.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(600);

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    DetachedTcp(std::net::TcpStream),
    DetachedUnix(std::os::unix::net::UnixStream),
    /// Between two of the others.
    Gone,
}

/// See the top of the file.
pub struct Socket {
    stream: Stream,
    read_limit_bytes: usize,
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket is not on this thread")
}

impl Socket {
    /// A TCP connection, not on any thread yet, from which at most so many bytes are read at first.
    pub fn tcp(stream: std::net::TcpStream, read_limit_bytes: usize) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(Self { stream: Stream::DetachedTcp(stream), read_limit_bytes })
    }

    /// A Unix socket connection, not on any thread yet.
    pub fn unix(stream: std::os::unix::net::UnixStream, read_limit_bytes: usize) -> Self {
        Self { stream: Stream::DetachedUnix(stream), read_limit_bytes }
    }

    /// Takes it off this thread.
    pub fn detach(&mut self) -> io::Result<()> {
        self.stream = match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Tcp(stream) => Stream::DetachedTcp(stream.into_std()?),
            Stream::Unix(stream) => Stream::DetachedUnix(stream.into_std()?),
            other => other,
        };
        Ok(())
    }

    /// Puts it on this thread.
    pub fn attach(&mut self) -> io::Result<()> {
        self.stream = match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::DetachedTcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Stream::DetachedUnix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
            other => other,
        };
        Ok(())
    }

    /// From now on as much is read as comes.
    pub fn lift_read_limit(&mut self) {
        self.read_limit_bytes = usize::MAX;
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            _ => Poll::Ready(Err(gone())),
        })?;
        if this.read_limit_bytes != usize::MAX {
            let read = buffer.filled().len() - before;
            this.read_limit_bytes = this.read_limit_bytes.checked_sub(read).ok_or_else(|| {
                io::Error::new(io::ErrorKind::QuotaExceeded, "too many bytes before CONNECT was accepted")
            })?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            _ => Poll::Ready(Err(gone())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            _ => Poll::Ready(Err(gone())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            _ => Poll::Ready(Err(gone())),
        }
    }
}
