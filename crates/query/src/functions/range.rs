//! MetricsQL's functions that look at all samples of a series on the grid.

use super::{
    ANY_NUMBER,
    Dialects::MetricsQl,
    Function,
    Run::Whole,
    args::Args,
    function,
    series::{run_to_end, running_average},
    stats,
};
use crate::{
    api::QueryError,
    frame::{ABSENT, Operand, Row},
};
use model::METRIC_NAME;

pub(super) const TABLE: &[Function] = &[
    function("range_avg", MetricsQl, (1, 1), Whole(|args| unnamed(args, |row| run_to_end(row, running_average)))),
    function(
        "range_first",
        MetricsQl,
        (1, 1),
        Whole(|args| same(args, |values| values.iter().find(|value| !value.is_nan()))),
    ),
    function(
        "range_last",
        MetricsQl,
        (1, 1),
        Whole(|args| same(args, |values| values.iter().rfind(|value| !value.is_nan()))),
    ),
    function("range_linear_regression", MetricsQl, (1, 1), Whole(linear_regression)),
    function("range_mad", MetricsQl, (1, 1), Whole(|args| of_samples(args, stats::median_deviation))),
    function(
        "range_max",
        MetricsQl,
        (1, 1),
        Whole(|args| unnamed(args, |row| run_to_end(row, |max, value, _| value.max(max)))),
    ),
    function("range_median", MetricsQl, (1, 1), Whole(|args| of_samples(args, stats::median))),
    function(
        "range_min",
        MetricsQl,
        (1, 1),
        Whole(|args| unnamed(args, |row| run_to_end(row, |min, value, _| value.min(min)))),
    ),
    function("range_normalize", MetricsQl, (1, ANY_NUMBER), Whole(normalize)),
    function("range_quantile", MetricsQl, (2, 2), Whole(quantile)),
    function("range_stddev", MetricsQl, (1, 1), Whole(|args| of_samples(args, |values| variance(values).sqrt()))),
    function("range_stdvar", MetricsQl, (1, 1), Whole(|args| of_samples(args, |values| variance(values)))),
    function(
        "range_sum",
        MetricsQl,
        (1, 1),
        Whole(|args| unnamed(args, |row| run_to_end(row, |sum, value, _| sum + value))),
    ),
    function("range_trim_outliers", MetricsQl, (2, 2), Whole(trim_outliers)),
    function("range_trim_spikes", MetricsQl, (2, 2), Whole(trim_spikes)),
    function("range_trim_zscore", MetricsQl, (2, 2), Whole(trim_zscore)),
    function("range_zscore", MetricsQl, (1, 1), Whole(zscore)),
];

/// Changes the samples of every row of argument `at`.
fn each(mut args: Args<'_>, at: usize, change: impl FnMut(&mut Row)) -> Operand {
    let mut rows = args.rows(at);
    rows.iter_mut().for_each(change);
    Operand::Rows(rows)
}

/// Changes every row of argument `at`, also where it has no sample.
fn each_whole(mut args: Args<'_>, at: usize, mut change: impl FnMut(&mut Row)) -> Result<Operand, QueryError> {
    let mut rows = args.rows(at);
    for row in &mut rows {
        args.ctx.spread(&mut row.values)?;
        change(row);
    }
    Ok(Operand::Rows(rows))
}

/// As [`each_whole`] of argument 0; the metric name goes, unless the call keeps it.
fn unnamed(args: Args<'_>, change: impl Fn(&mut Row)) -> Result<Operand, QueryError> {
    let keeps_names = args.keeps_names;
    each_whole(args, 0, |row| {
        change(row);
        if !keeps_names {
            row.labels.remove(METRIC_NAME);
        }
    })
}

/// One number that is chosen from the values, at every point.
fn same(args: Args<'_>, choose: fn(&[f64]) -> Option<&f64>) -> Result<Operand, QueryError> {
    each_whole(args, 0, |row| {
        if let Some(value) = choose(row.values.held()).copied() {
            row.values.whole().fill(value);
        }
    })
}

/// One number that is made of the samples, at every point.
fn of_samples(args: Args<'_>, reduce: impl Fn(&mut [f64]) -> f64) -> Result<Operand, QueryError> {
    let mut buffer = Vec::new();
    each_whole(args, 0, |row| {
        let number = reduce(samples(row, &mut buffer));
        row.values.whole().fill(number);
    })
}

