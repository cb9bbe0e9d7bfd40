//! What histograms say, in dialect `metricsql`.
//!
//! 1. Buckets with `vmrange` become cumulative ones with `le`; series are put into histograms by their labels without name and `le`, and sorted by bound.
//!    Buckets of one bound are added.
//! 2. At every point, a bucket that holds less than the one below it, or nothing, is raised to it.
//! 3. Within a bucket values count as evenly spread; the first one begins at 0.

use hashbrown::HashMap;
use model::{BUCKET_BOUND, METRIC_NAME};

use super::{
    super::{Context, args::Args, number::general},
    bound_of, vmrange,
};
use crate::{
    api::QueryError,
    frame::{ABSENT, Operand, Row},
    labels::Labels,
    values::Values,
};

/// The buckets of a histogram by ascending bound.
struct Histogram {
    labels: Labels,
    buckets: Vec<(f64, Values)>,
}

/// A number with the bounds between which it may lie.
type Estimate = (f64, f64, f64);

const NONE: Estimate = (ABSENT, ABSENT, ABSENT);

fn histograms(ctx: &Context<'_>, rows: Vec<Row>) -> Result<Vec<Histogram>, QueryError> {
    let mut histograms: Vec<Histogram> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for row in vmrange::to_le(ctx, rows)? {
        let Some(bound) = bound_of(row.labels.get(BUCKET_BOUND)) else { continue };
        let mut labels = row.labels;
        labels.retain(|name| name != METRIC_NAME && name != BUCKET_BOUND);
        let next = histograms.len();
        let place = *places.entry(labels.clone()).or_insert(next);
        if place == next {
            histograms.push(Histogram { labels, buckets: Vec::new() });
        }
        histograms[place].buckets.push((bound, row.values));
    }
    histograms.iter_mut().for_each(|histogram| histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0)));
    Ok(histograms)
}

impl Histogram {
    /// Adds buckets of the same bound.
    fn merge_equal(&mut self) {
        self.buckets.dedup_by(|next, kept| {
            let is_equal = next.0 == kept.0;
            if is_equal {
                let (values, others) = kept.1.meet(&next.1);
                values.iter_mut().zip(others).for_each(|(value, other)| *value += other);
            }
            is_equal
        });
    }

    /// Bounds and counts at a point, counts not falling.
    fn at(&self, at: usize, out: &mut Vec<(f64, f64)>) {
        out.clear();
        out.extend(self.buckets.iter().map(|(bound, values)| (*bound, values[at])));
        let mut below = out[0].1;
        for (_, count) in out.iter_mut().skip(1) {
            if count.is_nan() || below > *count {
                *count = below;
            } else {
                below = *count;
            }
        }
    }
}

pub(super) fn quantile(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let phis = args.scalar(0)?;
    let rows = args.rows(1);
    estimates(args, rows, |at, buckets| quantile_at(phis[at], buckets)).map(Operand::Rows)
}

pub(super) fn share(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let bounds = args.scalar(0)?;
    let rows = args.rows(1);
    estimates(args, rows, |at, buckets| share_at(bounds[at], buckets)).map(Operand::Rows)
}

pub(super) fn fraction(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (lower, upper, rows) = (args.scalar(0)?, args.scalar(1)?, args.rows(2));
    let between = |at: usize, buckets: &[(f64, f64)]| share_at(upper[at], buckets).0 - share_at(lower[at], buckets).0;
    numbers(args.ctx, rows, true, between).map(Operand::Rows)
}

pub(super) fn quantiles(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let label = args.text(0)?;
    let last = args.len() - 1;
    let rows = args.rows(last);
    let mut results = Vec::new();
    for arg in 1..last {
        let phis = args.scalar(arg)?;
        let held: usize = rows.iter().map(|row| 8 * row.values.len() + row.labels.bytes()).sum();
        (args.ctx.check)(held)?;
        let mut rows = numbers(args.ctx, rows.clone(), true, |at, buckets| quantile_at(phis[at], buckets).0)?;
        let text = general(phis.first().copied().unwrap_or(f64::NAN));
        rows.iter_mut().for_each(|row| row.labels.set(&label, &text));
        results.append(&mut rows);
    }
    Ok(Operand::Rows(results))
}

pub(super) fn average(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let rows = args.rows(0);
    moments(args.ctx, rows, |mean, _| mean).map(Operand::Rows)
}

pub(super) fn stdvar(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let rows = args.rows(0);
    moments(args.ctx, rows, |_, variance| variance).map(Operand::Rows)
}

pub(super) fn stddev(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let rows = args.rows(0);
    moments(args.ctx, rows, |_, variance| variance.sqrt()).map(Operand::Rows)
}

