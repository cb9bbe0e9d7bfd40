//! The blocks of a series that is merged, and which of them need not be decoded.

use std::ops::Range;

use model::{Columns, TimeRange};

use super::MergeInput;
use crate::{
    BLOCK_LINE_MS,
    block::{BlockHead, TimeSpan},
    error::PartError,
    meta::Effort,
    page::Page,
    reader::{Part, ReadScratch},
};

/// A part of a series as it is written.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A block that can be taken over as it is.
    Block(SourceBlock<'a>),
    /// Some of the rows that are encoded anew.
    Rows(Range<usize>),
}

/// A block where it stands.
#[derive(Debug, Clone, Copy)]
pub struct SourceBlock<'a> {
    /// Which of the inputs the part is, in the order in which they are read.
    pub(crate) source: usize,
    pub(crate) part: &'a Part,
    pub(crate) page: &'a Page,
    /// Of the series in the part.
    pub(crate) number: u32,
    /// Of the block in the series.
    pub(crate) block: usize,
}

impl SourceBlock<'_> {
    /// The time of its first sample.
    pub fn first_time(&self) -> i64 {
        self.head().time.first
    }

    pub(crate) fn head(&self) -> &BlockHead {
        &self.page.blocks(self.number)[self.block]
    }
}

/// The page with a part's next series.
pub(super) struct BlockCursor<'a> {
    input: &'a MergeInput,
    page: Page,
    next_page: usize,
    number: u32,
    scratch: ReadScratch,
    /// The times that were read last: series of one target follow one another.
    times: Vec<i64>,
    times_of: Option<TimeSpan>,
}

impl<'a> BlockCursor<'a> {
    pub(super) fn new(input: &'a MergeInput) -> Self {
        Self {
            input,
            page: Page::default(),
            next_page: 0,
            number: 0,
            scratch: ReadScratch::default(),
            times: Vec::new(),
            times_of: None,
        }
    }

    /// Goes to a series, which is the one at hand or the next.
    pub(super) fn go_to(&mut self, number: u32) -> Result<(), PartError> {
        self.number = number;
        if !self.page.holds(number) {
            self.input.part.read_page(self.next_page, &mut self.page)?;
            self.next_page += 1;
            assert!(self.page.holds(number), "BUG: pages and keys walk apart");
        }
        Ok(())
    }

    fn blocks(&self) -> &[BlockHead] {
        self.page.blocks(self.number)
    }

    fn hidden(&self) -> impl Iterator<Item = TimeRange> + '_ {
        let hidden = self.input.hidden.iter().filter(|hidden| hidden.series.contains(self.number));
        hidden.map(|hidden| hidden.range)
    }

    /// Appends the rows of the series that nothing hides.
    pub(super) fn read(&mut self, rows: &mut Columns) -> Result<(), PartError> {
        let start = rows.len();
        let hidden: Vec<TimeRange> = self.hidden().collect();
        for number in 0..self.blocks().len() {
            let time = self.blocks()[number].time;
            // A hidden bucket is still decoded if the one above needs it: `read_values` sees to that by itself.
            if hidden.iter().any(|range| range.covers(TimeRange::new(time.first, time.last))) {
                continue;
            }
            self.read_block(number, rows)?;
        }
        if !hidden.is_empty() {
            rows.retain_from(start, |time| !hidden.iter().any(|range| range.contains(time)));
        }
        Ok(())
    }

    /// Appends the rows of a block.
    fn read_block(&mut self, block: usize, rows: &mut Columns) -> Result<(), PartError> {
        let part = &self.input.part;
        let time = self.page.blocks(self.number)[block].time;
        if self.times_of != Some(time) {
            self.times_of = None;
            self.times.clear();
            part.read_times(&time, &mut self.times)?;
            self.times_of = Some(time);
        }
        rows.times.extend_from_slice(&self.times);
        part.read_values(&self.page, self.number, block, &mut self.scratch, &mut rows.values)
    }
}

