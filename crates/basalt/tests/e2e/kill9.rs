//! The `kill -9` loop. The judge is the client's own record: what was answered 2xx must be there, and nothing that was never sent.
//!
//! 1. Senders, each with its own series and size of batches, write batch after batch and note what was acknowledged. A batch that broke with the
//!    connection is sent again after the restart or given up, as real senders do.
//! 2. After a random number of acknowledgements the program is killed in the middle of whatever it does. One client forces flushes, merges or
//!    snapshots meanwhile, so that kills hit those, too.
//! 3. The program starts again on the folder; now and then it is killed while it starts.
//! 4. Its export is held against the record.
//!
//! `BASALT_KILL9_ROUNDS` (by `cargo xtask long kill9 [ROUNDS]`) makes it longer, `BASALT_KILL9_SEED` repeats a run.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use testkit::{Rng, process::Process};

use crate::{
    ledger::{Labels, Ledger},
    server::{Basalt, folder, number_of_environment, program, seed, usual_flags},
    wire::{BodyWriter, labels},
};

const ROUNDS: u64 = 10;
/// Series in each batch, per sender.
const SERIES_OF_SENDERS: [usize; 4] = [5, 25, 25, 150];
/// Acknowledged batches before a kill, at most.
const BATCHES_MAX: u64 = 120;
/// A long run starts a new folder after so many rounds, so that the comparison does not outgrow the rest.
const ROUNDS_PER_FOLDER: u64 = 25;
/// A kill during a start comes within this time; a start on these folders takes about as long.
const START_MAX: Duration = Duration::from_millis(40);
const CHANCE_OF_KILL_AT_START: f64 = 0.2;
const CHANCE_OF_SENDING_AGAIN: f64 = 0.5;
/// 2026-01-02T00:00:00Z
const START_MS: i64 = 1_767_312_000_000;
/// What one client asks for all the time until the kill.
const DISTURBANCES: [Option<&str>; 5] = [
    None,
    Some("/internal/force_flush"),
    Some("/internal/force_flush"),
    Some("/internal/force_merge?wait=1"),
    Some("/snapshot/create"),
];

struct Sender {
    number: usize,
    rng: Rng,
    /// Batches made, whatever became of them.
    batches: u64,
    /// The batch whose answer did not come.
    unanswered: Option<BodyWriter>,
    sent: Ledger,
    acknowledged: Ledger,
}

impl Sender {
    fn new(number: usize, rng: Rng) -> Self {
        let (sent, acknowledged) = (Ledger::default(), Ledger::default());
        Self { number, rng, batches: 0, unanswered: None, sent, acknowledged }
    }

    fn series(&self, series: usize) -> Labels {
        labels(&[
            ("__name__", "kill9"),
            ("sender", &self.number.to_string()),
            ("series", &series.to_string()),
            ("padding", "x".repeat(1 + series % 50).as_str()),
        ])
    }

