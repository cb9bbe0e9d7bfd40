//! Series that differ from the others of their group.

use metricsql::Aggregate;

use super::{
    super::{args::Args, stats},
    grouped,
    quantiles::column,
    range_ranks::ranked,
    ranks::Best,
    retain_samples,
};
use crate::{api::QueryError, frame::Row};

/// Series with a sample more than so many interquartile ranges outside the quartiles are outliers.
const QUARTILE_RANGES: f64 = 1.5;

pub(super) fn iqr(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let rows = args.rows(0);
    let mut results = Vec::new();
    for mut group in grouped(args.ctx, aggregate, rows)? {
        let margin = |values: &[f64]| {
            QUARTILE_RANGES * (stats::quantile_sorted(0.75, values) - stats::quantile_sorted(0.25, values))
        };
        let lower = column(&args, &group, |_, values| {
            stats::sort(values);
            stats::quantile_sorted(0.25, values) - margin(values)
        })?;
        let upper = column(&args, &group, |_, values| {
            stats::sort(values);
            stats::quantile_sorted(0.75, values) + margin(values)
        })?;
        group.rows.retain(|row| {
            let mut bounds = row.values.iter().zip(lower.iter().zip(&upper));
            bounds.any(|(value, (lower, upper))| value > upper || value < lower)
        });
        results.append(&mut group.rows);
    }
    Ok(results)
}

pub(super) fn mad(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let (tolerance, rows) = (args.scalar(0)?, args.rows(1));
    let mut results = Vec::new();
    for mut group in grouped(args.ctx, aggregate, rows)? {
        let medians = column(&args, &group, |_, values| stats::median(values))?;
        let margins = column(&args, &group, |at, values| tolerance[at] * stats::median_deviation(values))?;
        group.rows.retain(|row| {
            let mut distances = row.values.iter().zip(medians.iter().zip(&margins));
            distances.any(|(value, (median, margin))| (value - median).abs() > *margin)
        });
        results.append(&mut group.rows);
    }
    Ok(results)
}

/// The series whose squared distances from the medians add up to most. A series with gaps has no such sum, and ranks behind all that have one.
pub(super) fn outliersk(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let (counts, rows) = (args.scalar(0)?, args.rows(1));
    let mut results = Vec::new();
    for group in grouped(args.ctx, aggregate, rows)? {
        let medians = column(&args, &group, |_, values| stats::median(values))?;
        let squares = |row: &Row| row.values.iter().zip(&medians).map(|(value, median)| (value - median).powi(2)).sum();
        let mut rows = ranked(group, &counts, Best::Largest, None, squares);
        retain_samples(args.ctx, &mut rows);
        results.append(&mut rows);
    }
    Ok(results)
}
