//! Whole clusters as processes: they answer as a single node does, say what is missing, and keep tenants apart.

mod answers;
mod beginnings;
mod changes;
mod flags;
mod full_disks;
mod groups;
mod histories;
mod leaving;
mod load;
pub mod nodes;
mod overload;
mod partitions;
mod selects;
mod tenants;
mod writes;

use std::{net::TcpListener, process::Command, time::Instant};

use serde_json::Value;
use tempfile::TempDir;
use testkit::http::Response;

use crate::{
    queries::{END, START, address, body_of_a_cluster},
    server::{Basalt, PATIENCE, folder, program},
};

/// Storage nodes with an insert and a select in front of them.
pub struct Cluster {
    storages: Vec<Storage>,
    /// Takes samples.
    pub insert: Basalt,
    /// Answers.
    pub select: Basalt,
    _hints: TempDir,
}

struct Storage {
    folder: TempDir,
    /// Where inserts and where selects come.
    ports: [u16; 2],
    node: Option<Basalt>,
}

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

fn role(name: &str, flags: &[String]) -> Basalt {
    let mut command = Command::new(program());
    command.arg(name).arg("-httpListenAddr=127.0.0.1:0").args(flags);
    Basalt::spawn(command)
}

impl Storage {
    fn new() -> Self {
        let mut storage = Self { folder: folder(), ports: [free_port(), free_port()], node: None };
        storage.start();
        storage
    }

    fn start(&mut self) {
        let [inserts, selects] = self.ports;
        let flags = [
            format!("-storageDataPath={}", self.folder.path().display()),
            "-retentionPeriod=100y".to_string(),
            "-futureRetention=100y".to_string(),
            format!("-vminsertAddr=127.0.0.1:{inserts}"),
            format!("-vmselectAddr=127.0.0.1:{selects}"),
        ];
        let node = role("storage", &flags);
        node.process.wait_for_line(&format!("accepting vmselect conns at 127.0.0.1:{selects}"), PATIENCE).expect("so");
        self.node = Some(node);
    }

    fn kill9(&mut self) {
        self.node.take().expect("it runs").kill9();
    }
}

impl Cluster {
    /// So many storages, `copies` of which have each series.
    pub fn start(storages: usize, copies: usize, swapped: bool) -> Self {
        let storages: Vec<Storage> = (0..storages).map(|_| Storage::new()).collect();
        let nodes = |port: usize| {
            let names: Vec<String> =
                storages.iter().map(|storage| format!("127.0.0.1:{}", storage.ports[port])).collect();
            format!("-storageNode={}", names.join(","))
        };
        let hints = folder();
        let copies = format!("-replicationFactor={copies}");
        let insert_flags =
            [nodes(usize::from(swapped)), copies.clone(), format!("-hints.path={}", hints.path().display())];
        let insert = role("insert", &insert_flags);
        let select = role("select", &[nodes(usize::from(!swapped)), copies, "-search.latencyOffset=0s".to_string()]);
        Self { storages, insert, select, _hints: hints }
    }

    fn ask(&self, path: &str, arguments: &[(&str, &str)]) -> Response {
        self.select.client().get(&address(path, arguments)).expect("the select answers")
    }

    fn good(&self, path: &str, arguments: &[(&str, &str)]) -> Value {
        json(&self.ask(path, arguments))
    }

    fn count(&self) -> (Value, f64) {
        let time = END.to_string();
        let answer = self
            .good("/select/0/prometheus/api/v1/query", &[("query", "count(node_cpu_seconds_total)"), ("time", &time)]);
        (answer["isPartial"].clone(), number(&answer["data"]["result"][0]["value"][1]))
    }
}

fn json(response: &Response) -> Value {
    assert!(response.is_success(), "{} {}", response.status, response.text());
    serde_json::from_str(&response.text()).expect("an answer in JSON")
}

fn number(value: &Value) -> f64 {
    value.as_str().expect("numbers are texts").parse().expect("a number")
}

/// Answers are the same if all but numbers is equal, and numbers up to the order in which they were added.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(a), Value::String(b)) => match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.to_bits() == b.to_bits() || (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

