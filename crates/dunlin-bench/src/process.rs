//! What a process has used, as `/proc` says (Linux): CPU time of all its threads, resident memory and written
//! bytes.
//!
//! CPU time comes from the scheduler's own count in nanoseconds (`schedstat`); a kernel without it gives the
//! count in ticks of 10 ms, which is fine over seconds of a busy process. Time that the kernel spends on a
//! process's system calls is in both; memory that the kernel holds for its sockets is in neither figure of
//! memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde::Serialize;

use crate::Error;

/// The unit of CPU time in `/proc/PID/stat`: Linux shows it in hundredths of a second whatever the kernel's
/// own tick is.
const TICK: Duration = Duration::from_millis(10);

/// A process of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: u32,
}

/// The CPU time of a process, thread by thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuTime {
    by_thread: BTreeMap<u32, Used>,
}

/// What threads have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Time on a core.
    pub ran: Duration,
    /// Time with work to do and no core to do it on; always 0 where the kernel has no `schedstat`.
    pub waited: Duration,
}

/// The memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Everything resident, shared pages included (`Rss`).
    pub resident_bytes: u64,
    /// What nobody else has and what is not in a file: heap and stacks (`Private_Dirty`).
    pub private_dirty_bytes: u64,
}

/// What a process has written, from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Written {
    /// What it caused to go to a disk, in whole pages (`write_bytes`).
    pub disk_bytes: u64,
    /// What it passed to system calls that write, to sockets too (`wchar`); what it sends to those does not count.
    pub passed_bytes: u64,
}

impl Process {
    /// The process with this identifier.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// This process.
    #[must_use]
    pub fn this() -> Self {
        Self::new(std::process::id())
    }

    /// The CPU time its threads have used so far.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn cpu_time(&self) -> Result<CpuTime, Error> {
        let by_thread = self.threads()?.into_iter().filter_map(|thread| {
            let text = fs::read_to_string(format!("/proc/{}/task/{thread}/schedstat", self.pid)).ok()?;
            Some((thread, parse_schedstat(&text)?))
        });
        let by_thread: BTreeMap<_, _> = by_thread.collect();
        if !by_thread.is_empty() {
            return Ok(CpuTime { by_thread });
        }
        let time = parse_stat(&self.read("stat")?).ok_or_else(|| self.unreadable("stat"))?;
        let used = Used { ran: time.user + time.system, waited: Duration::ZERO };
        Ok(CpuTime { by_thread: BTreeMap::from([(self.pid, used)]) })
    }

    /// The part of its CPU time that was not spent in the system, to the tick of 10 ms.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn user_cpu_time(&self) -> Result<Duration, Error> {
        parse_stat(&self.read("stat")?).map(|time| time.user).ok_or_else(|| self.unreadable("stat"))
    }

    /// The memory it holds now.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn memory(&self) -> Result<Memory, Error> {
        parse_smaps_rollup(&self.read("smaps_rollup")?).ok_or_else(|| self.unreadable("smaps_rollup"))
    }

    /// What is resident now (`VmRSS`), in bytes.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn resident_bytes(&self) -> Result<u64, Error> {
        parse_kib(&self.read("status")?, "VmRSS").ok_or_else(|| self.unreadable("status"))
    }

    /// The most that was ever resident (`VmHWM`), in bytes.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn peak_resident_bytes(&self) -> Result<u64, Error> {
        parse_kib(&self.read("status")?, "VmHWM").ok_or_else(|| self.unreadable("status"))
    }

    /// The descriptors it has open now: files, sockets and what else it waits for.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn open_descriptors(&self) -> Result<u64, Error> {
        let directory = format!("/proc/{}/fd", self.pid);
        let entries = fs::read_dir(&directory).map_err(Error::io(format!("read {directory}")))?;
        Ok(entries.count() as u64)
    }

    /// What it has written so far.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn written(&self) -> Result<Written, Error> {
        parse_io(&self.read("io")?).ok_or_else(|| self.unreadable("io"))
    }

    fn threads(&self) -> Result<Vec<u32>, Error> {
        let directory = format!("/proc/{}/task", self.pid);
        let entries = fs::read_dir(&directory).map_err(Error::io(format!("read {directory}")))?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
    }

    fn read(&self, file: &str) -> Result<String, Error> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))
    }

    fn unreadable(&self, file: &str) -> Error {
        Error::Broker(format!("/proc/{}/{file} does not look as expected", self.pid))
    }
}

impl Written {
    /// What was written since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            disk_bytes: self.disk_bytes - earlier.disk_bytes,
            passed_bytes: self.passed_bytes - earlier.passed_bytes,
        }
    }
}

impl CpuTime {
    /// What was used since the process began.
    #[must_use]
    pub fn total(&self) -> Used {
        self.since(&Self::default())
    }

