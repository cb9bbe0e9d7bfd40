//! Entry points for fuzzers: readers of bytes that anybody may have changed. None may panic, hang or take memory that
//! the input does not account for, whatever the bytes.

use std::path::Path;

use disk::Map;

use crate::format::decode::{Columns, Definition, decode_floats};
use crate::format::definitions::DefinitionsDecoder;
use crate::format::{FRAME_BYTES, Frame, HEADER_BYTES, Header, Kind};
use crate::replay::{ReplaySink, replay_one};

/// Reads `data` as a whole segment.
pub fn fuzz_segment(data: &[u8]) {
    read(data);
}

/// Reads `data` as the records of a segment whose checksums are right, so that what the checksums keep out is tried
/// too: a kind, three bytes of length, the payload, and so on.
pub fn fuzz_records(data: &[u8]) {
    let header = Header { number: 1, salt: 1 };
    let mut segment = header.to_bytes();
    let mut left = data;
    while let Some((&[kind, a, b, c], rest)) = left.split_first_chunk() {
        let (payload, rest) = rest.split_at(rest.len().min(u32::from_le_bytes([a, b, c, 0]) as usize));
        let kind = Kind::from_number(kind % 5).unwrap_or(Kind::Floats);
        let frame = Frame::of(kind, payload).to_bytes(header.salt, segment.len() as u64);
        segment.extend_from_slice(&frame);
        segment.extend_from_slice(payload);
        left = rest;
    }
    read(&segment);
}

/// Reads `data` as the payload of a record of samples.
pub fn fuzz_samples(data: &[u8]) {
    let definition = |slot: u32| (slot % 8 != 7).then_some(Definition { base: u64::from(slot) << 50, target: slot });
    let mut columns = Columns::default();
    if decode_floats(data, definition, &mut columns).is_ok() {
        assert_eq!(columns.slots.len(), columns.times.len());
        assert_eq!(columns.slots.len(), columns.values.len());
    }
}

/// Reads `data` as the payload of a record of definitions.
pub fn fuzz_definitions(data: &[u8]) {
    let mut definitions = Vec::new();
    let mut define = |keys: &mut dyn Iterator<Item = &[u8]>, slots: &mut Vec<u32>| slots.extend(keys.map(|_| 0));
    // Refused or read, both are fine.
    let _ = DefinitionsDecoder::new().decode(data, &mut define, &mut definitions);
    assert!(definitions.len() <= crate::DEFINITIONS_PER_RECORD_MAX);
}

fn read(segment: &[u8]) {
    let report = replay_one(Path::new("segment"), &Map::from(segment.to_vec()), &Nobody);
    let records_max = segment.len().saturating_sub(HEADER_BYTES) / FRAME_BYTES;
    assert!(report.is_none_or(|report| report.records as usize <= records_max), "more records than fit");
}

/// A sink that looks at what it gets and keeps nothing.
struct Nobody;

impl ReplaySink for Nobody {
    fn define(&self, keys: &mut dyn Iterator<Item = &[u8]>, slots_out: &mut Vec<u32>) {
        slots_out.extend(keys.map(|key| key.len() as u32));
    }

    fn samples(&self, slots: &[u32], times: &[i64], values: &[f64]) {
        assert!(!slots.is_empty() && slots.len() == times.len() && slots.len() == values.len());
    }

    fn tombstone(&self, _: &[u8]) {}

    fn metadata(&self, _: &[u8]) {}
}
