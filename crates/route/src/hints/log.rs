//! The hints for one node.
//!
//! 1. A write ([`HintLog::begin`]) is counted while it is under way, so that nobody takes the log for empty meanwhile.
//! 2. The first one opens a segment. A segment that has its length is closed by the next write, and by a drain when nothing older is left.
//! 3. A failed write or sync spoils its segment: what waited for it is not acknowledged, and a later write goes to another segment. The pauses before that
//!    grow while it fails: each attempt may leave a file on a disk that is full.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use disk::Disk;
use head::Head;
use model::SeriesKey;
use parking_lot::Mutex;
use wal::{Commits, Options, ReplayReport, ReplaySink, Ticket, Wal, WalError};

use super::{HintOptions, metadata};
use crate::outgoing::Outgoing;

/// Bytes of hints that wait for the disk, at most.
const WAITING_BYTES_MAX: u64 = 16 << 20;

/// The pause before a spoilt segment is left for another one, at first and at most.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// This file is there while the node remembers this insert, and says who the node is.
const KNOWN: &str = "known";
/// This file takes its place when this insert has said good-bye: who the node was.
const WAS: &str = "was";
/// A name is 32 digits and a newline.
const KNOWN_BYTES_MAX: u64 = 64;

/// See the module.
pub struct HintLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    node: String,
    options: HintOptions,
    state: Mutex<State>,
    /// Bytes of all logs.
    all_bytes: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    wal: Option<Arc<Wal>>,
    /// Closed segments with their bytes, the oldest first.
    closed: VecDeque<(u64, u64)>,
    /// Something was written to the open segment.
    dirty: bool,
    /// Writes that are under way.
    writing: usize,
    /// Bytes that this log has added to those of all.
    counted: u64,
    next_number: u64,
    /// When a segment was spoilt last, and how long the next one waits for another.
    spoilt: Option<(Instant, Duration)>,
}

/// A node that this insert has heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownNode {
    /// Its own name; 0 if that is not known.
    pub name: u128,
    /// Whether it remembers this insert.
    pub remembers: bool,
}

/// A write that is under way.
pub struct Writing<'a> {
    log: &'a HintLog,
    wal: Arc<Wal>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut state = self.log.state.lock();
        state.writing -= 1;
        self.log.count(&mut state);
    }
}

/// Why a hint could not be written.
#[derive(Debug)]
pub enum HintError {
    /// Hints take all the room that they may.
    Full {
        /// What they take.
        bytes: u64,
        /// What they may take.
        bytes_max: u64,
    },
    /// The disk, or too much at once.
    Failed(WalError),
}

impl std::fmt::Display for HintError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full { bytes, bytes_max } => write!(f, "hints take {bytes} bytes on disk, they may take {bytes_max}"),
            Self::Failed(why) => write!(f, "a hint cannot be written: {why}"),
        }
    }
}

impl From<WalError> for HintError {
    fn from(error: WalError) -> Self {
        Self::Failed(error)
    }
}

