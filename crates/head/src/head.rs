//! The head: what rows mean, and the series that they belong to.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use index::HeadIndex;
use model::{KeyBuilder, LabelError, SHARDS, SeriesId, SeriesKey, ValueKind};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use storage_api::{Batch, Refusal, Resolved};

use crate::{
    AdmitAll, Generation, NewSeriesGate, ResolvedRow, SLOTS_MAX, SlotGuard,
    encodings::{Encodings, Lookup},
    epochs::Epochs,
    series::{Found, SeriesMap},
    slots::Slots,
    tail_pool::TailPool,
};

/// What a head is given.
#[derive(Clone)]
pub struct HeadOptions {
    /// Random bytes, made once for each data folder: the key of the hash of label bytes.
    pub secret: [u8; 32],
    /// So many encodings are remembered.
    pub encodings_max: usize,
    /// Whether series are looked for by selectors. If not, the index knows their keys only.
    pub is_searched: bool,
}

/// The series in memory, and what label bytes mean. All methods may be called from many threads at once.
#[derive(Debug)]
pub struct Head {
    encodings: Encodings,
    series: SeriesMap,
    epochs: Epochs,
    idle: Mutex<Idle>,
    series_created: AtomicU64,
    /// Rows whose label bytes were looked for.
    encodings_asked: AtomicU64,
    /// Rows whose label bytes were not known.
    encodings_missed: AtomicU64,
    /// Memory that the tails of all generations share.
    pool: Arc<TailPool>,
}

/// Series that the next eviction takes if nobody writes them.
#[derive(Debug, Default)]
struct Idle {
    /// When they were looked for.
    since: u32,
    /// Those that had no rows in memory then, and were not written in that epoch.
    slots: RoaringBitmap,
}

/// Buffers of [`Head::resolve`], used again from batch to batch.
#[derive(Debug, Default)]
pub struct ResolveScratch {
    lookup: Lookup,
    labels: KeyBuilder,
    key: SeriesKey,
    other_key: SeriesKey,
    /// Rows whose outcome holds only now.
    passing: Vec<u32>,
}

/// A [`SlotGuard`] that shares the head instead of borrowing it.
#[derive(Debug)]
#[must_use = "slot numbers are only safe to carry while the pin lives"]
pub struct Pin {
    head: Arc<Head>,
    epoch: u32,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.head.epochs.leave(self.epoch);
    }
}

/// No slot is left: the head holds [`SLOTS_MAX`] series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadFull;

impl fmt::Display for HeadFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot take a new series: memory holds {SLOTS_MAX} already")
    }
}

impl std::error::Error for HeadFull {}

/// What an eviction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evicted {
    /// Series that left memory.
    pub series: usize,
    /// Slots that were freed, now or earlier, and can be given out from now on.
    pub slots_released: usize,
}

/// Memory by purpose, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeadBytes {
    /// What label bytes mean.
    pub encodings: usize,
    /// Slots and the map from id to slot.
    pub series: usize,
    /// Keys and their index.
    pub index: usize,
}

impl HeadBytes {
    /// All of it.
    pub fn total(self) -> usize {
        self.encodings + self.series + self.index
    }
}

impl Head {
    /// An empty head.
    pub fn new(options: &HeadOptions) -> Self {
        Self {
            encodings: Encodings::new(&options.secret, options.encodings_max),
            series: SeriesMap::new(if options.is_searched { HeadIndex::new() } else { HeadIndex::of_keys() }),
            epochs: Epochs::new(),
            idle: Mutex::default(),
            series_created: AtomicU64::new(0),
            encodings_asked: AtomicU64::new(0),
            encodings_missed: AtomicU64::new(0),
            pool: Arc::default(),
        }
    }

