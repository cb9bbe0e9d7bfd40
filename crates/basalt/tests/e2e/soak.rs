//! Everything at once for as long as wanted, at a fixed limit of memory: no request fails, nothing is lost, and memory is flat.
//!
//! 1. Kubernetes-shaped traffic comes in, its pods replaced every minute, some of it late; a canary writes series whose samples are kept in a
//!    ledger, into the running day and up to a month back (`load`).
//! 2. Readers ask what dashboards ask, from cache and without, exports, federation, labels and statistics (`load`).
//! 3. A keeper flushes, merges, makes and removes snapshots, deletes series and sees that they are gone (`load`).
//! 4. Meanwhile the process's own memory is measured (`memory`): it stays below `-memory.allowedBytes`, and the last third of the run needs no
//!    more than the second third did.
//! 5. At the end the canary is held against its ledger, and every sample of the traffic is counted.
//!
//! The clock of the data runs faster than the machine's: in a long run a day passes in six minutes, so that what queries over 24 hours see, and
//! what the running partition holds, comes to its full size early. `cargo xtask long soak [MINUTES]` makes the run long, `BASALT_SOAK_SEED` repeats its choices.

mod load;
mod memory;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use testkit::{
    Rng,
    http::{Client, Response},
};
use traffic::{Churn, Shape};

use crate::{
    ledger::Ledger,
    queries::good,
    server::{Basalt, folder, number_of_environment, seed},
};

/// Every pod lives for so many scrapes.
const POD_SCRAPES: u32 = 60;
const LATE_SHARE: f64 = 0.02;
/// Behind the last sample, late ones included.
const END_MARGIN_S: i64 = 3_600;

/// How long and how hard.
struct Plan {
    scrapes: u64,
    series: usize,
    /// Time between two scrapes in the data …
    step_ms: i64,
    /// … and on the machine; and what goes with it: pauses between requests of canary, readers and keeper.
    scrape: Duration,
    pause: Duration,
    readers: usize,
    memory_bytes: u64,
    /// Whether the run is long enough to tell whether memory is flat.
    is_long: bool,
}

impl Plan {
    /// A few seconds.
    fn short() -> Self {
        Self {
            scrapes: 60,
            series: 1_000,
            step_ms: 15_000,
            scrape: Duration::from_millis(50),
            pause: Duration::from_millis(5),
            readers: 2,
            memory_bytes: 192 << 20,
            is_long: false,
        }
    }

    fn long(minutes: u64) -> Self {
        let scrape = Duration::from_millis(250);
        Self {
            scrapes: minutes * 60_000 / scrape.as_millis() as u64,
            series: 2_500,
            step_ms: 60_000,
            scrape,
            pause: Duration::from_millis(100),
            readers: 3,
            memory_bytes: 256 << 20,
            is_long: true,
        }
    }

    /// Traffic that ends about now.
    fn shape(&self, seed: u64) -> Shape {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        Shape {
            seed,
            series: self.series,
            start_ms: now_ms - self.scrapes as i64 * self.step_ms,
            step_ms: self.step_ms,
            spread_ms: self.step_ms,
            churn: Some(Churn { replacements: 1, scrapes: POD_SCRAPES }),
            late: LATE_SHARE,
            // Counting samples leaves markers away.
            stale_markers: false,
            ..Shape::default()
        }
    }
}

/// What the threads of a run share.
struct Soak {
    basalt: Basalt,
    plan: Plan,
    shape: Shape,
    /// The time that the data has reached.
    now_ms: AtomicI64,
    samples: AtomicU64,
    requests: AtomicU64,
    over: AtomicBool,
    failures: Mutex<Vec<String>>,
}

impl Soak {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Remembers a failure, and ends the run.
    fn fail(&self, what: String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        self.over.store(true, Ordering::SeqCst);
    }

    /// A 2xx answer; everything else is a failure of the run.
    fn ask(&self, client: &mut Client, method: &str, path: &str, body: &[u8]) -> Option<Response> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match client.request(method, path, &[], body) {
            Ok(response) if response.is_success() => return Some(response),
            Ok(response) => self.fail(format!("{method} {path}: {} {}", response.status, response.text())),
            Err(error) => self.fail(format!("{method} {path}: {error}")),
        }
        None
    }

    fn now_s(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst) / 1000
    }
}

#[test]
fn everything_at_once_fails_nothing_and_loses_nothing() {
    let plan = number_of_environment("BASALT_SOAK_MINUTES").map_or_else(Plan::short, Plan::long);
    let mut rng = Rng::new(seed("BASALT_SOAK_SEED"));
    let folder = folder();
    let limit = format!("-memory.allowedBytes={}", plan.memory_bytes);
    let basalt = Basalt::start(folder.path(), &["-search.latencyOffset=0s", &limit]);
    let shape = plan.shape(rng.next_u64());
    let soak = Soak {
        now_ms: AtomicI64::new(shape.start_ms),
        basalt,
        plan,
        shape,
        samples: AtomicU64::new(0),
        requests: AtomicU64::new(0),
        over: AtomicBool::new(false),
        failures: Mutex::default(),
    };
    let mut canary = Ledger::default();
    let measured = thread::scope(|scope| {
        for _ in 0..soak.plan.readers {
            let rng = rng.fork();
            scope.spawn(|| load::read(&soak, rng));
        }
        let (keepers_rng, canarys_rng) = (rng.fork(), rng.fork());
        scope.spawn(|| load::keep(&soak, keepers_rng));
        scope.spawn(|| load::sing(&soak, canarys_rng, &mut canary));
        let memory = scope.spawn(|| memory::watch(&soak));
        load::write(&soak);
        soak.over.store(true, Ordering::SeqCst);
        memory.join().expect("memory is measured")
    });
    let failures = soak.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(failures.is_empty(), "failed:\n{}", failures.join("\n"));

    soak.basalt.export(load::CANARY).check(&canary, &canary);
    let stored = samples_of_traffic(&soak);
    let sent = soak.samples.load(Ordering::SeqCst);
    assert_eq!(stored, sent, "samples of the traffic");
    let requests = soak.requests.load(Ordering::SeqCst);
    println!("{sent} samples and {} of the canary are there, {requests} requests, none failed", canary.samples());
    measured.check(&soak.plan);
    soak.basalt.stop();
}

/// Counts the samples of all metrics but those of canary and keeper.
fn samples_of_traffic(soak: &Soak) -> u64 {
    let start = soak.shape.start_ms / 1000 - soak.plan.step_ms / 1000;
    let end = soak.now_s() + END_MARGIN_S;
    let (start_text, end_text) = (start.to_string(), end.to_string());
    let range = [("start", start_text.as_str()), ("end", end_text.as_str())];
    let names = good(&soak.basalt, "/api/v1/label/__name__/values", &range);
    let names = names["data"].as_array().expect("names").iter().filter_map(Value::as_str);
    let count = |name: &str| {
        let query = format!("sum(count_over_time({{__name__=\"{name}\"}}[{}s]))", end - start);
        let answer = good(&soak.basalt, "/api/v1/query", &[("query", &query), ("time", &end_text)]);
        let value = answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("{query}: {answer}")) as u64
    };
    names.filter(|name| !name.starts_with("soak_")).map(count).sum()
}
