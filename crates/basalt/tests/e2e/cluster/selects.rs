//! What a select gets from storages that have a part of the work each: few bytes, and whole answers when some of them hang, are slow, break off or lost what
//! they had.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::proxy::Link;

use super::nodes::{Nodes, Shape, StorageNode};
use crate::{
    prometheus::wait_until,
    server::Basalt,
    wire::{BodyWriter, labels, series},
};

/// 2026-01-02T00:00:00Z
pub const TIME_S: i64 = 1_767_312_000;
const SERIES: usize = 300;
pub const SAMPLES: i64 = 360;
/// Between two samples of a series.
const STEP_S: i64 = 15;
const GROUPS: usize = 6;
const THREE_OF_TWO: Shape = Shape { inserts: 1, storages: 3, copies: 2 };
/// A storage that says nothing counts as away after this (see `Nodes`), so a query that waited for one took longer.
const SILENCE: Duration = Duration::from_secs(2);
/// Every piece of a slow link waits for so long.
const SLOWNESS: Duration = Duration::from_millis(600);

pub fn end_s() -> i64 {
    TIME_S + SAMPLES * STEP_S
}

/// Counters that rise by the number of their series, with a fraction that no float holds.
pub fn body(numbers: std::ops::Range<usize>, samples: i64) -> Vec<u8> {
    let one = |number: usize| {
        let (name, group) = (number.to_string(), (number % GROUPS).to_string());
        let labels = labels(&[("__name__", "work"), ("group", &group), ("number", &name)]);
        let rows =
            (0..samples).map(move |at| ((TIME_S + at * STEP_S) * 1000, at as f64 * (number as f64 + 1.0) * 0.37));
        series(&labels, rows)
    };
    numbers.flat_map(one).collect()
}

pub fn loaded(shape: Shape) -> Nodes {
    let nodes = Nodes::start(shape);
    let answer = insert(&nodes).write(&body(0..SERIES, SAMPLES));
    assert_eq!(answer.status, 204, "{}", answer.text());
    wait_until("all is said", || nodes.is_settled());
    nodes
}

pub fn insert(nodes: &Nodes) -> &Basalt {
    nodes.inserts[0].node.as_ref().expect("it runs")
}

pub fn select(nodes: &Nodes) -> &Basalt {
    nodes.select()
}

fn node(storage: &StorageNode) -> &Basalt {
    storage.node.as_ref().expect("it runs")
}

const QUERY: &str = "sum%20by%20(group)(rate(work%5B5m%5D))";

/// The answer to a range query, with what it says of being whole.
fn ask(nodes: &Nodes, more: &str) -> (Option<bool>, Value) {
    let path = format!(
        "/select/0/prometheus/api/v1/query_range?query={QUERY}&start={TIME_S}&end={}&step=60&nocache=1{more}",
        end_s()
    );
    let answer = select(nodes).get(&path);
    assert!(answer.is_success(), "{} {}", answer.status, answer.text());
    let answer: Value = serde_json::from_str(&answer.text()).expect("an answer in JSON");
    (answer["isPartial"].as_bool(), answer["data"]["result"].clone())
}

fn is_whole(nodes: &Nodes, all: &Value) -> bool {
    let (partial, some) = ask(nodes, "");
    partial == Some(false) && super::same(&some, all)
}

