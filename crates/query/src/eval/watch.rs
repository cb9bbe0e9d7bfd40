//! Looks, while a query is evaluated, whether its values would be the same if it began or ended elsewhere.
//!
//! 1. The windows of each series are looked at where they are rolled up ([`crate::rollup`] `local`).
//! 2. The sum of a fold depends on how series are cut into batches: the list of series is kept as a number, and so are the groups that it came to.
//! 3. When only the last points are evaluated, the rows before them are known. A series that has samples behind these, but none in the last window of them,
//!    may have come back: what was known did not know that.

use std::{
    hash::{Hash, Hasher},
    sync::atomic::{AtomicBool, Ordering},
};

use model::SeriesId;
use parking_lot::Mutex;
use xxhash_rust::xxh64::Xxh64;

use crate::{
    frame::{Row, is_absent},
    rollup::Reach,
};

/// What is looked at.
#[derive(Debug)]
pub struct Watch {
    /// The points that are evaluated are the last ones only.
    pub tail: Option<Tail>,
    /// Whether groups must be the same.
    pub same_groups: bool,
    is_local: AtomicBool,
    /// How far the windows of the selector at hand look around.
    reach: Mutex<Reach>,
    prints: Mutex<Vec<Print>>,
}

/// The last points of a grid whose other points are known.
#[derive(Debug, Clone, Copy)]
pub struct Tail {
    /// The last instant that is known.
    pub known_to: i64,
    /// How far before them the grid begins.
    pub shift: i64,
}

/// What the series of a selector were, and to which groups a fold of them came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// The list of series, if values depend on it.
    series: u64,
    /// The groups, if they matter.
    groups: u64,
    reach: Reach,
}

/// What two evaluations of an expression tell together; `None` if their values do not fit together.
pub fn together(one: &[Print], other: &[Print]) -> Option<Vec<Print>> {
    if one.len() != other.len() {
        return None;
    }
    let both = |(one, other): (&Print, &Print)| {
        let reach = one.reach.and(other.reach);
        let fits = one.series == other.series && one.groups == other.groups && reach.holds();
        fits.then_some(Print { reach, ..*one })
    };
    one.iter().zip(other).map(both).collect()
}

impl Watch {
    /// Looks at an evaluation of all points, or of a tail.
    pub fn new(tail: Option<Tail>, same_groups: bool) -> Self {
        Self { tail, same_groups, is_local: AtomicBool::new(true), reach: Mutex::default(), prints: Mutex::default() }
    }

    /// Something depends on where the query begins or ends.
    pub fn is_not_local(&self) {
        self.is_local.store(false, Ordering::Relaxed);
    }

    /// The windows of some series of the selector at hand look around so far; `None` if they are not local.
    pub fn looked(&self, reach: Option<Reach>) {
        match reach {
            Some(reach) => {
                let mut all = self.reach.lock();
                *all = all.and(reach);
            }
            None => self.is_not_local(),
        }
    }

    /// What the selectors tell, if every value is local.
    pub fn prints(&self) -> Option<Vec<Print>> {
        let prints = self.prints.lock();
        let is_local = self.is_local.load(Ordering::Relaxed) && prints.iter().all(|print| print.reach.holds());
        is_local.then(|| prints.clone())
    }

    /// All series of the selector at hand were rolled up.
    pub fn rolled(&self) {
        let reach = std::mem::take(&mut *self.reach.lock());
        self.prints.lock().push(Print { series: 0, groups: 0, reach });
    }

    /// A fold over these series came to these groups.
    pub fn folded(&self, series: u64, rows: &[Row], is_grouped: bool) {
        let groups = if self.same_groups { self.print_of(rows, is_grouped) } else { 0 };
        let reach = std::mem::take(&mut *self.reach.lock());
        self.prints.lock().push(Print { series, groups, reach });
    }

    fn print_of(&self, rows: &[Row], is_grouped: bool) -> u64 {
        // A row without any sample may be no row elsewhere, and one without labels is taken for a number.
        let is_plain = |row: &Row| {
            row.values.iter().any(|value| !is_absent(*value) && !value.is_nan())
                && !(is_grouped && row.labels.is_empty())
        };
        if !rows.iter().all(is_plain) {
            self.is_not_local();
        }
        let mut hash = Xxh64::new(0);
        rows.iter().for_each(|row| row.labels.hash(&mut hash));
        hash.finish()
    }
}

/// A list of series as a number.
pub struct SeriesPrint(u64);

impl Default for SeriesPrint {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl SeriesPrint {
    /// The next series.
    pub fn add(&mut self, id: SeriesId) {
        // Ids are hashes already; the order counts.
        let folded = (id.0 as u64) ^ ((id.0 >> 64) as u64);
        self.0 = (self.0 ^ folded).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }

    /// The next part of the list.
    pub fn append(&mut self, part: &Self) {
        self.0 = (self.0 ^ part.0).wrapping_mul(0xc4ce_b9fe_1a85_ec53).rotate_left(31);
    }

    /// The number.
    pub fn finish(&self) -> u64 {
        self.0
    }
}
