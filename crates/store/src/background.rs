//! The threads of a store.
//!
//! - *sealer*: turns full tails of the running generation into runs.
//! - *flusher*: flushes when a limit is reached, and heals the log after a failure.
//! - *mergers*: merge while there is something to merge.
//! - *keeper*: each second looks at the disk's room, the age of what is in memory, retention, tombstones and old snapshots.
//!
//! Each waits on a flag with a time limit, so that a lost wake-up costs a second and not a store.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::{
    counters::get, error::StoreError, inner::Inner, merging::Outcome, options::HOUR_MS, read_only::Cause,
    replay::Replay, snapshots, state::OpenGeneration,
};

/// The longest that a thread sleeps.
pub const WAIT: Duration = Duration::from_secs(1);
/// After a failure a thread rests so many waits.
const REST_WAITS: u32 = 5;
/// No store merges with more threads.
const MERGE_THREADS_MAX: usize = 4;

/// What threads are woken for.
#[derive(Debug, Default)]
pub struct Signals {
    flags: Mutex<Flags>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Flags {
    flush: bool,
    seal: bool,
    log_failed: bool,
    merge: bool,
}

impl Signals {
    /// A limit is reached: flush.
    pub fn flush(&self) {
        self.raise(|flags| &mut flags.flush);
    }

    /// The tail is full: seal.
    pub fn seal(&self) {
        self.raise(|flags| &mut flags.seal);
    }

    /// A write to the log failed: a new segment is wanted.
    pub fn log_failed(&self) {
        self.raise(|flags| &mut flags.log_failed);
    }

    /// There are new parts.
    pub fn merge(&self) {
        self.raise(|flags| &mut flags.merge);
    }

    fn raise(&self, flag: impl Fn(&mut Flags) -> &mut bool) {
        let mut flags = self.flags.lock();
        let flag = flag(&mut flags);
        if !*flag {
            *flag = true;
            self.changed.notify_all();
        }
    }

    /// Wakes every thread, so that it sees that the store closes.
    pub fn wake_all(&self) {
        let _flags = self.flags.lock();
        self.changed.notify_all();
    }

    /// Takes a flag down; waits for it if it is not up.
    fn take(&self, flag: impl Fn(&mut Flags) -> &mut bool) -> bool {
        let mut flags = self.flags.lock();
        if !*flag(&mut flags) {
            self.changed.wait_for(&mut flags, WAIT);
        }
        std::mem::take(flag(&mut flags))
    }

    fn sleep(&self) {
        self.changed.wait_for(&mut self.flags.lock(), WAIT);
    }
}

/// Starts the threads.
pub fn start(inner: &Arc<Inner>) -> Vec<JoinHandle<()>> {
    let mergers =
        std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)).min(MERGE_THREADS_MAX);
    let mut threads = vec![
        spawn(inner, "store-seal", seal_loop),
        spawn(inner, "store-flush", flush_loop),
        spawn(inner, "store-keep", keep_loop),
    ];
    for _ in 0..mergers {
        threads.push(spawn(inner, "store-merge", merge_loop));
    }
    threads
}

fn spawn(inner: &Arc<Inner>, name: &str, work: impl FnOnce(&Inner) + Send + 'static) -> JoinHandle<()> {
    let inner = Arc::clone(inner);
    // Without its threads a store could not keep its promises, so a machine that gives none is told so at the start.
    Builder::new()
        .name(name.into())
        .spawn(move || work(&inner))
        .unwrap_or_else(|error| panic!("FATAL: cannot start thread {name}: {error}"))
}

fn seal_loop(inner: &Inner) {
    while !inner.is_closing() {
        if inner.signals.take(|flags| &mut flags.seal) {
            // The newest first: it is the one that writers wait for.
            for generation in inner.shared.get().generations.iter().rev() {
                while !inner.is_closing() && generation.rows.seal() {}
            }
        }
    }
}

fn flush_loop(inner: &Inner) {
    while !inner.is_closing() {
        if inner.signals.take(|flags| &mut flags.log_failed) {
            inner.heal_log();
        }
        if inner.signals.take(|flags| &mut flags.flush) && inner.is_flush_due() {
            settle(inner, "cannot flush", inner.flush());
            inner.signals.merge();
        }
    }
}

fn merge_loop(inner: &Inner) {
    while !inner.is_closing() {
        match inner.merge_next() {
            Ok(Outcome::Done) => {}
            Ok(Outcome::Idle) => {
                inner.signals.take(|flags| &mut flags.merge);
            }
            Ok(Outcome::Stopped) => return,
            error => settle(inner, "cannot merge", error.map(drop)),
        }
    }
}

fn keep_loop(inner: &Inner) {
    while !inner.is_closing() {
        inner.keep_house();
        inner.signals.sleep();
    }
}

/// Reports a failure, and rests before the work is tried again.
fn settle(inner: &Inner, what: &str, done: Result<(), StoreError>) {
    let Err(error) = done else { return };
    inner.report.error(format!("{what}: {error}"));
    if let StoreError::Disk(error) = &error
        && error.is_full()
    {
        inner.look_at_space();
    }
    for _ in 0..REST_WAITS {
        if inner.is_closing() {
            return;
        }
        inner.signals.sleep();
    }
}

