//! The operations port as a listener: connections with a bound on their number and on their life, over TLS where
//! `[http.tls]` says so.
//!
//! The port must not become a way to harm the broker, and it must answer when probes ask, or a supervisor would end a
//! healthy broker. So there are at most [`CONNECTIONS_MAX`] connections, and each ends after [`CONNECTION_LIFETIME`],
//! its TLS handshake included. What takes longer (a backup, a stream of events) is allowed to by [`Lifetime::lift`],
//! when it is known who asks; of such there are at most [`LONG_MAX`], and they do not count among the others.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::http::StatusCode;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_rustls::server::TlsStream;

use super::problem::Problem;
use crate::tls::TlsEndpoint;
use crate::x509::Certificate;

/// Connections to the operations port at once; further ones wait.
const CONNECTIONS_MAX: usize = 64;

/// The time from accepting a connection to its end.
pub(super) const CONNECTION_LIFETIME: Duration = Duration::from_secs(10);

/// Connections at once whose life is not bounded.
const LONG_MAX: usize = 32;

/// See the top of the file.
pub(super) struct Port {
    listener: TcpListener,
    tls: Option<Arc<TlsEndpoint>>,
    slots: Arc<Semaphore>,
    long: Arc<Semaphore>,
    handshakes: JoinSet<Option<(Connection, SocketAddr)>>,
}

/// A connection that ends at its deadline and then gives its slot back.
pub(super) struct Connection {
    stream: Stream,
    deadline: Pin<Box<Sleep>>,
    remote: Remote,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub struct Remote {
    /// Its address.
    pub address: SocketAddr,
    /// The subject of the certificate that it has shown, as RFC 4514 writes it; it is signed by `http.tls.client_ca`.
    pub certificate: Option<Arc<str>>,
    /// How long it may stay.
    pub lifetime: Arc<Lifetime>,
}

/// How long a connection may stay.
pub struct Lifetime {
    is_lifted: AtomicBool,
    slot: Mutex<Option<OwnedSemaphorePermit>>,
    long: Arc<Semaphore>,
}

impl Lifetime {
    /// Lets the connection live for as long as both ends want.
    ///
    /// # Errors
    /// When there are too many such connections.
    pub fn lift(&self) -> Result<(), Problem> {
        if self.is_lifted.load(Ordering::Acquire) {
            return Ok(());
        }
        let Ok(long) = Arc::clone(&self.long).try_acquire_owned() else {
            let detail = format!(
                "there are {LONG_MAX} long requests under way (streams, backups, passwords); try again later"
            );
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
        };
        // What was there before goes back to the others.
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(long);
        self.is_lifted.store(true, Ordering::Release);
        Ok(())
    }
}

impl Port {
    pub fn new(listener: TcpListener, tls: Option<Arc<TlsEndpoint>>) -> Self {
        Self {
            listener,
            tls,
            slots: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            long: Arc::new(Semaphore::new(LONG_MAX)),
            handshakes: JoinSet::new(),
        }
    }

    fn begin(&self, slot: Option<OwnedSemaphorePermit>, address: SocketAddr) -> (Instant, Remote) {
        let (slot, long) = (Mutex::new(slot), Arc::clone(&self.long));
        let lifetime = Arc::new(Lifetime { is_lifted: AtomicBool::new(false), slot, long });
        (Instant::now() + CONNECTION_LIFETIME, Remote { address, certificate: None, lifetime })
    }
}

impl axum::serve::Listener for Port {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let (slot, (stream, address)) = tokio::select! {
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(Some(opened)) => return opened,
                    _ => continue,
                },
                accepted = accept(&mut self.listener, &self.slots) => accepted,
            };
            let (deadline, remote) = self.begin(slot, address);
            let Some(tls) = self.tls.clone() else {
                return (Connection::new(Stream::Plain(stream), deadline, remote), address);
            };
            // In a task of its own, so that who is slow at it keeps nobody waiting.
            self.handshakes.spawn(async move {
                let stream = timeout_at(deadline, tls.accept(stream)).await.ok()?.ok()?;
                let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let subject = shown.and_then(|der| Some(Certificate::parse(der).ok()?.subject().into()));
                let remote = Remote { certificate: subject, ..remote };
                Some((Connection::new(Stream::Tls(Box::new(stream)), deadline, remote), address))
            });
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn accept(
    listener: &mut TcpListener,
    slots: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, (TcpStream, SocketAddr)) {
    // The semaphore is never closed, so there is always a slot.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    (slot, axum::serve::Listener::accept(listener).await)
}

impl Connected<IncomingStream<'_, Port>> for Remote {
    fn connect_info(stream: IncomingStream<'_, Port>) -> Self {
        stream.io().remote.clone()
    }
}

impl Connection {
    fn new(stream: Stream, deadline: Instant, remote: Remote) -> Self {
        Self { stream, deadline: Box::pin(sleep_until(deadline)), remote }
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.remote.lifetime.is_lifted.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_deadline(context)?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_deadline(context)?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_deadline(context)?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_deadline(context)?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
