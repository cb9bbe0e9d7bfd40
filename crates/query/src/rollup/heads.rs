//! Windows that are answered from block heads where they may be.
//!
//! 1. A head knows count, sum, least and greatest value of a block that lies in the same windows as a whole, and that holds numbers only; their sum is
//!    finite.
//! 2. Functions that need no more of a window put the heads in it together with the samples in it that came one by one.
//! 3. Functions that look at the borders of a window get the samples there one by one; between them only how many samples there are matters and, for
//!    counters, where values fall: heads of blocks with a fall inside do not stand ([`super::edges`]).
//! 4. That pays where windows are long and end far apart: elsewhere each block has an end of a window inside.

use std::sync::Arc;

use storage_api::{Cuts, PlacedHead};

use super::{
    edges,
    metricsql::Function as M,
    promql::{self, Function as P},
    recipe::{Change, Recipe, What},
    sums::sum,
    window::{Bounds, Layout, Length},
};
use crate::frame::ABSENT;

/// Shorter windows, and windows that end closer together, hold hardly a whole block.
const LENGTH_MIN_MS: i64 = 3_600_000;

/// What is made of the samples of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    Present,
    /// What [`super::edges`] makes of the samples at its borders.
    Edges,
}

/// What heads are asked for, if they may stand for blocks.
pub fn wanted(recipe: &Recipe) -> Option<Wanted> {
    if edges::looks_at_borders(recipe) {
        return Some(Wanted::Edges);
    }
    let [output] = recipe.outputs.as_slice() else { return None };
    if recipe.change != Change::None || output.tag.is_some() {
        return None;
    }
    Some(match output.what {
        What::Metricsql(M::Count) | What::Promql(P::Count) => Wanted::Count,
        What::Metricsql(M::Sum) | What::Promql(P::Sum) => Wanted::Sum,
        What::Metricsql(M::Avg) | What::Promql(P::Avg) => Wanted::Avg,
        What::Metricsql(M::Min) | What::Promql(P::Min) => Wanted::Min,
        What::Metricsql(M::Max) | What::Promql(P::Max) => Wanted::Max,
        What::Metricsql(M::Present) | What::Promql(P::Present) => Wanted::Present,
        _ => return None,
    })
}

/// Where windows begin and end, if heads may stand for blocks and that pays.
pub fn cuts(recipe: &Recipe, layout: &Layout) -> Option<Cuts> {
    let length = match layout.length {
        Length::Fixed(length) => length,
        Length::Spaced(spacing) => spacing.said?,
    };
    let is_sparse = layout.points == 1 || layout.step >= LENGTH_MIN_MS;
    let wanted = wanted(recipe).filter(|_| length >= LENGTH_MIN_MS && is_sparse)?;
    let ends = (0..layout.points).map(|i| layout.end(i));
    let mut at: Vec<i64> = ends.flat_map(|end| [end - length, end]).collect();
    at.sort_unstable();
    at.dedup();
    let edges = if wanted == Wanted::Edges { edges::SAMPLES } else { 0 };
    Some(Cuts { at: Arc::new(at), edges, rising: edges::is_of_counters(recipe) })
}

/// Appends the value of each window, from samples and from heads.
pub fn fill(
    recipe: &Recipe,
    layout: &Layout,
    bounds: &Bounds,
    values: &[f64],
    heads: &[PlacedHead],
    out: &mut Vec<f64>,
) {
    let Some(wanted) = wanted(recipe) else { unreachable!("BUG: heads were asked for without need") };
    let is_promql = matches!(recipe.outputs[0].what, What::Promql(_));
    for i in 0..layout.points {
        let samples = &values[bounds.from[i] as usize..bounds.to[i] as usize];
        let end = layout.end(i);
        let inside = heads.iter().filter(|head| end - bounds.length < head.first_time && head.last_time <= end);
        out.push(value(wanted, is_promql, samples, &inside));
    }
}

