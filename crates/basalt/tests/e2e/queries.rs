//! Queries of dashboards and backends over real data: the answers look, field by field, as VictoriaMetrics' do.

use serde_json::{Value, json};
use testkit::http::Response;

use crate::{
    server::{Basalt, folder},
    wire::{BodyWriter, labels},
};

/// 2026-01-02T00:00:00Z
pub const START: i64 = 1_767_312_000;
/// Where the samples end: 2601 of them, one each 15 s.
pub const END: i64 = START + 39_000;
const STEP: i64 = 15;
const NODES: usize = 12;
const PODS: usize = 10;

/// A small cluster: nodes, pods, what they ask for, and a counter.
pub fn cluster(flags: &[&str]) -> (tempfile::TempDir, Basalt) {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), flags);
    assert_eq!(basalt.write(&body_of_a_cluster()).status, 204);
    (folder, basalt)
}

/// What is written for it.
pub fn body_of_a_cluster() -> Vec<u8> {
    let mut body = BodyWriter::default();
    let column = |value: &dyn Fn(i64) -> f64| -> Vec<(i64, f64)> {
        (START..=END).step_by(STEP as usize).map(|time| (time * 1000, value(time - START))).collect()
    };
    for node in 0..NODES {
        let node = format!("node-{node:02}");
        let info = labels(&[("__name__", "kube_node_info"), ("cluster", "east"), ("node", &node)]);
        body.series(&info, &column(&|_| 1.0));
        let counter = labels(&[("__name__", "node_cpu_seconds_total"), ("mode", "user"), ("node", &node)]);
        body.series(&counter, &column(&|since| since as f64 / 4.0));
    }
    for pod in 0..PODS {
        let pod = format!("pod-{pod}");
        for (phase, value) in [("Running", 1.0), ("Failed", 0.0)] {
            let status = [("__name__", "kube_pod_status_phase"), ("phase", phase), ("pod", &pod)];
            body.series(&labels(&status), &column(&|_| value));
        }
        let requests = [
            ("__name__", "kube_pod_container_resource_requests"),
            ("namespace", "shop"),
            ("pod", &pod),
            ("resource", "cpu"),
        ];
        body.series(&labels(&requests), &column(&|_| 0.5));
    }
    body.body
}

/// A path of the API with arguments, which are escaped.
pub fn address(path: &str, arguments: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let pairs: Vec<String> = arguments.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    format!("{path}?{}", pairs.join("&"))
}

/// A good answer as JSON.
pub fn good(basalt: &Basalt, path: &str, arguments: &[(&str, &str)]) -> Value {
    serde_json::from_str(&basalt.ok(&address(path, arguments))).expect("JSON")
}

/// Status and body of any answer.
pub fn answer(basalt: &Basalt, path: &str, arguments: &[(&str, &str)]) -> (u16, Value) {
    let response: Response = basalt.get(&address(path, arguments));
    (response.status, serde_json::from_str(&response.text()).unwrap_or(Value::Null))
}

/// The result of a query at the end of the data.
pub fn at_end(basalt: &Basalt, query: &str) -> Value {
    good(basalt, "/api/v1/query", &[("query", query), ("time", &END.to_string())])["data"]["result"].take()
}

