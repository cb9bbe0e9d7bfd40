//! Memory of tails that nobody reads any more, for those that are written.
//!
//! 1. A tail gives its chunks back when it is dropped: when it was sealed and the last snapshot with it is gone.
//! 2. The tail that is written takes a chunk whenever it needs one more. So what one tail leaves behind is used up while the next one fills, and a
//!    closed and an active tail together take little more than one, in whichever generations they are.
//! 3. Chunks of rows come with what was in them: a row is written before its number is told to anybody. Those of newest rows are cleared.
//! 4. No more is kept than the tail that was begun last can take.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::{
    SLOTS_MAX,
    tail::{Newest, Row, Rows},
};

/// Spare chunks. All methods may be called from many threads at once.
#[derive(Debug, Default)]
pub(crate) struct TailPool {
    rows: Mutex<Vec<Box<[Row]>>>,
    newest: Mutex<Vec<Box<[AtomicU32]>>>,
    /// So many chunks of rows are kept.
    rows_kept: AtomicUsize,
}

impl TailPool {
    /// Notes that a tail of so many rows was begun.
    pub(crate) fn expect_rows(&self, rows: usize) {
        let kept = rows.div_ceil(Rows::CHUNK);
        self.rows_kept.store(kept, Relaxed);
        let surplus = {
            let mut have = self.rows.lock();
            let keep = kept.min(have.len());
            have.split_off(keep)
        };
        // Given back to the system without the lock.
        drop(surplus);
    }

    /// A chunk of rows, with anything in them.
    #[cold]
    pub(crate) fn rows(&self) -> Box<[Row]> {
        let spare = self.rows.lock().pop();
        spare.unwrap_or_else(Rows::fresh)
    }

    /// A chunk that names no newest row.
    #[cold]
    pub(crate) fn newest(&self) -> Box<[AtomicU32]> {
        let spare = self.newest.lock().pop();
        spare.unwrap_or_else(Newest::fresh)
    }

    /// Takes the chunks of a tail.
    pub(crate) fn take_back(
        &self,
        rows: impl Iterator<Item = Box<[Row]>>,
        newest: impl Iterator<Item = Box<[AtomicU32]>>,
    ) {
        let kept = self.rows_kept.load(Relaxed);
        for chunk in rows {
            let mut have = self.rows.lock();
            if have.len() < kept {
                have.push(chunk);
            }
        }
        for mut chunk in newest {
            chunk.iter_mut().for_each(|last| *last.get_mut() = 0);
            let mut have = self.newest.lock();
            if have.len() < SLOTS_MAX / Newest::CHUNK {
                have.push(chunk);
            }
        }
    }

    /// Memory taken.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.rows.lock().len() * Rows::CHUNK * size_of::<Row>();
        rows + self.newest.lock().len() * Newest::CHUNK * size_of::<AtomicU32>()
    }
}
