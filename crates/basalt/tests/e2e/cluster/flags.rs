//! What the flags of inserts, storages and selects do: which nodes are used, how long they are waited for, how fast what was missed comes back.

use std::{fs, net::TcpListener, thread, time::Instant};

use serde_json::Value;
use testkit::proxy::Link;

use super::{
    json,
    nodes::{Nodes, Shape, StorageNode, start_role},
    selects::{self, end_s, loaded},
};
use crate::{
    prometheus::wait_until,
    queries::address,
    server::{Basalt, PATIENCE, folder},
    wire::{BodyWriter, labels},
};

/// 2026-01-02T00:00:00Z
const TIME: i64 = 1_767_312_000_000;
const SERIES: usize = 200;
/// Longer than a test takes.
const FOR_EVER: &str = "1h";

fn body(batch: i64) -> BodyWriter {
    let mut body = BodyWriter::default();
    for series in 0..SERIES {
        let labels = labels(&[("__name__", "flagged"), ("series", &series.to_string())]);
        body.series(&labels, &[(TIME + batch * 1000, batch as f64)]);
    }
    body
}

fn write(insert: &Basalt, batch: i64) -> u16 {
    insert.write(&body(batch).body).status
}

fn node(storage: &StorageNode) -> &Basalt {
    storage.node.as_ref().expect("it runs")
}

fn insert(nodes: &Nodes) -> &Basalt {
    nodes.inserts[0].node.as_ref().expect("it runs")
}

/// `-storageNode` for the only insert, or behind it for a select.
fn list(nodes: &Nodes, of_select: bool, name: impl Fn(usize) -> &'static str) -> String {
    // All addresses of a storage take all calls.
    let address = |storage: &StorageNode| match of_select || nodes.shape.inserts == 0 {
        true => storage.select_address(),
        false => storage.insert_address(0),
    };
    let names = nodes.storages.iter().enumerate().map(|(at, storage)| format!("{}{}", name(at), address(storage)));
    format!("-storageNode={}", names.collect::<Vec<_>>().join(","))
}

/// How many series each storage has.
fn series_of_each(nodes: &Nodes) -> Vec<usize> {
    let count = |storage| {
        let answer: Value = serde_json::from_str(&node(storage).ok("/api/v1/series/count")).expect("JSON");
        answer["data"][0].as_u64().expect("a number") as usize
    };
    nodes.storages.iter().map(count).collect()
}

/// Whether the answer is partial, and how many series it counts; or its status.
fn count(select: &Basalt, more: &[(&str, &str)]) -> Result<(bool, usize), u16> {
    let time = (TIME / 1000 + 10).to_string();
    let arguments = [&[("query", "count(flagged)"), ("time", time.as_str()), ("nocache", "1")], more].concat();
    let answer = select.get(&address("/select/0/prometheus/api/v1/query", &arguments));
    if !answer.is_success() {
        return Err(answer.status);
    }
    let answer = json(&answer);
    let count = answer["data"]["result"][0]["value"][1].as_str().map_or(0, |text| text.parse().expect("a number"));
    Ok((answer["isPartial"].as_bool().expect("a select says so"), count))
}

#[test]
fn only_nodes_that_the_filter_matches_are_used() {
    let nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: 1 });
    let filter = r"-storageNode.filter=^127\.0\.1\.2:".to_string();
    let narrow = start_role("insert", &[list(&nodes, false, |_| ""), filter.clone()]);
    assert_eq!(write(&narrow, 0), 204);
    assert_eq!(series_of_each(&nodes), [0, SERIES]);
    let nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: 1 });
    assert_eq!(write(insert(&nodes), 0), 204);
    let each = series_of_each(&nodes);
    assert!(each[0] > 0 && each[0] + each[1] == SERIES, "{each:?}");
    let narrow = start_role("select", &[list(&nodes, true, |_| ""), filter]);
    assert_eq!(count(&narrow, &[]), Ok((false, each[1])));
}

