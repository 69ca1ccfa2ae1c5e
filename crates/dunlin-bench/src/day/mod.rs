//! Running a scenario of a small day: many devices, and everything that is done with them, at once.
//!
//! ```text
//! each device  --telemetry, QoS 0-->           dashboard
//!              --state, QoS 1, retained-->     dashboard, one of the workers
//! controller   --command, QoS 1-->             one device, dashboard
//! ```
//!
//! The dashboard subscribes to `#`, the workers are a shared group on the state of all devices. Every kind of
//! message has a schedule of its own, and each way from sender to receiver is a class with figures of its own:
//! what was lost on it, and how long it took from when it was due. So one sees who pays for whom.
//!
//! Who sends and receives is in `clients.rs`, what is sent in `streams.rs`, what arrives in `classes.rs`.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Error;
use crate::handshake::Target;
use crate::latency::Latency;
use crate::process::Process;
use crate::scenario::Day;
use crate::usage::{Meter, Usage};

mod classes;
mod clients;
mod streams;

pub use classes::{Class, ClassFigures};
pub(crate) use clients::Clients;

/// What a small day has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DayFigures {
    /// Messages delivered while it was measured, of all classes.
    pub delivered: u64,
    /// Messages delivered per second.
    pub delivered_per_s: f64,
    /// What became of each class, from first to last.
    pub classes: Vec<ClassFigures>,
    /// From when a message was due until the generator sent it, without those that the broker held back.
    pub lateness: Option<Latency>,
    /// Messages that left late because the broker had not acknowledged enough, or took no more bytes.
    pub held_back: u64,
    /// Messages that never left because of that.
    pub unsent: u64,
    /// What it took.
    pub usage: Usage,
}

impl DayFigures {
    /// CPU time of the broker for each delivered message, in microseconds, when its process is known.
    #[must_use]
    pub fn broker_cpu_us_per_message(&self) -> Option<f64> {
        self.usage.broker_cpu_us_each(self.delivered)
    }
}

/// Runs a scenario; `process` is the broker's, when it is known.
///
/// # Errors
/// When the broker refuses, closes a connection or breaks the protocol.
pub fn run(target: &Target, day: &Day, process: Option<Process>) -> Result<DayFigures, Error> {
    let mut clients = Clients::connect(target, day, "#")?;
    clients.go_on_until(Instant::now() + Duration::from_millis(day.warm_up_ms))?;
    let delivered_before = clients.arrivals.delivered();
    let meter = Meter::begin(process)?;
    clients.time_from(meter.began);
    let end = meter.began + Duration::from_millis(day.duration_ms);
    clients.end_at(end);
    clients.go_on_until(end)?;
    let usage = meter.end()?;
    let delivered = clients.arrivals.delivered() - delivered_before;
    clients.drain(end)?;
    let sent = clients.sent();
    Ok(DayFigures {
        delivered,
        delivered_per_s: delivered as f64 / usage.measured_s,
        classes: clients.arrivals.sum_up(sent),
        lateness: clients.lateness(),
        held_back: clients.held_back(),
        unsent: clients.behind(end),
        usage,
    })
}
