//! What is gathered from the workers, and how.

use super::Census;
use crate::operations::{Operations, Stopping};
use crate::worker::Worker;
use dunlin_codec::QoS;
use dunlin_core::shard::{Counters, DropReason};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Places of the table of Sessions that are counted in one visit: about 0.2 ms.
const CENSUS_PLACES: u32 = 2_000;

/// How old an answer may be.
const RECENT: Duration = Duration::from_secs(1);

/// The last figures, and when they were gathered.
pub(crate) type LastFigures = tokio::sync::Mutex<Option<(Instant, Arc<Figures>)>>;

/// What one worker says.
#[derive(Clone, Debug, Default)]
pub struct WorkerFigures {
    /// What happened.
    pub counters: Counters,
    /// What its Sessions hold.
    pub census: Census,
    /// Connections of clients.
    pub connections: usize,
    /// Shared groups that live there.
    pub groups: usize,
    /// Messages that wait for a member of one of them.
    pub groups_queued: usize,
    /// Their topics, properties and payloads.
    pub groups_queued_bytes: usize,
    /// Retained Messages; every worker has all of them.
    pub retained: usize,
    /// Their memory.
    pub retained_bytes: usize,
    /// Memory of messages that somebody keeps.
    pub message_bytes: usize,
    /// Memory of Sessions.
    pub session_bytes: usize,
    /// CPU time of its thread.
    pub cpu: Duration,
}

/// What all workers say.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// In the order of the workers.
    pub workers: Vec<WorkerFigures>,
}

impl Figures {
    /// Asks all workers, but for what only a walk over the Sessions tells: the census stays empty.
    pub(crate) async fn counted(operations: &Operations) -> Result<Self, Stopping> {
        Ok(Self { workers: operations.ask_all(WorkerFigures::of).await? })
    }

    /// What was gathered within the last second, or is gathered now; who asks meanwhile gets the same.
    pub(crate) async fn recent(operations: &Operations) -> Result<Arc<Self>, Stopping> {
        let mut last = operations.figures.lock().await;
        if let Some((at, figures)) = &*last
            && at.elapsed() < RECENT
        {
            return Ok(Arc::clone(figures));
        }
        let figures = Arc::new(Self::gather(operations).await?);
        *last = Some((Instant::now(), Arc::clone(&figures)));
        Ok(figures)
    }

    /// Asks all workers for everything.
    async fn gather(operations: &Operations) -> Result<Self, Stopping> {
        let Self { mut workers } = Self::counted(operations).await?;
        for (id, figures) in (0..).zip(&mut workers) {
            let mut next = Some(0);
            while let Some(from) = next {
                let counted = operations.ask(id, move |worker| {
                    let mut census = Census::default();
                    let shard = worker.shard.borrow();
                    let next = shard.visit_clients(from, CENSUS_PLACES, |sight| census.count(&sight));
                    (census, next)
                });
                let (census, following) = counted.await?;
                figures.census.add(&census);
                next = following;
            }
        }
        Ok(Self { workers })
    }

    /// What all Sessions hold together.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        self.workers.iter().for_each(|worker| census.add(&worker.census));
        census
    }

    /// Messages dropped for a reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.sum(|counters| counters.dropped_for(reason))
    }

    /// PUBLISH packets of every QoS, from clients or to them.
    pub fn messages(&self, count: fn(&Counters, QoS) -> u64) -> u64 {
        QoS::ALL.into_iter().map(|qos| self.sum(|counters| count(counters, qos))).sum()
    }

    /// Adds up a count of every worker.
    pub fn sum(&self, count: impl Fn(&Counters) -> u64) -> u64 {
        self.workers.iter().map(|worker| count(&worker.counters)).sum()
    }

    /// Adds up what every worker has.
    pub fn total(&self, amount: impl Fn(&WorkerFigures) -> usize) -> usize {
        self.workers.iter().map(amount).sum()
    }

    /// What every worker has, as the first one says it.
    pub fn common(&self, amount: impl Fn(&WorkerFigures) -> usize) -> usize {
        self.workers.first().map_or(0, amount)
    }
}

impl WorkerFigures {
    fn of(worker: &Worker) -> Self {
        let shard = worker.shard.borrow();
        let (groups_queued, groups_queued_bytes) = shard.queued_in_groups();
        let gauge = shard.memory_gauge();
        Self {
            counters: shard.counters().clone(),
            census: Census::default(),
            connections: shard.connections_count(),
            groups: shard.groups_count(),
            groups_queued,
            groups_queued_bytes,
            retained: shard.retained_count(),
            retained_bytes: shard.retained_bytes(),
            message_bytes: gauge.bytes(),
            session_bytes: gauge.session_bytes(),
            cpu: thread_cpu_time(),
        }
    }
}

/// CPU time of the calling thread.
fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
