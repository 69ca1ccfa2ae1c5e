//! The raw loop: records are appended to a file, and committed in groups, by nobody but this thread.
//!
//! It is what a disk gives to a log that has nothing else to do: one write and one `fdatasync` for each group.
//! A broker that commits as many messages at once as are outstanding is measured against it. The file has the
//! size of a segment and is written once before, so that a commit need not record that the file has grown;
//! [`Preparation`] shows what that is worth. At its end the loop goes on at its beginning, as in the next segment.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Error;
use crate::disk::directory_below;
use crate::latency::{Latencies, Latency};
use crate::process::Process;

/// The size of the file.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// How much is written at once before the loop begins.
const PREPARE_BYTES: usize = 1024 * 1024;
/// Commits before the measurement begins.
const WARM_UP_COMMITS: u32 = 10;

/// The raw loop of a disk.
#[derive(Debug, Clone, PartialEq)]
pub struct RawLoop {
    /// Where the file is; it is removed afterwards.
    pub directory: PathBuf,
    /// The size of a record, 1 or more.
    pub record_bytes: u32,
    /// Records in each group, 1 or more.
    pub batch: u32,
    /// How long is measured.
    pub duration: Duration,
    /// What was done to the file before.
    pub preparation: Preparation,
}

/// What was done to a file before records are written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Preparation {
    /// All of it was written: a commit is the records and nothing else.
    Written,
    /// Its space was reserved: a commit also records what is written by now.
    Allocated,
    /// Nothing: a commit also records the new size.
    Growing,
}

/// What a raw loop has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommitFigures {
    /// Records in each commit.
    pub batch: u32,
    /// The size of each record.
    pub record_bytes: u32,
    /// What was done to the file before.
    pub preparation: Preparation,
    /// How long was measured, in seconds.
    pub measured_s: f64,
    /// Commits per second.
    pub commits_per_s: f64,
    /// Records per second.
    pub records_per_s: f64,
    /// How long commits took, the write included.
    pub commit: Latency,
    /// CPU time per record in microseconds, system calls included.
    pub cpu_us_per_record: f64,
    /// The share of the time in which this thread had work and others had its core; 0 on a quiet machine.
    pub wait_share: f64,
}

impl RawLoop {
    /// Runs it.
    ///
    /// # Errors
    /// When the disk is full or refuses, or a group is larger than the file.
    pub fn run(&self) -> Result<CommitFigures, Error> {
        let mut log = Log::create(self)?;
        for _ in 0..WARM_UP_COMMITS {
            log.commit()?;
        }
        let (mut latencies, started, cpu_before) =
            (Latencies::new(), Instant::now(), Process::this().cpu_time()?);
        let mut now = started;
        while now < started + self.duration {
            log.commit()?;
            let committed = Instant::now();
            latencies.record(committed - now);
            now = committed;
        }
        let cpu = Process::this().cpu_time()?.since(&cpu_before);
        let commit =
            latencies.sum_up().ok_or_else(|| Error::Usage("a raw loop needs a duration".to_owned()))?;
        let measured_s = (now - started).as_secs_f64();
        let records = commit.count as f64 * f64::from(self.batch);
        Ok(CommitFigures {
            batch: self.batch,
            record_bytes: self.record_bytes,
            preparation: self.preparation,
            measured_s,
            commits_per_s: commit.count as f64 / measured_s,
            records_per_s: records / measured_s,
            commit,
            cpu_us_per_record: cpu.ran.as_secs_f64() * 1e6 / records,
            wait_share: cpu.waited.as_secs_f64() / measured_s,
        })
    }
}

/// The file, with the group that is written to it again and again.
struct Log {
    file: File,
    preparation: Preparation,
    group: Vec<u8>,
    end: u64,
    commits: u64,
    // Last, so that the file is closed before its directory goes.
    _directory: tempfile::TempDir,
}

impl Log {
    fn create(raw_loop: &RawLoop) -> Result<Self, Error> {
        let group_bytes = u64::from(raw_loop.record_bytes) * u64::from(raw_loop.batch);
        if !(1..=SEGMENT_BYTES).contains(&group_bytes) {
            return Err(Error::Usage(format!("a group of records must have 1 to {SEGMENT_BYTES} bytes")));
        }
        let directory = directory_below(&raw_loop.directory)?;
        let path = directory.path().join("raw.log");
        let file = File::create_new(&path).map_err(Error::io(format!("create {}", path.display())))?;
        let preparation = raw_loop.preparation;
        prepare(&file, preparation).map_err(Error::io(format!("prepare {}", path.display())))?;
        let group = vec![0x5A; group_bytes as usize];
        Ok(Self { file, preparation, group, end: 0, commits: 0, _directory: directory })
    }

    fn commit(&mut self) -> Result<(), Error> {
        if self.end + self.group.len() as u64 > SEGMENT_BYTES {
            self.begin_again().map_err(Error::io("prepare the raw log again"))?;
        }
        // No two groups are the same, in case the disk would notice.
        let stamp = self.commits.to_le_bytes();
        let stamped = stamp.len().min(self.group.len());
        self.group[..stamped].copy_from_slice(&stamp[..stamped]);
        self.file.write_all_at(&self.group, self.end).map_err(Error::io("append to the raw log"))?;
        self.file.sync_data().map_err(Error::io("commit the raw log"))?;
        self.end += self.group.len() as u64;
        self.commits += 1;
        Ok(())
    }

    /// A file that was written stays as it is, as a segment that is used again does; others are as new.
    fn begin_again(&mut self) -> io::Result<()> {
        self.end = 0;
        match self.preparation {
            Preparation::Written => Ok(()),
            Preparation::Allocated | Preparation::Growing => {
                self.file.set_len(0)?;
                prepare(&self.file, self.preparation)
            }
        }
    }
}

fn prepare(file: &File, preparation: Preparation) -> io::Result<()> {
    match preparation {
        Preparation::Written => {
            let zeros = vec![0; PREPARE_BYTES];
            for at in (0..SEGMENT_BYTES).step_by(PREPARE_BYTES) {
                file.write_all_at(&zeros, at)?;
            }
        }
        Preparation::Allocated => {
            rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, SEGMENT_BYTES)?;
        }
        Preparation::Growing => {}
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_loop_counts_its_commits_and_leaves_no_file() {
        let root = tempfile::tempdir().unwrap();
        for preparation in [Preparation::Written, Preparation::Allocated, Preparation::Growing] {
            let raw_loop = RawLoop {
                directory: root.path().to_owned(),
                record_bytes: 1000,
                batch: 5,
                duration: Duration::from_millis(20),
                preparation,
            };
            let figures = raw_loop.run().unwrap();
            assert!(figures.commit.count > 0 && figures.commits_per_s > 0.0, "{figures:?}");
            assert!((figures.records_per_s / figures.commits_per_s - 5.0).abs() < 1e-6, "{figures:?}");
            assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_group_larger_than_the_file_is_refused() {
        let raw_loop = RawLoop {
            directory: std::env::temp_dir(),
            record_bytes: 1 << 20,
            batch: 65,
            duration: Duration::from_millis(1),
            preparation: Preparation::Growing,
        };
        assert!(matches!(raw_loop.run(), Err(Error::Usage(_))));
    }
}