/// The blocks of one series over all parts, by time.
#[derive(Debug, Default)]
pub(super) struct Layout {
    placed: Vec<Placed>,
    /// Nothing hides rows, and no two blocks overlap.
    in_line: bool,
}

/// A block, and what becomes of it.
#[derive(Debug, Clone)]
struct Placed {
    first: i64,
    last: i64,
    count: u32,
    cursor: usize,
    block: usize,
    taken_over: bool,
    /// Where its rows stand, if it was read.
    rows: Range<usize>,
}

impl Placed {
    fn line(&self) -> i64 {
        self.first.div_euclid(BLOCK_LINE_MS)
    }
}

impl Layout {
    /// Takes the blocks of the series on which these cursors stand.
    pub(super) fn collect(&mut self, cursors: &[BlockCursor<'_>], members: &[usize]) {
        self.placed.clear();
        self.in_line = true;
        for member in members {
            let cursor = &cursors[*member];
            self.in_line &= cursor.hidden().next().is_none();
            for (block, head) in cursor.blocks().iter().enumerate() {
                let TimeSpan { first, last, count, .. } = head.time;
                let (taken_over, rows) = (false, 0..0);
                self.placed.push(Placed { first, last, count, cursor: *member, block, taken_over, rows });
            }
        }
        self.placed.sort_by_key(|placed| (placed.first, placed.last));
        self.in_line &= self.placed.windows(2).all(|pair| pair[0].last < pair[1].first)
            && self.placed.iter().all(|placed| placed.last.div_euclid(BLOCK_LINE_MS) == placed.line());
    }

    /// From the first to the last sample, if the blocks stand one behind the other.
    pub(super) fn range(&self) -> Option<TimeRange> {
        let (first, last) = (self.placed.first()?, self.placed.last()?);
        self.in_line.then_some(TimeRange::new(first.first, last.last))
    }

    pub(super) fn samples(&self) -> u64 {
        self.placed.iter().map(|placed| u64::from(placed.count)).sum()
    }

    /// Decides which blocks are taken over into a part of this effort: those of lines that have blocks of one part only, and which cannot become
    /// smaller. Whether there are any.
    pub(super) fn any_taken_over(&mut self, cursors: &[BlockCursor<'_>], effort: Effort) -> bool {
        let mut any = false;
        for line in self.placed.chunk_by_mut(|a, b| a.line() == b.line()) {
            let alone = line.iter().all(|placed| placed.cursor == line[0].cursor);
            let dense = cursors[line[0].cursor].input.part.meta().effort >= effort;
            if !alone {
                continue;
            }
            for placed in line {
                placed.taken_over = dense || placed.count as usize <= codec::SHORT_BLOCK_SAMPLES;
                any |= placed.taken_over;
            }
        }
        any
    }

    /// Reads the rows of the blocks that are not taken over.
    pub(super) fn read_others(&mut self, cursors: &mut [BlockCursor<'_>], rows: &mut Columns) -> Result<(), PartError> {
        for placed in self.placed.iter_mut().filter(|placed| !placed.taken_over) {
            let start = rows.len();
            cursors[placed.cursor].read_block(placed.block, rows)?;
            placed.rows = start..rows.len();
        }
        Ok(())
    }

    /// The pieces in the order of time.
    pub(super) fn pieces<'a>(&self, cursors: &'a [BlockCursor<'_>]) -> Vec<Piece<'a>> {
        let mut pieces: Vec<Piece<'a>> = Vec::with_capacity(self.placed.len());
        for placed in &self.placed {
            let cursor = &cursors[placed.cursor];
            if placed.taken_over {
                pieces.push(Piece::Block(SourceBlock {
                    source: placed.cursor,
                    part: &cursor.input.part,
                    page: &cursor.page,
                    number: cursor.number,
                    block: placed.block,
                }));
            } else if let Some(Piece::Rows(rows)) = pieces.last_mut() {
                rows.end = placed.rows.end;
            } else {
                pieces.push(Piece::Rows(placed.rows.clone()));
            }
        }
        pieces
    }
}