#[test]
fn an_instant_answer_has_the_fields_that_backends_read() {
    let (_folder, basalt) = cluster(&[]);
    let time = END.to_string();
    let arguments = [("query", "kube_node_info"), ("time", time.as_str())];
    let all = good(&basalt, "/api/v1/query", &arguments);
    assert_eq!(all["status"], "success");
    assert!(all.get("isPartial").is_none(), "a single node is never partial and does not say so");
    assert_eq!(all["stats"]["seriesFetched"], "12", "a string, for reasons of history");
    assert!(all["stats"]["executionTimeMsec"].is_u64());
    assert_eq!(all["data"]["resultType"], "vector");
    let result = all["data"]["result"].as_array().expect("a list");
    assert_eq!(result.len(), NODES);
    let first =
        json!({"metric": {"__name__": "kube_node_info", "cluster": "east", "node": "node-00"}, "value": [END, "1"]});
    assert_eq!(result[0], first);

    let text = basalt.ok(&address("/prometheus/api/v1/query", &arguments));
    let start = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"kube_node_info","cluster":"east","node":"#;
    assert!(text.starts_with(start), "{text}");
    let form = format!("query=kube_node_info&time={END}");
    let posted = basalt.client().post("/api/v1/query", "application/x-www-form-urlencoded", None, form.as_bytes());
    let posted: Value = serde_json::from_str(&posted.expect("an answer").text()).expect("JSON");
    assert_eq!(posted["data"], all["data"]);
    assert_eq!(good(&basalt, "/select/0/prometheus/api/v1/query", &arguments)["data"], all["data"]);
}

#[test]
fn without_a_time_it_is_now_in_whole_seconds() {
    let (_folder, basalt) = cluster(&[]);
    for query in ["1", "time()*0+1"] {
        let value = good(&basalt, "/api/v1/query", &[("query", query)])["data"]["result"][0].take();
        assert_eq!(value["metric"], json!({}), "a scalar is a series without labels");
        assert_eq!(value["value"][1], "1");
        assert!(value["value"][0].is_u64(), "{value}");
    }
    let text = good(&basalt, "/api/v1/query", &[("query", "\"text\"")]);
    assert_eq!(text["data"], json!({"resultType": "vector", "result": []}));
}

#[test]
fn a_bare_range_gives_raw_samples_and_no_statistics() {
    let (_folder, basalt) = cluster(&[]);
    let query = r#"kube_node_info{node="node-03"}[1m]"#;
    let all = good(&basalt, "/api/v1/query", &[("query", query), ("time", &END.to_string())]);
    let values: Vec<Value> = (1..=4).map(|n| json!([END - 60 + n * 15, "1"])).collect();
    let metric = json!({"__name__": "kube_node_info", "cluster": "east", "node": "node-03"});
    let result = json!([{"metric": metric, "values": values}]);
    assert_eq!(all, json!({"status": "success", "data": {"resultType": "matrix", "result": result}}));
}

#[test]
fn a_range_answer_has_every_point_of_every_series() {
    let (_folder, basalt) = cluster(&[]);
    let (start, end) = ((START + 600).to_string(), (START + 3600).to_string());
    let arguments = [("query", "kube_node_info"), ("start", &start), ("end", &end), ("step", "15s")];
    let all = good(&basalt, "/api/v1/query_range", &arguments);
    assert_eq!(all["data"]["resultType"], "matrix");
    assert_eq!(all["stats"]["seriesFetched"], "12");
    let result = all["data"]["result"].as_array().expect("a list");
    let points: usize = result.iter().map(|series| series["values"].as_array().expect("points").len()).sum();
    assert_eq!(points, 12 * 201);
    assert_eq!(result[11]["values"][200], json!([START + 3600, "1"]));
}

#[test]
fn the_join_of_the_capacity_board_is_one_series() {
    let (_folder, basalt) = cluster(&[]);
    let join = concat!(
        r#"sum(kube_pod_status_phase{phase="Running"} * on (pod) group_left(namespace, resource) "#,
        r#"sum(kube_pod_container_resource_requests{resource="cpu"}) by (pod)) by (resource)"#,
    );
    let (start, end) = (START.to_string(), END.to_string());
    let range = [("start", start.as_str()), ("end", end.as_str()), ("step", "15")];
    let all = good(&basalt, "/api/v1/query_range", &[&[("query", join)][..], &range].concat());
    let result = all["data"]["result"].as_array().expect("a list");
    assert_eq!(result.len(), 1);
    assert_eq!(result[0]["metric"], json!({}));
    let values = result[0]["values"].as_array().expect("points");
    assert_eq!(values.len(), 2601);
    assert!(values.iter().all(|point| point[1] == "5"));

    let slip = join.replace("\"Running\"}", "\"Running\"}>");
    let (status, error) = answer(&basalt, "/api/v1/query_range", &[&[("query", slip.as_str())][..], &range].concat());
    assert_eq!((status, &error["status"], &error["errorType"]), (400, &json!("error"), &json!("400")));
    assert!(error["error"].as_str().is_some_and(|why| why.contains("column")), "{error}");
}

