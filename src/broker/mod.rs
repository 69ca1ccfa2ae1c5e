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
mod listen;
mod workers;

pub use listen::BoundListener;

use crate::auth::{self, Access};
use crate::config::{Config, ConfigError, ConfigErrors, Listener, machine};
use crate::data_dir::{DataDir, DataDirError};
use crate::http::{self, ApiToken, Health, Service};
use crate::metrics;
use crate::operations::{OpenListener, Operations, Parts, Reloaded};
use crate::store::StoreError;
use crate::tls::{self, Expiry, TlsEndpoint};
use crate::worker::{Gate, ListenerContext, RefusalReason};
use access::AclAuthorizer;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use workers::{Workers, workers_count};

/// How long requests under way at the operations port may delay a stop.
const HTTP_STOP_DEADLINE: Duration = Duration::from_secs(1);

/// A running broker. Dropping it stops it.
pub struct Broker {
    listeners: Vec<BoundListener>,
    http_address: Option<SocketAddr>,
    contexts: Vec<Arc<ListenerContext>>,
    authorizer: Arc<AclAuthorizer>,
    control: Option<Control>,
    workers: Workers,
    shutdown_deadline: Duration,
    gate: Arc<Gate>,
    operations: Operations,
    http_tls: Option<Arc<TlsEndpoint>>,
    /// What it runs with, apart from what reloads have changed.
    started_with: Config,
    data_dir: Option<DataDir>,
}

struct Control {
    thread: JoinHandle<()>,
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
        let sockets = contexts
            .iter()
            .map(|context| listen::bind(&context.url))
            .collect::<Result<Vec<_>, _>>()
            .map_err(StartError::System)?;
        let gate = Arc::new(Gate::new(&config, connections_max(&config, workers_count(&config))));
        let authorizer = Arc::new(AclAuthorizer::new(rulebook));
        let workers = Workers::start(&config, &gate, &authorizer, data_dir.as_ref())?;
        let bound: Vec<BoundListener> = sockets.iter().map(|socket| socket.bound.clone()).collect();
        let doors = listen::Doors {
            sockets: sockets.into_iter().zip(contexts.iter().cloned()).collect(),
            gate: Arc::clone(&gate),
            mailboxes: workers.mailboxes(),
        };
        let token = match &data_dir {
            Some(data_dir) if config.http.address.is_some() => {
                let created = ApiToken::create(data_dir.path());
                let unusable = |error| DataDirError::Unusable(data_dir.path().to_owned(), error);
                Some(created.map_err(unusable).map_err(StartError::DataDir)?)
            }
            _ => None,
        };
        let health = Arc::new(Health::new(workers.store_health()));
        let operations = Operations::new(Parts {
            mailboxes: workers.mailboxes(),
            gate: Arc::clone(&gate),
            health,
            commits: workers.commits(),
            config: config.clone(),
        });
        operations.set_listeners(open_listeners(&bound, &contexts));
        let service = Service::new(&config, operations.clone(), token, http_tls.clone())?;
        let mut broker = Self {
            listeners: bound,
            http_address: None,
            contexts,
            authorizer,
            control: None,
            workers,
            shutdown_deadline: config.server.shutdown_deadline,
            gate,
            operations,
            http_tls,
            started_with: config.clone(),
            data_dir,
        };
        // From here on an error drops the broker, which stops the workers.
        let (control, http_address) = start_control(config, doors, service)?;
        (broker.control, broker.http_address) = (Some(control), http_address);
        Ok(broker)
    }

    /// What an operator sees and does while it runs.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Where it listens, in the order of the configuration.
    pub fn listeners(&self) -> &[BoundListener] {
        &self.listeners
    }

    /// The TCP addresses of its listeners, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.address).collect()
    }

    /// The address of the operations port.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// Connections at present, those that have not sent CONNECT included.
    pub fn connections(&self) -> usize {
        self.gate.connections()
    }

    /// Connections refused so far for a reason.
    pub fn refusals(&self, reason: RefusalReason) -> u64 {
        self.gate.refusals(reason)
    }

    /// Applies what can change while running: certificates, users, rules, who is let in. The log names the options
    /// that have changed and take a restart. On an error everything stays as it is.
    pub fn reload(&self, config: &Config) -> Result<Reloaded, ConfigErrors> {
        let listeners = config.listeners();
        let (accesses, rulebook) = auth::load(config, &listeners)?;
        let endpoints = tls::endpoints(config, &listeners)?;
        let http_tls = http::endpoint(config)?;
        if let Some(data_dir) = &self.data_dir {
            auth::keep_decoys(data_dir.path(), &accesses);
        }
        let need_restart = self.started_with.needing_restart(config);
        match &need_restart[..] {
            [] => {}
            [option] => tracing::warn!("{option} needs a restart"),
            options => tracing::warn!("{} need a restart", options.join(", ")),
        }
        let mut fresh: Vec<_> = listeners.iter().zip(accesses).zip(endpoints).map(Some).collect();
        for (index, context) in self.contexts.iter().enumerate() {
            let is_it = |fresh: &Option<((&Listener, Access), Option<TlsEndpoint>)>| {
                fresh.as_ref().is_some_and(|((listener, _), _)| listener.url == context.url)
            };
            let at_its_place = fresh.get(index).is_some_and(is_it).then_some(index);
            let place = at_its_place.or_else(|| fresh.iter().position(is_it));
            let Some(((listener, access), endpoint)) = place.and_then(|place| fresh[place].take()) else {
                continue;
            };
            // The same URL is the same transport.
            if let (Some(current), Some(fresh)) = (&context.tls, endpoint) {
                current.replace(fresh);
            }
            context.reload(listener, access);
        }
        let open: Vec<_> = self.contexts.iter().map(|context| context.url.to_string()).collect();
        self.authorizer.replace(rulebook, open.iter().map(String::as_str));
        self.gate.reload(config);
        if let (Some(current), Some(fresh)) = (&self.http_tls, http_tls) {
            current.replace(fresh);
        }
        self.operations.config.store(Arc::new(config.clone()));
        Ok(Reloaded { need_restart })
    }

    /// Reads the files again that the configuration names, which itself stays as it is.
    pub fn reload_files(&self) -> Result<Reloaded, ConfigErrors> {
        self.reload(&self.operations.config.load_full())
    }

    /// The certificates and lists of revoked certificates in use, and when they end.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.contexts
            .iter()
            .filter_map(|context| context.tls.as_ref())
            .chain(&self.http_tls)
            .flat_map(|tls| tls.expiries())
            .collect()
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
        // Now, because a successor may already wait for the path.
        listen::remove_sockets(&self.listeners);
        self.workers.stop(self.shutdown_deadline);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.control.is_some() || self.workers.are_running() {
            self.shut_down();
        }
    }
}

