//! Group commit: one write and one sync for everybody who waits.
//!
//! 1. Appenders leave bytes in the active segment's buffer and keep a ticket. Who calls with it, or waits for it, rings
//!    the bell.
//! 2. The committer wakes, commits what was closed by a rotation, then the active segment. While it syncs, the next
//!    group gathers in the buffer.
//! 3. While several call for a commit, commits begin at least an interval apart, which makes the groups bigger and the
//!    syncs fewer. Who comes alone is served at once: nobody would share the sync.
//! 4. When records are not synced with every commit, the committer syncs an interval after the first unsynced one.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use disk::Disk;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::error::Result;
use crate::options::{Ack, Commits, Options};
use crate::segment::Segment;
use crate::stats::Counters;
use crate::ticket::{Goal, Ticket};

/// What appenders, tickets and the committer share.
pub(crate) struct Shared {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub options: Options,
    pub active: RwLock<Arc<Segment>>,
    pub counters: Counters,
    retired: Mutex<Retired>,
    /// Told when a closed segment is complete.
    completed: Condvar,
    bell: Bell,
}

/// Segments that are not active any more.
#[derive(Default)]
struct Retired {
    /// Closed, but not committed to their end; the oldest first.
    closing: VecDeque<Arc<Segment>>,
    /// Length by number of those that no one writes to.
    complete: BTreeMap<u64, u64>,
}

impl Shared {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        options: Options,
        active: Segment,
        complete: BTreeMap<u64, u64>,
    ) -> Shared {
        Shared {
            disk,
            dir,
            options,
            active: RwLock::new(Arc::new(active)),
            counters: Counters::default(),
            retired: Mutex::new(Retired { closing: VecDeque::new(), complete }),
            completed: Condvar::new(),
            bell: Bell::default(),
        }
    }

    pub(crate) fn active(&self) -> Arc<Segment> {
        Arc::clone(&self.active.read())
    }

    /// Whether only tickets and [`crate::Wal::sync_now`] commit.
    pub(crate) fn commits_when_asked(&self) -> bool {
        self.options.commits == Commits::WhenAsked
    }

    /// Says that there is something to commit.
    pub(crate) fn ring(&self) {
        self.bell.ring(|call| call.work = true);
    }

    /// Closes the active segment and puts `next` in its place; says which was closed.
    pub(crate) fn replace_active(&self, next: Segment) -> u64 {
        let mut active = self.active.write();
        // Closed first: an appender that still holds the old segment must not add to it once the new one defines
        // slots, because there is one base value a slot.
        active.close();
        let old = std::mem::replace(&mut *active, Arc::new(next));
        let number = old.number;
        self.retired.lock().closing.push_back(old);
        drop(active);
        self.ring();
        number
    }

    /// Notes a file that stands in the folder and that nobody writes to.
    pub(crate) fn note_complete(&self, number: u64, bytes: u64) {
        self.retired.lock().complete.insert(number, bytes);
    }

    /// The bytes of all segments that are not active.
    pub(crate) fn retired_bytes(&self) -> u64 {
        let retired = self.retired.lock();
        retired.complete.values().sum::<u64>() + retired.closing.iter().map(|segment| segment.end()).sum::<u64>()
    }

    /// The complete segments up to `number`, once there are no others up to there.
    pub(crate) fn complete_through(&self, number: u64) -> Vec<u64> {
        let mut retired = self.retired.lock();
        while retired.closing.iter().any(|segment| segment.number <= number) {
            if self.commits_when_asked() {
                drop(retired);
                self.commit_round(true);
                retired = self.retired.lock();
            } else {
                self.completed.wait(&mut retired);
            }
        }
        retired.complete.range(..=number).map(|(number, _)| *number).collect()
    }

    /// Forgets a segment whose file is gone.
    pub(crate) fn forget_complete(&self, number: u64) {
        self.retired.lock().complete.remove(&number);
    }

    /// Commits what was closed, and then what is active; with `sync` nothing stays unsynced. Says how many had called for
    /// what the active segment got.
    pub(crate) fn commit_round(&self, sync: bool) -> u64 {
        loop {
            let Some(segment) = self.retired.lock().closing.front().cloned() else { break };
            // Its last sync, in every mode: nobody will come back to it.
            segment.commit(&*self.disk, true, &self.counters);
            let mut retired = self.retired.lock();
            // Two rounds at once may both have committed it.
            if retired.closing.front().is_some_and(|front| Arc::ptr_eq(front, &segment)) {
                retired.closing.pop_front();
                retired.complete.insert(segment.number, segment.end());
                self.completed.notify_all();
            }
        }
        let sync = sync || self.options.ack == Ack::Power;
        self.active().commit(&*self.disk, sync, &self.counters)
    }

    /// Commits and syncs all that was appended before.
    pub(crate) fn sync_now(self: &Arc<Self>) -> Result<()> {
        // The active one first: a rotation in between would hide it among the closed ones that were not looked at.
        let mut segments = vec![self.active()];
        segments.extend(self.retired.lock().closing.iter().cloned());
        self.bell.ring(|call| call.sync = true);
        segments
            .into_iter()
            .map(|segment| {
                let end = segment.end();
                Ticket::new(Arc::clone(self), segment, Goal::Synced, end).called().wait()
            })
            .fold(Ok(()), Result::and)
    }

    /// Ends the committer after one more round.
    pub(crate) fn stop(&self) {
        self.bell.ring(|call| call.stop = true);
    }

    /// The life of the committer's thread.
    pub(crate) fn run_committer(&self) {
        loop {
            let call = self.bell.wait(self.sync_due());
            let began = Instant::now();
            let callers = self.commit_round(call.sync || call.stop || call.time_is_up);
            if call.stop {
                return;
            }
            // Nobody waits for an unacknowledged write, so it can always gather.
            if callers > 1 || self.options.ack == Ack::None {
                self.bell.rest(began + self.options.commit_interval);
            }
        }
    }

    fn sync_due(&self) -> Option<Instant> {
        self.active().unsynced_since().map(|since| since + self.options.sync_interval)
    }
}

