//! Calibrates the traffic against Debian's VictoriaMetrics: `calibrate [--series=N] [--hours=H] [--runs=N]`.
//!
//! Prints bytes a sample, jittered and aligned, and fails if either is more than a tenth away from the design's.

use std::io;
use std::process::ExitCode;

use traffic::Shape;
use traffic::calibration::{self, ALIGNED_BYTES_PER_SAMPLE, Calibration, JITTERED_BYTES_PER_SAMPLE, TOLERANCE};
use traffic::flags::Flags;

struct Options {
    series: usize,
    hours: f64,
    runs: u32,
    seed: u64,
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
    };
    flags.finish()?;
    Ok(options)
}

/// Tells whether all runs came near enough to the design's figures.
fn run(options: &Options) -> io::Result<bool> {
    let mut is_near = true;
    println!(
        "| shape | samples | stored | bytes a sample | of which data | index | design | CPU s | samples/CPU-s | sent in s | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for _ in 0..options.runs {
        for (name, shape, expected) in [
            ("jittered", Shape::default(), JITTERED_BYTES_PER_SAMPLE),
            ("aligned", Shape::aligned(), ALIGNED_BYTES_PER_SAMPLE),
        ] {
            let shape = Shape { seed: options.seed, series: options.series, ..shape };
            let scrapes = (options.hours * 3_600_000.0 / shape.step_ms as f64) as u64;
            let folder = tempfile::tempdir()?;
            let result = calibration::run(shape, scrapes, folder.path())?;
            print(name, expected, &result);
            is_near &= (result.bytes_per_sample() / expected - 1.0).abs() <= TOLERANCE;
        }
    }
    Ok(is_near)
}

fn print(name: &str, expected: f64, result: &Calibration) {
    let per_sample = |bytes: f64| bytes / result.samples as f64;
    println!(
        "| {name} | {} | {} | {:.4} | {:.4} | {:.4} | {expected} | {:.1} | {:.0} | {:.1} | {} |",
        result.samples,
        result.stored,
        result.bytes_per_sample(),
        per_sample(result.data_bytes),
        per_sample(result.index_bytes),
        result.cpu_s,
        result.samples as f64 / result.cpu_s,
        result.send_s,
        result.memory_peak_bytes >> 20,
    );
}
