//! A generation: all samples that arrive between two flushes, and are flushed together.
//!
//! 1. Appends go to the active [`Tail`](crate::tail::Tail) under a short lock. Each carries a sequence number, its place in the order of arrival.
//! 2. A full tail is closed and a fresh one takes its place at once. A background thread seals closed tails, oldest first, into
//!    [`Run`](crate::run::Run)s of a few bytes a sample; until then they are read as they are. An appender never seals: that takes a tenth of a
//!    second. While too many tails wait, [`Generation::wait_for_sealer`] holds each appender up for some milliseconds instead.
//! 3. When runs of one level are [`FAN_IN`], they are joined into one of the next, so their number stays logarithmic and a joined entry pays
//!    its fixed bytes once for more samples. A join stops at each page of slots to seal what was closed meanwhile.
//! 4. [`Generation::cut`] closes the tail, so that all runs that come after hold only younger rows; runs are never joined across a cut. So a
//!    tombstone hides whole runs or nothing of them.
//! 5. What the log gives back after a restart comes in beside the tail ([`Loading`]).
//! 6. A snapshot is a list of shared pointers and one number, how much of the active tail was there. Nothing in it ever changes.

mod loader;
mod view;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::{
    SLOTS_MAX, SlotGuard,
    run::{Run, RunWriter, can_join, join},
    tail::{TAIL_ROWS_MAX, TAIL_ROWS_MIN, Tail},
    tail_pool::TailPool,
};

pub use loader::Loading;
pub use view::GenerationView;

/// So many runs of one level are joined into one of the next.
const FAN_IN: usize = 8;
/// Closed tails that may wait to be sealed before appenders are held up.
const CLOSED_MAX: usize = 1;
/// Rows a tail should have for each series that writes, if it may have so many: to seal a sample costs half as much among eight as among two.
const ROWS_A_SERIES: usize = 8;
/// A run with more rows is not joined any more. Keeps its bytes below 4 GiB.
const JOIN_ROWS_MAX: usize = 256 << 20;

/// Samples in memory that will be flushed together. All methods may be called from many threads at once.
#[derive(Debug)]
pub struct Generation {
    /// Held while rows are appended, while the tail is changed, and never together with long work.
    writer: Mutex<Writer>,
    state: RwLock<State>,
    /// Held while a tail is sealed, so that runs follow one another in order.
    sealing: Mutex<()>,
    /// Held while runs are joined. Sealing goes on meanwhile: it only adds behind.
    joining: Mutex<()>,
    /// Nothing is appended any more, and nobody will look often enough for joins to be worth while.
    ending: AtomicBool,
    /// How many closed tails wait; changed with the state.
    closed: AtomicUsize,
    /// Told, with the lock, when a tail was sealed.
    sealed: (Mutex<()>, Condvar),
    /// Where tails get their memory and leave it.
    pool: Arc<TailPool>,
    /// No tail has fewer rows.
    tail_rows_min: usize,
}

#[derive(Debug)]
struct Writer {
    active: Arc<Tail>,
    /// The same number as in the state.
    cut: u32,
}

/// What a snapshot copies.
#[derive(Debug)]
struct State {
    /// In order of arrival.
    runs: Vec<Sealed>,
    /// Full tails with the number of cuts before them, in order of arrival; all younger than the runs.
    closed: VecDeque<(Arc<Tail>, u32)>,
    active: Arc<Tail>,
}

/// A run and how often it was joined.
#[derive(Debug, Clone)]
struct Sealed {
    run: Arc<Run>,
    level: u32,
}

impl AsRef<Run> for Sealed {
    fn as_ref(&self) -> &Run {
        &self.run
    }
}

impl Generation {
    /// An empty generation, for about so many series, with memory of its own.
    pub fn new(series_expected: usize) -> Self {
        Self::with_pool(series_expected, TAIL_ROWS_MIN, Arc::default())
    }

