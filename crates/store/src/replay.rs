//! What the log gives back after a restart.
//!
//! Definitions become series of the head again, samples rows of the first generation. Nothing is relabeled, limited or dropped on the way: what was acknowledged comes back.
//! Tombstones stand between samples in the order of arrival: all that was loaded before one is cut off from what follows, as it was when the tombstone came.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use codec::bytes::Reader;
use disk::Disk;
use head::{Head, Loading};
use model::{KeyReader, SeriesId, ValueKind};
use parking_lot::Mutex;
use wal::ReplaySink;

use crate::{
    counters::{Counters, add},
    error::StoreError,
    events::Reporter,
    layout,
    manifest::Manifest,
    metadata::MetadataTable,
    state::OpenGeneration,
    tombstone::Tombstone,
};

/// Takes what the log gives.
pub struct Sink<'a> {
    head: &'a Head,
    generation: &'a OpenGeneration,
    loading: Loading<'a>,
    metadata: &'a MetadataTable,
    seq: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    tombstones: Vec<Arc<Tombstone>>,
    damage: Vec<String>,
}

/// What came of it.
pub struct Replayed {
    /// The next rows get this sequence number.
    pub seq: u64,
    /// Tombstones, in order of arrival.
    pub tombstones: Vec<Arc<Tombstone>>,
    /// The number of the next segment.
    pub next_segment: u64,
}

/// Reads the log from the first segment that counts.
pub fn replay(
    disk: &dyn Disk,
    manifest: &Manifest,
    head: &Head,
    generation: &OpenGeneration,
    metadata: &MetadataTable,
    counters: &Counters,
    report: &Reporter,
) -> Result<Replayed, StoreError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let loading = generation.rows.load(threads);
    let seq = AtomicU64::new(manifest.floor_seq);
    let sink = Sink { head, generation, loading, metadata, seq, found: Mutex::default() };
    let read = wal::replay(disk, Path::new(layout::WAL), manifest.wal_floor, threads, &sink)?;
    sink.loading.end();
    let found = sink.found.into_inner();
    let damage = read.damaged.iter().map(ToString::to_string).chain(found.damage);
    for place in damage {
        add(&counters.damaged_records, 1);
        report.error(format!("a damaged place in the log is skipped: {place}"));
    }
    for place in &read.torn {
        report.info(format!("the log ends in a record that was never finished: {place}"));
    }
    Ok(Replayed {
        seq: sink.seq.into_inner(),
        tombstones: found.tombstones,
        next_segment: read.next_number.max(manifest.wal_floor),
    })
}

impl Sink<'_> {
    fn damage(&self, what: String) {
        self.found.lock().damage.push(what);
    }
}

impl ReplaySink for Sink<'_> {
    fn define(&self, keys: &mut dyn Iterator<Item = &[u8]>, slots: &mut Vec<u32>) {
        let mut reader = KeyReader::default();
        let (mut series, mut broken, mut count) = (Vec::new(), Vec::new(), 0);
        for bytes in keys {
            match reader.read(bytes) {
                Ok(key) => series.push((SeriesId::of(&key), key)),
                Err(error) => {
                    self.damage(format!("a definition: {error}"));
                    broken.push(slots.len() + count);
                }
            }
            count += 1;
        }
        let end = slots.len() + count;
        let found = self.head.find_or_create_many(&self.head.guard(), &series, ValueKind::Float, slots);
        if let Err(error) = found {
            self.damage(format!("a definition: {error}"));
        }
        // Ascending, so that each comes to stand where it stood among the keys.
        for at in broken {
            slots.insert(at.min(slots.len()), wal::NO_SLOT);
        }
        slots.resize(end, wal::NO_SLOT);
    }

    fn samples(&self, slots: &[u32], times: &[i64], values: &[f64]) {
        let seq = self.seq.load(Ordering::Acquire);
        let guard = self.head.guard();
        self.loading.append(&guard, slots, times, values, seq);
    }

    fn tombstone(&self, record: &[u8]) {
        match Tombstone::read(&mut Reader::new(record)) {
            Ok(tombstone) => {
                self.loading.end();
                self.generation.rows.cut();
                self.seq.fetch_max(tombstone.seq, Ordering::AcqRel);
                self.found.lock().tombstones.push(Arc::new(tombstone));
            }
            Err(error) => self.damage(format!("a deletion: {error}")),
        }
    }

    fn metadata(&self, record: &[u8]) {
        if let Err(error) = self.metadata.replay(record) {
            self.damage(format!("metadata: {error}"));
        }
    }
}
