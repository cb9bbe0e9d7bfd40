//! `topk` and `bottomk`: the largest or smallest samples of a group at every point.
//!
//! Dialect `promql`: samples go through a heap of `k` places whose top is the worst of them; a sample that is better takes the top's place. Which of equal
//! samples stay follows from the heap's moves, so they are those of Prometheus. NaN is worse than every number. An instant query has its results in order
//! of rank, group after group.
//!
//! Dialect `metricsql`: of equal samples those of earlier series stay; the results are in order of rank at the last point.

use std::cmp::Ordering;

use metricsql::Aggregate;

use super::{
    super::{Context, args::Args, number::general},
    grouped, retain_samples,
};
use crate::{
    api::QueryError,
    frame::{Row, is_absent},
};

/// Which samples are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Best {
    Largest,
    Smallest,
}

impl Best {
    /// Whether `a` is worse than `b`.
    fn is_worse(self, a: f64, b: f64) -> bool {
        a.is_nan() || if self == Self::Largest { a < b } else { a > b }
    }

    /// Worse first; what is no number is worst.
    pub(super) fn compare(self, a: f64, b: f64) -> Ordering {
        let numbers = a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()));
        match self {
            Self::Smallest if !a.is_nan() && !b.is_nan() => numbers.reverse(),
            _ => numbers,
        }
    }
}

pub(super) fn topk_promql(aggregate: &Aggregate, args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    promql(aggregate, args, Best::Largest)
}

pub(super) fn bottomk_promql(aggregate: &Aggregate, args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    promql(aggregate, args, Best::Smallest)
}

pub(super) fn topk_metricsql(aggregate: &Aggregate, args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    metricsql(aggregate, args, Best::Largest)
}

pub(super) fn bottomk_metricsql(aggregate: &Aggregate, args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    metricsql(aggregate, args, Best::Smallest)
}

/// How many of `most` samples are wanted at each point (dialect `promql`).
pub(super) fn counts_promql(args: &mut Args<'_>, most: usize) -> Result<Vec<usize>, QueryError> {
    let wanted = args.scalar(0)?;
    if wanted.iter().any(|k| k.is_nan()) {
        return args.fail("Parameter value is NaN");
    }
    let (max, min) = (i64::MAX as f64, i64::MIN as f64);
    if let Some(k) = wanted.iter().find(|k| **k >= max) {
        return args.fail(format!("Scalar value {} overflows int64", general(*k)));
    }
    if let Some(k) = wanted.iter().find(|k| **k <= min) {
        return args.fail(format!("Scalar value {} underflows int64", general(*k)));
    }
    Ok(wanted.iter().map(|k| (*k as i64).clamp(0, most as i64) as usize).collect())
}

/// How many of `most` samples are wanted (dialect `metricsql`).
pub(super) fn count_metricsql(wanted: f64, most: usize) -> usize {
    if wanted >= most as f64 { most } else { wanted.max(0.0) as usize }
}

fn promql(aggregate: &Aggregate, mut args: Args<'_>, best: Best) -> Result<Vec<Row>, QueryError> {
    let ctx = args.ctx;
    let rows = args.rows(1);
    let counts = counts_promql(&mut args, rows.len())?;
    let is_instant = ctx.grid.points == 1;
    let mut results = Vec::new();
    for group in grouped(ctx, aggregate, rows)? {
        let mut rows: Vec<Option<Row>> = Vec::with_capacity(group.rows.len());
        let mut source = group.rows;
        for (at, count) in counts.iter().enumerate() {
            (ctx.check)(0)?;
            let kept = heap(&source, at, *count, best);
            if is_instant {
                rows.extend(source.drain(..).map(Some));
                results.extend(kept.iter().filter_map(|place| rows[*place].take()));
                break;
            }
            keep_only(&mut source, at, &kept);
        }
        retain_samples(ctx, &mut source);
        results.append(&mut source);
    }
    Ok(results)
}

/// The places of the rows whose samples at a point are the best, best first.
fn heap(rows: &[Row], at: usize, count: usize, best: Best) -> Vec<usize> {
    let value = |place: usize| rows[place].values[at];
    let mut heap: Vec<usize> = Vec::with_capacity(count.min(rows.len()));
    if count == 0 {
        return heap;
    }
    for place in (0..rows.len()).filter(|place| !is_absent(value(*place))) {
        let new = value(place);
        if heap.len() < count {
            heap.push(place);
            rise(&mut heap, |a, b| best.is_worse(value(a), value(b)));
        } else {
            let top = value(heap[0]);
            if (best.is_worse(top, new) && !top.is_nan()) || (top.is_nan() && !new.is_nan()) {
                heap[0] = place;
                sink(&mut heap, |a, b| best.is_worse(value(a), value(b)));
            }
        }
    }
    heap.sort_by(|a, b| best.compare(value(*b), value(*a)));
    heap
}

/// Moves the last element towards the top, past those that are better.
fn rise(heap: &mut [usize], is_worse: impl Fn(usize, usize) -> bool) {
    let mut child = heap.len() - 1;
    while child > 0 {
        let parent = (child - 1) / 2;
        if !is_worse(heap[child], heap[parent]) {
            break;
        }
        heap.swap(child, parent);
        child = parent;
    }
}

/// Moves the top downwards, past those that are worse.
fn sink(heap: &mut [usize], is_worse: impl Fn(usize, usize) -> bool) {
    let mut parent = 0;
    loop {
        let left = 2 * parent + 1;
        if left >= heap.len() {
            break;
        }
        let right = left + 1;
        let child = if right < heap.len() && is_worse(heap[right], heap[left]) { right } else { left };
        if !is_worse(heap[child], heap[parent]) {
            break;
        }
        heap.swap(child, parent);
        parent = child;
    }
}

fn keep_only(rows: &mut [Row], at: usize, kept: &[usize]) {
    let kept: Vec<(usize, f64)> = kept.iter().map(|place| (*place, rows[*place].values[at])).collect();
    rows.iter_mut().for_each(|row| row.values.remove(at));
    kept.into_iter().for_each(|(place, value)| rows[place].values.restore(at, value));
}

fn metricsql(aggregate: &Aggregate, mut args: Args<'_>, best: Best) -> Result<Vec<Row>, QueryError> {
    let ctx = args.ctx;
    let (counts, rows) = (args.scalar(0)?, args.rows(1));
    let mut results = Vec::new();
    for mut group in grouped(ctx, aggregate, rows)? {
        for (at, count) in counts.iter().enumerate() {
            (ctx.check)(0)?;
            keep_best(&mut group.rows, at, count_metricsql(*count, usize::MAX), best);
        }
        retain_samples(ctx, &mut group.rows);
        order_by_last(ctx, &mut group.rows, best);
        results.append(&mut group.rows);
    }
    Ok(results)
}

fn keep_best(rows: &mut [Row], at: usize, count: usize, best: Best) {
    if count >= rows.len() {
        return;
    }
    let mut places: Vec<usize> = (0..rows.len()).collect();
    if count > 0 {
        let value = |place: usize| rows[place].values[at];
        places.select_nth_unstable_by(count, |a, b| best.compare(value(*b), value(*a)).then(a.cmp(b)));
    }
    places[count..].iter().for_each(|place| rows[*place].values.remove(at));
}

fn order_by_last(ctx: &Context<'_>, rows: &mut [Row], best: Best) {
    let last = ctx.grid.points - 1;
    rows.sort_by(|a, b| best.compare(b.values[last], a.values[last]));
}
