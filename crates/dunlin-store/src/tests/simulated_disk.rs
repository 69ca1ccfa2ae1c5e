//! A disk that does what POSIX allows, and no more.
//!
//! Bytes and names that were synced are kept. Of everything else, a power cut keeps what chance decides: of
//! each write all, nothing, a first part, or some of its sectors; of each change to the directory all or
//! nothing; independently of the order in which they were made. A file that was created and not synced may be
//! shorter than it was.
//!
//! Every call that changes something is counted, and the power can be cut before any of them; the same for
//! calls that are to fail. Faults that would be ours (a sync that does nothing) show that the checks notice.

use super::random::Random;
use crate::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// The unit in which a disk writes.
const SECTOR_BYTES: usize = 512;

/// What is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Call {
    Create,
    Open,
    Read,
    Write,
    Sync,
    Rename,
    Remove,
    SyncDirectory,
    List,
}

impl Call {
    /// Those after which a disk can be another than before.
    pub const CHANGES: [Self; 6] =
        [Self::Create, Self::Write, Self::Sync, Self::Rename, Self::Remove, Self::SyncDirectory];
}

/// A call that fails, and all of its kind after it for as long as `times` says.
#[derive(Clone, Copy, Debug)]
pub struct Failing {
    pub call: Call,
    /// How many of the kind succeed before.
    pub after: usize,
    /// How many fail.
    pub times: usize,
    pub kind: i32,
}

/// What the disk does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Syncs of files do nothing, but for the first so many.
    ForgetSyncsAfter(usize),
    /// Syncs of the directory do nothing.
    ForgetSyncDirectory,
}

/// A file: what a power cut cannot take, and what was done since.
#[derive(Default)]
struct Inode {
    synced: Vec<u8>,
    held: Vec<u8>,
    writes: Vec<(usize, Vec<u8>)>,
}

/// A change to the directory.
#[derive(Clone)]
enum Change {
    Add(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    synced_names: BTreeMap<String, usize>,
    names: BTreeMap<String, usize>,
    changes: Vec<Change>,
    calls: BTreeMap<Call, usize>,
    failing: Option<Failing>,
    fault: Option<Fault>,
    /// The call before which the power goes; from then on nothing works.
    cut_before: Option<usize>,
    is_cut: bool,
    written_bytes: u64,
    /// Bytes that files may take up; none for as many as they like.
    capacity_bytes: Option<u64>,
}

/// See the top of the file. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

pub struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Add(name, inode) => drop(names.insert(name.clone(), *inode)),
        Change::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Change::Remove(name) => drop(names.remove(name)),
    }
}

impl SimulatedDisk {
    /// The power goes before the call with this number.
    pub fn cut_before(self, call: usize) -> Self {
        self.state().cut_before = Some(call);
        self
    }

    /// A disk that does something wrong.
    pub fn with_fault(self, fault: Option<Fault>) -> Self {
        self.state().fault = fault;
        self
    }

