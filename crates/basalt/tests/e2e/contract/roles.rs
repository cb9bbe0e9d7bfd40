//! What users know of each role of a cluster: its paths and nobody else's, its metrics, its log lines, how it stops.

use std::process::Command;

use super::{
    BARE, GRAPHITE, INSERTS, INTERFACE, JSON, NONE, OF_WRITERS, OPERATION, PROCESS, Paths, QUERIES, SCRAPING,
    SNAPSHOTS, TEXT, Want, others,
};
use crate::{
    cluster::nodes::{Nodes, Shape, address_behind, start_role},
    server::{Basalt, PATIENCE, PROGRAM, folder},
    wire::{BodyWriter, labels},
};

const ONE_OF_EACH: Shape = Shape { inserts: 1, storages: 1, copies: 1 };

/// What only a storage is asked.
const OF_STORAGES: Paths = (
    BARE,
    &[
        ("GET", "/internal/refill", "", 200, JSON),
        ("GET", "/internal/inserts", "", 200, JSON),
        ("POST", "/internal/refill", "", 400, TEXT),
        ("POST", "/internal/refill/stop", "", 200, JSON),
        ("GET", "/internal/refill/stop", "", 405, TEXT),
        ("POST", "/internal/forget_insert?id=7", "", 404, TEXT),
    ],
);

/// What only a select is asked.
const OF_SELECTS: Paths = (
    BARE,
    &[
        ("GET", "/admin/tenants", "", 200, JSON),
        ("GET", "/select/multitenant/prometheus/api/v1/query?query=1", "", 200, JSON),
        ("GET", "/select/multitenant/prometheus/api/v1/labels", "", 200, JSON),
    ],
);

/// What only an insert is asked: labels name the tenants.
const OF_INSERTS: Paths = (
    BARE,
    &[
        ("POST", "/insert/multitenant/prometheus/api/v1/write", "\0", 204, NONE),
        ("POST", "/insert/multitenant/prometheus/api/v1/import/prometheus", "m{vm_account_id=\"3\"} 1", 204, NONE),
        ("POST", "/insert/multitenant/influx/write", "m,vm_account_id=3 f=1", 204, NONE),
        ("POST", "/insert/0/graphite/tags/tagSeries", "path=a", 501, TEXT),
        ("POST", "/insert/0/graphite/tags/tagMultiSeries", "path=a", 501, TEXT),
    ],
);

/// Paths of others lead nowhere, which VictoriaMetrics says so, and not with 404.
fn nowhere(_: Want) -> Want {
    (400, TEXT)
}

fn insert(nodes: &Nodes) -> &Basalt {
    nodes.inserts[0].node.as_ref().expect("it runs")
}

fn storage(nodes: &Nodes) -> &Basalt {
    nodes.storages[0].node.as_ref().expect("it runs")
}

fn select(nodes: &Nodes) -> &Basalt {
    nodes.select()
}

/// Asks a node of a role for the paths that it has, and for those that it has not.
fn check_paths(node: &Basalt, has: &[Paths], has_not: &[Paths]) {
    let mut wrong = others(node, has, |as_it_is| as_it_is);
    wrong.extend(others(node, has_not, nowhere).into_iter().map(|other| format!("none of its own: {other}")));
    assert!(wrong.is_empty(), "{} answers are others:\n{}", wrong.len(), wrong.join("\n"));
    let unknown = node.metric("vm_http_request_errors_total{path=\"*\", reason=\"unsupported\"}");
    let asked: usize = has_not.iter().map(|(prefixes, paths)| prefixes.len() * paths.len()).sum();
    // Of what it has, the path of no name leads nowhere, with and without a prefix.
    assert_eq!(unknown, (asked + 2) as f64, "each of them is counted as one that is not known");
}