    /// What was used since `earlier`. A thread that ended in between takes its time with it.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Used {
        let mut sum = Used::default();
        for (thread, now) in &self.by_thread {
            let before = earlier.by_thread.get(thread).copied().unwrap_or_default();
            sum.ran += now.ran.saturating_sub(before.ran);
            sum.waited += now.waited.saturating_sub(before.waited);
        }
        sum
    }
}

/// The first two numbers are the time on a core and the time of waiting for one, in nanoseconds.
fn parse_schedstat(text: &str) -> Option<Used> {
    let mut times = text.split_ascii_whitespace().map(|number| number.parse().map(Duration::from_nanos));
    Some(Used { ran: times.next()?.ok()?, waited: times.next()?.ok()? })
}

/// The CPU time of a process as `stat` has it.
#[derive(Debug, PartialEq, Eq)]
struct StatTime {
    user: Duration,
    system: Duration,
}

/// Fields 14 and 15 are user and system time. Field 2 is the program's name, which may hold spaces and
/// parentheses.
fn parse_stat(text: &str) -> Option<StatTime> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut times = after_name.split_ascii_whitespace().skip(11).map(str::parse::<u32>);
    Some(StatTime { user: TICK * times.next()?.ok()?, system: TICK * times.next()?.ok()? })
}

fn parse_smaps_rollup(text: &str) -> Option<Memory> {
    let bytes = |name| parse_kib(text, name);
    Some(Memory { resident_bytes: bytes("Rss")?, private_dirty_bytes: bytes("Private_Dirty")? })
}

/// The line `name: 17 kB`, in bytes.
fn parse_kib(text: &str, name: &str) -> Option<u64> {
    value_of(text, name)?.strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn parse_io(text: &str) -> Option<Written> {
    let number = |name| value_of(text, name)?.parse().ok();
    Some(Written { disk_bytes: number("write_bytes")?, passed_bytes: number("wchar")? })
}

/// What stands behind `name:`.
fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_from_either_count() {
        let used = Used { ran: Duration::from_micros(1500), waited: Duration::from_micros(2) };
        assert_eq!(parse_schedstat("1500000 2000 3\n"), Some(used));
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194560 1 2 3 4 70 30 0 0 20 0 1 0 9 1 2";
        let time = StatTime { user: Duration::from_millis(700), system: Duration::from_millis(300) };
        assert_eq!(parse_stat(stat), Some(time));
        assert_eq!(parse_stat("12 (a"), None);
    }

    #[test]
    fn a_thread_that_is_new_counts_from_nothing() {
        let of = |threads: &[(u32, u64)]| CpuTime {
            by_thread: threads
                .iter()
                .map(|&(thread, ms)| (thread, Used { ran: Duration::from_millis(ms), ..Used::default() }))
                .collect(),
        };
        assert_eq!(of(&[(1, 30), (3, 5)]).since(&of(&[(1, 10), (2, 99)])).ran, Duration::from_millis(25));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "00400000-7ffe r--p 00000000 00:00 0 [rollup]\nRss:                 100 kB\nPss:  90 kB\n\
                    Private_Clean: 1 kB\nPrivate_Dirty:        40 kB\n";
        let memory = Memory { resident_bytes: 102_400, private_dirty_bytes: 40_960 };
        assert_eq!(parse_smaps_rollup(text), Some(memory));
        assert_eq!(parse_smaps_rollup("Rss: 100 kB\n"), None);
        assert_eq!(parse_kib("VmPeak:\t 9 kB\nVmHWM:\t  2 kB\n", "VmHWM"), Some(2048));
    }

    #[test]
    fn written_bytes_are_those_of_the_disk_and_those_of_system_calls() {
        let text =
            "rchar: 1\nwchar: 22\nsyscr: 3\nread_bytes: 4\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n";
        assert_eq!(parse_io(text), Some(Written { disk_bytes: 4096, passed_bytes: 22 }));
    }

    #[test]
    fn this_process_uses_cpu_time_and_memory() {
        let process = Process::this();
        let before = process.cpu_time().unwrap();
        let mut sum = 0_u64;
        while process.cpu_time().unwrap().since(&before).ran < Duration::from_millis(2) {
            sum = std::hint::black_box(sum + 1);
        }
        let memory = process.memory().unwrap();
        assert!(memory.resident_bytes >= memory.private_dirty_bytes && memory.private_dirty_bytes > 0);
        assert!(process.peak_resident_bytes().unwrap() > 0 && process.written().is_ok());
    }

    #[test]
    fn every_open_file_is_a_descriptor() {
        let process = Process::this();
        let files: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(process.open_descriptors().unwrap() >= files.len() as u64 + 3);
    }
}
