//! Bytes on disk beside the rival: `sizes [--series=N] [--hours=H] [--seed=N] [--ours=COMMAND] [--rival=COMMAND] [--write=PAGE]`.
//!
//! Each server gets the same traffic over an empty folder, jittered and aligned, then flush and merge. What counts is the length of all files
//! of the folder over the samples sent. The table says which ratio is not as wanted; with `--write` it replaces the part `sizes` of a page.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use traffic::Shape;
use traffic::calibration::{self, Calibration};
use traffic::flags::Flags;
use traffic::server::{BASALT_COMMAND, VICTORIA_METRICS_COMMAND};
use traffic::{document, machine};

/// What our bytes may be at most, as a share of the rival's.
const WANTED_JITTERED: f64 = 0.7;
const WANTED_ALIGNED: f64 = 0.85;

struct Options {
    series: usize,
    hours: f64,
    seed: u64,
    ours: String,
    rival: String,
    write: String,
}

fn main() -> ExitCode {
    match options().map_err(io::Error::other).and_then(|options| compare(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sizes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut flags = Flags::parse(std::env::args().skip(1))?;
    let options = Options {
        series: flags.take("series", 10_000)?,
        hours: flags.take("hours", 24.0)?,
        seed: flags.take("seed", 1)?,
        ours: flags.take("ours", BASALT_COMMAND.to_owned())?,
        rival: flags.take("rival", VICTORIA_METRICS_COMMAND.to_owned())?,
        write: flags.take("write", String::new())?,
    };
    flags.finish()?;
    Ok(options)
}

fn compare(options: &Options) -> io::Result<()> {
    let mut text = format!(
        "{} series, {} h at 15 s, after flush and merge. Machine: {}.\n\n\
         | scrapes | samples | bytes a sample: ours | the rival's | ratio | wanted | CPU s: ours | the rival's | peak MB: ours | the rival's |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
        options.series,
        options.hours,
        machine::describe(),
    );
    for (name, shape, wanted) in
        [("jittered", Shape::default(), WANTED_JITTERED), ("aligned", Shape::aligned(), WANTED_ALIGNED)]
    {
        let shape = Shape { seed: options.seed, series: options.series, ..shape };
        let [ours, rival] = [&options.ours, &options.rival];
        eprintln!("{name}: ours");
        let ours = measure(ours, &shape, options.hours)?;
        eprintln!("{name}: the rival");
        let rival = measure(rival, &shape, options.hours)?;
        let _ = writeln!(text, "| {name} {}", columns(&ours, &rival, wanted));
    }
    print!("{text}");
    if !options.write.is_empty() {
        document::replace(Path::new(&options.write), "sizes", &text)?;
    }
    Ok(())
}

fn measure(command: &str, shape: &Shape, hours: f64) -> io::Result<Calibration> {
    let scrapes = (hours * 3_600_000.0 / shape.step_ms as f64) as u64;
    let folder = tempfile::tempdir()?;
    calibration::run(command, shape.clone(), scrapes, folder.path())
}

fn columns(ours: &Calibration, rival: &Calibration, wanted: f64) -> String {
    let ratio = ours.disk_bytes_per_sample() / rival.disk_bytes_per_sample();
    let verdict = if ratio <= wanted { "" } else { " **short**" };
    let megabytes = |bytes: u64| bytes / 1_000_000;
    format!(
        "| {} | {:.3} | {:.3} | {ratio:.2}{verdict} | {wanted} | {:.1} | {:.1} | {} | {} |",
        ours.samples,
        ours.disk_bytes_per_sample(),
        rival.disk_bytes_per_sample(),
        ours.cpu_s,
        rival.cpu_s,
        megabytes(ours.memory_peak_bytes),
        megabytes(rival.memory_peak_bytes),
    )
}
