//! What Grafana's Prometheus data source sends: health check, variables, Explore, the metrics browser and the query builder.

use serde_json::{Value, json};

use crate::{
    queries::{END, START, cluster, good},
    server::Basalt,
};

/// Grafana posts forms and names itself in headers.
fn post(basalt: &Basalt, path: &str, form: &str) -> Value {
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Dashboard-Uid", "a1"),
        ("X-Panel-Id", "2"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "Grafana/12.0.0"),
    ];
    let response = basalt.client().request("POST", path, &headers, form.as_bytes()).expect("an answer");
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    serde_json::from_str(&response.text()).expect("JSON")
}

#[test]
fn the_health_check_passes_under_every_prefix() {
    let (_folder, basalt) = cluster(&[]);
    for prefix in ["", "/prometheus", "/select/0/prometheus", "/promql", "/select/0/promql"] {
        let sum = post(&basalt, &format!("{prefix}/api/v1/query"), "query=1%2B1&time=1767351000");
        assert_eq!(sum["status"], "success", "{prefix}");
        let value =
            if prefix.ends_with("promql") { &sum["data"]["result"] } else { &sum["data"]["result"][0]["value"] };
        assert_eq!(value, &json!([END, "2"]), "{prefix}");
        let build = good(&basalt, &format!("{prefix}/api/v1/status/buildinfo"), &[]);
        assert!(build["data"]["version"].is_string(), "{prefix}");
    }
    assert_eq!(good(&basalt, "/api/v1/status/buildinfo", &[])["data"]["version"], "2.24.0");
}

#[test]
fn variables_are_filled() {
    let (_folder, basalt) = cluster(&[]);
    let range = format!("start={START}&end={END}");
    let values = basalt.ok(&format!("/api/v1/label/cluster/values?match[]=kube_node_info&{range}"));
    assert_eq!(values, r#"{"status":"success","data":["east"]}"#);
    let names = post(&basalt, "/api/v1/labels", &format!("{range}&match%5B%5D=kube_node_info"));
    assert_eq!(names["data"], json!(["__name__", "cluster", "node"]));
    let series =
        post(&basalt, "/api/v1/series", &format!("{range}&match%5B%5D=kube_node_info%7Bnode%3D%22node-07%22%7D"));
    assert_eq!(series["data"], json!([{"__name__": "kube_node_info", "cluster": "east", "node": "node-07"}]));
    let result = post(&basalt, "/api/v1/query", &format!("query=topk(2%2C%20kube_node_info)&time={END}"));
    assert_eq!(result["data"]["result"].as_array().map(Vec::len), Some(2), "query_result()");
    let metrics =
        good(&basalt, "/api/v1/label/__name__/values", &[("start", &START.to_string()), ("end", &END.to_string())]);
    assert_eq!(metrics["data"].as_array().map(Vec::len), Some(4));
}

#[test]
fn explore_and_the_metrics_browser_get_their_answers() {
    let (_folder, basalt) = cluster(&[]);
    let form = format!(
        "query=sum%20by%20(node)%20(rate(node_cpu_seconds_total%5B5m%5D))&start={}&end={END}&step=60",
        START + 600
    );
    let graph = post(&basalt, "/api/v1/query_range", &form);
    let series = graph["data"]["result"].as_array().expect("series");
    assert_eq!(series.len(), 12);
    assert!(series.iter().all(|one| one["values"].as_array().is_some_and(|all| all.iter().all(|v| v[1] == "0.25"))));
    let (start, end) = (START.to_string(), END.to_string());
    let exemplars = [("query", "kube_node_info"), ("start", start.as_str()), ("end", end.as_str())];
    assert_eq!(good(&basalt, "/api/v1/query_exemplars", &exemplars), json!({"status": "success", "data": []}));
    assert_eq!(good(&basalt, "/api/v1/metadata", &[("limit", "5000")])["status"], "success");
    assert_eq!(good(&basalt, "/api/v1/rules", &[])["data"], json!({"groups": []}));
    assert_eq!(good(&basalt, "/api/v1/alerts", &[])["data"], json!({"alerts": []}));
    assert_eq!(good(&basalt, "/api/v1/notifiers", &[])["status"], "success");
    for path in ["runtimeinfo", "flags", "config", "tsdb"] {
        assert_eq!(good(&basalt, &format!("/api/v1/status/{path}"), &[])["status"], "success", "{path}");
    }
    let escaped = good(&basalt, "/api/v1/label/U__no_64_e/values", &[("start", &start), ("end", &end)]);
    assert_eq!(escaped["data"].as_array().map(Vec::len), Some(12), "U__no_64_e is node, escaped");
}
