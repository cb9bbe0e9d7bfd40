//! The `kill -9` loop. The judge is the client's own record: what was answered 2xx must be there, and nothing that was never sent.
//!
//! 1. Senders, each with its own series, write batch after batch and note what was acknowledged.
//! 2. After a random number of acknowledgements the program is killed in the middle of whatever it does; one client forces flushes meanwhile, so
//!    that kills hit those, too.
//! 3. The program starts again on the folder, and its export is held against the record.
//!
//! `BASALT_KILL9_ROUNDS` (by `cargo xtask long kill9 --rounds N`) makes it longer, `BASALT_KILL9_SEED` repeats a run.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use testkit::Rng;

use crate::{
    ledger::{Labels, Ledger},
    server::{Basalt, folder},
    wire::{BodyWriter, labels},
};

const ROUNDS: u64 = 10;
const SENDERS: usize = 4;
const SERIES_PER_SENDER: usize = 25;
/// Acknowledged batches before a kill, at most.
const BATCHES_MAX: u64 = 120;
/// A long run starts a new folder after so many rounds, so that the comparison does not outgrow the rest.
const ROUNDS_PER_FOLDER: u64 = 50;
/// 2026-01-02T00:00:00Z
const START_MS: i64 = 1_767_312_000_000;

#[derive(Default)]
struct Sender {
    number: usize,
    /// Batches sent, whatever became of them.
    batches: u64,
    sent: Ledger,
    acknowledged: Ledger,
}

impl Sender {
    fn series(&self, series: usize) -> Labels {
        labels(&[
            ("__name__", "kill9"),
            ("sender", &self.number.to_string()),
            ("series", &series.to_string()),
            ("padding", "x".repeat(1 + series).as_str()),
        ])
    }

    /// A batch whose values tell which it is; every few batches bring a series that nobody has seen, and late samples.
    fn next_batch(&mut self) -> BodyWriter {
        let batch = self.batches;
        self.batches += 1;
        let time = START_MS + batch as i64 * 1000;
        let mut body = BodyWriter::default();
        for series in 0..SERIES_PER_SENDER {
            let value = batch as f64 + series as f64 / 7.0;
            body.series(&self.series(series), &[(time, value)]);
        }
        if batch.is_multiple_of(5) {
            let fresh =
                labels(&[("__name__", "kill9"), ("sender", &self.number.to_string()), ("fresh", &batch.to_string())]);
            body.series(&fresh, &[(time, 1.0), (time - 86_400_000 * (1 + batch as i64 % 40), 0.5)]);
        }
        body
    }

    /// Sends until the connection breaks.
    fn run(&mut self, basalt: &Basalt, acknowledged: &AtomicU64) {
        let mut client = basalt.client();
        loop {
            let body = self.next_batch();
            let packed = snap::raw::Encoder::new().compress_vec(&body.body).expect("snappy packs everything");
            merge(&mut self.sent, &body.ledger);
            match client.post("/api/v1/write", "application/x-protobuf", Some("snappy"), &packed) {
                Ok(response) if response.status == 204 => {
                    assert_eq!(response.header("x-basalt-refused"), None);
                    merge(&mut self.acknowledged, &body.ledger);
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                Ok(response) => panic!("{} {}", response.status, response.text()),
                Err(_) => return,
            }
        }
    }
}

fn merge(into: &mut Ledger, more: &Ledger) {
    for (labels, samples) in &more.0 {
        into.0.entry(labels.clone()).or_default().extend(samples);
    }
}

/// Lets senders write until `target` batches are acknowledged, then kills; gives how many were.
fn round(basalt: &mut Basalt, senders: &mut [Sender], target: u64, flushes: bool) -> u64 {
    let acknowledged = AtomicU64::new(0);
    let killed = AtomicBool::new(false);
    let pid = basalt.process.pid();
    thread::scope(|scope| {
        let running: &Basalt = basalt;
        for sender in senders.iter_mut() {
            scope.spawn(|| sender.run(running, &acknowledged));
        }
        if flushes {
            scope.spawn(|| while running.client().get("/internal/force_flush").is_ok() {});
        }
        scope.spawn(|| {
            while acknowledged.load(Ordering::SeqCst) < target {
                assert!(!killed.load(Ordering::SeqCst));
                thread::yield_now();
            }
            killed.store(true, Ordering::SeqCst);
            let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
            assert!(status.expect("kill runs").success());
        });
    });
    basalt.process.kill9().expect("it is dead already");
    acknowledged.into_inner()
}

#[test]
fn kill9_loses_nothing_that_was_acknowledged() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let rounds = number("BASALT_KILL9_ROUNDS").unwrap_or(ROUNDS);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
    let seed = number("BASALT_KILL9_SEED").unwrap_or(clock);
    println!("BASALT_KILL9_SEED={seed}, {rounds} rounds");
    let mut rng = Rng::new(seed);
    let mut done = 0;
    while done < rounds {
        done += on_one_folder(&mut rng, (rounds - done).min(ROUNDS_PER_FOLDER));
        println!("{done} kills survived");
    }
}

fn on_one_folder(rng: &mut Rng, rounds: u64) -> u64 {
    let folder = folder();
    let mut senders: Vec<Sender> = (0..SENDERS).map(|number| Sender { number, ..Sender::default() }).collect();
    let mut basalt = Basalt::start(folder.path(), &[]);
    for number in 0..rounds {
        let acknowledged = round(&mut basalt, &mut senders, 1 + rng.below(BATCHES_MAX), rng.chance(0.5));
        let started = Instant::now();
        basalt = Basalt::start(folder.path(), &[]);
        let ready_ms = started.elapsed().as_millis();
        let found = basalt.export("kill9");
        let (mut sent, mut kept) = (Ledger::default(), Ledger::default());
        for sender in &senders {
            merge(&mut sent, &sender.sent);
            merge(&mut kept, &sender.acknowledged);
        }
        found.check(&kept, &sent);
        let (samples, have) = (kept.samples(), found.samples());
        println!(
            "round {number}: {acknowledged} batches, {samples} samples acknowledged, {have} found, ready in {ready_ms} ms"
        );
    }
    basalt.stop();
    rounds
}