/// A number a point of every histogram.
fn numbers(
    ctx: &Context<'_>,
    rows: Vec<Row>,
    merges: bool,
    number: impl Fn(usize, &[(f64, f64)]) -> f64,
) -> Result<Vec<Row>, QueryError> {
    let mut results = Vec::new();
    let mut buckets = Vec::new();
    for mut histogram in histograms(ctx, rows)? {
        (ctx.check)(8 * ctx.grid.points)?;
        if merges {
            histogram.merge_equal();
        }
        let values = (0..ctx.grid.points).map(|at| {
            histogram.at(at, &mut buckets);
            number(at, &buckets)
        });
        results.push(Row { values: values.collect(), labels: histogram.labels, drop_name: false });
    }
    Ok(results)
}

/// As [`numbers`]; if there is a third argument, also series with it as a label for the bounds.
fn estimates(
    mut args: Args<'_>,
    rows: Vec<Row>,
    estimate: impl Fn(usize, &[(f64, f64)]) -> Estimate,
) -> Result<Vec<Row>, QueryError> {
    let label = if args.len() > 2 { args.text(2)? } else { String::new() };
    if label.is_empty() {
        return numbers(args.ctx, rows, true, |at, buckets| estimate(at, buckets).0);
    }
    let ctx = args.ctx;
    let mut results = Vec::new();
    let mut buckets = Vec::new();
    for mut histogram in histograms(ctx, rows)? {
        (ctx.check)(24 * ctx.grid.points)?;
        histogram.merge_equal();
        let estimates = (0..ctx.grid.points).map(|at| {
            histogram.at(at, &mut buckets);
            estimate(at, &buckets)
        });
        let (mut values, mut lower, mut upper) = (Vec::new(), Vec::new(), Vec::new());
        for (value, least, most) in estimates {
            values.push(value);
            lower.push(least);
            upper.push(most);
        }
        for (text, values) in [("", values), ("lower", lower), ("upper", upper)] {
            let mut labels = histogram.labels.clone();
            if !text.is_empty() {
                labels.set(&label, text);
            }
            results.push(Row { labels, values: values.into(), drop_name: false });
        }
    }
    Ok(results)
}

fn quantile_at(phi: f64, buckets: &[(f64, f64)]) -> Estimate {
    let total = buckets.last().map_or(0.0, |(_, count)| *count);
    if phi.is_nan() || total.is_nan() || total == 0.0 {
        return NONE;
    }
    if phi < 0.0 {
        return (f64::NEG_INFINITY, f64::NEG_INFINITY, buckets[0].1);
    }
    if phi > 1.0 {
        return (f64::INFINITY, total, f64::INFINITY);
    }
    let wanted = total * phi;
    let (mut below, mut start) = (0.0, 0.0);
    for (bound, count) in buckets.iter().copied() {
        if count <= 0.0 {
            start = bound;
        } else if count < wanted {
            (below, start) = (count, bound);
        } else if bound.is_infinite() {
            break;
        } else if count == below {
            return (start, start, count);
        } else {
            return (start + (bound - start) * (wanted - below) / (count - below), start, bound);
        }
    }
    let last = buckets.iter().rev().find(|(bound, _)| bound.is_finite()).map_or(ABSENT, |(bound, _)| *bound);
    (last, last, f64::INFINITY)
}

fn share_at(wanted: f64, buckets: &[(f64, f64)]) -> Estimate {
    let Some((_, total)) = buckets.last() else { return NONE };
    if wanted.is_nan() {
        return NONE;
    }
    if wanted < 0.0 {
        return (0.0, 0.0, 0.0);
    }
    if wanted == f64::INFINITY {
        return (1.0, 1.0, 1.0);
    }
    let (mut below, mut start) = (0.0, 0.0);
    for (bound, count) in buckets.iter().copied() {
        if wanted >= bound {
            (below, start) = (count, bound);
            continue;
        }
        let lower = below / total;
        if bound.is_infinite() {
            return (lower, lower, 1.0);
        }
        if start == wanted {
            return (lower, lower, lower);
        }
        let share = lower + (count - below) / total * (wanted - start) / (bound - start);
        return (share, lower, count / total);
    }
    (1.0, 1.0, 1.0)
}

/// A number a point of mean and variance, each bucket standing for its middle.
fn moments(ctx: &Context<'_>, rows: Vec<Row>, number: impl Fn(f64, f64) -> f64) -> Result<Vec<Row>, QueryError> {
    let mut results = Vec::new();
    for histogram in histograms(ctx, rows)? {
        (ctx.check)(8 * ctx.grid.points)?;
        let values = (0..ctx.grid.points).map(|at| {
            let (mut start, mut below) = (0.0, 0.0);
            let (mut sum, mut squares, mut total) = (0.0, 0.0, 0.0);
            for (bound, values) in histogram.buckets.iter().filter(|(bound, _)| bound.is_finite()) {
                let (middle, weight) = ((bound + start) / 2.0, values[at] - below);
                sum += middle * weight;
                squares += middle * middle * weight;
                total += weight;
                (start, below) = (*bound, values[at]);
            }
            if total == 0.0 {
                return ABSENT;
            }
            let mean: f64 = sum / total;
            // Rounding may make less than nothing of it.
            number(mean, (squares / total - mean * mean).max(0.0))
        });
        results.push(Row { values: values.collect(), labels: histogram.labels, drop_name: false });
    }
    Ok(results)
}
