//! Readers against mutations of what the writer wrote.

use std::time::Duration;

use disk::Disk;
use testkit::{Rng, SimDisk, fuzz};

use crate::common::{append, create, deterministic, dir};

const BUDGET: Duration = Duration::from_millis(700);
const HEADER_BYTES: usize = 8192;
const FRAME_BYTES: usize = 16;

/// A segment with every kind of record.
fn segment(seed: u64) -> Vec<u8> {
    let disk = SimDisk::new(seed);
    let wal = create(&disk, 0, deterministic());
    let mut rng = Rng::new(seed);
    for time in 0..6_i64 {
        let samples: Vec<_> = (0..1 + rng.below(9))
            .map(|_| {
                (
                    rng.below(30) as u32,
                    time * 1000 + rng.below(3) as i64,
                    f64::from_bits(rng.next_u64() >> rng.below(64)),
                )
            })
            .collect();
        append(&wal, &samples).unwrap().wait().unwrap();
    }
    wal.append_tombstone(b"tombstone").unwrap().wait().unwrap();
    wal.append_metadata(b"metadata").unwrap().wait().unwrap();
    Disk::read(&disk, &dir().join("0000000000000000.log"), 1 << 20).unwrap()
}

/// Kind and payload of every record.
fn records(segment: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = &segment[HEADER_BYTES..];
    // Zeros are room for later records.
    while let [a, b, c, d, kind, ..] = *left
        && kind > 0
    {
        let end = FRAME_BYTES + u32::from_le_bytes([a, b, c, d]) as usize;
        found.push((kind, left[FRAME_BYTES..end].to_vec()));
        left = &left[end..];
    }
    found
}

fn payloads(kind: u8) -> Vec<Vec<u8>> {
    (0..4).flat_map(|seed| records(&segment(seed))).filter(|record| record.0 == kind).map(|record| record.1).collect()
}

#[test]
fn any_segment_is_survived() {
    let corpus: Vec<Vec<u8>> = (0..4).map(segment).collect();
    fuzz::run("wal-segment", &corpus, BUDGET, wal::fuzz::fuzz_segment);
}

#[test]
fn any_records_are_survived() {
    let framed = |(kind, payload): (u8, Vec<u8>)| {
        let length = (payload.len() as u32).to_le_bytes();
        [&[kind, length[0], length[1], length[2]][..], &payload].concat()
    };
    let corpus: Vec<Vec<u8>> =
        (0..4).map(|seed| records(&segment(seed)).into_iter().flat_map(framed).collect()).collect();
    fuzz::run("wal-records", &corpus, BUDGET, wal::fuzz::fuzz_records);
}

#[test]
fn any_samples_are_survived() {
    fuzz::run("wal-samples", &payloads(2), BUDGET, wal::fuzz::fuzz_samples);
}

#[test]
fn any_definitions_are_survived() {
    fuzz::run("wal-definitions", &payloads(1), BUDGET, wal::fuzz::fuzz_definitions);
}
