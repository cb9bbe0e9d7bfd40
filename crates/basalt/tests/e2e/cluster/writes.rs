//! What writes mean to a cluster whose nodes come and go, one promise after the other.

use std::{fs, path::Path, process::Command};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

use super::nodes::{Nodes, Shape, StorageNode, address_behind, start_role};
use crate::{
    ledger::Ledger,
    prometheus::wait_until,
    server::{Basalt, folder, program},
    wire::{BodyWriter, labels},
};

/// 2026-01-02T00:00:00Z
const TIME: i64 = 1_767_312_000_000;
const TWO_OF_TWO: Shape = Shape { inserts: 1, storages: 2, copies: 2 };

/// A body with a sample of each of many series, so that every node gets some.
pub fn body(batch: i64) -> BodyWriter {
    let mut body = BodyWriter::default();
    for series in 0..200 {
        let labels = labels(&[("__name__", "writes"), ("series", &series.to_string())]);
        body.series(&labels, &[(TIME + batch * 1000, batch as f64)]);
    }
    body
}

/// Writes a body; the status and what was said.
pub fn write(insert: &Basalt, batch: i64) -> (u16, String) {
    let answer = insert.write(&body(batch).body);
    (answer.status, answer.text())
}

pub fn exported(node: &Basalt) -> Ledger {
    node.export("writes&start=1")
}

pub fn batches(batches: std::ops::Range<i64>) -> Ledger {
    let mut all = BodyWriter::default();
    for batch in batches {
        super::load::merge(&mut all.ledger, &body(batch).ledger);
    }
    all.ledger
}

pub fn node(storage: &StorageNode) -> &Basalt {
    storage.node.as_ref().expect("it runs")
}

pub fn insert(nodes: &Nodes) -> &Basalt {
    nodes.inserts[0].node.as_ref().expect("it runs")
}

#[test]
fn strict_waits_for_all_copies_and_best_effort_keeps_hints() {
    let mut nodes = Nodes::start(TWO_OF_TWO);
    let hints = folder();
    let list: Vec<String> = nodes.storages.iter().map(|storage| storage.insert_address(0).to_string()).collect();
    let flags = [
        format!("-storageNode={}", list.join(",")),
        "-replicationFactor=2".to_string(),
        "-insert.ack=strict".to_string(),
        format!("-hints.path={}", hints.path().display()),
    ];
    let strict = start_role("insert", &flags);
    assert_eq!((write(&strict, 0).0, write(insert(&nodes), 1).0), (204, 204));
    nodes.storages[1].kill9();
    assert_eq!(write(insert(&nodes), 2).0, 204, "one copy and a hint");
    let (status, why) = write(&strict, 3);
    assert!(status == 503 && why.contains(&list[1]), "{status} {why}");
    nodes.storages[1].start(&[]);
    wait_until("the hints are drained", || nodes.is_settled());
    let all = batches(0..4);
    exported(node(&nodes.storages[1])).check(&batches(0..3), &all);
    wait_until("a strict insert writes again", || write(&strict, 3).0 == 204);
    nodes.storages.iter().for_each(|storage| exported(node(storage)).check(&all, &all));
}

#[test]
fn hints_are_bounded_and_a_refusal_says_so() {
    let mut nodes = Nodes::start(TWO_OF_TWO);
    nodes.stop_insert(0);
    nodes.start_insert_with(0, &["-hints.maxDiskUsage=1"]);
    assert_eq!(write(insert(&nodes), 0).0, 204);
    nodes.storages[0].kill9();
    // The first one finds room; what is acknowledged with it is a hint, and stays.
    assert_eq!(write(insert(&nodes), 1).0, 204);
    let (status, why) = write(insert(&nodes), 2);
    assert!(status == 503 && why.contains("hints take"), "{status} {why}");
    nodes.storages[0].start(&[]);
    wait_until("the hint is drained", || nodes.is_settled());
    assert_eq!(write(insert(&nodes), 3).0, 204);
    exported(node(&nodes.storages[0])).check(&batches(0..2), &batches(0..4));
}

