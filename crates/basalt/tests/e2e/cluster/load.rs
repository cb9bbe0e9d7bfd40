//! What clients do while nodes fail: senders that keep a record of what was acknowledged, and readers that hold each answer against it.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{
    Rng,
    http::{Client, Response},
};

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
    /// While it is odd, every answer has to be good and whole, and every write has to be acknowledged.
    calm: AtomicU64,
    /// The last batch of each sender that was acknowledged, 1 for the first.
    acknowledged: [AtomicU64; SENDERS],
    batches: AtomicU64,
    pub queries: AtomicU64,
    pub partial: AtomicU64,
    pub refused: AtomicU64,
    /// What the slowest query and the slowest batch took.
    pub slowest_query_ms: AtomicU64,
    pub slowest_batch_ms: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Watch {
    pub fn end(&self) {
        self.is_over.store(true, SeqCst);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    /// From here on every answer has to be good and whole and every write acknowledged, or no longer.
    pub fn set_calm(&self, calm: bool) {
        if (self.calm.load(SeqCst) % 2 == 1) != calm {
            self.calm.fetch_add(1, SeqCst);
        }
    }

    /// Tells a failure of something that was begun while `calm` had this value, if nothing should have failed since.
    fn fail_if_calm(&self, calm: u64, what: String) {
        if calm % 2 == 1 && self.calm.load(SeqCst) == calm {
            self.fail(what);
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

/// Whatever happens, clients end when this is dropped, so that a failure shows.
pub struct Ends<'a>(pub &'a Watch);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
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

    /// Sends until the end. A batch that is not acknowledged is sent again, to any insert, or given up; while nothing should be missing it goes to
    /// the others at once.
    pub fn run(&mut self, doors: &Doors, inserts: usize, watch: &Watch) {
        let mut again = None;
        while !watch.is_over() {
            let body = again.take().unwrap_or_else(|| self.next_batch());
            let packed = snap::raw::Encoder::new().compress_vec(&body.body).expect("snappy packs everything");
            merge(&mut self.sent, &body.ledger);
            let (calm, first) = (watch.calm.load(SeqCst), self.rng.index(inserts));
            let attempts = if calm % 2 == 1 { inserts } else { 1 };
            let mut refusals = Vec::new();
            let is_acknowledged = (0..attempts).any(|next| {
                let Some(insert) = doors.insert((first + next) % inserts) else { return false };
                let taken = post(insert, &packed, watch);
                taken.map_err(|why| refusals.push(format!("{insert}: {why}"))).is_ok()
            });
            if is_acknowledged {
                merge(&mut self.acknowledged, &body.ledger);
                watch.acknowledged[self.number].store(self.batch, SeqCst);
                watch.batches.fetch_add(1, SeqCst);
            } else {
                watch.fail_if_calm(
                    calm,
                    format!("no insert takes a batch while nothing should be missing: {refusals:?}"),
                );
                again = self.rng.chance(CHANCE_OF_SENDING_AGAIN).then_some(body);
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Sends a batch to one insert; says why it is not acknowledged.
fn post(insert: SocketAddr, packed: &[u8], watch: &Watch) -> Result<(), String> {
    let mut client = Client::new(insert).with_timeout(REQUEST_MAX);
    let sent = Instant::now();
    let answer = client.post("/insert/0/prometheus/api/v1/write", "application/x-protobuf", Some("snappy"), packed);
    watch.slowest_batch_ms.fetch_max(sent.elapsed().as_millis() as u64, SeqCst);
    let answer = answer.map_err(|why| why.to_string())?;
    match answer.status {
        204 if answer.header("x-basalt-refused").is_none() => return Ok(()),
        204 => return Err("some of it is refused".to_string()),
        // Nodes are away.
        503 | 429 => {}
        status => watch.fail(format!("a write is answered with {status} {}", answer.text())),
    }
    Err(format!("{} {}", answer.status, answer.text()))
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

/// Fails unless so many nodes have each sample that was acknowledged.
pub fn check_copies(on_nodes: &[Ledger], acknowledged: &Ledger, copies: usize) {
    let mut lacking = 0;
    for (labels, samples) in &acknowledged.0 {
        for time in samples.keys() {
            let having = on_nodes.iter().filter(|node| node.0.get(labels).is_some_and(|have| have.contains_key(time)));
            if having.count() != copies {
                lacking += 1;
                if lacking <= 10 {
                    eprintln!("not {copies} copies: {labels:?} at {time}");
                }
            }
        }
    }
    assert_eq!(lacking, 0, "{lacking} of {} samples have too few or too many copies", acknowledged.samples());
}

/// Asks until the end for the last batch of a sender: an answer that calls itself whole has what was acknowledged before the question.
pub fn read(mut rng: Rng, doors: &Doors, watch: &Watch) {
    let end = END_S.to_string();
    while !watch.is_over() {
        thread::sleep(QUERY_PAUSE);
        let (sender, first) = (rng.index(SENDERS), rng.index(doors.selects_len()));
        let (calm, least) = (watch.calm.load(SeqCst), watch.acknowledged[sender].load(SeqCst));
        let query = format!("max(last_over_time({METRIC}{{sender=\"{sender}\",series=\"0\"}}[10d]))");
        let path = address("/select/0/prometheus/api/v1/query", &[("query", &query), ("time", &end)]);
        watch.queries.fetch_add(1, SeqCst);
        let asked = Instant::now();
        let answer = ask(doors, first, &path);
        watch.slowest_query_ms.fetch_max(asked.elapsed().as_millis() as u64, SeqCst);
        let wrong = match answer {
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
            Err(why) => why,
        };
        watch.fail_if_calm(calm, format!("a query fails while nothing should be missing: {wrong}"));
    }
}

/// Asks a select, and the others if that one was told to stop before it was asked. A query that was sent before that has to be answered.
fn ask(doors: &Doors, first: usize, path: &str) -> Result<Response, String> {
    let selects = doors.selects_len();
    for select in (0..selects).map(|next| (first + next) % selects) {
        let Some(address) = doors.select(select) else { continue };
        // Nobody is there; nothing was sent.
        let Ok(question) = Client::new(address).with_timeout(REQUEST_MAX).begin_get(path) else { continue };
        let sent = Instant::now();
        match question.answer() {
            Ok(answer) => return Ok(answer),
            Err(_) if doors.was_closed(select, sent) => {}
            Err(why) => return Err(format!("select {address} does not answer: {why}")),
        }
    }
    Err("no select is there".to_string())
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
