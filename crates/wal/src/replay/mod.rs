//! From segments back to samples.
//!
//! 1. The folder is listed; what is no segment is named in the report and left alone. Segments before the first that
//!    is asked for were published and wait for their removal.
//! 2. All headers are read before anything is replayed, so that a segment of a newer format stops the start before it
//!    changed anything.
//! 3. Segments are replayed by ascending number, each by all threads (see `segment`).
//! 4. Nothing that the bytes say is an error: damage and torn ends are reported, the rest is replayed.

mod report;
mod segment;
mod sink;
mod table;
mod walk;
mod worker;

use std::path::Path;

use disk::{Corrupt, Disk, Map};

pub use report::{ReplayReport, Torn};
pub use sink::ReplaySink;

use self::segment::replay_segment;
use self::walk::written_from;
use self::worker::Worker;
use crate::error::{Result, WalError};
use crate::format::Header;
use crate::format::header::{HeaderError, VERSION};
use crate::names;

/// More threads than these are not used.
const THREADS_MAX: usize = 64;

/// Gives everything in the segments of `dir` from number `from` on to the sink. The folder may be missing.
pub fn replay(disk: &dyn Disk, dir: &Path, from: u64, threads: usize, sink: &dyn ReplaySink) -> Result<ReplayReport> {
    let mut report = ReplayReport { next_number: from, ..ReplayReport::default() };
    if !disk.exists(dir)? {
        return Ok(report);
    }
    let listing = names::list(disk, dir)?;
    report.foreign = listing.foreign.iter().map(|path| disk.root().join(path)).collect();
    let mut segments = Vec::new();
    for (number, _) in listing.segments.into_iter().filter(|(number, _)| *number >= from) {
        let path = names::path_of(dir, number);
        let map = disk.map(&path)?;
        let path = disk.root().join(path);
        if report.next_number < number {
            let what = format!("the log is missing from here up to segment {number:016x}");
            report.add_damage(Corrupt::new(names::path_of(&disk.root().join(dir), report.next_number), 0, what));
        }
        report.next_number = number + 1;
        report.segments.push((number, map.len() as u64));
        if let Some(header) = read_header(&path, &map, number, &mut report)? {
            segments.push((path, map, header));
        }
    }
    let mut workers: Vec<Worker> = (0..threads.clamp(1, THREADS_MAX)).map(|_| Worker::new()).collect();
    for (path, map, header) in segments {
        map.advise_sequential();
        replay_segment(&path, &map, header, &mut workers, sink, &mut report);
    }
    Ok(report)
}

/// Gives everything in one segment of `dir` to the sink; the log may go on in later ones meanwhile.
pub fn replay_segment_alone(disk: &dyn Disk, dir: &Path, number: u64, sink: &dyn ReplaySink) -> Result<ReplayReport> {
    let mut report = ReplayReport { next_number: number + 1, ..ReplayReport::default() };
    let path = names::path_of(dir, number);
    let map = disk.map(&path)?;
    let path = disk.root().join(path);
    report.segments.push((number, map.len() as u64));
    if let Some(header) = read_header(&path, &map, number, &mut report)? {
        map.advise_sequential();
        replay_segment(&path, &map, header, &mut [Worker::new()], sink, &mut report);
    }
    Ok(report)
}

/// The header of a segment that may have records; what is wrong goes to the report.
fn read_header(path: &Path, map: &Map, number: u64, report: &mut ReplayReport) -> Result<Option<Header>> {
    match Header::read(map) {
        Ok(header) if header.number == number => return Ok(Some(header)),
        Ok(header) => {
            let what = format!("this is segment {:016x} under another name", header.number);
            report.add_damage(Corrupt::new(path, 0, what));
        }
        // Made and never committed to.
        Err(HeaderError::Short | HeaderError::Damaged) if written_from(map, 0) == 0 => {}
        Err(HeaderError::Damaged) => report.add_damage(Corrupt::new(path, 0, "both copies of the header differ")),
        Err(HeaderError::Short) => {
            report.torn.push(Torn { path: path.to_path_buf(), offset: 0, bytes: map.len() as u64 });
        }
        Err(HeaderError::Newer(found)) => {
            return Err(WalError::NewerFormat { path: path.to_path_buf(), found, supported: VERSION });
        }
    }
    Ok(None)
}

/// Replays the one segment `map`, whatever its number; for fuzzing.
pub(crate) fn replay_one(path: &Path, map: &Map, sink: &dyn ReplaySink) -> Option<ReplayReport> {
    let header = Header::read(map).ok()?;
    let mut report = ReplayReport::default();
    replay_segment(path, map, header, &mut [Worker::new()], sink, &mut report);
    Some(report)
}
