//! The paired comparison of ingestion: `paired [--ours=COMMAND] [--rival=COMMAND] [--other=COMMAND] [--pairs=N] [--series=N]
//! [--scrapes=N] [--connections=N] [--samples-per-request=N] [--seed=N] [--idle-ms=N] [--settle-s=N] [--folder=DIR] [--write=PAGE]
//! [--part=NAME]`.
//!
//! `--series=50000 --scrapes=40 --pairs=3` takes some minutes. Prints one table; with `--write` it also replaces a part of a page (`--part=paired`).

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use traffic::document;
use traffic::flags::Flags;
use traffic::paired::{Contestant, Plan, record, run, table};
use traffic::server::{BASALT_COMMAND, PROMETHEUS_COMMAND, Patience, VICTORIA_METRICS_COMMAND};

/// A phase of fewer samples ends with a shorter wait for the end of background work: the waits would take most of the run.
const SHORT_SAMPLES: u64 = 5_000_000;

struct Options {
    plan: Plan,
    contestants: Vec<Contestant>,
    folder: PathBuf,
    write: String,
    part: String,
}

fn main() -> ExitCode {
    match options().map_err(io::Error::other).and_then(|options| compare(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("paired: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut flags = Flags::parse(std::env::args().skip(1))?;
    let usual = Plan::default();
    let (series, scrapes) = (flags.take("series", usual.series)?, flags.take("scrapes", usual.scrapes)?);
    let is_short = series as u64 * u64::from(scrapes) < SHORT_SAMPLES;
    let idle_ms = if is_short { 1_000 } else { 2_000 };
    let plan = Plan {
        series,
        scrapes,
        pairs: flags.take("pairs", usual.pairs)?,
        connections: flags.take("connections", usual.connections)?,
        samples_per_request: flags.take("samples-per-request", usual.samples_per_request)?,
        seed: flags.take("seed", usual.seed)?,
        patience: Patience {
            idle: Duration::from_millis(flags.take("idle-ms", idle_ms)?),
            most: Duration::from_secs(flags.take("settle-s", 120)?),
        },
    };
    let ours: String = flags.take("ours", BASALT_COMMAND.to_owned())?;
    let rival: String = flags.take("rival", VICTORIA_METRICS_COMMAND.to_owned())?;
    let other: String = flags.take("other", PROMETHEUS_COMMAND.to_owned())?;
    let folder: PathBuf = flags.take("folder", std::env::temp_dir())?;
    let write = flags.take("write", String::new())?;
    let part = flags.take("part", "paired".to_owned())?;
    flags.finish()?;
    if ours.is_empty() || rival.is_empty() {
        return Err("--ours and --rival are commands that start a server; only --other may be empty".to_owned());
    }
    // An empty command leaves the third program out.
    let commands = [ours, rival.clone(), rival, other];
    let contestants = commands.into_iter().filter(|command| !command.is_empty()).map(Contestant::of_command).collect();
    Ok(Options { plan, contestants, folder, write, part })
}

fn compare(options: &Options) -> io::Result<()> {
    let folder = tempfile::tempdir_in(&options.folder)?;
    eprintln!("recording {} series × {} scrapes", options.plan.series, options.plan.scrapes);
    let recordings = record(&options.plan, folder.path())?;
    let rounds = run(&options.plan, &options.contestants, &recordings, folder.path(), |step| eprintln!("{step}"))?;
    let text = table(&options.plan, &options.contestants, &rounds);
    print!("{text}");
    if !options.write.is_empty() {
        document::replace(Path::new(&options.write), &options.part, &text)?;
    }
    Ok(())
}
