//! A segment that is being written.
//!
//! 1. Appenders frame finished payloads into a buffer under a short lock; the offset of a frame in the file is known
//!    there, because the file is only ever appended to, in the order of the buffer.
//! 2. A committer swaps the buffer for an empty one, appends it to the file, syncs the file, and the first time also
//!    the folder, so that the file's name is as durable as its bytes. The header area is simply the first content of
//!    the buffer: opening a segment waits for no disk.
//! 3. Room for later commits is made ahead, as zeros: a sync that changes nothing of the file but its bytes costs half the time and half the CPU. Large commits
//!    gain little by that, and have none made.
//! 4. The first failure poisons the segment. What waits is dropped, whoever waits is told, every later append is
//!    refused, and the file is never synced again: the kernel may have dropped pages and would still say yes.
//! 5. A closed segment takes no more records; what waits in it is committed as before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use disk::{Disk, DiskFile};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::WalError;
use crate::format::{Frame, HEADER_BYTES, Header};
use crate::names;
use crate::progress::Progress;
use crate::slots::Generation;
use crate::stats::Counters;

/// A buffer that grew beyond this in a burst is given back.
const BUFFER_KEPT_BYTES_MAX: usize = 8 << 20;

/// Room is made for as much again as there is, within these bounds.
const ROOM_BYTES: std::ops::RangeInclusive<u64> = 16 << 10..=256 << 10;
/// A commit is small up to this part of the most room.
const SMALL_COMMIT_PARTS: u64 = 8;

/// A segment that is being written.
pub(crate) struct Segment {
    pub number: u64,
    pub generation: Generation,
    path: PathBuf,
    salt: u64,
    buffer: Mutex<Buffer>,
    /// Told when bytes were written or never will be.
    room: Condvar,
    /// Where the next record begins; [`Buffer::end`] to those who do not hold the lock.
    end: AtomicU64,
    pub written: Progress,
    pub synced: Progress,
    file: Mutex<SegmentFile>,
}

struct Buffer {
    /// What is not yet handed to the file.
    bytes: Vec<u8>,
    /// The offset behind the last of them.
    end: u64,
    /// How many called the committer for them.
    callers: u64,
    state: State,
}

enum State {
    Open,
    Closed,
    Poisoned(Arc<disk::Error>),
}

struct SegmentFile {
    file: Box<dyn DiskFile>,
    name_synced: bool,
    unsynced_since: Option<Instant>,
    /// Up to here there is room.
    room_end: u64,
    spare: Vec<u8>,
}

impl SegmentFile {
    /// Makes room behind a commit of `bytes` that took the last of it.
    fn make_room(&mut self, bytes: u64) {
        let end = self.file.len();
        if end <= self.room_end || bytes > ROOM_BYTES.end() / SMALL_COMMIT_PARTS {
            return;
        }
        let room_end = end + end.clamp(*ROOM_BYTES.start(), *ROOM_BYTES.end());
        // Where there is none commits are slower, and nothing else: it is not tried again.
        self.room_end = if self.file.reserve(room_end).is_ok() { room_end } else { u64::MAX };
    }
}

/// Why a segment takes no record.
pub(crate) enum Refused {
    /// Another one has taken its place.
    Closed,
    /// There is none to take it.
    Failed(WalError),
}

impl From<WalError> for Refused {
    fn from(error: WalError) -> Self {
        Self::Failed(error)
    }
}