#[test]
fn lists_are_looked_up_as_often_as_is_wanted() {
    let nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: 1 });
    let home = folder();
    let file = home.path().join("nodes");
    let names: Vec<String> = nodes.storages.iter().map(|storage| format!("{}\n", storage.select_address())).collect();
    fs::write(&file, &names[0]).expect("the list is written");
    let select = |interval: &str| {
        let interval = format!("-storageNode.discoveryInterval={interval}");
        start_role("select", &[format!("-storageNode=file:{}", file.display()), interval])
    };
    let (often, seldom) = (select("100ms"), select(FOR_EVER));
    // It looks at once, when it has started, and then not again.
    fs::write(&file, names.concat()).expect("the list is written");
    often.process.wait_for_line("there are 2 storage nodes now", PATIENCE).expect("it sees that");
    fs::write(&file, &names[1]).expect("the list is written");
    often.process.wait_for_line("there are 1 storage nodes now", PATIENCE).expect("it sees that");
    let lines = seldom.process.lines();
    assert!(!lines.iter().any(|line| line.contains("there are 1 storage nodes now")), "{lines:?}");
}

#[test]
fn each_group_has_its_own_number_of_copies() {
    let nodes = Nodes::start(Shape { inserts: 0, storages: 3, copies: 1 });
    let group = |at: usize| if at < 2 { "g0/" } else { "g1/" };
    let hints = folder();
    let copies = "-replicationFactor=g0:2,g1:1".to_string();
    let flags = [list(&nodes, false, group), copies.clone(), format!("-hints.path={}", hints.path().display())];
    let grouped = start_role("insert", &flags);
    assert_eq!(write(&grouped, 0), 204);
    let each = series_of_each(&nodes);
    assert!(each[0] == each[1] && each[2] > 0 && each[0] + each[2] == SERIES, "{each:?}");
    let select = start_role("select", &[list(&nodes, true, group), copies]);
    assert_eq!(count(&select, &[]), Ok((false, SERIES)), "copies count once");
    let too_many = start_fails("insert", &[list(&nodes, false, group), "-replicationFactor=g0:3".into()]);
    assert!(too_many.contains("-replicationFactor"), "{too_many}");
}

#[test]
fn each_series_is_in_as_many_groups_as_are_wanted() {
    // No other insert, which would send shards to other nodes.
    let mut nodes = Nodes::start(Shape { inserts: 0, storages: 3, copies: 1 });
    let group = |at: usize| ["g0/", "g1/", "g2/"][at];
    let hints = folder();
    let groups = "-globalReplicationFactor=2".to_string();
    let flags = [list(&nodes, false, group), groups.clone(), format!("-hints.path={}", hints.path().display())];
    let grouped = start_role("insert", &flags);
    assert_eq!(write(&grouped, 0), 204);
    let each = series_of_each(&nodes);
    assert!(each.iter().all(|count| *count < SERIES) && each.iter().sum::<usize>() == 2 * SERIES, "{each:?}");
    let select = start_role("select", &[list(&nodes, true, group), groups]);
    assert_eq!(count(&select, &[]), Ok((false, SERIES)), "copies count once");
    nodes.storages[1].kill9();
    wait_until("two groups have everything", || count(&select, &[]) == Ok((false, SERIES)));
    nodes.storages[2].kill9();
    assert!(matches!(count(&select, &[]), Ok((true, _))), "one group of three cannot");
}

