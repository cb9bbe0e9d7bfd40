//! Fuzzing entry points: whatever stands in the store's own files and records, reading it ends in an answer or an error.
//!
//! Strategy: the bytes are read as they are and with a checksum that fits, since damage behind one must go no further either.
//!
//! Invariants: nothing panics or asks for memory that the bytes do not justify; what was read and is written again reads the same.

use codec::bytes::Reader;

use crate::{manifest::Manifest, metadata::MetadataTable, tombstone::Tombstone};

/// The bytes of a manifest.
pub fn fuzz_manifest(data: &[u8]) {
    let _ = Manifest::from_bytes(data);
    if let Ok(manifest) = Manifest::from_bytes(&sealed(data)) {
        let again = Manifest::from_bytes(&manifest.to_bytes()).expect("what was written is read");
        assert_eq!(again.parts, manifest.parts);
        assert_eq!(again.to_bytes(), manifest.to_bytes());
    }
}

/// The bytes of the file of metadata, and the same as a record of the log.
pub fn fuzz_metadata(data: &[u8]) {
    let _ = MetadataTable::from_bytes(data);
    let _ = MetadataTable::from_bytes(&sealed(data));
    let _ = MetadataTable::default().replay(data);
}

/// A deletion as the log and the manifest hold it.
pub fn fuzz_tombstone(data: &[u8]) {
    let Ok(tombstone) = Tombstone::read(&mut Reader::new(data)) else { return };
    let mut bytes = Vec::new();
    tombstone.write(&mut bytes);
    let again = Tombstone::read(&mut Reader::new(&bytes)).expect("what was written is read");
    assert_eq!((again.seq, again.tenant, again.range), (tombstone.seq, tombstone.tenant, tombstone.range));
    assert_eq!(again.selector, tombstone.selector);
}

/// The bytes with the checksum of all before it in the place of the last four.
fn sealed(data: &[u8]) -> Vec<u8> {
    let body = data.split_last_chunk::<4>().map_or(data, |(body, _)| body);
    [body, &disk::crc32c(body).to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{MatchOp, Matcher, Selector, Tenant, TimeRange};
    use part::{Effort, PartMeta};
    use storage_api::MetricMetadata;

    use super::*;

    fn tombstone() -> Tombstone {
        let set = vec![Matcher::equal("__name__", "up"), Matcher::new("pod", MatchOp::Regex, "x-(a|b).*")];
        let selector = Selector { any_of: vec![set, vec![Matcher::new("job", MatchOp::NotEqual, "ü")]] };
        Tombstone::new(900, Tenant::new(1, 2), selector, TimeRange::new(-5, 70_000)).expect("it is understood")
    }

    #[test]
    fn files_and_records_of_the_store() {
        let each = Duration::from_millis(700);
        let meta = PartMeta {
            id: 7,
            range: TimeRange::new(1, 1 << 40),
            samples: 300,
            series: 4,
            seq_min: 5,
            seq_max: 600,
            tombstones_applied: 9,
            columns_bytes: 7_000,
            index_bytes: 8_000,
            effort: Effort::Cold,
            dedup_interval_ms: 15_000,
        };
        let manifest = Manifest {
            next_part: 8,
            wal_floor: 3,
            floor_seq: 2,
            parts: vec![meta.clone(), PartMeta { id: 6, ..meta }],
            tombstones: vec![tombstone()],
        };
        let corpus = [Manifest::default().to_bytes(), manifest.to_bytes()];
        testkit::fuzz::run("manifest", &corpus, each, fuzz_manifest);

        let mut record = Vec::new();
        tombstone().write(&mut record);
        testkit::fuzz::run("tombstone", &[record], each, fuzz_tombstone);

        let table = MetadataTable::default();
        let entry = |metric, help| MetricMetadata { metric, kind: "counter", help, unit: "s" };
        let mut record = Vec::new();
        table.update(Tenant::new(3, 4), &[entry("a_total", "what it counts"), entry("b", "ü")], &mut record);
        testkit::fuzz::run("metadata", &[record, table.to_bytes()], each, fuzz_metadata);
    }
}
