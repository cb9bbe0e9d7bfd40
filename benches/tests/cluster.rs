//! The measurements of a cluster in a form of some seconds, so that they cannot rot.

mod common;

use std::time::Duration;

use common::newest_build;
use traffic::{
    cluster::{
        ingest::{self, Spent},
        queries,
    },
    paired::Plan,
    queries::{DASHBOARD, Plan as QueryPlan},
    server::Patience,
};

const PATIENCE: Patience = Patience { idle: Duration::from_millis(200), most: Duration::from_secs(20) };

#[test]
fn a_cluster_takes_what_a_single_node_takes() {
    let Some(program) = newest_build() else { return };
    let plan =
        Plan { series: 1_500, scrapes: 4, pairs: 1, samples_per_request: 1_000, patience: PATIENCE, ..Plan::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let recordings = ingest::record(&plan, folder.path()).expect("recordings");
    let round = ingest::run(&plan, &program.display().to_string(), &recordings, folder.path()).expect("a round");
    assert_eq!(round.samples, [6_000; 2]);
    let spent = |phase: &Spent| phase.single.iter().chain([&phase.cluster, &phase.rival]).all(|cpu_s| *cpu_s > 0.0);
    assert!(round.cpu_s.iter().all(spent) && round.drained.0 > 0);
    assert!(ingest::table(&plan, &[round]).contains("CPU of the cluster over that of the single node"));
}

#[test]
fn a_cluster_answers_what_a_single_node_answers() {
    let Some(program) = newest_build() else { return };
    let plan = QueryPlan {
        series: 1_000,
        scrapes: 40,
        pairs: 1,
        clients: vec![1],
        least: Duration::from_millis(1),
        queries_least: 2,
        most: Duration::from_secs(1),
        patience: PATIENCE,
        ..QueryPlan::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let costs = queries::run(&plan, &program.display().to_string(), &DASHBOARD, folder.path(), |_| ());
    let costs = costs.expect("all queries are answered");
    assert_eq!(costs.len(), DASHBOARD.len());
    for cost in &costs {
        assert_eq!(cost.difference, None, "{}", cost.query.name);
        assert!(cost.cpu_s.iter().all(|cpu_s| *cpu_s > 0.0) && cost.bytes[0] > 0.0, "{}", cost.query.name);
    }
    assert!(queries::table(&plan, &costs).contains("| count by name |"));
}
