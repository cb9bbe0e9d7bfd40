//! Seeded histories of a store on a hostile disk.
//!
//! Strategy: random steps of writing, deleting, flushing, merging, snapshots and time going on, interrupted by faults of single operations, by a machine that stops at
//! any operation, by kills of the process and by power cuts that keep any subset of what was not synced.
//!
//! Invariants, judged by the client's own record: nothing acknowledged is ever missing, nothing is invented or doubled, what was deleted does not come back, a store can
//! always be opened again.

use std::sync::Arc;

use disk::Disk;
use model::{Matcher, Selector, Tenant, TimeRange};
use storage_api::Admin;
use store::{DAY_MS, Options};
use testkit::{ManualClock, Rng, SimDisk};

use crate::driver::{Driver, NOW, Record, eager, key_of};

const STEPS: u64 = 40;
const PODS: u64 = 5;
const TENANTS: [Tenant; 2] = [Tenant { account: 0, project: 0 }, Tenant { account: 7, project: 1 }];

pub struct History {
    rng: Rng,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    record: Record,
    driver: Option<Driver>,
    /// May faults be injected, and power be cut?
    hostile: bool,
    /// How the store sees the disk.
    wrap: fn(SimDisk) -> Arc<dyn Disk>,
}

impl History {
    pub fn new(seed: u64, hostile: bool, prepare: &dyn Fn(&SimDisk)) -> Self {
        Self::wrapped(seed, hostile, prepare, |disk| Arc::new(disk))
    }

    /// A history in which the store sees the disk through something else.
    pub fn wrapped(seed: u64, hostile: bool, prepare: &dyn Fn(&SimDisk), wrap: fn(SimDisk) -> Arc<dyn Disk>) -> Self {
        let disk = SimDisk::new(seed);
        prepare(&disk);
        Self {
            rng: Rng::new(seed),
            disk,
            clock: Arc::new(ManualClock::new(NOW)),
            record: Record::default(),
            driver: None,
            hostile,
            wrap,
        }
    }

    fn options(&self) -> Options {
        Options { retention_ms: 60 * DAY_MS, ..eager() }
    }

    /// Runs the history; an error tells which promise was broken, and how it came to that.
    pub fn run(mut self) -> Result<(), String> {
        self.reopen()?;
        for step in 0..STEPS {
            self.step().map_err(|error| format!("step {step}: {error}"))?;
        }
        self.disk.clear_faults();
        self.restart()?;
        self.check()
    }

    fn driver(&self) -> &Driver {
        self.driver.as_ref().expect("the store is open between steps")
    }

    fn step(&mut self) -> Result<(), String> {
        match self.rng.below(100) {
            0..=40 => self.write(),
            41..=47 => self.delete(),
            48..=57 => drop(self.driver().flush()),
            58..=63 => drop(self.driver().store.work()),
            64..=67 => drop(self.driver().merge()),
            68..=70 => self.snapshot(),
            71..=74 => self.let_time_pass(),
            75..=79 => return self.check(),
            80..=82 => return self.stop_cleanly(),
            83..=85 => return self.restart(),
            _ if !self.hostile => return self.check(),
            86..=91 => self.break_something(),
            _ => return self.cut_power(),
        }
        Ok(())
    }

    fn write(&mut self) {
        let tenant = TENANTS[self.rng.below(2) as usize];
        let now = self.clock_now();
        let mut rows = Vec::new();
        for _ in 0..=self.rng.below(24) {
            let labels = format!("__name__=m{},pod=p{}", self.rng.below(3), self.rng.below(PODS));
            let time = match self.rng.below(10) {
                0 => now - (self.rng.below(50 * DAY_MS as u64) as i64),
                1 => now - (self.rng.below(3 * DAY_MS as u64) as i64),
                _ => now - (self.rng.below(600) as i64) * 100,
            };
            let value = match self.rng.below(8) {
                0 => f64::from_bits(model::STALE_NAN_BITS),
                1 => self.rng.below(1000) as f64 / 7.0,
                _ => self.rng.below(50) as f64,
            };
            rows.push((labels, time, value));
        }
        let borrowed: Vec<_> = rows.iter().map(|(labels, time, value)| (labels.as_str(), *time, *value)).collect();
        let acknowledged = match self.driver().insert(tenant, &borrowed) {
            Ok(inserted) => inserted.samples == rows.len() as u64,
            Err(_) => false,
        };
        for (labels, time, value) in &rows {
            self.record.sent(&key_of(tenant, labels), *time, *value, acknowledged);
        }
    }

