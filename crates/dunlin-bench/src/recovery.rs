//! Running a scenario of a crash: the broker is killed and started again on what it has stored.
//!
//! The time counts from the start of its process, as operators count it. Afterwards every Session is asked for
//! what waits in it, because a broker that forgets recovers fast.

use dunlin_codec::QoS;
use serde::Serialize;

use crate::Error;
use crate::broker::Running;
use crate::crowd::Crowd;
use crate::disk::space_of;
use crate::generator::Generator;
use crate::handshake::Target;
use crate::numbered::Numbers;
use crate::publisher::{Limits, Outgoing};
use crate::retained;
use crate::scenario::{Recovery, Retained};

const TOPIC: &str = "dunlin-bench/session/~~~~~~~~";

/// What a crash has cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecoveryFigures {
    /// What was acknowledged before the crash.
    pub before: Stock,
    /// What was there after it.
    pub after: Stock,
    /// Bytes of the data directory on its disk when the broker was killed.
    pub stored_bytes: u64,
    /// From the start of the process until its log said that it listens, in seconds.
    pub listening_s: f64,
    /// From the start of the process until it had answered a CONNECT, in seconds.
    pub connected_s: f64,
    /// CPU time of the process by then, in seconds.
    pub cpu_s: f64,
    /// The part of it that was not spent in the system.
    pub user_cpu_s: f64,
    /// Memory that was resident then, in bytes.
    pub resident_bytes: u64,
}

/// What a broker has to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stock {
    /// Messages that wait in Sessions.
    pub messages: u64,
    /// Sessions, each with one Subscription.
    pub sessions: u64,
    /// Retained Messages.
    pub retained: u64,
}

/// Runs a scenario with a broker that was just started with a data directory.
///
/// # Errors
/// When the broker refuses something, stops answering, or does not start again.
pub fn run(recovery: &Recovery, running: &mut Running) -> Result<RecoveryFigures, Error> {
    let target = running.target.clone();
    let crowd = Crowd { target: target.clone(), sessions: recovery.sessions(), topic: TOPIC };
    fill(&target, recovery, &crowd)?;
    running.kill()?;
    let stored_bytes = running.data_directory().map_or(Ok(0), |directory| space_of(&directory))?;

    let again = running.start_again()?;
    let process = running.process.ok_or_else(|| Error::Broker("the broker has no process".to_owned()))?;
    let (cpu, user_cpu, memory) = (process.cpu_time()?, process.user_cpu_time()?, process.memory()?);
    let survivors = crowd.count(Recovery::MESSAGES_OF_A_SESSION)?;
    let sessions = u64::from(crowd.sessions);
    Ok(RecoveryFigures {
        before: Stock { messages: recovery.messages.into(), sessions, retained: sessions },
        after: Stock {
            messages: survivors.messages,
            sessions: survivors.sessions,
            retained: retained::count(&target, crowd.sessions)?,
        },
        stored_bytes,
        listening_s: again.listening.as_secs_f64(),
        connected_s: again.connected.as_secs_f64(),
        cpu_s: cpu.total().ran.as_secs_f64(),
        user_cpu_s: user_cpu.as_secs_f64(),
        resident_bytes: memory.resident_bytes,
    })
}

fn fill(target: &Target, recovery: &Recovery, crowd: &Crowd) -> Result<(), Error> {
    let Recovery { messages, payload_bytes, window } = *recovery;
    crowd.create()?;
    let outgoing = Outgoing {
        topic: TOPIC,
        numbers: Some(Numbers::InTurn(crowd.sessions)),
        retain: false,
        qos: QoS::AtLeastOnce,
        payload_bytes,
    };
    let limits = Limits::of_absent(window, messages);
    Generator::publisher(target, outgoing, limits)?.publish_all(u64::from(messages))?;
    let qos = QoS::AtLeastOnce;
    retained::publish(
        target,
        &Retained { topics: crowd.sessions, payload_bytes, qos, window, is_stored: true },
    )
}

impl Stock {
    /// What of it is not in `after`.
    #[must_use]
    pub fn lost(&self, after: &Self) -> u64 {
        self.messages.saturating_sub(after.messages)
            + self.sessions.saturating_sub(after.sessions)
            + self.retained.saturating_sub(after.retained)
    }
}
