//! Quantiles across the series of a group at each point, and what rests on them.

use metricsql::Aggregate;

use super::{
    super::{args::Args, number::general, stats},
    Group, grouped,
};
use crate::{
    api::QueryError,
    frame::{ABSENT, Row},
};

pub(super) fn quantile(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let phis = args.scalar(0)?;
    if args.is_promql() {
        warn_of_quantiles(&args, 0, &phis);
    }
    let rows = args.rows(1);
    each_point(aggregate, &args, rows, |at, values| stats::quantile(phis[at], values))
}

/// Tells of quantiles that are none (dialect `promql`); `phis` come from argument `arg`.
pub(in super::super) fn warn_of_quantiles(args: &Args<'_>, arg: usize, phis: &[f64]) {
    let warn = |phi: f64| {
        let message = format!("quantile value should be between 0 and 1, got {}", general(phi));
        args.ctx.notes.warn(args.span_of(arg), message);
    };
    if phis.iter().any(|phi| phi.is_nan()) {
        warn(f64::NAN);
    }
    let greatest = phis.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = phis.iter().copied().fold(f64::INFINITY, f64::min);
    [greatest, least].into_iter().filter(|phi| !(0.0..=1.0).contains(phi) && !phis.is_empty()).for_each(|phi| {
        if phis.contains(&phi) {
            warn(phi);
        }
    });
}

pub(super) fn median(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let rows = args.all_rows();
    each_point(aggregate, &args, rows, |_, values| stats::median(values))
}

pub(super) fn mad(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let rows = args.all_rows();
    each_point(aggregate, &args, rows, |_, values| stats::median_deviation(values))
}

/// A series a group with a number a point that is made of the samples there.
fn each_point(
    aggregate: &Aggregate,
    args: &Args<'_>,
    rows: Vec<Row>,
    reduce: impl Fn(usize, &mut [f64]) -> f64,
) -> Result<Vec<Row>, QueryError> {
    let ctx = args.ctx;
    let groups = grouped(ctx, aggregate, rows)?;
    let mut results = Vec::with_capacity(groups.len());
    for group in groups {
        let values = column(args, &group, &reduce)?;
        results.push(group.result(values));
    }
    Ok(results)
}

/// A number a point that is made of the samples of a group there; [`ABSENT`] where it has none.
pub(super) fn column(
    args: &Args<'_>,
    group: &Group,
    reduce: impl Fn(usize, &mut [f64]) -> f64,
) -> Result<Vec<f64>, QueryError> {
    let ctx = args.ctx;
    let points = ctx.grid.points;
    (ctx.check)(8 * points + stats::tile_bytes(group.rows.len(), points))?;
    let mut column = vec![ABSENT; points];
    stats::for_each_point(
        &group.rows,
        points,
        |value| ctx.is_sample(value),
        |at, values| {
            if !values.is_empty() {
                column[at] = reduce(at, values);
            }
        },
    );
    Ok(column)
}

pub(super) fn quantiles(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let ctx = args.ctx;
    let label = args.text(0)?;
    let last = args.len() - 1;
    let phis = (1..last)
        .map(|at| Ok(args.scalar(at)?.first().copied().unwrap_or(f64::NAN)))
        .collect::<Result<Vec<f64>, QueryError>>()?;
    let rows = args.rows(last);
    let mut results = Vec::new();
    for group in grouped(ctx, aggregate, rows)? {
        let points = ctx.grid.points;
        (ctx.check)(8 * points * phis.len() + stats::tile_bytes(group.rows.len(), points))?;
        let mut columns = vec![vec![ABSENT; points]; phis.len()];
        stats::for_each_point(
            &group.rows,
            points,
            |value| ctx.is_sample(value),
            |at, values| {
                stats::sort(values);
                if !values.is_empty() {
                    columns
                        .iter_mut()
                        .zip(&phis)
                        .for_each(|(column, phi)| column[at] = stats::quantile_sorted(*phi, values));
                }
            },
        );
        for (values, phi) in columns.into_iter().zip(&phis) {
            let mut row = group.result(values);
            row.labels.set(&label, &general(*phi));
            results.push(row);
        }
    }
    Ok(results)
}
