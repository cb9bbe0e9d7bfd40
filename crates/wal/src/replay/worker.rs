//! The threads of a replay: what each keeps, what each finds, and how a batch of records is shared among them.

use std::sync::atomic::{AtomicUsize, Ordering};

use codec::bytes::Malformed;

use super::sink::ReplaySink;
use super::table::Table;
use super::walk::Record;
use crate::format::FRAME_BYTES;
use crate::format::decode::{Columns, Definition, decode_floats};
use crate::format::definitions::DefinitionsDecoder;

/// A batch holds no more records than these.
const BATCH_RECORDS_MAX: usize = 1 << 14;
/// And is full when it holds this many bytes.
const BATCH_BYTES_SOFT: usize = 32 << 20;
/// A thread is started for each so many bytes of a batch; for fewer it costs more than it saves.
const BYTES_PER_THREAD: usize = 64 << 10;
/// No more damages of a segment are remembered by each worker; further ones are counted.
const DAMAGES_MAX: usize = super::report::DAMAGED_NAMED_MAX;

/// What one thread keeps from record to record, and what it found in the present segment.
pub(super) struct Worker {
    decoder: DefinitionsDecoder,
    columns: Columns,
    pub tally: Tally,
}

/// What was found in a segment.
#[derive(Default)]
pub(super) struct Tally {
    pub definitions: Vec<(u32, Definition)>,
    pub records: u64,
    pub samples: u64,
    pub undefined_samples: u64,
    /// Where the last whole record ends.
    pub whole_end: usize,
    /// Where damaged records stand, and what is wrong with them.
    pub damages: Vec<(usize, String)>,
    /// Damages that did not fit there.
    pub damages_unnamed: u64,
}

impl Tally {
    /// Counts a whole record.
    pub(super) fn whole(&mut self, record: &Record<'_>) {
        self.records += 1;
        self.whole_end = self.whole_end.max(record.end());
    }

    /// Notes damage at `offset`.
    pub(super) fn damage(&mut self, offset: usize, what: impl Into<String>) {
        if self.damages.len() < DAMAGES_MAX {
            self.damages.push((offset, what.into()));
        } else {
            self.damages_unnamed += 1;
        }
    }

    /// Counts `record` if it is whole, else notes the damage; says which.
    pub(super) fn check(&mut self, record: &Record<'_>) -> bool {
        let is_whole = record.is_whole();
        if is_whole {
            self.whole(record);
        } else {
            self.damage(record.offset, "payload checksum differs");
        }
        is_whole
    }

    fn malformed(&mut self, record: &Record<'_>, error: Malformed) {
        self.damage(record.offset + FRAME_BYTES + error.offset, format!("malformed {}", error.what));
    }

    /// Adds what another thread found.
    pub(super) fn add(&mut self, other: Tally) {
        self.definitions.extend(other.definitions);
        self.records += other.records;
        self.samples += other.samples;
        self.undefined_samples += other.undefined_samples;
        self.whole_end = self.whole_end.max(other.whole_end);
        self.damages.extend(other.damages);
        self.damages_unnamed += other.damages_unnamed;
    }
}

impl Worker {
    /// A worker with empty buffers.
    pub(super) fn new() -> Worker {
        Worker { decoder: DefinitionsDecoder::new(), columns: Columns::default(), tally: Tally::default() }
    }

    /// Gives the keys of a record to the sink and keeps its answers.
    pub(super) fn define(&mut self, record: &Record<'_>, sink: &dyn ReplaySink) {
        if !self.tally.check(record) {
            return;
        }
        let mut define = |keys: &mut dyn Iterator<Item = &[u8]>, slots: &mut Vec<u32>| sink.define(keys, slots);
        if let Err(error) = self.decoder.decode(record.payload, &mut define, &mut self.tally.definitions) {
            self.tally.malformed(record, error);
        }
    }

    /// Gives the samples of a record to the sink.
    pub(super) fn samples(&mut self, record: &Record<'_>, table: &Table, sink: &dyn ReplaySink) {
        if !self.tally.check(record) {
            return;
        }
        let columns = &mut self.columns;
        let decoded = match table {
            Table::Dense(places) => {
                let place = |slot: u32| places.get(slot as usize).and_then(|place| place.get());
                decode_floats(record.payload, place, columns)
            }
            Table::Sparse(places) => {
                decode_floats(record.payload, |slot| places.get(&slot).and_then(|place| place.get()), columns)
            }
        };
        match decoded {
            Ok(()) => {
                self.tally.samples += columns.slots.len() as u64;
                self.tally.undefined_samples += columns.undefined;
                if !columns.slots.is_empty() {
                    sink.samples(&columns.slots, &columns.times, &columns.values);
                }
            }
            Err(error) => self.tally.malformed(record, error),
        }
    }
}

/// Records that may be worked on in any order.
#[derive(Default)]
pub(super) struct Batch<'a> {
    records: Vec<Record<'a>>,
    bytes: usize,
}

impl<'a> Batch<'a> {
    /// Adds a record.
    pub(super) fn push(&mut self, record: Record<'a>) {
        self.bytes += record.payload.len();
        self.records.push(record);
    }

    /// Whether it is time to work on it.
    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= BATCH_RECORDS_MAX || self.bytes >= BATCH_BYTES_SOFT
    }

    /// Lets the workers do `job` on every record, then empties the batch.
    pub(super) fn work(&mut self, workers: &mut [Worker], job: impl Fn(&mut Worker, &Record<'_>) + Sync) {
        let records = &self.records;
        let next = AtomicUsize::new(0);
        let run = |worker: &mut Worker| {
            while let Some(record) = records.get(next.fetch_add(1, Ordering::Relaxed)) {
                job(worker, record);
            }
        };
        let useful = records.len().min(1 + self.bytes / BYTES_PER_THREAD).min(workers.len());
        if let Some((first, others)) = workers[..useful].split_first_mut() {
            std::thread::scope(|scope| {
                for worker in others {
                    scope.spawn(|| run(worker));
                }
                run(first);
            });
        }
        self.records.clear();
        self.bytes = 0;
    }
}
