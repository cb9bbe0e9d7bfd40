//! Drives a store as a client would, and remembers what was promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use disk::Disk;
use model::{KeyBuilder, Sample, Selector, SeriesKey, Tenant, TimeRange, ValueKind};
use storage_api::{
    Admin, Batch, DeleteRequest, EncodedSeries, Encoding, Insert, InsertError, Inserted, Resolved, Select, SelectError,
    SelectRequest, SeriesData,
};
use store::{Commits, FlushLimits, Options, Reporter, Store, StoreError};
use testkit::ManualClock;

/// The time at which tests begin.
pub const NOW: i64 = 1_795_216_490_000;

/// Label bytes are `name=value,name=value`.
pub struct Plain;

impl Encoding for Plain {
    fn scope(&self) -> &[u8] {
        b"plain"
    }

    fn generation(&self) -> u32 {
        0
    }

    fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        let text = std::str::from_utf8(bytes).expect("tests write UTF-8");
        for pair in text.split(',') {
            let (name, value) = pair.split_once('=').expect("tests write name=value");
            labels.push(name, value);
        }
        Resolved::Keep
    }
}

pub fn key_of(tenant: Tenant, labels: &str) -> SeriesKey {
    let mut builder = KeyBuilder::new();
    assert_eq!(Plain.resolve(labels.as_bytes(), &mut builder), Resolved::Keep);
    builder.build(tenant).expect("tests name series")
}

/// A row: labels, time, value.
pub type Row<'a> = (&'a str, i64, f64);

/// What a store is opened with in tests: nothing happens by itself.
pub fn quiet() -> Options {
    Options { background: false, commits: Commits::WhenAsked, min_free_disk_bytes: 0, ..Options::default() }
}

/// Flushes after a handful of rows.
pub fn eager() -> Options {
    Options { flush: FlushLimits { log_bytes: 8 << 10, ..FlushLimits::default() }, ..quiet() }
}

/// A store, its clock, and what it reported.
pub struct Driver {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub reports: Arc<Mutex<Vec<String>>>,
}

impl Driver {
    pub fn open(disk: Arc<dyn Disk>, options: Options, clock: &Arc<ManualClock>) -> Result<Self, StoreError> {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let take = Arc::clone(&reports);
        let reporter = Reporter::new(move |severity, message| {
            take.lock().expect("no test panics in here").push(format!("{severity:?}: {message}"));
        });
        let clock = Arc::clone(clock);
        let store = Store::open(disk, options, Arc::<ManualClock>::clone(&clock), reporter)?;
        Ok(Self { store, clock, reports })
    }