#[test]
fn errors_have_the_codes_of_victoriametrics() {
    let (_folder, basalt) = cluster(&["-search.maxPointsPerTimeseries=100"]);
    let (start, end) = (START.to_string(), END.to_string());
    let range =
        |step| vec![("query", "kube_node_info"), ("start", start.as_str()), ("end", end.as_str()), ("step", step)];
    for (path, arguments, status, part) in [
        ("/api/v1/query", vec![], 400, "missing `query` arg"),
        ("/api/v1/query", vec![("query", "sum(")], 400, "line 1, column 5"),
        ("/api/v1/query", vec![("query", "up"), ("time", "x")], 400, "time"),
        ("/api/v1/query", vec![("query", "up"), ("step", "0")], 400, "out of allowed range"),
        ("/api/v1/query_range", range("15"), 422, "too many points for the given start="),
        ("/api/v1/query", vec![("query", r#"label_replace(up,"a","b","c","(")"#)], 422, ""),
    ] {
        let (got, error) = answer(&basalt, path, &arguments);
        assert_eq!(got, status, "{error}");
        assert_eq!((&error["status"], &error["errorType"]), (&json!("error"), &json!(status.to_string())));
        assert!(error["error"].as_str().is_some_and(|why| why.contains(part)), "{error}");
    }
}

#[test]
fn long_ranges_are_aligned_unless_the_request_says_no() {
    let (_folder, basalt) = cluster(&[]);
    let first = |arguments: &[(&str, &str)]| {
        let all = good(&basalt, "/api/v1/query_range", arguments);
        all["data"]["result"][0]["values"][0][0].as_i64().expect("a whole time") - START
    };
    let (start, end) = ((START + 610).to_string(), (START + 610 + 60 * 60).to_string());
    let arguments = [("query", "sum(kube_node_info)"), ("start", &start), ("end", &end), ("step", "60")];
    assert_eq!(first(&arguments), 600, "61 points: moved to a multiple of the step");
    assert_eq!(first(&[&arguments[..], &[("nocache", "1")]].concat()), 610);
    let few = (START + 610 + 60 * 40).to_string();
    assert_eq!(first(&[&arguments[..2], &[("end", few.as_str()), ("step", "60")]].concat()), 610, "41 points stay");
}

#[test]
fn arguments_of_victoriametrics_have_their_effect() {
    let (_folder, basalt) = cluster(&[]);
    let time = END.to_string();
    let ask = |query: &str, more: &[(&str, &str)]| {
        good(&basalt, "/api/v1/query", &[&[("query", query), ("time", time.as_str())][..], more].concat())
    };
    let count = |answer: &Value| answer["data"]["result"].as_array().expect("a list").len();
    assert_eq!(count(&ask("kube_node_info", &[("extra_label", "node=node-01")])), 1);
    let filters = [("extra_filters[]", r#"{node=~"node-0[12]"}"#), ("extra_filters[]", r#"{node="node-05"}"#)];
    assert_eq!(count(&ask("kube_node_info", &filters)), 3, "one of the filters must hold");
    assert_eq!(count(&ask("kube_node_info", &[&filters[..], &[("extra_label", "node=node-01")]].concat())), 1);
    assert_eq!(count(&ask("kube_node_info", &[("limit", "5")])), 5);
    assert_eq!(ask("1/3", &[("round_digits", "2")])["data"]["result"][0]["value"][1], "0.33");
    let trace = &ask("kube_node_info", &[("trace", "1")])["trace"];
    assert!(trace["duration_msec"].is_number() && trace["message"].is_string(), "{trace}");
    let late = (END + 200).to_string();
    let lookback = |more: &[(&str, &str)]| {
        let arguments = [&[("query", "kube_node_info"), ("time", late.as_str())][..], more].concat();
        count(&good(&basalt, "/api/v1/query", &arguments))
    };
    assert_eq!((lookback(&[]), lookback(&[("max_lookback", "1m")])), (NODES, 0));
    for time in ["2026-01-02T10:50:00Z", "1767351000000", "1767351000000000", "1767351000"] {
        let arguments = [("query", "time()"), ("time", time)];
        let value = good(&basalt, "/api/v1/query", &arguments)["data"]["result"][0]["value"].take();
        assert_eq!(value, json!([END, END.to_string()]), "{time}");
    }
}

#[test]
fn answers_are_packed_as_the_client_takes_them() {
    let (_folder, basalt) = cluster(&[]);
    let path = address(
        "/api/v1/query_range",
        &[("query", "kube_node_info"), ("start", &START.to_string()), ("end", &END.to_string()), ("step", "15")],
    );
    let plain = basalt.ok(&path);
    assert!(plain.len() > 256 << 10, "it is long enough to be a stream");
    for (name, first) in [("gzip", [0x1f, 0x8b]), ("zstd", [0x28, 0xb5])] {
        let packed = basalt.client().request("GET", &path, &[("Accept-Encoding", name)], b"").expect("an answer");
        assert_eq!(packed.header("content-encoding"), Some(name));
        assert_eq!(packed.body[..2], first);
        assert!(packed.body.len() < plain.len() / 4, "{name}: {} of {}", packed.body.len(), plain.len());
    }
}

#[test]
fn expressions_are_printed_and_expanded() {
    let (_folder, basalt) = cluster(&[]);
    let query = [("query", "WITH (x = {job=\"a\"}) sum(rate(m{x}[5m]))by(job)")];
    let pretty = good(&basalt, "/prettify-query", &query);
    assert!(
        pretty["status"] == "success" && pretty["query"].as_str().is_some_and(|text| text.starts_with("WITH (")),
        "{pretty}"
    );
    let expanded = good(&basalt, "/expand-with-exprs", &[query[0], ("format", "json")]);
    assert_eq!(expanded["expr"], r#"sum(rate(m{job="a"}[5m])) by(job)"#);
    let formatted = good(&basalt, "/api/v1/format_query", &[("query", "foo/bar")]);
    assert_eq!(formatted, json!({"status": "success", "data": "foo / bar"}));
    let tree = good(&basalt, "/api/v1/parse_query", &[("query", "foo/bar")]);
    assert_eq!(tree["data"]["op"], "/");
    assert_eq!(good(&basalt, "/prettify-query", &[("query", "sum(")])["status"], "error");
}

#[test]
fn queries_are_listed_and_counted() {
    // By default queries of less than a millisecond are not remembered.
    let (_folder, basalt) = cluster(&["-search.queryStats.minQueryDuration=0"]);
    for _ in 0..3 {
        at_end(&basalt, "sum(kube_node_info)");
    }
    let top = good(&basalt, "/api/v1/status/top_queries", &[("topN", "1")]);
    assert_eq!(top["topByCount"][0]["query"], "sum(kube_node_info)");
    assert_eq!(top["topByCount"][0]["count"], 3);
    assert_eq!(good(&basalt, "/api/v1/status/active_queries", &[]), json!({"status": "ok", "data": []}));
    let cancelled = basalt.client().post("/api/v1/admin/cancel?id=00000000000000FF", "", None, b"").expect("an answer");
    assert_eq!(cancelled.status, 404, "no such query");
    assert!(basalt.metric("basalt_queries_total") >= 3.0);
    assert_eq!(basalt.get("/internal/resetRollupResultCache").status, 200);
}