/// What a node says that does not start.
fn start_fails(role: &str, flags: &[String]) -> String {
    let mut command = std::process::Command::new(crate::server::program());
    command.arg(role).arg("-httpListenAddr=127.0.0.1:0").args(flags);
    let output = command.output().expect("the program starts");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_node_that_takes_no_connection_is_given_up_in_time() {
    // Connections are taken by the system, but nobody goes on with TLS.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = silent.local_addr().expect("it has an address");
    let select = start_role(
        "select",
        &[format!("-storageNode={address}"), "-cluster.tls".into(), "-vmstorageDialTimeout=150ms".into()],
    );
    let line = select.process.wait_for_line("cannot use -storageNode", PATIENCE).expect("the log says so");
    assert!(line.contains(&address.to_string()) && line.contains("150ms"), "{line}");
}

#[test]
fn a_silent_node_counts_as_away_in_time() {
    let mut nodes = Nodes::start(Shape { inserts: 2, storages: 2, copies: 2 });
    for (insert, silence) in [(0, "-vmstorageUserTimeout=300ms"), (1, "-vmstorageUserTimeout=1h")] {
        nodes.stop_insert(insert);
        nodes.start_insert_with(insert, &[silence]);
        assert_eq!(write(nodes.inserts[insert].node.as_ref().expect("it runs"), 0), 204);
    }
    wait_until("all is said", || nodes.is_settled());
    nodes.storages[1].set_links(Link::Stalled);
    let hinted = |number: usize| {
        let address = nodes.storages[1].insert_address(number);
        let insert = nodes.inserts[number].node.as_ref().expect("it runs");
        insert.metric(&format!("vm_rpc_rows_hinted_total{{name=\"vminsert\", addr=\"{address}\"}}"))
    };
    thread::scope(|scope| {
        let insert_that_waits = nodes.inserts[1].node.as_ref().expect("it runs");
        let patient = scope.spawn(|| write(insert_that_waits, 1));
        // Its rows are at the other node already.
        let arrived = || node(&nodes.storages[0]).metric("vm_vminsert_metrics_read_total") > 2.0 * SERIES as f64;
        wait_until("they are on their way", arrived);
        assert_eq!(write(insert(&nodes), 2), 204, "one copy, and a hint for the node that is silent");
        assert!(!patient.is_finished(), "it waits for both");
        nodes.storages[1].set_links(Link::Open);
        assert_eq!(patient.join().expect("no panic"), 204);
    });
    assert!(hinted(0) >= SERIES as f64 && hinted(1) == 0.0, "{} {}", hinted(0), hinted(1));
}

#[test]
fn answers_that_lack_something_may_be_denied() {
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: 1 });
    assert_eq!(write(insert(&nodes), 0), 204);
    let strict = start_role("select", &[list(&nodes, true, |_| ""), "-search.denyPartialResponse".into()]);
    assert_eq!(count(&strict, &[]), Ok((false, SERIES)));
    nodes.storages[0].kill9();
    let lenient = nodes.select();
    assert!(matches!(count(lenient, &[]), Ok((true, some)) if some > 0 && some < SERIES));
    assert_eq!(count(&strict, &[]), Err(503));
    for path in ["/api/v1/labels", "/api/v1/label/series/values", "/api/v1/series?match[]=flagged"] {
        let status = |select: &Basalt| select.get(&format!("/select/0/prometheus{path}")).status;
        assert_eq!((status(&strict), status(lenient)), (503, 200), "{path}");
    }
    // The request may say otherwise, on both sides.
    assert!(matches!(count(&strict, &[("deny_partial_response", "0")]), Ok((true, _))));
    assert_eq!(count(lenient, &[("deny_partial_response", "1")]), Err(503));
}

#[test]
fn lists_of_labels_are_not_waited_for_where_slow_replicas_are_skipped() {
    let nodes = loaded(Shape { inserts: 1, storages: 3, copies: 2 });
    let start = |more: &str| {
        let flags = ["-replicationFactor=2".to_string(), format!("-vmstorageUserTimeout={FOR_EVER}"), more.to_string()];
        start_role("select", &[vec![list(&nodes, true, |_| "")], flags.to_vec()].concat())
    };
    let (skips, waits) = (start("-search.skipSlowReplicas"), start("-search.skipSlowReplicas=false"));
    let end = end_s().to_string();
    let range = [("start", "1"), ("end", end.as_str())];
    let ask = |select: &Basalt, path: &str| {
        json(&select.client().get(&address(&format!("/select/0/prometheus{path}"), &range)).expect("an answer"))
    };
    let paths = ["/api/v1/labels", "/api/v1/label/number/values"];
    // Both know all nodes, and are connected to them.
    let whole = paths.map(|path| ask(&waits, path));
    assert_eq!(paths.map(|path| ask(&skips, path)), whole);
    nodes.storages[0].set_link(nodes.shape.inserts, Link::Stalled);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ask(&waits, paths[0]));
        for _ in 0..3 {
            assert_eq!(paths.map(|path| ask(&skips, path)), whole, "two of three have everything");
        }
        assert!(!waiting.is_finished(), "it waits for all");
        nodes.storages[0].set_link(nodes.shape.inserts, Link::Open);
        assert_eq!(waiting.join().expect("no panic"), whole[0]);
    });
}

