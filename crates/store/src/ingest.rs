//! The way of a batch into the store.
//!
//! 1. Writes are refused while the store is read-only or memory is full of samples that no flush has taken yet.
//! 2. Under the shared epoch lock, rows are resolved to slots of the head; samples too old, too new or over a limit are counted and left out.
//! 3. The samples are appended to the log, then to the running generation: from here on every query sees them.
//! 4. When the sealer is behind, the batch waits for it a little, holding nothing.
//! 5. When the log says that they are durable, the batch is acknowledged.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use head::{AdmitAll, ResolveScratch, ResolvedRow, SlotGuard};
use model::{Sample, SeriesKey, Tenant, TimeRange};
use storage_api::{Batch, BoxFuture, Insert, InsertError, Inserted, MetricMetadata, Refusal};
use wal::{Ticket, WalError};

use crate::{
    Store,
    counters::{add, get},
    inner::Inner,
    read_only::Cause,
};

/// So many sets of buffers are kept for batches.
const SCRATCH_MAX: usize = 64;
/// A set that grew beyond so many samples is given back to the system.
const SCRATCH_SAMPLES_MAX: usize = 1 << 17;
/// While the sealer falls behind, a batch is held up for no longer than this.
const SEALER_WAIT_MAX: Duration = Duration::from_millis(5);

/// Buffers of one batch.
#[derive(Default)]
pub struct IngestScratch {
    resolve: ResolveScratch,
    /// The samples that are taken.
    pub columns: TakenColumns,
    record: Vec<u8>,
}

/// Samples as the log and the head take them.
#[derive(Default)]
pub struct TakenColumns {
    slots: Vec<u32>,
    times: Vec<i64>,
    values: Vec<f64>,
}

impl TakenColumns {
    /// Forgets the rows of the batch before.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.times.clear();
        self.values.clear();
    }

    /// How many samples are taken.
    pub fn len(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Takes the samples of a row that lie within bounds; the others are counted.
    pub fn push(&mut self, slot: u32, samples: &[Sample], bounds: TimeRange, inserted: &mut Inserted) {
        for sample in samples {
            if bounds.contains(sample.time) {
                self.slots.push(slot);
                self.times.push(sample.time);
                self.values.push(sample.value);
            } else {
                let reason = if sample.time < bounds.min { Refusal::TooOld } else { Refusal::TooNew };
                inserted.refused.add(reason, 1);
            }
        }
    }
}

/// Buffers for batches, used again and again.
#[derive(Default)]
pub struct ScratchPool(parking_lot::Mutex<Vec<IngestScratch>>);

impl ScratchPool {
    fn take(&self) -> IngestScratch {
        self.0.lock().pop().unwrap_or_default()
    }

    fn give_back(&self, scratch: IngestScratch) {
        let mut pool = self.0.lock();
        if pool.len() < SCRATCH_MAX && scratch.columns.slots.capacity() <= SCRATCH_SAMPLES_MAX {
            pool.push(scratch);
        }
    }
}

/// When a batch is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// From the moment when it is in the log: while memory gets it too, the disk works.
    AtOnce,
    /// When it is waited for, with all that are staged before that.
    WhenWaitedFor,
}

/// A batch that waits for the log.
pub struct Staged {
    inserted: Inserted,
    tickets: [Option<Ticket>; 2],
}

impl Insert for Store {
    fn insert<'a>(&'a self, batch: Batch<'a>) -> BoxFuture<'a, Result<Inserted, InsertError>> {
        Box::pin(async move {
            let staged = self.with_scratch(|scratch| self.inner.stage(&batch, scratch))?;
            self.durable(staged).await
        })
    }
}

impl Store {
    /// Works with buffers that go from batch to batch.
    pub fn with_scratch<T>(&self, work: impl FnOnce(&mut IngestScratch) -> T) -> T {
        let mut scratch = self.scratch.take();
        let done = work(&mut scratch);
        self.scratch.give_back(scratch);
        done
    }

    /// Waits until what was staged is as durable as was asked.
    pub async fn durable(&self, staged: Staged) -> Result<Inserted, InsertError> {
        for ticket in staged.tickets.into_iter().flatten() {
            ticket.await.map_err(|error| self.inner.not_durable(&error))?;
        }
        add(&self.inner.counters.rows_inserted, staged.inserted.samples);
        Ok(staged.inserted)
    }
}

impl Inner {
    fn stage(&self, batch: &Batch<'_>, scratch: &mut IngestScratch) -> Result<Staged, InsertError> {
        batch.check()?;
        self.stage_resolved(batch.tenant, batch.metadata, Commit::AtOnce, scratch, |guard, scratch, inserted| {
            self.resolve(batch, scratch, guard, inserted)
        })
    }

