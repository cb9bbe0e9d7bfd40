//! Filling a generation from the log, by several threads at once.
//!
//! 1. Each thread takes a tail that no other has: rows go in without a lock. When it has no more rows for now it leaves the tail to whoever comes next.
//! 2. A full tail is sealed by its thread while the others go on, and its run is put into the generation. So runs stand there in any order, as records of the
//!    log are read in any order; only a cut is between what it separates, because the loading [ends](Loading::end) before one is made.
//! 3. The tails share their memory with each other and give it back to the system when the loading ends.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Generation, Sealed};
use crate::{
    SlotGuard,
    run::RunWriter,
    tail::{TAIL_ROWS_MAX, TAIL_ROWS_MIN, Tail},
    tail_pool::TailPool,
};

/// The tails of all threads together have about so many rows (64 MiB): the more rows a series has in a tail, the less it costs to seal them.
const ROWS_OF_ALL: usize = 4 << 20;

/// Rows on their way into a generation; they are there when the loading has ended.
#[derive(Debug)]
#[must_use = "rows are lost if the loading does not end"]
pub struct Loading<'g> {
    generation: &'g Generation,
    tail_rows: usize,
    pool: Arc<TailPool>,
    /// Tails that no thread is using.
    tails: Mutex<Vec<Tail>>,
}

impl Generation {
    /// Begins to load rows by so many threads.
    pub fn load(&self, threads: usize) -> Loading<'_> {
        self.load_with((ROWS_OF_ALL / threads.max(1)).clamp(TAIL_ROWS_MIN, TAIL_ROWS_MAX))
    }

    pub(super) fn load_with(&self, tail_rows: usize) -> Loading<'_> {
        Loading { generation: self, tail_rows, pool: Arc::default(), tails: Mutex::default() }
    }
}

impl Loading<'_> {
    /// Adds rows, given as columns, with their place in the order of arrival. The guard is the one under which the slots were found.
    pub fn append(&self, _guard: &SlotGuard<'_>, slots: &[u32], times: &[i64], values: &[f64], seq: u64) {
        self.append_rows(slots, times, values, seq);
    }

    pub(super) fn append_rows(&self, slots: &[u32], times: &[i64], values: &[f64], seq: u64) {
        assert!(slots.len() == times.len() && times.len() == values.len(), "BUG: uneven columns");
        let left = self.tails.lock().pop();
        let mut tail = left.unwrap_or_else(|| self.new_tail());
        let mut done = 0;
        while done < slots.len() {
            done += tail.append(&slots[done..], &times[done..], &values[done..], seq);
            if tail.is_full() {
                self.seal(&std::mem::replace(&mut tail, self.new_tail()));
            }
        }
        self.tails.lock().push(tail);
    }

    fn new_tail(&self) -> Tail {
        Tail::new(self.tail_rows, &self.pool)
    }

    fn seal(&self, tail: &Tail) {
        let cut = self.generation.writer.lock().cut;
        let run = Arc::new(RunWriter::seal(tail, cut));
        self.generation.state.write().runs.push(Sealed { run, level: 0 });
    }

    /// Puts what was appended into the generation. More may follow.
    pub fn end(&self) {
        let tails = std::mem::take(&mut *self.tails.lock());
        std::thread::scope(|scope| {
            for tail in tails.into_iter().filter(|tail| tail.len() > 0) {
                scope.spawn(move || self.seal(&tail));
            }
        });
    }
}
