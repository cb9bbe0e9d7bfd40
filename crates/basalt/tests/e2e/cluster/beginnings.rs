//! What a storage says of the time before it owned a shard, or before it lost its disk while nobody looked.

use std::{thread, time::Duration};

use serde_json::Value;
use testkit::proxy::Link;

use super::nodes::{Nodes, Shape};
use crate::{
    prometheus::wait_until,
    server::Basalt,
    wire::{BodyWriter, labels},
};

/// 2026-01-02T00:00:00Z
const TIME_S: i64 = 1_767_312_000;
const SERIES: usize = 200;
/// Of a select's links from the only insert, and from itself behind it.
const SELECT: usize = 1;

/// One sample of each of many series, so that every node gets some.
fn write(nodes: &Nodes, batch: i64) {
    let mut body = BodyWriter::default();
    for series in 0..SERIES {
        let labels = labels(&[("__name__", "begun"), ("series", &series.to_string())]);
        body.series(&labels, &[((TIME_S + batch) * 1000, 1.0)]);
    }
    let insert = nodes.inserts[0].node.as_ref().expect("it runs");
    wait_until("the insert takes rows", || insert.write(&body.body).status == 204);
}

fn select(nodes: &Nodes) -> &Basalt {
    nodes.select()
}

/// Whether the answer says that it is partial, and how many samples it has counted.
fn samples(nodes: &Nodes) -> (Option<bool>, usize) {
    let query = format!(
        "/select/0/prometheus/api/v1/query?nocache=1&query=sum(count_over_time(begun[1h]))&time={}",
        TIME_S + 60
    );
    let answer: Value = serde_json::from_str(&select(nodes).ok(&query)).expect("JSON");
    let value = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0").parse().expect("a number");
    (answer["isPartial"].as_bool(), value)
}

/// Has a storage filled up from another one.
fn refill(nodes: &Nodes, storage: usize, from: usize) {
    let path = format!("/internal/refill?wait=1&from={}", nodes.storages[from].select_address());
    let node = nodes.storages[storage].node.as_ref().expect("it runs");
    let answer = node.client().post(&path, "text/plain", None, b"").expect("an answer");
    assert!(answer.is_success(), "{}", answer.text());
}

/// Each storage stands for the other one.
fn either_is_enough(nodes: &Nodes, all: usize) {
    for away in [0, 1] {
        nodes.storages[away].set_link(SELECT, Link::Cut);
        wait_until("the other one has everything", || samples(nodes) == (Some(false), all));
        nodes.storages[away].set_link(SELECT, Link::Open);
        wait_until("it is back", || samples(nodes) == (Some(false), all));
    }
}

#[test]
fn a_storage_that_lost_its_disk_while_no_insert_ran_answers_for_nothing_that_it_lost() {
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: 2 });
    (0..2).for_each(|batch| write(&nodes, batch));
    wait_until("all is said", || nodes.is_settled());
    either_is_enough(&nodes, 2 * SERIES);
    nodes.stop_insert(0);
    nodes.storages[1].stop();
    nodes.storages[1].lose_everything();
    nodes.storages[1].start(&[]);
    nodes.start_insert(0);
    write(&nodes, 2);
    for _ in 0..5 {
        assert_eq!(samples(&nodes), (Some(false), 3 * SERIES), "it was asked alone");
    }
    nodes.storages[0].set_link(SELECT, Link::Cut);
    wait_until("the first one is away", || samples(&nodes) == (Some(true), SERIES));
    nodes.storages[0].set_link(SELECT, Link::Open);
    refill(&nodes, 1, 0);
    wait_until("all is said", || nodes.is_settled());
    either_is_enough(&nodes, 3 * SERIES);
}

#[test]
fn a_storage_that_came_to_own_shards_answers_for_the_time_before_when_it_was_filled_up() {
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: 1 });
    write(&nodes, 0);
    assert_eq!(samples(&nodes), (Some(false), SERIES));
    nodes.stop_insert(0);
    nodes.stop_select(0);
    nodes.shape.copies = 2;
    nodes.start_insert(0);
    nodes.start_select(0);
    write(&nodes, 1);
    wait_until("all is said", || nodes.is_settled());
    assert_eq!(samples(&nodes), (Some(false), 2 * SERIES));
    for away in [0, 1] {
        nodes.storages[away].set_link(SELECT, Link::Cut);
        wait_until("one is away", || samples(&nodes).0 == Some(true));
        assert!(samples(&nodes).1 < 2 * SERIES, "each has one copy of what was written before");
        nodes.storages[away].set_link(SELECT, Link::Open);
        wait_until("it is back", || samples(&nodes) == (Some(false), 2 * SERIES));
    }
    refill(&nodes, 0, 1);
    refill(&nodes, 1, 0);
    wait_until("all is said", || nodes.is_settled());
    either_is_enough(&nodes, 2 * SERIES);
    // What was filled up stays so.
    for storage in 0..2 {
        nodes.storages[storage].stop();
        nodes.storages[storage].start(&[]);
    }
    wait_until("all is said", || nodes.is_settled());
    either_is_enough(&nodes, 2 * SERIES);
}