impl HintLog {
    /// Looks what is there.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        node: &str,
        options: HintOptions,
        all_bytes: Arc<AtomicU64>,
    ) -> disk::Result<Self> {
        let mut state = State { next_number: 1, ..State::default() };
        if disk.exists(&dir)? {
            let numbers = disk.list(&dir)?.into_iter().filter_map(|entry| Some((number_of(&entry.name)?, entry.len)));
            state.closed = numbers.collect();
            state.closed.make_contiguous().sort_unstable();
            state.next_number = state.closed.back().map_or(1, |(last, _)| last + 1);
        }
        let log = Self { disk, dir, node: node.to_string(), options, state: Mutex::new(state), all_bytes };
        log.count(&mut log.state.lock());
        Ok(log)
    }

    /// Who the node is, as this insert or an earlier process of it heard, and whether the node remembers this insert.
    pub fn known(&self) -> disk::Result<Option<KnownNode>> {
        for (file, remembers) in [(KNOWN, true), (WAS, false)] {
            let path = self.dir.join(file);
            if self.disk.exists(&path)? {
                let bytes = self.disk.read(&path, KNOWN_BYTES_MAX)?;
                let digits = std::str::from_utf8(&bytes).unwrap_or_default().trim_end();
                return Ok(Some(KnownNode { name: u128::from_str_radix(digits, 16).unwrap_or(0), remembers }));
            }
        }
        Ok(None)
    }

    /// Notes durably who the node is that remembers this insert.
    pub fn set_known(&self, name: u128) -> disk::Result<()> {
        disk::create_dir_durable(&*self.disk, &self.dir)?;
        disk::publish_file(&*self.disk, &self.dir.join(KNOWN), format!("{name:032x}\n").as_bytes())
    }

    /// Notes durably that the node may not remember this insert any more. Who it was stays known: it may lose its data before it hears of this insert again.
    pub fn set_unsure(&self) -> disk::Result<()> {
        let Some(KnownNode { name, remembers: true }) = self.known()? else { return Ok(()) };
        disk::publish_file(&*self.disk, &self.dir.join(WAS), format!("{name:032x}\n").as_bytes())?;
        self.disk.remove_file(&self.dir.join(KNOWN))?;
        self.disk.sync_dir(&self.dir)
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Begins a write. What it will hold is to be owed before [`Writing::write`] is called.
    pub fn begin(&self) -> Result<Writing<'_>, HintError> {
        let (bytes, bytes_max) = (self.all_bytes.load(Relaxed), self.options.disk_bytes_max);
        if bytes >= bytes_max {
            return Err(HintError::Full { bytes, bytes_max });
        }
        let mut state = self.state.lock();
        let wal = match &state.wal {
            Some(wal) => Arc::clone(wal),
            None => self.open_wal(&mut state)?,
        };
        if wal.wants_rotation() {
            self.close(&mut state)?;
        }
        state.writing += 1;
        Ok(Writing { log: self, wal })
    }

    /// Opens the first segment of this process. It waits for the disk, once for a node that was never away before.
    fn open_wal(&self, state: &mut State) -> Result<Arc<Wal>, WalError> {
        let options = Options {
            commits: self.options.commits,
            segment_bytes_max: self.options.segment_bytes_max,
            waiting_bytes_max: WAITING_BYTES_MAX,
            ..Options::default()
        };
        let wal = Arc::new(Wal::create(Arc::clone(&self.disk), self.dir.clone(), state.next_number, options)?);
        state.wal = Some(Arc::clone(&wal));
        Ok(wal)
    }

    /// Closes the open segment.
    fn close(&self, state: &mut State) -> Result<(), WalError> {
        if let Some(wal) = &state.wal {
            let bytes = wal.active_bytes();
            let number = wal.rotate()?;
            state.closed.push_back((number, bytes));
            // Who writes now may write to the next one, and says so.
            state.dirty = false;
        }
        Ok(())
    }

    /// Another segment may do better, now or later; if there is none, the next write says why.
    fn leave_spoilt(&self, now: Instant) {
        let mut state = self.state.lock();
        let pause = match state.spoilt {
            Some((since, pause)) if now.duration_since(since) < pause => return,
            Some((_, pause)) => (pause * 2).min(PAUSE_MAX),
            None => PAUSE,
        };
        state.spoilt = Some((now, pause));
        let _ = self.close(&mut state);
    }

    /// The oldest segment that can be handed over. The open one is closed if nothing is older.
    pub fn oldest(&self) -> Result<Option<u64>, WalError> {
        let mut state = self.state.lock();
        if state.closed.is_empty() && state.dirty {
            self.close(&mut state)?;
        }
        Ok(state.closed.front().map(|(number, _)| *number))
    }

    /// Makes durable what was written. Blocks.
    pub fn sync(&self) -> Result<(), WalError> {
        let wal = self.state.lock().wal.clone();
        wal.map_or(Ok(()), |wal| wal.sync_now())
    }

    /// Gives what is in a closed segment to the sink. Blocks.
    pub fn read(&self, number: u64, sink: &dyn ReplaySink) -> Result<ReplayReport, WalError> {
        wal::replay_segment_alone(&*self.disk, &self.dir, number, sink)
    }

    /// Removes the oldest segment.
    pub fn remove(&self, number: u64) -> Result<(), WalError> {
        let mut state = self.state.lock();
        assert!(state.closed.front().is_some_and(|(oldest, _)| *oldest == number), "BUG: hints go in their order");
        match &state.wal {
            Some(wal) => wal.remove_through(number)?,
            None => self.disk.remove_file(&self.dir.join(file_of(number)))?,
        }
        state.closed.pop_front();
        self.count(&mut state);
        Ok(())
    }

    /// Calls `settle` if no hint is left and none is being written; says whether that was so.
    pub fn if_empty(&self, settle: impl FnOnce()) -> bool {
        let state = self.state.lock();
        let is_empty = state.closed.is_empty() && !state.dirty && state.writing == 0;
        if is_empty {
            settle();
        }
        is_empty
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.state.lock().counted
    }

    /// Whether hints were found or written and not handed over.
    pub fn is_pending(&self) -> bool {
        let state = self.state.lock();
        state.dirty || state.writing > 0 || !state.closed.is_empty()
    }

    /// Notes that slots of the head were freed.
    pub fn forget_slots(&self, slots: &[u32]) {
        if let Some(wal) = &self.state.lock().wal {
            wal.forget_slots(slots);
        }
    }

    /// Whether a slot that was freed may stand for another series.
    pub fn reusable(&self, slot: u32) -> bool {
        self.state.lock().wal.as_ref().is_none_or(|wal| wal.reusable(slot))
    }

    fn count(&self, state: &mut State) {
        let open = if state.dirty { state.wal.as_ref().map_or(0, |wal| wal.active_bytes()) } else { 0 };
        let bytes = state.closed.iter().map(|(_, bytes)| bytes).sum::<u64>() + open;
        self.all_bytes.fetch_add(bytes.wrapping_sub(state.counted), Relaxed);
        state.counted = bytes;
    }
}