#[test]
fn an_insert_has_the_paths_of_writers_and_no_others() {
    let nodes = Nodes::start(ONE_OF_EACH);
    let has = [PROCESS, INSERTS, OF_WRITERS, OF_INSERTS];
    let has_not = [QUERIES, SCRAPING, SNAPSHOTS, OPERATION, INTERFACE, GRAPHITE, OF_STORAGES, OF_SELECTS];
    check_paths(insert(&nodes), &has, &has_not);
}

#[test]
fn a_select_has_the_paths_of_readers_and_no_others() {
    let nodes = Nodes::start(ONE_OF_EACH);
    let has = [PROCESS, SCRAPING, QUERIES, OPERATION, INTERFACE, GRAPHITE, OF_SELECTS];
    check_paths(select(&nodes), &has, &[INSERTS, OF_WRITERS, OF_INSERTS, OF_STORAGES]);
    let snapshots = others(select(&nodes), &[SNAPSHOTS], |_| (422, JSON));
    assert!(snapshots.is_empty(), "snapshots are made where samples are:\n{}", snapshots.join("\n"));
}

/// A storage also answers queries, about what it has itself.
#[test]
fn a_storage_has_the_paths_of_operators_and_no_doors() {
    let nodes = Nodes::start(ONE_OF_EACH);
    let has = [PROCESS, SCRAPING, QUERIES, SNAPSHOTS, OPERATION, INTERFACE, GRAPHITE, OF_STORAGES];
    let of_selects: Paths = (BARE, &OF_SELECTS.1[..1]);
    check_paths(storage(&nodes), &has, &[INSERTS, OF_WRITERS, OF_INSERTS, of_selects]);
}

/// What every role's `/metrics` begins lines with.
const METRICS: &[&str] = &[
    "vm_rows_ignored_total{reason=\"big_timestamp\"} ",
    "vm_max_ingestion_rate_limit_reached_total ",
    "vm_new_timeseries_created_total ",
    "vm_http_requests_total{path=\"/ping\"} ",
    "vm_http_request_errors_total{path=\"*\", reason=\"unsupported\"} ",
    "vm_http_requests_all_total ",
    "vm_app_version{version=\"basalt-",
    "vm_log_messages_total{",
    "vm_tcplistener_conns{",
    "flag{name=\"httpListenAddr\", value=\"127.0.0.1:0\", is_set=\"true\"} 1",
    "flag{name=\"loggerFormat\", value=\"default\", is_set=\"false\"} 1",
    "process_cpu_seconds_total ",
    "process_resident_memory_bytes ",
    "process_open_fds ",
    "process_start_time_seconds ",
    "vm_app_uptime_seconds ",
    "vm_available_memory_bytes ",
];

const METRICS_OF_INSERTS: &[&str] = &[
    "vm_rpc_rows_sent_total{name=\"vminsert\", addr=",
    "vm_rpc_vmstorage_is_reachable{name=\"vminsert\", addr=",
    "vm_rows_inserted_total{type=\"promremotewrite\"} ",
    "vm_rows_inserted_total{type=\"influx\"} ",
    "vm_rows_inserted_total{type=\"graphite\"} ",
    "vm_rows_inserted_total{type=\"opentsdb\"} ",
    "vm_http_requests_total{path=\"/api/v1/write\", protocol=\"promremotewrite\"} ",
    "vm_http_request_errors_total{path=\"/api/v1/write\", protocol=\"promremotewrite\"} ",
    "vm_request_duration_seconds_count{path=\"/api/v1/write\", protocol=\"promremotewrite\"} ",
    "vm_relabel_config_last_reload_successful ",
];