/// Asks a storage to be filled up, or to end that; what it says then.
fn ask_refill(nodes: &Nodes, storage: usize, path: &str) -> Value {
    let node = nodes.storages[storage].node.as_ref().expect("it runs");
    let answer = node.client().post(path, "text/plain", None, b"").expect("an answer");
    assert!(answer.is_success(), "{}", answer.text());
    serde_json::from_str(&answer.text()).expect("JSON")
}

#[test]
fn a_storage_that_was_out_of_the_list_answers_for_nothing_of_that_time() {
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 3, copies: 2 });
    write(&nodes, 0);
    wait_until("all is said", || nodes.is_settled());
    assert_eq!(samples(&nodes), (Some(false), SERIES));
    // It is stopped and taken out of the list, so that it never hears of the map without it.
    nodes.stop_insert(0);
    let mut out = nodes.storages.remove(0);
    out.stop();
    nodes.start_insert(0);
    write(&nodes, 1);
    nodes.stop_insert(0);
    out.start(&[]);
    nodes.storages.insert(0, out);
    nodes.start_insert(0);
    wait_until("all is said", || nodes.is_settled());
    wait_until("it is back", || samples(&nodes) == (Some(false), 2 * SERIES));
    // Of the two that have what was written meanwhile one loses it, the other goes away.
    nodes.storages[2].stop();
    nodes.storages[2].lose_everything();
    nodes.storages[2].start(&[]);
    let from = [0, 1].map(|storage| nodes.storages[storage].select_address().to_string()).join(",");
    ask_refill(&nodes, 2, &format!("/internal/refill?from={from}"));
    wait_until("nobody has the rest", || {
        let text = nodes.storages[2].node.as_ref().expect("it runs").ok("/internal/refill");
        text.contains("no node has all of")
    });
    let left = ask_refill(&nodes, 2, "/internal/refill/stop");
    assert!(left["data"]["lackingShards"].as_u64() > Some(0) && left["data"]["running"] == false, "{left}");
    let left = ask_refill(&nodes, 2, "/internal/refill/stop?give_up=1");
    assert!(left["data"]["lackingShards"] == 0 && left["data"]["lateShards"].as_u64() > Some(0), "{left}");
    wait_until("all is said", || nodes.is_settled());
    assert_eq!(samples(&nodes), (Some(false), 2 * SERIES), "one of them has it still");
    nodes.storages[1].set_link(SELECT, Link::Cut);
    wait_until("nobody says that it has everything", || samples(&nodes).0 == Some(true));
    for _ in 0..5 {
        assert_eq!(samples(&nodes).0, Some(true));
    }
}

/// Whose word the last storage waits for.
fn inserts(nodes: &Nodes) -> String {
    nodes.storages[2].node.as_ref().expect("it runs").ok("/internal/inserts")
}

#[test]
fn a_storage_that_an_insert_has_in_its_list_no_more_answers_for_nothing_until_it_is_back() {
    let mut nodes = Nodes::start(Shape { inserts: 2, storages: 3, copies: 2 });
    write(&nodes, 0);
    wait_until("all is said", || nodes.is_settled());
    // The first insert is started anew with a shorter list, the other one goes on with all of them.
    nodes.stop_insert(0);
    let out = nodes.storages.pop().expect("three of them");
    nodes.start_insert(0);
    write(&nodes, 1);
    nodes.stop_insert(0);
    nodes.storages.push(out);
    wait_until("it knows that", || inserts(&nodes).contains("goesPast"));
    assert!(nodes.storages[2].node.as_ref().expect("it runs").metric("basalt_late_shards") > 0.0);
    nodes.start_insert(0);
    wait_until("it is in the list again", || !inserts(&nodes).contains("goesPast"));
    wait_until("all is said", || nodes.is_settled());
    assert_eq!(samples(&nodes), (Some(false), 2 * SERIES));
    nodes.storages[0].set_link(2, Link::Cut);
    wait_until("nobody says that it has everything", || samples(&nodes).0 == Some(true));
}