    /// Stores what `resolve` puts into the columns of `scratch`.
    pub fn stage_resolved(
        &self,
        tenant: Tenant,
        metadata: &[MetricMetadata<'_>],
        commit: Commit,
        scratch: &mut IngestScratch,
        resolve: impl FnOnce(&SlotGuard<'_>, &mut IngestScratch, &mut Inserted) -> Result<(), InsertError>,
    ) -> Result<Staged, InsertError> {
        if self.is_closing() {
            return Err(InsertError::Closed);
        }
        if let Some(reason) = self.read_only.reason() {
            return Err(InsertError::ReadOnly(reason));
        }
        let epoch = self.epoch.read();
        let (bytes, max) = (get(&self.head_bytes_seen), self.options.head_bytes_hard());
        if bytes >= max {
            self.signals.flush();
            let why = format!("{bytes} bytes of samples wait for their flush, {max} may");
            return Err(InsertError::Overloaded(why));
        }
        // While the guard lives, no slot that a row resolves to is given to another series.
        let guard = self.head.guard();
        let mut inserted = Inserted::default();
        resolve(&guard, scratch, &mut inserted)?;
        let mut tickets = [None, None];
        let mut range = TimeRange::EMPTY;
        let mut sealable = false;
        if !scratch.columns.slots.is_empty() {
            let TakenColumns { slots, times, values } = &scratch.columns;
            let mut key = SeriesKey::default();
            let logged = self.wal.append_samples(slots, times, values, &mut |slot, bytes| {
                let known = self.head.write_key(slot, &mut key);
                assert!(known, "BUG: a slot was freed under a guard");
                bytes.extend_from_slice(key.as_bytes());
            });
            let ticket = tickets[0].insert(logged.map_err(|error| self.not_logged(&error))?);
            if commit == Commit::AtOnce {
                ticket.call();
            }
            times.iter().for_each(|time| range.include(*time));
            sealable = epoch.generation.rows.append(&guard, slots, times, values, epoch.seq);
            // Raised when the rows can be seen: an answer computed before has the old version.
            self.versions.written(range);
        }
        scratch.record.clear();
        if self.metadata.update(tenant, metadata, &mut scratch.record) {
            let logged = self.wal.append_metadata(&scratch.record);
            tickets[1] = Some(logged.map_err(|error| self.not_logged(&error))?);
        }
        let generation = Arc::clone(&epoch.generation);
        drop(guard);
        drop(epoch);
        if sealable {
            // Counting all memory for each batch would cost as much as a lookup; it grows by a tail at a time.
            self.head_bytes_seen.store(self.head_bytes(), Ordering::Relaxed);
            self.signals.seal();
        }
        if sealable && self.is_flush_due() || self.wal.active_bytes() >= self.options.flush.log_bytes {
            self.signals.flush();
        }
        generation.rows.wait_for_sealer(SEALER_WAIT_MAX);
        Ok(Staged { inserted, tickets })
    }

    /// Fills the columns of `scratch` with the samples that are taken.
    fn resolve(
        &self,
        batch: &Batch<'_>,
        scratch: &mut IngestScratch,
        guard: &head::SlotGuard<'_>,
        inserted: &mut Inserted,
    ) -> Result<(), InsertError> {
        let now = self.clock.now_ms();
        let bounds = self.accepted(now);
        let IngestScratch { resolve, columns, .. } = scratch;
        columns.clear();
        let rows = self.head.resolve(guard, batch, resolve, &AdmitAll);
        let rows = rows.map_err(|error| InsertError::Overloaded(error.to_string()))?;
        let limited = self.hourly.is_set() || self.daily.is_set();
        let mut start = 0;
        for (series, row) in batch.series.iter().zip(rows) {
            let samples = &batch.samples[start..series.samples_end as usize];
            start = series.samples_end as usize;
            let count = samples.len() as u64;
            let slot = match *row {
                ResolvedRow::Slot(slot) => slot,
                ResolvedRow::Drop => {
                    inserted.dropped += count;
                    continue;
                }
                ResolvedRow::Refuse(reason) => {
                    inserted.refused.add(reason, count);
                    continue;
                }
            };
            if let Some(reason) = limited.then(|| self.over_limit(slot, now)).flatten() {
                inserted.refused.add(reason, count);
                continue;
            }
            columns.push(slot, samples, bounds, inserted);
        }
        inserted.samples = columns.len();
        if inserted.refused.total() > 0 {
            self.counters.refuse(&inserted.refused);
        }
        Ok(())
    }

    /// Which times are taken.
    pub fn accepted(&self, now: i64) -> TimeRange {
        let mut oldest = self.oldest_kept(now);
        if self.options.max_backfill_age_ms > 0 {
            oldest = oldest.max(now.saturating_sub(self.options.max_backfill_age_ms));
        }
        TimeRange::new(oldest, now.saturating_add(self.options.future_retention_ms))
    }

    /// Why samples of the series in a slot are not taken, if a limit of series is reached.
    pub fn over_limit(&self, slot: u32, now: i64) -> Option<Refusal> {
        let id = self.head.id(slot);
        if !self.hourly.admit(id, now) {
            return Some(Refusal::HourlySeries);
        }
        (!self.daily.admit(id, now)).then_some(Refusal::DailySeries)
    }

    /// The log refused a record.
    fn not_logged(&self, error: &WalError) -> InsertError {
        match error {
            WalError::Overloaded { .. } => InsertError::Overloaded(error.to_string()),
            WalError::TooLong { .. } | WalError::SlotTooHigh(_) => InsertError::Invalid(error.to_string()),
            _ => self.not_durable(error),
        }
    }

    /// The log failed under records that waited for it.
    fn not_durable(&self, error: &WalError) -> InsertError {
        self.signals.log_failed();
        if self.wal.stats().failures > 1 {
            self.go_read_only(Cause::Log, format!("the log failed again: {error}"));
        }
        InsertError::NotDurable(error.to_string())
    }
}
