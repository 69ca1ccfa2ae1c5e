//! What operators see and do while the broker runs: the one way from the operations port, and from programs that
//! embed the broker, into it.
//!
//! Workers own what there is to see, so `Operations::ask` sends a question to a worker, which answers between two
//! turns; nobody takes a lock, and a message never waits for more than one short answer. Whatever could be long (all
//! clients, all Retained Messages) is asked for a page at a time.

mod owner;
mod clients;
mod listeners;
mod publish;
mod tap;
mod topic_rates;

pub(crate) use clients::{ClientOrder, ClientRow, ClientSort, ClientState, ClientsQuery, RowPlace};
pub use listeners::OpenListener;
pub use owner::{Reloaded, Reread, Unfulfilled, Wish, Wishes};
pub(crate) use publish::Refusal;
pub(crate) use tap::OpenTap;
pub(crate) use topic_rates::TopicRate;

use crate::config::{Config, EffectiveOption};
use crate::http::Health;
use crate::log::LogControl;
use crate::metrics::LastFigures;
use crate::trace::TraceCount;
use crate::worker::{Gate, Mail, Mailboxes, Visit, Worker};
use arc_swap::ArcSwap;
use dunlin_core::identity::{ClientIdentifier, ShardId, partition};
use dunlin_store::CommitFigures;
use owner::Owner;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};
use tokio::sync::oneshot;

/// See the top of the file. A clone is another way to the same broker.
#[derive(Clone)]
pub struct Operations {
    mailboxes: Mailboxes,
    /// Who is let in, and what was refused.
    pub(crate) gate: Arc<Gate>,
    /// Whether clients are served.
    pub(crate) health: Arc<Health>,
    /// How long commits of the store take, if there is one.
    pub(crate) commits: Option<Arc<CommitFigures>>,
    /// What was gathered of the workers last.
    pub(crate) figures: Arc<LastFigures>,
    /// Traces under way.
    pub(crate) traces: TraceCount,
    /// When the broker was started.
    pub(crate) started: Instant,
    /// The same by the calendar.
    pub(crate) started_at: SystemTime,
    /// What is open to clients.
    listeners: Arc<ArcSwap<Vec<OpenListener>>>,
    /// What it was started with.
    pub(crate) started_with: Arc<Config>,
    /// The configuration that was applied last.
    pub(crate) config: Arc<ArcSwap<Config>>,
    /// The log, if whoever has started the broker has given it.
    log: Arc<OnceLock<LogControl>>,
    owner: Arc<Owner>,
}

/// What there is to operate on.
pub(crate) struct Parts {
    pub mailboxes: Mailboxes,
    pub gate: Arc<Gate>,
    pub health: Arc<Health>,
    pub commits: Option<Arc<CommitFigures>>,
    pub config: Config,
}

/// The broker is stopping, and answers no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping;

impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the broker is stopping")
    }
}

impl std::error::Error for Stopping {}

impl Operations {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { mailboxes, gate, health, commits, config } = parts;
        let started_with = Arc::new(config);
        Self {
            mailboxes,
            gate,
            health,
            commits,
            figures: Arc::default(),
            traces: TraceCount::default(),
            started: Instant::now(),
            started_at: SystemTime::now(),
            listeners: Arc::default(),
            config: Arc::new(ArcSwap::new(Arc::clone(&started_with))),
            started_with,
            log: Arc::default(),
            owner: Arc::default(),
        }
    }

    /// Every option as it is in force: what takes a restart is as it was at the start.
    pub fn effective(&self) -> Vec<EffectiveOption> {
        let started = self.started_with.effective();
        let in_force = |option: EffectiveOption| {
            let before = started.iter().find(|before| option.needs_restart && before.name == option.name);
            before.cloned().unwrap_or(option)
        };
        self.config.load().effective().into_iter().map(in_force).collect()
    }

    /// The log of this process, to change its level; none if the broker runs in a program with a log of its own.
    pub fn log(&self) -> Option<&LogControl> {
        self.log.get()
    }

    pub(crate) fn set_log(&self, log: LogControl) {
        // The log of a process never becomes another one.
        drop(self.log.set(log));
    }

    /// What operators want of whoever has started the broker: from now on it arrives here.
    pub fn wishes(&self) -> Wishes {
        self.owner.wishes()
    }

    /// Has whoever has started the broker read things again.
    ///
    /// # Errors
    /// When nobody takes wishes, or when what was read is wrong; then nothing has changed.
    pub async fn reread(&self, reread: Reread) -> Result<Reloaded, Unfulfilled> {
        self.owner.ask(reread).await
    }

    /// How many workers there are.
    pub fn workers_count(&self) -> u16 {
        self.mailboxes.len() as u16
    }

    /// The worker on which the Session of a client lives.
    pub(crate) fn home_of(&self, client: &ClientIdentifier) -> ShardId {
        partition(client.as_str(), self.workers_count())
    }

    /// Has a worker answer a question on its own thread.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        worker: ShardId,
        question: impl FnOnce(&Worker) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        self.post(worker, question)?.await.map_err(|_| Stopping)
    }

    /// Has every worker answer the same question; the answers come in the order of the workers.
    pub(crate) async fn ask_all<T: Send + 'static>(
        &self,
        question: impl Fn(&Worker) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, Stopping> {
        let asked: Result<Vec<_>, _> =
            (0..self.workers_count()).map(|worker| self.post(worker, question.clone())).collect();
        let mut answers = Vec::new();
        for answer in asked? {
            answers.push(answer.await.map_err(|_| Stopping)?);
        }
        Ok(answers)
    }

    /// Has every worker do something, and waits for none of them.
    pub(crate) fn tell_all(&self, deed: impl Fn(&Worker) + Clone + Send + 'static) {
        for worker in 0..self.workers_count() {
            // A worker that has stopped need not be told.
            drop(self.post(worker, deed.clone()));
        }
    }

    fn post<T: Send + 'static>(
        &self,
        worker: ShardId,
        question: impl FnOnce(&Worker) -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, Stopping> {
        let (answer, answered) = oneshot::channel();
        let visit = Visit(Box::new(move |worker| {
            // Whoever asked may have gone.
            drop(answer.send(question(worker)));
        }));
        let mailbox = self.mailboxes.get(usize::from(worker)).ok_or(Stopping)?;
        mailbox.send(Mail::Visit(visit)).map_err(|_| Stopping)?;
        Ok(answered)
    }
}
