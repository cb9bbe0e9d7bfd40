//! Flipped bytes and cut files: never a panic, never a wrong sample, never more lost than what was hit.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use disk::RealDisk;
use testkit::{Fault, Op, SimDisk};
use wal::{Options, ReplaySink, Wal};

use crate::common::{Event, Memory, append, create, deterministic, dir, events_of, is_clean, replay_from};

const HEADER_BYTES: u64 = 8192;

/// A small segment, with what each stretch of it holds.
struct Sample {
    disk: SimDisk,
    parts: Vec<(Range<u64>, Vec<Event>)>,
    len: u64,
}

fn sample() -> Sample {
    let disk = SimDisk::new(1);
    let wal = create(&disk, 0, deterministic());
    let mut parts = Vec::new();
    let mut begin = wal.active_bytes();
    let mut log = |events: Vec<Event>| {
        let end = wal.active_bytes();
        parts.push((begin..end, events));
        begin = end;
    };
    let mut add = |samples: &[(u32, i64, f64)]| {
        append(&wal, samples).unwrap().wait().unwrap();
        log(events_of(samples));
    };
    // The first two define all series.
    add(&[(0, 1000, 1.0), (1, 1000, 0.1), (2, 1000, f64::NAN)]);
    add(&[(3, 1500, 1e9)]);
    add(&[(0, 2000, 5.0), (1, 2000, 0.2), (2, 2003, 7.0), (3, 2003, 1e9 + 5.0)]);
    add(&[(3, 3000, -1.0), (0, 3500, 6.0), (0, 4000, 7.0), (0, 4500, 8.0)]);
    wal.append_tombstone(b"gone").unwrap().wait().unwrap();
    log(vec![Event::Tombstone(b"gone".to_vec())]);
    wal.append_metadata(b"type").unwrap().wait().unwrap();
    log(vec![Event::Metadata(b"type".to_vec())]);
    append(&wal, &[(1, 5000, 0.3)]).unwrap().wait().unwrap();
    log(events_of(&[(1, 5000, 0.3)]));
    let len = wal.active_bytes();
    Sample { disk, parts, len }
}

impl Sample {
    fn all(&self) -> BTreeSet<Event> {
        self.parts.iter().flat_map(|part| part.1.clone()).collect()
    }

    /// What may be missing when this byte is damaged: its part, and samples of the series that it defines.
    fn hit_by(&self, at: u64) -> BTreeSet<Event> {
        let Some(part) = self.parts.iter().position(|part| part.0.contains(&at)) else { return BTreeSet::new() };
        let defined: &[u32] = [&[0, 1, 2][..], &[3]].get(part).copied().unwrap_or(&[]);
        let is_hit = |event: &Event| matches!(event, Event::Sample(series, ..) if defined.contains(series));
        self.all().into_iter().filter(is_hit).chain(self.parts[part].1.clone()).collect()
    }
}

#[test]
fn a_flipped_byte_costs_what_it_hits() {
    let sample = sample();
    let path = dir().join("0000000000000000.log");
    let all = sample.all();
    for at in 0..sample.len {
        for xor in [0x01, 0x80, 0xff] {
            sample.disk.damage(&path, at, xor);
            let (report, events) = replay_from(&sample.disk, 0, 1);
            let found: BTreeSet<Event> = events.iter().cloned().collect();
            assert_eq!(found.len(), events.len(), "twice, byte {at} ^ {xor}");
            assert!(found.is_subset(&all), "invented, byte {at} ^ {xor}: {:?}", found.difference(&all));
            let lost: BTreeSet<Event> = all.difference(&found).cloned().collect();
            assert!(lost.is_subset(&sample.hit_by(at)), "byte {at} ^ {xor}: {lost:?}");
            let told = report.damaged_count + report.torn.len() as u64;
            assert_eq!(told, u64::from(at >= HEADER_BYTES), "byte {at} ^ {xor}: {report:?}");
            sample.disk.damage(&path, at, xor);
        }
    }
}

#[test]
fn a_cut_file_gives_what_stands_before_the_cut() {
    let sample = sample();
    let path = dir().join("0000000000000000.log");
    let mut ends: Vec<u64> = sample.parts.iter().map(|part| part.0.end).collect();
    ends.push(HEADER_BYTES);
    for len in (0..sample.len).rev() {
        if len < HEADER_BYTES && len % 61 != 0 {
            continue;
        }
        sample.disk.truncate(&path, len);
        let (report, events) = replay_from(&sample.disk, 0, 1);
        let whole = |part: &&(Range<u64>, Vec<Event>)| part.0.end <= len;
        let expected: BTreeSet<Event> = sample.parts.iter().filter(whole).flat_map(|part| part.1.clone()).collect();
        assert_eq!(events.into_iter().collect::<BTreeSet<_>>(), expected, "cut at {len}");
        assert_eq!(report.damaged_count, 0, "cut at {len}");
        // A cut between definitions and samples leaves whole records too.
        let may_be_clean = len == 0 || ends.contains(&len) || len < sample.parts[1].0.end;
        assert!(may_be_clean || report.torn.len() == 1, "cut at {len}: {report:?}");
    }
}

