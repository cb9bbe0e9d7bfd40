//! What is asked of a select beside queries has the answers of a single node with the same samples, with one copy of each series and with two.

use testkit::http::Response;

use super::{Cluster, json, same};
use crate::{
    queries::{END, START, address},
    remote_read,
    server::{Basalt, folder},
    wire::{BodyWriter, field, labels},
};

const SERIES: usize = 120;
const STEP: i64 = 60;
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Samples of one half of the time, and what is told about their metrics: series whose values no float holds, some of which end with a marker.
fn body(times: std::ops::Range<i64>) -> Vec<u8> {
    let mut body = BodyWriter::default();
    for number in 0..SERIES {
        let (name, group) = (number.to_string(), (number % 7).to_string());
        let named = [("__name__", "asked"), ("group", group.as_str()), ("number", &name)];
        let odd = [("__name__", "asked:odd"), ("a\"b", "c\\d\n"), ("number", &name)];
        let value = |time: i64| 0.1 * number as f64 + (time - START) as f64 / 7.0;
        let mut samples: Vec<(i64, f64)> =
            times.clone().step_by(STEP as usize).map(|time| (time * 1000 + number as i64, value(time))).collect();
        if number % 5 == 0 {
            samples.push((times.end * 1000 - 1, STALE));
        }
        body.series(&labels(&named), &samples);
        if number % 3 == 0 {
            body.series(&labels(&odd), &samples[..3]);
        }
    }
    for (kind, metric) in [(1, "asked"), (2, "asked:odd"), (2, "only_told")] {
        let help = format!("How many {metric}.");
        let told = [&[0x08, kind][..], &field(0x12, metric.as_bytes()), &field(0x22, help.as_bytes())].concat();
        body.body.extend(field(0x1a, &told));
    }
    body.body
}

/// A single node and a cluster with the same samples, the older ones on disk.
fn beside(copies: usize) -> (tempfile::TempDir, Basalt, Cluster) {
    let single_folder = folder();
    let single = Basalt::start(single_folder.path(), &["-search.latencyOffset=0s"]);
    let cluster = Cluster::start(3, copies, false);
    let middle = START + (END - START) / 2;
    for times in [START..middle, middle..END] {
        for node in [&single, &cluster.insert] {
            let answer = node.write(&body(times.clone()));
            assert_eq!(answer.status, 204, "{}", answer.text());
        }
        if times.end == middle {
            for node in [&single, &cluster.select] {
                node.ok("/internal/force_flush");
            }
        }
    }
    (single_folder, single, cluster)
}

fn asked(node: &Basalt, path: &str) -> Response {
    let answer = node.client().get(path).expect("an answer");
    assert!(answer.is_success(), "{path}: {} {}", answer.status, answer.text());
    answer
}

