//! What all parts of a running store share.

use std::{
    collections::{HashSet, VecDeque},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use disk::Disk;
use head::Head;
use model::Clock;
use parking_lot::{Condvar, Mutex, RwLock};
use part::{PartMeta, Searches};
use wal::Wal;

use crate::{
    arrivals::Arrivals,
    background::Signals,
    counters::Counters,
    error::StoreError,
    events::Reporter,
    layout,
    limits::SeriesLimit,
    manifest::Manifest,
    metadata::MetadataTable,
    options::Options,
    read_only::ReadOnly,
    returning::Returning,
    state::{OpenGeneration, Shared},
    tombstone::Tombstone,
    versions::Versions,
};

/// The shared insides of a store.
///
/// Locks are taken in this order: `flushing`, `epoch`, `merging`, `published`, `closed`; the picture in `shared` is locked for a moment only, inside of any.
pub struct Inner {
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub options: Options,
    pub report: Reporter,
    pub shared: Shared,
    pub head: Arc<Head>,
    pub wal: Wal,
    /// Held shared by whoever appends, exclusively by whoever starts a new generation or tombstone: so each row is on one side of it, in the log as in memory.
    pub epoch: RwLock<Epoch>,
    /// Generations that wait for their flush, oldest first.
    pub closed: Mutex<VecDeque<ClosedGeneration>>,
    pub published: Mutex<Published>,
    pub next_part: AtomicU64,
    /// Parts that a merge reads.
    pub merging: Mutex<HashSet<u64>>,
    pub merge_done: Condvar,
    /// When rows came in last, for each day.
    pub arrivals: Arrivals,
    /// One flush at a time.
    pub flushing: Mutex<()>,
    /// Snapshots and their numbers.
    pub snapshots: Mutex<u64>,
    /// The hour in which old snapshots were looked for last.
    pub snapshots_hour: AtomicI64,
    pub metadata: MetadataTable,
    pub hourly: SeriesLimit,
    pub daily: SeriesLimit,
    pub versions: Versions,
    /// Series that come back after a start.
    pub returning: RwLock<Option<Arc<Returning>>>,
    /// What selectors mean on parts.
    pub searches: Arc<Searches>,
    pub counters: Counters,
    /// Failures of the log after which a new segment was begun.
    pub healed: AtomicU64,
    pub read_only: ReadOnly,
    pub free_bytes: AtomicU64,
    /// Pages of mapped files that could not be read, as far as that was reported.
    pub unreadable_seen: AtomicU64,
    /// Bytes of samples in memory when they were last counted.
    pub head_bytes_seen: AtomicU64,
    /// With so many threads a start would read the log.
    pub replay_threads: u64,
    pub signals: Signals,
    pub closing: AtomicBool,
    /// Keeps other processes out.
    pub _lock: disk::Lock,
}

/// Where rows go at the moment.
pub struct Epoch {
    /// Rows that are appended get this sequence number.
    pub seq: u64,
    /// The generation that takes them.
    pub generation: Arc<OpenGeneration>,
    /// Records of the log when it was opened.
    pub records: u64,
}

/// A generation that takes no more rows.
#[derive(Clone)]
pub struct ClosedGeneration {
    /// The rows.
    pub generation: Arc<OpenGeneration>,
    /// The last segment of the log with rows of it.
    pub last_segment: u64,
    /// Rows of the segments behind arrived no earlier than this.
    pub next_seq: u64,
}

/// What the manifest says.
#[derive(Debug, Default)]
pub struct Published {
    pub parts: Vec<PartMeta>,
    pub tombstones: Vec<Arc<Tombstone>>,
    pub wal_floor: u64,
    pub floor_seq: u64,
}

impl Inner {
    /// Writes the manifest.
    pub fn publish(&self, published: &mut Published) -> Result<(), StoreError> {
        self.manifest(published).publish(&*self.disk, Path::new(layout::MANIFEST))?;
        Ok(())
    }

    /// The manifest of what is published.
    pub fn manifest(&self, published: &Published) -> Manifest {
        Manifest {
            next_part: self.next_part.load(Ordering::Relaxed),
            wal_floor: published.wal_floor,
            floor_seq: published.floor_seq,
            parts: published.parts.clone(),
            tombstones: published.tombstones.iter().map(|tombstone| Tombstone::clone(tombstone)).collect(),
        }
    }

    /// Whether the store is about to close.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Bytes of samples in memory, of all generations, and what is kept for further ones.
    pub fn head_bytes(&self) -> u64 {
        let rows: usize = self.shared.get().generations.iter().map(|generation| generation.rows.bytes()).sum();
        (rows + self.head.spare_bytes()) as u64
    }

    /// Closes the running generation and starts the next; nothing happens if nothing was logged.
    pub fn rotate(&self) -> Result<(), StoreError> {
        if !self.is_rotation_due(&self.epoch.read()) {
            return Ok(());
        }
        // The file is made while writers go on; what is under the lock waits for no disk.
        self.wal.prepare()?;
        let mut epoch = self.epoch.write();
        if !self.is_rotation_due(&epoch) {
            return Ok(());
        }
        epoch.records = self.wal.stats().records;
        let last_segment = self.wal.rotate()?;
        epoch.seq += 1;
        let next =
            Arc::new(OpenGeneration::new(epoch.generation.number + 1, epoch.seq, self.clock.now_ms(), &self.head));
        self.shared.change(|state| state.generations.push(Arc::clone(&next)));
        let generation = std::mem::replace(&mut epoch.generation, next);
        self.closed.lock().push_back(ClosedGeneration { generation, last_segment, next_seq: epoch.seq });
        self.head.advance_epoch();
        Ok(())
    }

    /// Whether anything was logged since the running generation began, or older segments wait for somebody who lets them go.
    fn is_rotation_due(&self, epoch: &Epoch) -> bool {
        let older_segments = self.wal.bytes() > self.wal.active_bytes() && self.closed.lock().is_empty();
        epoch.generation.rows.rows() > 0 || self.wal.stats().records != epoch.records || older_segments
    }
}
