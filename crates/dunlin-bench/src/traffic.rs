//! Running a scenario that moves messages: one thread, one poll, three phases.
//!
//! ```text
//! warm-up --(warm_up_messages delivered)--> measuring --(duration)--> draining --(all there, or silence)--> figures
//! ```
//!
//! CPU time and deliveries are read together at both ends of the measuring phase, so that neither connecting
//! nor draining is in the figures; what is lost is only known after draining. Where messages are stored, it is
//! acknowledgements that count, and how long they take: a broker says with them that a message is safe. With a
//! rate it is messages that were due while it was measured whose latency counts, however late they come: see
//! `schedule.rs`.
//! The thread that does it is in `generator.rs`.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Error;
use crate::course::Sample;
use crate::generator::{Generator, Punctuality};
use crate::handshake::Target;
use crate::latency::Latency;
use crate::process::{CpuTime, Process};
use crate::progress::Watch;
use crate::scenario::{Rate, Traffic};

/// What a run that moves messages has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrafficFigures {
    /// How long was measured, in seconds.
    pub measured_s: f64,
    /// Messages delivered while it was measured.
    pub delivered: u64,
    /// Messages delivered per second.
    pub delivered_per_s: f64,
    /// Where messages are stored: what the broker has acknowledged.
    pub acknowledged: Option<Acknowledged>,
    /// Where messages are due at a fixed rate: how late they came.
    pub scheduled: Option<Scheduled>,
    /// CPU time of the broker's process per delivered (where messages are stored, acknowledged) message in
    /// microseconds, when its process is known.
    pub broker_cpu_us_per_message: Option<f64>,
    /// The share of one core that the broker used; about 1 when it was saturated.
    pub broker_cpu_share: Option<f64>,
    /// The share of the time in which the broker had work and others had its core; 0 on a quiet machine.
    pub broker_wait_share: Option<f64>,
    /// The share of one core that the generator used; below 1 when it was not the limit.
    pub generator_cpu_share: f64,
    /// The share of the time in which the generator had work and others had its core.
    pub generator_wait_share: f64,
    /// Messages published in the whole run.
    pub published: u64,
    /// Deliveries that these should make.
    pub expected: u64,
    /// Deliveries that were made, without repeated ones.
    pub received: u64,
    /// `expected - received`.
    pub lost: u64,
    /// Messages that came twice or, but for shared groups, after a later one of the same publisher.
    pub repeated: u64,
    /// How it went on while it was measured.
    pub course: Vec<Sample>,
}

/// What was acknowledged while it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Acknowledged {
    /// Messages.
    pub messages: u64,
    /// Messages per second.
    pub messages_per_s: f64,
    /// How long a message waited for its acknowledgement; `None` when none came.
    pub latency: Option<Latency>,
}

/// How late messages came that were due at their times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scheduled {
    /// Messages of all publishers together that were due per second.
    pub rate_per_s: u32,
    /// Where this is half of it: messages published per second when nothing but the limits held them back.
    pub saturated_per_s: Option<f64>,
    /// From when a message was due until a subscriber had received it; `None` when nothing was received.
    pub latency: Option<Latency>,
    /// From when a message was due until the generator sent it, without those that the broker held back. It is
    /// part of the latency, and the generator's own.
    pub lateness: Option<Latency>,
    /// Messages that left late because the broker had not acknowledged enough, or took no more bytes.
    pub held_back: u64,
    /// Messages that never left because of that.
    pub unsent: u64,
}

/// Runs a scenario; `process` is the broker's, when it is known, and `watch` is told how it goes on.
///
/// # Errors
/// When the broker refuses, closes a connection, breaks the protocol or stops delivering.
pub fn run(
    target: &Target,
    traffic: &Traffic,
    process: Option<Process>,
    watch: &Watch,
) -> Result<TrafficFigures, Error> {
    if traffic.rate == Some(Rate::HalfOfSaturation) {
        return run_at_half(target, traffic, process, watch);
    }
    let mut generator = Generator::connect(target, traffic)?;
    generator.watched(watch);
    generator.warm_up(traffic.warm_up_messages)?;
    measure(&mut generator, traffic.duration_ms, process)
}

