//! A long run: a small day goes on for hours while guests come and go, and the broker may not grow.
//!
//! ```text
//! this thread     the day: telemetry QoS 0, state QoS 1 and retained, commands QoS 1, a shared group
//! another         guests: see visits.rs
//! another         Subscriptions that come and go: see churn.rs
//! ```
//!
//! The load is the same all the time, so whatever the broker needs more and more of is growth: see growth.rs. Memory
//! and descriptors have a limit for it; CPU time and latency are shown, because they are the machine's as much as
//! the broker's. Afterwards everybody leaves, and the descriptors have to be those of before, but for a spare file. What
//! was lost or came twice is counted by the day, and ends the visits with an error.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Error;
use crate::churn::{self, ChurnFigures};
use crate::day::{ClassFigures, Clients};
use crate::filters::Filters;
use crate::handshake::Target;
use crate::idle::{settled_memory, wait_until_closed};
use crate::latency::Latency;
use crate::open_files;
use crate::process::{CpuTime, Memory, Process};
use crate::scenario::Day;

mod command;
mod growth;
mod guest;
mod visits;
mod warm_up;

pub use command::SoakArgs;
pub use growth::Growth;
pub use visits::Visits;

/// In half of the run resident memory may grow by this share of what it was, and by [`MEMORY_GROWTH_BYTES`].
const MEMORY_GROWTH_SHARE: f64 = 0.02;
/// What an allocator's working set may move by.
const MEMORY_GROWTH_BYTES: f64 = 1024.0 * 1024.0;
/// Descriptors may be more by this: a guest may be about to leave while another one comes.
const DESCRIPTOR_GROWTH: f64 = 4.0;
/// Afterwards so many may be more than before: Dunlin's store begins with one spare file, and keeps two when it has
/// freed some.
const SPARE_FILES: u64 = 1;
/// Topics of the Subscriptions that come and go.
const CHURN_TOPICS: u32 = 10_000;

/// What is done, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Soak {
    /// How long, in seconds; 4 or more.
    pub duration_s: u32,
    /// How many samples are taken; 4 or more.
    pub samples: u32,
    /// Devices of the day. Each sends telemetry twice a second.
    pub devices: u32,
    /// Visits of guests per second, 1 or more; a visit is up to two connections.
    pub visits_per_s: u32,
    /// Subscriptions that come and go per second, 1 or more.
    pub churn_per_s: u32,
}

/// How the broker was in a part of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoakSample {
    /// The end of that part, in seconds from the beginning.
    pub at_s: f64,
    /// The broker's memory at the end of it.
    pub memory: Memory,
    /// The broker's open descriptors at the end of it.
    pub descriptors: u64,
    /// Messages of the day that were delivered in it.
    pub delivered: u64,
    /// Visits that were made in it.
    pub visits: u64,
    /// CPU time of the broker in it, in seconds, for everything.
    pub broker_cpu_s: f64,
    /// From when a message of the day was due until it had come.
    pub latency: Option<Latency>,
}

/// The broker without its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Alone {
    /// Its memory.
    pub memory: Memory,
    /// Its open descriptors.
    pub descriptors: u64,
}

/// What a long run has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoakFigures {
    /// What was done.
    pub soak: Soak,
    /// The broker before anybody came.
    pub before: Alone,
    /// The broker after everybody had left.
    pub after: Alone,
    /// Part after part of the run.
    pub samples: Vec<SoakSample>,
    /// Resident memory in bytes.
    pub resident_bytes: Growth,
    /// Open descriptors.
    pub descriptors: Growth,
    /// CPU time of the broker for each delivered message of the day, in microseconds, guests included.
    pub broker_cpu_us_per_message: Growth,
    /// The 50th percentile of latency in microseconds.
    pub p50_us: Growth,
    /// The 99th percentile of latency in microseconds.
    pub p99_us: Growth,
    /// What became of the day's messages.
    pub classes: Vec<ClassFigures>,
    /// What guests did.
    pub visits: Visits,
    /// What Subscriptions have met that came and went.
    pub churn: ChurnFigures,
}

impl SoakSample {
    fn broker_cpu_us_per_message(&self) -> f64 {
        self.broker_cpu_s * 1e6 / self.delivered.max(1) as f64
    }
}

impl SoakFigures {
    /// What is wrong, one sentence each.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (what, growth) in [("resident bytes", self.resident_bytes), ("descriptors", self.descriptors)] {
            if !growth.is_within() {
                let Growth { second_quarter, third_quarter, last_quarter, .. } = growth;
                faults.push(format!(
                    "the broker's {what} grew from {second_quarter} over {third_quarter} to {last_quarter}"
                ));
            }
        }
        if self.after.descriptors > self.before.descriptors + SPARE_FILES {
            let (before, after) = (self.before.descriptors, self.after.descriptors);
            faults
                .push(format!("{after} descriptors are open after everybody has left, {before} were before"));
        }
        for ClassFigures { class, lost, repeated, .. } in &self.classes {
            if *lost > 0 || *repeated > 0 {
                faults.push(format!("{lost} messages were lost and {repeated} repeated of {class:?}"));
            }
        }
        faults
    }
}