const QUERIES: &[&str] = &[
    "kube_node_info",
    "count(kube_node_info)",
    "sum(rate(node_cpu_seconds_total[5m])) by (node)",
    "avg(rate(node_cpu_seconds_total[5m]))",
    "sum by (node) (node_cpu_seconds_total) * on (node) group_left (cluster) kube_node_info",
    "topk(3, node_cpu_seconds_total)",
    "quantile(0.9, node_cpu_seconds_total)",
    "sum_over_time(kube_pod_status_phase{phase=~\"R.*\"}[1h])",
    "count_over_time(node_cpu_seconds_total[6h])",
    "increase(node_cpu_seconds_total[3h])",
    "max_over_time(rate(node_cpu_seconds_total[5m])[1h:1m])",
    "kube_pod_container_resource_requests offset 1h",
    "absent(nothing_of_the_kind)",
    "sort_desc(sum by (phase) (kube_pod_status_phase))",
    "histogram_quantile(0.5, kube_node_info)",
    "count({__name__!=\"\"}) by (__name__)",
];

fn check_against_single(storages: usize, copies: usize) {
    let single_folder = folder();
    let single = Basalt::start(single_folder.path(), &["-search.latencyOffset=0s"]);
    let cluster = Cluster::start(storages, copies, false);
    let body = body_of_a_cluster();
    // The same body twice: equal samples are kept once, on all nodes.
    for _ in 0..2 {
        assert_eq!(single.write(&body).status, 204);
        let answer = cluster.insert.write(&body);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    let (start, end) = ((START + 9000).to_string(), (START + 30_000).to_string());
    for query in QUERIES {
        for (path, arguments) in [
            ("/api/v1/query", vec![("query", *query), ("time", end.as_str())]),
            ("/api/v1/query_range", vec![("query", *query), ("start", &start), ("end", &end), ("step", "300")]),
            ("/promql/api/v1/query", vec![("query", *query), ("time", end.as_str())]),
        ] {
            let one = json(&single.client().get(&address(path, &arguments)).expect("an answer"));
            let other = cluster.good(path, &arguments);
            assert!(same(&one["data"], &other["data"]), "{path} {query}:\n{one}\n{other}");
            assert_eq!((&one["isPartial"], &other["isPartial"]), (&Value::Null, &Value::Bool(false)), "{query}");
            if path == "/api/v1/query" {
                let stats = |answer: &Value| answer["stats"]["seriesFetched"].clone();
                assert_eq!(stats(&one), stats(&other), "{query}");
            }
        }
    }
    let asked_for = cluster.select.metric("basalt_gather_sub_plans_total");
    let in_force = cluster.select.metric("basalt_gather_partial_results_total");
    assert!(in_force > 10.0 && in_force > asked_for * 0.4, "{in_force} of {asked_for} sub-plans were in force");
    let done: f64 = cluster
        .storages
        .iter()
        .filter_map(|storage| storage.node.as_ref())
        .map(|node| node.metric("basalt_sub_plans_total{kind=\"fold\"}"))
        .sum();
    assert!(done > 0.0, "no storage evaluated anything");
    let range = [("start", start.as_str()), ("end", end.as_str())];
    for (path, selector) in [
        ("/api/v1/labels", None),
        ("/api/v1/label/node/values", None),
        ("/api/v1/label/__name__/values", Some("{pod!=\"\"}")),
        ("/api/v1/series", Some("kube_pod_status_phase")),
        ("/api/v1/series/count", None),
    ] {
        let arguments: Vec<_> = range.into_iter().chain(selector.map(|selector| ("match[]", selector))).collect();
        let one = json(&single.client().get(&address(path, &arguments)).expect("an answer"));
        assert!(same(&one["data"], &cluster.good(path, &arguments)["data"]), "{path}");
    }
    let all = address("/api/v1/export", &[("match[]", "{__name__!=\"\"}"), ("start", &start), ("end", &end)]);
    let lines = |basalt: &Basalt| {
        let mut lines: Vec<String> = basalt.ok(&all).lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    assert!(lines(&single) == lines(&cluster.select), "the exports differ");
    for storage in &cluster.storages {
        let node = storage.node.as_ref().expect("it runs");
        assert!(node.metric("vm_vminsert_metrics_read_total") > 0.0, "a node got nothing");
    }
}

#[test]
fn three_storages_answer_as_one_node_does() {
    check_against_single(3, 1);
}

#[test]
fn three_storages_with_two_copies_answer_as_one_node_does() {
    check_against_single(3, 2);
}

#[test]
fn what_is_missing_is_said_or_refused() {
    let mut cluster = Cluster::start(2, 1, false);
    assert_eq!(cluster.insert.write(&body_of_a_cluster()).status, 204);
    let (partial, all) = cluster.count();
    assert_eq!((partial, all), (Value::Bool(false), 12.0));
    cluster.storages[0].kill9();
    let (partial, some) = cluster.count();
    assert!(partial == Value::Bool(true) && some < all, "{partial} {some}");
    let time = END.to_string();
    let query = [("query", "count(node_cpu_seconds_total)"), ("time", time.as_str())];
    let denied: Vec<_> = query.into_iter().chain([("deny_partial_response", "1")]).collect();
    let refused = cluster.ask("/select/0/prometheus/api/v1/query", &denied);
    assert_eq!(refused.status, 503, "{}", refused.text());
    let export =
        cluster.ask("/api/v1/export", &[("match[]", "node_cpu_seconds_total"), ("start", "1"), ("end", &time)]);
    assert_eq!(export.status, 503, "an export is never partial");
    let delete = cluster
        .select
        .client()
        .post("/api/v1/admin/tsdb/delete_series?match[]=kube_node_info", "text/plain", None, b"")
        .expect("an answer");
    assert_eq!(delete.status, 503, "a delete that a node does not hear of comes back from it");

    cluster.storages[0].start();
    let (partial, again) = cluster.count();
    assert_eq!((partial, again), (Value::Bool(false), all));
    cluster.storages.iter_mut().for_each(Storage::kill9);
    assert_eq!(cluster.ask("/select/0/prometheus/api/v1/query", &query).status, 503, "nobody answers");
}

#[test]
fn with_two_copies_a_missing_node_is_no_harm() {
    let mut cluster = Cluster::start(3, 2, false);
    assert_eq!(cluster.insert.write(&body_of_a_cluster()).status, 204);
    let (partial, all) = cluster.count();
    assert_eq!((partial, all), (Value::Bool(false), 12.0));
    cluster.storages[1].kill9();
    // The others are complete as soon as the insert has given them its word, which it renews all the time.
    let begin = Instant::now();
    while cluster.count() != (Value::Bool(false), 12.0) {
        assert!(begin.elapsed() < PATIENCE, "two of three do not become whole: {:?}", cluster.count());
    }
    cluster.storages[2].kill9();
    assert_eq!(cluster.count().0, Value::Bool(true), "one of three cannot have everything");
}

#[test]
fn tenants_never_see_each_other() {
    let cluster = Cluster::start(2, 1, false);
    let send = |path: &str| {
        let packed = snap::raw::Encoder::new().compress_vec(&body_of_a_cluster()).expect("snappy packs everything");
        let posted = cluster.insert.client().post(path, "application/x-protobuf", Some("snappy"), &packed);
        assert_eq!(posted.expect("an answer").status, 204, "{path}");
    };
    send("/insert/7:1/prometheus/api/v1/write");
    send("/insert/8/prometheus");
    let time = END.to_string();
    let count = |tenant: &str| {
        let path = format!("/select/{tenant}/prometheus/api/v1/query");
        let answer = cluster.good(&path, &[("query", "count(kube_node_info)"), ("time", &time)]);
        answer["data"]["result"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(["7:1", "8", "7", "0", "8:1"].map(count), [1, 1, 0, 0, 0]);
    let tenants = cluster.good("/admin/tenants", &[]);
    assert_eq!(tenants["data"], serde_json::json!(["7:1", "8:0"]));
    let of_all = |query: &str| {
        let path = "/select/multitenant/prometheus/api/v1/query";
        let answer = cluster.good(path, &[("query", query), ("time", &time)]);
        let rows = answer["data"]["result"].as_array().expect("rows").clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let row = |row: &Value| {
            let labels = ["vm_account_id", "vm_project_id"].map(|label| text(&row["metric"][label]));
            (labels.join(":"), number(&row["value"][1]))
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let both = "count by (vm_account_id, vm_project_id) (kube_node_info)";
    assert_eq!(of_all(both), [("7:1".to_string(), 12.0), ("8:0".to_string(), 12.0)]);
    assert_eq!(of_all("count(kube_node_info)"), [(":".to_string(), 24.0)]);
    assert_eq!(of_all("count(kube_node_info{vm_account_id=\"8\"})"), [(":".to_string(), 12.0)]);
    assert_eq!(of_all("count(kube_node_info{vm_account_id=~\"7|9\",vm_project_id!=\"1\"})"), []);
    let range = [("start", "1"), ("end", time.as_str())];
    let values = cluster.good("/select/multitenant/prometheus/api/v1/label/vm_account_id/values", &range);
    assert_eq!(values["data"], serde_json::json!(["7", "8"]));
    let deleted = "/select/multitenant/prometheus/api/v1/admin/tsdb/delete_series?match[]=kube_node_info";
    let deleted = cluster.select.client().post(deleted, "text/plain", None, b"").expect("an answer");
    assert_eq!(deleted.status, 400, "a delete is of one tenant");
    let path = address("/select/prometheus/api/v1/query", &[("query", "count(kube_node_info)"), ("time", &time)]);
    let headers = [("AccountID", "7"), ("ProjectID", "1")];
    let by_headers = cluster.select.client().request("GET", &path, &headers, b"");
    let by_headers = json(&by_headers.expect("an answer"));
    assert_eq!(by_headers["data"]["result"].as_array().map(Vec::len), Some(1));
    let path = "/delete/8/prometheus/api/v1/admin/tsdb/delete_series?match[]=kube_node_info";
    let deleted = cluster.select.client().post(path, "text/plain", None, b"").expect("an answer");
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    assert_eq!(["7:1", "8"].map(count), [1, 0]);
}

#[test]
fn swapped_ports_work_all_the_same() {
    let cluster = Cluster::start(2, 1, true);
    assert_eq!(cluster.insert.write(&body_of_a_cluster()).status, 204);
    assert_eq!(cluster.count(), (Value::Bool(false), 12.0));
}

#[test]
fn a_wrong_port_is_named() {
    let storage = Storage::new();
    let http = storage.node.as_ref().expect("it runs").address;
    let select = role("select", &[format!("-storageNode={http}")]);
    let line = select.process.wait_for_line("cannot use -storageNode", PATIENCE).expect("the log says so");
    assert!(line.contains(&http.to_string()), "{line}");
    let answer = select.get("/select/0/prometheus/api/v1/query?query=up");
    assert_eq!(answer.status, 503, "{}", answer.text());
}

#[test]
fn the_folder_of_a_single_node_opens_as_a_storage() {
    let mut storage = Storage::new();
    storage.kill9();
    let single = Basalt::start(storage.folder.path(), &[]);
    assert_eq!(single.write(&body_of_a_cluster()).status, 204);
    single.stop();
    storage.start();
    let select = role("select", &[format!("-storageNode=127.0.0.1:{}", storage.ports[1])]);
    let time = END.to_string();
    let path = address("/select/0/prometheus/api/v1/query", &[("query", "count(kube_node_info)"), ("time", &time)]);
    let answer = json(&select.client().get(&path).expect("an answer"));
    assert_eq!(number(&answer["data"]["result"][0]["value"][1]), 12.0);
}

#[test]
fn a_select_asks_single_nodes_too() {
    let folders = [folder(), folder()];
    let singles = folders.each_ref().map(|folder| Basalt::start(folder.path(), &["-vmselectAddr=127.0.0.1:0"]));
    // A single node is no storage: nobody shares series out, and each may have its own.
    for (number, single) in singles.iter().enumerate() {
        let line = format!("m{{of=\"{number}\"}} {number} {}000\n", END - 15);
        let taken = single.client().post("/api/v1/import/prometheus", "text/plain", None, line.as_bytes());
        assert!(taken.expect("it answers").is_success());
    }
    let nodes = singles.each_ref().map(|single| address_behind(single, "accepting vmselect conns at")).join(",");
    let select = role("select", &[format!("-storageNode={nodes}"), "-search.latencyOffset=0s".to_string()]);
    let time = END.to_string();
    let ask = |node: &Basalt, query: &str| {
        let path = address("/api/v1/query", &[("query", query), ("time", &time)]);
        json(&node.client().get(&path).expect("an answer"))
    };
    let answer = ask(&select, "count(m) + sum(m)");
    assert_eq!(number(&answer["data"]["result"][0]["value"][1]), 3.0, "{answer}");
    assert_eq!(answer["isPartial"], Value::Bool(false));
    assert_eq!(
        number(&ask(&singles[1], "count(m)")["data"]["result"][0]["value"][1]),
        1.0,
        "it answers by itself as well"
    );
}

/// The address that a log line ends with, which may stand in quotes.
fn address_behind(node: &Basalt, text: &str) -> String {
    let line = node.process.wait_for_line(text, PATIENCE).expect("the log says so");
    let address = line.trim_end_matches('"').rsplit([' ', '"']).next().expect("a last word");
    address.to_string()
}

#[test]
fn inserts_and_selects_may_stand_in_levels() {
    let cluster = Cluster::start(2, 1, false);
    let nodes = |port: usize| -> Vec<String> {
        cluster.storages.iter().map(|storage| format!("127.0.0.1:{}", storage.ports[port])).collect()
    };
    let native = "-clusternativeListenAddr=127.0.0.1:0".to_string();
    let lower_insert = role("insert", &[format!("-storageNode={}", nodes(0).join(",")), native.clone()]);
    let insert_address = address_behind(&lower_insert, "started TCP clusternative server at");
    let upper_insert = role("insert", &[format!("-storageNode={insert_address}")]);
    assert_eq!(upper_insert.write(&body_of_a_cluster()).status, 204);

    let lower_select = role("select", &[format!("-storageNode={}", nodes(1).join(",")), native]);
    let select_address = address_behind(&lower_select, "accepting vmselect conns at");
    let upper_select = role("select", &[format!("-storageNode={select_address}")]);
    let time = END.to_string();
    let path = address("/api/v1/query", &[("query", "count(node_cpu_seconds_total)"), ("time", &time)]);
    for select in [&cluster.select, &lower_select, &upper_select] {
        let answer = json(&select.client().get(&path).expect("an answer"));
        assert_eq!(number(&answer["data"]["result"][0]["value"][1]), 12.0, "{answer}");
        assert_eq!(answer["isPartial"], Value::Bool(false));
    }
    let mut cluster = cluster;
    cluster.storages[0].kill9();
    let answer = json(&upper_select.client().get(&path).expect("an answer"));
    assert_eq!(answer["isPartial"], Value::Bool(true), "what a lower level lacks the upper one says: {answer}");
}

#[test]
fn a_storage_that_is_added_to_the_list_is_asked() {
    let storages = [Storage::new(), Storage::new()];
    let list = folder();
    let path = list.path().join("nodes");
    let names: Vec<String> = storages.iter().map(|storage| format!("127.0.0.1:{}\n", storage.ports[0])).collect();
    std::fs::write(&path, &names[0]).expect("the list is written");
    let flags = [format!("-storageNode=file:{}", path.display()), "-storageNode.discoveryInterval=100ms".to_string()];
    let (insert, select) = (role("insert", &flags), role("select", &flags));
    assert_eq!(insert.write(&body_of_a_cluster()).status, 204);
    std::fs::write(&path, names.concat()).expect("the list is written");
    select.process.wait_for_line("there are 2 storage nodes now", PATIENCE).expect("the select sees it");
    let time = END.to_string();
    let count = address("/api/v1/query", &[("query", "count({__name__!=\"\"})"), ("time", &time)]);
    let count = || {
        let answer = json(&select.client().get(&count).expect("an answer"));
        assert_eq!(answer["isPartial"], Value::Bool(false));
        number(&answer["data"]["result"][0]["value"][1])
    };
    let before = count();
    // What is written from now on goes to both; what was there stays where it is, and everything counts once.
    let second = storages[1].node.as_ref().expect("it runs");
    let begin = Instant::now();
    while second.metric("vm_vminsert_metrics_read_total") == 0.0 {
        assert!(begin.elapsed() < PATIENCE, "the new node gets nothing");
        assert_eq!(insert.write(&body_of_a_cluster()).status, 204);
    }
    assert_eq!(count(), before);
}
