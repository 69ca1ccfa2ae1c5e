//! The worker threads and the store under them: begun together, ended in order.
//!
//! At start the store is read, every worker restores its part, and tells the others what it wants; only when
//! all have done so does any of them serve a client ([`worker::Start`]). At the end the clients are told, the
//! workers hand over their last records, and then the store is closed.

use super::StartError;
use super::access::AclAuthorizer;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::otlp::Otlp;
use crate::worker::{self, Gate, Mail, Mailboxes, Shared};
use dunlin_core::image::{Image, ShardImage};
use dunlin_core::message::MemoryGauge;
use dunlin_core::settings::Settings;
use dunlin_core::shard::ShardConfig;
use dunlin_core::tally::SubscriptionTally;
use dunlin_core::time::Timestamp;
use dunlin_store::{
    Clock, CommitFigures, LoaderHandle, Opened, RealDisk, RecoveryReport, Store, StoreHandle, StoreHealth,
    SyncPolicy, TornTail, loader,
};
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The most workers there can be.
const WORKERS_MAX: usize = 64;

/// See the top of the file.
pub(super) struct Workers {
    mailboxes: Mailboxes,
    threads: Vec<JoinHandle<()>>,
    store: Option<Store>,
    subscriptions: SubscriptionTally,
    shared: Arc<Shared>,
}

/// How many workers a configuration asks for.
pub(super) fn workers_count(config: &Config) -> usize {
    match config.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => usize::from(count),
    }
    .clamp(1, WORKERS_MAX)
}

/// The part of the settings of a broker that each of its shards has: it counts its own messages and Sessions.
pub(super) fn settings_of_shard(settings: Settings, shards: usize, durable: bool) -> Settings {
    Settings {
        memory_bytes_max: settings.memory_bytes_max / shards,
        body_memory_bytes: settings.body_memory_bytes / shards,
        sessions_max: settings.sessions_max.div_ceil(shards),
        durable,
        ..settings
    }
}

/// Sets the limits of all workers together.
pub(super) fn limit_subscriptions(subscriptions: &SubscriptionTally, config: &Config) {
    let to_usize = |count| usize::try_from(count).unwrap_or(usize::MAX);
    let of_user_max = config.limits.max_subscriptions_per_user.map_or(usize::MAX, to_usize);
    subscriptions.set_limits(to_usize(config.limits.max_subscriptions), of_user_max);
}

impl Workers {
    /// Starts them all; when this returns, everything that the store kept is in its place.
    pub fn start(
        config: &Config,
        gate: &Arc<Gate>,
        authorizer: &Arc<AclAuthorizer>,
        data_dir: Option<&DataDir>,
    ) -> Result<Self, StartError> {
        let count = workers_count(config);
        let clock = Clock::default();
        let gauges: Vec<MemoryGauge> = (0..count).map(|_| MemoryGauge::default()).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let mailboxes: Mailboxes = senders.into();
        let Kept { ways, store, mut parts, ended_at } = match data_dir {
            Some(data_dir) => open_store(config, data_dir, &gauges, &mailboxes, clock)?,
            None => Kept::default(),
        };
        parts.resize_with(count, ShardImage::default);
        let settings = Arc::new(settings_of_shard(config.settings(), count, store.is_some()));
        let shared = Arc::new(Shared {
            mailboxes: Arc::clone(&mailboxes),
            gate: Arc::clone(gate),
            clock,
            store: ways,
            otlp: Otlp::start(config)?,
        });
        let boot_epoch = (clock.now().as_micros() / 1_000_000) as u32;
        let subscriptions = SubscriptionTally::new(seed());
        let mut workers =
            Self { mailboxes, threads: Vec::new(), store, subscriptions, shared: Arc::clone(&shared) };
        limit_subscriptions(&workers.subscriptions, config);
        let (report, reports) = std_mpsc::channel();
        let mut signals = Vec::new();
        for (id, ((mailbox, gauge), part)) in receivers.into_iter().zip(gauges).zip(parts).enumerate() {
            let shard = ShardConfig {
                id: id as u16,
                shards: count as u16,
                settings: Arc::clone(&settings),
                authorizer: Some(Arc::clone(authorizer) as _),
                seed: seed(),
                boot_epoch,
                gauge,
                subscriptions: workers.subscriptions.clone(),
            };
            let (signal, go) = std_mpsc::channel();
            signals.push(signal);
            let (shared, report) = (Arc::clone(&shared), report.clone());
            let start = worker::Start { shard, shared, mailbox, restored: (part, ended_at), report, go };
            let thread = std::thread::Builder::new()
                .name(format!("dunlin-worker-{id}"))
                .spawn(move || worker::run(start))
                .map_err(could_not_start)?;
            workers.threads.push(thread);
        }
        drop(report);
        for _ in 0..count {
            reports
                .recv()
                .unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into()))
                .map_err(could_not_start)?;
        }
        for signal in signals {
            // A worker that ended since has no clients to serve.
            let _ = signal.send(());
        }
        Ok(workers)
    }

    /// What counts the subscriptions of all workers.
    pub fn subscriptions(&self) -> SubscriptionTally {
        self.subscriptions.clone()
    }

    /// The way to each worker.
    pub fn mailboxes(&self) -> Mailboxes {
        Arc::clone(&self.mailboxes)
    }

    /// How long commits of the store take.
    pub fn commits(&self) -> Option<Arc<CommitFigures>> {
        self.store.as_ref().map(Store::commits)
    }

    /// What the store can do.
    pub fn store_health(&self) -> Option<Arc<StoreHealth>> {
        self.store.as_ref().map(Store::health)
    }

    /// Whether they have not been stopped.
    pub fn are_running(&self) -> bool {
        !self.threads.is_empty() || self.store.is_some()
    }

    /// Tells all clients goodbye, and ends the workers when they have gone or the deadline has passed, and then
    /// the store.
    pub fn stop(&mut self, deadline: Duration) {
        let (done, answers) = std_mpsc::channel();
        for mailbox in &*self.mailboxes {
            let (answer, stopped) = oneshot::channel();
            if mailbox.send(Mail::Stop(answer)).is_ok() {
                let done = done.clone();
                let waiter = move || drop(stopped.blocking_recv().map(|()| done.send(())));
                drop(std::thread::Builder::new().name("dunlin-stop".into()).spawn(waiter));
            }
        }
        drop(done);
        let deadline = std::time::Instant::now() + deadline;
        let mut running = self.threads.len();
        while running > 0 {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            match answers.recv_timeout(left) {
                Ok(()) => running -= 1,
                Err(_) => break,
            }
        }
        if running > 0 {
            tracing::warn!(
                workers = running,
                "server.shutdown_deadline has passed: the remaining connections are cut"
            );
            self.cut();
            self.threads.clear();
        }
        for worker in self.threads.drain(..) {
            drop(worker.join());
        }
        if let Some(store) = self.store.take() {
            store.stop();
        }
        if let Some(otlp) = &self.shared.otlp {
            otlp.stop();
        }
    }

    /// Ends the workers at once.
    fn cut(&self) {
        for mailbox in &*self.mailboxes {
            // A closed mailbox is that of a worker that has ended.
            drop(mailbox.send(Mail::Cut));
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.cut();
    }
}

