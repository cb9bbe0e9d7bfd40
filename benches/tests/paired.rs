//! The comparison in a form of some seconds, so that it cannot rot: Debian's VictoriaMetrics against itself, and Prometheus beside.

use std::path::Path;
use std::time::Duration;

use traffic::paired::{Contestant, Phase, Plan, record, run, table};
use traffic::server::{PROMETHEUS_COMMAND, Patience, VICTORIA_METRICS_COMMAND};

#[test]
fn the_rivals_among_themselves() {
    for command in [VICTORIA_METRICS_COMMAND, PROMETHEUS_COMMAND] {
        let program = command.split(' ').next().expect("a program");
        if !Path::new(program).exists() {
            eprintln!("{program} is not installed: nothing to compare");
            return;
        }
    }
    let plan = Plan {
        series: 3_000,
        scrapes: 4,
        pairs: 1,
        samples_per_request: 1_000,
        patience: Patience { idle: Duration::from_millis(200), most: Duration::from_secs(20) },
        ..Plan::default()
    };
    let contestant = Contestant { name: "victoria-metrics".to_owned(), command: VICTORIA_METRICS_COMMAND.to_owned() };
    let prometheus = Contestant { name: "prometheus".to_owned(), command: PROMETHEUS_COMMAND.to_owned() };
    let contestants = [contestant.clone(), contestant.clone(), contestant, prometheus];
    let folder = tempfile::tempdir().expect("a folder");
    let recordings = record(&plan, folder.path()).expect("recordings");
    let rounds = run(&plan, &contestants, &recordings, folder.path(), |_| ()).expect("a round");
    assert_eq!((rounds.len(), rounds[0].len()), (1, 4));
    for (place, outcome) in rounds[0].iter().enumerate() {
        assert_eq!(outcome.phases[0].samples, recordings.totals[0].samples);
        let is_sent_again = place < 3;
        assert_eq!(outcome.phases[2].samples, if is_sent_again { recordings.totals[1].samples } else { 0 });
        assert_eq!(outcome.phases[3].samples, recordings.totals[2].samples);
        assert!(outcome.phases.iter().all(|phase| phase.cpu_s > 0.0 && phase.p50 <= phase.p99));
        assert!(outcome.steady.memory_peak_bytes > 1 << 20 && outcome.steady.disk_bytes > 1 << 10);
        assert!(outcome.restart.ready_in > Duration::ZERO && outcome.restart.cpu_s > 0.0);
    }
    let text = table(&plan, &contestants, &rounds);
    assert!(text.contains("| ratio to prometheus |"));
    assert!(Phase::ALL.iter().all(|phase| text.contains(&format!("| {}: samples per CPU-second |", phase.name()))));
}
