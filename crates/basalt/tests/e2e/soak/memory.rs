//! What the process needs, measured while it works.

use std::{
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use super::{Plan, Soak};

const EVERY: Duration = Duration::from_millis(200);
const SAYS_EVERY: Duration = Duration::from_secs(10);
/// Memory is flat when the highest figure of the last third is at most this times that of the second third …
const FLAT_FACTOR: f64 = 1.1;
/// … or more by what a single large query needs.
const FLAT_SLACK_BYTES: u64 = 8 << 20;

/// The process's own memory (mapped files are not counted), in order of time.
pub struct Memory {
    anon_bytes: Vec<u64>,
}

/// Measures until the run is over.
pub fn watch(soak: &Soak) -> Memory {
    let mut anon_bytes = Vec::new();
    let started = Instant::now();
    let mut said = Duration::ZERO;
    while !soak.is_over() {
        match soak.basalt.process.anon_rss_bytes() {
            Ok(bytes) => anon_bytes.push(bytes),
            Err(error) => soak.fail(format!("the process cannot be measured: {error}")),
        }
        if soak.plan.is_long && started.elapsed() >= said + SAYS_EVERY {
            said = started.elapsed();
            println!(
                "{} s: {} samples, {} requests, {} MiB, {} parts, {} new series",
                said.as_secs(),
                soak.samples.load(Ordering::Relaxed),
                soak.requests.load(Ordering::Relaxed),
                anon_bytes.last().map_or(0, |bytes| bytes >> 20),
                ["inmemory", "small", "big"]
                    .map(|kind| soak.basalt.metric(&format!("vm_parts{{type=\"storage/{kind}\"}}")))
                    .iter()
                    .sum::<f64>(),
                soak.basalt.metric("vm_new_timeseries_created_total"),
            );
        }
        thread::sleep(EVERY);
    }
    Memory { anon_bytes }
}

impl Memory {
    /// Fails when memory was not what the plan allows.
    pub fn check(&self, plan: &Plan) {
        let third = self.anon_bytes.len().div_ceil(3).max(1);
        let peaks: Vec<u64> =
            self.anon_bytes.chunks(third).map(|part| part.iter().copied().max().unwrap_or(0)).collect();
        println!("highest memory in each third: {:?} MiB", peaks.iter().map(|bytes| bytes >> 20).collect::<Vec<_>>());
        let peak = peaks.iter().copied().max().unwrap_or(0);
        assert!(peak <= plan.memory_bytes, "{peak} bytes of memory, {} are allowed", plan.memory_bytes);
        if plan.is_long {
            let (middle, last) = (peaks[1], peaks[2]);
            let bound = ((middle as f64 * FLAT_FACTOR) as u64).max(middle + FLAT_SLACK_BYTES);
            assert!(last <= bound, "memory grows: {peaks:?} bytes in each third");
        }
    }
}