    /// A batch whose values tell which it is; every few batches bring a series that nobody has seen, and late samples.
    fn next_batch(&mut self) -> BodyWriter {
        let batch = self.batches;
        self.batches += 1;
        let time = START_MS + batch as i64 * 1000;
        let mut body = BodyWriter::default();
        for series in 0..SERIES_OF_SENDERS[self.number] {
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
        let mut again = self.unanswered.take().filter(|_| self.rng.chance(CHANCE_OF_SENDING_AGAIN));
        loop {
            let body = again.take().unwrap_or_else(|| self.next_batch());
            let packed = snap::raw::Encoder::new().compress_vec(&body.body).expect("snappy packs everything");
            merge(&mut self.sent, &body.ledger);
            match client.post("/api/v1/write", "application/x-protobuf", Some("snappy"), &packed) {
                Ok(response) if response.status == 204 => {
                    assert_eq!(response.header("x-basalt-refused"), None);
                    merge(&mut self.acknowledged, &body.ledger);
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                Ok(response) => panic!("{} {}", response.status, response.text()),
                Err(_) => {
                    self.unanswered = Some(body);
                    return;
                }
            }
        }
    }
}

fn merge(into: &mut Ledger, more: &Ledger) {
    for (labels, samples) in &more.0 {
        match into.0.get_mut(labels) {
            Some(known) => known.extend(samples),
            None => {
                into.0.insert(labels.clone(), samples.clone());
            }
        }
    }
}

/// Lets senders write until `target` batches are acknowledged, then kills; gives how many were.
fn round(basalt: &mut Basalt, senders: &mut [Sender], target: u64, disturbance: Option<&str>) -> u64 {
    let acknowledged = AtomicU64::new(0);
    let killed = AtomicBool::new(false);
    let pid = basalt.process.pid();
    thread::scope(|scope| {
        let running: &Basalt = basalt;
        for sender in senders.iter_mut() {
            scope.spawn(|| sender.run(running, &acknowledged));
        }
        if let Some(path) = disturbance {
            let mut client = running.client();
            scope.spawn(move || while client.get(path).is_ok() {});
        }
        scope.spawn(|| {
            while acknowledged.load(Ordering::SeqCst) < target {
                assert!(!killed.load(Ordering::SeqCst));
                thread::yield_now();
            }
            killed.store(true, Ordering::SeqCst);
            let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
            assert!(status.expect("kill runs").success());
        });
    });
    basalt.process.kill9().expect("it is dead already");
    acknowledged.into_inner()
}

/// Starts it on the folder, sometimes after a start that was killed; gives how many were.
fn restart(folder: &Path, flags: &[&str], rng: &mut Rng) -> (Basalt, u64) {
    let mut killed = 0;
    while rng.chance(CHANCE_OF_KILL_AT_START) {
        let mut command = Command::new(program());
        command.args(usual_flags(folder)).args(flags);
        let mut process = Process::spawn(command).expect("the program starts");
        thread::sleep(Duration::from_micros(rng.below(START_MAX.as_micros() as u64)));
        process.kill9().expect("it can be killed");
        killed += 1;
    }
    (Basalt::start(folder, flags), killed)
}

#[test]
fn kill9_loses_nothing_that_was_acknowledged() {
    let rounds = number_of_environment("BASALT_KILL9_ROUNDS").unwrap_or(ROUNDS);
    let mut rng = Rng::new(seed("BASALT_KILL9_SEED"));
    let (mut done, mut starts) = (0, 0);
    while done < rounds {
        // What is promised for the end of the process holds in both modes that promise it.
        let flags: &[&str] = if rng.chance(0.5) { &["-storage.ack=power"] } else { &["-storage.ack=process"] };
        let some = (rounds - done).min(ROUNDS_PER_FOLDER);
        starts += on_one_folder(&mut rng, some, flags);
        done += some;
        println!("{done} kills survived, and {starts} during starts");
    }
}

/// Kills it some times on one folder; gives how often it was killed while it started, besides.
fn on_one_folder(rng: &mut Rng, rounds: u64, flags: &[&str]) -> u64 {
    let folder = folder();
    let mut senders: Vec<Sender> = (0..SERIES_OF_SENDERS.len()).map(|number| Sender::new(number, rng.fork())).collect();
    let mut basalt = Basalt::start(folder.path(), flags);
    let mut killed_starts = 0;
    for number in 0..rounds {
        let disturbance = *rng.pick(&DISTURBANCES);
        let acknowledged = round(&mut basalt, &mut senders, 1 + rng.below(BATCHES_MAX), disturbance);
        let killed;
        let started = Instant::now();
        (basalt, killed) = restart(folder.path(), flags, rng);
        let ready_ms = started.elapsed().as_millis();
        killed_starts += killed;
        let found = basalt.export("kill9");
        let (mut sent, mut kept) = (Ledger::default(), Ledger::default());
        for sender in &senders {
            merge(&mut sent, &sender.sent);
            merge(&mut kept, &sender.acknowledged);
        }
        found.check(&kept, &sent);
        let (samples, have) = (kept.samples(), found.samples());
        println!(
            "round {number} {flags:?} {disturbance:?}: {acknowledged} batches, {samples} samples acknowledged, {have} found, ready in {ready_ms} ms"
        );
    }
    basalt.stop();
    killed_starts
}
