//! Running a scenario that fills a queue and drains it: rates, memory, and what the broker writes.
//!
//! ```text
//! subscribe and go --> publish N, all acknowledged --> read memory and written bytes --> return, receive N
//! ```

use std::time::Instant;

use dunlin_codec::QoS;
use serde::Serialize;

use crate::Error;
use crate::collector::Collector;
use crate::generator::Generator;
use crate::handshake::{Session, Target};
use crate::idle::settled_memory;
use crate::process::{Process, Used, Written};
use crate::publisher::{Limits, Outgoing};
use crate::scenario::Queue;

const TOPIC: &str = "dunlin-bench/queue";
const SUBSCRIBER: &str = "bench-s";

/// What filling and draining a queue has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueFigures {
    /// Whether it was a store that was measured.
    pub is_stored: bool,
    /// Messages that were acknowledged.
    pub messages: u32,
    /// Messages acknowledged per second while the queue was filled.
    pub filled_per_s: f64,
    /// CPU time of the broker for each of them, in microseconds.
    pub filling_cpu_us_per_message: f64,
    /// What the broker wrote meanwhile.
    pub written: Written,
    /// Bytes it wrote to the disk for each byte of payload.
    pub disk_bytes_per_payload_byte: f64,
    /// Its resident memory with the whole queue.
    pub filled_resident_bytes: u64,
    /// What the queue added to it for each message, beyond the payload; less than nothing where messages are not
    /// kept in memory.
    pub resident_bytes_beyond_payload: f64,
    /// Messages received per second when the subscriber returned, from its CONNECT on.
    pub drained_per_s: f64,
    /// CPU time of the broker for each of those, in microseconds.
    pub draining_cpu_us_per_message: f64,
    /// The most memory that was resident from first to last.
    pub peak_resident_bytes: u64,
    /// Messages that were acknowledged and did not come.
    pub lost: u64,
    /// Messages that came twice.
    pub repeated: u64,
    /// Messages that came after a later one.
    pub late: u64,
}

/// Runs a scenario against the broker that `process` is.
///
/// # Errors
/// When the broker refuses a message, stops answering, or its process cannot be read.
pub fn run(target: &Target, queue: &Queue, process: Process) -> Result<QueueFigures, Error> {
    let mut subscriber = target.connect(SUBSCRIBER, Session::Persistent)?;
    subscriber.subscribe(TOPIC, QoS::AtLeastOnce)?;
    subscriber.begin_disconnect()?;
    subscriber.finish_disconnect()?;

    let messages = u64::from(queue.messages);
    let outgoing = Outgoing {
        topic: TOPIC,
        numbers: None,
        retain: false,
        qos: QoS::AtLeastOnce,
        payload_bytes: queue.payload_bytes,
    };
    let limits = Limits::of_absent(queue.window, queue.messages);
    let mut generator = Generator::publisher(target, outgoing, limits)?;
    let empty_resident_bytes = settled_memory(process)?.resident_bytes;
    let (written_before, cpu_before, filling) = (process.written()?, process.cpu_time()?, Instant::now());
    generator.publish_all(messages)?;
    let (filled, cpu_filled) = (filling.elapsed(), process.cpu_time()?);
    let filled_resident_bytes = settled_memory(process)?.resident_bytes;
    let written = process.written()?.since(&written_before);

    let mut collector = Collector::new(queue.messages);
    let (cpu_draining, draining) = (process.cpu_time()?, Instant::now());
    let mut subscriber = target.connect(SUBSCRIBER, Session::Persistent)?;
    let drained = collector.collect(&mut subscriber, messages)? - draining;
    let cpu_drained = process.cpu_time()?;

    let grown = filled_resident_bytes as f64 - empty_resident_bytes as f64;
    let us_of_each = |used: Used, messages: u64| used.ran.as_secs_f64() * 1e6 / messages.max(1) as f64;
    Ok(QueueFigures {
        is_stored: queue.is_stored,
        messages: queue.messages,
        filled_per_s: messages as f64 / filled.as_secs_f64(),
        filling_cpu_us_per_message: us_of_each(cpu_filled.since(&cpu_before), messages),
        written,
        disk_bytes_per_payload_byte: written.disk_bytes as f64
            / (messages * u64::from(queue.payload_bytes)) as f64,
        filled_resident_bytes,
        resident_bytes_beyond_payload: grown / messages as f64 - f64::from(queue.payload_bytes),
        drained_per_s: collector.received as f64 / drained.as_secs_f64(),
        draining_cpu_us_per_message: us_of_each(cpu_drained.since(&cpu_draining), collector.received),
        peak_resident_bytes: process.peak_resident_bytes()?,
        lost: messages - collector.received,
        repeated: collector.repeated,
        late: collector.late,
    })
}
