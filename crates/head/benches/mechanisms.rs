//! One benchmark per mechanism: lookup and append in steady and random order, new series, seal, read back.

mod common;

use std::{hint::black_box, time::Duration};

use common::{Body, CpuTime, Fleet, Rng};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use head::{AdmitAll, Columns, Generation, GenerationView, Head, HeadOptions, ResolveScratch, ResolvedRow};

const SERIES: usize = 100_000;
const ROWS_A_BODY: usize = 2_000;

fn new_head() -> Head {
    Head::new(&HeadOptions { secret: [7; 32], encodings_max: 2 * SERIES, is_searched: true })
}

/// Sends bodies; only the head's part is timed.
struct Sender {
    body: Body,
    scratch: ResolveScratch,
    slots: Vec<u32>,
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Sender {
    fn new() -> Self {
        let (body, scratch) = (Body::default(), ResolveScratch::default());
        Self { body, scratch, slots: Vec::new(), times: Vec::new(), values: Vec::new() }
    }

    /// Sends one sample of each series; returns the nanoseconds spent.
    fn scrape(&mut self, head: &Head, generation: &Generation, fleet: &mut Fleet, order: &[u32]) -> f64 {
        let scrape = fleet.advance();
        let mut spent = 0.0;
        for rows in order.chunks(ROWS_A_BODY) {
            self.body.fill(fleet, &scrape, rows);
            let start = CpuTime::now();
            self.send(head, generation);
            spent += start.elapsed_ns();
        }
        spent
    }

    fn send(&mut self, head: &Head, generation: &Generation) {
        let guard = head.guard();
        let batch = self.body.batch();
        let rows = head.resolve(&guard, &batch, &mut self.scratch, &AdmitAll).expect("room for series");
        self.slots.clear();
        self.slots.extend(rows.iter().filter_map(|row| match row {
            ResolvedRow::Slot(slot) => Some(*slot),
            _ => None,
        }));
        self.times.clear();
        self.times.extend(batch.samples.iter().map(|sample| sample.time));
        self.values.clear();
        self.values.extend(batch.samples.iter().map(|sample| sample.value));
        generation.append(&guard, &self.slots, &self.times, &self.values, 1);
    }
}

fn ingest(c: &mut Criterion) {
    let mut group = c.benchmark_group("ingest");
    group.throughput(Throughput::Elements(SERIES as u64)).sample_size(10);
    let mut fleet = Fleet::new(SERIES, true);
    let steady: Vec<u32> = (0..SERIES as u32).collect();
    let mut random = steady.clone();
    let mut rng = Rng::new(1);
    let head = new_head();
    let mut sender = Sender::new();
    sender.scrape(&head, &head.new_generation(), &mut fleet, &steady);
    for (what, shuffles) in [("steady", false), ("random", true)] {
        group.bench_function(format!("known series, {what} order"), |b| {
            b.iter_custom(|times| {
                let mut generation = head.new_generation();
                let mut spent = 0.0;
                for _ in 0..times {
                    if shuffles {
                        rng.shuffle(&mut random);
                    }
                    if generation.rows() > 8 * SERIES {
                        generation = head.new_generation();
                    }
                    spent += sender.scrape(&head, &generation, &mut fleet, if shuffles { &random } else { &steady });
                }
                Duration::from_nanos(spent as u64)
            });
        });
    }
    group.bench_function("new series", |b| {
        b.iter_custom(|times| {
            let mut spent = 0.0;
            for _ in 0..times {
                spent += sender.scrape(&new_head(), &Generation::new(SERIES), &mut fleet, &steady);
            }
            Duration::from_nanos(spent as u64)
        });
    });
    group.finish();
}

/// A generation with some scrapes; the last tail is full.
fn filled(fleet: &mut Fleet, head: &Head, scrapes: u64) -> Generation {
    let generation = Generation::new(SERIES);
    let slots: Vec<u32> = (0..SERIES as u32).collect();
    for seq in 0..scrapes {
        let scrape = fleet.advance();
        let samples = slots.iter().map(|slot| scrape.sample(*slot as usize));
        let (times, values): (Vec<i64>, Vec<f64>) = samples.map(|sample| (sample.time, sample.value)).unzip();
        generation.append(&head.guard(), &slots, &times, &values, seq);
    }
    generation
}

fn samples(c: &mut Criterion) {
    let mut group = c.benchmark_group("samples");
    group.sample_size(10);
    let head = new_head();
    let mut fleet = Fleet::new(SERIES, true);
    group.throughput(Throughput::Elements(2 * SERIES as u64));
    group.bench_function("seal two samples a series", |b| {
        b.iter_custom(|times| {
            let mut spent = 0.0;
            for _ in 0..times {
                let generation = filled(&mut fleet, &head, 2);
                let start = CpuTime::now();
                generation.seal_all();
                spent += start.elapsed_ns();
            }
            Duration::from_nanos(spent as u64)
        });
    });
    let generation = filled(&mut fleet, &head, 32);
    while generation.seal() {}
    generation.seal_all();
    let view = generation.snapshot();
    group.throughput(Throughput::Elements(view.rows() as u64));
    let steady: Vec<u32> = (0..SERIES as u32).collect();
    let mut random = steady.clone();
    Rng::new(2).shuffle(&mut random);
    for (what, order) in [("slot", &steady), ("random", &random)] {
        group.bench_function(format!("read back in {what} order"), |b| b.iter(|| read(&view, order)));
    }
    group.finish();
}

fn read(view: &GenerationView, order: &[u32]) {
    const AHEAD: usize = 16;
    let mut out = Columns::new();
    for (i, slot) in order.iter().enumerate() {
        if let Some(far) = order.get(i + 2 * AHEAD) {
            view.prefetch_places(*far);
        }
        if let Some(near) = order.get(i + AHEAD) {
            view.prefetch_rows(*near);
        }
        out.clear();
        view.read(*slot, &mut out);
        black_box(&out);
    }
}

criterion_group!(benches, ingest, samples);
criterion_main!(benches);
