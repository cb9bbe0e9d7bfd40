//! MetricsQL's functions that go along each series: gaps filled, resets removed, running sums, bit masks.

use super::{Dialects::MetricsQl, Function, Run::Whole, args::Args, function, math::map_points};
use crate::{
    api::QueryError,
    frame::{ABSENT, Operand, Row},
};
use model::METRIC_NAME;

pub(super) const TABLE: &[Function] = &[
    function("bitmap_and", MetricsQl, (2, 2), Whole(|args| bitmap(args, |value, mask| value & mask))),
    function("bitmap_or", MetricsQl, (2, 2), Whole(|args| bitmap(args, |value, mask| value | mask))),
    function("bitmap_xor", MetricsQl, (2, 2), Whole(|args| bitmap(args, |value, mask| value ^ mask))),
    function("interpolate", MetricsQl, (1, 1), Whole(|args| each(args, true, interpolate))),
    function(
        "keep_last_value",
        MetricsQl,
        (1, 1),
        Whole(|args| each(args, true, |values| keep_last(values.iter_mut()))),
    ),
    function(
        "keep_next_value",
        MetricsQl,
        (1, 1),
        Whole(|args| each(args, true, |values| keep_last(values.iter_mut().rev()))),
    ),
    function("remove_resets", MetricsQl, (1, 1), Whole(|args| each(args, true, remove_resets))),
    function("running_avg", MetricsQl, (1, 1), Whole(|args| each(args, false, |values| run(values, average)))),
    function(
        "running_max",
        MetricsQl,
        (1, 1),
        Whole(|args| each(args, false, |values| run(values, |max, value, _| value.max(max)))),
    ),
    function(
        "running_min",
        MetricsQl,
        (1, 1),
        Whole(|args| each(args, false, |values| run(values, |min, value, _| value.min(min)))),
    ),
    function(
        "running_sum",
        MetricsQl,
        (1, 1),
        Whole(|args| each(args, false, |values| run(values, |sum, value, _| sum + value))),
    ),
    function("smooth_exponential", MetricsQl, (2, 2), Whole(smooth_exponential)),
];

/// Changes the values of every series of argument 0; the metric name stays or goes.
fn each(mut args: Args<'_>, is_named: bool, change: impl Fn(&mut [f64])) -> Result<Operand, QueryError> {
    let mut rows = args.rows(0);
    for row in &mut rows {
        let values = args.ctx.spread(&mut row.values)?;
        if !is_named && !args.keeps_names {
            row.labels.remove(METRIC_NAME);
        }
        change(values);
    }
    Ok(Operand::Rows(rows))
}

fn bitmap(mut args: Args<'_>, combine: fn(u64, u64) -> u64) -> Result<Operand, QueryError> {
    let (rows, mask) = (args.rows(0), args.scalar(1)?);
    map_points(&args, rows, false, |at, value| {
        if value.is_nan() || mask[at].is_nan() { ABSENT } else { combine(bits(value), bits(mask[at])) as f64 }
    })
}

/// A float as a whole number of 64 bits; a negative one as its complement.
fn bits(value: f64) -> u64 {
    if value < 0.0 { value as i64 as u64 } else { value as u64 }
}

/// Fills gaps with what stands before them in the order of `values`.
fn keep_last<'v>(values: impl Iterator<Item = &'v mut f64>) {
    let mut last = ABSENT;
    for value in values {
        if value.is_nan() {
            *value = last;
        }
        last = *value;
    }
}

/// Fills gaps between samples along the line between them.
fn interpolate(values: &mut [f64]) {
    let mut before: Option<usize> = None;
    for at in 0..values.len() {
        if values[at].is_nan() {
            continue;
        }
        if let Some(start) = before.replace(at) {
            let slope = (values[at] - values[start]) / (at - start) as f64;
            for gap in start + 1..at {
                values[gap] = values[gap - 1] + slope;
            }
        }
    }
}

/// A fall by less than an eighth is a correction of the counter; after any other it has begun anew.
const CORRECTION_SHARE: f64 = 8.0;

fn remove_resets(values: &mut [f64]) {
    let (mut before, mut added) = (None, 0.0);
    for value in values.iter_mut().filter(|value| !value.is_nan()) {
        let last = before.replace(*value).unwrap_or(*value);
        let fall = last - *value;
        if fall > 0.0 {
            added += if fall * CORRECTION_SHARE < last { fall } else { last };
        }
        *value += added;
    }
}

/// Puts every sample together with the result so far and the number of the point, counted from the first sample; gaps repeat the result.
fn run(values: &mut [f64], step: impl Fn(f64, f64, f64) -> f64) {
    let Some(first) = values.iter().position(|value| !value.is_nan()) else { return };
    let mut result = values[first];
    for (at, value) in values.iter_mut().enumerate().skip(first + 1) {
        if !value.is_nan() {
            result = step(result, *value, (at - first) as f64);
        }
        *value = result;
    }
}

fn average(mean: f64, value: f64, before: f64) -> f64 {
    mean + (value - mean) / (before + 1.0)
}

/// The last result of [`run`] that is a number, at every point.
pub(super) fn run_to_end(row: &mut Row, step: impl Fn(f64, f64, f64) -> f64) {
    run(row.values.whole(), step);
    let last = row.values.iter().rfind(|value| !value.is_nan()).copied();
    row.values.whole().fill(last.unwrap_or(ABSENT));
}

/// As `running_avg`.
pub(super) fn running_average(mean: f64, value: f64, before: f64) -> f64 {
    average(mean, value, before)
}

/// The factor is the same for all points or not; what is no number counts as 1.
fn smooth_exponential(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let factors = args.scalar(1)?;
    each(args, true, |values| {
        let Some(first) = values.iter().position(|value| value.is_finite()) else { return };
        let mut average = values[first];
        for (value, factor) in values.iter_mut().zip(&factors).skip(first + 1).filter(|(value, _)| !value.is_nan()) {
            if value.is_finite() {
                let factor = if factor.is_nan() { 1.0 } else { factor.clamp(0.0, 1.0) };
                average = average * (1.0 - factor) + *value * factor;
            }
            *value = average;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: f64 = f64::NAN;

    fn check(change: impl Fn(&mut [f64]), values: &[f64], want: &[f64]) {
        let mut values = values.to_vec();
        change(&mut values);
        let is_equal = values.iter().zip(want).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
        assert!(is_equal, "{values:?} {want:?}");
    }

    #[test]
    fn gaps_are_filled() {
        check(|values| keep_last(values.iter_mut()), &[N, 1.0, N, 3.0, N], &[N, 1.0, 1.0, 3.0, 3.0]);
        check(|values| keep_last(values.iter_mut().rev()), &[N, 1.0, N, 3.0, N], &[1.0, 1.0, 3.0, 3.0, N]);
        check(interpolate, &[N, 1.0, N, N, 4.0, N], &[N, 1.0, 2.0, 3.0, 4.0, N]);
    }

    #[test]
    fn resets_are_removed() {
        check(remove_resets, &[10.0, 20.0, N, 5.0, 6.0], &[10.0, 20.0, N, 25.0, 26.0]);
        check(remove_resets, &[100.0, 95.0, 96.0], &[100.0, 100.0, 101.0]);
    }

    #[test]
    fn running_results_repeat_in_gaps() {
        check(|values| run(values, |sum, value, _| sum + value), &[N, 1.0, N, 3.0], &[N, 1.0, 1.0, 4.0]);
        check(|values| run(values, average), &[1.0, 3.0, 5.0], &[1.0, 2.0, 3.0]);
    }
}