    fn delete(&mut self) {
        let tenant = TENANTS[self.rng.below(2) as usize];
        let pod = format!("p{}", self.rng.below(PODS));
        let range = if self.rng.below(2) == 0 {
            TimeRange::ALL
        } else {
            let from = self.clock_now() - (self.rng.below(DAY_MS as u64) as i64);
            TimeRange::new(from, from + DAY_MS / 2)
        };
        let selector = Selector::all_of(vec![Matcher::equal("pod", pod.as_str())]);
        let acknowledged = self.driver().delete(tenant, selector, range).is_ok();
        let hit = |key: &model::SeriesKey, time| {
            key.tenant() == tenant && key.label("pod").as_deref() == Some(&pod) && range.contains(time)
        };
        self.record.deleted(hit, acknowledged);
    }

    fn snapshot(&mut self) {
        let driver = self.driver();
        if let Ok(name) = driver.wait(driver.store.create_snapshot())
            && self.rng.below(2) == 0
        {
            // Removing it may fail on a bad disk; it must only not hurt the rest.
            let _ = self.driver().store.delete_snapshot(&name);
        }
    }

    fn let_time_pass(&mut self) {
        let by = match self.rng.below(4) {
            0 => 2 * DAY_MS,
            1 => DAY_MS / 4,
            _ => 60_000,
        };
        self.clock.advance(by);
        self.record.expired(self.clock_now() - 60 * DAY_MS);
    }

    fn clock_now(&self) -> i64 {
        model::Clock::now_ms(&*self.clock)
    }

    fn break_something(&mut self) {
        match self.rng.below(4) {
            0 => self.disk.fail_with_probability(0.05),
            1 => self.disk.stop_after(self.rng.below(60)),
            2 => self.disk.inject(testkit::Fault::on(testkit::Op::Sync).nth(1 + self.rng.below(3)).drop_dirty()),
            _ => self.disk.clear_faults(),
        }
    }

    /// The machine loses power, now or in the middle of something.
    fn cut_power(&mut self) -> Result<(), String> {
        if self.rng.below(2) == 0 {
            self.disk.stop_after(self.rng.below(40));
            self.write();
            let _ = self.driver().flush();
            let _ = self.driver().store.work();
        }
        self.disk = self.disk.cut_power();
        self.driver = None;
        self.reopen()?;
        self.check()
    }

    /// The process is killed and started again.
    fn restart(&mut self) -> Result<(), String> {
        self.disk = self.disk.kill();
        self.driver = None;
        self.reopen()?;
        self.check()
    }

    fn stop_cleanly(&mut self) -> Result<(), String> {
        // With a broken disk not all can be flushed; the log has the rest.
        let _ = self.driver().store.close();
        self.restart()
    }

    fn reopen(&mut self) -> Result<(), String> {
        self.disk.clear_faults();
        let opened = Driver::open((self.wrap)(self.disk.clone()), self.options(), &self.clock);
        let driver = opened.map_err(|error| format!("cannot be opened again: {error}\n{}", self.tail_of_trace()))?;
        let damaged = driver.store.stats().quarantined_parts;
        self.driver = Some(driver);
        if damaged > 0 { Err(format!("{damaged} parts are damaged\n{}", self.tail_of_trace())) } else { Ok(()) }
    }

    fn check(&mut self) -> Result<(), String> {
        for tenant in TENANTS {
            match self.driver().read_all(tenant) {
                Ok(found) => self.record.check(tenant, &found).map_err(|e| format!("{e}\n{}", self.tail_of_trace()))?,
                Err(_) if self.hostile => {}
                Err(error) => return Err(format!("cannot be read: {error}")),
            }
        }
        Ok(())
    }

    fn tail_of_trace(&self) -> String {
        let trace = self.disk.trace();
        let lines: Vec<&str> = trace.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

/// How many histories run: few in the tests, many behind `cargo xtask long histories`.
pub fn seeds(default: u64) -> std::ops::Range<u64> {
    let from = std::env::var("BASALT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count = std::env::var("BASALT_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    from..from + count
}

#[test]
fn peaceful_histories_keep_every_promise() {
    for seed in seeds(300) {
        if let Err(error) = History::new(seed, false, &|_| {}).run() {
            panic!("history {seed}: {error}");
        }
    }
}

#[test]
fn hostile_histories_keep_every_promise() {
    for seed in seeds(1200) {
        if let Err(error) = History::new(seed, true, &|_| {}).run() {
            panic!("history {seed}: {error}");
        }
    }
}