impl Segment {
    /// Makes the file. Nothing is durable before the first commit.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, header: Header, generation: Generation) -> disk::Result<Segment> {
        let path = names::path_of(dir, header.number);
        let file = disk.create(&path)?;
        let bytes = header.to_bytes();
        let end = HEADER_BYTES as u64;
        Ok(Segment {
            number: header.number,
            generation,
            path,
            salt: header.salt,
            buffer: Mutex::new(Buffer { bytes, end, callers: 0, state: State::Open }),
            room: Condvar::new(),
            end: AtomicU64::new(end),
            written: Progress::default(),
            synced: Progress::default(),
            file: Mutex::new(SegmentFile {
                file,
                name_synced: false,
                unsynced_since: None,
                room_end: 0,
                spare: Vec::new(),
            }),
        })
    }

    /// Where the next record begins: the bytes of the segment, waiting ones included.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Bytes that are not written yet.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.end().saturating_sub(self.written.done())
    }

    /// Takes the buffer for appending.
    pub(crate) fn lock(&self) -> Result<Appender<'_>, Refused> {
        let buffer = self.buffer.lock();
        match &buffer.state {
            State::Open => Ok(Appender { segment: self, buffer }),
            State::Closed => Err(Refused::Closed),
            State::Poisoned(cause) => Err(Refused::Failed(self.poisoned(cause))),
        }
    }

    /// Waits until fewer than `limit` bytes wait to be written; says whether that came true within `time`.
    pub(crate) fn wait_for_room(&self, limit: u64, time: Duration) -> bool {
        if self.waiting_bytes() < limit {
            return true;
        }
        let deadline = Instant::now() + time;
        let mut buffer = self.buffer.lock();
        while self.waiting_bytes() >= limit && matches!(buffer.state, State::Open) {
            if self.room.wait_until(&mut buffer, deadline).timed_out() {
                return self.waiting_bytes() < limit;
            }
        }
        true
    }

    /// Takes no more records.
    pub(crate) fn close(&self) {
        let mut buffer = self.buffer.lock();
        if matches!(buffer.state, State::Open) {
            buffer.state = State::Closed;
        }
        self.room.notify_all();
    }

    /// Notes that somebody calls the committer for what waits.
    pub(crate) fn note_caller(&self) {
        self.buffer.lock().callers += 1;
    }

    /// Writes what waits and, if `sync` says so, makes it durable; says how many had called for it.
    pub(crate) fn commit(&self, disk: &dyn Disk, sync: bool, counters: &Counters) -> u64 {
        let mut file = self.file.lock();
        let before = file.file.len();
        let committed = self.write(&mut file, counters).and_then(|callers| {
            if sync {
                let bytes = file.file.len() - before;
                file.make_room(bytes);
                self.sync(&mut file, disk, counters)?;
            }
            Ok(callers)
        });
        committed.unwrap_or_else(|cause| {
            file.unsynced_since = None;
            Counters::add(&counters.failures, 1);
            self.poison(&Arc::new(cause));
            0
        })
    }

    /// Since when written bytes are not synced.
    pub(crate) fn unsynced_since(&self) -> Option<Instant> {
        self.file.lock().unsynced_since
    }

    fn write(&self, file: &mut SegmentFile, counters: &Counters) -> disk::Result<u64> {
        let mut bytes = std::mem::take(&mut file.spare);
        let (end, callers) = {
            let mut buffer = self.buffer.lock();
            std::mem::swap(&mut buffer.bytes, &mut bytes);
            (buffer.end, std::mem::take(&mut buffer.callers))
        };
        if bytes.is_empty() {
            file.spare = bytes;
            return Ok(0);
        }
        file.file.append(&bytes)?;
        file.unsynced_since.get_or_insert_with(Instant::now);
        self.written.reach(end);
        // The lock, so that nobody is between looking for room and waiting for it.
        drop(self.buffer.lock());
        self.room.notify_all();
        Counters::add(&counters.commits, 1);
        Counters::add(&counters.bytes_written, bytes.len() as u64);
        bytes.clear();
        bytes.shrink_to(BUFFER_KEPT_BYTES_MAX);
        file.spare = bytes;
        Ok(callers)
    }

    fn sync(&self, file: &mut SegmentFile, disk: &dyn Disk, counters: &Counters) -> disk::Result<()> {
        let end = self.written.done();
        if self.is_poisoned() || end == self.synced.done() {
            return Ok(());
        }
        let began = Instant::now();
        file.file.sync()?;
        if !file.name_synced {
            disk.sync_dir(self.path.parent().unwrap_or(Path::new("")))?;
            file.name_synced = true;
        }
        file.unsynced_since = None;
        Counters::add(&counters.syncs, 1);
        Counters::add(&counters.sync_nanos, began.elapsed().as_nanos() as u64);
        self.synced.reach(end);
        Ok(())
    }

    fn is_poisoned(&self) -> bool {
        matches!(self.buffer.lock().state, State::Poisoned(_))
    }

    fn poison(&self, cause: &Arc<disk::Error>) {
        {
            let mut buffer = self.buffer.lock();
            buffer.bytes = Vec::new();
            buffer.state = State::Poisoned(Arc::clone(cause));
            // What was dropped waits no longer.
            self.end.store(self.written.done(), Ordering::Release);
        }
        self.room.notify_all();
        self.written.fail(cause);
        self.synced.fail(cause);
    }

    pub(crate) fn poisoned(&self, cause: &Arc<disk::Error>) -> WalError {
        WalError::Poisoned { segment: self.number, cause: Arc::clone(cause) }
    }
}

/// The locked buffer of an open segment.
pub(crate) struct Appender<'a> {
    segment: &'a Segment,
    buffer: MutexGuard<'a, Buffer>,
}

impl Appender<'_> {
    /// Appends a record; says where it ends.
    pub(crate) fn push(&mut self, frame: Frame, payload: &[u8]) -> u64 {
        let frame = frame.to_bytes(self.segment.salt, self.buffer.end);
        self.buffer.bytes.extend_from_slice(&frame);
        self.buffer.bytes.extend_from_slice(payload);
        self.buffer.end += (frame.len() + payload.len()) as u64;
        self.segment.end.store(self.buffer.end, Ordering::Release);
        self.buffer.end
    }
}
