//! Every path that users of VictoriaMetrics know is there, bare and under all that may stand before it, with its status and media type: all of them on a
//! single node, and those of its own on a node of a cluster.

mod roles;

use crate::server::{Basalt, folder};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const PROTOBUF: &str = "application/x-protobuf";
const NONE: &str = "";

/// What may stand before a path.
const OF_DATA: &[&str] =
    &["", "/prometheus", "/select/0/prometheus", "/select/0:0/prometheus", "/promql", "/select/0/promql"];
const OF_INSERT: &[&str] = &["", "/prometheus", "/insert/0", "/insert/0:0", "/insert/0/prometheus"];
const OF_PROMETHEUS: &[&str] = &["", "/prometheus"];
const OF_INTERFACE: &[&str] = &["", "/prometheus", "/select/0", "/select/0/prometheus"];
const OF_GRAPHITE: &[&str] = &["", "/graphite", "/select/0/graphite"];
const BARE: &[&str] = &[""];

/// Prefixes, then method, path, body, status, media type.
type Paths = (&'static [&'static str], &'static [(&'static str, &'static str, &'static str, u16, &'static str)]);

const QUERIES: Paths = (
    OF_DATA,
    &[
        ("GET", "/api/v1/query?query=1", "", 200, JSON),
        ("POST", "/api/v1/query?query=1", "", 200, JSON),
        ("GET", "/api/v1/query_range?query=1&start=10&end=20&step=5", "", 200, JSON),
        ("GET", "/api/v1/series?match[]=up", "", 200, JSON),
        ("GET", "/api/v1/labels", "", 200, JSON),
        ("GET", "/api/v1/label/job/values", "", 200, JSON),
        ("GET", "/api/v1/series/count", "", 200, JSON),
        ("GET", "/api/v1/export?match[]=up", "", 200, "application/stream+json; charset=utf-8"),
        ("GET", "/api/v1/export/csv?match[]=up&format=__name__", "", 200, "text/csv; charset=utf-8"),
        ("GET", "/api/v1/export/native?match[]=up", "", 200, "VictoriaMetrics/native"),
        ("GET", "/federate?match[]=up", "", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"),
        ("GET", "/api/v1/metadata", "", 200, JSON),
        ("GET", "/api/v1/status/tsdb", "", 200, JSON),
        ("GET", "/api/v1/status/active_queries", "", 200, JSON),
        ("GET", "/api/v1/status/top_queries", "", 200, JSON),
        ("GET", "/api/v1/status/metric_names_stats", "", 200, JSON),
        ("POST", "/api/v1/admin/status/metric_names_stats/reset", "", 204, NONE),
        ("GET", "/api/v1/status/buildinfo", "", 200, JSON),
        ("GET", "/api/v1/status/runtimeinfo", "", 200, JSON),
        ("GET", "/api/v1/status/flags", "", 200, JSON),
        ("GET", "/api/v1/status/config", "", 200, JSON),
        ("GET", "/api/v1/format_query?query=1", "", 200, JSON),
        ("GET", "/api/v1/query_exemplars?query=up&start=10&end=20", "", 200, JSON),
        ("GET", "/api/v1/rules", "", 200, JSON),
        ("GET", "/api/v1/alerts", "", 200, JSON),
        ("GET", "/api/v1/notifiers", "", 200, JSON),
        ("GET", "/prettify-query?query=1", "", 200, JSON),
        ("GET", "/expand-with-exprs?query=1", "", 200, HTML),
        ("POST", "/api/v1/admin/tsdb/delete_series?match[]=none", "", 204, NONE),
        ("GET", "/api/v1/admin/tsdb/delete_series?match[]=none", "", 405, JSON),
    ],
);

const INSERTS: Paths = (
    OF_INSERT,
    &[
        ("POST", "/api/v1/write", "\0", 204, NONE),
        ("POST", "/api/v1/push", "\0", 204, NONE),
        ("GET", "/api/v1/write?get_vm_proto_version=1", "", 200, TEXT),
        ("POST", "/api/v1/import", "", 204, NONE),
        ("POST", "/api/v1/import/csv?format=1:metric:m", "1", 204, NONE),
        ("POST", "/api/v1/import/native", "", 204, NONE),
        ("POST", "/api/v1/import/prometheus", "m 1", 204, NONE),
        ("POST", "/api/v1/import/prometheus/metrics/job/j", "m 1\n", 200, NONE),
        ("PUT", "/api/v1/import/prometheus/metrics/job@base64/ag/a/b", "m 1\n", 200, NONE),
        ("POST", "/write", "m f=1", 204, NONE),
        ("POST", "/api/v2/write", "m f=1", 204, NONE),
        ("POST", "/influx/write", "m f=1", 204, NONE),
        ("POST", "/influx/api/v2/write", "m f=1", 204, NONE),
        ("GET", "/query", "", 200, JSON),
        ("GET", "/influx/query", "", 200, JSON),
        ("GET", "/influx/health", "", 200, JSON),
        ("POST", "/api/put", "{\"metric\":\"m\",\"value\":1,\"tags\":{\"a\":\"b\"}}", 204, NONE),
        ("POST", "/opentsdb/api/put", "{\"metric\":\"m\",\"value\":1,\"tags\":{\"a\":\"b\"}}", 204, NONE),
        ("POST", "/opentelemetry/v1/metrics", "", 200, PROTOBUF),
        ("POST", "/opentelemetry/api/v1/push", "", 200, PROTOBUF),
        ("POST", "/datadog/api/v1/series", "{\"series\":[]}", 202, JSON),
        ("POST", "/datadog/api/v2/series", "{\"series\":[]}", 202, JSON),
        ("POST", "/datadog/api/beta/sketches", "", 202, NONE),
        ("GET", "/datadog/api/v1/validate", "", 200, JSON),
        ("POST", "/datadog/api/v1/check_run", "[]", 202, JSON),
        ("POST", "/datadog/api/v1/metadata", "{}", 200, JSON),
        ("POST", "/datadog/intake", "{}", 200, JSON),
        ("GET", "/newrelic", "", 202, JSON),
        ("POST", "/newrelic/inventory/deltas", "", 202, JSON),
        ("POST", "/newrelic/infra/v2/metrics/events/bulk", "[]", 202, JSON),
        ("POST", "/zabbixconnector/api/v1/history", "", 200, NONE),
    ],
);

/// What every process has.
const PROCESS: Paths = (
    OF_PROMETHEUS,
    &[
        ("GET", "/", "", 200, TEXT),
        ("GET", "/-/reload", "", 200, TEXT),
        ("GET", "/metrics", "", 200, TEXT),
        ("GET", "/flags", "", 200, TEXT),
        ("GET", "/health", "", 200, TEXT),
        ("GET", "/-/healthy", "", 200, TEXT),
        ("GET", "/-/ready", "", 200, TEXT),
        ("GET", "/ping", "", 204, NONE),
        ("GET", "/debug/pprof/", "", 200, TEXT),
        ("GET", "/debug/pprof/profile?seconds=0", "", 200, "application/octet-stream"),
        ("GET", "/robots.txt", "", 200, TEXT),
        ("GET", "/favicon.ico", "", 204, NONE),
        ("GET", "/vmalert/groups", "", 400, JSON),
        ("GET", "/nothing/of/that/name", "", 400, TEXT),
    ],
);

/// What is asked of whoever scrapes.
const SCRAPING: Paths = (
    OF_PROMETHEUS,
    &[
        ("GET", "/targets", "", 200, TEXT),
        ("GET", "/api/v1/targets", "", 200, JSON),
        ("GET", "/service-discovery", "", 200, TEXT),
        ("GET", "/target_response?id=1", "", 400, TEXT),
        ("GET", "/config", "", 200, TEXT),
        ("GET", "/ready", "", 200, TEXT),
        ("GET", "/metric-relabel-debug", "", 200, HTML),
        ("GET", "/target-relabel-debug", "", 200, HTML),
        ("GET", "/metric-relabel-debug?metric=m&format=json", "", 200, JSON),
    ],
);

const SNAPSHOTS: Paths = (
    BARE,
    &[
        ("GET", "/api/v1/admin/tsdb/snapshot", "", 200, JSON),
        ("GET", "/prometheus/api/v1/admin/tsdb/snapshot", "", 200, JSON),
        ("GET", "/snapshot/create", "", 200, JSON),
        ("GET", "/snapshot/list", "", 200, JSON),
        ("GET", "/snapshot/delete?snapshot=none", "", 404, JSON),
        ("GET", "/snapshot/delete_all", "", 200, JSON),
    ],
);

const OPERATION: Paths = (
    BARE,
    &[
        ("GET", "/snapshot/delete", "", 400, JSON),
        ("GET", "/internal/resetRollupResultCache?propagate=1", "", 200, TEXT),
        ("GET", "/internal/force_merge?partition_prefix=2026", "", 200, TEXT),
        ("GET", "/internal/force_flush", "", 200, TEXT),
        ("GET", "/internal/log_new_series?seconds=1", "", 200, JSON),
        ("GET", "/select/prometheus/api/v1/labels", "", 200, JSON),
        ("POST", "/delete/0/prometheus/api/v1/admin/tsdb/delete_series?match[]=none", "", 204, NONE),
    ],
);

const OF_WRITERS: Paths = (
    BARE,
    &[
        ("POST", "/insert/0/prometheus", "\0", 204, NONE),
        ("POST", "/insert/0/prometheus/", "\0", 204, NONE),
        ("POST", "/insert/prometheus/api/v1/write", "\0", 204, NONE),
        ("POST", "/insert/influx/write", "m f=1", 204, NONE),
    ],
);

const INTERFACE: Paths = (
    OF_INTERFACE,
    &[
        ("GET", "/vmui", "", 302, NONE),
        ("GET", "/vmui/", "", 200, HTML),
        ("GET", "/vmui/app.js", "", 200, "text/javascript; charset=utf-8"),
        ("GET", "/vmui/style.css", "", 200, "text/css; charset=utf-8"),
        ("GET", "/vmui/config.json", "", 200, JSON),
        ("GET", "/vmui/timezone", "", 200, JSON),
        ("GET", "/vmui/custom-dashboards", "", 200, JSON),
        ("GET", "/graph", "", 302, NONE),
        ("GET", "/graph/", "", 200, HTML),
    ],
);

/// Basalt answers no Graphite queries, and says so.
const GRAPHITE: Paths = (
    OF_GRAPHITE,
    &[
        ("GET", "/render?target=a", "", 501, TEXT),
        ("GET", "/metrics/find?query=*", "", 501, TEXT),
        ("GET", "/metrics/expand?query=*", "", 501, TEXT),
        ("GET", "/metrics/index.json", "", 501, TEXT),
        ("GET", "/functions", "", 501, TEXT),
        ("GET", "/tags", "", 501, TEXT),
        ("GET", "/tags/name", "", 501, TEXT),
        ("GET", "/tags/findSeries?expr=a=b", "", 501, TEXT),
        ("GET", "/tags/autoComplete/tags", "", 501, TEXT),
        ("GET", "/tags/autoComplete/values?tag=a", "", 501, TEXT),
        ("POST", "/tags/tagSeries?path=a", "", 501, TEXT),
        ("POST", "/tags/tagMultiSeries?path=a", "", 501, TEXT),
        ("POST", "/tags/delSeries?path=a", "", 501, TEXT),
    ],
);

/// How a node answers a request.
type Want = (u16, &'static str);

/// Asks a node for all of these paths; what it does not answer as `want` says, which is told what a single node does.
fn others(node: &Basalt, all: &[Paths], want: impl Fn(Want) -> Want) -> Vec<String> {
    let mut client = node.client();
    let mut others = Vec::new();
    for (prefixes, paths) in all {
        for prefix in *prefixes {
            for (method, path, body, status, media_type) in *paths {
                let path = format!("{prefix}{path}");
                let answer = client.request(method, &path, &[], body.as_bytes()).expect("the server answers");
                let have = answer.header("content-type").unwrap_or_default();
                let (want_status, want_type) = want((*status, *media_type));
                if (answer.status, have) != (want_status, want_type) {
                    others.push(format!("{method} {path}: {} {have:?} {}", answer.status, answer.text()));
                }
                assert!(answer.header("x-server-hostname").is_some(), "{path}");
            }
        }
    }
    others
}

#[test]
fn every_path_of_a_single_victoriametrics_is_there() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    let all = [QUERIES, INSERTS, PROCESS, SCRAPING, SNAPSHOTS, OPERATION, OF_WRITERS, INTERFACE, GRAPHITE];
    let wrong = others(&basalt, &all, |as_it_is| as_it_is);
    assert!(wrong.is_empty(), "{} answers are others:\n{}", wrong.len(), wrong.join("\n"));
}
