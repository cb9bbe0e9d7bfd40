//! A whole cluster beside a single node: `cluster ingest [--program=PATH] [--pairs=N] [--series=N] [--scrapes=N] [--connections=N]
//! [--samples-per-request=N] [--seed=N] [--idle-ms=N] [--settle-s=N] [--folder=DIR] [--write=PAGE]`, or `cluster queries [--program=PATH] [--pairs=N] [--series=N]
//! [--scrapes=N] [--only=TEXT] [--least-ms=N] [--queries=N] [--seed=N] [--idle-ms=N] [--settle-s=N] [--folder=DIR] [--write=PAGE]`.
//!
//! Prints one table; with `--write` it also replaces the part `cluster-ingest-CONNECTIONS` or `cluster-queries` of a page. `--only` leaves queries out whose names do not hold
//! the text.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use traffic::{
    cluster::{ingest, queries},
    document,
    flags::Flags,
    paired::Plan,
    queries::{DASHBOARD, Plan as QueryPlan, Query},
    server::Patience,
};

const PROGRAM: &str = "target/release/basalt";
const USAGE: &str = "usage: cluster ingest|queries [--FLAG=VALUE …]";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let outcome = match words.next().as_deref() {
        Some("ingest") => measure_ingest(words),
        Some("queries") => measure_queries(words),
        _ => Err(io::Error::other(USAGE)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_ingest(words: impl Iterator<Item = String>) -> io::Result<()> {
    let mut flags = Flags::parse(words).map_err(io::Error::other)?;
    let usual = Plan::default();
    let mut read = || -> Result<_, String> {
        let plan = Plan {
            series: flags.take("series", usual.series)?,
            scrapes: flags.take("scrapes", usual.scrapes)?,
            pairs: flags.take("pairs", usual.pairs)?,
            connections: flags.take("connections", usual.connections)?,
            samples_per_request: flags.take("samples-per-request", usual.samples_per_request)?,
            seed: flags.take("seed", usual.seed)?,
            patience: Patience {
                idle: Duration::from_millis(flags.take("idle-ms", 2_000)?),
                most: Duration::from_secs(flags.take("settle-s", 120)?),
            },
        };
        let program: String = flags.take("program", PROGRAM.to_owned())?;
        let folder: PathBuf = flags.take("folder", std::env::temp_dir())?;
        Ok((plan, program, folder, flags.take("write", String::new())?))
    };
    let (plan, program, folder, write) = read().map_err(io::Error::other)?;
    flags.finish().map_err(io::Error::other)?;
    let folder = tempfile::tempdir_in(folder)?;
    eprintln!("recording {} series × {} scrapes", plan.series, plan.scrapes);
    let recordings = ingest::record(&plan, folder.path())?;
    let mut rounds = Vec::new();
    for round in 0..plan.pairs {
        eprintln!("round {} of {}", round + 1, plan.pairs);
        rounds.push(ingest::run(&plan, &program, &recordings, folder.path())?);
    }
    let text = ingest::table(&plan, &rounds);
    print!("{text}");
    if !write.is_empty() {
        document::replace(Path::new(&write), &format!("cluster-ingest-{}", plan.connections), &text)?;
    }
    Ok(())
}

fn measure_queries(words: impl Iterator<Item = String>) -> io::Result<()> {
    let mut flags = Flags::parse(words).map_err(io::Error::other)?;
    let usual = QueryPlan::default();
    let mut read = || -> Result<_, String> {
        let plan = QueryPlan {
            series: flags.take("series", usual.series)?,
            scrapes: flags.take("scrapes", usual.scrapes)?,
            pairs: flags.take("pairs", usual.pairs)?,
            least: Duration::from_millis(flags.take("least-ms", 1_000)?),
            queries_least: flags.take("queries", usual.queries_least)?,
            seed: flags.take("seed", usual.seed)?,
            patience: Patience {
                idle: Duration::from_millis(flags.take("idle-ms", 2_000)?),
                most: Duration::from_secs(flags.take("settle-s", 300)?),
            },
            ..usual.clone()
        };
        let program: String = flags.take("program", PROGRAM.to_owned())?;
        let folder: PathBuf = flags.take("folder", std::env::temp_dir())?;
        let only: String = flags.take("only", String::new())?;
        Ok((plan, program, folder, only, flags.take("write", String::new())?))
    };
    let (plan, program, folder, only, write) = read().map_err(io::Error::other)?;
    flags.finish().map_err(io::Error::other)?;
    let asked: Vec<Query> = DASHBOARD.into_iter().filter(|query| query.name.contains(&only)).collect();
    let costs = queries::run(&plan, &program, &asked, &folder, |step| eprintln!("{step}"))?;
    let text = queries::table(&plan, &costs);
    print!("{text}");
    if !write.is_empty() {
        document::replace(Path::new(&write), "cluster-queries", &text)?;
    }
    Ok(())
}
