//! MetricsQL's aggregates that look at all samples of a group at a point: shares, z-scores, modes, distinct values, histograms.

use hashbrown::HashMap;
use metricsql::Aggregate;

use super::{
    super::{args::Args, histogram::vmrange::to_le, stats},
    grouped,
    quantiles::column,
};
use crate::{
    api::QueryError,
    frame::{ABSENT, Row},
    vmrange,
};

/// Every sample that is not negative, as a share of their sum.
pub(super) fn share(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let rows = args.all_rows();
    let mut results = Vec::new();
    for mut group in grouped(args.ctx, aggregate, rows)? {
        let sums = column(&args, &group, |_, values| values.iter().filter(|value| **value >= 0.0).sum())?;
        for row in &mut group.rows {
            let sums = &sums[row.values.span()];
            let values = row.values.held_mut().iter_mut().zip(sums);
            values.for_each(|(value, sum)| *value = if *value >= 0.0 { *value / sum } else { ABSENT });
        }
        results.append(&mut group.rows);
    }
    Ok(results)
}

/// Every sample by how many standard deviations it is from the mean.
pub(super) fn zscore(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let rows = args.all_rows();
    let mut results = Vec::new();
    for mut group in grouped(args.ctx, aggregate, rows)? {
        let means = column(&args, &group, |_, values| stats::mean_and_variance(values.iter().copied()).0)?;
        let deviations = column(&args, &group, |_, values| stats::mean_and_variance(values.iter().copied()).1.sqrt())?;
        for row in &mut group.rows {
            let span = row.values.span();
            let values = row.values.held_mut().iter_mut().zip(means[span.clone()].iter().zip(&deviations[span]));
            values.for_each(|(value, (mean, deviation))| *value = (*value - mean) / deviation);
        }
        results.append(&mut group.rows);
    }
    Ok(results)
}

/// The value that is there most often.
pub(super) fn mode(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let rows = args.all_rows();
    grouped(args.ctx, aggregate, rows)?
        .iter()
        .map(|group| Ok(group.result(column(&args, group, |_, values| stats::mode(values))?)))
        .collect()
}

/// How many different values there are.
pub(super) fn distinct(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let rows = args.all_rows();
    let count = |values: &mut [f64]| {
        stats::sort(values);
        values.chunk_by(|a, b| a == b).count() as f64
    };
    grouped(args.ctx, aggregate, rows)?
        .iter()
        .map(|group| Ok(group.result(column(&args, group, |_, values| count(values))?)))
        .collect()
}

/// How many samples lie in which range, as cumulative buckets with `le`.
pub(super) fn histogram(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let ctx = args.ctx;
    let points = ctx.grid.points;
    let rows = args.all_rows();
    let mut results = Vec::new();
    for group in grouped(ctx, aggregate, rows)? {
        let mut buckets: HashMap<usize, Vec<f64>> = HashMap::new();
        for row in &group.rows {
            for (at, value) in row.values.iter().enumerate() {
                let Some(bucket) = vmrange::bucket_of(*value) else { continue };
                if !buckets.contains_key(&bucket) {
                    (ctx.check)(8 * points)?;
                }
                buckets.entry(bucket).or_insert_with(|| vec![0.0; points])[at] += 1.0;
            }
        }
        let rows = buckets.into_iter().map(|(bucket, values)| {
            let mut row = group.result(values);
            row.labels.set(vmrange::LABEL, &vmrange::range_of(bucket));
            row
        });
        results.append(&mut to_le(ctx, rows.collect())?);
    }
    Ok(results)
}
