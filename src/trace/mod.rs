//! Watching one client, one address or some topics live: every packet in and out, decoded, and what was decided.
//!
//! ```text
//!   worker: shard's events (copied bytes) ──> Tracers ──> TraceSender (bounded) ──> whoever watches, as TraceLine
//! ```
//!
//! A trace never slows the broker down for long: there is room for so many lines, what finds none is counted and
//! told, and there are only so many traces at once. Payloads are shown, shortened: who may watch may read.
//! Passwords and authentication data are not.

mod line;
mod packet;
mod tracers;

pub use line::{Happened, TraceLine};
pub use packet::Fields;
pub(crate) use tracers::{Tracers, connected_line};

use crate::lossy::{Got, LossyReceiver, LossySender, lossy_channel};
use crate::operations::{Operations, Stopping};
use dunlin_codec::TopicFilter;
use dunlin_core::identity::ClientIdentifier;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Lines that wait for who watches.
const LINES_MAX: usize = 1024;

/// Traces at once.
const TRACES_MAX: usize = 8;

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceRequest {
    /// One client, connected or not.
    Client(ClientIdentifier),
    /// Every client at this address.
    Address(IpAddr),
    /// Messages whose topics match this filter, whoever sends or gets them.
    Topic(Box<str>),
}

/// Why there is no trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceError {
    /// The broker is stopping.
    Stopping,
    /// There are as many as there may be.
    TooMany,
    /// The topic filter is none.
    Filter(String),
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => Stopping.fmt(f),
            Self::TooMany => write!(f, "there are {TRACES_MAX} traces already: end one of them"),
            Self::Filter(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for TraceError {}

impl From<Stopping> for TraceError {
    fn from(_: Stopping) -> Self {
        Self::Stopping
    }
}

impl TraceRequest {
    /// Watches messages whose topics match a Topic Filter.
    ///
    /// # Errors
    /// When it is none.
    pub fn topic(filter: &str) -> Result<Self, TraceError> {
        match TopicFilter::parse(filter) {
            Ok(_) => Ok(Self::Topic(filter.into())),
            Err(problem) => Err(TraceError::Filter(format!("{filter:?} is no Topic Filter: {problem}"))),
        }
    }
}

/// Traces that there are, over all workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraceCount(Arc<AtomicUsize>);

/// A trace under way. Dropped, it ends.
pub struct Trace {
    number: u64,
    operations: Operations,
    lines: LossyReceiver<TraceLine>,
}

/// What whoever watches gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Something happened.
    Line(Box<TraceLine>),
    /// So many lines were too many.
    Lost(u64),
}

/// One worker's end of a trace.
pub(crate) type TraceSender = LossySender<TraceLine>;

impl Operations {
    /// Begins to watch.
    ///
    /// # Errors
    /// When there are too many traces, or the broker is stopping.
    pub async fn trace(&self, request: TraceRequest) -> Result<Trace, TraceError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let traces = &self.traces.0;
        if traces.fetch_add(1, Ordering::Relaxed) >= TRACES_MAX {
            traces.fetch_sub(1, Ordering::Relaxed);
            return Err(TraceError::TooMany);
        }
        let (sender, lines) = lossy_channel(LINES_MAX);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        // From here on, its end takes back what was begun.
        let trace = Trace { number, operations: self.clone(), lines };
        self.ask_all(move |worker| Tracers::begin(worker, number, request.clone(), sender.clone())).await?;
        Ok(trace)
    }
}

impl Trace {
    /// What comes next; `None` when the broker has stopped.
    pub async fn next(&mut self) -> Option<Seen> {
        self.lines.next().await.map(|got| match got {
            Got::One(line) => Seen::Line(Box::new(line)),
            Got::Lost(count) => Seen::Lost(count),
        })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.operations.traces.0.fetch_sub(1, Ordering::Relaxed);
        let number = self.number;
        self.operations.tell_all(move |worker| Tracers::end(worker, number));
    }
}
