//! What it costs to cut blocks at lines of time: bytes of the same day of traffic with lines every 1, 6, 12 and 24 hours.
//!
//! The same columns are written as parts with each distance of lines. The table goes into docs/decisions/2026-11-20-block-lines.md.

use std::path::{Path, PathBuf};

use disk::RealDisk;
use model::{Columns, KeyBuilder, SeriesId, SeriesKey, Tenant};
use part::{Effort, PartWriter, WriterOptions};
use traffic::{Shape, Traffic, flags::Flags};

const HOUR_MS: i64 = 3_600_000;

fn main() {
    if let Err(error) = run() {
        eprintln!("block_lines: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let mut flags = Flags::parse(std::env::args().skip(1))?;
    let series = flags.take("series", 2_000usize)?;
    let hours = flags.take("hours", 24i64)?;
    flags.finish()?;
    println!("{}", traffic::machine::describe());
    println!("| blocks cut every | bytes a sample, jittered | aligned |");
    println!("|---|---|---|");
    let days: Vec<Vec<(SeriesKey, Columns)>> = [5, 0].map(|jitter_ms| columns(series, hours, jitter_ms)).into();
    for line_hours in [1, 3, 6, 12, 24] {
        let sizes: Vec<f64> = days.iter().map(|day| size(day, line_hours)).collect::<Result<_, _>>()?;
        println!("| {line_hours} h | {:.4} | {:.4} |", sizes[0], sizes[1]);
    }
    Ok(())
}

/// A day of traffic as sorted columns.
fn columns(series: usize, hours: i64, jitter_ms: i64) -> Vec<(SeriesKey, Columns)> {
    let start_ms = 20_000 * 24 * HOUR_MS;
    let mut traffic = Traffic::new(Shape { series, jitter_ms, start_ms, ..Shape::default() });
    let mut builder = KeyBuilder::new();
    let mut all: Vec<(SeriesKey, Columns)> = (0..traffic.series_count())
        .map(|number| {
            builder.clear();
            traffic.labels(number).for_each(|(name, value)| builder.push(name, value));
            (builder.build(Tenant::DEFAULT).expect("traffic has sound labels"), Columns::new())
        })
        .collect();
    for scrape in 0..(hours * 240) as u64 {
        traffic.scrape(scrape, |sample| {
            all[sample.series as usize].1.push(sample.timestamp_ms, sample.value);
        });
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// Bytes a sample of a dense part, index included.
fn size(day: &[(SeriesKey, Columns)], line_hours: i64) -> Result<f64, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let disk = RealDisk::open(folder.path()).map_err(|error| error.to_string())?;
    let options = WriterOptions { line_ms: line_hours * HOUR_MS, ..WriterOptions::new(1, Effort::Cold) };
    let part = PathBuf::from("parts").join("1");
    let mut writer = PartWriter::create(&disk, Path::new(&part), options).map_err(|error| error.to_string())?;
    for (key, rows) in day {
        writer.add_series(key, SeriesId::of(key), &rows.times, &rows.values).map_err(|error| error.to_string())?;
    }
    let meta = writer.finish().map_err(|error| error.to_string())?;
    Ok((meta.columns_bytes + meta.index_bytes) as f64 / meta.samples as f64)
}
