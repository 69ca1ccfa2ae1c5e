//! A broker inside this process.
//!
//! [`Broker::start`] opens the listeners and starts the threads: one control thread that accepts connections
//! and serves the operations port, and the [workers](crate::worker). It returns when clients can connect. The
//! binary does nothing else with it than a program that embeds it:
//!
//! ```no_run
//! # fn main() -> Result<(), dunlin::StartError> {
//! let config = dunlin::Config::from_toml("inline", "listener = [{ url = 'mqtt://127.0.0.1:0' }]\nstore.path = ''\nhttp.address = ''")?;
//! let broker = dunlin::Broker::start(config)?;
//! println!("listening on {:?}", broker.addresses());
//! broker.stop();
//! # Ok(())
//! # }
//! ```

mod access;
mod inherited;
mod listen;
mod doors;
mod running;
mod reloader;
mod pulse;
mod workers;

pub use inherited::InheritedSockets;
pub use listen::BoundListener;
pub use pulse::{Ping, Pulse};
pub use reloader::{Reloader, WATCH_INTERVAL};

use crate::auth;
use crate::config::{Config, ConfigError, ConfigErrors, EffectiveOption, Sources};
use crate::data_dir::{DataDir, DataDirError};
use crate::http::{self, ApiToken, Health, Service};
use crate::log::LogControl;
use crate::metrics;
use crate::operations::{Operations, Parts, Reloaded};
use crate::tls::{self, Expiry};
use crate::worker::{DelayReason, Gate, ListenerContext, RefusalReason};
use access::AclAuthorizer;
use dunlin_store::StoreError;
use listen::OpenSocket;
use running::{Running, connections_max};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use workers::{Workers, workers_count};

/// How long requests under way at the operations port may delay a stop.
const HTTP_STOP_DEADLINE: Duration = Duration::from_secs(1);

/// A running broker. Dropping it stops it.
pub struct Broker {
    running: Arc<Running>,
    http_address: Option<SocketAddr>,
    control: Option<Control>,
    workers: Workers,
    operations: Operations,
    /// Locked as long as the broker lives.
    _data_dir: Option<DataDir>,
}

struct Control {
    thread: JoinHandle<()>,
    pings: mpsc::UnboundedSender<Ping>,
    stop: oneshot::Sender<()>,
}

