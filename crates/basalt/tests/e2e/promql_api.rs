//! The API as Prometheus 3 speaks it: under `/promql`, by argument, or by flag.

use serde_json::json;

use crate::{
    queries::{END, START, answer, cluster, good},
    server::{Basalt, folder},
};

#[test]
fn results_have_the_types_of_prometheus() {
    let (_folder, basalt) = cluster(&[]);
    let time = format!("{END}.5");
    let ask = |path: &str, query: &str| good(&basalt, path, &[("query", query), ("time", time.as_str())]);
    let path = "/promql/api/v1/query";
    let at = json!(END as f64 + 0.5);
    assert_eq!(
        ask(path, "1e21"),
        json!({"status": "success", "data": {"resultType": "scalar", "result": [at, "1000000000000000000000"]}})
    );
    assert_eq!(ask(path, "\"x\"")["data"], json!({"resultType": "string", "result": [at, "x"]}));
    assert_eq!(ask(path, "vector(0/0)")["data"]["result"], json!([{"metric": {}, "value": [at, "NaN"]}]));
    assert_eq!(ask(path, "kube_node_info[30s]")["data"]["resultType"], "matrix");
    assert!(ask(path, "kube_node_info").get("stats").is_none());
    let stats = good(&basalt, path, &[("query", "kube_node_info"), ("time", &time), ("stats", "all")]);
    assert!(stats["data"]["stats"]["samples"]["totalQueryableSamples"].is_u64());
    let by_argument = [("query", "1"), ("time", time.as_str()), ("dialect", "promql")];
    assert_eq!(good(&basalt, "/api/v1/query", &by_argument)["data"]["resultType"], "scalar");
    assert_eq!(good(&basalt, "/select/0/promql/api/v1/query", &by_argument[..2])["data"]["resultType"], "scalar");
    assert_eq!(ask("/api/v1/query", "1")["data"]["resultType"], "vector", "the other dialect is the default");
    assert_eq!(answer(&basalt, "/api/v1/query", &[("query", "1"), ("dialect", "logql")]).0, 400);
}

#[test]
fn the_flag_chooses_the_dialect_of_all_paths() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-search.dialect=promql"]);
    assert_eq!(good(&basalt, "/api/v1/query", &[("query", "1")])["data"]["resultType"], "scalar");
    let other = good(&basalt, "/api/v1/query", &[("query", "1"), ("dialect", "metricsql")]);
    assert_eq!(other["data"]["resultType"], "vector");
}

#[test]
fn errors_have_the_types_and_words_of_prometheus() {
    let (_folder, basalt) = cluster(&[]);
    let (query, range) = ("/promql/api/v1/query", "/promql/api/v1/query_range");
    let (start, end) = (START.to_string(), END.to_string());
    let spanned = |more: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> {
        [&[("query", "up"), ("start", start.as_str()), ("end", end.as_str())][..], more].concat()
    };
    for (path, arguments, status, kind, why) in [
        (query, vec![("query", "sum(")], 400, "bad_data", "invalid parameter \"query\": 1:5: parse error:"),
        (
            query,
            vec![("query", "up"), ("time", "soon")],
            400,
            "bad_data",
            "invalid parameter \"time\": cannot parse \"soon\" to a valid timestamp",
        ),
        (
            query,
            vec![("query", "up"), ("timeout", "x")],
            400,
            "bad_data",
            "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration",
        ),
        (
            query,
            vec![("query", "up"), ("limit", "-1")],
            400,
            "bad_data",
            "invalid parameter \"limit\": limit must be non-negative",
        ),
        (
            query,
            vec![("query", "up"), ("lookback_delta", "x")],
            400,
            "bad_data",
            "error parsing lookback delta duration",
        ),
        (
            query,
            vec![("query", "kube_node_info * on(cluster) kube_node_info"), ("time", "1767351000")],
            422,
            "execution",
            "found duplicate series for the match group",
        ),
        (
            range,
            vec![("query", "up")],
            400,
            "bad_data",
            "invalid parameter \"start\": cannot parse \"\" to a valid timestamp",
        ),
        (range, spanned(&[]), 400, "bad_data", "invalid parameter \"step\""),
        (
            range,
            spanned(&[("step", "0")]),
            400,
            "bad_data",
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted",
        ),
        (
            range,
            spanned(&[("step", "1")]),
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries",
        ),
        ("/promql/api/v1/series", vec![], 400, "bad_data", "no match[] parameter provided"),
        ("/promql/api/v1/labels", vec![("start", "x")], 400, "bad_data", "invalid parameter \"start\""),
    ] {
        let (got, error) = answer(&basalt, path, &arguments);
        assert_eq!((got, &error["status"], &error["errorType"]), (status, &json!("error"), &json!(kind)), "{error}");
        assert!(error["error"].as_str().is_some_and(|text| text.starts_with(why)), "{error}");
    }
}

#[test]
fn ranges_are_not_moved_and_labels_are_of_all_time() {
    let (_folder, basalt) = cluster(&[]);
    let (start, end) = ((START + 610).to_string(), (START + 610 + 6000).to_string());
    let arguments = [("query", "sum(kube_node_info)"), ("start", &start), ("end", &end), ("step", "60")];
    let all = good(&basalt, "/promql/api/v1/query_range", &arguments);
    assert_eq!(all["data"]["result"][0]["values"][0], json!([START + 610, "12"]));
    let none = good(&basalt, "/api/v1/label/node/values", &[("match[]", "kube_node_info")]);
    assert_eq!(none["data"], json!([]), "VictoriaMetrics means today");
    let limited = good(&basalt, "/promql/api/v1/label/node/values", &[("match[]", "kube_node_info"), ("limit", "2")]);
    assert_eq!(limited["data"], json!(["node-00", "node-01"]));
    assert_eq!(limited["warnings"], json!(["results truncated due to limit"]));
    let cut = good(
        &basalt,
        "/promql/api/v1/query",
        &[("query", "kube_node_info"), ("time", &END.to_string()), ("limit", "2")],
    );
    assert_eq!(cut["data"]["result"].as_array().map(Vec::len), Some(2));
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));
}

#[test]
fn how_far_a_query_looks_back_can_be_said() {
    let (_folder, basalt) = cluster(&[]);
    let ask = |after: i64, more: &[(&str, &str)]| {
        let time = (END + after).to_string();
        let arguments = [&[("query", "count(kube_node_info)"), ("time", time.as_str())][..], more].concat();
        good(&basalt, "/promql/api/v1/query", &arguments)["data"]["result"].as_array().expect("a list").len()
    };
    assert_eq!((ask(299, &[]), ask(300, &[])), (1, 0), "five minutes, open to the left");
    assert_eq!((ask(60, &[("lookback_delta", "1m")]), ask(59, &[("lookback_delta", "1m")])), (0, 1));
}
