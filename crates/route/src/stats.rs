//! What is counted, and how it is told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::hints::drain::Drained;

/// Counters of one node, since the start.
#[derive(Debug, Default)]
pub struct NodeCounters {
    /// Samples that the node has.
    pub rows_sent: AtomicU64,
    /// Bytes of rows that the node has.
    pub bytes_sent: AtomicU64,
    /// Sends that failed.
    pub errors: AtomicU64,
    /// Samples that became hints.
    pub rows_hinted: AtomicU64,
    /// Samples of hints that the node has.
    pub rows_drained: AtomicU64,
    /// Samples of hints that the node refused.
    pub rows_refused: AtomicU64,
    /// Damaged places in hints.
    pub damaged: AtomicU64,
    /// Hints that could not be read or removed.
    pub drain_errors: AtomicU64,
}

impl NodeCounters {
    /// Counts what a drain did.
    pub fn drained(&self, drained: &Drained) {
        self.rows_drained.fetch_add(drained.samples, Relaxed);
        self.rows_refused.fetch_add(drained.refused, Relaxed);
        self.damaged.fetch_add(drained.damaged, Relaxed);
    }
}

/// One node, as `/metrics` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeStats {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub is_reachable: bool,
    /// Whether it said that it takes no rows.
    pub is_read_only: bool,
    /// Whether it lacks rows.
    pub is_catching_up: bool,
    /// Samples that the node has.
    pub rows_sent: u64,
    /// Bytes of rows that the node has.
    pub bytes_sent: u64,
    /// Bytes of rows that are on their way.
    pub sending_bytes: u64,
    /// Sends that failed.
    pub errors: u64,
    /// Samples that became hints.
    pub rows_hinted: u64,
    /// Samples of hints that the node has.
    pub rows_drained: u64,
    /// Samples of hints that the node refused.
    pub rows_refused: u64,
    /// Bytes of hints on disk.
    pub hint_bytes: u64,
    /// Damaged places in hints.
    pub damaged: u64,
    /// Hints that could not be read or removed.
    pub drain_errors: u64,
}

/// A router, as `/metrics` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouterStats {
    /// The nodes, by name.
    pub nodes: Vec<NodeStats>,
    /// The version of the shard map.
    pub map_version: u64,
    /// Series that are remembered.
    pub series: u64,
    /// Bytes that they take.
    pub series_bytes: u64,
    /// Series that were seen for the first time since they were last forgotten.
    pub series_created: u64,
    /// Requests that found no room.
    pub overloaded: u64,
    /// Requests that were not acknowledged because nodes were away.
    pub unavailable: u64,
}