#[test]
fn a_storage_that_was_out_of_the_list_while_there_were_no_copies_answers_for_nothing_of_that_time() {
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: 2 });
    write(&nodes, 0);
    wait_until("all is said", || nodes.is_settled());
    // It is away for long, and the insert is started without it and without copies, with hints for it left.
    let mut away = nodes.storages.pop().expect("two of them");
    away.stop();
    write(&nodes, 1);
    nodes.stop_insert(0);
    nodes.shape.copies = 1;
    nodes.start_insert(0);
    write(&nodes, 2);
    let metrics = nodes.inserts[0].node.as_ref().expect("it runs").ok("/metrics");
    let is_pending = |line: &str| line.starts_with("vm_rpc_hints_pending{") && !line.ends_with(" 0");
    assert!(metrics.lines().any(is_pending), "what is kept for it is named: {metrics}");
    nodes.stop_insert(0);
    away.start(&[]);
    nodes.storages.push(away);
    nodes.shape.copies = 2;
    nodes.start_insert(0);
    wait_until("all is said", || nodes.is_settled());
    assert_eq!(samples(&nodes), (Some(false), 3 * SERIES));
    nodes.storages[0].set_link(SELECT, Link::Cut);
    wait_until("the other one lacks what was written meanwhile", || samples(&nodes) == (Some(true), 2 * SERIES));
}

#[test]
fn a_storage_that_no_insert_has_reported_to_since_its_start_answers_for_nothing_alone() {
    let mut nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: 2 });
    write(&nodes, 0);
    wait_until("all is said", || nodes.is_settled());
    // It stops behind the insert, which has said good-bye, and comes back when the insert, with another list, has said it again.
    nodes.stop_insert(0);
    let mut away = nodes.storages.pop().expect("two of them");
    away.stop();
    nodes.shape.copies = 1;
    nodes.start_insert(0);
    write(&nodes, 1);
    nodes.stop_insert(0);
    away.start(&[]);
    nodes.storages.push(away);
    wait_until("together they have everything, with no insert at all", || samples(&nodes) == (Some(false), 2 * SERIES));
    nodes.storages[0].set_link(SELECT, Link::Cut);
    wait_until("alone it does not know", || samples(&nodes) == (Some(true), SERIES));
}

#[test]
fn what_inserts_send_to_others_still_is_not_copied_again_and_again() {
    let mut nodes = Nodes::start(Shape { inserts: 2, storages: 3, copies: 2 });
    write(&nodes, 0);
    wait_until("all is said", || nodes.is_settled());
    // The first insert has a shorter list: it sends the first storage what the other one sends past it.
    nodes.stop_insert(0);
    let out = nodes.storages.pop().expect("three of them");
    nodes.start_insert(0);
    write(&nodes, 1);
    nodes.storages.push(out);
    ask_refill(&nodes, 0, &format!("/internal/refill?all=1&from={}", nodes.storages[1].select_address()));
    let node = nodes.storages[0].node.as_ref().expect("it runs");
    wait_until("what can be had is here", || {
        node.metric("basalt_refill_samples_total") > 0.0 && node.ok("/internal/refill").contains("\"trouble\":\"")
    });
    let samples = node.metric("basalt_refill_samples_total");
    thread::sleep(Duration::from_secs(5));
    assert_eq!(node.metric("basalt_refill_samples_total"), samples, "each round copies the same");
}

#[test]
fn a_storage_that_lacks_nothing_is_filled_up_only_by_somebody_who_knows_better() {
    let nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: 2 });
    write(&nodes, 0);
    wait_until("all is said", || nodes.is_settled());
    either_is_enough(&nodes, SERIES);
    refill(&nodes, 1, 0);
    either_is_enough(&nodes, SERIES);
    let begun = ask_refill(&nodes, 1, "/internal/refill?from=127.0.0.1:1&all=1");
    assert!(begun["data"]["lackingShards"] == 1024 && begun["data"]["running"] == true, "{begun}");
    nodes.storages[0].set_link(SELECT, Link::Cut);
    wait_until("it does not count any more", || samples(&nodes) == (Some(true), SERIES));
    nodes.storages[0].set_link(SELECT, Link::Open);
    let ended = ask_refill(&nodes, 1, "/internal/refill/stop");
    assert!(ended["data"]["lackingShards"] == 0 && ended["data"]["running"] == false, "{ended}");
    either_is_enough(&nodes, SERIES);
    let path = format!("/internal/refill?wait=1&all=1&from={}", nodes.storages[0].select_address());
    let filled = ask_refill(&nodes, 1, &path);
    assert!(filled["data"]["lackingShards"] == 0 && filled["data"]["bytes"].as_u64() > Some(0), "{filled}");
    either_is_enough(&nodes, SERIES);
}
