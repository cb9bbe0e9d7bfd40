//! From memory to parts.
//!
//! 1. The running generation is closed, and a new segment of the log begins with the next one.
//! 2. Its series are walked in key order; the rows of each, sorted, freed of duplicates and of what tombstones hide, go into one part per partition.
//! 3. The parts are published, together with the first segment of the log that still counts: from here on they are the truth.
//! 4. Readers see parts instead of the generation, in one step. The segments are removed, and series that nobody writes any more are forgotten.
//!
//! If a step fails the generation stays where it is, in memory and in the log, and is tried again.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use model::{Columns, SeriesKey, TimeRange};
use part::{Effort, PartMeta, SeriesName, WriterOptions, sort_rows};
use roaring::RoaringBitmap;

use crate::{
    counters::add,
    error::StoreError,
    inner::{ClosedGeneration, Inner},
    layout,
    partitioned_writer::{FLUSH_WRITERS_MAX, PartitionedWriter, WritePlan},
    state::State,
};

/// So many series ahead a flush asks for the place of a series in the runs …
const PLACES_AHEAD: usize = 12;
/// … and so many ahead, knowing the place, for its rows.
const ROWS_AHEAD: usize = 6;
/// The numbers of so many keys are asked for at once.
const NUMBERED_AT_ONCE: usize = 256;

const FORGOTTEN: &str = "BUG: a series with rows in memory was forgotten";

impl Inner {
    /// Moves everything that is in memory into parts.
    pub fn flush(&self) -> Result<(), StoreError> {
        let _one = self.flushing.lock();
        self.rotate()?;
        self.flush_closed()
    }

    /// Flushes the generations that wait. The caller holds `flushing`.
    fn flush_closed(&self) -> Result<(), StoreError> {
        loop {
            let Some(closed) = self.closed.lock().front().cloned() else { return Ok(()) };
            let metas = self.write_generation(&closed)?;
            self.publish_flush(&closed, metas)?;
            let last_segment = closed.last_segment;
            let flushed = self.closed.lock().pop_front();
            // Its memory is given back without any lock, and before files are removed and series evicted.
            drop((closed, flushed));
            self.head_bytes_seen.store(self.head_bytes(), Ordering::Relaxed);
            self.wal.remove_through(last_segment)?;
            let views: Vec<_> = self.shared.get().generations.iter().map(|open| open.rows.snapshot()).collect();
            self.head.evict(
                |slot| views.iter().any(|view| view.has_rows(slot)),
                |freed| self.wal.forget_slots(freed),
                |slot| self.wal.reusable(slot),
            );
            add(&self.counters.flushes, 1);
        }
    }

    fn write_generation(&self, closed: &ClosedGeneration) -> Result<Vec<PartMeta>, StoreError> {
        let generation = &closed.generation;
        generation.rows.seal_all();
        let view = generation.rows.snapshot();
        let state = self.shared.get();
        let hidden = self.hidden_slots(&state, generation.first_seq);
        let now = self.clock.now_ms();
        let plan = WritePlan {
            options: WriterOptions {
                seq_min: view.seq_range().min,
                seq_max: view.seq_range().max,
                tombstones_applied: 0,
                dedup_interval_ms: self.options.dedup_interval_ms,
                ..WriterOptions::new(0, Effort::Flush)
            },
            keep: TimeRange::new(self.oldest_kept(now), i64::MAX),
            now,
            writers_max: FLUSH_WRITERS_MAX,
        };
        let mut writer = PartitionedWriter::new(&*self.disk, &self.next_part, plan);
        let mut rows = Columns::default();
        let mut piece = Columns::default();
        let mut duplicates = 0;
        let guard = self.head.guard();
        let index = self.head.index();
        let order = index.in_key_order(&view.slots());
        let mut numbers = Vec::with_capacity(NUMBERED_AT_ONCE);
        for (at, slot) in order.iter().copied().enumerate() {
            if at.is_multiple_of(NUMBERED_AT_ONCE) {
                numbers.clear();
                index.key_numbers(&order[at..order.len().min(at + NUMBERED_AT_ONCE)], &mut numbers);
            }
            // Key order goes to and fro in the runs, so each series is a way to memory for each of them.
            order.get(at + PLACES_AHEAD).iter().for_each(|slot| view.prefetch_places(**slot));
            order.get(at + ROWS_AHEAD).iter().for_each(|slot| view.prefetch_rows(**slot));
            rows.clear();
            if hidden.is_empty() {
                view.read_prefetched(slot, &mut rows);
            } else {
                view.read_with(slot, TimeRange::ALL, &mut piece, |seqs, times, values| {
                    keep_visible(&hidden, slot, seqs.max, times, values, &mut rows);
                });
            }
            duplicates += sort_rows(&mut rows) as u64;
            let numbers = numbers[at % NUMBERED_AT_ONCE].expect(FORGOTTEN);
            let mut key = |key: &mut SeriesKey| -> Result<(), disk::Error> {
                assert!(index.key(slot, key), "{FORGOTTEN}");
                Ok(())
            };
            let mut name = SeriesName { id: self.head.id(slot), source: 0, numbers, key: &mut key };
            writer.add(&mut name, &mut rows)?;
        }
        drop(guard);
        add(&self.counters.deduplicated, duplicates + writer.deduplicated);
        Ok(writer.finish()?)
    }

