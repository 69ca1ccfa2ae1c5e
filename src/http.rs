//! The operations port: `/healthz` (the process answers), `/readyz` (clients are served) and, for those who have the
//! token of `token.rs`, the bans of `bans.rs`.
//!
//! It must not become a way to harm the broker, and it must answer when probes ask, or a supervisor would end
//! a healthy broker. So every connection serves one request, lives for at most `CONNECTION_LIFETIME`, and
//! there are at most `CONNECTIONS_MAX` of them. Only a stream of events lives longer, once the token is seen.
//!
//! Readiness is one flag ([`Health`]): the broker raises it when all listeners are open and lowers it when it
//! begins to stop, so that a load balancer looks elsewhere before connections end. A store that cannot be
//! written makes a broker not ready, too.

pub mod token;
pub mod bans;
pub mod problem;
mod parameters;
mod body;
mod moment;
mod api;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::connect_info::Connected;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

pub use bans::Api;
pub use problem::Problem;
pub use token::ApiToken;

use crate::config::{Config, ConfigError, HostPort};
use crate::store::StoreHealth;

/// Connections to the operations port at once; further ones wait.
const CONNECTIONS_MAX: usize = 64;

/// The time from accepting a connection to its end.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(10);

/// Streams of events at once, so that there are always connections left for everything else.
const STREAMS_MAX: usize = 32;

/// What the operations port tells about the broker.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
    store: Option<Arc<StoreHealth>>,
}

impl Health {
    /// That of a broker that is not ready yet, and of its store if it has one.
    pub fn new(store: Option<Arc<StoreHealth>>) -> Self {
        Self { ready: AtomicBool::new(false), store }
    }

    /// Why the store does not take what would have to be stored, if so.
    pub fn store_problem(&self) -> Option<String> {
        self.store.as_ref().and_then(|store| store.reason())
    }

    /// The store, if there is one.
    pub fn store(&self) -> Option<&StoreHealth> {
        self.store.as_deref()
    }

    /// Says whether clients are served.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether clients are served.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

/// Opens the operations port. `None` when it is switched off, or when the default address is taken: then a
/// warning says so. An address that somebody set must be free.
pub async fn bind(config: &Config) -> Result<Option<TcpListener>, ConfigError> {
    let Some(address) = &config.http.address else { return Ok(None) };
    match listen(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && !config.is_set("http.address") => {
            tracing::warn!(%address, "the operations port is taken: running without /healthz (--http sets another)");
            Ok(None)
        }
        Err(error) => {
            let problem = match error.kind() {
                io::ErrorKind::AddrInUse => "another program uses this address".to_owned(),
                _ => format!("cannot listen there: {error}"),
            };
            Err(config.error("http.address", Some(format!("\"{address}\"")), problem))
        }
    }
}

async fn listen(address: &HostPort) -> io::Result<TcpListener> {
    TcpListener::bind(address.resolve()?).await
}

/// Serves the operations port until `stop` completes and the requests under way are answered.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let service = router(api).into_make_service_with_connect_info::<Remote>();
    let streams = Arc::new(Semaphore::new(STREAMS_MAX));
    axum::serve(BoundedListener { listener, slots, streams }, service).with_graceful_shutdown(stop).await
}

fn router(api: Api) -> Router {
    let health = Arc::clone(&api.operations.health);
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(health)
        .merge(bans::router(api.clone()))
        .merge(api::router(api))
        .layer(axum::middleware::map_response(close_connection))
}

/// The process answers. What ails the store is said here, and is no reason to end it: that would end what
/// still works.
async fn healthz(State(health): State<Arc<Health>>) -> String {
    match health.store_problem() {
        None => "ok\n".to_owned(),
        Some(problem) => format!("ok, but nothing can be stored: {problem}\n"),
    }
}

async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    let unavailable = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n"));
    match health.store_problem() {
        _ if !health.is_ready() => unavailable("starting or stopping"),
        Some(problem) => unavailable(&problem),
        None => (StatusCode::OK, "ready\n".to_owned()),
    }
}