#[test]
fn an_insert_that_is_gone_is_forgotten_when_somebody_says_so() {
    let mut nodes = Nodes::start(TWO_OF_TWO);
    assert_eq!(write(insert(&nodes), 0).0, 204);
    wait_until("the storage has heard of the insert", || nodes.is_settled() && !inserts(&nodes).is_empty());
    let name = inserts(&nodes)[0].clone();
    let forget = |nodes: &Nodes, name: &str| {
        let path = format!("/internal/forget_insert?id={name}");
        node(&nodes.storages[0]).client().post(&path, "text/plain", None, b"").expect("an answer").status
    };
    assert_eq!((forget(&nodes, &name), forget(&nodes, "77"), forget(&nodes, "x")), (409, 404, 400));
    nodes.kill9_insert(0);
    wait_until("its word is over", || node(&nodes.storages[0]).metric("basalt_catching_up") == 1.0);
    nodes.storages[0].kill9();
    nodes.storages[0].start(&[]);
    assert_eq!(node(&nodes.storages[0]).metric("basalt_catching_up"), 1.0, "it is remembered");
    assert_eq!(forget(&nodes, &name), 200);
    assert_eq!(node(&nodes.storages[0]).metric("basalt_catching_up"), 0.0);
    assert!(inserts(&nodes).is_empty());
}

#[test]
fn a_storage_that_restarts_is_told_no_labels_again() {
    const BODIES: usize = 20;
    const SERIES: usize = 10_000;
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 1, copies: 1 });
    let scrape = |nodes: &Nodes, scrape: i64| {
        for body in 0..BODIES {
            let mut rows = BodyWriter::default();
            for series in body * SERIES..(body + 1) * SERIES {
                let (pod, job) = (format!("pod-{series}"), format!("job-{}", series % 7));
                let labels = labels(&[("__name__", "writes"), ("job", &job), ("pod", &pod)]);
                rows.series(&labels, &[(TIME + scrape * 15_000, scrape as f64)]);
            }
            let answer = insert(nodes).write(&rows.body);
            assert_eq!(answer.status, 204, "{}", answer.text());
        }
    };
    let keys = |nodes: &Nodes| node(&nodes.storages[0]).metric("basalt_series_keys_received_total") as usize;
    scrape(&nodes, 0);
    assert_eq!(keys(&nodes), BODIES * SERIES, "each once");
    scrape(&nodes, 1);
    assert_eq!(keys(&nodes), BODIES * SERIES);
    // What a stop in good order leaves stands in parts, what a kill leaves in the log.
    nodes.storages[0].stop();
    for (scrapes, kill) in [(2, true), (3, false)] {
        nodes.storages[0].start(&[]);
        wait_until("the insert has found it again", || nodes.is_settled());
        scrape(&nodes, scrapes);
        assert_eq!(keys(&nodes), 0);
        assert_eq!(node(&nodes.storages[0]).metric("vm_rows_added_to_storage_total") as usize, BODIES * SERIES);
        if kill {
            nodes.storages[0].kill9();
        }
    }
}

/// The inserts that the first storage knows.
fn inserts(nodes: &Nodes) -> Vec<String> {
    let answer: Value = serde_json::from_str(&node(&nodes.storages[0]).ok("/internal/inserts")).expect("JSON");
    let names = answer["data"].as_array().expect("a list").iter();
    names.map(|insert| insert["id"].as_str().expect("a name").to_string()).collect()
}