/// All values of a metric that has one for each storage.
fn sum_of(node: &Basalt, metric: &str) -> f64 {
    let text = node.ok("/metrics");
    let lines = text.lines().filter(|line| line.starts_with(metric));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn aggregates_move_a_twentieth_of_what_samples_would() {
    for copies in [1, 2] {
        let nodes = loaded(Shape { copies, ..THREE_OF_TWO });
        let received = || sum_of(select(&nodes), "basalt_node_received_bytes_total{");
        // The first question of all is for what the nodes have.
        let (partial, groups) = ask(&nodes, "");
        assert_eq!((partial, groups.as_array().map(Vec::len)), (Some(false), Some(GROUPS)));
        let mark = received();
        assert!(is_whole(&nodes, &groups));
        let folded = received() - mark;
        let mark = received();
        let export = format!("/select/0/prometheus/api/v1/export?match[]=work&start={TIME_S}&end={}", end_s());
        assert_eq!(select(&nodes).ok(&export).lines().count(), SERIES);
        let raw = received() - mark;
        eprintln!("{copies} copies: {folded} bytes of groups, {raw} bytes of samples: {:.2} %", folded / raw * 100.0);
        let samples_bytes = SERIES as f64 * SAMPLES as f64 * 8.0;
        assert!(raw > samples_bytes && raw < samples_bytes * 1.2, "each sample comes from one storage: {raw} bytes");
        assert!(folded > 0.0 && folded <= raw * 0.05, "{folded} of {raw} bytes");
    }
}

#[test]
fn a_month_costs_a_storage_no_more_calls_than_an_hour() {
    const MONTH_S: i64 = 30 * 86_400;
    let nodes = loaded(THREE_OF_TWO);
    let end = end_s();
    let path =
        format!("/select/0/prometheus/api/v1/query_range?query={QUERY}&start={}&end={end}&step=1800", end - MONTH_S);
    let calls = || nodes.storages.iter().map(|storage| sum_of(node(storage), "basalt_node_calls_total")).sum::<f64>();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mark = calls();
        answers.push(select(&nodes).ok(&path));
        // Whether the answer may come from the cache is one question for the whole month.
        assert!(calls() - mark <= 5.0 * nodes.storages.len() as f64, "{} calls", calls() - mark);
    }
    let result = |answer: &String| serde_json::from_str::<Value>(answer).expect("JSON")["data"]["result"].clone();
    assert_eq!(result(&answers[0]).as_array().map(Vec::len), Some(GROUPS));
    assert_eq!(result(&answers[0]), result(&answers[1]));
}

#[test]
fn no_packet_of_an_answer_waits_for_the_one_before() {
    let nodes = loaded(THREE_OF_TWO);
    let path = format!("/select/0/prometheus/api/v1/query?query=count(work)&time={}&nocache=1", end_s() - STEP_S);
    let took = |_| {
        let began = Instant::now();
        assert!(select(&nodes).ok(&path).contains("\"300\""));
        began.elapsed()
    };
    // A receiver confirms a small packet after 40 ms, if nothing else makes it speak.
    let least = (0..20).map(took).min().expect("some");
    assert!(least < Duration::from_millis(35), "no query took less than {least:?}");
}

#[test]
fn a_storage_that_hangs_or_is_slow_is_not_waited_for() {
    let nodes = loaded(THREE_OF_TWO);
    let (partial, all) = ask(&nodes, "");
    assert_eq!(partial, Some(false));
    let given_up = || select(&nodes).metric("basalt_gather_slow_nodes_given_up_total");
    let select_link = nodes.shape.inserts;
    for (link, bound) in [(Link::Slow(SLOWNESS), SLOWNESS * 2), (Link::Stalled, SILENCE)] {
        let before = given_up();
        nodes.storages[0].set_link(select_link, link);
        let began = Instant::now();
        assert!(is_whole(&nodes, &all), "{link:?}");
        let took = began.elapsed();
        eprintln!("{link:?}: {took:?}");
        assert!(took < bound, "{link:?}: the answer took {took:?}");
        assert!(given_up() > before, "{link:?}");
        for _ in 0..3 {
            assert!(is_whole(&nodes, &all), "{link:?}");
        }
        nodes.storages[0].set_link(select_link, Link::Open);
        let received = format!("basalt_node_received_bytes_total{{addr=\"{}\"}}", nodes.storages[0].select_address());
        let mark = select(&nodes).metric(&received);
        wait_until("it is asked again", || is_whole(&nodes, &all) && select(&nodes).metric(&received) > mark + 1000.0);
    }
}

#[test]
fn with_one_copy_a_storage_that_hangs_is_missing() {
    let nodes = loaded(Shape { copies: 1, ..THREE_OF_TWO });
    let (partial, all) = ask(&nodes, "");
    assert_eq!(partial, Some(false));
    nodes.storages[0].set_link(nodes.shape.inserts, Link::Stalled);
    for _ in 0..2 {
        let (partial, some) = ask(&nodes, "");
        assert!(partial == Some(true) && !super::same(&some, &all), "what nobody has is not there");
    }
    let path = format!("/select/0/prometheus/api/v1/query?query={QUERY}&time={}&deny_partial_response=1", end_s());
    assert_eq!(select(&nodes).get(&path).status, 503);
    nodes.storages[0].set_link(nodes.shape.inserts, Link::Open);
    wait_until("it is there again", || is_whole(&nodes, &all));
}

/// Begins a request and reads the first bytes of its answer.
fn begin(basalt: &Basalt, path: &str) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(basalt.address).expect("it takes connections");
    let head = format!("GET {path} HTTP/1.1\r\nHost: select\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut first = vec![0; 4096];
    let read = stream.read(&mut first).expect("it answers");
    first.truncate(read);
    (stream, first)
}

