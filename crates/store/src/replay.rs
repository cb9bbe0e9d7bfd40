//! What the log gives back after a restart.
//!
//! Definitions become series of the head again, samples rows of the first generation. Nothing is relabeled, limited or dropped on the way: what was acknowledged comes back.
//! Tombstones stand between samples in the order of arrival: all that was loaded before one is cut off from what follows, as it was when the tombstone came.
//!
//! How long a start after a kill takes is decided before, by when the log is flushed: see [`Replay`].

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
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

/// What the log would give if the process ended now.
#[derive(Debug, Clone, Copy)]
pub struct Replay {
    /// Series that are defined in it.
    pub series: u64,
    /// Their samples.
    pub samples: u64,
    /// Threads that read it.
    pub threads: u64,
}

/// What a definition costs: reading its key, its id, its place in the head and in the index. Measured with a million series of 12 labels.
const SERIES_NS: u64 = 2_500;
/// What a sample costs.
const SAMPLE_NS: u64 = 110;

impl Replay {
    /// Whether the replay would take longer than `most`.
    ///
    /// A flush makes the log shorter by samples only, for the next segment defines the same series again. So samples always have half of the time: series that
    /// take all of it would otherwise be flushed for a handful of samples each.
    pub fn takes_longer_than(self, most: Duration) -> bool {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX).saturating_mul(self.threads);
        let for_samples = most.saturating_sub(self.series.saturating_mul(SERIES_NS)).max(most / 2);
        self.samples.saturating_mul(SAMPLE_NS) > for_samples
    }
}

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

/// So many threads read the log.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
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
    let threads = threads();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_fill_the_time_that_series_leave_but_at_least_half_of_it() {
        let fits = |series, samples, threads| {
            let replay = Replay { series, samples, threads };
            !replay.takes_longer_than(Duration::from_secs(3))
        };
        assert!(fits(0, 27_000_000, 1) && !fits(0, 27_500_000, 1));
        assert!(fits(1_000_000, 31_000_000, 2) && !fits(1_000_000, 32_000_000, 2));
        for series in [2_000_000, u64::MAX] {
            assert!(fits(series, 27_000_000, 2) && !fits(series, 27_500_000, 2));
        }
        assert!(fits(u64::MAX, u64::MAX / 300, u64::MAX) && !fits(0, u64::MAX, 1));
    }
}
