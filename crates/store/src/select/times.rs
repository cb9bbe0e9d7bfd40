//! Time columns shared between the series of one answer.
//!
//! Series of a scrape target have the same times, from the same columns of the same parts. The first one that is read decodes and joins them; the others find the joined
//! column by what it was joined of. Where rows come from memory too, the column is found by its content.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

/// So many columns are remembered per answer; a table that is full is emptied.
const COLUMNS_MAX: usize = 1 << 14;
/// Longer columns are not remembered beyond this many timestamps in all.
const TIMES_MAX: usize = 4 << 20;

/// A column by what it was joined of: parts, columns in them, and the range that was cut out.
pub type Recipe = Vec<(u64, u64)>;

/// The columns of one answer.
#[derive(Debug, Default)]
pub struct SharedTimes(Mutex<Columns>);

#[derive(Debug, Default)]
struct Columns {
    by_recipe: HashMap<Recipe, Arc<Vec<i64>>>,
    by_content: HashMap<(usize, i64, i64, u32), Arc<Vec<i64>>>,
    times: usize,
}

impl SharedTimes {
    /// The column joined of `recipe`, if it is known.
    pub fn joined(&self, recipe: &Recipe) -> Option<Arc<Vec<i64>>> {
        self.0.lock().by_recipe.get(recipe).cloned()
    }

    /// Remembers a joined column.
    pub fn remember(&self, recipe: Recipe, times: Arc<Vec<i64>>) {
        let mut columns = self.0.lock();
        columns.make_room(times.len());
        columns.by_recipe.insert(recipe, times);
    }

    /// A column equal to `times`, the same one for all series that have these times.
    pub fn by_content(&self, times: &[i64]) -> Arc<Vec<i64>> {
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return Arc::default() };
        let key = (times.len(), *first, *last, fingerprint(times));
        let mut columns = self.0.lock();
        if let Some(have) = columns.by_content.get(&key).filter(|have| have.as_slice() == times) {
            return Arc::clone(have);
        }
        let column = Arc::new(times.to_vec());
        columns.make_room(times.len());
        columns.by_content.insert(key, Arc::clone(&column));
        column
    }
}

impl Columns {
    fn make_room(&mut self, times: usize) {
        self.times += times;
        if self.times > TIMES_MAX || self.by_recipe.len() + self.by_content.len() >= COLUMNS_MAX {
            self.by_recipe.clear();
            self.by_content.clear();
            self.times = times;
        }
    }
}

/// Of a few timestamps only: equal fingerprints are compared in full.
fn fingerprint(times: &[i64]) -> u32 {
    let step = times.len().div_ceil(32);
    times.iter().step_by(step).fold(0, |hash: u32, time| hash.wrapping_mul(0x9e37_79b1) ^ (*time as u32))
}