    /// An empty generation that shares the memory of tails with others.
    pub(crate) fn sharing(series_expected: usize, pool: &Arc<TailPool>) -> Self {
        Self::with_pool(series_expected, TAIL_ROWS_MIN, Arc::clone(pool))
    }

    fn with_pool(series_expected: usize, tail_rows_min: usize, pool: Arc<TailPool>) -> Self {
        let active = Arc::new(Tail::new(tail_rows(series_expected, tail_rows_min), &pool));
        Self {
            writer: Mutex::new(Writer { active: Arc::clone(&active), cut: 0 }),
            state: RwLock::new(State { runs: Vec::new(), closed: VecDeque::new(), active }),
            sealing: Mutex::default(),
            joining: Mutex::default(),
            ending: AtomicBool::new(false),
            closed: AtomicUsize::new(0),
            sealed: Default::default(),
            pool,
            tail_rows_min,
        }
    }

    /// Appends rows, given as columns, with their place in the order of arrival. Every snapshot that is taken after the return sees them.
    /// Returns whether there is something to [`seal`](Self::seal).
    ///
    /// Sequence numbers of appends that run at the same time may come in any order. The guard is the one under which the slots were found.
    pub fn append(&self, _guard: &SlotGuard<'_>, slots: &[u32], times: &[i64], values: &[f64], seq: u64) -> bool {
        self.append_rows(slots, times, values, seq)
    }

    fn append_rows(&self, slots: &[u32], times: &[i64], values: &[f64], seq: u64) -> bool {
        assert!(slots.len() == times.len() && times.len() == values.len(), "BUG: uneven columns");
        debug_assert!(slots.iter().all(|slot| (*slot as usize) < SLOTS_MAX), "BUG: a slot number out of range");
        let mut closed = false;
        let mut done = 0;
        let mut writer = self.writer.lock();
        while done < slots.len() {
            done += writer.active.append(&slots[done..], &times[done..], &values[done..], seq);
            if writer.active.is_full() {
                let rows = self.next_rows(&writer.active);
                self.close(&mut writer, rows);
                closed = true;
            }
        }
        closed
    }

    /// Waits while more tails than usual wait to be sealed, but no longer than `time`. Appenders call it behind each append, holding no lock: so
    /// memory cannot grow faster than it is sealed, and nobody waits for a whole tail.
    #[inline]
    pub fn wait_for_sealer(&self, time: Duration) {
        if self.closed.load(Ordering::Acquire) > CLOSED_MAX {
            let (lock, told) = &self.sealed;
            let mut waiting = lock.lock();
            // Only one round: any tail that was sealed is room for all.
            if self.closed.load(Ordering::Acquire) > CLOSED_MAX {
                told.wait_for(&mut waiting, time);
            }
        }
    }

    /// Rows of the tail that follows this one.
    fn next_rows(&self, tail: &Tail) -> usize {
        // One that a cut closed early says little about how many series write.
        if tail.is_full() { tail_rows(tail.slot_count(), self.tail_rows_min) } else { tail.rows_max() }
    }

    /// Puts a fresh tail in the place of the active one.
    fn close(&self, writer: &mut Writer, rows: usize) {
        let fresh = Arc::new(Tail::new(rows, &self.pool));
        let mut state = self.state.write();
        let full = std::mem::replace(&mut state.active, Arc::clone(&fresh));
        state.closed.push_back((full, writer.cut));
        self.closed.store(state.closed.len(), Ordering::Release);
        writer.active = fresh;
    }

    /// Closes the tail, so that everything appended before lies in other runs than what comes after.
    pub fn cut(&self) {
        let mut writer = self.writer.lock();
        if writer.active.len() > 0 {
            let rows = self.next_rows(&writer.active);
            self.close(&mut writer, rows);
        }
        writer.cut += 1;
    }

    /// Whether [`seal`](Self::seal) would do anything.
    pub fn wants_seal(&self) -> bool {
        let state = self.state.read();
        !state.closed.is_empty() || (!self.is_ending() && due_for_join(&state.runs).is_some())
    }

