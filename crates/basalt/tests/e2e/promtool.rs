//! `promtool`, Prometheus' own command line, asks Basalt.

use std::process::Command;

use serde_json::Value;

use crate::{
    prometheus::is_there,
    queries::{END, START, cluster},
    server::Basalt,
};

/// What `promtool query …` prints about Basalt.
fn query(basalt: &Basalt, kind: &[&str], arguments: &[&str]) -> Result<String, String> {
    let server = format!("http://{}/promql", basalt.address);
    let output = Command::new("promtool").arg("query").args(kind).arg(server).args(arguments).output();
    let output = output.expect("promtool runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr) + &text(&output.stdout)) }
}

#[test]
fn promtool_gets_the_answers_that_it_expects() {
    if !is_there("promtool") {
        return;
    }
    let (_folder, basalt) = cluster(&[]);
    let (time, start) = (format!("--time={END}"), format!("--start={}", START + 600));
    let (begin, end) = (format!("--start={START}"), format!("--end={END}"));

    let instant = query(&basalt, &["instant", &time], &["count by (cluster) (kube_node_info)"]);
    assert_eq!(instant, Ok(format!("{{cluster=\"east\"}} => 12 @[{END}]\n")));
    let json = query(&basalt, &["instant", &time, "-o", "json"], &["kube_node_info{node=\"node-03\"}"]);
    let json: Value = serde_json::from_str(&json.expect("an answer")).expect("JSON");
    let points = json.as_array().or_else(|| json["data"]["result"].as_array()).expect("a list");
    assert_eq!((points.len(), &points[0]["value"][1]), (1, &Value::from("1")), "{json}");

    let range = ["range", &start, &end, "--step=60s"];
    let graph = query(&basalt, &range, &["sum(kube_node_info)"]).expect("an answer");
    assert_eq!(graph.lines().filter(|line| line.starts_with("12 @[")).count(), 641, "{graph}");

    let series = query(&basalt, &["series", &begin, &end, "--match=kube_node_info"], &[]).expect("an answer");
    assert_eq!(series.lines().count(), 12);
    assert!(series.contains(r#"{__name__="kube_node_info", cluster="east", node="node-11"}"#), "{series}");
    let labels = query(&basalt, &["labels", &begin, &end], &["phase"]);
    assert_eq!(labels, Ok("Failed\nRunning\n".to_string()));
    let wrong = query(&basalt, &["instant"], &["sum("]).expect_err("a broken query");
    assert!(wrong.contains("bad_data") || wrong.contains("parse error"), "{wrong}");
}