fn open_listeners(bound: &[BoundListener], contexts: &[Arc<ListenerContext>]) -> Vec<OpenListener> {
    let open = |(bound, context): (&BoundListener, &Arc<ListenerContext>)| OpenListener {
        bound: bound.clone(),
        context: Arc::clone(context),
    };
    bound.iter().zip(contexts).map(open).collect()
}

/// The configured bound, or what the process's limit of open files leaves.
fn connections_max(config: &Config, workers: usize) -> usize {
    let wanted = config.limits.max_connections as usize;
    let possible = usize::try_from(machine::connections_max(workers)).unwrap_or(usize::MAX);
    // Nobody who has not asked for a number needs to know that the machine allows fewer.
    if possible < wanted && config.is_set("limits.max_connections") {
        tracing::warn!(
            possible,
            "the limit of open files (ulimit -n) allows fewer connections than limits.max_connections = {wanted}"
        );
    }
    possible.min(wanted)
}

fn start_control(
    config: Config,
    doors: listen::Doors,
    service: Service,
) -> Result<(Control, Option<SocketAddr>), StartError> {
    let (stop, stopped) = oneshot::channel();
    let (report, started) = std_mpsc::channel();
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
        runtime.block_on(control(config, doors, service, report, stopped));
    };
    let thread = std::thread::Builder::new()
        .name("dunlin-control".into())
        .spawn(life)
        .map_err(|error| StartError::System(format!("the control thread could not start: {error}")))?;
    match started.recv() {
        Ok(Ok(http_address)) => Ok((Control { thread, stop }, http_address)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::System("the control thread ended at once".to_owned())),
    }
}

/// The life of the control thread: accept until told to stop.
async fn control(
    config: Config,
    doors: listen::Doors,
    service: Service,
    report: std_mpsc::Sender<Result<Option<SocketAddr>, StartError>>,
    stopped: oneshot::Receiver<()>,
) {
    let mut endpoints = doors.endpoints();
    endpoints.extend(service.tls.clone().map(|tls| ("the operations port".to_owned(), tls)));
    let operations = service.operations.clone();
    let health = Arc::clone(&operations.health);
    let opened = match http::bind(&config).await {
        Ok(http) => doors.open().map(|doors| (http, doors)).map_err(StartError::System),
        Err(error) => Err(error.into()),
    };
    let (http, accepting) = match opened {
        Ok(opened) => opened,
        Err(error) => return drop(report.send(Err(error))),
    };
    let http_address = http.as_ref().and_then(|listener| listener.local_addr().ok());
    let (close_http, http_closed) = oneshot::channel::<()>();
    let http = http.map(|listener| tokio::spawn(service.serve(listener, async { drop(http_closed.await) })));
    health.set_ready(true);
    drop(report.send(Ok(http_address)));
    let watch = tokio::spawn(tls::watch(endpoints));
    let every = config.sys.interval;
    let sys_topics = (!every.is_zero()).then(|| tokio::spawn(metrics::publish_sys_topics(operations, every)));
    drop(stopped.await);
    watch.abort();
    if let Some(sys_topics) = sys_topics {
        sys_topics.abort();
    }
    health.set_ready(false);
    for task in accepting {
        task.abort();
    }
    let _ = close_http.send(());
    if let Some(http) = http {
        // Somebody may keep a half-sent request open.
        drop(tokio::time::timeout(HTTP_STOP_DEADLINE, http).await);
    }
}
