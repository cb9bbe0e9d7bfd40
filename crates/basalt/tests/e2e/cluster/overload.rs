//! An insert in front of storages that take nothing: it holds no more than it may, tells senders to come again, and keeps what it acknowledged.
//!
//! 1. Each of many senders has a large batch acknowledged while all is well. Then the link to one storage stalls, and all of them send their next batch.
//! 2. What does not fit into the bound is refused with 503 and the bound, again and again, while senders come again at once. Memory is measured all the time.
//! 3. The link heals, and every sender gets its batch acknowledged. Each batch is there, as a whole and once.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use serde_json::Value;
use testkit::{http::Client, proxy::Link};

use super::nodes::{Nodes, Shape};
use crate::{
    prometheus::wait_until,
    queries::address,
    server::{Basalt, PATIENCE},
    wire::{labels, series},
};

const ALLOWED_BYTES: u64 = 128 << 20;
/// What may be on its way to all storages, and to any one of them (docs/cluster.md, back-pressure).
const ROOM_BYTES: u64 = ALLOWED_BYTES / 8;
/// A batch is 0.8 MB of rows, for each storage that gets them: ten of them fill one storage's half of the room.
const SERIES: usize = 50;
const SAMPLES: usize = 1000;
/// Refusals of each sender that are waited for before the link heals.
const REFUSALS: usize = 3;
/// Between a refusal and the next attempt. The insert asks for five seconds; these senders mean no good.
const PAUSE: Duration = Duration::from_millis(20);
/// 2026-01-02T00:00:00Z
const TIME: i64 = 1_767_312_000_000;

fn batch(sender: usize, number: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for of_batch in 0..SERIES {
        let [sender, number, of_batch] = [sender, number, of_batch].map(|number| number.to_string());
        let labels = labels(&[("__name__", "pressed"), ("sender", &sender), ("batch", &number), ("series", &of_batch)]);
        body.extend(series(&labels, (0..SAMPLES).map(|at| (TIME + at as i64 * 1000, at as f64 / 7.0))));
    }
    snap::raw::Encoder::new().compress_vec(&body).expect("snappy packs everything")
}

/// What senders and those who watch them share.
#[derive(Default)]
struct Pressed {
    /// Senders whose first batch is acknowledged.
    loaded: AtomicUsize,
    /// Nothing goes through any more.
    stalled: AtomicBool,
    is_over: AtomicBool,
    /// Refusals of each sender.
    refusals: Vec<AtomicUsize>,
    /// How often which answer came.
    answers: Mutex<BTreeMap<String, usize>>,
}

impl Pressed {
    fn send_both(&self, insert: &Basalt, sender: usize) {
        self.send(insert, sender, 0);
        self.loaded.fetch_add(1, SeqCst);
        while !self.stalled.load(SeqCst) && !self.is_over.load(SeqCst) {
            thread::sleep(PAUSE);
        }
        self.send(insert, sender, 1);
    }

    /// Sends a batch until it is acknowledged.
    fn send(&self, insert: &Basalt, sender: usize, number: usize) {
        let packed = batch(sender, number);
        while !self.is_over.load(SeqCst) {
            let mut client = Client::new(insert.address).with_timeout(PATIENCE);
            let sent = client.post("/api/v1/write", "application/x-protobuf", Some("snappy"), &packed);
            let answer = sent.expect("the insert answers");
            if answer.status == 204 {
                return;
            }
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{}", answer.text());
            *self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(answer.text()).or_default() += 1;
            self.refusals[sender].fetch_add(1, SeqCst);
            thread::sleep(PAUSE);
        }
    }

    fn answers(&self) -> BTreeMap<String, usize> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The most memory of its own that the insert had until it is over.
    fn peak_bytes(&self, insert: &Basalt) -> u64 {
        let mut peak = 0;
        while !self.is_over.load(SeqCst) {
            peak = peak.max(insert.process.anon_rss_bytes().expect("it runs"));
            thread::sleep(Duration::from_millis(5));
        }
        peak
    }
}

/// Ends everything when a test fails, so that the failure shows.
struct Ends<'a>(&'a Pressed);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, SeqCst);
    }
}

/// Where the history takes place.
struct Case<'a> {
    shape: Shape,
    flags: &'a [&'a str],
    senders: usize,
    /// What refusals say while nothing goes through.
    bound: &'a str,
    /// What counts them.
    counter: &'a str,
}

