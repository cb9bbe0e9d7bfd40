//! What changes on storages is seen by whoever kept an answer, and is done by all of them or by none.

use super::{
    nodes::{Nodes, Shape},
    selects::{SAMPLES, TIME_S, body, end_s, insert, loaded, select},
};
use testkit::proxy::Link;

use crate::{prometheus::wait_until, queries::address, server::Basalt};

/// How many series a query finds at each instant of a range, from what is kept where that is allowed.
fn series_found(node: &Basalt, more: &[(&str, &str)]) -> f64 {
    let (start, end) = (TIME_S.to_string(), end_s().to_string());
    let range = [("query", "max(count(work))"), ("start", &start), ("end", &end), ("step", "60")];
    let path = address("/select/0/prometheus/api/v1/query_range", &[&range[..], more].concat());
    let answer: serde_json::Value = serde_json::from_str(&node.ok(&path)).expect("an answer in JSON");
    assert_eq!(answer["isPartial"], false, "{answer}");
    let values = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let value = |point: &serde_json::Value| point[1].as_str().and_then(|text| text.parse::<f64>().ok());
    values.iter().filter_map(value).fold(0.0, f64::max)
}

#[test]
fn a_storage_that_was_restarted_makes_kept_answers_old() {
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 1, copies: 1 });
    for (life, series) in [5, 10, 15].into_iter().enumerate() {
        let answer = insert(&nodes).write(&body(series - 5..series, SAMPLES));
        assert_eq!(answer.status, 204, "{}", answer.text());
        // The second time it is kept.
        for _ in 0..2 {
            assert_eq!(series_found(select(&nodes), &[]), series as f64, "life {life}");
        }
        if life % 2 == 0 {
            nodes.storages[0].stop();
        } else {
            nodes.storages[0].kill9();
        }
        nodes.storages[0].start(&[]);
        wait_until("the insert sees it", || nodes.is_settled());
    }
}

#[test]
fn kept_answers_serve_while_a_storage_is_away_and_not_beyond_what_the_others_have() {
    let nodes = loaded(Shape { inserts: 1, storages: 2, copies: 2 });
    let ask = || {
        let (start, end) = (TIME_S.to_string(), end_s().to_string());
        let range = [("query", "max(count(work))"), ("start", &start), ("end", &end), ("step", "60")];
        let answer = select(&nodes).ok(&address("/select/0/prometheus/api/v1/query_range", &range));
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("an answer in JSON");
        (answer["isPartial"].clone(), answer["data"]["result"].clone())
    };
    let hits = || select(&nodes).metric("vm_rollup_result_cache_full_hits_total");
    let (partial, all) = ask();
    assert_eq!(partial, false);
    let (to_insert, to_select) = (0, nodes.shape.inserts);
    nodes.storages[1].set_link(to_select, Link::Cut);
    wait_until("the select notices", || {
        let before = hits();
        ask() == (false.into(), all.clone()) && hits() > before
    });
    // The one that is left does not get what comes now, and says so as soon as it may lack something.
    nodes.storages[0].set_link(to_insert, Link::Cut);
    let more = insert(&nodes).write(&body(1_000..1_005, SAMPLES));
    assert_eq!(more.status, 204, "{}", more.text());
    let (partial, some) = ask();
    assert_eq!((partial, some), (true.into(), all), "what was acknowledged is where nobody can ask");
}

#[test]
fn a_delete_that_one_storage_refuses_is_done_by_none() {
    let mut nodes = loaded(Shape { inserts: 1, storages: 2, copies: 2 });
    let all = series_found(select(&nodes), &[]);
    nodes.storages[1].stop();
    // It takes nothing now.
    nodes.storages[1].start(&["-storage.minFreeDiskSpaceBytes=1000000000000000"]);
    wait_until("both are whole", || nodes.is_settled());
    let path = "/delete/0/prometheus/api/v1/admin/tsdb/delete_series?match[]=work";
    let refused = select(&nodes).client().post(path, "text/plain", None, b"").expect("an answer");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("read-only"), "{}", refused.text());
    for storage in &nodes.storages {
        let node = storage.node.as_ref().expect("it runs");
        let count = node.ok("/api/v1/series/count");
        assert!(count.contains(&format!("[{all}]")), "{count}: one has deleted what the other has not");
    }
    assert_eq!(series_found(select(&nodes), &[("nocache", "1")]), all);
}

#[test]
fn a_select_says_how_often_metrics_are_asked_for() {
    let nodes = loaded(Shape { inserts: 1, storages: 2, copies: 1 });
    let path = "/select/0/prometheus/api/v1/status/metric_names_stats";
    let records = || -> serde_json::Value {
        let answer: serde_json::Value = serde_json::from_str(&select(&nodes).ok(path)).expect("an answer in JSON");
        answer["records"].clone()
    };
    assert_eq!(records()[0]["requestsCount"], 0, "it is stored and was never asked for");
    for _ in 0..3 {
        series_found(select(&nodes), &[("nocache", "1")]);
    }
    let counted = records();
    assert_eq!((&counted[0]["metricName"], &counted[0]["requestsCount"]), (&"work".into(), &3.into()), "{counted}");
    let reset = "/select/0/prometheus/api/v1/admin/status/metric_names_stats/reset";
    assert_eq!(select(&nodes).client().post(reset, "", None, b"").expect("an answer").status, 204);
    assert_eq!(records()[0]["requestsCount"], 0);
}
