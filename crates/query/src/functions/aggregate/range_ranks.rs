//! `topk_max`, `bottomk_avg` and their like: the series of a group that rank best by one number over the whole range.
//!
//! 1. Every series gets its number: least, greatest, average, median or last sample. A series without samples ranks worst.
//! 2. At each point, the `k` best series keep their samples.
//! 3. A third argument `label=value` adds a series with this label that holds the sum of the others at each point; `value` alone names both.

use std::cmp::Ordering;

use metricsql::Aggregate;

use super::{
    super::{args::Args, stats},
    Group, grouped,
    ranks::{Best, count_metricsql},
    retain_samples,
};
use crate::{
    api::QueryError,
    frame::{ABSENT, Row},
};

type Rank = fn(&[f64]) -> f64;

macro_rules! ranks {
    ($($name:ident: $best:expr, $rank:expr;)*) => {
        $(pub(super) fn $name(aggregate: &Aggregate, args: Args<'_>) -> Result<Vec<Row>, QueryError> {
            by_rank(aggregate, args, $best, $rank)
        })*
    };
}

ranks! {
    topk_avg: Best::Largest, average;
    topk_last: Best::Largest, last;
    topk_max: Best::Largest, greatest;
    topk_median: Best::Largest, median;
    topk_min: Best::Largest, least;
    bottomk_avg: Best::Smallest, average;
    bottomk_last: Best::Smallest, last;
    bottomk_max: Best::Smallest, greatest;
    bottomk_median: Best::Smallest, median;
    bottomk_min: Best::Smallest, least;
}

fn samples(values: &[f64]) -> impl DoubleEndedIterator<Item = f64> {
    values.iter().copied().filter(|value| !value.is_nan())
}

fn average(values: &[f64]) -> f64 {
    stats::mean(samples(values))
}

fn last(values: &[f64]) -> f64 {
    samples(values).next_back().unwrap_or(f64::NAN)
}

fn greatest(values: &[f64]) -> f64 {
    samples(values).reduce(f64::max).unwrap_or(f64::NAN)
}

fn least(values: &[f64]) -> f64 {
    samples(values).reduce(f64::min).unwrap_or(f64::NAN)
}

fn median(values: &[f64]) -> f64 {
    stats::median(&mut samples(values).collect::<Vec<_>>())
}

fn by_rank(aggregate: &Aggregate, mut args: Args<'_>, best: Best, rank: Rank) -> Result<Vec<Row>, QueryError> {
    let ctx = args.ctx;
    let (counts, rows) = (args.scalar(0)?, args.rows(1));
    let rest = if args.len() > 2 { Some(args.text(2)?).filter(|label| !label.is_empty()) } else { None };
    let mut results = Vec::new();
    for group in grouped(ctx, aggregate, rows)? {
        (ctx.check)(8 * ctx.grid.points)?;
        let mut rows = ranked(group, &counts, best, rest.as_deref(), |row| rank(row.values.held()));
        retain_samples(ctx, &mut rows);
        results.append(&mut rows);
    }
    Ok(results)
}

/// The series of a group, those that rank best first, with their samples where they are wanted.
pub(super) fn ranked(
    group: Group,
    counts: &[f64],
    best: Best,
    rest: Option<&str>,
    rank: impl Fn(&Row) -> f64,
) -> Vec<Row> {
    let Group { labels, rows } = group;
    let mut ranks: Vec<(f64, Row)> = rows.into_iter().map(|row| (rank(&row), row)).collect();
    ranks.sort_by(|(a, _), (b, _)| best_first(best, *a, *b));
    let mut rows: Vec<Row> = ranks.into_iter().map(|(_, row)| row).collect();
    let rest = rest.map(|label| {
        let (name, value) = label.split_once('=').unwrap_or((label, label));
        let mut labels = labels.clone();
        labels.set(name, value);
        let sums = counts.iter().enumerate().map(|(at, count)| sum_behind(&rows, at, *count));
        Row { labels, values: sums.collect(), drop_name: false }
    });
    for (at, count) in counts.iter().enumerate() {
        let kept = count_metricsql(*count, rows.len());
        rows[kept..].iter_mut().for_each(|row| row.values.remove(at));
    }
    rest.into_iter().chain(rows).collect()
}

fn best_first(best: Best, a: f64, b: f64) -> Ordering {
    best.compare(b, a)
}

/// The sum at a point of all series but the first `count`.
fn sum_behind(rows: &[Row], at: usize, count: f64) -> f64 {
    let others = rows[count_metricsql(count, rows.len())..].iter().map(|row| row.values[at]);
    others.filter(|value| !value.is_nan()).reduce(|a, b| a + b).unwrap_or(ABSENT)
}
