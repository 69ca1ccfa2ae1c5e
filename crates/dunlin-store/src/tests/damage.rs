//! Files that are not as they were left: what is torn is cut, what is damaged is refused with its place.

use super::material::{SMALL, START, batch, describe, message, queued, session};
use super::random::Random;
use super::simulated_disk::SimulatedDisk;
use crate::frame::{Kind, frames_behind};
use crate::segment;
use crate::{Log, Opened, StoreError, StoreOptions, SyncPolicy, TornTail, open};
use dunlin_core::journal::Segment;
use dunlin_core::message::MemoryGauge;
use std::path::PathBuf;

fn reopen(disk: &SimulatedDisk) -> Result<Opened<SimulatedDisk>, StoreError> {
    open(disk.clone(), SMALL, &[], START)
}

fn refused(disk: &SimulatedDisk) -> String {
    reopen(disk).err().expect("it is damaged").to_string()
}

/// Appends messages `from..to` to the queue of Session 7, one a frame.
fn queue(log: &mut Log<SimulatedDisk>, from: u64, to: u64) {
    for order in from..to {
        let message = message(&MemoryGauge::default(), 0, order, "a/b", &[b'x'; 100]);
        let records = if order == 0 { vec![session(7)] } else { vec![] };
        let records = records.into_iter().chain([queued(7, order, &message)]).collect();
        log.commit(START, [batch(0, order + 1, Segment(1), records)]);
    }
}

/// A disk with the log of so many messages, one a frame, whose process died.
fn disk_with(messages: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    queue(&mut reopen(&disk).unwrap().log, 0, messages);
    disk.after_crash()
}

/// The messages in the queue of Session 7.
fn orders(opened: Opened<SimulatedDisk>) -> Vec<u64> {
    let text = describe(opened.image);
    text.lines().filter_map(|line| line.trim().split(' ').next()?.parse().ok()).collect()
}

/// Where the frames of a segment begin and end.
fn places(disk: &SimulatedDisk, number: u32) -> Vec<(usize, usize, Kind)> {
    let held = segment::read(disk, Segment(number)).unwrap();
    frames_behind(&held.bytes, 0, Segment(number), held.salt)
        .map(|frame| (frame.offset, frame.end(), frame.header.kind))
        .collect()
}

/// Damages the byte there.
fn flip(disk: &SimulatedDisk, number: u32, offset: usize) {
    disk.tamper(&segment::name(Segment(number)), |bytes| bytes[offset] ^= 0x10);
}

#[test]
fn a_frame_at_the_end_that_is_not_whole_is_cut_and_said_and_overwritten() {
    let whole = disk_with(5);
    let (begin, end, _) = places(&whole, 1)[4];
    for offset in [begin + 4, begin + 20, begin + 60, end - 20] {
        let disk = whole.after_crash();
        disk.tamper("0000000001.log", |bytes| bytes[offset..end].fill(0));
        let mut opened = reopen(&disk).unwrap();
        let (path, begin) = (PathBuf::from("log/0000000001.log"), begin as u64);
        match opened.report.torn_tail.take() {
            Some(tail) => assert_eq!(tail, TornTail { path, offset: begin, bytes: end as u64 - begin }),
            // Without a header nothing tells that something was there.
            None => assert!(offset < begin as usize + 44),
        }
        queue(&mut opened.log, 100, 103);
        assert_eq!(orders(reopen(&disk.after_crash()).unwrap()), [0, 1, 2, 3, 100, 101, 102]);
    }
}

#[test]
fn a_store_that_was_left_in_order_has_no_torn_tail() {
    let disk = SimulatedDisk::default();
    let mut opened = reopen(&disk).unwrap();
    queue(&mut opened.log, 0, 100);
    opened.log.stop(START);
    let opened = reopen(&disk).unwrap();
    assert_eq!(opened.report.torn_tail, None);
    assert_eq!(orders(opened).len(), 100);
}

#[test]
fn a_damaged_frame_is_refused_with_file_and_offset_wherever_it_is_but_at_the_very_end() {
    let whole = disk_with(60);
    let segments = segment::list(&whole).unwrap();
    assert!(segments.len() >= 3);
    for Segment(number) in segments {
        let frames = places(&whole, number);
        let is_last = frames.last().is_none_or(|(.., kind)| *kind != Kind::End);
        for (begin, end, _) in frames.iter().take(frames.len() - usize::from(is_last)) {
            for offset in [*begin, begin + 17, end - 9] {
                let disk = whole.after_crash();
                flip(&disk, number, offset);
                let problem = refused(&disk);
                let place = format!("the store is damaged at byte {begin} of log/{number:010}.log: ");
                assert!(problem.starts_with(&place), "{problem}");
                assert!(problem.ends_with("`dunlin store salvage`"), "{problem}");
            }
        }
    }
}

