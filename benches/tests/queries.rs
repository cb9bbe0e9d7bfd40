//! The comparison of queries in a form of some seconds, so that it cannot rot: Basalt, as far as it is built, beside
//! Debian's VictoriaMetrics; else that against itself.

mod common;

use std::path::Path;
use std::time::Duration;

use common::newest_build;
use traffic::paired::Contestant;
use traffic::queries::{Cost, DASHBOARD, Plan, SEARCH_FLAGS, run, table};
use traffic::server::{BASALT_COMMAND, Patience, Server, VICTORIA_METRICS_COMMAND};

#[test]
fn both_answer_the_same() {
    let rival = format!("{VICTORIA_METRICS_COMMAND} {SEARCH_FLAGS}");
    let program = rival.split(' ').next().expect("a program");
    if !Path::new(program).exists() {
        eprintln!("{program} is not installed: nothing to compare");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ours = ours(folder.path()).unwrap_or_else(|| rival.clone());
    let contestants = [ours, rival].map(Contestant::of_command);
    let plan = Plan {
        series: 1_500,
        scrapes: 60,
        pairs: 1,
        clients: vec![2, 5],
        least: Duration::from_millis(1),
        queries_least: 3,
        most: Duration::from_secs(1),
        patience: Patience { idle: Duration::from_millis(200), most: Duration::from_secs(20) },
        ..Plan::default()
    };
    let comparison = run(&plan, &contestants, &DASHBOARD, folder.path(), |_| ()).expect("a comparison");
    assert_eq!(comparison.samples, 1_500 * 60);
    let text = table(&plan, &contestants, &comparison);
    for compared in &comparison.queries {
        let name = compared.query.name;
        assert!(compared.series > 0, "{name} answers nothing");
        assert_eq!(compared.difference, None, "{name} of {}", contestants[0].command);
        assert!(compared.rounds.iter().flatten().all(|cost| cost.cpu_s > 0.0 && cost.memory_peak_bytes > 1 << 20));
        assert!(compared.rounds.iter().flatten().flat_map(|cost| &cost.crowds).all(|crowd| crowd.p50 <= crowd.p99));
        let is_cached = |cost: &Cost| cost.cached_cpu_s.is_some_and(|cpu_s| cpu_s > 0.0);
        assert!(compared.rounds.iter().flatten().all(|cost| is_cached(cost) == compared.query.is_range()), "{name}");
        assert!(text.contains(&format!("\n| {name} | ")), "{name} is not in the table");
    }
}

/// The command for the newest build that answers queries.
fn ours(folder: &Path) -> Option<String> {
    let newest = newest_build()?;
    let flags = BASALT_COMMAND.split_once(' ').expect("a command has flags").1;
    let command = format!("{} {flags} {SEARCH_FLAGS}", newest.display());
    let answers = Server::start(&command, &folder.join("probe"))
        .and_then(|server| server.client().get("/api/v1/query?query=1"))
        .is_ok_and(|answer| answer.status == 200);
    if !answers {
        eprintln!("{} does not answer /api/v1/query: the rival is compared with itself", newest.display());
    }
    answers.then_some(command)
}
