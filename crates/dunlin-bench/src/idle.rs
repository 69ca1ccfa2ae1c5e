//! Running a scenario that holds connections: what each costs the broker's process in memory.
//!
//! Memory is read twice, after a few connections and after all of them, each time once it has stopped moving.
//! The difference is divided by the connections in between, so that what a broker allocates once is not in
//! the figure. Each connection subscribes to a topic of its own, as devices do. What the kernel holds for a
//! socket is not counted: it is the same for every broker. Then nothing is said for a while, in which the broker
//! should need no CPU time, and the measured connections are closed, after which its memory should be as before.

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Error;
use crate::handshake::{Connected, Session, Target};
use crate::process::{Memory, Process};
use crate::scenario::Idle;

/// How long the broker may take to close what its clients have closed.
const LEAVING_MAX: Duration = Duration::from_secs(10);
/// Two readings this far apart must agree.
const SETTLING_STEP: Duration = Duration::from_millis(200);
/// Then the last reading counts, settled or not.
const SETTLING_MAX: Duration = Duration::from_secs(5);

/// What idle connections have cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IdleFigures {
    /// The connections that the difference was divided by.
    pub connections: u32,
    /// Resident memory for each, in bytes.
    pub resident_bytes_per_connection: f64,
    /// Private dirty memory (heap and stacks) for each, in bytes.
    pub private_dirty_bytes_per_connection: f64,
    /// The broker's memory with only the warm-up connections.
    pub before: Memory,
    /// The broker's memory with all connections.
    pub after: Memory,
    /// For how long nothing was said then, in seconds.
    pub silent_s: f64,
    /// CPU time of the broker meanwhile, in seconds.
    pub silent_cpu_s: f64,
    /// The broker's memory when only the warm-up connections were left.
    pub left: Memory,
}

/// Runs a scenario against the broker that `process` is.
///
/// # Errors
/// When the broker refuses a connection, or its process cannot be read.
pub fn run(target: &Target, idle: &Idle, process: Process) -> Result<IdleFigures, Error> {
    let mut connections = Vec::new();
    while connections.len() < idle.warm_up_connections as usize {
        connections.push(connect(target, connections.len())?);
    }
    let (before, descriptors_before) = (settled_memory(process)?, process.open_descriptors()?);
    while connections.len() < (idle.warm_up_connections + idle.connections) as usize {
        connections.push(connect(target, connections.len())?);
    }
    let after = settled_memory(process)?;
    let (cpu_before, began) = (process.cpu_time()?, Instant::now());
    thread::sleep(Duration::from_millis(idle.silent_ms));
    let (silent, silent_cpu) = (began.elapsed(), process.cpu_time()?.since(&cpu_before).ran);
    connections.truncate(idle.warm_up_connections as usize);
    wait_until_closed(process, descriptors_before)?;
    let left = settled_memory(process)?;
    let per_connection =
        |before: u64, after: u64| after.saturating_sub(before) as f64 / f64::from(idle.connections.max(1));
    Ok(IdleFigures {
        connections: idle.connections,
        resident_bytes_per_connection: per_connection(before.resident_bytes, after.resident_bytes),
        private_dirty_bytes_per_connection: per_connection(
            before.private_dirty_bytes,
            after.private_dirty_bytes,
        ),
        before,
        after,
        silent_s: silent.as_secs_f64(),
        silent_cpu_s: silent_cpu.as_secs_f64(),
        left,
    })
}

fn connect(target: &Target, index: usize) -> Result<Connected, Error> {
    let mut connected = target.connect(&format!("bench-idle-{index}"), Session::Clean)?;
    connected.subscribe(&format!("dunlin-bench/idle/{index}"), dunlin_codec::QoS::AtMostOnce)?;
    Ok(connected)
}

/// Waits until a broker has closed what its clients have closed, down to so many descriptors, or has had the time
/// for it.
pub(crate) fn wait_until_closed(process: Process, descriptors: u64) -> Result<(), Error> {
    let deadline = Instant::now() + LEAVING_MAX;
    while process.open_descriptors()? > descriptors && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The memory of a process once it has stopped moving.
pub(crate) fn settled_memory(process: Process) -> Result<Memory, Error> {
    let deadline = Instant::now() + SETTLING_MAX;
    let mut memory = process.memory()?;
    loop {
        thread::sleep(SETTLING_STEP);
        let again = process.memory()?;
        if again == memory || Instant::now() > deadline {
            return Ok(again);
        }
        memory = again;
    }
}
