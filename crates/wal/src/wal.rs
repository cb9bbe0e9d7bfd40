//! The log as its owner sees it.
//!
//! 1. An append makes its records ([`crate::append`]) for the active segment, leaves them in its buffer and gives a
//!    ticket, with which the committer is called.
//! 2. If the segment was closed meanwhile, the append begins again with the next one.
//! 3. A rotation takes the file that was prepared for it, or makes one; nothing is synced while the owner keeps appenders out.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use disk::Disk;
use parking_lot::Mutex;

use crate::PAYLOAD_BYTES_MAX;
use crate::append::{SampleRecords, Samples, push};
use crate::commit::Shared;
use crate::error::{Result, WalError};
use crate::format::{Frame, Header, Kind};
use crate::names;
use crate::options::{Ack, Commits, Options};
use crate::segment::{Refused, Segment};
use crate::stats::{Counters, WalStats};
use crate::ticket::{Goal, Ticket};

/// A rotation passes over at most so many numbers that are taken by files of failed attempts.
const TAKEN_NUMBERS_MAX: u64 = 64;

/// The write-ahead log.
///
/// All methods may be called by several threads at once. The owner still holds a lock of its own around
/// [`Wal::rotate`], so that it knows what is in the closed segment.
pub struct Wal {
    shared: Arc<Shared>,
    records: SampleRecords,
    /// The next segment, if it was prepared.
    prepared: Mutex<Option<Segment>>,
    committer: Option<JoinHandle<()>>,
}

impl Wal {
    /// Opens the new segment `number` in the folder `dir`, which is made if it is missing. What older segments hold
    /// was replayed before; they are made durable, and stay until [`Wal::remove_through`].
    pub fn create(disk: Arc<dyn Disk>, dir: PathBuf, number: u64, options: Options) -> Result<Wal> {
        disk::create_dir_durable(&*disk, &dir)?;
        let complete: BTreeMap<u64, u64> = names::list(&*disk, &dir)?.segments.into_iter().collect();
        let is_last = complete.last_key_value().is_none_or(|(last, _)| *last < number);
        assert!(is_last, "BUG: log segment {number} would not be the last");
        sync_existing(&*disk, &dir, &complete)?;
        let active = Segment::create(&*disk, &dir, Header { number, salt: new_salt() }, 1)?;
        let shared = Arc::new(Shared::new(disk, dir, options, active, complete));
        let committer = match shared.options.commits {
            Commits::InBackground => Some(spawn_committer(&shared)?),
            Commits::WhenAsked => None,
        };
        Ok(Wal { shared, records: SampleRecords::new(), prepared: Mutex::default(), committer })
    }

    /// Logs the samples of one request. For slots that the active segment does not define yet, `key` is asked to
    /// append the canonical key of the series to an empty buffer.
    pub fn append_samples(
        &self,
        slots: &[u32],
        times: &[i64],
        values: &[f64],
        key: &mut dyn FnMut(u32, &mut Vec<u8>),
    ) -> Result<Ticket> {
        assert!(slots.len() == times.len() && slots.len() == values.len(), "BUG: columns of different length");
        if slots.is_empty() {
            return Ok(Ticket::ready());
        }
        let samples = Samples { slots, times, values };
        let ticket = self.append(|segment| self.records.append(segment, samples, key, &self.shared.counters))?;
        Counters::add(&self.shared.counters.samples, slots.len() as u64);
        Ok(ticket)
    }

    /// Logs a deletion. It is replayed behind all samples that were appended before and before all that come later.
    pub fn append_tombstone(&self, bytes: &[u8]) -> Result<Ticket> {
        self.append_opaque(Kind::Tombstone, "tombstone", bytes)
    }

    /// Logs metadata of metrics.
    pub fn append_metadata(&self, bytes: &[u8]) -> Result<Ticket> {
        self.append_opaque(Kind::Metadata, "metadata", bytes)
    }

    /// Makes the file of the next segment, so that [`Wal::rotate`], for which the owner keeps appenders out, need not wait for a disk that is busy.
    pub fn prepare(&self) -> Result<()> {
        let mut prepared = self.prepared.lock();
        if prepared.is_none() {
            *prepared = Some(self.create_next()?);
        }
        Ok(())
    }

    /// Closes the active segment and opens the next; says which was closed. Whoever waits for the closed one is still
    /// served. After a failure this is the way on.
    pub fn rotate(&self) -> Result<u64> {
        let mut prepared = self.prepared.lock();
        let next = match prepared.take() {
            Some(next) => next,
            None => self.create_next()?,
        };
        Ok(self.shared.replace_active(next))
    }

