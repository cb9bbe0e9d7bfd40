//! A node that is told to stop answers what it was sent before.

use std::time::Duration;

use testkit::http::Client;

use super::{
    nodes::{Nodes, Shape},
    selects::loaded,
};
use crate::queries::address;

const ROUNDS: usize = 10;
const QUERIES: usize = 40;
/// No query takes longer, unless it hangs.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Sends queries to the select, then tells it to stop at once.
fn stop_after_queries(nodes: &mut Nodes, path: &str) {
    let select = nodes.select().address;
    let ask = |_| Client::new(select).with_timeout(ANSWER_MAX).begin_get(path).expect("the select is there");
    let asked: Vec<_> = (0..QUERIES).map(ask).collect();
    nodes.stop_select(0);
    let answers: Vec<_> = asked.into_iter().map(|question| question.answer()).collect();
    let failed: Vec<String> = answers
        .iter()
        .filter_map(|answer| match answer {
            Ok(answer) if answer.is_success() => None,
            Ok(answer) => Some(format!("{} {}", answer.status, answer.text())),
            Err(why) => Some(why.to_string()),
        })
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {QUERIES} queries that were sent before are not answered: {failed:?}",
        failed.len()
    );
}

#[test]
fn a_select_that_is_told_to_stop_answers_what_it_was_asked() {
    let mut nodes = loaded(Shape { inserts: 1, storages: 2, copies: 2 });
    let end = super::selects::end_s().to_string();
    let path = address("/select/0/prometheus/api/v1/query", &[("query", "sum(rate(work[5m]))"), ("time", &end)]);
    for _ in 0..ROUNDS {
        stop_after_queries(&mut nodes, &path);
        nodes.start_select(0);
    }
}
