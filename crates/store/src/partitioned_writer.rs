//! Writes series into one part per partition.
//!
//! The first partitions that come up get a writer of their own; the rows of all others go into one spill part over many partitions, which a merge splits later.
//! So a backfill over years opens a bounded number of files.

use std::{path::PathBuf, sync::atomic::AtomicU64, sync::atomic::Ordering};

use disk::Disk;
use model::{Columns, SeriesId, SeriesKey, TimeRange};
use part::{PartMeta, PartWriter, WriterOptions, deduplicate};

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
            piece: Columns::default(),
            spilled: Columns::default(),
            deduplicated: 0,
            expired: 0,
        }
    }

    /// Adds a series with sorted rows.
    pub fn add(&mut self, key: &SeriesKey, id: SeriesId, rows: &mut Columns) -> Result<(), disk::Error> {
        let before = rows.len();
        rows.clip(self.plan.keep);
        self.expired += (before - rows.len()) as u64;
        self.deduplicated += deduplicate(rows, self.plan.options.dedup_interval_ms) as u64;
        let (Some(first), Some(last)) = (rows.times.first(), rows.times.last()) else { return Ok(()) };
        let partition = Partition::of(*first, self.plan.now);
        if partition.range().contains(*last)
            && let Some(writer) = self.writer(partition)?
        {
            return writer.add_series(key, id, &rows.times, &rows.values);
        }
        self.add_in_pieces(key, id, rows)
    }

    fn add_in_pieces(&mut self, key: &SeriesKey, id: SeriesId, rows: &Columns) -> Result<(), disk::Error> {
        let mut spilled = std::mem::take(&mut self.spilled);
        let mut piece = std::mem::take(&mut self.piece);
        spilled.clear();
        let mut start = 0;
        while start < rows.len() {
            let partition = Partition::of(rows.times[start], self.plan.now);
            let end = start + rows.times[start..].partition_point(|time| *time < partition.end);
            piece.clear();
            piece.times.extend_from_slice(&rows.times[start..end]);
            piece.values.extend_from_slice(&rows.values[start..end]);
            match self.writer(partition)? {
                Some(writer) => writer.add_series(key, id, &piece.times, &piece.values)?,
                None => {
                    spilled.times.extend_from_slice(&piece.times);
                    spilled.values.extend_from_slice(&piece.values);
                }
            }
            start = end;
        }
        if !spilled.is_empty() {
            self.spill_writer()?.add_series(key, id, &spilled.times, &spilled.values)?;
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