    /// Whoever holds slot numbers holds a guard: an insert from [`resolve`](Self::resolve) until its rows are appended, a query from its search to
    /// its last read. A guard that lives for long holds back evictions.
    pub fn guard(&self) -> SlotGuard<'_> {
        self.epochs.guard()
    }

    /// A guard that needs no borrow: for a query that hands out its series one by one.
    pub fn pin(self: &Arc<Self>) -> Pin {
        Pin { epoch: self.epochs.enter(), head: Arc::clone(self) }
    }

    /// A generation for the rows of the series that are there, and some more.
    pub fn new_generation(&self) -> Generation {
        Generation::sharing(self.series.slots().taken(), &self.pool)
    }

    /// Memory that sealed samples left and that the next ones will take.
    pub fn spare_bytes(&self) -> usize {
        self.pool.bytes()
    }

    /// Says of each row of the batch which series it belongs to. Series that the head does not have are asked of the gate and enter it, and are
    /// searchable when this returns. The spans of the batch must lie inside its bytes.
    pub fn resolve<'s>(
        &self,
        guard: &SlotGuard<'_>,
        batch: &Batch<'_>,
        scratch: &'s mut ResolveScratch,
        gate: &dyn NewSeriesGate,
    ) -> Result<&'s [ResolvedRow], HeadFull> {
        assert!(guard.belongs_to(&self.epochs), "BUG: a guard of another head");
        let epoch = guard.epoch();
        let slots = self.series.slots();
        let hasher = self.encodings.hasher(batch.tenant, batch.encoding.generation(), batch.encoding.scope());
        self.encodings.look_up(hasher, batch.bytes, batch.series, epoch, slots, &mut scratch.lookup);
        self.encodings_asked.fetch_add(batch.series.len() as u64, Relaxed);
        if !scratch.lookup.missed.is_empty() {
            self.encodings_missed.fetch_add(scratch.lookup.missed.len() as u64, Relaxed);
            self.resolve_missed(epoch, batch, scratch, gate)?;
            let ResolveScratch { lookup, passing, .. } = &mut *scratch;
            self.encodings.remember(lookup, epoch, |row| passing.binary_search(&row).is_err());
        }
        Ok(&scratch.lookup.rows)
    }

    /// The slow way, for rows whose label bytes were never seen. Holds no lock but that of one series' shard at a time.
    fn resolve_missed(
        &self,
        epoch: u32,
        batch: &Batch<'_>,
        scratch: &mut ResolveScratch,
        gate: &dyn NewSeriesGate,
    ) -> Result<(), HeadFull> {
        let ResolveScratch { lookup, labels, key, other_key, passing } = scratch;
        passing.clear();
        for missed in &lookup.missed {
            let row = &batch.series[missed.row as usize];
            let bytes = &batch.bytes[row.labels_start as usize..][..row.labels_len as usize];
            labels.clear();
            let resolved = match batch.encoding.resolve(bytes, labels) {
                Resolved::Drop => ResolvedRow::Drop,
                Resolved::Refuse(reason) => ResolvedRow::Refuse(reason),
                Resolved::Keep => match labels.build_into(batch.tenant, key) {
                    Err(error) => ResolvedRow::Refuse(refusal(&error)),
                    Ok(()) => match self.find_or_create_in(epoch, key, row.kind, gate, other_key)? {
                        Ok(slot) => ResolvedRow::Slot(slot),
                        Err(reason) => {
                            passing.push(missed.row);
                            ResolvedRow::Refuse(reason)
                        }
                    },
                },
            };
            lookup.rows[missed.row as usize] = resolved;
        }
        Ok(())
    }

    pub(crate) fn find_or_create_in(
        &self,
        epoch: u32,
        key: &SeriesKey,
        kind: ValueKind,
        gate: &dyn NewSeriesGate,
        other_key: &mut SeriesKey,
    ) -> Result<Result<u32, Refusal>, HeadFull> {
        match self.series.find_or_create(SeriesId::of(key), key, kind, epoch, gate, other_key) {
            Found::Known(slot) => Ok(Ok(slot)),
            Found::Created(slot) => {
                self.series_created.fetch_add(1, Relaxed);
                Ok(Ok(slot))
            }
            Found::Refused(reason) => Ok(Err(reason)),
            Found::Full => Err(HeadFull),
        }
    }

    pub(crate) fn slots(&self) -> &Slots {
        self.series.slots()
    }

    pub(crate) fn find_one(&self, epoch: u32, id: SeriesId) -> Option<u32> {
        self.series.find_one(id, epoch)
    }

    /// The slot of a series that needs no permission, as when the log is replayed.
    pub fn find_or_create(&self, guard: &SlotGuard<'_>, key: &SeriesKey, kind: ValueKind) -> Result<u32, HeadFull> {
        assert!(guard.belongs_to(&self.epochs), "BUG: a guard of another head");
        let found = self.find_or_create_in(guard.epoch(), key, kind, &AdmitAll, &mut SeriesKey::default())?;
        Ok(found.expect("BUG: a gate that admits all refused"))
    }

    /// Adds the slots of many series that need no permission to `out`; those that no slot is left for get none.
    pub fn find_or_create_many(
        &self,
        guard: &SlotGuard<'_>,
        series: &[(SeriesId, SeriesKey)],
        kind: ValueKind,
        out: &mut Vec<u32>,
    ) -> Result<(), HeadFull> {
        assert!(guard.belongs_to(&self.epochs), "BUG: a guard of another head");
        let created = self.series.find_or_create_many(series, kind, guard.epoch(), out);
        self.series_created.fetch_add(created.ok_or(HeadFull)? as u64, Relaxed);
        Ok(())
    }

    /// Starts the next epoch. The store does when a new generation takes the place of the running one.
    pub fn advance_epoch(&self) {
        self.epochs.advance();
    }

    /// Evicts the series that were not written in this epoch or the one before, and forgets what nobody used for long. The store calls after a
    /// flush, from one thread at a time.
    ///
    /// A series goes in two steps: one call sees that it has no rows in memory, a later one frees it once everybody is gone who began before the
    /// first call ended. A reader that began before the flush was published reads the rows from its own picture of memory, and needs keys for them.
    ///
    /// - `in_use` tells of a slot whether any generation that is not flushed has rows of it; such a series stays.
    /// - `forget` is told the slots that were freed.
    /// - `may_reuse` is asked whether the log allows a freed slot to stand for another series.
    pub fn evict(
        &self,
        in_use: impl Fn(u32) -> bool,
        forget: impl FnOnce(&[u32]),
        may_reuse: impl Fn(u32) -> bool,
    ) -> Evicted {
        let now = self.epochs.now();
        let slots = self.series.slots();
        let mut idle = self.idle.lock();
        let freed = if self.epochs.any_alive_up_to(idle.since) {
            Vec::new()
        } else {
            let freed = self.series.evict(idle.since, |slot| !idle.slots.contains(slot) || in_use(slot));
            *idle = Idle { since: now, slots: slots.idle_before(now).filter(|slot| !in_use(*slot)).collect() };
            freed
        };
        drop(idle);
        self.encodings.sweep(now, |slot| slots.is_freed(slot));
        let series = freed.len();
        forget(&freed);
        slots.quarantine(freed, &self.epochs);
        Evicted { series, slots_released: slots.release(&self.epochs, may_reuse) }
    }

    /// Keys and labels of the series.
    pub fn index(&self) -> &HeadIndex {
        self.series.index()
    }

    /// Puts the key of the series in a slot in the place of `key`; false if the slot is free.
    pub fn write_key(&self, slot: u32, key: &mut SeriesKey) -> bool {
        self.series.index().key(slot, key)
    }

    /// The id of the series in a slot.
    pub fn id(&self, slot: u32) -> SeriesId {
        self.series.slots().id(slot)
    }

    /// Of which virtual shards there are series, a bit for each.
    pub fn held_shards(&self) -> [u64; SHARDS / 64] {
        self.series.held().words()
    }

    /// What the values of the series in a slot are.
    pub fn kind(&self, slot: u32) -> ValueKind {
        self.series.slots().kind(slot)
    }

    /// How many series there are.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// How many series have entered since the start.
    pub fn series_created(&self) -> u64 {
        self.series_created.load(Relaxed)
    }

    /// How many slots were freed and cannot be given out yet.
    pub fn slots_in_quarantine(&self) -> usize {
        self.series.slots().in_quarantine()
    }

    /// How many encodings are remembered.
    pub fn encodings(&self) -> usize {
        self.encodings.len()
    }

    /// How many rows were looked for among the encodings, and how many of them were not there.
    pub fn encodings_asked_and_missed(&self) -> (u64, u64) {
        (self.encodings_asked.load(Relaxed), self.encodings_missed.load(Relaxed))
    }

    /// Memory taken, samples left out.
    pub fn bytes(&self) -> HeadBytes {
        HeadBytes { encodings: self.encodings.bytes(), series: self.series.bytes(), index: self.series.index().bytes() }
    }
}

/// The reason that is told for labels that make no key.
fn refusal(error: &LabelError) -> Refusal {
    match error {
        LabelError::EmptyName | LabelError::Duplicate(_) => Refusal::InvalidLabels,
        LabelError::NoLabels => Refusal::NoLabels,
        LabelError::TooLong(_) => Refusal::LongLabelValue,
    }
}