/// Runs it as fast as the limits allow, and then at half of that.
fn run_at_half(
    target: &Target,
    traffic: &Traffic,
    process: Option<Process>,
    watch: &Watch,
) -> Result<TrafficFigures, Error> {
    let saturated = run(target, &Traffic { rate: None, ..traffic.clone() }, process, watch)?;
    let saturated_per_s = match saturated.acknowledged {
        Some(acknowledged) => acknowledged.messages_per_s,
        None => saturated.delivered_per_s * f64::from(traffic.publishers) / traffic.deliveries() as f64,
    };
    let half = (saturated_per_s / 2.0).max(1.0) as u32;
    let mut figures = run(target, &traffic.at_rate(half), process, watch)?;
    if let Some(scheduled) = &mut figures.scheduled {
        scheduled.saturated_per_s = Some(saturated_per_s);
    }
    Ok(figures)
}

/// Measures what flows for so long, and then drains. What was published, expected, received, lost and repeated
/// counts from the generator's beginning.
pub(crate) fn measure(
    generator: &mut Generator,
    duration_ms: u64,
    process: Option<Process>,
) -> Result<TrafficFigures, Error> {
    generator.forget_waits();
    let before = Reading::take(process, generator)?;
    let duration = Duration::from_millis(duration_ms);
    generator.begin_course(duration);
    generator.publish_until(before.at + duration)?;
    let after = Reading::take(process, generator)?;
    let (waits, course) = (generator.waits(), generator.course());
    generator.catch_up()?;
    let punctuality = generator.punctuality();
    generator.drain()?;
    let mut figures = TrafficFigures { course, ..figures(&before, &after, generator) };
    figures.scheduled =
        punctuality.map(|Punctuality { rate_per_s, lateness, held_back, unsent }| Scheduled {
            rate_per_s,
            saturated_per_s: None,
            latency: generator.latency(),
            lateness,
            held_back,
            unsent,
        });
    if let Some(acknowledged) = &mut figures.acknowledged {
        acknowledged.latency = waits;
    }
    Ok(figures)
}

/// What is read together at both ends of the measuring phase.
struct Reading {
    at: Instant,
    received: u64,
    acknowledged: u64,
    broker: Option<CpuTime>,
    generator: CpuTime,
}

impl Reading {
    fn take(process: Option<Process>, generator: &Generator) -> Result<Self, Error> {
        Ok(Self {
            broker: process.map(|process| process.cpu_time()).transpose()?,
            at: Instant::now(),
            received: generator.tally().received,
            acknowledged: generator.acknowledged(),
            generator: Process::this().cpu_time()?,
        })
    }
}

fn figures(before: &Reading, after: &Reading, generator: &Generator) -> TrafficFigures {
    let measured = after.at - before.at;
    let share = |used: Duration| used.as_secs_f64() / measured.as_secs_f64();
    let delivered = after.received - before.received;
    let acknowledged = generator.is_stored().then(|| after.acknowledged - before.acknowledged);
    let counted = acknowledged.unwrap_or(delivered);
    let broker = before.broker.as_ref().zip(after.broker.as_ref()).map(|(before, after)| after.since(before));
    let own = after.generator.since(&before.generator);
    let (expected, tally) = (generator.expected(), generator.tally());
    let received = tally.received - tally.repeated;
    TrafficFigures {
        measured_s: measured.as_secs_f64(),
        delivered,
        delivered_per_s: delivered as f64 / measured.as_secs_f64(),
        acknowledged: acknowledged.map(|messages| Acknowledged {
            messages,
            messages_per_s: messages as f64 / measured.as_secs_f64(),
            latency: None,
        }),
        scheduled: None,
        broker_cpu_us_per_message: broker
            .filter(|_| counted > 0)
            .map(|used| used.ran.as_secs_f64() * 1e6 / counted as f64),
        broker_cpu_share: broker.map(|used| share(used.ran)),
        broker_wait_share: broker.map(|used| share(used.waited)),
        generator_cpu_share: share(own.ran),
        generator_wait_share: share(own.waited),
        published: generator.published(),
        expected,
        received,
        lost: expected.saturating_sub(received),
        repeated: tally.repeated,
        course: Vec::new(),
    }
}