#[test]
fn a_storage_that_breaks_off_in_the_middle_is_replaced() {
    const MANY: usize = 3_000;
    const LONG: i64 = 1_200;
    let nodes = Nodes::start(THREE_OF_TWO);
    // More than connections and queues hold, so that storages wait for the reader.
    for first in (0..MANY).step_by(250) {
        let answer = insert(&nodes).write(&body(first..first + 250, LONG));
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    wait_until("all is said", || nodes.is_settled());
    let path = format!(
        "/select/0/prometheus/api/v1/export?match[]=work&start={TIME_S}&end={}&max_rows_per_line={LONG}",
        TIME_S + LONG * STEP_S
    );
    let mut all: Vec<String> = select(&nodes).ok(&path).lines().map(str::to_string).collect();
    assert_eq!(all.len(), MANY);
    let stood_in = || select(&nodes).metric("basalt_gather_stood_in_total");
    assert_eq!(stood_in(), 0.0);
    let (mut stream, mut answer) = begin(select(&nodes), &path);
    nodes.storages[1].set_link(nodes.shape.inserts, Link::Cut);
    stream.read_to_end(&mut answer).expect("the answer goes on");
    let answer = String::from_utf8(answer).expect("text");
    let mut lines: Vec<String> = unchunked(&answer).lines().map(str::to_string).collect();
    all.sort();
    lines.sort();
    assert!(stood_in() > 0.0, "all had come before the link was cut");
    assert!(lines == all, "{} of {} series are as they were", lines.len(), all.len());
}

/// The body of an answer that came in chunks.
fn unchunked(answer: &str) -> String {
    let (head, mut rest) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
    let mut body = String::new();
    loop {
        let (length, more) = rest.split_once("\r\n").expect("the answer was cut off");
        let length = usize::from_str_radix(length, 16).expect("a length");
        if length == 0 {
            return body;
        }
        body.push_str(&more[..length]);
        rest = &more[length + 2..];
    }
}

#[test]
fn a_storage_that_lost_its_disk_answers_for_nothing_that_it_lost() {
    let mut nodes = loaded(THREE_OF_TWO);
    let (partial, all) = ask(&nodes, "");
    assert_eq!(partial, Some(false));
    nodes.storages[0].kill9();
    nodes.storages[0].lose_everything();
    nodes.storages[0].start(&[]);
    // From the first moment on, before it knows itself what it lacks.
    wait_until("it knows what it lacks", || {
        assert!(is_whole(&nodes, &all), "an empty storage answered");
        node(&nodes.storages[0]).metric("basalt_refill_lacking_shards") > 0.0
    });
    // New rows make it hold shards of which it lacks the old ones.
    let mut fresh = BodyWriter::default();
    for number in 0..SERIES {
        let (name, group) = (number.to_string(), (number % GROUPS).to_string());
        let labels = labels(&[("__name__", "work"), ("group", &group), ("number", &name)]);
        fresh.series(&labels, &[(end_s() * 1000, 1.0)]);
    }
    assert_eq!(insert(&nodes).write(&fresh.body).status, 204);
    let (partial, all) = ask(&nodes, "");
    let groups = all.as_array().expect("groups");
    assert!(partial == Some(false) && groups.len() == GROUPS);
    let points = groups.iter().map(|group| group["values"].as_array().map_or(0, Vec::len));
    assert!(points.clone().all(|points| points > 80), "the old rows are there: {:?}", points.collect::<Vec<_>>());
    nodes.storages[1].kill9();
    let (partial, some) = ask(&nodes, "");
    assert!(partial == Some(true) && !super::same(&some, &all), "what the two shared is nowhere");
    nodes.storages[1].start(&[]);
    wait_until("the second one is back", || is_whole(&nodes, &all));

    let others = [1, 2].map(|other: usize| nodes.storages[other].select_address().to_string());
    let refill = format!("/internal/refill?from={}&wait=1", others.join(","));
    let refilled = node(&nodes.storages[0]).client().post(&refill, "text/plain", None, b"").expect("an answer");
    assert!(refilled.is_success(), "{}", refilled.text());
    wait_until("all is said", || nodes.is_settled());
    assert!(is_whole(&nodes, &all));
    let folds = || node(&nodes.storages[0]).metric("basalt_sub_plans_total{kind=\"fold\"}");
    let before = folds();
    assert!(is_whole(&nodes, &all) && folds() > before, "it answers for its shards again");
    nodes.storages[1].kill9();
    wait_until("the first one stands for the second", || is_whole(&nodes, &all));
}
