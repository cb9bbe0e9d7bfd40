//! What the log counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the log was opened, and what waits now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalStats {
    /// Writes to a segment; each serves everybody who waited.
    pub commits: u64,
    /// Bytes handed to the files.
    pub bytes_written: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Nanoseconds spent in them.
    pub sync_nanos: u64,
    /// Segments that a failed write or sync poisoned.
    pub failures: u64,
    /// Records appended.
    pub records: u64,
    /// Samples in them.
    pub samples: u64,
    /// Definitions in them.
    pub definitions: u64,
    /// Bytes that wait to be written.
    pub waiting_bytes: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub commits: AtomicU64,
    pub bytes_written: AtomicU64,
    pub syncs: AtomicU64,
    pub sync_nanos: AtomicU64,
    pub failures: AtomicU64,
    pub records: AtomicU64,
    pub samples: AtomicU64,
    pub definitions: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, waiting_bytes: u64) -> WalStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WalStats {
            commits: of(&self.commits),
            bytes_written: of(&self.bytes_written),
            syncs: of(&self.syncs),
            sync_nanos: of(&self.sync_nanos),
            failures: of(&self.failures),
            records: of(&self.records),
            samples: of(&self.samples),
            definitions: of(&self.definitions),
            waiting_bytes,
        }
    }
}
