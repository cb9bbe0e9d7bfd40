//! Data that is older than what is being written: it stays, it is found, and asking for all of it costs no more than is allowed.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use super::{DAY_S, bytes, number, put, refusal};
use crate::{
    queries::{address, good},
    server::{Basalt, folder},
    wire::{labels, series},
};

/// 2026-01-20T00:00:00Z
const START: i64 = 1_768_867_200;

/// What a dashboard shows of one cluster's past.
fn past(basalt: &Basalt, cluster: &str) -> Vec<String> {
    let (start, end) = (START.to_string(), (START + DAY_S).to_string());
    let range = [("start", start.as_str()), ("end", end.as_str())];
    let selector = format!("{{cluster=\"{cluster}\"}}");
    let rate = format!("sum by (node) (rate(node_cpu_seconds_total{selector}[5m]))");
    let info = format!("kube_node_info{selector}");
    let ask = |path: &str, more: &[(&str, &str)]| bytes(basalt, path, &[more, &range].concat());
    vec![
        ask("/api/v1/query_range", &[("query", &rate), ("step", "300")]),
        ask("/promql/api/v1/query_range", &[("query", &rate), ("step", "300")]),
        ask("/api/v1/query_range", &[("query", &info), ("step", "60"), ("nocache", "1")]),
        ask("/api/v1/label/node/values", &[("match[]", &info)]),
        ask("/api/v1/label/cluster/values", &[]),
        ask("/api/v1/labels", &[("match[]", &selector)]),
        ask("/api/v1/series", &[("match[]", &selector)]),
        ask("/api/v1/export", &[("match[]", &selector)]),
    ]
}

fn put_cluster(basalt: &Basalt, cluster: &str, (start, end): (i64, i64)) {
    for node in ["node-1", "node-2"] {
        let name = |name| labels(&[("__name__", name), ("cluster", cluster), ("node", node)]);
        put(basalt, &name("kube_node_info"), (start, end, 60), |_| 1.0);
        put(basalt, &name("node_cpu_seconds_total"), (start, end, 60), |time| (time - START) as f64 / 8.0);
    }
}

#[test]
fn a1_a_cluster_that_is_gone_keeps_its_past_to_the_byte() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    put_cluster(&basalt, "east", (START, START + DAY_S));
    put_cluster(&basalt, "west", (START, START + DAY_S));
    let want = past(&basalt, "west");
    assert!(want[0].contains("\"0.125\"") && want[3].contains("[\"node-1\",\"node-2\"]"), "{want:?}");
    assert!(want[4].contains("[\"east\",\"west\"]"), "{}", want[4]);
    // From here on only the other one writes.
    put_cluster(&basalt, "east", (START + DAY_S, START + 4 * DAY_S));
    assert_eq!(past(&basalt, "west"), want);
    basalt.ok("/internal/force_flush");
    basalt.ok("/internal/force_merge?wait=1");
    assert_eq!(past(&basalt, "west"), want, "from merged parts");
    basalt.kill9();
    let basalt = Basalt::start(folder.path(), &[]);
    assert_eq!(past(&basalt, "west"), want, "after a kill");
}

#[test]
fn a6_a_month_and_a_half_stays_through_month_change_merges_and_restarts() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    let end = START + 45 * DAY_S;
    let name = labels(&[("__name__", "temperature"), ("room", "1")]);
    put(&basalt, &name, (START, end, 600), |time| (time % 7919) as f64);
    let samples = 45 * DAY_S / 600;
    let (start_text, end_text) = (START.to_string(), end.to_string());
    let look = |basalt: &Basalt| {
        assert_eq!(number(basalt, "count_over_time(temperature[45d])", end), samples as f64);
        let range = [("start", start_text.as_str()), ("end", end_text.as_str()), ("step", "600"), ("nocache", "1")];
        bytes(basalt, "/api/v1/query_range", &[&[("query", "temperature")][..], &range].concat())
    };
    let want = look(&basalt);
    basalt.ok("/internal/force_flush");
    assert_eq!(look(&basalt), want, "from parts of days");
    basalt.ok("/internal/force_merge?wait=1");
    assert_eq!(look(&basalt), want, "from merged parts");
    basalt.stop();
    let basalt = Basalt::start(folder.path(), &[]);
    assert_eq!(look(&basalt), want, "after a stop");
}

/// A month of GPUs at 30 s.
const GPUS: i64 = 16;
const MONTH: (i64, i64, i64) = (START, START + 30 * DAY_S - 30, 30);
const ALLOWED_BYTES: u64 = 64 << 20;
/// `-memory.allowedBytes` is by default 60 % of what the process may take.
const CAP_BYTES: u64 = ALLOWED_BYTES * 100 / 60;
/// Long questions about the month, while it is merged.
const ROUNDS: usize = 3;

