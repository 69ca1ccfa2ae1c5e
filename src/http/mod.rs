//! The operations port: `/healthz` (the process answers), `/readyz` (clients are served) and, for those who have a
//! token or a certificate, the API (`api/`).
//!
//! `port.rs` is the listener, with bounds on connections and with TLS; every connection serves one request. `guard.rs`
//! stands before the API: `access.rs` says who asks, `tokens.rs` and `token.rs` what may be shown, `slowing.rs` what
//! wrong tokens cost, `audit.rs` writes down what was changed. Errors are problem documents (`problem.rs`).
//!
//! Readiness is one flag ([`Health`]): the broker raises it when all listeners are open and lowers it when it
//! begins to stop, so that a load balancer looks elsewhere before connections end. A store that cannot be
//! written makes a broker not ready, too.

mod port;
mod guard;
mod access;
pub mod token;
pub mod tokens;
mod slowing;
mod audit;
mod body;
mod path;
mod parameters;
mod moment;
mod problem;
pub mod api;
mod metrics;
mod dashboard;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use dunlin_store::StoreHealth;
use tokio::net::TcpListener;

pub use access::{Access, check};
pub use audit::Audit;
pub use problem::Problem;
pub use token::ApiToken;

use crate::config::{Config, ConfigError, ConfigErrors, HostPort, TlsOptions};
use crate::operations::Operations;
use crate::tls::{Application, TlsEndpoint};
use guard::only_known;
use port::{Port, Remote};

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
        Ok(listener) => {
            if !address.is_loopback() && config.http.tls.is_none() {
                tracing::warn!(%address, "everybody on the way to the operations port can read the tokens: set http.tls");
            }
            Ok(Some(listener))
        }
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

/// The TLS of the operations port, if it speaks TLS.
///
/// # Errors
/// What is wrong with its files.
pub fn endpoint(config: &Config) -> Result<Option<TlsEndpoint>, ConfigErrors> {
    let Some(options) = &config.http.tls else { return Ok(None) };
    let options = TlsOptions {
        cert: options.cert.clone(),
        key: options.key.clone(),
        client_ca: options.client_ca.clone(),
        require_client_cert: options.require_client_cert,
        ..TlsOptions::default()
    };
    let endpoint = TlsEndpoint::new(Application::Http, &options);
    endpoint.map(Some).map_err(|error| ConfigErrors(vec![error.located(config, "http.tls")]))
}

/// The operations port with everything behind it.
pub struct Service {
    /// The way to the broker.
    pub operations: Operations,
    /// Who may ask.
    pub access: Access,
    /// Where changes are written down.
    pub audit: Audit,
    /// Its certificates, if it speaks TLS.
    pub tls: Option<Arc<TlsEndpoint>>,
}

impl Service {
    /// Prepares the port; `token` is that of the data directory.
    ///
    /// # Errors
    /// When the audit file cannot be written.
    pub fn new(
        config: &Config,
        operations: Operations,
        token: Option<ApiToken>,
        tls: Option<Arc<TlsEndpoint>>,
    ) -> Result<Self, ConfigError> {
        let http = &config.http;
        let audit = Audit::open(http.audit_file.as_deref()).map_err(|error| {
            let file = http.audit_file.as_deref().unwrap_or(Path::new(""));
            config.error("http.audit_file", Some(format!("{file:?}")), format!("cannot be written: {error}"))
        })?;
        let access = Access::new(token, config.store.path.as_deref(), http.certificate_scope);
        Ok(Self { operations, access, audit, tls })
    }

    /// Serves until `stop` completes and the requests under way are answered.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let port = Port::new(listener, self.tls.clone());
        let service = self.router().into_make_service_with_connect_info::<Remote>();
        axum::serve(port, service).with_graceful_shutdown(stop).await
    }

    fn router(self) -> Router {
        let Self { operations, access, audit, .. } = self;
        let health = Arc::clone(&operations.health);
        let address = operations.config.load().http.address.clone();
        let (api, guard) = api::router(&operations, access, audit);
        let metrics = metrics::router(operations);
        // What passes through the broker is nobody's business beyond this machine.
        let metrics = match address.is_some_and(|address| address.is_loopback()) {
            true => metrics,
            false => metrics.route_layer(from_fn_with_state(guard, only_known)),
        };
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .with_state(health)
            .merge(metrics)
            .merge(dashboard::router())
            .merge(api)
            .layer(axum::middleware::map_response(close_connection))
    }
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::port::CONNECTION_LIFETIME;
    use super::*;
    use crate::config::Scope;
    use crate::operations::Parts;
    use crate::worker::Gate;

    struct Port {
        address: SocketAddr,
        health: Arc<Health>,
        stop: oneshot::Sender<()>,
        served: JoinHandle<io::Result<()>>,
    }

    async fn open() -> Port {
        open_with(Config::default()).await
    }

    /// A port of loopback, whatever the configuration says.
    async fn open_with(config: Config) -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Arc::new(Health::default());
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let gate = Arc::new(Gate::new(&Config::default(), 1));
        let operations = Operations::new(Parts {
            mailboxes: Arc::from([]),
            gate,
            health: Arc::clone(&health),
            commits: None,
            config,
        });
        let access = Access::new(None, None, Scope::Admin);
        let service = Service { operations, access, audit: Audit::open(None).unwrap(), tls: None };
        let served = tokio::spawn(service.serve(listener, stopped));
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
        assert!(get(port.address, "/nothing").await.starts_with("HTTP/1.1 404 "));
    }

    #[tokio::test]
    async fn without_a_token_there_is_nothing_that_opens_the_api() {
        let port = open().await;
        assert!(get(port.address, api::bans::PATH).await.starts_with("HTTP/1.1 401 "));
    }

    #[tokio::test]
    async fn metrics_are_for_who_is_known_where_others_than_this_machine_can_ask() {
        let port = open().await;
        assert!(get(port.address, "/metrics").await.starts_with("HTTP/1.1 200 "));
        let mut config = Config::default();
        config.http.address = Some(HostPort::new("0.0.0.0", 18083));
        let port = open_with(config).await;
        assert!(get(port.address, "/metrics").await.starts_with("HTTP/1.1 401 "));
        assert!(get(port.address, "/healthz").await.starts_with("HTTP/1.1 200 "));
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