const METRICS_OF_STORAGES: &[&str] = &[
    "vm_vminsert_metrics_read_total ",
    "vm_hourly_series_limit_max_series ",
    "vm_hourly_series_limit_current_series ",
    "vm_hourly_series_limit_rows_dropped_total ",
    "vm_daily_series_limit_max_series ",
    "vm_daily_series_limit_current_series ",
    "vm_daily_series_limit_rows_dropped_total ",
    "vm_rows{type=\"storage/inmemory\"} ",
    "vm_rows{type=\"storage/small\"} ",
    "vm_rows{type=\"storage/big\"} ",
    "vm_data_size_bytes{type=\"storage/small\"} ",
    "vm_data_size_bytes{type=\"indexdb/file\"} ",
    "vm_cache_entries{type=\"storage/hour_metric_ids\"} ",
    "vm_request_duration_seconds_count{path=\"/api/v1/export\"} ",
    "basalt_catching_up ",
];

const METRICS_OF_SELECTS: &[&str] = &[
    "vm_cache_requests_total{type=\"multitenancy/tenants\"} ",
    "vm_cache_misses_total{type=\"multitenancy/tenants\"} ",
    "vm_cache_entries{type=\"multitenancy/tenants\"} ",
    "vm_http_requests_total{path=\"/api/v1/query\"} ",
    "vm_http_request_errors_total{path=\"/api/v1/query\"} ",
    "vm_request_duration_seconds_count{path=\"/api/v1/query\"} ",
    "vm_concurrent_select_limit_reached_total ",
    "vm_partial_results_total ",
];

#[test]
fn each_role_shows_its_metrics_from_the_start() {
    let nodes = Nodes::start(ONE_OF_EACH);
    for (role, node, own) in [
        ("insert", insert(&nodes), METRICS_OF_INSERTS),
        ("storage", storage(&nodes), METRICS_OF_STORAGES),
        ("select", select(&nodes), METRICS_OF_SELECTS),
    ] {
        let text = node.ok("/metrics");
        let is_missing = |start: &&&str| !text.lines().any(|line| line.starts_with(**start));
        let missing: Vec<_> = METRICS.iter().chain(own).filter(is_missing).collect();
        assert!(missing.is_empty(), "{role} has no {missing:?}");
        let mut names: Vec<&str> = text.lines().filter_map(|line| line.rsplit_once(' ')).map(|line| line.0).collect();
        let lines = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), lines, "{role}: a line stands there twice");
    }
}