    /// What tombstones that came after a generation had begun hide in it.
    pub fn hidden_slots(&self, state: &State, first_seq: u64) -> Vec<HiddenSlots> {
        let tombstones = state.tombstones.iter().filter(|tombstone| tombstone.seq > first_seq);
        let search = |tombstone: &Arc<crate::tombstone::Tombstone>| HiddenSlots {
            slots: self.head.index().search(tombstone.tenant, &tombstone.compiled),
            range: tombstone.range,
            seq: tombstone.seq,
        };
        tombstones.map(search).filter(|hidden| !hidden.slots.is_empty()).collect()
    }

    fn publish_flush(&self, closed: &ClosedGeneration, metas: Vec<PartMeta>) -> Result<(), StoreError> {
        let opened = self.open_new_parts(&metas)?;
        self.note_arrivals(&metas, self.clock.now_ms());
        self.metadata.publish(&*self.disk, Path::new(layout::METADATA))?;
        let mut published = self.published.lock();
        let before = (published.parts.len(), published.wal_floor, published.floor_seq);
        published.parts.extend(metas);
        published.wal_floor = closed.last_segment + 1;
        published.floor_seq = closed.next_seq;
        if let Err(error) = self.publish(&mut published) {
            published.parts.truncate(before.0);
            (published.wal_floor, published.floor_seq) = (before.1, before.2);
            return Err(error);
        }
        self.shared.change(|state| {
            state.generations.retain(|generation| generation.number != closed.generation.number);
            state.parts.extend(opened);
            state.parts.sort_by_key(|part| part.meta().id);
        });
        Ok(())
    }
}

/// Columns of these slots in this range that arrived before the number are hidden.
pub struct HiddenSlots {
    /// The series, by slot.
    pub slots: RoaringBitmap,
    /// Which of their rows.
    pub range: TimeRange,
    /// Those that arrived before this.
    pub seq: u64,
}

impl HiddenSlots {
    /// Whether a row of a piece whose newest sequence number is `seq_max` is hidden.
    pub fn hides(&self, slot: u32, time: i64, seq_max: u64) -> bool {
        seq_max < self.seq && self.range.contains(time) && self.slots.contains(slot)
    }
}

/// Appends the rows of a piece that nothing hides.
pub fn keep_visible(
    hidden: &[HiddenSlots],
    slot: u32,
    seq_max: u64,
    times: &[i64],
    values: &[f64],
    rows: &mut Columns,
) {
    for (time, value) in times.iter().zip(values) {
        if !hidden.iter().any(|hidden| hidden.hides(slot, *time, seq_max)) {
            rows.push(*time, *value);
        }
    }
}
