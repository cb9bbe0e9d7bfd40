//! A snapshot of a generation.

use std::sync::Arc;

use model::{Columns, TimeRange};
use roaring::RoaringBitmap;

use crate::{SeqRange, run::Run, tail::Tail};

/// What a generation held at one moment. Reading takes no lock that a writer could wait for.
#[derive(Debug, Clone)]
pub struct GenerationView {
    /// In order of arrival.
    runs: Vec<Arc<Run>>,
    /// In order of arrival, younger than the runs; only the rows below the number count.
    tails: Vec<(Arc<Tail>, usize)>,
}

impl GenerationView {
    pub(super) fn new<'a>(runs: Vec<Arc<Run>>, tails: impl Iterator<Item = &'a Arc<Tail>>) -> Self {
        let tails = tails.map(|tail| (Arc::clone(tail), tail.len())).filter(|(_, rows)| *rows > 0);
        Self { runs, tails: tails.collect() }
    }

    /// Adds all rows of the slot to `out`, in order of arrival. Returns whether there were any.
    pub fn read(&self, slot: u32, out: &mut Columns) -> bool {
        self.read_near(slot, TimeRange::ALL, out)
    }

    /// Like [`read`](Self::read), but may leave out rows whose time is not in `range`: runs that do not touch it are not opened.
    pub fn read_near(&self, slot: u32, range: TimeRange, out: &mut Columns) -> bool {
        let before = out.len();
        // The ways to memory of all runs are under way at once.
        self.prefetch_places(slot);
        self.prefetch_rows(slot);
        for run in self.runs.iter().filter(|run| run.meta().times.overlaps(range)) {
            run.read(slot, out);
        }
        for (tail, rows) in self.tails.iter().filter(|(tail, _)| tail.time_range().overlaps(range)) {
            tail.read(slot, *rows, out);
        }
        out.len() > before
    }

    /// Like [`read`](Self::read), for who took both steps of reading ahead: [`prefetch_places`](Self::prefetch_places) and then
    /// [`prefetch_rows`](Self::prefetch_rows).
    pub fn read_prefetched(&self, slot: u32, out: &mut Columns) {
        for run in &self.runs {
            run.read(slot, out);
        }
        for (tail, rows) in &self.tails {
            tail.read(slot, *rows, out);
        }
    }

    /// Gives the rows of the slot piece by piece, in order of arrival: the range of sequence numbers of the run that a piece is from, times,
    /// values. Runs that do not touch `range` are not opened; of the others all rows are given. After a [`cut`](super::Generation::cut) no piece
    /// reaches across it. `scratch` is overwritten.
    pub fn read_with(
        &self,
        slot: u32,
        range: TimeRange,
        scratch: &mut Columns,
        mut visit: impl FnMut(SeqRange, &[i64], &[f64]),
    ) {
        for run in self.runs.iter().filter(|run| run.meta().times.overlaps(range)) {
            scratch.clear();
            if run.read(slot, scratch) {
                visit(run.meta().seqs, &scratch.times, &scratch.values);
            }
        }
        for (tail, horizon) in self.tails.iter().filter(|(tail, _)| tail.time_range().overlaps(range)) {
            scratch.clear();
            if tail.read(slot, *horizon, scratch) {
                visit(tail.seq_range(), &scratch.times, &scratch.values);
            }
        }
    }

    /// First step of reading many slots in any order: call it some slots ahead of [`prefetch_rows`](Self::prefetch_rows).
    #[inline]
    pub fn prefetch_places(&self, slot: u32) {
        self.runs.iter().for_each(|run| run.prefetch_group(slot));
    }

    /// Second step of reading many slots in any order: call it some slots ahead of the read.
    #[inline]
    pub fn prefetch_rows(&self, slot: u32) {
        self.runs.iter().for_each(|run| run.prefetch_entry(slot));
        self.tails.iter().for_each(|(tail, _)| tail.prefetch(slot));
    }

    /// Whether the slot has rows.
    pub fn has_rows(&self, slot: u32) -> bool {
        self.runs.iter().any(|run| run.has(slot)) || self.tails.iter().any(|(tail, rows)| tail.has(slot, *rows))
    }

    /// The slots that have rows.
    pub fn slots(&self) -> RoaringBitmap {
        const ASCENDS: &str = "BUG: slots out of order";
        let runs = self.runs.iter().map(|run| RoaringBitmap::from_sorted_iter(run.slots()).expect(ASCENDS));
        let tails = self.tails.iter();
        let tails = tails.map(|(tail, rows)| RoaringBitmap::from_sorted_iter(tail.slots(*rows)).expect(ASCENDS));
        runs.chain(tails).fold(RoaringBitmap::new(), |all, some| all | some)
    }

    /// A range that holds the times of all rows; empty if there are none.
    pub fn time_range(&self) -> TimeRange {
        let runs = self.runs.iter().map(|run| run.meta().times);
        runs.chain(self.tails.iter().map(|(tail, _)| tail.time_range())).fold(TimeRange::EMPTY, TimeRange::cover)
    }

    /// A range that holds the sequence numbers of all rows; empty if there are none.
    pub fn seq_range(&self) -> SeqRange {
        let runs = self.runs.iter().map(|run| run.meta().seqs);
        runs.chain(self.tails.iter().map(|(tail, _)| tail.seq_range())).fold(SeqRange::EMPTY, SeqRange::cover)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.sealed_rows() + self.tails.iter().map(|(_, rows)| rows).sum::<usize>()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// Memory taken by the runs; tails, which are used again, are left out.
    pub fn bytes(&self) -> usize {
        self.runs.iter().map(|run| run.bytes()).sum()
    }

    /// How many of the rows are sealed.
    pub fn sealed_rows(&self) -> usize {
        self.runs.iter().map(|run| run.rows()).sum()
    }

    /// How many runs and tails a read looks into.
    pub fn pieces(&self) -> usize {
        self.runs.len() + self.tails.len()
    }
}