#[test]
fn hints_lie_where_they_are_wanted_and_drain_as_fast_as_they_may() {
    const PER_SECOND: f64 = 300.0;
    const BATCHES: i64 = 3;
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: 2 });
    nodes.stop_insert(0);
    let elsewhere = folder();
    let path = format!("-hints.path={}", elsewhere.path().join("hints").display());
    nodes.start_insert_with(0, &[&path, &format!("-hints.maxDrainRate={PER_SECOND}")]);
    assert_eq!(write(insert(&nodes), 0), 204);
    wait_until("all is said", || nodes.is_settled());
    nodes.storages[1].kill9();
    (1..=BATCHES).for_each(|batch| assert_eq!(write(insert(&nodes), batch), 204));
    assert!(elsewhere.path().join("hints").read_dir().is_ok_and(|mut files| files.next().is_some()), "no hints there");
    nodes.storages[1].start(&[]);
    let began = Instant::now();
    let of_it = |metric: &str| {
        let address = nodes.storages[1].insert_address(0);
        insert(&nodes).metric(&format!("{metric}{{name=\"vminsert\", addr=\"{address}\"}}"))
    };
    wait_until("it is there", || of_it("vm_rpc_vmstorage_is_reachable") == 1.0);
    assert_eq!(
        (write(insert(&nodes), BATCHES + 1), of_it("vm_rpc_hints_pending")),
        (204, 1.0),
        "live rows do not wait"
    );
    wait_until("the hints are drained", || nodes.is_settled());
    let (took, drained) = (began.elapsed().as_secs_f64(), of_it("vm_rpc_hint_rows_drained_total"));
    assert_eq!(drained, (BATCHES as usize * SERIES) as f64);
    assert!(took > drained / PER_SECOND * 0.9, "{drained} samples took {took} s");
    let exported = node(&nodes.storages[1]).export("flagged&start=1");
    let mut all = BodyWriter::default();
    (0..=BATCHES + 1).for_each(|batch| super::load::merge(&mut all.ledger, &body(batch).ledger));
    exported.check(&all.ledger, &all.ledger);
}

#[test]
fn a_storage_is_filled_up_as_fast_as_it_may() {
    const PER_SECOND: f64 = 48.0 * 1024.0;
    let mut nodes = selects::loaded(Shape { inserts: 1, storages: 2, copies: 2 });
    nodes.storages[0].kill9();
    nodes.storages[0].lose_everything();
    nodes.storages[0].start(&["-storage.refillMaxRate=48KiB"]);
    wait_until("it knows what it lacks", || node(&nodes.storages[0]).metric("basalt_refill_lacking_shards") > 0.0);
    let began = Instant::now();
    let path = format!("/internal/refill?from={}&wait=1", nodes.storages[1].select_address());
    let filled = node(&nodes.storages[0]).client().post(&path, "text/plain", None, b"").expect("an answer");
    assert!(filled.is_success(), "{}", filled.text());
    let took = began.elapsed().as_secs_f64();
    let bytes = node(&nodes.storages[0]).metric("basalt_refill_bytes_total");
    assert_eq!(node(&nodes.storages[0]).metric("basalt_refill_lacking_shards"), 0.0);
    assert!(bytes > PER_SECOND && took > bytes / PER_SECOND * 0.9, "{bytes} bytes took {took} s");
}
