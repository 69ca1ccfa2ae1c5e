//! Running a scenario of many Subscriptions: what each costs in memory, and what finding those that match costs.
//!
//! ```text
//! connect --> memory --> subscribe --> memory --> messages alone --> messages beside churn --> alone again
//! ```
//!
//! What is alone is the mean of before and after. Each message goes to a topic of a number that follows from no
//! other, so that nothing which a broker remembers of the last topics helps it much, and makes three deliveries.

use std::time::Instant;

use serde::Serialize;

use crate::Error;
use crate::churn::{self, ChurnFigures};
use crate::filters::{Filters, MATCHES, TOPIC};
use crate::generator::Generator;
use crate::handshake::{Session, Target};
use crate::idle::settled_memory;
use crate::numbered::Numbers;
use crate::process::{Memory, Process};
use crate::publisher::{Limits, Outgoing};
use crate::scenario::Subscriptions;
use crate::traffic::{self, TrafficFigures};

/// What many Subscriptions have cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubscriptionsFigures {
    /// Subscriptions that were made.
    pub subscriptions: u32,
    /// How many were granted per second.
    pub subscribed_per_s: f64,
    /// CPU time of the broker for each, in microseconds.
    pub subscribing_cpu_us: f64,
    /// Resident memory for each, in bytes.
    pub resident_bytes_per_subscription: f64,
    /// The broker's memory with all connections and no Subscription.
    pub memory_before: Memory,
    /// The broker's memory with all Subscriptions.
    pub memory_after: Memory,
    /// Messages alone, before.
    pub before: TrafficFigures,
    /// Messages while Subscriptions come and go.
    pub beside: TrafficFigures,
    /// Messages alone, after. What was lost and repeated in all three is in here.
    pub after: TrafficFigures,
    /// The Subscriptions that came and went.
    pub churn: ChurnFigures,
}

impl SubscriptionsFigures {
    /// A figure beside churn, and the mean of it alone.
    #[must_use]
    pub fn both(&self, figure: impl Fn(&TrafficFigures) -> Option<f64>) -> Option<(f64, f64)> {
        Some((figure(&self.beside)?, f64::midpoint(figure(&self.before)?, figure(&self.after)?)))
    }
}

/// Runs a scenario against the broker that `process` is.
///
/// # Errors
/// When the broker refuses a Subscription, stops delivering, or its process cannot be read.
pub fn run(target: &Target, wanted: &Subscriptions, process: Process) -> Result<SubscriptionsFigures, Error> {
    let filters = Filters { topics: wanted.topics(), connections: wanted.connections };
    let mut holders = Vec::new();
    for index in 0..wanted.connections {
        holders.push(target.connect(&holder(index), Session::Clean)?);
    }
    let memory_before = settled_memory(process)?;
    let (cpu_before, began) = (process.cpu_time()?, Instant::now());
    for (connected, index) in holders.iter_mut().zip(0..) {
        let filters: Vec<_> = filters.of(index).collect();
        connected.subscribe_all(&filters, wanted.qos)?;
    }
    let (subscribed, cpu) = (began.elapsed(), process.cpu_time()?.since(&cpu_before).ran);
    let memory_after = settled_memory(process)?;

    let mut generator = Generator::new(wanted.qos, false)?;
    for (connected, index) in holders.into_iter().zip(0..) {
        generator.adopt_hearer(connected, holder(index), wanted.publishers)?;
    }
    add_publishers(&mut generator, target, wanted)?;
    generator.warm_up(wanted.warm_up_messages)?;
    let mut measure = || traffic::measure(&mut generator, wanted.duration_ms, Some(process));
    let before = measure()?;
    let (beside, churn) = churn::during(target, filters, wanted.churn_per_s, &mut measure)?;
    let after = measure()?;
    let subscriptions = filters.topics * MATCHES;
    let of_each = |sum: f64| sum / f64::from(subscriptions);
    let grown = memory_after.resident_bytes.saturating_sub(memory_before.resident_bytes);
    Ok(SubscriptionsFigures {
        subscriptions,
        subscribed_per_s: f64::from(subscriptions) / subscribed.as_secs_f64(),
        subscribing_cpu_us: of_each(cpu.as_secs_f64() * 1e6),
        resident_bytes_per_subscription: of_each(grown as f64),
        memory_before,
        memory_after,
        before,
        beside,
        after,
        churn,
    })
}

fn add_publishers(generator: &mut Generator, target: &Target, wanted: &Subscriptions) -> Result<(), Error> {
    let outgoing = Outgoing {
        topic: TOPIC,
        numbers: Some(Numbers::Scattered(wanted.topics())),
        retain: false,
        qos: wanted.qos,
        payload_bytes: wanted.payload_bytes,
    };
    let limits =
        Limits { window: u16::MAX, receivers: MATCHES, ahead_max: wanted.ahead_max, messages_max: u64::MAX };
    (0..wanted.publishers)
        .try_for_each(|index| generator.add_publisher(target, &format!("bench-p{index}"), outgoing, limits))
}

fn holder(index: u32) -> String {
    format!("bench-s{index}")
}
