//! Records traffic to a file of compressed remote write bodies, for replay.
//!
//! `record --out=FILE [--series=N] [--scrapes=N] [--from=N] [--seed=N] [--jitter-ms=N] [--gaps=SHARE] [--late=SHARE]
//! [--churn=N] [--samples-per-request=N] [--start-ms=T]`; churn replaces every pod N times within the scrapes.

use std::path::Path;
use std::process::ExitCode;

use traffic::flags::Flags;
use traffic::{Churn, Shape, Traffic, recording};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("record: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut flags = Flags::parse(std::env::args().skip(1))?;
    let usual = Shape::default();
    let scrapes: u32 = flags.take("scrapes", 60)?;
    let from: u64 = flags.take("from", 0)?;
    let replacements: u32 = flags.take("churn", 0)?;
    let shape = Shape {
        seed: flags.take("seed", usual.seed)?,
        series: flags.take("series", usual.series)?,
        start_ms: flags.take("start-ms", usual.start_ms)?,
        jitter_ms: flags.take("jitter-ms", usual.jitter_ms)?,
        gaps: flags.take("gaps", usual.gaps)?,
        late: flags.take("late", usual.late)?,
        churn: (replacements > 0).then_some(Churn { replacements, scrapes }),
        samples_per_request: flags.take("samples-per-request", usual.samples_per_request)?,
        ..usual
    };
    let out: String = flags.take("out", String::new())?;
    flags.finish()?;
    if out.is_empty() {
        return Err("--out names no file".to_owned());
    }
    let totals = recording::record(&mut Traffic::new(shape), from..from + u64::from(scrapes), Path::new(&out))
        .map_err(|error| format!("cannot record to {out}: {error}"))?;
    println!(
        "{} samples in {} requests, {} bytes a sample, compressed {:.1}",
        totals.samples,
        totals.requests,
        totals.raw_bytes / totals.samples.max(1),
        totals.compressed_bytes as f64 / totals.samples as f64,
    );
    Ok(())
}