    /// Seals one closed tail, or joins runs that have become too many. Returns whether there was anything to do: the background thread calls
    /// until there is not.
    pub fn seal(&self) -> bool {
        self.seal_one() || self.join_one()
    }

    /// Seals everything that was appended before the call, the active tail too, and returns when it is done. Runs are not joined from now on.
    pub fn seal_all(&self) {
        self.ending.store(true, Ordering::Relaxed);
        {
            let mut writer = self.writer.lock();
            if writer.active.len() > 0 {
                let rows = self.next_rows(&writer.active);
                self.close(&mut writer, rows);
            }
        }
        while self.seal_one() {}
    }

    fn seal_one(&self) -> bool {
        let _sealing = self.sealing.lock();
        let Some((tail, cut)) = self.state.read().closed.front().cloned() else { return false };
        let run = Arc::new(RunWriter::seal(&tail, cut));
        {
            let mut state = self.state.write();
            state.closed.pop_front();
            state.runs.push(Sealed { run, level: 0 });
            self.closed.store(state.closed.len(), Ordering::Release);
        }
        let (lock, told) = &self.sealed;
        drop(lock.lock());
        told.notify_all();
        // The tail's memory goes back to the pool here, or with the last snapshot that has it.
        true
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Joins the oldest neighbours that are due. Between pages it seals the tails that were closed meanwhile; if the generation ends it is given up.
    fn join_one(&self) -> bool {
        if self.is_ending() {
            return false;
        }
        let _joining = self.joining.lock();
        let runs = self.state.read().runs.clone();
        let Some(due) = due_for_join(&runs) else { return false };
        let goes_on = || {
            while self.closed.load(Ordering::Acquire) > 0 && self.seal_one() {}
            !self.is_ending()
        };
        let Some(run) = join(&runs[due.clone()], goes_on) else { return true };
        let joined = Sealed { run: Arc::new(run), level: runs[due.start].level + 1 };
        // Nobody else takes runs away, so the places are still the same; new ones stand behind.
        self.state.write().runs.splice(due, [joined]);
        true
    }

    /// What there is at this moment. Cheap; it never changes and holds what it needs.
    pub fn snapshot(&self) -> GenerationView {
        let state = self.state.read();
        GenerationView::new(
            state.runs.iter().map(|sealed| Arc::clone(&sealed.run)).collect(),
            state.closed.iter().map(|(tail, _)| tail).chain([&state.active]),
        )
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        let state = self.state.read();
        let sealed: usize = state.runs.iter().map(|sealed| sealed.run.rows()).sum();
        let open: usize = state.closed.iter().map(|(tail, _)| tail).chain([&state.active]).map(|tail| tail.len()).sum();
        sealed + open
    }

    /// Memory taken, spare memory for tails left out.
    pub fn bytes(&self) -> usize {
        let state = self.state.read();
        let sealed: usize = state.runs.iter().map(|sealed| sealed.run.bytes()).sum();
        let open: usize =
            state.closed.iter().map(|(tail, _)| tail).chain([&state.active]).map(|tail| tail.bytes()).sum();
        sealed + open
    }
}

/// Rows of a tail for so many series that write.
fn tail_rows(series: usize, rows_min: usize) -> usize {
    (series * ROWS_A_SERIES).clamp(rows_min, TAIL_ROWS_MAX)
}

/// The first neighbours of one level and one cut that are enough to be joined.
fn due_for_join(runs: &[Sealed]) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    for end in 1..=runs.len() {
        let alike = |a: &Sealed, b: &Sealed| a.level == b.level && a.run.meta().cut == b.run.meta().cut;
        if end < runs.len() && alike(&runs[start], &runs[end]) && end - start < FAN_IN {
            continue;
        }
        let rows: usize = runs[start..end].iter().map(|sealed| sealed.run.rows()).sum();
        if end - start == FAN_IN && rows <= JOIN_ROWS_MAX && can_join(&runs[start..end]) {
            return Some(start..end);
        }
        start = end;
    }
    None
}

#[cfg(test)]
mod tests;