/// A number of all lines of a metric.
fn summed(node: &Basalt, name: &str) -> f64 {
    let text = node.ok("/metrics");
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn rows_count_as_sent_when_the_storage_has_them() {
    let mut nodes = Nodes::start(ONE_OF_EACH);
    let mut body = BodyWriter::default();
    for number in 0..7 {
        let named = labels(&[("__name__", "counted"), ("number", &number.to_string())]);
        body.series(&named, &[(1_767_312_000_000, 1.0), (1_767_312_015_000, 2.0)]);
    }
    assert_eq!(insert(&nodes).write(&body.body).status, 204);
    assert_eq!(summed(insert(&nodes), "vm_rpc_rows_sent_total"), 14.0);
    assert_eq!(summed(insert(&nodes), "vm_rows_inserted_total"), 14.0);
    assert_eq!(storage(&nodes).metric("vm_vminsert_metrics_read_total"), 14.0);
    assert_eq!(storage(&nodes).metric("vm_new_timeseries_created_total"), 7.0);
    nodes.storages[0].kill9();
    assert_eq!(insert(&nodes).write(&body.body).status, 503);
    assert_eq!(summed(insert(&nodes), "vm_rpc_rows_sent_total"), 14.0);
}

/// Lines that end with an address: their texts, and where the address begins and ends.
fn check_lines(node: &Basalt, texts: &[&str]) {
    for text in texts {
        let line = node.process.wait_for_line(text, PATIENCE).unwrap_or_else(|why| panic!("{text}: {why}"));
        let (_, address) = line.split_once(text).expect("it is there");
        let address = address.trim_matches('"').trim_end_matches('/');
        let port = address.parse::<std::net::SocketAddr>().map(|address| address.port());
        assert!(port.is_ok_and(|port| port > 0), "{line}: want the real port");
        assert_eq!(line.split('\t').nth(1), Some("info"), "{line}");
    }
}

#[test]
fn each_role_says_what_supervisors_wait_for_and_ends_well() {
    let data = folder();
    let any = "127.0.0.1:0";
    let of_nodes = [format!("-vminsertAddr={any}"), format!("-vmselectAddr={any}")];
    let at_home = [format!("-storageDataPath={}", data.path().display())];
    let storage = start_role("storage", &[&of_nodes[..], &at_home].concat());
    storage
        .process
        .wait_for_line(&format!("successfully opened storage \"{}\"", data.path().display()), PATIENCE)
        .expect("it says so");
    check_lines(
        &storage,
        &["started server at http://", "accepting vminsert conns at ", "accepting vmselect conns at "],
    );
    let [inserts, selects] =
        ["vminsert", "vmselect"].map(|who| address_behind(&storage, &format!("accepting {who} conns at")));

    let native = format!("-clusternativeListenAddr={any}");
    let doors = [format!("-graphiteListenAddr={any}"), format!("--opentsdbListenAddr={any}")];
    let insert = start_role("insert", &[&[format!("-storageNode={inserts}"), native.clone()], &doors[..]].concat());
    check_lines(
        &insert,
        &[
            "started server at http://",
            "started TCP Graphite server at \"",
            "started TCP OpenTSDB collector at \"",
            "started TCP clusternative server at \"",
            "successfully dialed -storageNode=\"",
        ],
    );
    // A flag that is a list may come several times.
    let list = ["-storageNode".to_string(), format!("a/{selects}"), format!("--storageNode=b/{inserts}"), native];
    let select = start_role("select", &list);
    check_lines(
        &select,
        &["started server at http://", "accepting vmselect conns at ", "successfully dialed -storageNode=\""],
    );
    select
        .process
        .wait_for_line(&format!("successfully dialed -storageNode=\"{selects}\""), PATIENCE)
        .expect("the first");
    select
        .process
        .wait_for_line(&format!("successfully dialed -storageNode=\"{inserts}\""), PATIENCE)
        .expect("the second");

    let alone = folder();
    let single =
        start_role("single", &[format!("-storageDataPath={}", alone.path().display()), format!("-vmselectAddr={any}")]);
    check_lines(&single, &["started server at http://", "accepting vmselect conns at "]);

    // Those that ask go first. Each signal that a supervisor sends ends them well.
    for (node, signal) in [(select, "INT"), (insert, "TERM"), (storage, "INT"), (single, "TERM")] {
        let Basalt { mut process, .. } = node;
        let send = |signal: &str| {
            let sent = Command::new("kill").args([&format!("-{signal}"), &process.pid().to_string()]).status();
            assert!(sent.expect("kill runs").success());
        };
        send("HUP");
        process.wait_for_line("nothing to reload", PATIENCE).expect("it goes on");
        send(signal);
        process.wait_for_line(&format!("received SIG{signal}"), PATIENCE).expect("it says so");
        let status = process.wait_for_end(PATIENCE).expect("it ends");
        assert_eq!(status.code(), Some(0), "{signal}: {:?}", process.lines());
    }
}

#[test]
fn each_role_refuses_flags_that_nobody_knows_and_says_its_version() {
    for role in ["insert", "storage", "select"] {
        let run = |flags: &[&str]| {
            let output = Command::new(PROGRAM).arg(role).args(flags).output().expect("the program starts");
            (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        };
        let (code, said) = run(&["-storageNoed=a"]);
        assert!(code == Some(2) && said.contains("storageNoed"), "{role}: {code:?} {said}");
        let (code, said) = run(&["--version"]);
        assert!(code == Some(0) && said.starts_with("basalt-"), "{role}: {said}");
    }
    for role in ["insert", "select"] {
        let output = Command::new(PROGRAM).args([role, "-httpListenAddr=127.0.0.1:0"]).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("-storageNode"), "{role} without storages: {said}");
    }
}
