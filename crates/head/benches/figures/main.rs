//! Prints the figures of the decision page: speed of each mechanism at a million series, and memory.
//!
//! Each piece of work (a request, a seal, …) is timed alone, in processor time of the thread, and the median piece is told. Run with `cargo
//! bench -p head --bench figures -- [series]`; as a test it runs with few series.

mod alternatives;
#[path = "../common/mod.rs"]
mod common;

use std::{hint::black_box, time::Instant};

use common::{Body, CpuTime, Fleet, Rng, Scrape};
use head::{AdmitAll, Columns, Generation, Head, HeadOptions, ResolveScratch, ResolvedRow};

const ROWS_A_BODY: usize = 2_000;

fn main() {
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let asked = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let series = asked.unwrap_or(if quick { 10_000 } else { 1_000_000 });
    println!("{series} series, medians");
    let mut fleet = Fleet::new(series, true);
    println!("label bytes a series: {}", fleet.bytes.len() / series);
    let head = Head::new(&HeadOptions { secret: [7; 32], encodings_max: 4_000_000, is_searched: true });
    let mut bench =
        Bench { head: &head, body: Body::default(), scratch: ResolveScratch::default(), columns: Rows::default() };
    let steady: Vec<u32> = (0..series as u32).collect();
    let scrape = fleet.advance();
    let before = resident();
    bench.pass("new series: resolve", &fleet, &scrape, &steady, None);
    let bytes = head.bytes();
    println!(
        "memory: encodings {} series {} index {} bytes a series",
        bytes.encodings / series,
        bytes.series / series,
        bytes.index / series
    );
    println!("memory that the system gave for it: {} bytes a series", resident().saturating_sub(before) / series);
    bench.known(&mut fleet, &steady);
    samples(&mut fleet, series);
    alternatives::run(&mut fleet);
}

#[derive(Default)]
struct Rows {
    slots: Vec<u32>,
    times: Vec<i64>,
    values: Vec<f64>,
}

struct Bench<'a> {
    head: &'a Head,
    body: Body,
    scratch: ResolveScratch,
    columns: Rows,
}

impl Bench<'_> {
    fn known(&mut self, fleet: &mut Fleet, steady: &[u32]) {
        let mut order = steady.to_vec();
        let mut rng = Rng::new(5);
        for _ in 0..3 {
            let scrape = fleet.advance();
            self.pass("steady order: resolve", fleet, &scrape, steady, None);
        }
        let generation = self.head.new_generation();
        for _ in 0..3 {
            let scrape = fleet.advance();
            self.pass("steady order: resolve + append", fleet, &scrape, steady, Some(&generation));
        }
        // Targets in another order each time: guesses fail once a target.
        for _ in 0..2 {
            let scrape = fleet.advance();
            let mut targets: Vec<&[u32]> = steady.chunks(common::SERIES_A_TARGET).collect();
            rng.shuffle(&mut targets);
            self.pass("shuffled targets: resolve + append", fleet, &scrape, &targets.concat(), Some(&generation));
        }
        for _ in 0..3 {
            let scrape = fleet.advance();
            rng.shuffle(&mut order);
            self.pass("random order: resolve", fleet, &scrape, &order, None);
        }
        let generation = self.head.new_generation();
        for _ in 0..2 {
            let scrape = fleet.advance();
            rng.shuffle(&mut order);
            self.pass("random order: resolve + append", fleet, &scrape, &order, Some(&generation));
        }
    }

    /// Sends one scrape and prints the median cost of a row.
    fn pass(&mut self, what: &str, fleet: &Fleet, scrape: &Scrape, order: &[u32], generation: Option<&Generation>) {
        let mut pieces = Vec::new();
        for rows in order.chunks(ROWS_A_BODY) {
            self.body.fill(fleet, scrape, rows);
            let start = CpuTime::now();
            self.send(generation);
            pieces.push(start.elapsed_ns() / rows.len() as f64);
        }
        print_median(what, "ns a row", &mut pieces);
        if let Some(generation) = generation {
            let start = CpuTime::now();
            let sealed = generation.snapshot().sealed_rows();
            while generation.seal() {}
            let rows = generation.snapshot().sealed_rows() - sealed;
            if rows > 0 {
                println!("  seal after it: {:.1} ns a row", start.elapsed_ns() / rows as f64);
            }
        }
    }

    fn send(&mut self, generation: Option<&Generation>) {
        let guard = self.head.guard();
        let batch = self.body.batch();
        let rows = self.head.resolve(&guard, &batch, &mut self.scratch, &AdmitAll).expect("room for series");
        let Rows { slots, times, values } = &mut self.columns;
        slots.clear();
        times.clear();
        values.clear();
        for (row, sample) in rows.iter().zip(batch.samples) {
            if let ResolvedRow::Slot(slot) = row {
                slots.push(*slot);
                times.push(sample.time);
                values.push(sample.value);
            }
        }
        if let Some(generation) = generation {
            generation.append(&guard, slots, times, values, 1);
        }
        black_box(&self.columns);
    }
}

