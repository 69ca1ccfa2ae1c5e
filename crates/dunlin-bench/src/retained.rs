//! Running a scenario of Retained Messages: how long a new subscriber of everything waits for all of them, and what
//! memory each takes.

use std::time::Instant;

use dunlin_codec::QoS;
use serde::Serialize;

use crate::Error;
use crate::collector::Collector;
use crate::generator::Generator;
use crate::handshake::{Session, Target};
use crate::idle::settled_memory;
use crate::numbered::Numbers;
use crate::process::Process;
use crate::publisher::{Limits, Outgoing};
use crate::scenario::Retained;

const TOPIC: &str = "dunlin-bench/retained/~~~~~~~~";
const ALL_TOPICS: &str = "dunlin-bench/retained/+";

/// What a new subscriber has met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetainedFigures {
    /// Whether it was a store that was measured.
    pub is_stored: bool,
    /// Retained Messages that were acknowledged.
    pub topics: u32,
    /// How many were acknowledged per second.
    pub retained_per_s: f64,
    /// What each added to the broker's resident memory, in bytes, topic and payload included.
    pub resident_bytes_per_topic: f64,
    /// From SUBSCRIBE to the last of them, in seconds.
    pub delivered_s: f64,
    /// CPU time of the broker for each delivery, in microseconds.
    pub delivering_cpu_us_per_message: f64,
    /// Messages that were acknowledged and did not come.
    pub lost: u64,
    /// Messages that came twice.
    pub repeated: u64,
}

/// Runs a scenario against the broker that `process` is.
///
/// # Errors
/// When the broker refuses a message, stops answering, or its process cannot be read.
pub fn run(target: &Target, retained: &Retained, process: Process) -> Result<RetainedFigures, Error> {
    // Once connected, so that what a broker allocates for its first client is not counted.
    target.connect("bench-s", Session::Clean)?;
    let memory_before = settled_memory(process)?.resident_bytes;
    let began = Instant::now();
    publish(target, retained)?;
    let published = began.elapsed();
    let grown = settled_memory(process)?.resident_bytes as f64 - memory_before as f64;

    let mut collector = Collector::new(retained.topics);
    let mut subscriber = target.connect("bench-s", Session::Clean)?;
    let (cpu_before, began) = (process.cpu_time()?, Instant::now());
    subscriber.subscribe("#", retained.qos)?;
    let delivered = collector.collect(&mut subscriber, u64::from(retained.topics))? - began;
    let cpu = process.cpu_time()?.since(&cpu_before).ran;
    Ok(RetainedFigures {
        is_stored: retained.is_stored,
        topics: retained.topics,
        retained_per_s: f64::from(retained.topics) / published.as_secs_f64(),
        resident_bytes_per_topic: grown / f64::from(retained.topics),
        delivered_s: delivered.as_secs_f64(),
        delivering_cpu_us_per_message: cpu.as_secs_f64() * 1e6 / collector.received.max(1) as f64,
        lost: u64::from(retained.topics) - collector.received,
        repeated: collector.repeated,
    })
}

/// Publishes the Retained Messages and waits until all are acknowledged.
pub(crate) fn publish(target: &Target, retained: &Retained) -> Result<(), Error> {
    let outgoing = Outgoing {
        topic: TOPIC,
        numbers: Some(Numbers::InTurn(retained.topics)),
        retain: true,
        qos: QoS::AtLeastOnce,
        payload_bytes: retained.payload_bytes,
    };
    let limits = Limits::of_absent(retained.window, retained.topics);
    Generator::publisher(target, outgoing, limits)?.publish_all(u64::from(retained.topics))
}

/// Counts the Retained Messages that a broker has, up to `topics`.
pub(crate) fn count(target: &Target, topics: u32) -> Result<u64, Error> {
    let mut collector = Collector::new(topics);
    let mut subscriber = target.connect("bench-s", Session::Clean)?;
    subscriber.subscribe(ALL_TOPICS, QoS::AtLeastOnce)?;
    collector.collect(&mut subscriber, u64::from(topics))?;
    Ok(collector.received)
}
