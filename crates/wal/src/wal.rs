//! The log as its owner sees it.
//!
//! 1. An append encodes its samples without a lock, each against the base value that its slot has in the active
//!    segment, and leaves the finished record in the segment's buffer.
//! 2. If slots are not defined there yet, their definitions are made first, also without a lock. Under the buffer's
//!    lock it is looked at again whether somebody else defined one of them meanwhile (then the batch is made again
//!    without those), the record is appended, and the slots count as defined. So in the file a definition precedes
//!    every sample that needs it, whichever thread logs it, and what is durable up to some offset can be decoded.
//! 3. If the segment was closed meanwhile, the append begins again with the next one.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use disk::Disk;
use parking_lot::Mutex;

use crate::commit::Shared;
use crate::error::{Result, WalError};
use crate::format::definitions::DefinitionsEncoder;
use crate::format::encode::{FloatsEncoder, SAMPLES_PER_RECORD_MAX};
use crate::format::{Frame, Header, Kind};
use crate::names;
use crate::options::{Ack, Commits, Options};
use crate::pool::Pool;
use crate::segment::{Refused, Segment};
use crate::slots::{SLOTS_MAX, SlotStates};
use crate::stats::{Counters, WalStats};
use crate::ticket::{Goal, Ticket};
use crate::{KEY_BYTES_MAX, PAYLOAD_BYTES_MAX};

/// A rotation passes over at most so many numbers that are taken by files of failed attempts.
const TAKEN_NUMBERS_MAX: u64 = 64;

/// The write-ahead log.
///
/// All methods may be called by several threads at once. The owner still holds a lock of its own around
/// [`Wal::rotate`], so that it knows what is in the closed segment.
pub struct Wal {
    shared: Arc<Shared>,
    slots: SlotStates,
    floats: Pool<FloatsEncoder>,
    definitions: Pool<DefinitionsEncoder>,
    rotating: Mutex<()>,
    committer: Option<JoinHandle<()>>,
}