    /// Polls a future; while it waits for the log, the log is committed.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return done;
            }
            // A failure is told to whoever waits.
            let _ = self.store.sync();
            std::thread::yield_now();
        }
        panic!("a future never ends");
    }

    pub fn insert(&self, tenant: Tenant, rows: &[Row<'_>]) -> Result<Inserted, InsertError> {
        let mut bytes = Vec::new();
        let (mut series, mut samples) = (Vec::new(), Vec::new());
        for (labels, time, value) in rows {
            samples.push(Sample { time: *time, value: *value });
            series.push(EncodedSeries {
                labels_start: bytes.len() as u32,
                labels_len: labels.len() as u32,
                samples_end: samples.len() as u32,
                kind: ValueKind::Float,
            });
            bytes.extend_from_slice(labels.as_bytes());
        }
        let batch =
            Batch { tenant, encoding: &Plain, bytes: &bytes, series: &series, samples: &samples, metadata: &[] };
        self.wait(self.store.insert(batch))
    }

    pub fn put(&self, rows: &[Row<'_>]) {
        let inserted = self.insert(Tenant::DEFAULT, rows).expect("the rows are taken");
        assert_eq!(inserted.samples, rows.len() as u64, "{:?}", inserted.refused);
    }

    pub fn read(&self, request: SelectRequest) -> Result<Found, SelectError> {
        let held = self.store.shards(request.range);
        let stream = self.wait(self.store.select(request))?;
        let mut found = Found::new();
        let (mut key, mut data) = (SeriesKey::default(), SeriesData::default());
        let mut last: Option<SeriesKey> = None;
        while let Some(mut chunk) = stream.next()? {
            for index in 0..chunk.len() {
                chunk.key(index, &mut key)?;
                chunk.read(index, &mut data)?;
                assert!(last.as_ref().is_none_or(|last| *last < key), "series come in order, each once");
                assert!(data.times.is_sorted(), "times ascend");
                assert_eq!(data.times.len(), data.values.len());
                last = Some(key.clone());
                let rows = data.times.iter().zip(&data.values).map(|(time, value)| (*time, value.to_bits()));
                let rows: Vec<_> = rows.collect();
                if !rows.is_empty() {
                    assert!(
                        held.contains(chunk.id(index)),
                        "a series of a shard of which the store says it has nothing"
                    );
                    found.insert(key.clone(), rows);
                }
            }
        }
        Ok(found)
    }

    pub fn read_all(&self, tenant: Tenant) -> Result<Found, SelectError> {
        self.read(SelectRequest::raw(tenant, Selector::everything(), TimeRange::ALL))
    }

    pub fn delete(&self, tenant: Tenant, selector: Selector, range: TimeRange) -> Result<u64, storage_api::AdminError> {
        let request = DeleteRequest { tenant, selector, range, series_max: u64::MAX };
        self.wait(self.store.delete_series(request))
    }

    pub fn flush(&self) -> Result<(), storage_api::AdminError> {
        self.wait(self.store.flush())
    }

    pub fn merge(&self) -> Result<(), storage_api::AdminError> {
        self.wait(self.store.merge(""))
    }

    pub fn reported(&self, text: &str) -> bool {
        self.reports.lock().expect("no test panics in here").iter().any(|line| line.contains(text))
    }
}

/// What a query gave: rows by series.
pub type Found = BTreeMap<SeriesKey, Vec<(i64, u64)>>;

/// What was promised for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// It was acknowledged: it must be there.
    Kept,
    /// It was sent and not acknowledged, or a delete of it was: both is right.
    Open,
    /// Its delete was acknowledged: it must be gone.
    Gone,
}

/// The client's own record.
#[derive(Debug, Clone, Default)]
pub struct Record {
    rows: BTreeMap<(SeriesKey, i64, u64), Promise>,
}

impl Record {
    pub fn sent(&mut self, key: &SeriesKey, time: i64, value: f64, acknowledged: bool) {
        let promise = self.rows.entry((key.clone(), time, value.to_bits())).or_insert(Promise::Gone);
        *promise = match (acknowledged, *promise) {
            (true, _) | (false, Promise::Kept) => Promise::Kept,
            (false, _) => Promise::Open,
        };
    }

    pub fn deleted(&mut self, hit: impl Fn(&SeriesKey, i64) -> bool, acknowledged: bool) {
        for ((key, time, _), promise) in &mut self.rows {
            if hit(key, *time) {
                *promise = match (acknowledged, *promise) {
                    (true, _) | (false, Promise::Gone) => Promise::Gone,
                    (false, _) => Promise::Open,
                };
            }
        }
    }

    /// What is older may be gone and must not come back once it is.
    pub fn expired(&mut self, before: i64) {
        for ((_, time, _), promise) in &mut self.rows {
            if *time < before {
                *promise = Promise::Gone;
            }
        }
    }

    /// Compares what a query of one tenant gave with what was promised.
    pub fn check(&self, tenant: Tenant, found: &Found) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for (key, rows) in found {
            for (time, bits) in rows {
                let row = (key.clone(), *time, *bits);
                match self.rows.get(&row) {
                    Some(Promise::Kept | Promise::Open) => {}
                    Some(Promise::Gone) => return Err(format!("deleted or expired, and there: {row:?}")),
                    None => return Err(format!("invented: {row:?}")),
                }
                if !seen.insert(row) {
                    return Err(format!("doubled: {key:?} at {time}"));
                }
            }
        }
        let missing = self
            .rows
            .iter()
            .find(|(row, promise)| **promise == Promise::Kept && row.0.tenant() == tenant && !seen.contains(*row));
        match missing {
            Some((row, _)) => Err(format!("acknowledged and missing: {row:?}")),
            None => Ok(()),
        }
    }
}
