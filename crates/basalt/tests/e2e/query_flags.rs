//! Every `-search.*` flag has an effect that its user can see.

use serde_json::Value;

use crate::{
    queries::{END, START, address, answer, at_end, cluster, good},
    server::{Basalt, PATIENCE},
    wire::{BodyWriter, labels},
};

const STATUS_LIMIT: u16 = 422;
/// Takes longer than a microsecond.
const HEAVY: &str = "sum(quantile_over_time(0.5, {__name__!=\"\"}[10h]))";

/// Fails unless a query of all series is refused with 422 and a word.
fn refused(flag: &str, query: &str, word: &str) {
    let (_folder, basalt) = cluster(&[flag]);
    let time = END.to_string();
    let (status, error) = answer(&basalt, "/api/v1/query", &[("query", query), ("time", &time)]);
    assert_eq!(status, STATUS_LIMIT, "{flag}: {error}");
    assert!(error["error"].as_str().is_some_and(|why| why.contains(word)), "{flag}: {error}");
}

fn count(result: &Value) -> usize {
    result.as_array().expect("a list").len()
}

#[test]
fn limits_are_obeyed_and_named() {
    refused("-search.maxUniqueTimeseries=5", "kube_node_info", "5");
    refused("-search.maxSamplesPerQuery=100", "sum(count_over_time(kube_node_info[1h]))", "-search.maxSamplesPerQuery");
    refused(
        "-search.maxSamplesPerSeries=100",
        "sum(count_over_time(kube_node_info[1h]))",
        "-search.maxSamplesPerSeries",
    );
    refused(
        "-search.maxPointsSubqueryPerTimeseries=10",
        "max_over_time(sum(kube_node_info)[1h:1m])",
        "-search.maxPointsSubqueryPerTimeseries",
    );
    refused("-search.maxMemoryPerQuery=1000", "kube_node_info[10h]", "-search.maxMemoryPerQuery");
    refused("-search.maxResponseSeries=5", "kube_node_info", "-search.maxResponseSeries");
    refused("-search.maxSeriesPerAggrFunc=5", "count by (node) (kube_node_info)", "-search.maxSeriesPerAggrFunc");
    refused("-search.maxQueryLen=10", "kube_node_info", "-search.maxQueryLen");
    refused("-search.disableImplicitConversion", "rate(sum(kube_node_info))", "");
}

#[test]
fn how_far_queries_look_back_is_a_matter_of_flags() {
    for (flags, step, late, want) in [
        (&[][..], "5m", 100, 12),
        (&["-search.maxLookback=1m"], "5m", 100, 0),
        (&["-search.maxStalenessInterval=1m"], "5m", 100, 0),
        (&[], "10s", 100, 0),
        (&["-search.minStalenessInterval=2m"], "10s", 100, 12),
    ] {
        let (_folder, basalt) = cluster(flags);
        let time = (END + late).to_string();
        let arguments = [("query", "kube_node_info"), ("time", time.as_str()), ("step", step)];
        let result = good(&basalt, "/api/v1/query", &arguments)["data"]["result"].take();
        assert_eq!(count(&result), want, "{flags:?}, step {step}, {late} s late");
    }
}

#[test]
fn a_range_may_look_back_one_step_only() {
    for (flags, want) in [(&[][..], 3), (&["-search.setLookbackToStep"], 1)] {
        let (_folder, basalt) = cluster(flags);
        let (start, end) = (END.to_string(), (END + 60).to_string());
        let arguments = [("query", "sum(kube_node_info)"), ("start", start.as_str()), ("end", &end), ("step", "10s")];
        let all = good(&basalt, "/api/v1/query_range", &arguments);
        assert_eq!(count(&all["data"]["result"][0]["values"]), want, "{flags:?}");
    }
}

#[test]
fn results_are_aligned_only_for_the_cache() {
    let (_folder, basalt) = cluster(&["-search.disableCache"]);
    let (start, end) = ((START + 610).to_string(), (START + 610 + 6000).to_string());
    let arguments = [("query", "sum(kube_node_info)"), ("start", &start), ("end", &end), ("step", "60")];
    let all = good(&basalt, "/api/v1/query_range", &arguments);
    assert_eq!(all["data"]["result"][0]["values"][0][0], START + 610);
    good(&basalt, "/api/v1/query_range", &arguments);
    assert_eq!(basalt.metric("vm_cache_entries{type=\"promql/rollupResult\"}"), 0.0);
}

#[test]
fn the_newest_results_are_not_cached() {
    for (flags, cached) in [(&[][..], true), (&["-search.cacheTimestampOffset=100y"], false)] {
        let (_folder, basalt) = cluster(flags);
        let (start, end) = (START.to_string(), (START + 6000).to_string());
        let arguments = [("query", "sum(kube_node_info)"), ("start", &start), ("end", &end), ("step", "60")];
        good(&basalt, "/api/v1/query_range", &arguments);
        assert_eq!(basalt.metric("vm_cache_entries{type=\"promql/rollupResult\"}") > 0.0, cached, "{flags:?}");
    }
}

/// A series with a sample at each of the last minutes, up to now.
fn live(basalt: &Basalt) -> i64 {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let mut body = BodyWriter::default();
    let samples: Vec<(i64, f64)> = (0..600).rev().map(|back| (now - back * 1000, (600 - back) as f64)).collect();
    body.series(&labels(&[("__name__", "live")]), &samples);
    assert_eq!(basalt.write(&body.body).status, 204);
    now
}