/// The samples of one record as columns.
struct Batch<'a> {
    slots: &'a [u32],
    times: &'a [i64],
    values: &'a [f64],
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
        Ok(Wal {
            shared,
            slots: SlotStates::new(),
            floats: Pool::new(FloatsEncoder::default),
            definitions: Pool::new(DefinitionsEncoder::new),
            rotating: Mutex::new(()),
            committer,
        })
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
        let ticket = self.append(|segment| {
            let mut end = 0;
            for at in (0..slots.len()).step_by(SAMPLES_PER_RECORD_MAX) {
                let range = at..slots.len().min(at + SAMPLES_PER_RECORD_MAX);
                let batch =
                    Batch { slots: &slots[range.clone()], times: &times[range.clone()], values: &values[range] };
                end = self.push_samples(segment, &batch, key)?;
            }
            Ok(end)
        })?;
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

    /// Closes the active segment and opens the next; says which was closed. Whoever waits for the closed one is still
    /// served. After a failure this is the way on.
    pub fn rotate(&self) -> Result<u64> {
        let _turn = self.rotating.lock();
        let old = self.shared.active();
        let mut number = old.number + 1;
        let next = loop {
            let header = Header { number, salt: new_salt() };
            match Segment::create(&*self.shared.disk, &self.shared.dir, header, old.generation + 1) {
                Ok(next) => break next,
                // An attempt that failed may have left its file behind.
                Err(error) if error.is_already_there() && number <= old.number + TAKEN_NUMBERS_MAX => {
                    self.shared.note_complete(number, 0);
                    number += 1;
                }
                Err(error) => return Err(error.into()),
            }
        };
        Ok(self.shared.replace_active(next))
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
        slots.iter().for_each(|slot| self.slots.free(*slot, generation));
    }

    /// Whether the number of a forgotten slot may stand for another series now: the active segment must not define
    /// it, because there it would be two series. After a rotation it may.
    pub fn reusable(&self, slot: u32) -> bool {
        self.slots.is_reusable(slot, self.shared.active.read().generation)
    }

    fn append_opaque(&self, kind: Kind, what: &'static str, bytes: &[u8]) -> Result<Ticket> {
        if bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(WalError::TooLong { what, bytes: bytes.len(), limit: PAYLOAD_BYTES_MAX });
        }
        let frame = Frame::of(kind, bytes);
        self.append(|segment| self.push(segment, frame, bytes))
    }

    /// Lets `push` append to the active segment, and makes the ticket for what it appended.
    fn append(&self, mut push: impl FnMut(&Segment) -> Result<u64, Refused>) -> Result<Ticket> {
        loop {
            let segment = self.shared.active();
            self.wait_for_room(&segment)?;
            match push(&segment) {
                Ok(end) => {
                    self.shared.ring();
                    return Ok(self.ticket(segment, end));
                }
                Err(Refused::Closed) => {}
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
    }

    fn ticket(&self, segment: Arc<Segment>, end: u64) -> Ticket {
        let goal = match self.shared.options.ack {
            Ack::Power => Goal::Synced,
            Ack::Process => Goal::Written,
            Ack::None => return Ticket::ready(),
        };
        Ticket::new(Arc::clone(&self.shared), segment, goal, end)
    }

    fn wait_for_room(&self, segment: &Segment) -> Result<()> {
        let options = &self.shared.options;
        if segment.waiting_bytes() >= options.waiting_bytes_max && self.shared.commits_when_asked() {
            self.shared.commit_round(false);
        }
        if segment.wait_for_room(options.waiting_bytes_max, options.room_wait_max) {
            return Ok(());
        }
        Err(WalError::Overloaded { waiting: segment.waiting_bytes(), limit: options.waiting_bytes_max })
    }

    fn push(&self, segment: &Segment, frame: Frame, payload: &[u8]) -> Result<u64, Refused> {
        let end = segment.lock()?.push(frame, payload);
        Counters::add(&self.shared.counters.records, 1);
        Ok(end)
    }

    fn push_samples(
        &self,
        segment: &Segment,
        batch: &Batch<'_>,
        key: &mut dyn FnMut(u32, &mut Vec<u8>),
    ) -> Result<u64, Refused> {
        self.floats.with(|encoder| {
            loop {
                let bases = self.slots.bases(segment.generation);
                if let Some(payload) = encoder.encode(batch.slots, batch.times, batch.values, bases) {
                    return self.push(segment, Frame::of(Kind::Floats, payload), payload);
                }
                self.define_missing(segment, batch, key)?;
            }
        })
    }

    /// Defines the slots of `batch` that `segment` does not define yet; the first value of each is its base.
    fn define_missing(
        &self,
        segment: &Segment,
        batch: &Batch<'_>,
        key: &mut dyn FnMut(u32, &mut Vec<u8>),
    ) -> Result<(), Refused> {
        let missing = self.missing(segment, batch)?;
        let mut key_bytes = Vec::new();
        let mut left = &missing[..];
        self.definitions.with(|encoder| {
            while !left.is_empty() {
                encoder.clear();
                let mut taken = 0;
                for (slot, base) in left {
                    if encoder.is_full() {
                        break;
                    }
                    taken += 1;
                    // On a second attempt others may have been faster.
                    if !self.slots.is_defined(*slot, segment.generation) {
                        key_bytes.clear();
                        key(*slot, &mut key_bytes);
                        check_key(&key_bytes)?;
                        encoder.push(*slot, *base, &key_bytes);
                    }
                }
                // Every failed attempt means that somebody defined one of these, so there are not many.
                if self.push_definitions(segment, encoder)? {
                    left = &left[taken..];
                }
            }
            Ok(())
        })
    }

    /// Appends a batch of definitions, unless one of its slots was defined meanwhile; says whether it did.
    fn push_definitions(&self, segment: &Segment, encoder: &mut DefinitionsEncoder) -> Result<bool, Refused> {
        if encoder.is_empty() {
            return Ok(true);
        }
        encoder.finish();
        let frame = Frame::of(Kind::Definitions, encoder.payload());
        let mut appender = segment.lock()?;
        if encoder.pairs().any(|(slot, _)| self.slots.is_defined(slot, segment.generation)) {
            return Ok(false);
        }
        appender.push(frame, encoder.payload());
        encoder.pairs().for_each(|(slot, base)| self.slots.define(slot, segment.generation, base));
        drop(appender);
        Counters::add(&self.shared.counters.records, 1);
        Counters::add(&self.shared.counters.definitions, encoder.pairs().count() as u64);
        Ok(true)
    }

    /// Slots that `segment` lacks, each once with the bits of its first value, in the order of the batch.
    fn missing(&self, segment: &Segment, batch: &Batch<'_>) -> Result<Vec<(u32, u64)>> {
        let mut found: Vec<(u32, u32)> = Vec::new();
        for (at, &slot) in batch.slots.iter().enumerate() {
            if slot >= SLOTS_MAX {
                return Err(WalError::SlotTooHigh(slot));
            }
            if !self.slots.is_defined(slot, segment.generation) && found.last().is_none_or(|last| last.0 != slot) {
                found.push((slot, at as u32));
            }
        }
        found.sort_unstable();
        found.dedup_by_key(|(slot, _)| *slot);
        found.sort_unstable_by_key(|(_, at)| *at);
        Ok(found.into_iter().map(|(slot, at)| (slot, batch.values[at as usize].to_bits())).collect())
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

fn check_key(key: &[u8]) -> Result<()> {
    if key.len() <= KEY_BYTES_MAX {
        return Ok(());
    }
    Err(WalError::TooLong { what: "a series key", bytes: key.len(), limit: KEY_BYTES_MAX })
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
