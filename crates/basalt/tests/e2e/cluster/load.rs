//! What clients do while nodes fail: senders that keep a record of what was acknowledged, and a reader that holds each answer against it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use serde_json::Value;
use testkit::{Rng, http::Client};

use super::nodes::Doors;
use crate::{
    ledger::{Labels, Ledger},
    queries::address,
    wire::{BodyWriter, labels},
};

/// 2026-01-02T00:00:00Z
const START_MS: i64 = 1_767_312_000_000;
/// Behind the last sample of any run.
const END_S: i64 = START_MS / 1000 + 5 * 86_400;
/// Between two batches of a sender.
const PAUSE: Duration = Duration::from_millis(15);
const QUERY_PAUSE: Duration = Duration::from_millis(10);
/// No request takes longer, unless it hangs.
const REQUEST_MAX: Duration = Duration::from_secs(20);
/// Series in each batch, per sender.
const SERIES_OF_SENDERS: [usize; SENDERS] = [3, 12, 40];
const CHANCE_OF_SENDING_AGAIN: f64 = 0.6;
pub const SENDERS: usize = 3;
/// The metric of all series here.
pub const METRIC: &str = "history";

/// What threads share.
#[derive(Default)]
pub struct Watch {
    is_over: AtomicBool,
    /// While it is odd, every answer has to be good and whole.
    calm: AtomicU64,
    /// The last batch of each sender that was acknowledged, 1 for the first.
    acknowledged: [AtomicU64; SENDERS],
    batches: AtomicU64,
    pub queries: AtomicU64,
    pub partial: AtomicU64,
    pub refused: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Watch {
    pub fn end(&self) {
        self.is_over.store(true, SeqCst);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    /// From here on every answer has to be good and whole, or no longer.
    pub fn set_calm(&self, calm: bool) {
        if (self.calm.load(SeqCst) % 2 == 1) != calm {
            self.calm.fetch_add(1, SeqCst);
        }
    }

    /// Batches that were acknowledged, of all senders.
    pub fn batches(&self) -> u64 {
        self.batches.load(SeqCst)
    }

    fn fail(&self, what: String) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < 20 {
            failures.push(what);
        }
    }

    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Writes batch after batch.
pub struct Sender {
    number: usize,
    rng: Rng,
    batch: u64,
    pub sent: Ledger,
    pub acknowledged: Ledger,
}

impl Sender {
    pub fn new(number: usize, rng: Rng) -> Self {
        let (sent, acknowledged) = (Ledger::default(), Ledger::default());
        Self { number, rng, batch: 0, sent, acknowledged }
    }

    fn labels(&self, series: usize) -> Labels {
        let (sender, series_text) = (self.number.to_string(), series.to_string());
        let padding = "x".repeat(1 + series % 50);
        labels(&[("__name__", METRIC), ("sender", &sender), ("series", &series_text), ("padding", &padding)])
    }

    /// A batch whose values tell which it is; every few batches bring a series that nobody has seen, and late samples.
    fn next_batch(&mut self) -> BodyWriter {
        self.batch += 1;
        let (batch, time) = (self.batch, START_MS + self.batch as i64 * 1000);
        let mut body = BodyWriter::default();
        for series in 0..SERIES_OF_SENDERS[self.number] {
            body.series(&self.labels(series), &[(time, batch as f64 + series as f64 / 64.0)]);
        }
        if batch.is_multiple_of(7) {
            let (sender, fresh) = (self.number.to_string(), batch.to_string());
            let fresh = labels(&[("__name__", METRIC), ("sender", &sender), ("fresh", &fresh)]);
            body.series(&fresh, &[(time, 1.0), (time - 86_400_000 * (1 + batch as i64 % 5), 0.5)]);
        }
        body
    }

    /// Sends until the end. A batch that is not acknowledged is sent again, to any insert, or given up.
    pub fn run(&mut self, doors: &Doors, inserts: usize, watch: &Watch) {
        let mut again = None;
        while !watch.is_over() {
            let body = again.take().unwrap_or_else(|| self.next_batch());
            let packed = snap::raw::Encoder::new().compress_vec(&body.body).expect("snappy packs everything");
            merge(&mut self.sent, &body.ledger);
            let is_acknowledged = doors.insert(self.rng.index(inserts)).is_some_and(|insert| {
                let mut client = Client::new(insert).with_timeout(REQUEST_MAX);
                match client.post(
                    "/insert/0/prometheus/api/v1/write",
                    "application/x-protobuf",
                    Some("snappy"),
                    &packed,
                ) {
                    Ok(response) if response.status == 204 => response.header("x-basalt-refused").is_none(),
                    // Nodes are away.
                    Ok(response) if response.status == 503 || response.status == 429 => false,
                    Ok(response) => {
                        watch.fail(format!("a write is answered with {} {}", response.status, response.text()));
                        false
                    }
                    Err(_) => false,
                }
            });
            if is_acknowledged {
                merge(&mut self.acknowledged, &body.ledger);
                watch.acknowledged[self.number].store(self.batch, SeqCst);
                watch.batches.fetch_add(1, SeqCst);
            } else if self.rng.chance(CHANCE_OF_SENDING_AGAIN) {
                again = Some(body);
            }
            thread::sleep(PAUSE);
        }
    }
}

pub fn merge(into: &mut Ledger, more: &Ledger) {
    for (labels, samples) in &more.0 {
        match into.0.get_mut(labels) {
            Some(known) => known.extend(samples),
            None => {
                into.0.insert(labels.clone(), samples.clone());
            }
        }
    }
}

/// Asks until the end for the last batch of a sender: an answer that calls itself whole has what was acknowledged before the question.
pub fn read(mut rng: Rng, doors: &Doors, watch: &Watch) {
    let end = END_S.to_string();
    while !watch.is_over() {
        thread::sleep(QUERY_PAUSE);
        let sender = rng.index(SENDERS);
        let (calm, least) = (watch.calm.load(SeqCst), watch.acknowledged[sender].load(SeqCst));
        let Some(select) = doors.select() else { continue };
        let query = format!("max(last_over_time({METRIC}{{sender=\"{sender}\",series=\"0\"}}[10d]))");
        let path = address("/select/0/prometheus/api/v1/query", &[("query", &query), ("time", &end)]);
        watch.queries.fetch_add(1, SeqCst);
        let wrong = match Client::new(select).with_timeout(REQUEST_MAX).get(&path) {
            Ok(response) if response.is_success() => match judge(&response.text(), least) {
                Verdict::Good => continue,
                Verdict::Wrong(why) => {
                    watch.fail(format!("sender {sender}: {why}"));
                    continue;
                }
                Verdict::Partial => {
                    watch.partial.fetch_add(1, SeqCst);
                    "the answer is partial".to_string()
                }
            },
            Ok(response) => {
                watch.refused.fetch_add(1, SeqCst);
                format!("{} {}", response.status, response.text())
            }
            // The select stops.
            Err(_) if doors.select() != Some(select) => continue,
            Err(why) => why.to_string(),
        };
        if calm % 2 == 1 && watch.calm.load(SeqCst) == calm {
            watch.fail(format!("a query fails while nothing should be missing: {wrong}"));
        }
    }
}

enum Verdict {
    Good,
    Partial,
    Wrong(String),
}

fn judge(body: &str, least: u64) -> Verdict {
    let Ok(answer) = serde_json::from_str::<Value>(body) else { return Verdict::Wrong(format!("no JSON: {body}")) };
    if answer["isPartial"] == Value::Bool(true) {
        return Verdict::Partial;
    }
    let value = answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
    match value.unwrap_or(0.0) >= least as f64 {
        true => Verdict::Good,
        false => Verdict::Wrong(format!("batch {least} was acknowledged, a whole answer ends with {value:?}: {body}")),
    }
}
