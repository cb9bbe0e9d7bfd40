//! What classic histograms say, in dialect `promql`.
//!
//! 1. Series are put into histograms by all labels but `le`, and sorted by bound; one whose `le` is no number is left out with a warning.
//! 2. At every point, the buckets that have a sample there are the histogram: buckets of one bound are added, differences that are only noise removed,
//!    and counts that fall are raised, with an info a metric.
//! 3. Without a bucket up to +Inf, with fewer than two, or without observations there is no number. Within a bucket values count as evenly spread.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use metricsql::Span;
use model::BUCKET_BOUND;

use super::{
    super::{
        aggregate::warn_of_quantiles,
        args::Args,
        number::{general, general_short},
    },
    bound_of,
};
use crate::{
    api::QueryError,
    frame::{ABSENT, Operand, Row, is_absent},
    labels::Labels,
    values::Values,
};

/// Counts that differ by a smaller share than this are equal.
const NOISE: f64 = 1e-12;
const MONOTONICITY: &str = "input to histogram_quantile needed to be fixed for monotonicity \
    (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";

struct Histogram {
    labels: Labels,
    buckets: Vec<(f64, Values)>,
}

fn histograms(args: &Args<'_>, rows: Vec<Row>, span: Span) -> Result<Vec<Histogram>, QueryError> {
    let mut histograms: Vec<Histogram> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for row in rows {
        (args.ctx.check)(0)?;
        let text = row.labels.get(BUCKET_BOUND);
        let Some(bound) = bound_of(text) else {
            let name = of_metric(&row.labels);
            args.ctx
                .notes
                .warn(span, format!("bucket label \"le\" is missing or has a malformed value of {text:?}{name}"));
            continue;
        };
        let mut labels = row.labels.clone();
        labels.remove(BUCKET_BOUND);
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

fn of_metric(labels: &Labels) -> String {
    match labels.metric_name() {
        "" => String::new(),
        name => format!(" for metric name {name:?}"),
    }
}

impl Histogram {
    /// Bounds and counts of the buckets that are there at a point; those of one bound are added.
    fn at(&self, at: usize, out: &mut Vec<(f64, f64)>) {
        out.clear();
        for (bound, values) in self.buckets.iter().filter(|(_, values)| !is_absent(values[at])) {
            match out.last_mut() {
                Some((last, count)) if last == bound => *count += values[at],
                _ => out.push((*bound, values[at])),
            }
        }
    }
}

pub(super) fn quantile(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let phis = args.scalar(0)?;
    warn_of_quantiles(&args, 0, &phis);
    let (rows, span) = (args.rows(1), args.span_of(1));
    let histograms = histograms(&args, rows, span)?;
    let mut raisings = Raisings::new();
    let results = of_phis(&args, &histograms, &phis, &mut raisings)?;
    inform(&args, raisings, span);
    Ok(Operand::Rows(results))
}

pub(super) fn quantiles(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (rows, span) = (args.rows(0), args.span_of(0));
    let label = args.text(1)?;
    let mut all_phis = Vec::new();
    for arg in 2..args.len() {
        let phis = args.scalar(arg)?;
        warn_of_quantiles(&args, arg, &phis);
        all_phis.push(phis);
    }
    let histograms = histograms(&args, rows, span)?;
    let (mut results, mut raisings) = (Vec::new(), Raisings::new());
    for phis in all_phis {
        let mut rows = of_phis(&args, &histograms, &phis, &mut raisings)?;
        let text = open_metrics(phis.first().copied().unwrap_or(f64::NAN));
        rows.iter_mut().for_each(|row| row.labels.set(&label, &text));
        results.append(&mut rows);
    }
    inform(&args, raisings, span);
    Ok(Operand::Rows(results))
}

/// A number with a point or an exponent in it.
fn open_metrics(value: f64) -> String {
    let text = general(value);
    if !value.is_finite() || text.contains(['.', 'e']) { text } else { text + ".0" }
}

fn of_phis(
    args: &Args<'_>,
    histograms: &[Histogram],
    phis: &[f64],
    raisings: &mut Raisings,
) -> Result<Vec<Row>, QueryError> {
    let mut buckets = Vec::new();
    let mut results = Vec::with_capacity(histograms.len());
    for histogram in histograms {
        (args.ctx.check)(8 * phis.len())?;
        let mut raised: Option<Raised> = None;
        let values = phis.iter().enumerate().map(|(at, phi)| {
            histogram.at(at, &mut buckets);
            if buckets.is_empty() {
                return ABSENT;
            }
            let (value, at_point) = quantile_at(*phi, args.ctx.grid.at(at), &mut buckets);
            raised = raised.into_iter().chain(at_point).reduce(Raised::and);
            value
        });
        results.push(Row { values: values.collect(), labels: histogram.labels.clone(), drop_name: true });
        if let Some(raised) = raised {
            let name = of_metric(&histogram.labels);
            raisings.entry(name).and_modify(|have| *have = have.and(raised)).or_insert(raised);
        }
    }
    results.retain(|row| row.values.iter().any(|value| !is_absent(*value)));
    Ok(results)
}

/// What had to be done so that counts do not fall.
#[derive(Clone, Copy)]
struct Raised {
    points: usize,
    /// The least and the greatest of a bucket that was raised.
    bounds: (f64, f64),
    difference: f64,
    /// The first and the last.
    times: (i64, i64),
}

/// By how the metric is called in messages.
type Raisings = BTreeMap<String, Raised>;

impl Raised {
    fn and(self, other: Self) -> Self {
        Self {
            points: self.points + other.points,
            bounds: (self.bounds.0.min(other.bounds.0), self.bounds.1.max(other.bounds.1)),
            difference: self.difference.max(other.difference),
            times: (self.times.0.min(other.times.0), self.times.1.max(other.times.1)),
        }
    }
}

/// Tells of what had to be done, once a metric.
fn inform(args: &Args<'_>, raisings: Raisings, span: Span) {
    let time = |millis: i64| jiff::Timestamp::from_second(millis / 1_000).unwrap_or_default().to_string();
    for (name, Raised { points, bounds, difference, times }) in raisings {
        let message = format!(
            "{MONOTONICITY}{name}, from buckets {} to {}, with a max diff of {}, over {points} samples from {} to {}",
            general(bounds.0),
            general(bounds.1),
            general_short(difference),
            time(times.0),
            time(times.1),
        );
        args.ctx.notes.info(span, message);
    }
}

/// The quantile of buckets at a time, and what had to be done for it.
fn quantile_at(phi: f64, time: i64, buckets: &mut [(f64, f64)]) -> (f64, Option<Raised>) {
    if phi.is_nan() {
        return (f64::NAN, None);
    }
    if phi < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if phi > 1.0 {
        return (f64::INFINITY, None);
    }
    let last = buckets.len() - 1;
    if buckets[last].0 != f64::INFINITY {
        return (f64::NAN, None);
    }
    let raised = raise(buckets, time);
    if buckets.len() < 2 || buckets[last].1 == 0.0 {
        return (f64::NAN, None);
    }
    let rank = phi * buckets[last].1;
    let at = first_reaching(rank, &buckets[..last]);
    if at == last {
        return (buckets[last - 1].0, raised);
    }
    let (bound, count) = buckets[at];
    if at == 0 && bound <= 0.0 {
        return (bound, raised);
    }
    let (start, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    (start + (bound - start) * ((rank - below) / (count - below)), raised)
}

/// The first bucket that reaches the rank. Where counts are no numbers none is the first: the one that Prometheus comes to by halving is taken.
fn first_reaching(rank: f64, buckets: &[(f64, f64)]) -> usize {
    let (mut from, mut to) = (0, buckets.len());
    while from < to {
        let middle = from.midpoint(to);
        if buckets[middle].1 >= rank {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    from
}

/// Removes noise from counts and raises those that fall.
fn raise(buckets: &mut [(f64, f64)], time: i64) -> Option<Raised> {
    let mut below = buckets[0].1;
    let mut raised: Option<Raised> = None;
    for (bound, count) in buckets.iter_mut().skip(1) {
        if *count == below {
            continue;
        }
        if is_noise(below, *count) {
            *count = below;
        } else if *count < below {
            let first = Raised { points: 1, bounds: (*bound, *bound), difference: 0.0, times: (time, time) };
            let have = raised.get_or_insert(first);
            have.bounds = (have.bounds.0.min(*bound), have.bounds.1.max(*bound));
            have.difference = have.difference.max(below - *count);
            *count = below;
        } else {
            below = *count;
        }
    }
    raised
}

fn is_noise(a: f64, b: f64) -> bool {
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        difference < NOISE * f64::MIN_POSITIVE
    } else {
        difference / sum.min(f64::MAX) < NOISE
    }
}

pub(super) fn fraction(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (lower, upper) = (args.scalar(0)?, args.scalar(1)?);
    let (rows, span) = (args.rows(2), args.span_of(2));
    let mut buckets = Vec::new();
    let mut results = Vec::new();
    for histogram in histograms(&args, rows, span)? {
        (args.ctx.check)(8 * lower.len())?;
        let values = lower.iter().zip(&upper).enumerate().map(|(at, (lower, upper))| {
            histogram.at(at, &mut buckets);
            if buckets.is_empty() { ABSENT } else { fraction_at(*lower, *upper, &buckets) }
        });
        results.push(Row { values: values.collect(), labels: histogram.labels, drop_name: true });
    }
    results.retain(|row| row.values.iter().any(|value| !is_absent(*value)));
    Ok(Operand::Rows(results))
}

fn fraction_at(lower: f64, upper: f64, buckets: &[(f64, f64)]) -> f64 {
    let (last, total) = buckets[buckets.len() - 1];
    if last != f64::INFINITY || total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets).min(total) - rank_of(lower, buckets).min(total)) / total
}

/// How many observations lie below a value.
fn rank_of(value: f64, buckets: &[(f64, f64)]) -> f64 {
    let mut start = if buckets[0].0 <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut below = 0.0;
    for (bound, count) in buckets.iter().copied() {
        if start >= value {
            return below;
        }
        if bound > value {
            // Nothing can be said of where in a bucket without a begin a value lies.
            return if start.is_infinite() {
                count
            } else {
                below + (count - below) * (value - start) / (bound - start)
            };
        }
        (start, below) = (bound, count);
    }
    below
}
