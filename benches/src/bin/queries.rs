//! The paired comparison of queries: `queries [--ours=COMMAND] [--rival=COMMAND] [--pairs=N] [--series=N] [--hours=H]
//! [--only=TEXT] [--clients=N,N] [--least-ms=N] [--most-ms=N] [--queries=N] [--connections=N] [--samples-per-request=N] [--seed=N]
//! [--idle-ms=N] [--settle-s=N] [--folder=DIR] [--write=PAGE]`.
//!
//! Prints one table; with `--write` it also replaces the part `queries` of a page. `--only` leaves queries out whose names do not
//! hold the text.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use traffic::document;
use traffic::flags::Flags;
use traffic::paired::Contestant;
use traffic::queries::{DASHBOARD, Plan, Query, SEARCH_FLAGS, run, table};
use traffic::server::{BASALT_COMMAND, Patience, VICTORIA_METRICS_COMMAND};

const SCRAPES_PER_HOUR: f64 = 240.0;

struct Options {
    plan: Plan,
    contestants: [Contestant; 2],
    queries: Vec<Query>,
    folder: PathBuf,
    write: String,
}

fn main() -> ExitCode {
    match options().map_err(io::Error::other).and_then(|options| compare(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("queries: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut flags = Flags::parse(std::env::args().skip(1))?;
    let plan = plan(&mut flags)?;
    let searching = |command: &str| format!("{command} {SEARCH_FLAGS}");
    let ours: String = flags.take("ours", searching(BASALT_COMMAND))?;
    let rival: String = flags.take("rival", searching(VICTORIA_METRICS_COMMAND))?;
    let only: String = flags.take("only", String::new())?;
    let folder: PathBuf = flags.take("folder", std::env::temp_dir())?;
    let write = flags.take("write", String::new())?;
    flags.finish()?;
    let contestants = [ours, rival].map(Contestant::of_command);
    let queries = DASHBOARD.into_iter().filter(|query| query.name.contains(&only)).collect();
    Ok(Options { plan, contestants, queries, folder, write })
}

fn plan(flags: &mut Flags) -> Result<Plan, String> {
    let usual = Plan::default();
    let ms = |duration: Duration| duration.as_millis() as u64;
    let clients: String = flags.take("clients", "4,50".to_owned())?;
    let clients: Result<Vec<usize>, _> = clients.split(',').map(str::parse).collect();
    Ok(Plan {
        series: flags.take("series", usual.series)?,
        scrapes: (flags.take("hours", 24.0)? * SCRAPES_PER_HOUR) as u64,
        pairs: flags.take("pairs", usual.pairs)?,
        clients: clients.map_err(|_| "--clients is a list of numbers")?,
        least: Duration::from_millis(flags.take("least-ms", ms(usual.least))?),
        most: Duration::from_millis(flags.take("most-ms", ms(usual.most))?),
        queries_least: flags.take("queries", usual.queries_least)?,
        connections: flags.take("connections", usual.connections)?,
        samples_per_request: flags.take("samples-per-request", usual.samples_per_request)?,
        seed: flags.take("seed", usual.seed)?,
        patience: Patience {
            idle: Duration::from_millis(flags.take("idle-ms", 2_000)?),
            most: Duration::from_secs(flags.take("settle-s", 300)?),
        },
    })
}

fn compare(options: &Options) -> io::Result<()> {
    let Options { plan, contestants, queries, folder, write } = options;
    let comparison = run(plan, contestants, queries, folder, |step| eprintln!("{step}"))?;
    let text = table(plan, contestants, &comparison);
    print!("{text}");
    if !write.is_empty() {
        document::replace(Path::new(write), "queries", &text)?;
    }
    Ok(())
}
