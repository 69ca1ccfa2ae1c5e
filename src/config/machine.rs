//! What this machine allows the process: memory and open files.
//!
//! Defaults follow the machine rather than a guess. Everything is read from `/proc` and `/sys`; where these
//! are missing (another system, a sandbox), the answer is `None` and the caller uses the configured bound
//! alone.

use std::fs;
use std::path::Path;

/// Descriptors kept for everything that is not a client's connection: listeners, files, logs, the operations
/// port.
const RESERVED_DESCRIPTORS: u64 = 128;

/// Descriptors of each worker's runtime.
const WORKER_DESCRIPTORS: u64 = 4;

/// The memory this process may use, in bytes: the machine's, or its control group's bound if that is lower.
pub fn memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory_bytes(&text));
    match (machine, control_group_bytes()) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (machine, group) => machine.or(group),
    }
}

/// Raises the soft limit of open files to the hard limit, and returns how many connections that leaves room
/// for beside so many workers.
pub fn connections_max(workers: usize) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let reserved = RESERVED_DESCRIPTORS + WORKER_DESCRIPTORS * workers as u64;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let descriptors = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    descriptors.map_or(u64::MAX, |descriptors| descriptors.saturating_sub(reserved))
}

/// The total in the text of `/proc/meminfo`.
fn total_memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The lowest bound of this process's control group (version 2) and the groups above it.
fn control_group_bytes() -> Option<u64> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    let root = Path::new("/sys/fs/cgroup");
    let own = root.join(group.trim_start_matches('/'));
    let bounds = own.ancestors().take_while(|directory| directory.starts_with(root));
    bounds
        .filter_map(|directory| fs::read_to_string(directory.join("memory.max")).ok()?.trim().parse().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_meminfo_is_read_in_bytes() {
        let text = "MemTotal:       16284 kB\nMemFree:        1 kB\n";
        assert_eq!(total_memory_bytes(text), Some(16284 * 1024));
        assert_eq!(total_memory_bytes("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn this_machine_has_room_for_connections() {
        assert!(connections_max(2) > 0);
    }
}