#[test]
fn a4_a5_card_hours_of_a_month_stay_below_the_cap_while_merges_and_writes_go_on() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[&format!("-memory.allowedBytes={ALLOWED_BYTES}")]);
    for gpu in 0..GPUS {
        let name = labels(&[("__name__", "DCGM_FI_DEV_GPU_UTIL"), ("gpu", &gpu.to_string()), ("cluster", "east")]);
        put(&basalt, &name, MONTH, |time| if (time / 3600 + gpu) % 2 == 0 { 100.0 } else { 0.0 });
        if gpu % 5 == 4 {
            basalt.ok("/internal/force_flush");
        }
    }
    let end = MONTH.1;
    let (over, peak, written) = (AtomicBool::new(false), AtomicU64::new(0), AtomicI64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let now = basalt.process.anon_rss_bytes().expect("it runs");
                peak.fetch_max(now, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(2));
            }
        });
        scope.spawn(|| {
            let name = labels(&[("__name__", "canary")]);
            while !over.load(Ordering::SeqCst) {
                let time = (START + written.load(Ordering::SeqCst)) * 1000;
                assert_eq!(basalt.write(&series(&name, [(time, 1.0)].into_iter())).status, 204);
                written.fetch_add(1, Ordering::SeqCst);
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                basalt.ok("/internal/force_merge?wait=1");
            }
        });
        for _ in 0..ROUNDS {
            let hours = "sum(sum_over_time((DCGM_FI_DEV_GPU_UTIL > 0)[30d:1h]))/100";
            assert_eq!(number(&basalt, hours, end), (GPUS * 360) as f64, "every card works each second hour");
            let mean = number(&basalt, "sum(avg_over_time(DCGM_FI_DEV_GPU_UTIL[30d]))", end);
            assert!((mean - (GPUS * 50) as f64).abs() < 0.01, "{mean}");
            let (start, end) = (START.to_string(), end.to_string());
            let range = [("start", start.as_str()), ("end", end.as_str()), ("step", "1h"), ("nocache", "1")];
            let query = [("query", "sum by (cluster) (sum_over_time(DCGM_FI_DEV_GPU_UTIL[1h]))")];
            let by_hour = good(&basalt, "/api/v1/query_range", &[&query[..], &range].concat());
            assert_eq!(by_hour["data"]["result"][0]["values"].as_array().map(Vec::len), Some(720));
            // All samples at once: the answer, or a refusal that names the limit.
            let all = basalt.get(&address("/api/v1/query", &[("query", "DCGM_FI_DEV_GPU_UTIL[30d]"), ("time", &end)]));
            assert!(all.status == 200 || (all.status == 422 && all.text().contains("memory")), "{}", all.status);
        }
        over.store(true, Ordering::SeqCst);
    });
    let peak = peak.into_inner();
    assert!(peak <= CAP_BYTES, "{peak} bytes of memory, the cap is {CAP_BYTES}");
    let written = written.into_inner();
    let seen = number(&basalt, &format!("count_over_time(canary[{written}s])"), START + written - 1);
    assert_eq!(seen as i64, written, "every sample that was written meanwhile");
    println!(
        "{} MiB of memory at most, {} MiB allowed; {written} samples written meanwhile",
        peak >> 20,
        CAP_BYTES >> 20
    );
}

const CLUSTERS: usize = 40;
const PODS_PER_CLUSTER: usize = 50;
const METRICS: [&str; 6] = ["up", "cpu", "memory", "restarts", "sent", "received"];
/// What selectors over all series may add to the process.
const SPLIT_BYTES_MAX: u64 = 64 << 20;

#[test]
fn a8_pods_of_one_cluster_are_split_off_by_name() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-search.latencyOffset=0s"]);
    for cluster in 0..CLUSTERS {
        let mut body = Vec::new();
        for pod in 0..PODS_PER_CLUSTER {
            for metric in METRICS {
                let pod = format!("team-c{cluster:04}-{pod}");
                let label = if pod.ends_with('7') { "exported_pod" } else { "pod" };
                let name = labels(&[("__name__", metric), (label, &pod), ("job", "kubernetes-pods")]);
                body.extend(series(&name, [(START * 1000, 1.0), (START * 1000 + 15_000, 2.0)].into_iter()));
            }
        }
        assert_eq!(basalt.write(&body).status, 204);
    }
    let (start, end) = (START.to_string(), (START + 60).to_string());
    let range = [("start", start.as_str()), ("end", end.as_str())];
    for place in ["memory", "disk"] {
        let before = basalt.process.anon_rss_bytes().expect("it runs");
        for (label, pods) in [("pod", 45), ("exported_pod", 5)] {
            let selector = format!("{{__name__=~\".+\",{label}=~\".*c0023.*\"}}");
            let match_all = [&[("match[]", selector.as_str())][..], &range].concat();
            let found = good(&basalt, "/api/v1/series", &match_all);
            assert_eq!(found["data"].as_array().map(Vec::len), Some(pods * METRICS.len()), "{place}: {selector}");
            let federated = basalt.ok(&address("/federate", &match_all));
            assert_eq!(federated.lines().count(), pods * METRICS.len(), "{place}: {selector}");
            assert!(federated.lines().all(|line| line.contains("c0023")), "{place}: {selector}");
            let exported = basalt.ok(&address("/api/v1/export", &match_all));
            assert_eq!(exported.lines().count(), pods * METRICS.len(), "{place}: {selector}");
        }
        let after = basalt.process.anon_rss_bytes().expect("it runs");
        assert!(after < before + SPLIT_BYTES_MAX, "{place}: from {before} to {after} bytes");
        basalt.ok("/internal/force_flush");
    }
    let query = [("query", "{__name__=~\".+\"}"), ("time", end.as_str())];
    let other = self::folder();
    let limited = Basalt::start(other.path(), &["-search.maxUniqueTimeseries=1"]);
    put(&limited, &labels(&[("__name__", "a")]), (START, START + 60, 15), |_| 1.0);
    put(&limited, &labels(&[("__name__", "b")]), (START, START + 60, 15), |_| 1.0);
    let why = refusal(&limited, "/api/v1/query", &query, 422);
    assert!(why.contains('1') && why.contains("series"), "{why}");
}
