//! Walks several parts as one, in key order.
//!
//! 1. Each part has a cursor on its next series. The least key is next; parts whose next series has the same id and key take part in it.
//! 2. The rows of the series come from its blocks, without those that a tombstone hides. The parts of one series are read by ascending time, so that
//!    rows that do not interleave need no sorting.
//! 3. Sorted and without exact duplicates they go to the sink, which cuts, drops and writes as its owner wants.

use std::{cmp::Ordering, sync::Arc};

use index::KeyCursor;
use model::{Columns, SeriesId, SeriesKey, TimeRange};
use roaring::RoaringBitmap;

use crate::{
    error::PartError,
    page::Page,
    reader::{Part, ReadScratch},
    rows::sort_rows,
};

/// The mapped bytes of the inputs are given back to the system each time so many series were walked.
const RELEASE_SERIES: u64 = 1 << 16;

/// A part and what is hidden in it.
#[derive(Debug, Clone)]
pub struct MergeInput {
    /// The part.
    pub part: Arc<Part>,
    /// What tombstones hide.
    pub hidden: Vec<Hidden>,
}

/// Columns that were deleted.
#[derive(Debug, Clone)]
pub struct Hidden {
    /// Of these series of the part …
    pub series: Arc<RoaringBitmap>,
    /// … in this range.
    pub range: TimeRange,
}

/// Takes a series and its rows, which it may change.
pub type Sink<'a> = dyn FnMut(&SeriesKey, SeriesId, &mut Columns) -> Result<(), PartError> + 'a;

/// What a merge came across.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merged {
    /// Columns read.
    pub read: u64,
    /// Exact duplicates dropped.
    pub duplicates: u64,
}

/// Calls `sink` with each series and its rows, in key order. `sink` may change the rows. Ends with `Ok(None)` when `stop` says so, between two series.
pub fn merge_parts(
    inputs: &[MergeInput],
    stop: &dyn Fn() -> bool,
    sink: &mut Sink<'_>,
) -> Result<Option<Merged>, PartError> {
    let mut order: Vec<&MergeInput> = inputs.iter().collect();
    order.sort_by_key(|input| (input.part.meta().range.min, input.part.meta().id));
    let mut cursors = order.into_iter().map(Cursor::open).collect::<Result<Vec<_>, _>>()?;
    let mut merged = Merged::default();
    let mut rows = Columns::default();
    let mut key = SeriesKey::default();
    let mut walked = 0u64;
    while let Some(least) = least(&cursors) {
        if stop() {
            return Ok(None);
        }
        let id = cursors[least].id;
        key.clone_from(&cursors[least].key);
        rows.clear();
        for cursor in &mut cursors {
            if !cursor.done && cursor.id == id && cursor.key == key {
                cursor.read(&mut rows)?;
                cursor.advance()?;
            }
        }
        merged.read += rows.len() as u64;
        merged.duplicates += sort_rows(&mut rows) as u64;
        if !rows.is_empty() {
            sink(&key, id, &mut rows)?;
        }
        walked += 1;
        if walked.is_multiple_of(RELEASE_SERIES) {
            inputs.iter().for_each(|input| input.part.release());
        }
    }
    inputs.iter().for_each(|input| input.part.release());
    Ok(Some(merged))
}

fn least(cursors: &[Cursor<'_>]) -> Option<usize> {
    let mut least: Option<usize> = None;
    for (at, cursor) in cursors.iter().enumerate().filter(|(_, cursor)| !cursor.done) {
        least = match least {
            // Most series are in all parts: equal ids spare the comparison of keys that are equal almost to their end.
            Some(best) if cursors[best].id == cursor.id => Some(best),
            Some(best) if cursors[best].key.cmp(&cursor.key) == Ordering::Greater => Some(at),
            Some(best) => Some(best),
            None => Some(at),
        };
    }
    least
}

struct Cursor<'a> {
    input: &'a MergeInput,
    keys: KeyCursor,
    number: u32,
    key: SeriesKey,
    id: SeriesId,
    done: bool,
    page: Page,
    next_page: usize,
    scratch: ReadScratch,
    times: Vec<i64>,
}

impl<'a> Cursor<'a> {
    fn open(input: &'a MergeInput) -> Result<Self, PartError> {
        let mut cursor = Self {
            input,
            keys: input.part.labels().keys(0),
            number: 0,
            key: SeriesKey::default(),
            id: SeriesId(0),
            done: false,
            page: Page::default(),
            next_page: 0,
            scratch: ReadScratch::default(),
            times: Vec::new(),
        };
        cursor.fetch()?;
        Ok(cursor)
    }

    fn advance(&mut self) -> Result<(), PartError> {
        self.number += 1;
        self.fetch()
    }

    fn fetch(&mut self) -> Result<(), PartError> {
        let Some((number, key)) = self.keys.next()? else {
            self.done = true;
            return Ok(());
        };
        debug_assert_eq!(number, self.number, "BUG: the cursor counts otherwise");
        self.key.clone_from(key);
        self.id = self.input.part.labels().id(self.number)?;
        if !self.page.holds(self.number) {
            self.input.part.read_page(self.next_page, &mut self.page)?;
            self.next_page += 1;
            assert!(self.page.holds(self.number), "BUG: pages and keys walk apart");
        }
        Ok(())
    }

    /// Appends the rows of the series under the cursor that nothing hides.
    fn read(&mut self, rows: &mut Columns) -> Result<(), PartError> {
        let part = &self.input.part;
        let start = rows.len();
        let hidden: Vec<TimeRange> = self
            .input
            .hidden
            .iter()
            .filter(|hidden| hidden.series.contains(self.number))
            .map(|hidden| hidden.range)
            .collect();
        for (number, head) in self.page.blocks(self.number).iter().enumerate() {
            let block = TimeRange::new(head.time.first, head.time.last);
            // A hidden bucket is still decoded if the one above needs it: `read_values` sees to that by itself.
            if hidden.iter().any(|range| range.covers(block)) {
                continue;
            }
            self.times.clear();
            part.read_times(&head.time, &mut self.times)?;
            rows.times.extend_from_slice(&self.times);
            part.read_values(&self.page, self.number, number, &mut self.scratch, &mut rows.values)?;
        }
        if !hidden.is_empty() {
            rows.retain_from(start, |time| !hidden.iter().any(|range| range.contains(time)));
        }
        Ok(())
    }
}