impl Inner {
    /// One round of what the keeper does.
    pub fn keep_house(&self) {
        self.look_at_space();
        self.report_unreadable();
        self.head_bytes_seen.store(self.head_bytes(), Ordering::Relaxed);
        if self.read_only.stands(Cause::Log) {
            self.signals.log_failed();
        }
        if self.is_flush_due() {
            self.signals.flush();
        }
        if self.returning.read().as_ref().is_some_and(|returning| returning.is_over(self.clock.now_ms())) {
            *self.returning.write() = None;
        }
        let kept = self.drop_expired().map(drop).and_then(|()| self.forget_tombstones());
        if let Err(error) = kept {
            self.report.error(format!("cannot drop what has expired: {error}"));
        }
        if let Err(error) = self.drop_old_snapshots() {
            self.report.error(format!("cannot drop old snapshots: {error}"));
        }
    }

    /// Whether a limit of the running generation is reached, or an older one still waits.
    pub fn is_flush_due(&self) -> bool {
        if !self.closed.lock().is_empty() {
            return true;
        }
        let state = self.shared.get();
        let Some(running) = state.generations.last() else { return false };
        let old = self.clock.now_ms().saturating_sub(running.opened_ms) >= self.options.flush.age_ms;
        self.wal.active_bytes() >= self.options.flush.log_bytes
            || (running.rows.bytes() + self.head.spare_bytes()) as u64 >= self.options.head_bytes()
            || (old && running.rows.rows() > 0)
            || self.replay_of(running).takes_longer_than(self.options.flush.replay)
    }

    /// What stands in the log for `running`, segments of the process before included.
    fn replay_of(&self, running: &OpenGeneration) -> Replay {
        Replay {
            series: self.head.series_count() as u64,
            samples: running.rows.rows() as u64,
            threads: self.replay_threads,
        }
    }

    /// Reads how much room the disk has; refuses or takes writes accordingly.
    pub fn look_at_space(&self) {
        let free = match self.disk.free_bytes() {
            Ok(free) => free,
            Err(error) => {
                self.report.warning(format!("cannot read how much room is left: {error}"));
                return;
            }
        };
        self.free_bytes.store(free, Ordering::Relaxed);
        let min = self.options.min_free_disk_bytes;
        if free < min {
            self.go_read_only(
                Cause::Space,
                format!("{free} bytes are free on the disk, -storage.minFreeDiskSpaceBytes wants {min}"),
            );
        } else if self.read_only.set(Cause::Space, None) {
            self.report.info(format!("{free} bytes are free on the disk again: writes are taken"));
        }
    }

    /// Tells when pages of mapped files could not be read. What depends on them fails by its checksum, like any other damage.
    fn report_unreadable(&self) {
        let pages = disk::unreadable_pages();
        let seen = self.unreadable_seen.swap(pages, Ordering::Relaxed);
        if pages > seen {
            let new = pages - seen;
            self.report.error(format!(
                "{new} pages of files could not be read from the drive: what they hold counts as damaged"
            ));
        }
    }

    /// Refuses writes from now on.
    pub fn go_read_only(&self, cause: Cause, reason: String) {
        let message = format!("the storage goes read-only: {reason}");
        if self.read_only.set(cause, Some(reason)) {
            self.report.error(message);
        }
    }

    /// Starts a new segment after the log failed. Rows of the old one that were acknowledged stay readable there until they are flushed.
    pub fn heal_log(&self) {
        let failures = self.wal.stats().failures;
        if failures == get(&self.healed) {
            return;
        }
        let rotated = self.wal.prepare().and_then(|()| {
            let _epoch = self.epoch.write();
            self.wal.rotate()
        });
        // Only a record that could be made durable in the new segment shows that it is sound.
        let healed = rotated.and_then(|_| self.wal.append_metadata(&[])?.wait());
        match healed {
            Ok(()) => {
                self.healed.store(failures, Ordering::Relaxed);
                if self.read_only.set(Cause::Log, None) {
                    self.report.info("the log could be written again: writes are taken");
                }
            }
            Err(error) => self.go_read_only(Cause::Log, format!("no new segment of the log could be written: {error}")),
        }
    }

    fn drop_old_snapshots(&self) -> Result<(), disk::Error> {
        let max_age = self.options.snapshots_max_age_ms;
        let hour = self.clock.now_ms() / HOUR_MS;
        // Once an hour, and at the start, for the process may have been away for days.
        if max_age <= 0 || self.snapshots_hour.swap(hour, Ordering::Relaxed) == hour {
            return Ok(());
        }
        let _turn = self.snapshots.lock();
        let oldest = self.clock.now_ms() - max_age;
        for name in snapshots::list(&*self.disk)? {
            if snapshots::made_at(&name).is_some_and(|made| made < oldest) {
                snapshots::delete(&*self.disk, &name)?;
            }
        }
        Ok(())
    }
}
