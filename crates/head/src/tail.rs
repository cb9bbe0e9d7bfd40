//! The tail: where samples land. A log of rows in order of arrival that can be read by series while it is written.
//!
//! 1. A row is 16 bytes: the value, the time as an offset from the tail's base, and the number of the row before it of the same slot.
//! 2. `last` knows for each slot its newest row, so the rows of one slot are a chain, newest first, and nobody ever scans the log.
//! 3. There is one writer at a time (the generation's lock sees to it). It writes a row, then `last`, then `len`, each with release order; a
//!    reader takes `len` once as its horizon and skips, at the start of a chain, the rows that came later. Readers take no lock.
//! 4. A time that does not fit into the offset (more than 24 days from the tail's first row) stands in a side table.
//! 5. A full tail is closed and sealed into a run. When nobody reads it any more its memory goes back to the [`TailPool`], from which the tail that
//!    is being written takes what it needs, chunk by chunk: so little more is in use than one tail takes.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{
            AtomicI64, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use model::{Columns, TimeRange};
use parking_lot::RwLock;

use crate::{SLOTS_MAX, SeqRange, chunked::Chunked, prefetch::prefetch, tail_pool::TailPool};

/// No tail has fewer rows.
pub(crate) const TAIL_ROWS_MIN: usize = 128 << 10;
/// No tail has more: 32 MiB of rows.
pub(crate) const TAIL_ROWS_MAX: usize = 2 << 20;

/// Rows come in chunks of 64 KiB, and so do the numbers of the slots' newest rows.
pub(crate) const ROW_CHUNK_BITS: u32 = 12;
pub(crate) const SLOT_CHUNK_BITS: u32 = 14;
/// Offset that says that the time stands in the side table.
const WIDE: u32 = u32::MAX;
/// About what a time in the side table takes.
const WIDE_BYTES: usize = 32;
/// How many slots ahead [`Tail::for_each`] asks for their newest row.
const LOOK_AHEAD: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Row {
    value: AtomicU64,
    /// High half: offset of the time from the base. Low half: number of the row before of the same slot, plus one; 0 for none.
    link: AtomicU64,
}

/// Chunks of rows.
pub(crate) type Rows = Chunked<Row, ROW_CHUNK_BITS>;
/// By slot: number of its newest row, plus one.
pub(crate) type Newest = Chunked<AtomicU32, SLOT_CHUNK_BITS>;

#[derive(Debug)]
pub(crate) struct Tail {
    rows: Rows,
    last: Newest,
    pool: Arc<TailPool>,
    wide: RwLock<HashMap<u32, i64>>,
    rows_max: usize,
    base: AtomicI64,
    len: AtomicU32,
    /// Slots that have a row.
    slots: AtomicU32,
    time_min: AtomicI64,
    time_max: AtomicI64,
    seq_min: AtomicU64,
    seq_max: AtomicU64,
}

impl Tail {
    pub(crate) fn new(rows_max: usize, pool: &Arc<TailPool>) -> Self {
        assert!((1..=TAIL_ROWS_MAX).contains(&rows_max), "BUG: a tail of {rows_max} rows");
        pool.expect_rows(rows_max);
        Self {
            rows: Chunked::new(TAIL_ROWS_MAX),
            last: Chunked::new(SLOTS_MAX),
            pool: Arc::clone(pool),
            wide: RwLock::default(),
            rows_max,
            base: AtomicI64::new(0),
            len: AtomicU32::new(0),
            slots: AtomicU32::new(0),
            time_min: AtomicI64::new(i64::MAX),
            time_max: AtomicI64::new(i64::MIN),
            seq_min: AtomicU64::new(u64::MAX),
            seq_max: AtomicU64::new(0),
        }
    }

    /// Takes as many rows as there is room for, and says how many. Only one thread may be here at a time.
    pub(crate) fn append(&self, slots: &[u32], times: &[i64], values: &[f64], seq: u64) -> usize {
        let start = self.len.load(Relaxed) as usize;
        let count = slots.len().min(self.rows_max - start);
        if count == 0 {
            return 0;
        }
        if start == 0 {
            self.base.store(times[0].wrapping_sub(1 << 31), Relaxed);
        }
        let mut done = 0;
        let mut fresh_slots = 0;
        while done < count {
            let at = start + done;
            let inside = at & ((1 << ROW_CHUNK_BITS) - 1);
            let chunk = &self.rows.make_chunk_with(at >> ROW_CHUNK_BITS, || self.pool.rows())[inside..];
            let step = chunk.len().min(count - done);
            let part = done..done + step;
            fresh_slots += self.fill(&chunk[..step], at, &slots[part.clone()], &times[part.clone()], &values[part]);
            done += step;
        }
        self.slots.fetch_add(fresh_slots, Relaxed);
        self.note(&times[..count], seq);
        self.len.store((start + count) as u32, Release);
        count
    }

