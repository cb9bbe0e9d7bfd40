//! What readers see: an immutable picture of all sources, replaced as a whole.
//!
//! A flush adds its parts and takes its generation away in one step, a merge puts its result in the place of its inputs in one step: a reader that holds a
//! picture sees each row exactly once, for as long as it likes.

use std::sync::Arc;

use head::{Generation, Head};
use parking_lot::RwLock;
use part::{Part, merge::Hidden};

use crate::tombstone::Tombstone;

/// Rows in memory that are flushed together, and the segments of the log that hold them.
#[derive(Debug)]
pub struct OpenGeneration {
    /// Generations are counted from 1.
    pub number: u64,
    /// The rows.
    pub rows: Generation,
    /// Its rows arrived no earlier than this.
    pub first_seq: u64,
    /// When it was opened.
    pub opened_ms: i64,
}

impl OpenGeneration {
    /// A generation without rows.
    pub fn new(number: u64, first_seq: u64, opened_ms: i64, head: &Head) -> Self {
        Self { number, rows: head.new_generation(), first_seq, opened_ms }
    }
}

/// The sources.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Parts by number.
    pub parts: Vec<Arc<Part>>,
    /// Generations, oldest first; the last one is being written.
    pub generations: Vec<Arc<OpenGeneration>>,
    /// Deletions, oldest first.
    pub tombstones: Vec<Arc<Tombstone>>,
}

impl State {
    /// What tombstones hide in a part. A part that cannot be searched is damaged.
    pub fn hidden(&self, part: &Part) -> Result<Vec<Hidden>, part::PartError> {
        let mut hidden = Vec::new();
        for tombstone in self.tombstones.iter().filter(|tombstone| tombstone.touches(part.meta())) {
            let series = part.search(tombstone.tenant, &tombstone.compiled)?;
            if !series.is_empty() {
                hidden.push(Hidden { series, range: tombstone.range });
            }
        }
        Ok(hidden)
    }

    /// Sequence number of the newest tombstone; 0 without one.
    pub fn newest_tombstone(&self) -> u64 {
        self.tombstones.last().map_or(0, |tombstone| tombstone.seq)
    }
}

/// The picture that is current.
#[derive(Debug, Default)]
pub struct Shared(RwLock<Arc<State>>);

impl Shared {
    /// The current picture.
    pub fn get(&self) -> Arc<State> {
        Arc::clone(&self.0.read())
    }

    /// Replaces the picture by a changed one.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        let mut current = self.0.write();
        let mut next = State::clone(&current);
        change(&mut next);
        *current = Arc::new(next);
    }
}
