//! Blocks that are taken over from other parts as they stand there.
//!
//! 1. Values are copied with their head, after their checksum; of equal columns still only one is kept.
//! 2. A time column is read once for each source and column; later blocks find it here by the hash of its times.
//! 3. A bucket that is stored as the difference to the next lower one needs that one's block beside it. If it did not come over as the series before, the
//!    values are read and encoded as if they were new.

use std::collections::HashMap;

use model::{Columns, TimeRange};

use super::{BlockForm, LowerBlock, PartWriter};
use crate::{
    block::{TimeSource, TimeSpan},
    error::PartError,
    merge::{Piece, SourceBlock},
    reader::ReadScratch,
    series_name::SeriesName,
};

/// So many time columns of the sources are remembered.
const TIMES_MAX: usize = 1 << 18;

/// What is kept from block to block.
#[derive(Default)]
pub(super) struct TakingOver {
    /// The hash of the times of a column, by source and place.
    times: HashMap<(usize, u64), u128>,
    read: ReadScratch,
    block: Columns,
}

impl PartWriter<'_> {
    /// Adds the next series from pieces in the order of time, which lie in different lines unless they are whole blocks.
    pub fn add_pieces(
        &mut self,
        name: &mut SeriesName<'_, PartError>,
        pieces: &[Piece<'_>],
        rows: &Columns,
    ) -> Result<(), PartError> {
        let placed = self.place(name)?;
        let chained = self.begin_series(placed)?;
        for piece in pieces {
            match piece {
                Piece::Rows(range) => {
                    self.add_rows(&rows.times, &rows.values, range.clone(), chained)?;
                    self.cover(range.len(), TimeRange::new(rows.times[range.start], rows.times[range.end - 1]));
                }
                Piece::Block(block) => {
                    let time = block.head().time;
                    self.take_over(block, chained)?;
                    self.cover(time.count as usize, TimeRange::new(time.first, time.last));
                }
            }
        }
        self.end_series(&rows.values);
        Ok(())
    }

    fn cover(&mut self, samples: usize, range: TimeRange) {
        self.meta.samples += samples as u64;
        self.meta.range = self.meta.range.cover(range);
    }

    fn take_over(&mut self, block: &SourceBlock<'_>, chained: bool) -> Result<(), PartError> {
        let head = block.head();
        let (source, time) = self.take_over_times(block)?;
        let number = self.current.blocks.len();
        if head.above {
            let below = Some((block.source, block.number.wrapping_sub(1), block.block));
            let lower = self.lower.blocks.get(number).filter(|have| chained && have.time == time);
            if lower.is_none_or(|have| have.taken_from != below) {
                return self.encode_anew(block);
            }
        }
        let taken_from = Some((block.source, block.number, block.block));
        self.current.blocks.push(LowerBlock { time, values: None, taken_from });
        self.encoded.clear();
        self.encoded.extend_from_slice(block.part.value_bytes(block.page, head)?);
        let (kind, above, equal_times, summary) = (head.kind, head.above, head.equal_times, head.summary);
        Ok(self.put_block(source, &BlockForm { time, kind, above, equal_times, summary })?)
    }

    fn take_over_times(&mut self, block: &SourceBlock<'_>) -> Result<(TimeSource, TimeSpan), PartError> {
        let time = block.head().time;
        let known = (block.source, time.span.offset);
        if let Some(found) = self.taking_over.times.get(&known).and_then(|hash| self.times.find(*hash)) {
            return Ok(found);
        }
        let mut times = std::mem::take(&mut self.taking_over.block.times);
        times.clear();
        let read = block.part.read_times(&time, &mut times);
        let placed = read.and_then(|()| Ok(self.place_times(&times)?));
        self.taking_over.block.times = times;
        let placed = placed?;
        if self.taking_over.times.len() >= TIMES_MAX {
            self.taking_over.times.clear();
        }
        self.taking_over.times.insert(known, self.times.last_hash());
        Ok(placed)
    }

    /// Reads a block and encodes it.
    fn encode_anew(&mut self, block: &SourceBlock<'_>) -> Result<(), PartError> {
        let mut rows = std::mem::take(&mut self.taking_over.block);
        rows.clear();
        let part = block.part;
        let read = part.read_times(&block.head().time, &mut rows.times).and_then(|()| {
            part.read_values(block.page, block.number, block.block, &mut self.taking_over.read, &mut rows.values)
        });
        let added = read.and_then(|()| {
            self.add_block(&rows.times, &rows.values, 0, false)?;
            // Its values are not kept.
            self.current.blocks.last_mut().expect("BUG: a block was added").values = None;
            Ok(())
        });
        self.taking_over.block = rows;
        added
    }
}