/// What the committer is called for.
#[derive(Debug, Clone, Copy, Default)]
struct Call {
    /// There is something to write.
    work: bool,
    /// Somebody wants all of it synced.
    sync: bool,
    /// The log is closed.
    stop: bool,
    /// Nobody called, but records have waited for their sync long enough.
    time_is_up: bool,
}

#[derive(Default)]
struct Bell {
    state: Mutex<BellState>,
    rung: Condvar,
}

#[derive(Default)]
struct BellState {
    call: Call,
    /// The committer wants to be woken by those who cannot wait only.
    resting: bool,
}

impl Call {
    fn is_urgent(self) -> bool {
        self.sync || self.stop
    }
}

impl Bell {
    fn ring(&self, with: impl FnOnce(&mut Call)) {
        let mut state = self.state.lock();
        let was_called = state.call.work;
        with(&mut state.call);
        // Waking a thread costs more than all the rest of an append; whoever called before has done it.
        let heard = if state.resting { state.call.is_urgent() } else { !was_called || state.call.is_urgent() };
        drop(state);
        if heard {
            self.rung.notify_one();
        }
    }

    /// Waits for a call, or until `due`.
    fn wait(&self, due: Option<Instant>) -> Call {
        let mut state = self.state.lock();
        while !(state.call.work || state.call.is_urgent() || state.call.time_is_up) {
            match due {
                Some(due) => state.call.time_is_up = self.rung.wait_until(&mut state, due).timed_out(),
                None => self.rung.wait(&mut state),
            }
        }
        let mut call = std::mem::take(&mut state.call);
        call.time_is_up |= due.is_some_and(|due| due <= Instant::now());
        call
    }

    /// Waits until `end`; calls for work only do not cut it short.
    fn rest(&self, end: Instant) {
        let mut state = self.state.lock();
        state.resting = true;
        while !state.call.is_urgent() {
            if self.rung.wait_until(&mut state, end).timed_out() {
                break;
            }
        }
        state.resting = false;
    }
}