#[test]
fn the_newest_samples_are_seen_after_the_latency_offset() {
    for (flag, unseen) in [("-search.latencyOffset=2m", 120.0), ("-search.latencyOffset=0s", 0.0)] {
        let (_folder, basalt) = cluster(&[flag]);
        let now = live(&basalt);
        let time = format!("{}", now as f64 / 1e3);
        let value = |more: &[(&str, &str)]| {
            let arguments = [&[("query", "live"), ("time", time.as_str())][..], more].concat();
            let point = good(&basalt, "/api/v1/query", &arguments)["data"]["result"][0]["value"].take();
            assert_eq!(
                point[0].as_f64().map(|at| (at * 1e3).round() as i64),
                Some(now),
                "its time is the one asked for"
            );
            point[1].as_str().expect("a value").parse::<f64>().expect("a number")
        };
        // The request may come seconds after the samples.
        assert!((0.0..=60.0).contains(&(value(&[]) - (600.0 - unseen))), "{flag}: {}", value(&[]));
        assert_eq!(value(&[("nocache", "1")]), 600.0, "{flag}");
        assert_eq!(value(&[("latency_offset", "0s")]), 600.0, "{flag}");
    }
}

#[test]
fn the_newest_points_of_a_range_repeat_the_last_sure_one() {
    let last_two = |flags: &[&str]| {
        let (_folder, basalt) = cluster(flags);
        let now = live(&basalt);
        let (start, end) = (format!("{}", now as f64 / 1e3 - 360.0), format!("{}", now as f64 / 1e3));
        let arguments =
            [("query", "live"), ("start", start.as_str()), ("end", &end), ("step", "30s"), ("nocache", "1")];
        let all = good(&basalt, "/api/v1/query_range", &arguments);
        let values = all["data"]["result"][0]["values"].as_array().expect("points").clone();
        [values[values.len() - 2][1].clone(), values[values.len() - 1][1].clone()]
    };
    let [before, last] = last_two(&["-search.latencyOffset=3m"]);
    assert_eq!(before, last);
    let [before, last] = last_two(&["-search.latencyOffset=0s"]);
    assert_ne!(before, last);
    let [before, last] = last_two(&["-search.latencyOffset=3m", "-search.maxStepForPointsAdjustment=10s"]);
    assert_ne!(before, last, "the step is longer than those that are adjusted");
}

#[test]
fn dots_may_be_dots() {
    for (flags, want) in [(&[][..], 12), (&["-search.treatDotsAsIsInRegexps"], 0)] {
        let (_folder, basalt) = cluster(flags);
        assert_eq!(count(&at_end(&basalt, "kube_node_info{node=~\"node.\\\\d+\"}")), want, "{flags:?}");
        assert_eq!(count(&at_end(&basalt, "kube_node_info{node=~\"node.+\"}")), 12, "{flags:?}");
    }
}

#[test]
fn slow_queries_are_logged_and_remembered() {
    // Every query takes longer than this.
    let (_folder, basalt) = cluster(&["-search.logSlowQueryDuration=1us", "-search.queryStats.lastQueriesCount=1"]);
    at_end(&basalt, HEAVY);
    at_end(&basalt, "count(quantile_over_time(0.9, {__name__!=\"\"}[10h]))");
    basalt
        .process
        .wait_for_line("slow query according to -search.logSlowQueryDuration", PATIENCE)
        .expect("it is logged");
    assert!(basalt.metric("vm_slow_queries_total") >= 2.0);
    let top = good(&basalt, "/api/v1/status/top_queries", &[]);
    assert_eq!(count(&top["topByCount"]), 1, "only the last one is remembered");
}

#[test]
fn federation_has_its_limit() {
    let (_folder, basalt) = cluster(&["-search.maxFederateSeries=5"]);
    let time = END.to_string();
    assert_eq!(answer(&basalt, "/federate", &[("match[]", "kube_node_info"), ("end", &time)]).0, STATUS_LIMIT);
    let one = basalt.ok(&address("/federate", &[("match[]", r#"kube_node_info{node="node-00"}"#), ("end", &time)]));
    assert_eq!(one, format!("kube_node_info{{cluster=\"east\",node=\"node-00\"}} 1 {END}000\n"));
    assert_eq!(basalt.get("/federate").status, 400);
}

#[test]
fn a_full_queue_says_when_to_come_again() {
    let (_folder, basalt) =
        cluster(&["-search.maxConcurrentRequests=1", "-search.maxQueueDuration=1us", "-search.maxWorkersPerQuery=1"]);
    let heavy = address(
        "/api/v1/query_range",
        &[("query", HEAVY), ("start", &START.to_string()), ("end", &END.to_string()), ("step", "20"), ("nocache", "1")],
    );
    let refused = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| basalt.get(&heavy))).collect();
        let answers: Vec<_> = asking.into_iter().map(|thread| thread.join().expect("an answer")).collect();
        answers.into_iter().find(|answer| answer.status == 429)
    });
    let refused = refused.expect("one of four waited longer than a microsecond");
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert!(refused.text().contains("\"errorType\":\"429\""), "{}", refused.text());
}

#[test]
fn a_query_has_its_time() {
    let (_folder, basalt) = cluster(&["-search.maxQueryDuration=1us"]);
    let arguments = [("query", HEAVY), ("start", &START.to_string()), ("end", &END.to_string()), ("step", "5")];
    assert_eq!(answer(&basalt, "/api/v1/query_range", &arguments).0, STATUS_LIMIT);
    let (status, error) = answer(&basalt, "/promql/api/v1/query_range", &arguments);
    assert_eq!((status, &error["errorType"]), (503, &Value::from("timeout")));
}
