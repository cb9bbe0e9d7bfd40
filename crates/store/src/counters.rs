//! Counters behind `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use storage_api::{Refusal, Refusals};

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Samples taken.
    pub rows_inserted: AtomicU64,
    /// Rows that came with their key, for their series was not known by id.
    pub keys_received: AtomicU64,
    /// Flushes done.
    pub flushes: AtomicU64,
    /// Merges done.
    pub merges: AtomicU64,
    /// Merges under way.
    pub merges_active: AtomicU64,
    /// Samples rewritten by merges.
    pub merged_samples: AtomicU64,
    /// Samples that were equal or inside a dedup interval.
    pub deduplicated: AtomicU64,
    /// Damaged parts set aside.
    pub quarantined_parts: AtomicU64,
    /// Damaged places in the log.
    pub damaged_records: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Counters {
    /// Counts refused samples.
    pub fn refuse(&self, refused: &Refusals) {
        for (reason, samples) in refused.iter() {
            add(&self.refused[reason as usize], samples);
        }
    }

    /// Samples refused so far.
    pub fn refused(&self) -> Refusals {
        let mut refused = Refusals::default();
        for reason in Refusal::ALL {
            refused.add(*reason, get(&self.refused[*reason as usize]));
        }
        refused
    }
}

/// Adds to a counter.
pub fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Reads a counter.
pub fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
