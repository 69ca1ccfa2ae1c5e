//! Running a scenario of two loads: messages that nobody stores, alone and beside messages that are stored.
//!
//! ```text
//! alone --> beside the stored load --> alone again
//! ```
//!
//! What is alone is the mean of before and after. Each time, throughput is measured with ten pairs at full
//! speed, and then latency with single messages that go round. The stored load has two messages outstanding, so
//! that the disk is always committing and as little as can be of the broker's core goes to it. It comes from a
//! second thread on the generator's core. What the two loads take from each other on both cores, the same
//! broker in memory shows too, with more messages as nothing holds them back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_codec::{PacketType, PublishParts};
use serde::Serialize;

use crate::Error;
use crate::connection::next_frame;
use crate::generator::Generator;
use crate::handshake::{Session, Target};
use crate::latency::{Latencies, Latency};
use crate::process::Process;
use crate::progress::Watch;
use crate::scenario::{Beside, Traffic};
use crate::traffic::{self, Acknowledged, TrafficFigures};

/// How long a single message may take.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);
/// The stored load publishes for so long at a time before it looks whether it shall stop.
const STEP: Duration = Duration::from_millis(5);

/// What a load that is not stored has met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BesideFigures {
    /// Alone, before.
    pub before: RelayedFigures,
    /// Beside the stored load.
    pub beside: RelayedFigures,
    /// Alone, after.
    pub after: RelayedFigures,
    /// What was stored meanwhile.
    pub stored: Acknowledged,
}

/// Throughput and latency of messages that are not stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelayedFigures {
    /// At full speed.
    pub traffic: TrafficFigures,
    /// A single message from publisher to subscriber and the next one.
    pub round_trip: Latency,
}

impl BesideFigures {
    /// A figure beside the stored load, and the mean of it alone.
    pub fn both(&self, figure: impl Fn(&RelayedFigures) -> f64) -> (f64, f64) {
        (figure(&self.beside), f64::midpoint(figure(&self.before), figure(&self.after)))
    }
}

/// Runs a scenario; `process` is the broker's, when it is known.
///
/// # Errors
/// When the broker refuses, closes a connection, breaks the protocol or stops.
pub fn run(
    target: &Target,
    beside: &Beside,
    process: Option<Process>,
    watch: &Watch,
) -> Result<BesideFigures, Error> {
    let relayed = || -> Result<RelayedFigures, Error> {
        Ok(RelayedFigures {
            traffic: traffic::run(target, &beside.relayed, process, watch)?,
            round_trip: round_trips(target, &beside.relayed, Duration::from_millis(beside.round_trips_ms))?,
        })
    };
    let before = relayed()?;
    let (during, stored) = while_storing(target, &beside.stored, relayed)?;
    Ok(BesideFigures { before, beside: during, after: relayed()?, stored })
}

/// Does `work` while the stored load runs in a thread of its own.
fn while_storing<T>(
    target: &Target,
    stored: &Traffic,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<(T, Acknowledged), Error> {
    let mut generator = Generator::connect(target, stored)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let storing = scope.spawn(|| -> Result<Acknowledged, Error> {
            let began = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                generator.publish_until(Instant::now() + STEP)?;
            }
            let messages = generator.acknowledged();
            let messages_per_s = messages as f64 / began.elapsed().as_secs_f64();
            Ok(Acknowledged { messages, messages_per_s, latency: generator.waits() })
        });
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let stored = storing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((done?, stored))
    })
}

/// One message at a time, from a publisher to a subscriber, until `duration` is over.
fn round_trips(target: &Target, traffic: &Traffic, duration: Duration) -> Result<Latency, Error> {
    let topic = format!("dunlin-{}/round", traffic.prefix);
    let mut subscriber = target.connect("bench-round-s", Session::Clean)?;
    subscriber.subscribe(&topic, traffic.qos)?;
    let mut publisher = target.connect("bench-round-p", Session::Clean)?;
    let payload_length = traffic.payload_bytes as usize;
    let mut packet = Vec::new();
    PublishParts { topic: &topic, payload_length, ..PublishParts::default() }
        .encode_head(target.version, &mut packet);
    packet.resize(packet.len() + payload_length, b'x');

    let (mut latencies, mut chunk) = (Latencies::new(), vec![0; 64 * 1024]);
    let (began, mut now) = (Instant::now(), Instant::now());
    while now - began < duration {
        publisher.send(&packet)?;
        let mut arrived = false;
        while !arrived {
            if !subscriber.read_more(&mut chunk, ROUND_TRIP_MAX)? {
                return Err(Error::Peer("a message of QoS 0 to a subscriber that waits was lost".to_owned()));
            }
            let mut rest = &subscriber.unread[..];
            while let Some(frame) = next_frame(&mut rest)? {
                arrived |= frame.packet_type()? == PacketType::Publish;
            }
            subscriber.unread = rest.to_vec();
        }
        let next = Instant::now();
        latencies.record(next - now);
        now = next;
    }
    latencies.sum_up().ok_or_else(|| Error::Usage("round trips need a duration".to_owned()))
}