fn check_against_single(copies: usize) {
    let (_folder, single, cluster) = beside(copies);
    let (start, end) = (START.to_string(), END.to_string());
    let range = [("start", start.as_str()), ("end", end.as_str())];
    let with = |path: &str, more: &[(&str, &str)]| address(path, &[&range[..], more].concat());
    let day = ("date", "2026-01-02");
    let mut wrong = Vec::new();
    // A cluster adds up the longest lists of its nodes, which is exact where nothing is cut off.
    let whole = ("topN", "1000");
    // Statistics say when something was asked for, and come first for that reason.
    let data = [
        address("/api/v1/status/tsdb", &[day, whole]),
        address("/api/v1/status/tsdb", &[day, whole, ("focusLabel", "group"), ("match[]", "asked")]),
        with("/api/v1/labels", &[]),
        with("/api/v1/labels", &[("match[]", "asked"), ("limit", "2")]),
        with("/api/v1/label/number/values", &[]),
        with("/api/v1/label/number/values", &[("match[]", "{group=\"3\"}"), ("match[]", "asked:odd")]),
        with("/api/v1/label/__name__/values", &[("limit", "1")]),
        with("/api/v1/series", &[("match[]", "{__name__=~\"asked.*\",number=~\"1.\"}")]),
        with("/api/v1/series", &[("match[]", "asked:odd"), ("match[]", "asked{group=\"1\"}"), ("limit", "30")]),
        with("/api/v1/series/count", &[]),
        "/api/v1/metadata".to_string(),
        "/api/v1/metadata?metric=asked:odd".to_string(),
        "/api/v1/metadata?limit=2".to_string(),
        "/api/v1/status/metric_names_stats".to_string(),
    ];
    for path in &data {
        let [mut one, mut other] = [&single, &cluster.select].map(|node| json(&asked(node, path)));
        for answer in [&mut one, &mut other] {
            // A cluster says of each label how many values the node with the most has.
            answer["data"].as_object_mut().and_then(|data| data.remove("labelValueCountByLabelName"));
        }
        if !same(&one["data"], &other["data"]) || !same(&one["records"], &other["records"]) {
            wrong.push(format!("{path}\n  {one}\n  {other}"));
        }
    }
    let all = "{__name__!=\"\"}";
    let fields = "__name__,number,a\"b,__timestamp__:unix_ms,__value__";
    let raw = [
        with("/federate", &[("match[]", "asked"), ("match[]", "asked:odd{number=~\"3.\"}")]),
        address("/federate", &[("match[]", all), ("max_lookback", "2h"), ("time", &end)]),
        with("/api/v1/export", &[("match[]", all)]),
        with("/api/v1/export", &[("match[]", all), ("reduce_mem_usage", "1")]),
        with("/api/v1/export", &[("match[]", "asked{group=\"2\"}"), ("max_rows_per_line", "100")]),
        with("/api/v1/export/csv", &[("match[]", all), ("format", fields)]),
        with("/api/v1/export/native", &[("match[]", all)]),
    ];
    for path in &raw {
        let [one, other] = [&single, &cluster.select].map(|node| asked(node, path));
        let type_of = |answer: &Response| answer.header("content-type").map(str::to_string);
        if one.body != other.body || type_of(&one) != type_of(&other) {
            wrong.push(format!("{path}: {} and {} bytes", one.body.len(), other.body.len()));
        }
    }
    for metric in ["asked", "asked:odd", "nothing"] {
        for kinds in [&[0][..], &[1, 0]] {
            let [one, other] = [&single, &cluster.select].map(|node| remote_read::read(node, metric, kinds));
            assert!(one.is_success(), "{} {}", one.status, one.text());
            if (one.status, one.header("content-type"), &one.body)
                != (other.status, other.header("content-type"), &other.body)
            {
                wrong.push(format!("remote read of {metric} as {kinds:?}: {} {}", other.status, other.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn lists_exports_and_readers_get_from_three_storages_what_one_node_gives() {
    check_against_single(1);
}

#[test]
fn lists_exports_and_readers_get_from_two_copies_what_one_node_gives() {
    check_against_single(2);
}

#[test]
fn what_metrics_are_is_said_to_lack_something_where_it_may() {
    for copies in [1, 2] {
        let mut cluster = Cluster::start(3, copies, false);
        assert_eq!(cluster.insert.write(&body(START..START + 4 * STEP)).status, 204);
        let whole = json(&asked(&cluster.select, "/api/v1/metadata"));
        assert_eq!(whole["isPartial"], false);
        cluster.storages[1].kill9();
        let some = json(&asked(&cluster.select, "/api/v1/metadata"));
        let denied = cluster.select.get("/api/v1/metadata?deny_partial_response=1");
        if copies == 2 {
            assert_eq!((&some, denied.status), (&whole, 200), "the others have all of it");
        } else {
            assert_eq!((&some["isPartial"], denied.status), (&true.into(), 503), "{}", denied.text());
            assert!(denied.text().contains("1 of 3 storage nodes are missing"), "{}", denied.text());
        }
        cluster.storages[0].kill9();
        cluster.storages[2].kill9();
        let nobody = cluster.select.get("/api/v1/metadata");
        assert_eq!(nobody.status, 503, "{}", nobody.text());
    }
}