fn samples<'b>(row: &Row, buffer: &'b mut Vec<f64>) -> &'b mut [f64] {
    buffer.clear();
    buffer.extend(row.values.held().iter().filter(|value| !value.is_nan()));
    buffer
}

fn variance(values: &[f64]) -> f64 {
    stats::mean_and_variance(values.iter().copied()).1
}

/// Argument 0 as a number that is the same at all points.
fn parameter(args: &mut Args<'_>) -> Result<f64, QueryError> {
    Ok(args.scalar(0)?.first().copied().unwrap_or(ABSENT))
}

fn quantile(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let phi = parameter(&mut args)?;
    let mut buffer = Vec::new();
    each_whole(args, 1, |row| {
        let values = samples(row, &mut buffer);
        if !values.is_empty() {
            let number = stats::quantile(phi, values);
            row.values.whole().fill(number);
        }
    })
}

fn normalize(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let mut rows = args.all_rows();
    rows.retain_mut(|row| {
        let samples = || row.values.iter().copied().filter(|value| !value.is_nan());
        let least = samples().fold(f64::INFINITY, f64::min);
        let span = samples().fold(f64::NEG_INFINITY, f64::max) - least;
        if span.is_infinite() {
            return false;
        }
        row.values.held_mut().iter_mut().for_each(|value| *value = (*value - least) / span);
        true
    });
    Ok(Operand::Rows(rows))
}

/// Removes the samples that `is_trimmed` tells, which is made anew for every series of argument 1.
fn trim<F: Fn(f64) -> bool>(args: Args<'_>, is_trimmed: impl Fn(&mut [f64]) -> F) -> Result<Operand, QueryError> {
    let mut buffer = Vec::new();
    Ok(each(args, 1, |row| {
        let is_trimmed = is_trimmed(samples(row, &mut buffer));
        row.values.held_mut().iter_mut().filter(|value| is_trimmed(**value)).for_each(|value| *value = ABSENT);
    }))
}

fn trim_outliers(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let factor = parameter(&mut args)?;
    trim(args, |values| {
        let median = stats::median(values);
        let margin = factor * stats::median_deviation(values);
        move |value: f64| (value - median).abs() > margin
    })
}

fn trim_spikes(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let half = parameter(&mut args)? / 2.0;
    trim(args, |values| {
        let (most, least) = (stats::quantile(1.0 - half, values), stats::quantile(half, values));
        move |value: f64| value > most || value < least
    })
}

fn trim_zscore(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let limit = parameter(&mut args)?.abs();
    trim(args, |values| {
        let (mean, variance) = stats::mean_and_variance(values.iter().copied());
        let deviation = variance.sqrt();
        move |value: f64| (value - mean).abs() / deviation > limit
    })
}

fn zscore(args: Args<'_>) -> Result<Operand, QueryError> {
    let mut buffer = Vec::new();
    Ok(each(args, 0, |row| {
        let (mean, variance) = stats::mean_and_variance(samples(row, &mut buffer).iter().copied());
        let deviation = variance.sqrt();
        row.values.held_mut().iter_mut().for_each(|value| *value = (*value - mean) / deviation);
    }))
}

/// The line through the samples that has the least squared distances from them, at every point.
fn linear_regression(args: Args<'_>) -> Result<Operand, QueryError> {
    let step = args.ctx.grid.step as f64 / 1_000.0;
    each_whole(args, 0, |row| {
        let points = || row.values.iter().enumerate().filter(|(_, value)| !value.is_nan());
        let count = points().count() as f64;
        let (mut times, mut values, mut products, mut squares) = (0.0, 0.0, 0.0, 0.0);
        for (at, value) in points() {
            let time = at as f64 * step;
            times += time;
            values += value;
            products += time * value;
            squares += time * time;
        }
        let Some(first) = points().next().map(|(_, value)| *value) else { return };
        let spread = squares - times * times / count;
        let is_level = points().all(|(_, value)| *value == first);
        let slope = if is_level || spread <= f64::EPSILON { 0.0 } else { (products - times * values / count) / spread };
        let start = if is_level { first } else { values / count - slope * times / count };
        row.values
            .held_mut()
            .iter_mut()
            .enumerate()
            .for_each(|(at, value)| *value = start + slope * (at as f64 * step));
    })
}