    /// Some calls will fail.
    pub fn fail(&self, failing: Failing) {
        self.state().failing = Some(failing);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.failing, state.capacity_bytes) = (None, None);
    }

    /// How many calls there were that change something.
    pub fn changes_count(&self) -> usize {
        self.state().changes_count()
    }

    /// How many calls of a kind there were.
    pub fn calls_count(&self, call: Call) -> usize {
        self.state().count(call)
    }

    /// Files may take up so much.
    pub fn limit(&self, capacity_bytes: u64) {
        self.state().capacity_bytes = Some(capacity_bytes);
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        let state = self.state();
        state.names.values().map(|inode| state.inodes[*inode].held.len() as u64).sum()
    }

    /// Bytes written so far.
    pub fn written_bytes(&self) -> u64 {
        self.state().written_bytes
    }

    /// Whether the power went.
    pub fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    /// The disk as it would be if the power went now and came back: another one, with what chance has left.
    pub fn after_power_cut(&self, random: &mut Random) -> Self {
        let state = self.state();
        let mut names = state.synced_names.clone();
        for change in &state.changes {
            if random.chance(50) {
                apply(&mut names, change);
            }
        }
        let mut inodes = Vec::new();
        for inode in &state.inodes {
            let mut bytes = inode.synced.clone();
            if random.chance(50) {
                bytes.resize(bytes.len().max(inode.held.len()), 0);
            }
            let mut writes: Vec<_> = inode.writes.iter().collect();
            for index in (1..writes.len()).rev() {
                writes.swap(index, random.below(index + 1));
            }
            for (offset, written) in writes {
                keep_some(&mut bytes, *offset, written, random);
            }
            inodes.push(Inode { held: bytes.clone(), synced: bytes, writes: Vec::new() });
        }
        let state = State { inodes, synced_names: names.clone(), names, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The disk as it would be if only the process died: another one, on which nothing more is synced than was.
    pub fn after_crash(&self) -> Self {
        let state = self.state();
        let copy = |inode: &Inode| Inode {
            synced: inode.synced.clone(),
            held: inode.held.clone(),
            writes: inode.writes.clone(),
        };
        let state = State {
            inodes: state.inodes.iter().map(copy).collect(),
            synced_names: state.synced_names.clone(),
            names: state.names.clone(),
            changes: state.changes.clone(),
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].held.clone()
    }

    /// Changes a file behind the log's back.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let inode = state.names[name];
        let inode = &mut state.inodes[inode];
        change(&mut inode.held);
        (inode.synced, inode.writes) = (inode.held.clone(), Vec::new());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Notes a call, and decides whether it fails.
    fn call(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if Call::CHANGES.contains(&call) {
            let number = state.changes_count();
            state.is_cut |= state.cut_before.is_some_and(|cut| number >= cut);
        }
        if state.is_cut {
            return Err(io::Error::other("the power is off"));
        }
        *state.calls.entry(call).or_default() += 1;
        if let Some(failing) = state.failing.as_mut().filter(|failing| failing.call == call) {
            if failing.after > 0 {
                failing.after -= 1;
            } else if failing.times > 0 {
                failing.times -= 1;
                let kind = failing.kind;
                if kind == PANIC {
                    drop(state);
                    panic!("a call of {call:?} was to panic");
                }
                return Err(io::Error::from_raw_os_error(kind));
            }
        }
        Ok(state)
    }
}

/// What is left of a write that was not synced.
fn keep_some(bytes: &mut [u8], offset: usize, written: &[u8], random: &mut Random) {
    let mut keep = |from: usize, to: usize| {
        let end = (offset + to).min(bytes.len());
        if offset + from < end {
            bytes[offset + from..end].copy_from_slice(&written[from..end - offset]);
        }
    };
    match random.below(4) {
        0 => {}
        1 => keep(0, written.len()),
        2 => keep(0, random.below(written.len() + 1)),
        _ => {
            let mut from = 0;
            while from < written.len() {
                // Sectors are those of the file, wherever the write begins.
                let to = (from + SECTOR_BYTES - (offset + from) % SECTOR_BYTES).min(written.len());
                if random.chance(50) {
                    keep(from, to);
                }
                from = to;
            }
        }
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.call(Call::List)?.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, length_bytes: u64) -> io::Result<SimulatedFile> {
        let used_bytes = self.used_bytes();
        let mut state = self.call(Call::Create)?;
        if state.capacity_bytes.is_some_and(|capacity| used_bytes + length_bytes > capacity) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode { held: vec![0; length_bytes as usize], ..Inode::default() });
        let change = Change::Add(name.to_owned(), inode);
        apply(&mut state.names, &change);
        state.changes.push(change);
        Ok(SimulatedFile { disk: self.clone(), inode })
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let inode = self.call(Call::Open)?.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(SimulatedFile { disk: self.clone(), inode })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.call(Call::Rename)?;
        let change = Change::Rename(from.to_owned(), to.to_owned());
        apply(&mut state.names, &change);
        state.changes.push(change);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.call(Call::Remove)?;
        let change = Change::Remove(name.to_owned());
        apply(&mut state.names, &change);
        state.changes.push(change);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.call(Call::SyncDirectory)?;
        if state.fault != Some(Fault::ForgetSyncDirectory) {
            state.synced_names = state.names.clone();
            state.changes.clear();
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("log").join(name)
    }
}

impl DiskFile for SimulatedFile {
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].held.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.disk.call(Call::Read)?;
        let held = state.inodes[self.inode].held.get(offset as usize..).unwrap_or_default();
        let bytes = held.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let failure = self.disk.call(Call::Write).err();
        if failure.as_ref().is_some_and(|error| error.raw_os_error().is_none()) {
            return failure.map_or(Ok(()), Err);
        }
        // A write that fails may have written a part.
        let length = if failure.is_some() { bytes.len() / 2 } else { bytes.len() };
        self.disk.state().write(self.inode, offset as usize, &bytes[..length]);
        failure.map_or(Ok(()), Err)
    }

    fn sync_data(&self) -> io::Result<()> {
        let failure = self.disk.call(Call::Sync).err();
        let mut state = self.disk.state();
        match &failure {
            None if !state.forgets_sync() => state.sync(self.inode),
            // What could not be synced counts as clean, as on Linux: no later sync writes it.
            Some(error) if error.raw_os_error().is_some() => state.inodes[self.inode].writes.clear(),
            _ => {}
        }
        failure.map_or(Ok(()), Err)
    }
}

impl State {
    fn write(&mut self, inode: usize, offset: usize, bytes: &[u8]) {
        self.written_bytes += bytes.len() as u64;
        let inode = &mut self.inodes[inode];
        let end = offset + bytes.len();
        if inode.held.len() < end {
            inode.held.resize(end, 0);
        }
        inode.held[offset..end].copy_from_slice(bytes);
        inode.writes.push((offset, bytes.to_vec()));
    }

    fn count(&self, call: Call) -> usize {
        self.calls.get(&call).copied().unwrap_or_default()
    }

    fn changes_count(&self) -> usize {
        Call::CHANGES.into_iter().map(|call| self.count(call)).sum()
    }

    fn forgets_sync(&self) -> bool {
        matches!(self.fault, Some(Fault::ForgetSyncsAfter(count)) if self.count(Call::Sync) > count)
    }

    fn sync(&mut self, inode: usize) {
        let inode = &mut self.inodes[inode];
        inode.synced.resize(inode.held.len(), 0);
        for (offset, bytes) in std::mem::take(&mut inode.writes) {
            inode.synced[offset..offset + bytes.len()].copy_from_slice(&bytes);
        }
    }
}

pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
/// No error of the disk, but a mistake of whoever calls it.
pub const PANIC: i32 = -1;