fn value<'h>(
    wanted: Wanted,
    is_promql: bool,
    samples: &[f64],
    heads: &(impl Iterator<Item = &'h PlacedHead> + Clone),
) -> f64 {
    let count = samples.len() as u64 + heads.clone().map(|head| head.summary.count).sum::<u64>();
    if count == 0 {
        return ABSENT;
    }
    // Dialect `promql` loses nothing to great values among small ones.
    let of_samples = || if is_promql { promql::sum(samples) } else { sum(samples) };
    let one_by_one = || codec::Sum::Float { high: of_samples(), low: 0.0 };
    let total = || heads.clone().fold(one_by_one(), |sum, head| sum.plus(head.summary.sum)).to_f64();
    let extreme = |of_head: fn(&PlacedHead) -> f64, wins: fn(f64, f64) -> bool| {
        let all = samples.iter().copied().chain(heads.clone().map(of_head));
        all.reduce(|have, value| if wins(value, have) || have.is_nan() { value } else { have }).unwrap_or(ABSENT)
    };
    match wanted {
        Wanted::Edges => unreachable!("BUG: borders are looked at elsewhere"),
        Wanted::Present => 1.0,
        Wanted::Count => count as f64,
        Wanted::Sum => total(),
        Wanted::Avg => match total() {
            total if is_promql && total.is_infinite() => mean_of_parts(samples, heads, count as f64),
            total => total / count as f64,
        },
        Wanted::Min => extreme(|head| head.summary.min, |value, have| value < have),
        Wanted::Max => extreme(|head| head.summary.max, |value, have| value > have),
    }
}

/// The mean by the shares that samples and heads have in it: the sum of all may overflow where none of theirs does.
fn mean_of_parts<'h>(samples: &[f64], heads: &(impl Iterator<Item = &'h PlacedHead> + Clone), count: f64) -> f64 {
    let of_samples = if samples.is_empty() { 0.0 } else { promql::avg(samples) * (samples.len() as f64 / count) };
    heads.clone().fold(of_samples, |mean, head| mean + head.summary.sum.to_f64() / count)
}

#[cfg(test)]
mod tests {
    use codec::summarize;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        frame::Grid,
        rollup::{Arguments, Spacing},
    };

    fn layout(points: usize, step: i64, length: i64) -> Layout {
        let grid = Grid { start: 0, step, points };
        let spacing = Spacing {
            said: Some(length),
            step,
            is_instant: points == 1,
            lookback: 0,
            staleness_min: 0,
            may_adjust: false,
            within_lookback: false,
        };
        Layout { first_end: 0, step, points, grid, length: Length::Spaced(spacing) }
    }

    #[test]
    fn heads_are_asked_for_where_they_pay() {
        let recipe = |name| Recipe::of_metricsql(name, Arguments::default(), 0).expect("a function without numbers");
        let hour = LENGTH_MIN_MS;
        assert_eq!(cuts(&recipe("sum_over_time"), &layout(1, 60_000, 24 * hour)).map(|cuts| cuts.at.len()), Some(2));
        assert_eq!(cuts(&recipe("sum_over_time"), &layout(3, hour, hour)).map(|cuts| cuts.at.len()), Some(4));
        assert_eq!(cuts(&recipe("sum_over_time"), &layout(3, 60_000, hour)), None);
        assert_eq!(cuts(&recipe("sum_over_time"), &layout(1, hour, 60_000)), None);
        let of_rate = cuts(&recipe("rate"), &layout(1, hour, 24 * hour)).expect("borders are enough");
        assert!(of_rate.edges > 0 && of_rate.rising);
        assert_eq!(cuts(&recipe("median_over_time"), &layout(1, hour, 24 * hour)), None);
    }

    proptest! {
        #[test]
        fn a_head_stands_for_its_samples(values in prop::collection::vec(-1e6f64..1e6, 3..40), from in 0usize..10, len in 1usize..20) {
            let (from, to) = (from.min(values.len() - 1), (from + len).min(values.len()));
            let to = to.max(from + 1);
            let placed = PlacedHead { before: from, first_time: from as i64, last_time: to as i64 - 1, summary: summarize(&values[from..to]) };
            let others: Vec<f64> = values[..from].iter().chain(&values[to..]).copied().collect();
            for wanted in [Wanted::Count, Wanted::Sum, Wanted::Avg, Wanted::Min, Wanted::Max, Wanted::Present] {
                let (have, want) = (value(wanted, false, &others, &[&placed].into_iter()), value(wanted, false, &values, &[].into_iter()));
                prop_assert!((have - want).abs() <= 1e-9 * want.abs().max(1.0), "{wanted:?}: {have} {want}");
            }
        }
    }
}