    /// Writes rows into one chunk; the first is row number `at`. Returns how many slots had no row before.
    fn fill(&self, chunk: &[Row], at: usize, slots: &[u32], times: &[i64], values: &[f64]) -> u32 {
        let base = self.base.load(Relaxed);
        let mut fresh_slots = 0;
        for (i, (((row, slot), time), value)) in chunk.iter().zip(slots).zip(times).zip(values).enumerate() {
            let number = (at + i) as u32;
            let offset = u32::try_from(time.wrapping_sub(base) as u64).unwrap_or(WIDE);
            if offset == WIDE {
                self.wide.write().insert(number, *time);
            }
            let last = self.last.make_with(*slot as usize, || self.pool.newest());
            let before = last.load(Relaxed);
            fresh_slots += u32::from(before == 0);
            row.value.store(value.to_bits(), Relaxed);
            row.link.store(u64::from(offset) << 32 | u64::from(before), Relaxed);
            last.store(number + 1, Release);
        }
        fresh_slots
    }

    fn note(&self, times: &[i64], seq: u64) {
        let (mut min, mut max) = (self.time_min.load(Relaxed), self.time_max.load(Relaxed));
        for time in times {
            min = min.min(*time);
            max = max.max(*time);
        }
        self.time_min.store(min, Relaxed);
        self.time_max.store(max, Relaxed);
        self.seq_min.store(self.seq_min.load(Relaxed).min(seq), Relaxed);
        self.seq_max.store(self.seq_max.load(Relaxed).max(seq), Relaxed);
    }