#[test]
fn damage_to_the_last_frame_is_told_from_a_torn_tail_once_the_store_was_left_in_order() {
    let disk = SimulatedDisk::default();
    let mut opened = reopen(&disk).unwrap();
    queue(&mut opened.log, 0, 5);
    opened.log.stop(START);
    let (begin, ..) = places(&disk, 1)[4];
    flip(&disk, 1, begin + 60);
    assert!(refused(&disk).contains(&format!("damaged at byte {begin} of log/0000000001.log")));
}

#[test]
fn a_missing_segment_is_named() {
    let whole = disk_with(100);
    let segments = segment::list(&whole).unwrap().len() as u32;
    for missing in 1..segments {
        let disk = whole.after_crash();
        crate::Disk::remove(&disk, &segment::name(Segment(missing))).unwrap();
        let problem = refused(&disk);
        assert!(problem.contains(&format!("log/{missing:010}.log is missing")), "{problem}");
    }
}

#[test]
fn a_damaged_header_of_a_segment_is_refused() {
    for offset in 0..32 {
        let disk = disk_with(60);
        flip(&disk, 2, offset);
        assert!(refused(&disk).contains("damaged at byte 0 of log/0000000002.log"), "byte {offset}");
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused_by_name() {
    let disk = disk_with(60);
    disk.tamper("0000000002.log", |bytes| {
        bytes[8] = 9;
        let checksum = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
    });
    let problem = refused(&disk);
    assert!(problem.contains("log/0000000002.log was written by a newer Dunlin (format 9)"), "{problem}");
}

#[test]
fn frames_behind_a_cut_are_never_taken_for_what_comes_next() {
    // Nothing was synced, so the frames behind the bad one do not vouch for it.
    let options = StoreOptions { sync: SyncPolicy::Never, ..SMALL };
    let disk = SimulatedDisk::default();
    queue(&mut open(disk.clone(), options, &[], START).unwrap().log, 0, 8);
    let frames = places(&disk, 1);
    flip(&disk, 1, frames[4].0 + 60);
    let mut opened = reopen(&disk).unwrap();
    let bytes = (frames[7].1 - frames[4].0) as u64;
    assert_eq!(opened.report.torn_tail.take().map(|tail| tail.bytes), Some(bytes));
    // As long as the one that was cut, so that the next place is where the sixth frame still is, whole.
    queue(&mut opened.log, 50, 51);
    assert_eq!(places(&disk, 1)[5], frames[5]);
    assert_eq!(orders(reopen(&disk.after_crash()).unwrap()), [0, 1, 2, 3, 50]);
}

#[test]
fn a_payload_that_looks_like_a_frame_is_none() {
    // The sender of a message does not know the salt; a frame of another store is as far as it comes.
    let feigned = disk_with(3).bytes("0000000001.log")[32..].to_vec();
    let disk = disk_with(3);
    let mut opened = reopen(&disk).unwrap();
    for padding in 0..8 {
        let payload = [&vec![0; padding][..], &feigned[..600]].concat();
        let message = message(&MemoryGauge::default(), 0, 9, "a/b", &payload);
        opened.log.commit(START, [batch(0, 9, Segment(1), vec![queued(7, 9, &message)])]);
    }
    let frames: usize = segment::list(&disk).unwrap().iter().map(|it| places(&disk, it.0).len()).sum();
    let ends = segment::list(&disk).unwrap().len() - 1;
    assert_eq!(frames, 3 + 8 + ends);
}

#[test]
fn a_recycled_segment_shows_nothing_of_what_it_was() {
    // Segments of equal frames, so that every old frame is where a new one could be.
    for order in [[1, 2], [2, 1]] {
        let disk = disk_with(70);
        let (first, second) = (segment::name(Segment(order[0])), segment::name(Segment(order[1])));
        let (one, other) = (disk.bytes(&first), disk.bytes(&second));
        let fresh = SimulatedDisk::default();
        for (name, bytes) in [("spare-1", &one), ("spare-2", &other)] {
            crate::Disk::create(&fresh, name, 4096).unwrap();
            fresh.tamper(name, |held| held.copy_from_slice(bytes));
        }
        let mut opened = reopen(&fresh).unwrap();
        for _ in 0..40 {
            queue(&mut opened.log, 0, 1);
            let seen = reopen(&fresh.after_crash()).unwrap();
            assert_eq!(seen.report.torn_tail, None);
            assert_eq!(orders(seen), [0]);
            let after = fresh.after_power_cut(&mut Random::new(1));
            assert_eq!(orders(reopen(&after).unwrap()), [0]);
        }
    }
}