/// Runs it against the broker that `process` is. `observe` is told of each sample.
///
/// # Errors
/// When the broker refuses, closes a connection, breaks the protocol, or leaves a guest without what it awaits.
pub fn run(
    target: &Target,
    soak: &Soak,
    process: Process,
    observe: impl FnMut(&SoakSample),
) -> Result<SoakFigures, Error> {
    if soak.samples < 4 || soak.duration_s < 4 {
        return Err(Error::Usage("a long run has at least 4 seconds, and 4 samples".to_owned()));
    }
    open_files::make_room(soak.devices)?;
    warm_up::publish_to_many_topics(target)?;
    let before = Alone { memory: settled_memory(process)?, descriptors: process.open_descriptors()? };
    let mut clients = Clients::connect(target, &soak.day(), "dunlin-day/#")?;
    let filters = Filters { topics: CHURN_TOPICS, connections: 3 };
    let ((samples, visits), churn) = churn::during(target, filters, soak.churn_per_s, || {
        visits::during(target, soak.visits_per_s, |pulse| sample(&mut clients, soak, process, pulse, observe))
    })?;
    clients.drain(Instant::now())?;
    clients.arrivals.take_latencies();
    let classes = clients.arrivals.sum_up(clients.sent());
    drop(clients);
    wait_until_closed(process, before.descriptors)?;
    let after = Alone { memory: settled_memory(process)?, descriptors: process.open_descriptors()? };
    sum_up(soak, samples, before, after, classes, visits, churn)
        .ok_or_else(|| Error::Peer("no message came in a whole quarter of the run".to_owned()))
}

/// Lets the day go on and takes the samples.
fn sample(
    clients: &mut Clients,
    soak: &Soak,
    process: Process,
    pulse: &visits::Pulse,
    mut observe: impl FnMut(&SoakSample),
) -> Result<Vec<SoakSample>, Error> {
    let began = Instant::now();
    let whole = Duration::from_secs(soak.duration_s.into());
    clients.time_from(began);
    clients.end_at(began + whole);
    let (mut delivered, mut visits) = (clients.arrivals.delivered(), 0);
    let mut cpu: CpuTime = process.cpu_time()?;
    let mut samples = Vec::new();
    // A guest that failed says why when it is joined.
    while samples.len() < soak.samples as usize && !pulse.has_ended() {
        let end = began + whole * (samples.len() as u32 + 1) / soak.samples;
        clients.go_on_until(end)?;
        let (delivered_now, visits_now) = (clients.arrivals.delivered(), pulse.visits());
        let cpu_now = process.cpu_time()?;
        let sample = SoakSample {
            at_s: began.elapsed().as_secs_f64(),
            memory: process.memory()?,
            descriptors: process.open_descriptors()?,
            delivered: delivered_now - delivered,
            visits: visits_now - visits,
            broker_cpu_s: cpu_now.since(&cpu).ran.as_secs_f64(),
            latency: clients.arrivals.take_latencies().sum_up(),
        };
        (delivered, visits, cpu) = (delivered_now, visits_now, cpu_now);
        observe(&sample);
        samples.push(sample);
    }
    Ok(samples)
}

fn sum_up(
    soak: &Soak,
    samples: Vec<SoakSample>,
    before: Alone,
    after: Alone,
    classes: Vec<ClassFigures>,
    visits: Visits,
    churn: ChurnFigures,
) -> Option<SoakFigures> {
    let growth = |figure: fn(&SoakSample) -> f64, allowed: fn(f64) -> Option<f64>| {
        Growth::of(&samples.iter().map(figure).collect::<Vec<_>>(), allowed)
    };
    let latency = |figure: fn(&Latency) -> f64| {
        let figures: Vec<_> =
            samples.iter().filter_map(|sample| sample.latency.as_ref()).map(figure).collect();
        Growth::of(&figures, |_| None)
    };
    let resident_bytes = growth(
        |sample| sample.memory.resident_bytes as f64,
        |before| Some(before * MEMORY_GROWTH_SHARE + MEMORY_GROWTH_BYTES),
    )?;
    let descriptors = growth(|sample| sample.descriptors as f64, |_| Some(DESCRIPTOR_GROWTH))?;
    let broker_cpu_us_per_message = growth(SoakSample::broker_cpu_us_per_message, |_| None)?;
    let (p50_us, p99_us) = (latency(|latency| latency.p50_us)?, latency(|latency| latency.p99_us)?);
    Some(SoakFigures {
        soak: soak.clone(),
        before,
        after,
        samples,
        resident_bytes,
        descriptors,
        broker_cpu_us_per_message,
        p50_us,
        p99_us,
        classes,
        visits,
        churn,
    })
}

impl Soak {
    fn day(&self) -> Day {
        Day {
            devices: self.devices,
            telemetry_every_ms: 500,
            state_every_ms: 5_000,
            command_every_ms: 10_000,
            workers: 4,
            payload_bytes: 64,
            warm_up_ms: 0,
            duration_ms: u64::from(self.duration_s) * 1_000,
        }
    }
}