/// Whether an answer says that it is partial, and whether it has everything.
fn partial(nodes: &Nodes) -> (Option<bool>, bool) {
    let query = format!("/select/0/prometheus/api/v1/query?query=count(writes)&time={}", TIME / 1000 + 10);
    let answer: Value = serde_json::from_str(&nodes.select().ok(&query)).expect("JSON");
    (answer["isPartial"].as_bool(), answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0") == "200")
}

/// Has the first storage filled up from the two others.
fn refill(nodes: &Nodes, wait: &str) {
    let others = [1, 2].map(|other: usize| nodes.storages[other].select_address().to_string());
    let path = format!("/internal/refill?from={}{wait}", others.join(","));
    let answer = node(&nodes.storages[0]).client().post(&path, "text/plain", None, b"").expect("an answer");
    assert!(answer.is_success(), "{}", answer.text());
}

#[test]
fn a_storage_with_a_damaged_part_counts_as_whole_only_when_it_is_filled_again() {
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 3, copies: 2 });
    (0..3).for_each(|batch| assert_eq!(write(insert(&nodes), batch).0, 204));
    wait_until("all is said", || nodes.is_settled());
    nodes.storages[0].stop();
    nodes.storages[0].damage_parts();
    nodes.storages[0].start(&[]);
    wait_until("all is said", || nodes.is_settled());
    for _ in 0..2 {
        assert_eq!(partial(&nodes), (Some(false), true), "the others have everything");
        nodes.storages[1].kill9();
        assert_eq!(partial(&nodes), (Some(true), false), "what it shared with the damaged one is nowhere");
        nodes.storages[1].start(&[]);
        // Now the part is set aside already, and nothing else is damaged.
        nodes.storages[0].kill9();
        nodes.storages[0].start(&[]);
        wait_until("all is said", || nodes.is_settled());
    }
    refill(&nodes, "&wait=1");
    wait_until("all is said", || nodes.is_settled());
    nodes.storages[1].kill9();
    wait_until("two of three are whole", || partial(&nodes) == (Some(false), true));
}

#[test]
fn a_storage_that_lost_its_disk_counts_as_whole_only_when_it_is_filled_again() {
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 3, copies: 2 });
    (0..3).for_each(|batch| assert_eq!(write(insert(&nodes), batch).0, 204));
    wait_until("all is said", || nodes.is_settled());
    nodes.storages[0].kill9();
    nodes.storages[0].lose_everything();
    assert_eq!(write(insert(&nodes), 3).0, 204);
    // So slowly that it is not done at once.
    nodes.storages[0].start(&["-storage.refillMaxRate=1KiB"]);
    wait_until("it knows what it lacks", || node(&nodes.storages[0]).metric("basalt_refill_lacking_shards") > 0.0);
    assert_eq!(partial(&nodes), (Some(false), true), "the others have everything");
    nodes.storages[1].kill9();
    assert_eq!(partial(&nodes).0, Some(true), "what it shared with the empty one is nowhere");
    let delete = "/delete/0/prometheus/api/v1/admin/tsdb/delete_series?match[]=nothing";
    let delete = |nodes: &Nodes| {
        let mut client = nodes.select().client();
        client.post(delete, "text/plain", None, b"").expect("an answer").status
    };
    nodes.storages[1].start(&[]);
    assert_eq!(delete(&nodes), 503, "what is deleted now would be copied later");
    refill(&nodes, "");
    wait_until("something comes", || node(&nodes.storages[0]).metric("basalt_refill_bytes_total") > 0.0);
    nodes.storages[0].kill9();
    nodes.storages[0].start(&[]);
    wait_until("it goes on by itself", || {
        let first = node(&nodes.storages[0]);
        first.metric("basalt_refill_lacking_shards") == 0.0 && first.metric("basalt_refill_running") == 0.0
    });
    wait_until("all is said", || nodes.is_settled());
    for other in 1..3 {
        let snapshots: Value = serde_json::from_str(&node(&nodes.storages[other]).ok("/snapshot/list")).expect("JSON");
        assert_eq!(snapshots["snapshots"], Value::Array(Vec::new()), "nothing stays behind at {other}");
    }
    wait_until("a delete is taken", || delete(&nodes) == 204);
    nodes.storages[1].kill9();
    wait_until("two of three are whole", || partial(&nodes) == (Some(false), true));
    nodes.storages[1].start(&[]);
    wait_until("all is said", || nodes.is_settled());
    refill(&nodes, "&wait=1");
    let all = batches(0..4);
    exported(nodes.select()).check(&all, &all);
}

