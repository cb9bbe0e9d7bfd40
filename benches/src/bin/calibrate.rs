//! Calibrates the traffic against Debian's VictoriaMetrics: `calibrate [--series=N] [--hours=H] [--runs=N] [--seed=N]
//! [--server=COMMAND] [--write=PAGE]`.
//!
//! Prints bytes a sample, jittered and aligned, and fails if either is more than a tenth away from the design's. Run `n` has
//! the seed `seed + n`. With another server it measures that one's bytes a sample on the same traffic.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use traffic::Shape;
use traffic::calibration::{self, ALIGNED_BYTES_PER_SAMPLE, Calibration, JITTERED_BYTES_PER_SAMPLE, TOLERANCE};
use traffic::flags::Flags;
use traffic::server::VICTORIA_METRICS_COMMAND;
use traffic::{document, machine};

struct Options {
    series: usize,
    hours: f64,
    runs: u32,
    seed: u64,
    server: String,
    write: String,
}

fn main() -> ExitCode {
    match options().map_err(io::Error::other).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("calibrate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut flags = Flags::parse(std::env::args().skip(1))?;
    let options = Options {
        series: flags.take("series", 10_000)?,
        hours: flags.take("hours", 24.0)?,
        runs: flags.take("runs", 1)?,
        seed: flags.take("seed", 1)?,
        server: flags.take("server", VICTORIA_METRICS_COMMAND.to_owned())?,
        write: flags.take("write", String::new())?,
    };
    flags.finish()?;
    Ok(options)
}

/// Tells whether all runs came near enough to the design's figures.
fn run(options: &Options) -> io::Result<bool> {
    let mut is_near = true;
    let mut text = format!(
        "{} series, {} h at 15 s. Machine: {}.\n\n\
         | scrapes | seed | samples | bytes a sample | of which data | index | all files | design | samples per CPU-second \
         | peak MB |\n|---|---|---|---|---|---|---|---|---|---|\n",
        options.series,
        options.hours,
        machine::describe(),
    );
    for run in 0..options.runs {
        for (name, shape, expected) in [
            ("jittered", Shape::default(), JITTERED_BYTES_PER_SAMPLE),
            ("aligned", Shape::aligned(), ALIGNED_BYTES_PER_SAMPLE),
        ] {
            let shape = Shape { seed: options.seed + u64::from(run), series: options.series, ..shape };
            let scrapes = (options.hours * 3_600_000.0 / shape.step_ms as f64) as u64;
            let seed = shape.seed;
            eprintln!("run {} of {}: {name}", run + 1, options.runs);
            let folder = tempfile::tempdir()?;
            let result = calibration::run(&options.server, shape, scrapes, folder.path())?;
            let _ = writeln!(text, "| {name} | {seed} {}", columns(expected, &result));
            is_near &= (result.bytes_per_sample() / expected - 1.0).abs() <= TOLERANCE;
        }
    }
    print!("{text}");
    if !options.write.is_empty() {
        document::replace(Path::new(&options.write), "calibration", &text)?;
    }
    Ok(is_near)
}

fn columns(expected: f64, result: &Calibration) -> String {
    let per_sample = |bytes: f64| bytes / result.samples as f64;
    format!(
        "| {} | {:.3} | {:.3} | {:.3} | {:.3} | {expected} | {:.0} | {} |",
        result.samples,
        result.bytes_per_sample(),
        per_sample(result.data_bytes),
        per_sample(result.index_bytes),
        result.disk_bytes_per_sample(),
        result.samples as f64 / result.cpu_s,
        result.memory_peak_bytes / 1_000_000,
    )
}
