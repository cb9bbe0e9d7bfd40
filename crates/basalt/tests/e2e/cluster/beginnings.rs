//! What a storage says of the time before it owned a shard, or before it lost its disk while nobody looked.

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
    nodes.select.as_ref().expect("it runs")
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
    nodes.stop_select();
    nodes.shape.copies = 2;
    nodes.start_insert(0);
    nodes.start_select();
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