/// Why a broker did not start. Prints as one sentence for each problem.
#[derive(Debug)]
pub enum StartError {
    /// The configuration, or a file that it names, is wrong.
    Config(ConfigErrors),
    /// The data directory cannot be used.
    DataDir(DataDirError),
    /// The store in it cannot be read.
    Store(StoreError),
    /// A listener or a thread could not be started.
    System(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(errors) => errors.fmt(f),
            Self::DataDir(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::System(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for StartError {}

impl From<ConfigErrors> for StartError {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors)
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(ConfigErrors(vec![error]))
    }
}

impl Broker {
    /// Starts a broker; when this returns, its listeners accept.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_on(config, InheritedSockets::default())
    }

    /// Like [`Broker::start`], with sockets that are open already: each must be that of a listener.
    pub fn start_on(config: Config, inherited: InheritedSockets) -> Result<Self, StartError> {
        let listeners = config.listeners();
        let (accesses, rulebook) = auth::load(&config, &listeners)?;
        let endpoints = tls::endpoints(&config, &listeners)?;
        http::check(&config)?;
        let http_tls = http::endpoint(&config)?.map(Arc::new);
        let data_dir =
            config.store.path.as_deref().map(DataDir::open).transpose().map_err(StartError::DataDir)?;
        if let Some(data_dir) = &data_dir {
            auth::keep_decoys(data_dir.path(), &accesses);
        }
        let contexts: Vec<_> = listeners
            .iter()
            .zip(endpoints)
            .zip(accesses)
            .map(|((listener, tls), access)| Arc::new(ListenerContext::new(listener, tls, access)))
            .collect();
        let urls = contexts.iter().map(|context| &context.url);
        let sockets = listen::open(urls, inherited).map_err(StartError::System)?;
        let gate = Arc::new(Gate::new(&config, connections_max(&config, workers_count(&config))));
        let authorizer = Arc::new(AclAuthorizer::new(rulebook));
        let workers = Workers::start(&config, &gate, &authorizer, data_dir.as_ref())?;
        let path = data_dir.as_ref().map(|data_dir| data_dir.path().to_owned());
        let mailboxes = workers.mailboxes();
        let health = Arc::new(Health::new(workers.store_health()));
        let operations = Operations::new(Parts {
            mailboxes: Arc::clone(&mailboxes),
            gate,
            health,
            commits: workers.commits(),
            config: config.clone(),
        });
        let running =
            Arc::new(Running::new(operations.clone(), authorizer, &workers, path, http_tls.clone()));
        let token = match &data_dir {
            Some(data_dir) if config.http.address.is_some() => {
                let created = ApiToken::create(data_dir.path());
                let unusable = |error| DataDirError::Unusable(data_dir.path().to_owned(), error);
                Some(created.map_err(unusable).map_err(StartError::DataDir)?)
            }
            _ => None,
        };
        let service = Service::new(&config, operations.clone(), token, http_tls)?;
        let mut broker = Self {
            running: Arc::clone(&running),
            http_address: None,
            control: None,
            workers,
            operations,
            _data_dir: data_dir,
        };
        // From here on an error drops the broker, which stops the workers.
        let sockets = sockets.into_iter().zip(contexts).collect();
        let (control, http_address) = start_control(config, running, sockets, service)?;
        (broker.control, broker.http_address) = (Some(control), http_address);
        Ok(broker)
    }

    /// What an operator sees and does while it runs.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Where it listens, in the order of the configuration.
    pub fn listeners(&self) -> Vec<BoundListener> {
        self.running.doors.bound()
    }

    /// The TCP addresses of its listeners, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners().into_iter().filter_map(|listener| listener.address).collect()
    }

    /// The address of the operations port.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// The way to ask whether its threads still turn; `None` for a broker that is being stopped.
    pub fn pulse(&self) -> Option<Pulse> {
        let control = self.control.as_ref()?;
        Some(Pulse::new(control.pings.clone(), self.workers.mailboxes()))
    }

    /// Connections at present, those that have not sent CONNECT included.
    pub fn connections(&self) -> usize {
        self.running.gate.connections()
    }

    /// Subscriptions at present, those of absent clients included.
    pub fn subscriptions(&self) -> usize {
        self.workers.subscriptions().in_all()
    }

    /// Connections refused so far for a reason.
    pub fn refusals(&self, reason: RefusalReason) -> u64 {
        self.running.gate.refusals(reason)
    }

    /// How often clients were made to wait so far for a reason.
    pub fn delays(&self, reason: DelayReason) -> u64 {
        self.running.gate.delays(reason)
    }

    /// Applies what can change while running: listeners, certificates, users, rules, limits. Nobody is disconnected but
    /// the clients of listeners that are not there any more (0x98). The log names the options that have changed and
    /// take a restart. It reads files and waits for the control thread, so it is nothing for an async task.
    ///
    /// # Errors
    /// All that is wrong with the configuration, the files that it names and the addresses of its listeners. Then
    /// everything stays as it is.
    pub fn reload(&self, config: &Config) -> Result<Reloaded, ConfigErrors> {
        self.running.reload(config)
    }

    /// Reloads it from where its configuration came from, the log with it.
    pub fn reloader(&self, sources: Sources, log: LogControl) -> Reloader {
        self.operations.set_log(log.clone());
        Reloader::new(sources, log, Arc::clone(&self.running))
    }

    /// The configuration that it was started with, or that the last reload has applied.
    pub fn config(&self) -> Arc<Config> {
        self.running.config()
    }