/// Writes a certificate of the authority and its key.
fn certify(home: &Path, name: &str, authority: &CertifiedIssuer<'_, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("it is signed");
    fs::write(home.join(format!("{name}.pem")), certificate.pem()).expect("a file");
    fs::write(home.join(format!("{name}.key")), key.serialize_pem()).expect("a file");
}

#[test]
fn nodes_with_certificates_of_one_authority_talk_and_let_nobody_else_in() {
    let home = folder();
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("it is signed");
        fs::write(home.path().join("ca.pem"), authority.pem()).expect("a file");
        certify(home.path(), name, &authority);
    };
    authority("stranger");
    authority("node");
    let file = |name: &str| home.path().join(name).display().to_string();
    let tls = |name: &str| {
        vec![
            "-cluster.tls".to_string(),
            "-cluster.tlsServerName=localhost".to_string(),
            format!("-cluster.tlsCAFile={}", file("ca.pem")),
            format!("-cluster.tlsCertFile={}", file(&format!("{name}.pem"))),
            format!("-cluster.tlsKeyFile={}", file(&format!("{name}.key"))),
        ]
    };
    let data = folder();
    let storage_flags = [
        format!("-storageDataPath={}", data.path().display()),
        "-retentionPeriod=100y".to_string(),
        "-vminsertAddr=127.0.0.1:0".to_string(),
        "-vmselectAddr=127.0.0.1:0".to_string(),
    ];
    let storage = start_role("storage", &[tls("node"), storage_flags.into()].concat());
    let inserts = format!("-storageNode={}", address_behind(&storage, "accepting vminsert conns at"));
    let selects = format!("-storageNode={}", address_behind(&storage, "accepting vmselect conns at"));
    for flags in [vec![], tls("stranger")] {
        let other =
            start_role("insert", &[flags, vec![inserts.clone(), "-vmstorageUserTimeout=200ms".into()]].concat());
        assert_eq!(write(&other, 9).0, 503);
    }
    let insert = start_role("insert", &[tls("node"), vec![inserts]].concat());
    wait_until("it is let in", || write(&insert, 0).0 == 204);
    let select = start_role("select", &[tls("node"), vec![selects]].concat());
    exported(&select).check(&batches(0..1), &batches(0..1));
}

#[test]
fn a_folder_goes_from_a_storage_to_a_single_node_and_back() {
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 1, copies: 1 });
    assert_eq!(write(insert(&nodes), 0).0, 204);
    nodes.storages[0].stop();
    let single = Basalt::start(nodes.storages[0].folder.path(), &[]);
    assert_eq!(single.write(&body(1).body).status, 204);
    exported(&single).check(&batches(0..2), &batches(0..2));
    assert!(!single.process.lines().iter().any(|line| line.contains("none of Basalt's")), "all files are known");
    single.stop();
    nodes.storages[0].start(&[]);
    wait_until("the insert finds it again", || write(insert(&nodes), 2).0 == 204);
    exported(nodes.select()).check(&batches(0..3), &batches(0..3));
}

#[test]
fn an_insert_names_an_address_that_is_none_of_a_storage() {
    let nodes = Nodes::start(Shape { inserts: 1, storages: 1, copies: 1 });
    let select = nodes.select().address.to_string();
    let mut command = Command::new(program());
    command.args(["insert", "-httpListenAddr=127.0.0.1:0", &format!("-storageNode={select}")]);
    let insert = Basalt::spawn(command);
    let line = insert.process.wait_for_line("cannot use -storageNode", crate::server::PATIENCE).expect("it says so");
    assert!(line.contains(&select) && line.contains("-vminsertAddr"), "{line}");
    let (status, why) = write(&insert, 0);
    assert!(status == 503 && why.contains(&select), "{status} {why}");
}
