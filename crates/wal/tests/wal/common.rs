//! A sink that remembers, and small logs to fill.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use disk::Disk;
use testkit::SimDisk;
use wal::{Commits, Options, ReplayReport, ReplaySink, Ticket, Wal, WalError};

/// What a log gives back, in the order in which it did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// Number of the series ([`key_of`]), time and bits of the value.
    Sample(u32, i64, u64),
    Tombstone(Vec<u8>),
    Metadata(Vec<u8>),
}

/// Remembers everything.
#[derive(Default)]
pub struct Memory(Mutex<State>);

#[derive(Default)]
struct State {
    numbers: HashMap<Vec<u8>, u32>,
    series: Vec<u32>,
    events: Vec<Event>,
}

impl Memory {
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().expect("no test panicked").events.clone()
    }
}

impl ReplaySink for Memory {
    fn define(&self, keys: &mut dyn Iterator<Item = &[u8]>, slots_out: &mut Vec<u32>) {
        let mut guard = self.0.lock().expect("no test panicked");
        let state = &mut *guard;
        for key in keys {
            let next = state.series.len() as u32;
            let number = *state.numbers.entry(key.to_vec()).or_insert(next);
            if number == next {
                state.series.push(series_of(key));
            }
            slots_out.push(number);
        }
    }

    fn samples(&self, slots: &[u32], times: &[i64], values: &[f64]) {
        let mut state = self.0.lock().expect("no test panicked");
        for ((slot, time), value) in slots.iter().zip(times).zip(values) {
            let series = state.series[*slot as usize];
            state.events.push(Event::Sample(series, *time, value.to_bits()));
        }
    }

    fn tombstone(&self, bytes: &[u8]) {
        self.0.lock().expect("no test panicked").events.push(Event::Tombstone(bytes.to_vec()));
    }

    fn metadata(&self, bytes: &[u8]) {
        self.0.lock().expect("no test panicked").events.push(Event::Metadata(bytes.to_vec()));
    }
}

/// The key of a series; equal neighbours and different ends.
pub fn key_of(series: u32) -> Vec<u8> {
    format!("\0\0metric_{}\0job\0node\0pod\0pod-{series}-x\0zone\0z{}\0", series % 7, series % 3).into_bytes()
}

/// The series that a key belongs to.
pub fn series_of(key: &[u8]) -> u32 {
    let text = std::str::from_utf8(key).expect("a key of these tests");
    let pod = text.split("pod-").nth(1).and_then(|rest| rest.split('-').next());
    let series = pod.and_then(|number| number.parse().ok()).expect("a key of these tests");
    assert_eq!(key, key_of(series), "a key that was never logged");
    series
}

pub fn dir() -> PathBuf {
    PathBuf::from("wal")
}

/// Commits only when asked, so that the same calls do the same each time.
pub fn deterministic() -> Options {
    Options { commits: Commits::WhenAsked, ..Options::default() }
}

pub fn create(disk: &SimDisk, number: u64, options: Options) -> Wal {
    Wal::create(Arc::new(disk.clone()), dir(), number, options).expect("a healthy disk")
}

/// Logs samples of series whose slots are their numbers.
pub fn append(wal: &Wal, samples: &[(u32, i64, f64)]) -> Result<Ticket, WalError> {
    let slots: Vec<u32> = samples.iter().map(|sample| sample.0).collect();
    let times: Vec<i64> = samples.iter().map(|sample| sample.1).collect();
    let values: Vec<f64> = samples.iter().map(|sample| sample.2).collect();
    wal.append_samples(&slots, &times, &values, &mut |slot, key| key.extend_from_slice(&key_of(slot)))
}

pub fn events_of(samples: &[(u32, i64, f64)]) -> Vec<Event> {
    samples.iter().map(|(series, time, value)| Event::Sample(*series, *time, value.to_bits())).collect()
}

pub fn replay_from(disk: &dyn Disk, from: u64, threads: usize) -> (ReplayReport, Vec<Event>) {
    let sink = Memory::default();
    let report = wal::replay(disk, Path::new("wal"), from, threads, &sink).expect("a log of this version");
    (report, sink.events())
}

pub fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort();
    events
}

pub fn is_clean(report: &ReplayReport) -> bool {
    report.damaged_count == 0 && report.torn.is_empty() && report.undefined_samples == 0 && report.foreign.is_empty()
}
