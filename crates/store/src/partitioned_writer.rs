//! Writes series into one part per partition.
//!
//! The first partitions that come up get a writer of their own; the rows of all others go into one spill part over many partitions, which a merge splits later.
//! So a backfill over years opens a bounded number of files.

use std::{path::PathBuf, sync::atomic::AtomicU64, sync::atomic::Ordering};

use disk::Disk;
use model::{Columns, TimeRange};
use part::{
    BLOCK_LINE_MS, Effort, PartError, PartMeta, PartWriter, SeriesName, WriterOptions, deduplicate,
    merge::{MergeSink, Piece},
};

use crate::{layout, partition::Partition};

/// A flush writes so many partitions at once …
pub const FLUSH_WRITERS_MAX: usize = 4;
/// … and the split of a spill part so many.
pub const SPLIT_WRITERS_MAX: usize = 48;

/// What becomes of rows on their way into parts.
#[derive(Debug, Clone, Copy)]
pub struct WritePlan {
    /// Options of the parts; each gets a number of its own.
    pub options: WriterOptions,
    /// Columns outside have expired.
    pub keep: TimeRange,
    /// The time by which partitions are told apart.
    pub now: i64,
    /// How many partitions are written at once.
    pub writers_max: usize,
}

/// Parts under way.
pub struct PartitionedWriter<'d> {
    disk: &'d dyn Disk,
    next_part: &'d AtomicU64,
    plan: WritePlan,
    writers: Vec<(Partition, PartWriter<'d>)>,
    spill: Option<PartWriter<'d>>,
    /// The partition that was asked for last, which is usually the next one, too.
    last: Partition,
    piece: Columns,
    spilled: Columns,
    /// Columns that a dedup interval swallowed.
    pub deduplicated: u64,
    /// Columns that had expired.
    pub expired: u64,
}

impl<'d> PartitionedWriter<'d> {
    /// No parts yet.
    pub fn new(disk: &'d dyn Disk, next_part: &'d AtomicU64, plan: WritePlan) -> Self {
        Self {
            disk,
            next_part,
            plan,
            writers: Vec::new(),
            spill: None,
            last: Partition::of(plan.now, plan.now),
            piece: Columns::default(),
            spilled: Columns::default(),
            deduplicated: 0,
            expired: 0,
        }
    }

    /// Adds a series with sorted rows.
    pub fn add<E: From<disk::Error>>(&mut self, name: &mut SeriesName<'_, E>, rows: &mut Columns) -> Result<(), E> {
        let before = rows.len();
        rows.clip(self.plan.keep);
        self.expired += (before - rows.len()) as u64;
        self.deduplicated += deduplicate(rows, self.plan.options.dedup_interval_ms) as u64;
        let (Some(first), Some(last)) = (rows.times.first(), rows.times.last()) else { return Ok(()) };
        let partition = self.partition(*first);
        self.last = partition;
        if partition.range().contains(*last)
            && let Some(writer) = self.writer(partition)?
        {
            return writer.add_named(name, &rows.times, &rows.values);
        }
        self.add_in_pieces(name, rows)
    }

    fn add_in_pieces<E: From<disk::Error>>(&mut self, name: &mut SeriesName<'_, E>, rows: &Columns) -> Result<(), E> {
        let mut spilled = std::mem::take(&mut self.spilled);
        let mut piece = std::mem::take(&mut self.piece);
        spilled.clear();
        let mut start = 0;
        while start < rows.len() {
            let partition = self.partition(rows.times[start]);
            let end = start + rows.times[start..].partition_point(|time| *time < partition.end);
            piece.clear();
            piece.times.extend_from_slice(&rows.times[start..end]);
            piece.values.extend_from_slice(&rows.values[start..end]);
            match self.writer(partition)? {
                Some(writer) => writer.add_named(name, &piece.times, &piece.values)?,
                None => {
                    spilled.times.extend_from_slice(&piece.times);
                    spilled.values.extend_from_slice(&piece.values);
                }
            }
            start = end;
        }
        if !spilled.is_empty() {
            self.spill_writer()?.add_named(name, &spilled.times, &spilled.values)?;
        }
        self.spilled = spilled;
        self.piece = piece;
        Ok(())
    }

    fn writer(&mut self, partition: Partition) -> Result<Option<&mut PartWriter<'d>>, disk::Error> {
        if let Some(at) = self.writers.iter().position(|(have, _)| *have == partition) {
            return Ok(Some(&mut self.writers[at].1));
        }
        if self.writers.len() >= self.plan.writers_max {
            return Ok(None);
        }
        let writer = self.create()?;
        self.writers.push((partition, writer));
        Ok(self.writers.last_mut().map(|(_, writer)| writer))
    }

    fn spill_writer(&mut self) -> Result<&mut PartWriter<'d>, disk::Error> {
        let writer = match self.spill.take() {
            Some(writer) => writer,
            None => self.create()?,
        };
        Ok(self.spill.insert(writer))
    }

    fn create(&self) -> Result<PartWriter<'d>, disk::Error> {
        let id = self.next_part.fetch_add(1, Ordering::Relaxed);
        let folder: PathBuf = layout::part(id);
        PartWriter::create(self.disk, &folder, WriterOptions { id, ..self.plan.options })
    }

    /// The partition of a time.
    #[inline]
    fn partition(&self, time: i64) -> Partition {
        if self.last.range().contains(time) { self.last } else { Partition::of(time, self.plan.now) }
    }

    /// Whether the partition has a writer or can get one.
    fn has_room_for(&self, partition: Partition) -> bool {
        self.writers.len() < self.plan.writers_max || self.writers.iter().any(|(have, _)| *have == partition)
    }

    /// Makes the parts durable. They count once the manifest names them.
    pub fn finish(self) -> Result<Vec<PartMeta>, disk::Error> {
        let writers = self.writers.into_iter().map(|(_, writer)| writer).chain(self.spill);
        writers.map(PartWriter::finish).collect()
    }

    /// Throws the parts away.
    pub fn abandon(self) -> Result<(), disk::Error> {
        let mut writers = self.writers.into_iter().map(|(_, writer)| writer).chain(self.spill);
        writers.try_for_each(PartWriter::abandon)
    }
}

impl MergeSink for PartitionedWriter<'_> {
    fn takes_blocks(&self, range: TimeRange) -> Option<Effort> {
        let WritePlan { options, keep, .. } = self.plan;
        let partition = self.partition(range.min);
        let whole = keep.covers(range) && partition.range().covers(range) && self.has_room_for(partition);
        let unchanged = options.dedup_interval_ms == 0 && options.line_ms == BLOCK_LINE_MS;
        (whole && unchanged).then_some(options.effort)
    }

    fn rows(&mut self, name: &mut SeriesName<'_, PartError>, rows: &mut Columns) -> Result<(), PartError> {
        self.add(name, rows)
    }

    fn pieces(
        &mut self,
        name: &mut SeriesName<'_, PartError>,
        pieces: &[Piece<'_>],
        rows: &Columns,
    ) -> Result<(), PartError> {
        let first = match pieces.first() {
            Some(Piece::Block(block)) => block.first_time(),
            Some(Piece::Rows(range)) => rows.times[range.start],
            None => return Ok(()),
        };
        self.last = self.partition(first);
        let writer = self.writer(self.last)?;
        writer.expect("BUG: blocks are taken over into a partition without a writer").add_pieces(name, pieces, rows)
    }
}