    /// Makes the file of the segment behind the active one. The caller keeps others from rotating.
    fn create_next(&self) -> Result<Segment> {
        let old = self.shared.active();
        let mut number = old.number + 1;
        loop {
            let header = Header { number, salt: new_salt() };
            match Segment::create(&*self.shared.disk, &self.shared.dir, header, old.generation + 1) {
                Ok(next) => return Ok(next),
                // An attempt that failed may have left its file behind.
                Err(error) if error.is_already_there() && number <= old.number + TAKEN_NUMBERS_MAX => {
                    self.shared.note_complete(number, 0);
                    number += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Removes all closed segments up to `number`. Whoever waits for one of them is served before.
    pub fn remove_through(&self, number: u64) -> Result<()> {
        assert!(number < self.active(), "BUG: log segment {number} is still written to");
        for number in self.shared.complete_through(number) {
            match self.shared.disk.remove_file(&names::path_of(&self.shared.dir, number)) {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => self.shared.forget_complete(number),
            }
        }
        Ok(())
    }

    /// The number of the active segment.
    pub fn active(&self) -> u64 {
        self.shared.active.read().number
    }

    /// The bytes of the active segment.
    pub fn active_bytes(&self) -> u64 {
        self.shared.active.read().end()
    }

    /// The bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.shared.retired_bytes() + self.active_bytes()
    }

    /// Whether the active segment has reached its length.
    pub fn wants_rotation(&self) -> bool {
        self.active_bytes() >= self.shared.options.segment_bytes_max
    }

    /// What was counted so far.
    pub fn stats(&self) -> WalStats {
        self.shared.counters.snapshot(self.shared.active.read().waiting_bytes())
    }

    /// Makes everything durable that was appended before.
    pub fn sync_now(&self) -> Result<()> {
        self.shared.sync_now()
    }

    /// Notes that these slots belong to no series any more. Nothing is to be logged for their numbers until
    /// [`Wal::reusable`] says so.
    pub fn forget_slots(&self, slots: &[u32]) {
        let generation = self.shared.active.read().generation;
        slots.iter().for_each(|slot| self.records.slots.free(*slot, generation));
    }

    /// Whether the number of a forgotten slot may stand for another series now: the active segment must not define
    /// it, because there it would be two series. After a rotation it may.
    pub fn reusable(&self, slot: u32) -> bool {
        self.records.slots.is_reusable(slot, self.shared.active.read().generation)
    }

    fn append_opaque(&self, kind: Kind, what: &'static str, bytes: &[u8]) -> Result<Ticket> {
        if bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(WalError::TooLong { what, bytes: bytes.len(), limit: PAYLOAD_BYTES_MAX });
        }
        let frame = Frame::of(kind, bytes);
        self.append(|segment| push(segment, frame, bytes, &self.shared.counters))
    }

    /// Lets `push` append to the active segment, and makes the ticket for what it appended.
    fn append(&self, mut push: impl FnMut(&Segment) -> Result<u64, Refused>) -> Result<Ticket> {
        loop {
            let segment = self.shared.active();
            self.wait_for_room(&segment)?;
            match push(&segment) {
                Ok(end) => return Ok(self.ticket(segment, end)),
                Err(Refused::Closed) => {}
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
    }

    fn ticket(&self, segment: Arc<Segment>, end: u64) -> Ticket {
        let goal = match self.shared.options.ack {
            Ack::Power => Goal::Synced,
            Ack::Process => Goal::Written,
            Ack::None => {
                // Nobody will wait for it.
                self.shared.ring();
                return Ticket::ready();
            }
        };
        Ticket::new(Arc::clone(&self.shared), segment, goal, end)
    }

    fn wait_for_room(&self, segment: &Segment) -> Result<()> {
        let options = &self.shared.options;
        if segment.waiting_bytes() >= options.waiting_bytes_max {
            if self.shared.commits_when_asked() {
                self.shared.commit_round(false);
            }
            // Nobody may wait for what fills the room.
            self.shared.ring();
        }
        if segment.wait_for_room(options.waiting_bytes_max, options.room_wait_max) {
            return Ok(());
        }
        Err(WalError::Overloaded { waiting: segment.waiting_bytes(), limit: options.waiting_bytes_max })
    }
}

impl Drop for Wal {
    /// Commits and syncs what waits, and ends the committer.
    fn drop(&mut self) {
        if let Some(committer) = self.committer.take() {
            self.shared.stop();
            // A committer that panicked has told so itself.
            let _ = committer.join();
        }
    }
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wal({}, segment {:x})", self.shared.dir.display(), self.active())
    }
}

/// Makes durable what an earlier process wrote and did not live to sync: it has been replayed and is seen by queries,
/// so a power cut should not take it back. (After a sync that failed the kernel may say yes for nothing; but what that
/// sync was for has not been acknowledged.)
fn sync_existing(disk: &dyn Disk, dir: &Path, segments: &BTreeMap<u64, u64>) -> Result<()> {
    for (number, bytes) in segments {
        disk.reopen(&names::path_of(dir, *number), *bytes)?.sync()?;
    }
    Ok(disk.sync_dir(dir)?)
}

/// A number that nobody outside can guess: the standard library keys its hash tables with the system's randomness.
fn new_salt() -> u64 {
    RandomState::new().hash_one(())
}

fn spawn_committer(shared: &Arc<Shared>) -> Result<JoinHandle<()>> {
    let committing = Arc::clone(shared);
    std::thread::Builder::new()
        .name("wal-commit".into())
        .spawn(move || committing.run_committer())
        .map_err(|source| WalError::Disk(disk::Error::new("start committer of", shared.dir.clone(), source)))
}
