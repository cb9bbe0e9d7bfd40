//! Replays one segment.
//!
//! 1. All definitions first: they are decompressed by all workers at once, the sink gives a number of its own for each
//!    key, and the answers become one table. So samples and definitions need no order among each other.
//! 2. Then the samples, record by record, by all workers. A tombstone is a barrier: what stands before it is given to
//!    the sink before it, what stands behind it later. Metadata comes in its own order.
//! 3. Both walks collect a bounded batch of records, work on it, and give the pages of the file back.
//! 4. What lies behind the last whole record is the torn tail, whatever it looks like but for zeros at its end; other damage is reported as
//!    such, with its place.

use std::path::Path;

use disk::{Corrupt, Map};

use super::report::{ReplayReport, Torn};
use super::sink::ReplaySink;
use super::table::Table;
use super::walk::{Found, Record, Walk, written_from};
use super::worker::{Batch, Tally, Worker};
use crate::format::{HEADER_BYTES, Header, Kind};

/// Pages are given back when so many bytes have been walked.
const RELEASE_BYTES: usize = 32 << 20;

/// Gives what is in the segment `map` to the sink.
pub(super) fn replay_segment(
    path: &Path,
    map: &Map,
    header: Header,
    workers: &mut [Worker],
    sink: &dyn ReplaySink,
    report: &mut ReplayReport,
) {
    let mut tally = Tally { whole_end: HEADER_BYTES, ..Tally::default() };
    define_all(map, header, workers, sink);
    collect(workers, &mut tally);
    report.definitions += tally.definitions.len() as u64;
    let (table, contradictions) = Table::of(&std::mem::take(&mut tally.definitions));
    if contradictions > 0 {
        tally.damage(HEADER_BYTES, format!("{contradictions} definitions contradict others"));
    }
    give_all(map, header, &table, workers, sink, &mut tally);
    collect(workers, &mut tally);
    settle(path, map, tally, report);
}

/// The first walk: definitions.
fn define_all(map: &Map, header: Header, workers: &mut [Worker], sink: &dyn ReplaySink) {
    let job = |worker: &mut Worker, record: &Record<'_>| worker.define(record, sink);
    let mut pages = Pages { map, released: 0 };
    let mut batch = Batch::default();
    for found in Walk::new(map, header.salt) {
        // Gaps are noted by the second walk.
        let Found::Record(record) = found else { continue };
        pages.walked(record.offset);
        if record.kind() == Some(Kind::Definitions) {
            batch.push(record);
        }
        if batch.is_full() {
            batch.work(workers, job);
        }
    }
    batch.work(workers, job);
    pages.walked(map.len());
}

/// The second walk: everything else.
fn give_all(
    map: &Map,
    header: Header,
    table: &Table,
    workers: &mut [Worker],
    sink: &dyn ReplaySink,
    tally: &mut Tally,
) {
    let job = |worker: &mut Worker, record: &Record<'_>| worker.samples(record, table, sink);
    let mut pages = Pages { map, released: 0 };
    let mut batch = Batch::default();
    for found in Walk::new(map, header.salt) {
        let record = match found {
            Found::Record(record) => record,
            Found::Gap { offset } => {
                tally.damage(offset, "no record begins here");
                continue;
            }
        };
        pages.walked(record.offset);
        match record.kind() {
            Some(Kind::Definitions) => {}
            Some(Kind::Floats) => batch.push(record),
            Some(Kind::Tombstone) => {
                batch.work(workers, job);
                if tally.check(&record) {
                    sink.tombstone(record.payload);
                }
            }
            Some(Kind::Metadata) => {
                if tally.check(&record) {
                    sink.metadata(record.payload);
                }
            }
            None => {
                tally.damage(record.offset, format!("record of unknown kind {}", record.frame.kind));
                // It is no tail that was being written.
                tally.whole_end = tally.whole_end.max(record.end());
            }
        }
        if batch.is_full() {
            batch.work(workers, job);
        }
    }
    batch.work(workers, job);
    pages.walked(map.len());
}

fn collect(workers: &mut [Worker], tally: &mut Tally) {
    for worker in workers {
        tally.add(std::mem::take(&mut worker.tally));
    }
}

/// Tells the torn tail from damage, and adds all to the report.
fn settle(path: &Path, map: &Map, mut tally: Tally, report: &mut ReplayReport) {
    report.records += tally.records;
    report.samples += tally.samples;
    report.undefined_samples += tally.undefined_samples;
    tally.damages.sort();
    for (offset, what) in tally.damages {
        if offset < tally.whole_end {
            report.add_damage(Corrupt::new(path, offset as u64, what));
        }
    }
    report.damaged_count += tally.damages_unnamed;
    let torn = written_from(map, tally.whole_end) as u64;
    if torn > 0 {
        report.torn.push(Torn { path: path.to_path_buf(), offset: tally.whole_end as u64, bytes: torn });
    }
}

/// Gives pages back behind a walk.
struct Pages<'a> {
    map: &'a Map,
    released: usize,
}

impl Pages<'_> {
    fn walked(&mut self, to: usize) {
        if to - self.released >= RELEASE_BYTES || to == self.map.len() {
            self.map.release(self.released..to);
            self.released = to;
        }
    }
}