/// The store that was opened, and what it kept.
#[derive(Default)]
struct Kept {
    ways: Option<(StoreHandle, LoaderHandle)>,
    store: Option<Store>,
    parts: Vec<ShardImage>,
    ended_at: Timestamp,
}

/// Reads the store, and starts the thread that writes it.
fn open_store(
    config: &Config,
    data_dir: &DataDir,
    gauges: &[MemoryGauge],
    mailboxes: &Mailboxes,
    clock: Clock,
) -> Result<Kept, StartError> {
    let disk = RealDisk::of_broker(data_dir.path()).map_err(StartError::Store)?;
    let options = config.store_options();
    let Opened { image, ended_at, report, log } =
        disk.open_log(options, gauges, clock.now()).map_err(StartError::Store)?;
    say_what_was_found(&report, &image);
    say_what_can_be_lost(options.sync);
    let shards = gauges.len() as u16;
    let tell = {
        let mailboxes = Arc::clone(mailboxes);
        move |shard, event| {
            if let Some(mailbox) = mailboxes.get(usize::from(shard)) {
                // A worker whose mailbox is closed is stopping.
                drop(mailbox.send(Mail::Store(event)));
            }
        }
    };
    let store = Store::start(log, shards, gauges.to_vec(), clock, Box::new(tell)).map_err(could_not_start)?;
    let tell = {
        let mailboxes = Arc::clone(mailboxes);
        move |shard, holder, loaded| {
            if let Some(mailbox) = mailboxes.get(usize::from(shard)) {
                drop(mailbox.send(Mail::Loaded(holder, loaded)));
            }
        }
    };
    let disk = RealDisk::of_reader(data_dir.path()).map_err(StartError::Store)?;
    let loader = loader::start(disk, gauges.to_vec(), tell).map_err(could_not_start)?;
    Ok(Kept {
        ways: Some((store.handle(), loader)),
        store: Some(store),
        parts: image.split(shards),
        ended_at,
    })
}

fn say_what_can_be_lost(sync: SyncPolicy) {
    match sync {
        SyncPolicy::Always => {}
        SyncPolicy::Interval(interval) => {
            let within = format!("{interval:?}");
            tracing::warn!(
                within,
                "store.sync is \"interval\": a power cut can take what was acknowledged within that time"
            );
        }
        SyncPolicy::Never => {
            tracing::warn!(
                "store.sync is \"never\": a power cut can take whatever the system has not written yet, though acknowledged"
            );
        }
    }
}

fn say_what_was_found(report: &RecoveryReport, image: &Image) {
    if report.segments > 0 {
        let (sessions, retained) = (image.sessions_count(), image.retained_count());
        let (subscriptions, queued) = (image.subscriptions_count(), image.queued_count());
        tracing::info!(sessions, subscriptions, queued, retained, "store read");
    }
    if let Some(TornTail { path, offset, bytes }) = &report.torn_tail {
        let file = path.display();
        tracing::warn!(
            %file,
            offset,
            bytes,
            "the end of the store was not whole and was cut: the process or the machine was stopped while it was written (unless store.sync was \"always\", some of it may have been acknowledged)"
        );
    }
}

fn could_not_start(error: std::io::Error) -> StartError {
    StartError::System(format!("a thread could not start: {error}"))
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Seeds protect hash tables against chosen keys; without the system's randomness that cannot be promised.
    getrandom::fill(&mut bytes).expect("the system has randomness");
    u64::from_ne_bytes(bytes)
}