/// The history of the module with one insert.
fn press(case: &Case<'_>) {
    let mut nodes = Nodes::start(case.shape);
    nodes.stop_insert(0);
    let allowed = format!("-memory.allowedBytes={ALLOWED_BYTES}");
    nodes.start_insert_with(0, &[&[&*allowed][..], case.flags].concat());
    wait_until("the insert knows its storages", || nodes.is_settled());
    let insert = nodes.inserts[0].node.as_ref().expect("it runs");

    let refusals = (0..case.senders).map(|_| AtomicUsize::new(0)).collect();
    let pressed = Pressed { refusals, ..Pressed::default() };
    let peak_bytes = thread::scope(|scope| {
        let _ends = Ends(&pressed);
        let measuring = scope.spawn(|| pressed.peak_bytes(insert));
        let pressed = &pressed;
        let send = |sender| scope.spawn(move || pressed.send_both(insert, sender));
        let senders: Vec<_> = (0..case.senders).map(send).collect();
        wait_until("all is well", || pressed.loaded.load(SeqCst) == case.senders);
        nodes.storages[0].set_link(0, Link::Stalled);
        pressed.stalled.store(true, SeqCst);
        wait_until("senders are refused again and again", || {
            let often = pressed.refusals.iter().filter(|times| times.load(SeqCst) >= REFUSALS);
            often.count() >= case.senders / 4
        });
        nodes.storages[0].set_link(0, Link::Open);
        senders.into_iter().for_each(|sender| sender.join().expect("it gets its answers"));
        pressed.is_over.store(true, SeqCst);
        measuring.join().expect("the process is measured")
    });

    let answers = pressed.answers();
    println!("{} MiB at most, {} allowed; {answers:?}", peak_bytes >> 20, ALLOWED_BYTES >> 20);
    let bounded = answers.iter().filter(|(answer, _)| answer.contains(case.bound)).map(|(_, times)| times);
    let bounded = bounded.sum::<usize>();
    assert!(bounded > 0, "nobody is told {:?}: {answers:?}", case.bound);
    let counted = insert.metric(case.counter);
    assert!(counted >= bounded as f64, "{bounded} were refused, {} is {counted}", case.counter);
    assert!(peak_bytes <= ALLOWED_BYTES, "{peak_bytes} bytes of memory, {ALLOWED_BYTES} are allowed");
    wait_until("nothing is lacking", || nodes.is_settled());
    check(nodes.select(), case.senders);
}

/// Every batch of every sender is there, as a whole and once.
fn check(select: &Basalt, senders: usize) {
    let time = (TIME / 1000 + SAMPLES as i64).to_string();
    let query = "sum(count_over_time(pressed[1d])) by (sender, batch)";
    let path = address("/select/0/prometheus/api/v1/query", &[("query", query), ("time", &time)]);
    let answer: Value = serde_json::from_str(&select.ok(&path)).expect("an answer in JSON");
    assert_eq!(answer["isPartial"], Value::Bool(false));
    let rows = answer["data"]["result"].as_array().expect("a vector");
    assert_eq!(rows.len(), 2 * senders, "batches that are there: {answer}");
    let all = (SERIES * SAMPLES).to_string();
    rows.iter().for_each(|row| assert_eq!(row["value"][1], *all, "{row}"));
}

#[test]
fn rows_beyond_what_may_be_on_its_way_to_a_storage_are_refused_at_once() {
    press(&Case {
        shape: Shape { inserts: 1, storages: 1, copies: 1 },
        flags: &[],
        senders: 64,
        bound: &format!(", {} may", ROOM_BYTES / 2),
        counter: "basalt_route_unavailable_total",
    });
}

#[test]
fn rows_beyond_what_may_be_on_its_way_to_all_storages_are_refused_after_a_while() {
    press(&Case {
        shape: Shape { inserts: 1, storages: 2, copies: 2 },
        flags: &["-insert.ack=strict", "-insert.maxQueueDuration=500ms"],
        // Those that find no room hold their rows while they wait for it, and nothing but their number bounds that.
        senders: 16,
        bound: &format!("{ROOM_BYTES} bytes of rows are on their way to storage nodes"),
        counter: "basalt_route_overloaded_total",
    });
}

/// As the one before, with more senders.
#[test]
fn requests_that_wait_for_room_take_a_bounded_part_of_memory() {
    for ack in ["strict", "besteffort"] {
        press(&Case {
            shape: Shape { inserts: 1, storages: 2, copies: 2 },
            flags: &[&format!("-insert.ack={ack}"), "-insert.maxQueueDuration=500ms"],
            senders: 64,
            bound: &format!("{ROOM_BYTES} bytes of rows are on their way to storage nodes"),
            counter: "basalt_route_overloaded_total",
        });
    }
}
