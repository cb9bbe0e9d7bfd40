//! How often metrics are asked for, over restarts.

use serde_json::{Value, json};

use crate::{
    queries::{END, START, answer, at_end, cluster, good},
    server::Basalt,
};

/// Name and number of requests of each record.
fn records(basalt: &Basalt, arguments: &[(&str, &str)]) -> Vec<(String, u64)> {
    let all = good(basalt, "/api/v1/status/metric_names_stats", arguments);
    let record = |record: &Value| {
        let asked = record["requestsCount"].as_u64().expect("a number");
        assert_eq!(record["lastRequestTimestamp"].as_u64().expect("a time") > 1_700_000_000, asked > 0);
        (record["metricName"].as_str().expect("a name").to_string(), asked)
    };
    all["records"].as_array().expect("a list").iter().map(record).collect()
}

fn owned(records: &[(&str, u64)]) -> Vec<(String, u64)> {
    records.iter().map(|(name, asked)| (name.to_string(), *asked)).collect()
}

#[test]
fn requests_for_metrics_are_counted_over_restarts() {
    let (folder, basalt) = cluster(&["-search.disableCache"]);
    let never =
        ["kube_node_info", "kube_pod_container_resource_requests", "kube_pod_status_phase", "node_cpu_seconds_total"];
    assert_eq!(records(&basalt, &[]), owned(&never.map(|name| (name, 0))), "all of the store, none asked for");
    at_end(&basalt, "kube_node_info");
    at_end(&basalt, "sum(rate(node_cpu_seconds_total[5m])) + sum(kube_node_info)");
    at_end(&basalt, "count({__name__=~\"kube_pod.+\"})");
    at_end(&basalt, "no_such_metric");
    let end = END.to_string();
    good(&basalt, "/api/v1/series", &[("match[]", "kube_pod_status_phase"), ("start", "0"), ("end", &end)]);
    let want = owned(&[
        ("kube_pod_container_resource_requests", 1),
        ("kube_pod_status_phase", 1),
        ("node_cpu_seconds_total", 1),
        ("kube_node_info", 2),
    ]);
    assert_eq!(records(&basalt, &[]), want, "names of series alone are no request for samples");
    assert_eq!(records(&basalt, &[("le", "1"), ("limit", "2")]), want[..2]);
    assert_eq!(records(&basalt, &[("match_pattern", "^node|info$")]), want[2..]);
    assert_eq!(answer(&basalt, "/api/v1/status/metric_names_stats", &[("le", "x")]).0, 400);
    let tsdb = good(&basalt, "/api/v1/status/tsdb", &[("date", &START.to_string()), ("topN", "9")]);
    let metrics = tsdb["data"]["seriesCountByMetricName"].as_array().expect("a list");
    let info = metrics.iter().find(|one| one["name"] == "kube_node_info").expect("it is there");
    assert_eq!((&info["value"], &info["requestsCount"]), (&json!(12), &json!(2)));

    basalt.stop();
    let basalt = Basalt::start(folder.path(), &[]);
    assert_eq!(records(&basalt, &[]), want, "after a restart");
    let reset = basalt.client().post("/api/v1/admin/status/metric_names_stats/reset", "", None, b"");
    assert_eq!(reset.expect("an answer").status, 204);
    assert!(records(&basalt, &[]).iter().all(|(_, asked)| *asked == 0));
    basalt.stop();
    let basalt = Basalt::start(folder.path(), &["-storage.trackMetricNamesStats=false"]);
    at_end(&basalt, "kube_node_info");
    assert!(records(&basalt, &[]).is_empty(), "nothing is counted");
}