/// Sealing, joining and reading, without resolving.
fn samples(fleet: &mut Fleet, series: usize) {
    let head = Head::new(&HeadOptions { secret: [7; 32], encodings_max: 1, is_searched: true });
    let guard = head.guard();
    let generation = Generation::new(series);
    let slots: Vec<u32> = (0..series as u32).collect();
    let (mut seals, mut joins) = (Vec::new(), Vec::new());
    for number in 0..64 {
        let scrape = fleet.advance();
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for slot in 0..series {
            let sample = scrape.sample(slot);
            times.push(sample.time);
            values.push(sample.value);
        }
        generation.append(&guard, &slots, &times, &values, number);
        while generation.wants_seal() {
            let sealed = generation.snapshot().sealed_rows();
            let start = CpuTime::now();
            generation.seal();
            let ns = start.elapsed_ns();
            let view = generation.snapshot();
            match view.sealed_rows() - sealed {
                // All joins here are of eight runs of full tails.
                0 => joins.push(ns / f64::from(8 << 21)),
                rows => seals.push(ns / rows as f64),
            }
            if number == 1 {
                let bytes = view.bytes() as f64 / view.sealed_rows() as f64;
                println!("sealed with two samples a series: {bytes:.2} bytes a row");
            }
        }
        if [2, 4, 8, 16, 32, 64].contains(&(number + 1)) {
            let view = generation.snapshot();
            println!(
                "memory after {:>2} scrapes: {:.2} bytes a row with the tail, {} pieces",
                number + 1,
                generation.bytes() as f64 / view.rows() as f64,
                view.pieces()
            );
        }
    }
    print_median("seal", "ns a row", &mut seals);
    print_median("join of eight runs", "ns a row", &mut joins);
    let before = generation.bytes();
    while generation.seal() {}
    generation.seal_all();
    let view = generation.snapshot();
    println!(
        "sealed: {:.2} bytes a row, {} pieces, {} rows ({before} bytes before)",
        view.bytes() as f64 / view.rows() as f64,
        view.pieces(),
        view.rows()
    );
    read_back(&view, &slots, "read back in slot order");
    let mut order = slots.clone();
    Rng::new(3).shuffle(&mut order);
    read_back(&view, &order, "read back in random order, asked for ahead");
    let mut out = Columns::new();
    let mut pieces: Vec<f64> = order[..10_000.min(order.len())]
        .iter()
        .map(|slot| {
            out.clear();
            let start = Instant::now();
            view.read(*slot, &mut out);
            start.elapsed().as_nanos() as f64
        })
        .collect();
    print_median("read one slot, cold", "ns", &mut pieces);
    tail_query(&guard, fleet, &order);
}

fn read_back(view: &head::GenerationView, order: &[u32], what: &str) {
    const AHEAD: usize = 16;
    let mut out = Columns::new();
    let mut pieces = Vec::new();
    for (number, part) in order.chunks(10_000).enumerate() {
        let start = CpuTime::now();
        let mut rows = 0;
        for (i, slot) in part.iter().enumerate() {
            let at = number * 10_000 + i;
            if let Some(far) = order.get(at + 2 * AHEAD) {
                view.prefetch_places(*far);
            }
            if let Some(near) = order.get(at + AHEAD) {
                view.prefetch_rows(*near);
            }
            out.clear();
            view.read(*slot, &mut out);
            rows += black_box(&out).len();
        }
        pieces.push(start.elapsed_ns() / rows as f64);
    }
    print_median(what, "ns a row", &mut pieces);
}

/// What an instant query on few series pays with a tail full of rows.
fn tail_query(guard: &head::SlotGuard<'_>, fleet: &mut Fleet, order: &[u32]) {
    let generation = Generation::new(fleet.len());
    let scrape = fleet.advance();
    let rows: Vec<_> = order.iter().map(|slot| scrape.sample(*slot as usize)).collect();
    let (times, values): (Vec<_>, Vec<_>) = rows.iter().map(|sample| (sample.time, sample.value)).unzip();
    generation.append(guard, order, &times, &values, 1);
    let mut out = Columns::new();
    let mut pieces: Vec<f64> = (0..1000_u32)
        .map(|slot| {
            out.clear();
            let start = Instant::now();
            generation.snapshot().read(slot * 7 % order.len() as u32, &mut out);
            start.elapsed().as_nanos() as f64
        })
        .collect();
    print_median("snapshot and read one slot of a full tail", "ns", &mut pieces);
}

/// Bytes of memory that the process has.
fn resident() -> usize {
    const PAGE_BYTES: usize = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * PAGE_BYTES
}

fn print_median(what: &str, unit: &str, pieces: &mut [f64]) {
    if pieces.is_empty() {
        return;
    }
    pieces.sort_by(f64::total_cmp);
    let at = |part: usize| pieces[(pieces.len() * part / 10).min(pieces.len() - 1)];
    println!("{what}: {:.1} {unit} (tenth {:.1}, ninth tenth {:.1}, {} pieces)", at(5), at(1), at(9), pieces.len());
}
