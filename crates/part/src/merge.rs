//! Walks several parts as one, in key order.
//!
//! 1. Each part has a cursor on its next series. The least key is next; parts whose next series has the same id and key take part in it. Keys are
//!    only made to compare series with different ids, and where the pieces of two keys meet for the first time ([`names`]).
//! 2. The blocks of the series are put in the order of time. Where they do not overlap and nothing in them is hidden, a line of time with the blocks of
//!    one part alone is taken over as it is, if encoding it again would not make it smaller ([`blocks`]); blocks of several parts in one line become
//!    one.
//! 3. Else the rows of the series are read, sorted and freed of exact duplicates; the sink cuts, drops and writes them as its owner wants.

mod blocks;
mod names;

use std::sync::Arc;

use model::{Columns, SeriesKey, TimeRange};
use roaring::RoaringBitmap;

use self::{
    blocks::{BlockCursor, Layout},
    names::NameCursor,
};
use crate::{error::PartError, meta::Effort, reader::Part, rows::sort_rows, series_name::SeriesName};

pub use blocks::{Piece, SourceBlock};

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

/// Takes what a merge walks.
pub trait MergeSink {
    /// How dense the result shall be, if blocks may be taken over at all from a series with samples in this range: nothing in it has expired, is
    /// thinned out, or goes to another part.
    fn takes_blocks(&self, range: TimeRange) -> Option<Effort>;

    /// Takes a series and its rows, which it may change.
    fn rows(&mut self, name: &mut SeriesName<'_, PartError>, rows: &mut Columns) -> Result<(), PartError>;

    /// Takes a series some of whose blocks need not be decoded; `rows` are those of the others.
    fn pieces(
        &mut self,
        name: &mut SeriesName<'_, PartError>,
        pieces: &[Piece<'_>],
        rows: &Columns,
    ) -> Result<(), PartError>;
}

/// What a merge came across.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merged {
    /// Columns read.
    pub read: u64,
    /// Those of them that were taken over without being decoded.
    pub taken_over: u64,
    /// Exact duplicates dropped.
    pub duplicates: u64,
}

/// Gives `sink` each series with its rows, in key order. Ends with `Ok(None)` when `stop` says so, between two series.
pub fn merge_parts(
    inputs: &[MergeInput],
    stop: &dyn Fn() -> bool,
    sink: &mut dyn MergeSink,
) -> Result<Option<Merged>, PartError> {
    let mut order: Vec<&MergeInput> = inputs.iter().collect();
    order.sort_by_key(|input| (input.part.meta().range.min, input.part.meta().id));
    let mut names = order.iter().map(|input| NameCursor::open(&input.part)).collect::<Result<Vec<_>, _>>()?;
    let mut blocks: Vec<BlockCursor<'_>> = order.into_iter().map(BlockCursor::new).collect();
    let mut merged = Merged::default();
    let mut rows = Columns::default();
    let mut layout = Layout::default();
    let mut members = Vec::with_capacity(names.len());
    let mut walked = 0u64;
    while let Some(least) = names::least(&mut names)? {
        if stop() {
            return Ok(None);
        }
        names::members(&mut names, least, &mut members)?;
        for member in &members {
            blocks[*member].go_to(names[*member].number)?;
        }
        layout.collect(&blocks, &members);
        rows.clear();
        let (id, numbers) = (names[least].id, names[least].numbers);
        let keys = &mut names[least];
        let mut key = |key: &mut SeriesKey| keys.put_key(key);
        let mut name = SeriesName { id, source: least, numbers, key: &mut key };
        if let Some(effort) = layout.range().and_then(|range| sink.takes_blocks(range))
            && layout.any_taken_over(&blocks, effort)
        {
            merged.read += layout.samples();
            layout.read_others(&mut blocks, &mut rows)?;
            merged.taken_over += layout.samples() - rows.len() as u64;
            sink.pieces(&mut name, &layout.pieces(&blocks), &rows)?;
        } else {
            for member in &members {
                blocks[*member].read(&mut rows)?;
            }
            merged.read += rows.len() as u64;
            merged.duplicates += sort_rows(&mut rows) as u64;
            if !rows.is_empty() {
                sink.rows(&mut name, &mut rows)?;
            }
        }
        for member in &members {
            names[*member].advance()?;
        }
        walked += 1;
        if walked.is_multiple_of(RELEASE_SERIES) {
            inputs.iter().for_each(|input| input.part.release());
        }
    }
    inputs.iter().for_each(|input| input.part.release());
    Ok(Some(merged))
}
