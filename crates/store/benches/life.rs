//! Flush, merge and select on the real disk, small: `benches/src/bin/engine.rs` measures the same at full size.

use std::{hint::black_box, path::Path, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use disk::RealDisk;
use model::{KeyBuilder, Matcher, Sample, Selector, SystemClock, Tenant, TimeRange, ValueKind};
use storage_api::{Admin, Batch, EncodedSeries, Encoding, Insert, Resolved, Select, SelectRequest, SeriesData};
use store::{Ack, Options, Reporter, Store};

const SERIES: usize = 2_000;
const SCRAPES: i64 = 60;
const STEP_MS: i64 = 15_000;

struct Plain;

impl Encoding for Plain {
    fn scope(&self) -> &[u8] {
        b"plain"
    }

    fn generation(&self) -> u32 {
        0
    }

    fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        let text = std::str::from_utf8(bytes).expect("the bench writes UTF-8");
        for (name, value) in text.split(',').filter_map(|pair| pair.split_once('=')) {
            labels.push(name, value);
        }
        Resolved::Keep
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(done) => return done,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

fn open(folder: &Path) -> Store {
    let disk = Arc::new(RealDisk::open(folder).expect("a temporary folder can be opened"));
    let options = Options { ack: Ack::Process, background: false, ..Options::default() };
    Store::open(disk, options, Arc::new(SystemClock), Reporter::silent()).expect("the store opens")
}

fn now() -> i64 {
    model::Clock::now_ms(&SystemClock)
}

/// Counters of a few hundred targets.
fn feed(store: &Store, first_scrape: i64, scrapes: i64) {
    let start = now() - 4 * SCRAPES * STEP_MS;
    for scrape in first_scrape..first_scrape + scrapes {
        let mut bytes = Vec::new();
        let (mut series, mut samples) = (Vec::new(), Vec::new());
        for number in 0..SERIES {
            let labels = format!("__name__=requests_total_{},pod=pod-{},job=bench", number % 20, number / 20);
            let value = (scrape * (number as i64 % 97) + number as i64) as f64;
            samples.push(Sample { time: start + scrape * STEP_MS, value });
            series.push(EncodedSeries {
                labels_start: bytes.len() as u32,
                labels_len: labels.len() as u32,
                samples_end: samples.len() as u32,
                kind: ValueKind::Float,
            });
            bytes.extend_from_slice(labels.as_bytes());
        }
        let batch = Batch {
            tenant: Tenant::DEFAULT,
            encoding: &Plain,
            bytes: &bytes,
            series: &series,
            samples: &samples,
            metadata: &[],
        };
        wait(store.insert(batch)).expect("the rows are taken");
    }
}

fn read(store: &Store, request: SelectRequest) -> usize {
    let stream = wait(store.select(request)).expect("it can be read");
    let mut data = SeriesData::default();
    let mut rows = 0;
    while let Some(mut chunk) = stream.next().expect("it can be read") {
        for index in 0..chunk.len() {
            chunk.read(index, &mut data).expect("it can be read");
            rows += data.values.len();
        }
    }
    rows
}

fn flush_and_merge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(SERIES as u64 * SCRAPES as u64));
    group.bench_function("flush", |bencher| {
        let fresh = || {
            let folder = tempfile::tempdir().expect("there is room for a temporary folder");
            let store = open(folder.path());
            feed(&store, 0, SCRAPES);
            (folder, store)
        };
        bencher.iter_batched(
            fresh,
            |(folder, store)| {
                wait(store.flush()).expect("it can be flushed");
                (folder, store)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("merge", |bencher| {
        let two_parts = || {
            let folder = tempfile::tempdir().expect("there is room for a temporary folder");
            let store = open(folder.path());
            for half in 0..2 {
                feed(&store, half * SCRAPES / 2, SCRAPES / 2);
                wait(store.flush()).expect("it can be flushed");
            }
            (folder, store)
        };
        bencher.iter_batched(
            two_parts,
            |(folder, store)| {
                wait(store.merge("")).expect("it can be merged");
                (folder, store)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn select(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is room for a temporary folder");
    let store = open(folder.path());
    feed(&store, 0, SCRAPES);
    let mut group = criterion.benchmark_group("select");
    let everything = || SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL);
    let one = || {
        let matchers = vec![Matcher::equal("__name__", "requests_total_7"), Matcher::equal("pod", "pod-7")];
        SelectRequest::raw(Tenant::DEFAULT, Selector::all_of(matchers), TimeRange::ALL)
    };
    for place in ["memory", "part"] {
        group.throughput(Throughput::Elements(SERIES as u64 * SCRAPES as u64));
        group.bench_function(format!("everything from {place}"), |bencher| {
            bencher.iter(|| black_box(read(&store, everything())));
        });
        group.throughput(Throughput::Elements(SCRAPES as u64));
        group.bench_function(format!("one series from {place}"), |bencher| {
            bencher.iter(|| black_box(read(&store, one())));
        });
        wait(store.flush()).expect("it can be flushed");
    }
    // Cold: a store that was just opened has searched and decoded nothing yet.
    drop(store);
    group.sample_size(10);
    group.bench_function("one series from a store just opened", |bencher| {
        bencher.iter_batched(
            || open(folder.path()),
            |store| {
                black_box(read(&store, one()));
                store
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, flush_and_merge, select);
criterion_main!(benches);
