//! The worst queries that somebody can think of, many at once: each is answered or refused with the limit and the figure, memory stays within its bounds, and
//! writes go on. Queries that nobody waits for any more, or that an operator cancels, end.

use std::{
    io::Write,
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    queries::{END, START, address, answer, cluster, good},
    server::{Basalt, PATIENCE},
    wire::{BodyWriter, labels},
};

const QUERIES_AT_ONCE: usize = 100;
const ALLOWED_MIB: u64 = 96;
/// Queries may take half of what is allowed; what is written meanwhile, and buffers of a hundred connections, come on top.
const GROWTH_MIB_MAX: u64 = ALLOWED_MIB;

/// Grids of nearly as many points as are allowed, long windows at each of them, everything joined with everything.
const WORST: [&str; 10] = [
    r#"{__name__!=""}"#,
    r#"quantile_over_time(0.99, {__name__!=""}[10h])"#,
    r#"sort(rollup({__name__!=""}[1h]))"#,
    r#"{__name__!=""} or ({__name__!=""} + 1) or ({__name__!=""} + 2) or ({__name__!=""} + 3)"#,
    r#"topk(1000, rollup_candlestick({__name__!=""}[3h]))"#,
    r#"label_replace({__name__=~".*.*.*.*node.*"}, "a", "$1$1$1$1", "node", "(.*)")"#,
    r#"max_over_time(avg_over_time(rate({__name__!=""}[1h])[2h:30s])[2h:1m])"#,
    r#"count_values("value", node_cpu_seconds_total)"#,
    r#"histogram_over_time(node_cpu_seconds_total[10h])"#,
    r#"kube_pod_status_phase * on(pod) group_right(phase) kube_pod_status_phase"#,
];

/// More rows than fit into what queries may have, whatever else runs.
fn too_big() -> String {
    let copies: Vec<String> = (0..8).map(|copy| format!(r#"label_set({{__name__!=""}}, "copy", "{copy}")"#)).collect();
    format!("union({})", copies.join(", "))
}

/// Long enough to be found while it runs, and small.
const LONG: &str = "sum(quantile_over_time(0.5, node_cpu_seconds_total[10h]))";

fn range(query: &str, step: &str) -> String {
    let (start, end) = (START.to_string(), END.to_string());
    let arguments = [("query", query), ("start", &start), ("end", &end), ("step", step), ("nocache", "1")];
    address("/api/v1/query_range", &arguments)
}

/// Gives the status, and why a query was refused.
fn ask(basalt: &Basalt, path: &str) -> (u16, String) {
    let response = basalt.client().get(path).expect("the server answers, whatever it is asked");
    let error: Value = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
    (response.status, error["error"].as_str().unwrap_or_default().to_string())
}

#[test]
fn a_hundred_worst_queries_at_once_neither_kill_the_server_nor_stop_ingestion() {
    let allowed = format!("-memory.allowedBytes={ALLOWED_MIB}MiB");
    let (_folder, basalt) = cluster(&[&allowed, "-search.maxQueueDuration=3s"]);
    let before = basalt.process.anon_rss_bytes().expect("it runs");
    let (over, peak, written) = (AtomicBool::new(false), AtomicU64::new(0), AtomicI64::new(0));
    let answers: Vec<(u16, String)> = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                peak.fetch_max(basalt.process.anon_rss_bytes().expect("it runs"), Ordering::SeqCst);
                thread::sleep(Duration::from_millis(2));
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let mut body = BodyWriter::default();
                let time = (START + written.load(Ordering::SeqCst)) * 1000;
                body.series(&labels(&[("__name__", "canary")]), &[(time, 1.0)]);
                assert_eq!(basalt.write(&body.body).status, 204, "writes go on");
                written.fetch_add(1, Ordering::SeqCst);
            }
        });
        let basalt = &basalt;
        let path = |number: usize| format!("{}&timeout=2s", range(WORST[number % WORST.len()], "1500ms"));
        let ask = |number: usize| scope.spawn(move || ask(basalt, &path(number)));
        let asking: Vec<_> = (0..QUERIES_AT_ONCE).map(ask).collect();
        let answers = asking.into_iter().map(|asker| asker.join().expect("each has its answer")).collect();
        over.store(true, Ordering::SeqCst);
        answers
    });
    let count = |wanted: u16| answers.iter().filter(|(status, _)| *status == wanted).count();
    let (good_ones, refused, turned_away) = (count(200), count(422), count(429));
    assert_eq!(good_ones + refused + turned_away, QUERIES_AT_ONCE, "{answers:?}");
    let (status, why) = ask(&basalt, &range(&too_big(), "1500ms"));
    assert!(status == 422 && why.contains("bytes of memory") && why.contains("-memory.allowed"), "{status}: {why}");
    let (peak, written) = (peak.into_inner(), written.into_inner());
    let grown = peak.saturating_sub(before) >> 20;
    assert!(grown <= GROWTH_MIB_MAX, "memory grew by {grown} MiB");
    let time = (START + written).to_string();
    let seen = [("query", "count_over_time(canary[12h])"), ("time", time.as_str())];
    let seen = good(&basalt, "/api/v1/query", &seen);
    assert_eq!(seen["data"]["result"][0]["value"][1], written.to_string(), "every sample that was acknowledged");
    println!(
        "{good_ones} answered, {refused} refused, {turned_away} turned away; {} MiB of memory before, {} MiB at most, {ALLOWED_MIB} MiB allowed; \
         {written} samples written meanwhile; {why}",
        before >> 20,
        peak >> 20
    );
    basalt.stop();
}

/// The queries that run, when there are as many as wanted.
fn active(basalt: &Basalt, wanted: usize) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let mut list = good(basalt, "/api/v1/status/active_queries", &[]);
        let Value::Array(running) = list["data"].take() else { panic!("no list of queries: {list}") };
        if running.len() == wanted {
            return running;
        }
        assert!(began.elapsed() < PATIENCE, "{} queries run instead of {wanted}", running.len());
    }
}

#[test]
fn a_query_ends_when_it_is_cancelled_and_when_its_client_leaves() {
    let (_folder, basalt) = cluster(&[]);
    for (prefix, status, kind) in [("", 422, "422"), ("/promql", 499, "canceled")] {
        let path = format!("{prefix}{}", range(LONG, "4s"));
        thread::scope(|scope| {
            let asking = scope.spawn(|| basalt.client().get(&path).expect("an answer"));
            let running = active(&basalt, 1);
            assert_eq!(running[0]["query"], LONG);
            let id = running[0]["id"].as_str().expect("an id").to_string();
            let cancel = format!("{prefix}/api/v1/admin/cancel?id={id}");
            assert_eq!(basalt.client().post(&cancel, "", None, b"").expect("an answer").status, 200);
            let answer = asking.join().expect("it has its answer");
            let error: Value = serde_json::from_slice(&answer.body).expect("JSON");
            assert_eq!((answer.status, &error["errorType"]), (status, &json!(kind)), "{error}");
        });
        active(&basalt, 0);

        let mut leaving = TcpStream::connect(basalt.address).expect("the server listens");
        write!(leaving, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("the server reads");
        active(&basalt, 1);
        drop(leaving);
        active(&basalt, 0);
    }
    let (status, _) = answer(&basalt, "/api/v1/query", &[("query", "1")]);
    assert_eq!(status, 200);
    basalt.stop();
}
