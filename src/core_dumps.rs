//! No core dumps: the memory of a broker has the hashes of passwords, private keys and what clients send.
//!
//! A process that is not dumpable leaves no core, wherever the system would send it, and other processes of its user
//! cannot open its `/proc/PID/mem`, `environ` or `maps`, nor trace it; root can. Its limit of core files is 0 too,
//! for systems that know nothing else. Both are the process's, so `dunlin serve` asks for them, and a program that
//! embeds a broker decides for itself.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Rules them out until the process ends.
///
/// # Errors
/// When the system does not let a process do that.
pub fn forbid() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}
