//! Series that another node names by id, and that were in memory before the last stop.
//!
//! 1. When a folder is opened, the parts whose rows came in last are kept in mind. What was written lately stands in them or in the log: a flush leaves the
//!    log empty.
//! 2. An id that is not found in memory is looked for in them, newest first, in a table of the ids of each that is made when the first is asked for.
//! 3. The series of one that is found enters memory with the key that the part has, as if the sender had sent it.
//! 4. After an hour they are let go: whoever writes has written by then.

use std::sync::{Arc, OnceLock};

use hashbrown::HashTable;
use model::{SeriesId, SeriesKey};
use part::Part;

use crate::options::{HOUR_MS, Options};

/// So many parts are kept in mind …
const PARTS_MAX: usize = 32;
/// … for so long after the start.
const KEPT_MS: i64 = HOUR_MS;
/// About what a series takes in a table.
const BYTES_PER_SERIES: usize = 8;

/// The parts whose rows came in last.
#[derive(Debug)]
pub struct Returning {
    until_ms: i64,
    parts: Vec<Recent>,
}

/// A part, and its series by id.
#[derive(Debug)]
struct Recent {
    part: Arc<Part>,
    by_id: OnceLock<HashTable<u32>>,
}

impl Returning {
    /// Chooses among the parts of a folder that is opened; `None` if there are none.
    pub fn of(parts: &[Arc<Part>], options: &Options, now_ms: i64) -> Option<Arc<Self>> {
        let mut newest: Vec<&Arc<Part>> = parts.iter().collect();
        newest.sort_by_key(|part| std::cmp::Reverse(part.meta().seq_max));
        let mut series_left = options.returning_bytes() / BYTES_PER_SERIES;
        let fits = |part: &&&Arc<Part>| {
            let left = series_left.checked_sub(part.meta().series as usize);
            series_left = left.unwrap_or(0);
            left.is_some()
        };
        let recent = |part: &Arc<Part>| Recent { part: Arc::clone(part), by_id: OnceLock::new() };
        let parts: Vec<Recent> = newest.iter().take(PARTS_MAX).take_while(fits).map(|part| recent(part)).collect();
        (!parts.is_empty()).then(|| Arc::new(Self { until_ms: now_ms.saturating_add(KEPT_MS), parts }))
    }

    /// Whether they can be let go.
    pub fn is_over(&self, now_ms: i64) -> bool {
        now_ms >= self.until_ms
    }

    /// The key of the series with this id. What cannot be read is not found: the sender has the key too.
    pub fn key(&self, id: SeriesId) -> Option<SeriesKey> {
        let mut key = SeriesKey::default();
        self.parts.iter().find_map(|recent| {
            let number = recent.number(id)?;
            recent.part.labels().key(number, &mut key).ok()?;
            (SeriesId::of(&key) == id).then(|| std::mem::take(&mut key))
        })
    }
}

impl Recent {
    fn number(&self, id: SeriesId) -> Option<u32> {
        let ids = self.part.labels().ids(0..self.part.labels().series_count()).ok()?;
        let by_id = self.by_id.get_or_init(|| {
            let mut by_id = HashTable::with_capacity(ids.len());
            for (id, number) in ids.iter().zip(0..) {
                by_id.insert_unique(hash(id), number, |_| unreachable!("BUG: there was room for all ids"));
            }
            by_id
        });
        by_id.find(hash(id), |number| ids.get(*number as usize) == Some(id)).copied()
    }
}

/// An id is a hash already.
fn hash(id: SeriesId) -> u64 {
    id.0 as u64
}