    /// Every option as it is in force, and where it was written.
    pub fn effective(&self) -> Vec<EffectiveOption> {
        self.operations.effective()
    }

    /// The certificates and lists of revoked certificates in use, and when they end.
    pub fn expiries(&self) -> Vec<Expiry> {
        let endpoints = self.running.endpoints();
        endpoints.iter().flat_map(|(_, endpoint)| endpoint.expiries()).collect()
    }

    /// Stops: no new connections, 0x8B to every 5.0 client, and an end within `server.shutdown_deadline`.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        if let Some(control) = self.control.take() {
            // The thread may have ended by itself.
            let _ = control.stop.send(());
            let _ = control.thread.join();
        }
        self.running.doors.close();
        self.workers.stop(self.running.config().server.shutdown_deadline);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.control.is_some() || self.workers.are_running() {
            self.shut_down();
        }
    }
}

fn start_control(
    config: Config,
    running: Arc<Running>,
    sockets: Vec<(OpenSocket, Arc<ListenerContext>)>,
    service: Service,
) -> Result<(Control, Option<SocketAddr>), StartError> {
    let (stop, stopped) = oneshot::channel();
    let (report, started) = std_mpsc::channel();
    let (pings, pinged) = mpsc::unbounded_channel();
    let life = move || {
        let runtime =
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    return drop(report.send(Err(StartError::System(format!(
                        "the control thread could not start: {error}"
                    )))));
                }
            };
        runtime.block_on(control(config, running, sockets, service, report, pinged, stopped));
        // A backup may be under way: nobody waits for it any more.
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new()
        .name("dunlin-control".into())
        .spawn(life)
        .map_err(|error| StartError::System(format!("the control thread could not start: {error}")))?;
    match started.recv() {
        Ok(Ok(http_address)) => Ok((Control { thread, pings, stop }, http_address)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::System("the control thread ended at once".to_owned())),
    }
}

/// The life of the control thread: accept until told to stop.
async fn control(
    config: Config,
    running: Arc<Running>,
    sockets: Vec<(OpenSocket, Arc<ListenerContext>)>,
    service: Service,
    report: std_mpsc::Sender<Result<Option<SocketAddr>, StartError>>,
    mut pinged: mpsc::UnboundedReceiver<Ping>,
    stopped: oneshot::Receiver<()>,
) {
    let operations = service.operations.clone();
    let health = Arc::clone(&operations.health);
    let opened = match http::bind(&config).await {
        Ok(http) => running.open(sockets).map(|()| http).map_err(StartError::System),
        Err(error) => Err(error.into()),
    };
    let http = match opened {
        Ok(opened) => opened,
        Err(error) => return drop(report.send(Err(error))),
    };
    let http_address = http.as_ref().and_then(|listener| listener.local_addr().ok());
    let (close_http, http_closed) = oneshot::channel::<()>();
    let http = http.map(|listener| tokio::spawn(service.serve(listener, async { drop(http_closed.await) })));
    health.set_ready(true);
    drop(report.send(Ok(http_address)));
    let watched = Arc::clone(&running);
    let watch = tokio::spawn(tls::watch(move || watched.endpoints()));
    let every = config.sys.interval;
    let sys_topics = (!every.is_zero()).then(|| tokio::spawn(metrics::publish_sys_topics(operations, every)));
    let answering = tokio::spawn(async move {
        while let Some(ping) = pinged.recv().await {
            ping.answer();
        }
    });
    drop(stopped.await);
    watch.abort();
    answering.abort();
    if let Some(sys_topics) = sys_topics {
        sys_topics.abort();
    }
    health.set_ready(false);
    running.doors.stop_accepting();
    let _ = close_http.send(());
    if let Some(http) = http {
        // Somebody may keep a half-sent request open.
        drop(tokio::time::timeout(HTTP_STOP_DEADLINE, http).await);
    }
}
