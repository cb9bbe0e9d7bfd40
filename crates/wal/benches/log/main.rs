//! Appending, committing and replaying Kubernetes-shaped traffic.

mod memory_disk;
mod requests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use disk::{Disk, RealDisk};
use wal::{Ack, Commits, Options, ReplaySink, Wal};

use memory_disk::MemoryDisk;
use requests::{Request, Requests};

const SERIES: usize = 100_000;
/// Half an hour at 15 s.
const SCRAPES: u64 = 120;

fn manual(ack: Ack) -> Options {
    Options { ack, commits: Commits::WhenAsked, waiting_bytes_max: 4 << 20, ..Options::default() }
}

fn create(disk: Arc<dyn Disk>, options: Options) -> Wal {
    Wal::create(disk, PathBuf::from("wal"), 0, options).expect("a folder that takes a segment")
}

fn append(wal: &Wal, request: &Request, keys: &[Vec<u8>]) {
    let mut key = |slot: u32, out: &mut Vec<u8>| out.extend_from_slice(&keys[slot as usize]);
    let ticket = wal.append_samples(&request.slots, &request.times, &request.values, &mut key);
    ticket.expect("a healthy log").wait().expect("a healthy disk");
}

/// A log of `scrapes` scrapes in memory.
fn filled(requests: &Requests, scrapes: u64) -> (MemoryDisk, Wal) {
    filled_on(MemoryDisk::default(), requests, scrapes)
}

fn filled_on(disk: MemoryDisk, requests: &Requests, scrapes: u64) -> (MemoryDisk, Wal) {
    let wal = create(Arc::new(disk.clone()), manual(Ack::None));
    requests.up_to(scrapes).for_each(|request| append(&wal, request, &requests.keys));
    wal.sync_now().expect("memory");
    (disk, wal)
}

/// What a definition and what a sample take, which is as much part of the cost as the time.
fn print_sizes(requests: &Requests) {
    let of = |scrapes| {
        let (_, wal) = filled(requests, scrapes);
        (wal.active_bytes() as f64, wal.stats().samples as f64)
    };
    let key_bytes = requests.keys.iter().map(Vec::len).sum::<usize>() as f64 / SERIES as f64;
    let (first, second) = (of(1), of(2));
    let definitions = 2.0 * first.0 - second.0;
    println!("definitions: {:.1} bytes a series of {key_bytes:.0}", definitions / SERIES as f64);
    let mut before = first;
    for scrapes in [2, 30, 60, SCRAPES] {
        let now = of(scrapes);
        println!("samples up to scrape {scrapes}: {:.2} bytes each", (now.0 - before.0) / (now.1 - before.1));
        before = now;
    }
}

/// Encoding, framing and buffering the samples of known series.
fn bench_append(criterion: &mut Criterion, requests: &Requests) {
    let mut group = criterion.benchmark_group("append");
    for scrape in [1, SCRAPES - 1] {
        let (_, wal) = filled_on(MemoryDisk::null(), requests, 1);
        let scrape_requests: Vec<&Request> = requests.of(scrape).collect();
        let samples: usize = scrape_requests.iter().map(|request| request.slots.len()).sum();
        group.throughput(Throughput::Elements(samples as u64));
        group.bench_function(format!("known series, scrape {scrape}"), |bencher| {
            bencher.iter(|| scrape_requests.iter().for_each(|request| append(&wal, request, &requests.keys)));
        });
    }
    let first: Vec<&Request> = requests.of(0).collect();
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("new series", |bencher| {
        bencher.iter_batched(
            || create(Arc::new(MemoryDisk::default()), manual(Ack::None)),
            |wal| {
                first.iter().for_each(|request| append(&wal, request, &requests.keys));
                wal
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Counts, so that nothing is optimised away.
#[derive(Default)]
struct Counter {
    next: std::sync::atomic::AtomicU32,
    samples: std::sync::atomic::AtomicU64,
}

impl ReplaySink for Counter {
    fn define(&self, keys: &mut dyn Iterator<Item = &[u8]>, slots_out: &mut Vec<u32>) {
        let before = slots_out.len();
        slots_out.extend(keys.map(|key| key.len() as u32));
        let count = (slots_out.len() - before) as u32;
        let first = self.next.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
        (first..).zip(&mut slots_out[before..]).for_each(|(slot, out)| *out = slot);
    }

    fn samples(&self, slots: &[u32], _: &[i64], _: &[f64]) {
        self.samples.fetch_add(slots.len() as u64, std::sync::atomic::Ordering::Relaxed);
    }

    fn tombstone(&self, _: &[u8]) {}

    fn metadata(&self, _: &[u8]) {}
}

/// Replaying with one thread into a sink that does nothing.
fn bench_replay(criterion: &mut Criterion, requests: &Requests) {
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(20);
    let run = |disk: &MemoryDisk| {
        let sink = Counter::default();
        wal::replay(disk, Path::new("wal"), 0, 1, &sink).expect("a healthy log")
    };
    let (first, _) = filled(requests, 1);
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("definitions", |bencher| bencher.iter(|| run(&first)));
    let (all, wal) = filled(requests, SCRAPES);
    group.throughput(Throughput::Elements(wal.stats().samples));
    group.bench_function("samples", |bencher| bencher.iter(|| run(&all)));
    group.finish();
}

/// Requests of many threads, each waiting until its own is durable.
fn bench_commit(criterion: &mut Criterion, requests: &Requests) {
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    let scrape: Vec<&Request> = requests.of(1).collect();
    for threads in [1_usize, 8, 64] {
        let folder = tempfile::tempdir_in(".").expect("a folder");
        let disk = RealDisk::open(folder.path()).expect("a folder");
        let wal = create(Arc::new(disk), Options::default());
        requests.of(0).for_each(|request| append(&wal, request, &requests.keys));
        group.throughput(Throughput::Elements(requests::SAMPLES_PER_REQUEST as u64));
        group.bench_function(format!("{threads} threads"), |bencher| {
            bencher.iter_custom(|iterations| {
                let began = Instant::now();
                std::thread::scope(|scope| {
                    for thread in 0..threads {
                        let (wal, scrape) = (&wal, &scrape);
                        let share = iterations as usize / threads + usize::from(thread < iterations as usize % threads);
                        scope.spawn(move || {
                            (0..share).for_each(|at| append(wal, scrape[(thread + at) % scrape.len()], &requests.keys));
                        });
                    }
                });
                began.elapsed()
            });
        });
        let stats = wal.stats();
        println!(
            "{threads} threads: {:.1} records a sync, {:.3} ms a sync",
            stats.records as f64 / stats.syncs as f64,
            stats.sync_nanos as f64 / 1e6 / stats.syncs as f64
        );
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    let requests = Requests::new(SERIES, SCRAPES);
    print_sizes(&requests);
    bench_append(criterion, &requests);
    bench_replay(criterion, &requests);
    bench_commit(criterion, &requests);
}

criterion_group!(benches, all);
criterion_main!(benches);