    /// How many rows there are; as a horizon it lets a reader see these and none that come later.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Acquire) as usize
    }

    pub(crate) fn rows_max(&self) -> usize {
        self.rows_max
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.rows_max
    }

    /// How many slots have rows.
    pub(crate) fn slot_count(&self) -> usize {
        self.slots.load(Relaxed) as usize
    }

    /// The times of at least all rows below any horizon taken before.
    pub(crate) fn time_range(&self) -> TimeRange {
        TimeRange::new(self.time_min.load(Relaxed), self.time_max.load(Relaxed))
    }

    pub(crate) fn seq_range(&self) -> SeqRange {
        SeqRange { min: self.seq_min.load(Relaxed), max: self.seq_max.load(Relaxed) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes() + self.last.bytes() + self.wide.read().len() * WIDE_BYTES
    }

    /// Asks for the memory of the slot's newest row.
    #[inline]
    pub(crate) fn prefetch(&self, slot: u32) {
        if let Some(last) = self.last.get(slot as usize) {
            self.prefetch_row(last.load(Relaxed));
        }
    }

    #[inline]
    fn prefetch_row(&self, last: u32) {
        if let Some(row) = (last as usize).checked_sub(1).and_then(|row| self.rows.get(row)) {
            prefetch(row);
        }
    }

    /// Number, plus one, of the slot's newest row below the horizon; 0 for none.
    fn newest(&self, mut last: u32, horizon: usize) -> u32 {
        while last as usize > horizon {
            last = self.row(last).link.load(Relaxed) as u32;
        }
        last
    }

    #[inline]
    fn row(&self, number_plus_one: u32) -> &Row {
        self.rows.get(number_plus_one as usize - 1).expect("BUG: a chain of rows leaves the tail")
    }

    /// Whether the slot has a row below the horizon.
    pub(crate) fn has(&self, slot: u32, horizon: usize) -> bool {
        self.last.get(slot as usize).is_some_and(|last| self.newest(last.load(Acquire), horizon) != 0)
    }

    /// Adds the rows of a slot below the horizon to `out`, in order of arrival. Returns whether there were any.
    pub(crate) fn read(&self, slot: u32, horizon: usize, out: &mut Columns) -> bool {
        let Some(last) = self.last.get(slot as usize) else { return false };
        let newest = self.newest(last.load(Acquire), horizon);
        self.read_chain(newest, out);
        newest != 0
    }

    #[inline]
    fn read_chain(&self, newest: u32, out: &mut Columns) {
        let start = out.len();
        let base = self.base.load(Relaxed);
        let mut at = newest;
        while at != 0 {
            let row = self.row(at);
            let link = row.link.load(Relaxed);
            let offset = (link >> 32) as u32;
            let time = if offset == WIDE { self.wide_time(at - 1) } else { base.wrapping_add(i64::from(offset)) };
            out.push(time, f64::from_bits(row.value.load(Relaxed)));
            at = link as u32;
        }
        match out.len() - start {
            0 | 1 => {}
            2 => {
                out.times.swap(start, start + 1);
                out.values.swap(start, start + 1);
            }
            _ => out.reverse_from(start),
        }
    }

    #[cold]
    fn wide_time(&self, row: u32) -> i64 {
        *self.wide.read().get(&row).expect("BUG: a row without its time")
    }

    /// Goes through all slots in ascending order. `visit` gets the rows of each in order of arrival.
    pub(crate) fn for_each(&self, horizon: usize, mut visit: impl FnMut(u32, &Columns)) {
        let mut rows = Columns::new();
        for (first, chunk) in self.last.chunks() {
            for (i, last) in chunk.iter().enumerate() {
                // Rows of neighbours lie side by side when the sender repeats its order; when it does not, this hides the way to memory.
                if let Some(ahead) = chunk.get(i + LOOK_AHEAD) {
                    self.prefetch_row(ahead.load(Relaxed));
                }
                let newest = self.newest(last.load(Acquire), horizon);
                if newest != 0 {
                    rows.clear();
                    self.read_chain(newest, &mut rows);
                    visit((first + i) as u32, &rows);
                }
            }
        }
    }

    /// The slots with rows below the horizon, ascending.
    pub(crate) fn slots(&self, horizon: usize) -> impl Iterator<Item = u32> + '_ {
        self.last.chunks().flat_map(move |(first, chunk)| {
            let rows = chunk.iter().enumerate();
            rows.filter(move |(_, last)| self.newest(last.load(Acquire), horizon) != 0)
                .map(move |(i, _)| (first + i) as u32)
        })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.pool.take_back(self.rows.take_chunks(), self.last.take_chunks());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_tail(rows_max: usize) -> Tail {
        Tail::new(rows_max, &Arc::default())
    }

    fn rows(tail: &Tail, slot: u32, horizon: usize) -> Vec<(i64, f64)> {
        let mut out = Columns::new();
        tail.read(slot, horizon, &mut out);
        out.iter().collect()
    }

    #[test]
    fn a_horizon_hides_what_came_later() {
        let tail = new_tail(100);
        tail.append(&[3, 9, 3], &[10, 11, 12], &[1.0, 2.0, 3.0], 1);
        let horizon = tail.len();
        tail.append(&[3, 4], &[13, 14], &[4.0, 5.0], 2);
        assert_eq!(rows(&tail, 3, horizon), [(10, 1.0), (12, 3.0)]);
        assert_eq!(rows(&tail, 3, tail.len()), [(10, 1.0), (12, 3.0), (13, 4.0)]);
        assert!(!tail.has(4, horizon) && tail.has(4, tail.len()) && !tail.has(1 << 20, tail.len()));
        assert_eq!(tail.slots(horizon).collect::<Vec<_>>(), [3, 9]);
        assert_eq!((tail.slot_count(), tail.seq_range()), (3, SeqRange { min: 1, max: 2 }));
        assert_eq!(tail.time_range(), TimeRange::new(10, 14));
    }

    #[test]
    fn takes_what_fits() {
        let tail = new_tail(5000);
        let (slots, times, values) = (vec![7; 6000], (0..6000).collect::<Vec<i64>>(), vec![0.5; 6000]);
        assert_eq!(tail.append(&slots, &times, &values, 1), 5000);
        assert_eq!(tail.append(&slots, &times, &values, 2), 0);
        assert!(tail.is_full());
        assert_eq!(rows(&tail, 7, 5000).len(), 5000);
    }

    #[test]
    fn times_of_any_distance_come_back() {
        let tail = new_tail(100);
        let times = [0, i64::MAX, i64::MIN, -(1 << 31), (1 << 31) - 2, (1 << 31) - 1, 1 << 31, -(1 << 31) - 1];
        tail.append(&[1; 8], &times, &[0.0; 8], 1);
        assert_eq!(rows(&tail, 1, 8).iter().map(|row| row.0).collect::<Vec<_>>(), times);
    }

    #[test]
    fn memory_that_was_used_before_is_empty() {
        let pool = Arc::default();
        let first = Tail::new(10, &pool);
        first.append(&[1, 2], &[1, i64::MAX], &[0.0; 2], 1);
        let bytes = first.bytes();
        drop(first);
        let tail = Tail::new(20, &pool);
        assert!(!tail.has(1, 20) && tail.len() == 0 && tail.time_range().is_empty() && tail.slot_count() == 0);
        let spare = pool.bytes();
        assert!(spare > 0);
        tail.append(&[2], &[5], &[1.5], 9);
        assert_eq!(rows(&tail, 2, 1), [(5, 1.5)]);
        assert_eq!(tail.seq_range(), SeqRange { min: 9, max: 9 });
        assert_eq!(pool.bytes(), 0, "both chunks are in use again");
        assert!(!tail.has(1, 1) && tail.bytes() + WIDE_BYTES == bytes);
    }
}