#[test]
fn room_for_later_records_is_neither_torn_nor_damaged() {
    let sample = sample();
    let path = dir().join("0000000000000000.log");
    let bytes = sample.disk.contents(&path);
    let room = &bytes[sample.len as usize..];
    assert!(room.len() >= 1 << 12 && room.iter().all(|byte| *byte == 0), "{} bytes of room", room.len());
    assert!(is_clean(&replay_from(&sample.disk.kill(), 0, 1).0));
    // What was being written when the power went lies before the zeros, whole or not.
    let disk = SimDisk::new(3);
    let last = sample.parts.last().expect("there are some").0.clone();
    for written in 0..last.end - last.start {
        let mut torn = bytes.clone();
        torn[(last.start + written) as usize..].fill(0);
        if torn == bytes {
            // The rest of it is zeros anyway.
            continue;
        }
        disk.plant(&path, &torn);
        let (report, events) = replay_from(&disk, 0, 1);
        assert_eq!(report.torn.len(), usize::from(written > 0), "{written} bytes: {report:?}");
        assert!(report.torn.iter().all(|torn| torn.offset == last.start && torn.bytes <= written), "{report:?}");
        assert_eq!((report.damaged_count, events.len()), (0, sample.all().len() - 1), "{written} bytes");
    }
    // Nothing was committed yet.
    disk.plant(&path, &vec![0; 20_000]);
    assert!(is_clean(&replay_from(&disk, 0, 1).0));
}

/// Cuts a file off when the log gives it the first definitions, as if the drive could not read the rest any more.
struct Cutting {
    memory: Memory,
    file: std::fs::File,
    len: u64,
}

impl ReplaySink for Cutting {
    fn define(&self, keys: &mut dyn Iterator<Item = &[u8]>, slots_out: &mut Vec<u32>) {
        self.file.set_len(self.len).expect("it can be cut");
        self.memory.define(keys, slots_out);
    }

    fn samples(&self, slots: &[u32], times: &[i64], values: &[f64]) {
        self.memory.samples(slots, times, values);
    }

    fn tombstone(&self, bytes: &[u8]) {
        self.memory.tombstone(bytes);
    }

    fn metadata(&self, bytes: &[u8]) {
        self.memory.metadata(bytes);
    }
}

#[test]
fn an_end_that_cannot_be_read_is_not_taken_for_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Arc::new(RealDisk::open(folder.path()).expect("it opens"));
    let wal = Wal::create(disk.clone(), dir(), 0, Options::default()).expect("a healthy disk");
    for time in 0..2_000 {
        drop(append(&wal, &[(1, time, time as f64)]).unwrap());
    }
    wal.sync_now().unwrap();
    drop(wal);
    let (report, events) = replay_from(&*disk, 0, 1);
    assert!(is_clean(&report) && events.len() == 2_000, "{report:?}");
    let path = folder.path().join(dir()).join("0000000000000000.log");
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("the segment");
    let sink = Cutting { memory: Memory::default(), file, len: HEADER_BYTES + 4 * 4096 };
    let report = wal::replay(&*disk, &dir(), 0, 1, &sink).expect("a log of this version");
    let left = sink.memory.events().len();
    assert!(left > 0 && left < 2_000, "{left} left");
    assert!(
        report.torn.len() == 1 && report.torn[0].bytes > 4096,
        "all of it, not what is left of a record: {report:?}"
    );
}

#[test]
fn where_no_room_can_be_made_commits_go_on() {
    let disk = SimDisk::new(4);
    disk.inject(Fault::on(Op::Reserve));
    let wal = create(&disk, 0, deterministic());
    let all: Vec<_> = (0..100).map(|time| (1, time, 0.5)).collect();
    all.iter().for_each(|sample| append(&wal, &[*sample]).unwrap().wait().unwrap());
    assert_eq!(disk.count(Op::Reserve), 1, "it is not tried again");
    assert_eq!(disk.contents(dir().join("0000000000000000.log")).len() as u64, wal.active_bytes());
    let (report, events) = replay_from(&disk.cut_power(), 0, 1);
    assert!(is_clean(&report) && events == events_of(&all), "{report:?}");
}

#[test]
fn large_commits_make_no_room() {
    let disk = SimDisk::new(5);
    let wal = create(&disk, 0, deterministic());
    for time in 0..3 {
        let large: Vec<_> =
            (0..20_000).map(|series| (series, time, (f64::from(series) + time as f64).sqrt())).collect();
        append(&wal, &large).unwrap().wait().unwrap();
    }
    assert_eq!(disk.count(Op::Reserve), 0);
}

#[test]
fn a_lost_page_costs_the_records_on_it() {
    let disk = SimDisk::new(2);
    let wal = create(&disk, 0, deterministic());
    let mut ends = Vec::new();
    for time in 0..200_i64 {
        let samples: Vec<_> = (0..50).map(|series| (series, time, series as f64 * 0.1 + time as f64)).collect();
        append(&wal, &samples).unwrap().wait().unwrap();
        ends.push(wal.active_bytes());
    }
    let path = dir().join("0000000000000000.log");
    let (page, bytes) = (16_384, 4096);
    for at in page..page + bytes {
        disk.damage(&path, at, 0xa5);
    }
    let (report, events) = replay_from(&disk, 0, 3);
    let hit = (1..ends.len()).filter(|at| ends[*at] > page && ends[at - 1] < page + bytes).count();
    assert!(hit > 3 && events.len() == (200 - hit) * 50, "{hit} hit, {} left", events.len());
    assert!((1..=hit as u64).contains(&report.damaged_count) && report.torn.is_empty(), "{report:?}");
    assert!(report.damaged.iter().all(|damage| damage.offset + 4096 > page && damage.offset < page + bytes));
}

#[test]
fn damaged_definitions_are_counted_by_their_samples() {
    let sample = sample();
    let path = dir().join("0000000000000000.log");
    // The first record defines three series, which have nine samples.
    sample.disk.damage(&path, HEADER_BYTES + 20, 1);
    let (report, _) = replay_from(&sample.disk, 0, 1);
    assert_eq!((report.damaged_count, report.definitions, report.undefined_samples), (1, 1, 10));
    assert_eq!(report.samples, 3);
}