async fn close_connection(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A listener that accepts only as many connections as there are slots.
struct BoundedListener {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// A connection that ends at its deadline and then gives its slot back.
struct BoundedStream {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    lifetime: Arc<Lifetime>,
    _slot: Option<OwnedSemaphorePermit>,
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub(crate) struct Remote {
    /// How long it may stay.
    pub lifetime: Arc<Lifetime>,
}

/// How long a connection may stay: to its deadline, unless it turns out that it asks for a stream of events and may.
pub(crate) struct Lifetime {
    is_lifted: AtomicBool,
    streams: Arc<Semaphore>,
    /// It counts as one of the streams.
    stream: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Lifetime {
    /// Lets the connection live for as long as both ends want.
    pub fn lift(&self) -> Result<(), Problem> {
        let Ok(stream) = Arc::clone(&self.streams).try_acquire_owned() else {
            let detail = format!("there are {STREAMS_MAX} streams of events already; try again later");
            return Err(Problem::unavailable(detail));
        };
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
        self.is_lifted.store(true, Ordering::Release);
        Ok(())
    }
}

impl Connected<IncomingStream<'_, BoundedListener>> for Remote {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        Self { lifetime: Arc::clone(&stream.io().lifetime) }
    }
}

impl axum::serve::Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        // The semaphore is never closed, so there is always a slot.
        let slot = self.slots.clone().acquire_owned().await.ok();
        let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
        let lifetime = Arc::new(Lifetime {
            is_lifted: AtomicBool::new(false),
            streams: Arc::clone(&self.streams),
            stream: Mutex::default(),
        });
        let deadline = Box::pin(sleep(CONNECTION_LIFETIME));
        (BoundedStream { stream, deadline, lifetime, _slot: slot }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl BoundedStream {
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.lifetime.is_lifted.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_deadline(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_deadline(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::operations::Operations;
    use crate::worker::Gate;

    struct Port {
        address: SocketAddr,
        health: Arc<Health>,
        stop: oneshot::Sender<()>,
        served: JoinHandle<io::Result<()>>,
    }

    async fn open() -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Arc::new(Health::default());
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let gate = Arc::new(Gate::new(&Config::default(), 1));
        let operations = Operations::new(Arc::from([]), gate, Arc::clone(&health));
        let api = Api { operations, token: None };
        let served = tokio::spawn(serve(listener, api, stopped));
        Port { address, health, stop, served }
    }

    /// The whole answer; it ends because the server closes the connection.
    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn readyz_follows_the_broker_and_healthz_does_not() {
        let port = open().await;
        assert!(get(port.address, "/readyz").await.starts_with("HTTP/1.1 503 "));
        assert!(get(port.address, "/healthz").await.starts_with("HTTP/1.1 200 "));
        port.health.set_ready(true);
        assert!(get(port.address, "/readyz").await.starts_with("HTTP/1.1 200 "));
        port.health.set_ready(false);
        assert!(get(port.address, "/readyz").await.starts_with("HTTP/1.1 503 "));
        assert!(get(port.address, "/").await.starts_with("HTTP/1.1 404 "));
    }

    #[tokio::test]
    async fn without_a_token_there_is_nothing_that_opens_the_api() {
        let port = open().await;
        assert!(get(port.address, bans::PATH).await.starts_with("HTTP/1.1 403 "));
    }

    #[tokio::test]
    async fn serving_ends_when_it_is_told_to() {
        let port = open().await;
        port.stop.send(()).unwrap();
        port.served.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_asks_nothing_is_closed_at_its_deadline() {
        let port = open().await;
        let started = tokio::time::Instant::now();
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
        assert!(started.elapsed() >= CONNECTION_LIFETIME);
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error_only_when_somebody_set_it() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let set = Config::from_toml("dunlin.toml", &format!("http.address = '{address}'")).unwrap();
        assert_eq!(
            bind(&set).await.unwrap_err().to_string(),
            format!("dunlin.toml:1: http.address = \"{address}\": another program uses this address")
        );
        let mut default = Config::default();
        default.http.address = Some(HostPort::new("127.0.0.1", address.port()));
        assert!(bind(&default).await.unwrap().is_none());
        default.http.address = None;
        assert!(bind(&default).await.unwrap().is_none());
    }
}
