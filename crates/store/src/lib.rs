//! The store: every acknowledged sample kept, in compressed columns with their own index.
//!
//! 1. A batch is resolved to series of the head, logged, appended to the running generation, and acknowledged when the log says so (`ingest`).
//! 2. When the log or the memory has grown to its limit, the generation becomes parts, and its segments of the log are removed (`flush`).
//! 3. Parts of one partition are merged, day by day, in the end into one dense part (`policy`, `merging`).
//! 4. Queries unite parts and head by series id and decode chunk by chunk (`select`).
//! 5. Deletes are tombstones with a place in the order of arrival (`deletion`); what has expired is dropped (`retention`); what is damaged is set aside (`quarantine`).
//!
//! The files are described in `docs/formats/`.
//!
//! Architecture invariant: knows nothing of expressions, HTTP and other nodes.

mod admin;
mod arrivals;
mod background;
mod cardinality;
mod copying;
mod counters;
mod deletion;
mod error;
mod events;
mod flush;
pub mod fuzz;
mod ingest;
mod inner;
mod layout;
mod limits;
mod manifest;
mod merging;
mod metadata;
mod numbered;
mod open;
mod options;
mod partition;
mod partitioned_writer;
mod policy;
mod quarantine;
mod read_only;
mod replay;
mod retention;
mod returning;
mod secret;
mod select;
mod snapshots;
mod state;
mod tombstone;
mod verify;
mod versions;

use std::{
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use disk::Disk;
use model::{Clock, Tenant, TimeRange};
use parking_lot::Mutex;
use storage_api::{
    AdminError, BoxFuture, NamesRequest, Select, SelectError, SelectRequest, SeriesStream, ShardSet, ValuesRequest,
    Version,
};

pub use error::StoreError;
pub use events::{Reporter, Severity};
pub use options::{Ack, Commits, DAY_MS, FlushLimits, HOUR_MS, Options};
pub use verify::verify;

use crate::{ingest::ScratchPool, inner::Inner, select::Stream};

/// An open data folder.
pub struct Store {
    inner: Arc<Inner>,
    scratch: ScratchPool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// Opens a data folder; makes it if there is none.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        clock: Arc<dyn Clock>,
        report: Reporter,
    ) -> Result<Self, StoreError> {
        let background = options.background;
        let inner = Arc::new(open::open(disk, options, clock, report)?);
        let threads = if background { background::start(&inner) } else { Vec::new() };
        Ok(Self { inner, scratch: ScratchPool::default(), threads: Mutex::new(threads) })
    }

    /// Takes no more writes, flushes, and stops all threads. Called again, it does nothing.
    pub fn close(&self) -> Result<(), StoreError> {
        if self.inner.closing.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.inner.signals.wake_all();
        self.inner.merge_done.notify_all();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                self.inner.report.error("a thread of the storage had panicked");
            }
        }
        // What cannot be flushed stands in the log, which is synced first for those who did not wait for that.
        let synced = self.inner.wal.sync_now();
        if let Err(error) = self.inner.flush() {
            self.inner.report.error(format!("cannot flush at the end, the log keeps what is left: {error}"));
            synced?;
            return Err(error);
        }
        Ok(())
    }

    /// Makes everything durable that was appended to the log before.
    pub fn sync(&self) -> Result<(), StoreError> {
        Ok(self.inner.wal.sync_now()?)
    }

    /// One round of background work, for those who run without threads. Gives whether a merge was done.
    pub fn work(&self) -> Result<bool, StoreError> {
        self.inner.keep_house();
        if self.inner.is_flush_due() {
            self.inner.flush()?;
        }
        Ok(self.inner.merge_next()? == merging::Outcome::Done)
    }

    /// After a failure of the log: begins a new segment. A store with threads does so by itself.
    pub fn heal(&self) -> Result<(), String> {
        self.inner.heal_log();
        match self.inner.read_only.reason() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    /// How many parts and places in the log were found damaged since the start: rows of them are not here any more.
    pub fn damages(&self) -> u64 {
        let counters = &self.inner.counters;
        counters.quarantined_parts.load(Ordering::Relaxed) + counters.damaged_records.load(Ordering::Relaxed)
    }

    /// Does blocking work on a thread where that is allowed.
    fn blocking<'a, R: Send + 'a>(
        &'a self,
        work: impl FnOnce(&'a Inner) -> Result<R, AdminError> + Send + 'a,
    ) -> BoxFuture<'a, Result<R, AdminError>> {
        Box::pin(async move { work(&self.inner) })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.inner.closing.store(true, Ordering::Release);
        self.inner.signals.wake_all();
        self.inner.merge_done.notify_all();
        for thread in self.threads.lock().drain(..) {
            // A panic was reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

impl Select for Store {
    fn select<'a>(&'a self, request: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        Box::pin(async move {
            let plan = select::Plan::make(&self.inner, request)?;
            Ok(Box::new(Stream::new(plan)) as Box<dyn SeriesStream>)
        })
    }

    fn label_names<'a>(&'a self, request: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move { select::label_names(&self.inner, &request) })
    }

    fn label_values<'a>(&'a self, request: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move { select::label_values(&self.inner, &request) })
    }

    fn series_count<'a>(&'a self, tenant: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        Box::pin(async move { select::series_count(&self.inner, tenant) })
    }

    fn shards(&self, range: TimeRange) -> ShardSet {
        select::shards(&self.inner, range)
    }

    fn versions(&self, _tenant: Tenant, ranges: &[TimeRange]) -> Vec<Version> {
        // A dedup interval is judged as a whole: what is written into it behind the range may hide what lies inside.
        let version = |range: &TimeRange| {
            Version(self.inner.versions.of(select::widen(*range, self.inner.options.dedup_interval_ms)))
        };
        ranges.iter().map(version).collect()
    }
}