impl Writing<'_> {
    /// Writes rows; the tickets say when they are durable. The slots must be held by a pin of the head.
    pub fn write(&self, head: &Head, out: &Outgoing) -> Result<[Option<Ticket>; 2], HintError> {
        let mut slots = Vec::with_capacity(out.samples.len());
        for (slot, samples) in out.iter() {
            slots.resize(slots.len() + samples.len(), slot);
        }
        let times: Vec<i64> = out.samples.iter().map(|sample| sample.time).collect();
        let values: Vec<f64> = out.samples.iter().map(|sample| sample.value).collect();
        let mut key = SeriesKey::default();
        let mut key_of = |slot: u32, bytes: &mut Vec<u8>| {
            let held = head.write_key(slot, &mut key);
            assert!(held, "BUG: a slot was freed under a pin");
            bytes.extend_from_slice(key.as_bytes());
        };
        let written = self.append(&slots, &times, &values, &mut key_of, out);
        if written.is_err() {
            self.log.leave_spoilt(Instant::now());
        }
        Ok(written?)
    }

    fn append(
        &self,
        slots: &[u32],
        times: &[i64],
        values: &[f64],
        key_of: &mut dyn FnMut(u32, &mut Vec<u8>),
        out: &Outgoing,
    ) -> Result<[Option<Ticket>; 2], WalError> {
        let rows = self.wal.append_samples(slots, times, values, key_of)?;
        let mut told = None;
        if !out.metadata.is_empty() {
            let mut bytes = Vec::new();
            metadata::encode(out.tenant, &out.metadata, &mut bytes);
            told = Some(self.wal.append_metadata(&bytes)?);
        }
        self.log.state.lock().dirty = true;
        Ok([Some(rows), told])
    }

    /// Waits until a ticket's records are durable.
    pub async fn durable(&self, ticket: Ticket) -> Result<(), HintError> {
        if self.log.options.commits == Commits::WhenAsked {
            self.wal.sync_now()?;
        }
        ticket.await?;
        self.log.state.lock().spoilt = None;
        Ok(())
    }
}

fn file_of(number: u64) -> String {
    format!("{number:016x}.log")
}

fn number_of(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name.strip_suffix(".log")?, 16).ok()?;
    (file_of(number) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use testkit::SimDisk;

    use super::*;

    #[test]
    fn a_disk_that_takes_nothing_gets_few_files() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let options = HintOptions { commits: Commits::WhenAsked, ..HintOptions::default() };
        let dir = PathBuf::from("node");
        let log = HintLog::open(Arc::clone(&disk), dir.clone(), "n", options, Arc::default()).expect("it opens");
        drop(log.begin().expect("a segment"));
        let files = || disk.list(&dir).expect("the folder is there").len();
        let begin = Instant::now();
        // A minute of writes that fail.
        (0..6_000).for_each(|attempt| log.leave_spoilt(begin + Duration::from_millis(attempt * 10)));
        assert!((2..=12).contains(&files()), "{} files", files());
    }
}
