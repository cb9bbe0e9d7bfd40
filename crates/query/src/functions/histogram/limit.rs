//! `buckets_limit`: fewer buckets of a histogram.
//!
//! 1. A bucket's weight is what it holds more than the next lower one, over all points.
//! 2. As long as there are too many, the pair of neighbours that together weigh least is joined: the lower one goes, and its weight with it into the upper.
//!    The first and the last bucket stay.

use hashbrown::HashMap;
use model::BUCKET_BOUND;

use super::{super::args::Args, bound_of, vmrange};
use crate::{
    api::QueryError,
    frame::{Operand, Row},
    labels::Labels,
};

/// Fewer buckets would lose the least or the greatest value.
const LIMIT_MIN: usize = 3;

struct Bucket {
    bound: f64,
    weight: f64,
    row: Row,
}

pub(super) fn buckets_limit(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let limit = usize::try_from(args.whole(0)?).unwrap_or(0);
    if limit == 0 {
        return Ok(Operand::Rows(Vec::new()));
    }
    let rows = args.rows(1);
    let mut histograms: Vec<Vec<Bucket>> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for row in vmrange::to_le(args.ctx, rows)? {
        let Some(bound) = bound_of(row.labels.get(BUCKET_BOUND)) else { continue };
        let mut labels = row.labels.clone();
        labels.remove(BUCKET_BOUND);
        let next = histograms.len();
        let place = *places.entry(labels).or_insert(next);
        if place == next {
            histograms.push(Vec::new());
        }
        histograms[place].push(Bucket { bound, weight: 0.0, row });
    }
    let mut results = Vec::new();
    for mut buckets in histograms {
        (args.ctx.check)(0)?;
        shrink(&mut buckets, limit.max(LIMIT_MIN));
        results.extend(buckets.into_iter().map(|bucket| bucket.row));
    }
    Ok(Operand::Rows(results))
}

fn shrink(buckets: &mut Vec<Bucket>, limit: usize) {
    if buckets.len() <= limit {
        return;
    }
    buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    for at in 0..buckets[0].row.values.len() {
        let mut below = 0.0;
        for bucket in buckets.iter_mut() {
            let value = bucket.row.values[at];
            bucket.weight += value - below;
            below = value;
        }
    }
    while buckets.len() > limit {
        let weight = |at: usize| buckets[at].weight + buckets[at + 1].weight;
        let lightest = (1..buckets.len() - 2).reduce(|a, b| if weight(b) < weight(a) { b } else { a });
        let lightest = lightest.expect("BUG: a limit below three buckets");
        let removed = buckets.remove(lightest);
        buckets[lightest].weight += removed.weight;
    }
}
