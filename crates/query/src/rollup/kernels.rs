//! Loops of their own for the functions that are asked most.
//!
//! 1. Functions that look at the borders of a window only (`rate`, `increase`, the last value) take constant work a window; that a counter falls nowhere in
//!    the column is found out once, for all windows.
//! 2. Sums have ways of their own ([`sums`]).
//! 3. Where windows overlap much, least and greatest values are carried from window to window in a queue.

use super::{
    metricsql::{Function as M, borders},
    promql::{self, Function as P},
    sums,
    window::{Bounds, Layout, NO_SAMPLE, Window, for_each_window, window_at},
};
use crate::frame::ABSENT;

/// Sums of values below this do not overflow.
const AVERAGED_MAX: f64 = 1e290;

type Column<'a> = (&'a [i64], &'a [f64]);

/// Fills `out` if the function has a loop of its own.
pub fn metricsql(function: M, layout: &Layout, bounds: &Bounds, column: Column<'_>, out: &mut Vec<f64>) -> bool {
    let values = column.1;
    match function {
        M::Default => lasts(bounds, values, out),
        M::Sum => sums::fill(bounds, values, false, out, |sum, _| sum),
        M::Avg => sums::fill(bounds, values, false, out, |sum, count| sum / count),
        M::Min => extremes(bounds, values, out, |value, have| value < have),
        M::Max => extremes(bounds, values, out, |value, have| value > have),
        M::Count => each(bounds, out, |from, to| (to - from) as f64),
        M::Present => each(bounds, out, |_, _| 1.0),
        M::Delta => changes(layout, bounds, column, out, |change, _| change, borders::delta),
        M::IncreasePure => changes(layout, bounds, column, out, |change, _| change, borders::increase_pure),
        M::DerivFast => changes(layout, bounds, column, out, |change, seconds| change / seconds, borders::rate),
        M::Ideriv => for_each_window(layout, bounds, column, out, borders::instant_rate),
        _ => return false,
    }
    true
}

/// Fills `out` if the function has a loop of its own.
pub fn promql(function: P, layout: &Layout, bounds: &Bounds, column: Column<'_>, out: &mut Vec<f64>) -> bool {
    let values = column.1;
    match function {
        P::Instant | P::Last => lasts(bounds, values, out),
        P::Count => each(bounds, out, |from, to| (to - from) as f64),
        P::Present => each(bounds, out, |_, _| 1.0),
        P::Rate | P::Increase => counters(function == P::Rate, layout, bounds, column, out),
        P::Sum => sums::fill(bounds, values, true, out, |sum, _| sum),
        P::Min if all_numbers(values) => extremes(bounds, values, out, |value, have| value < have),
        P::Max if all_numbers(values) => extremes(bounds, values, out, |value, have| value > have),
        // A mean whose sum overflows is another one.
        P::Avg if values.iter().all(|value| value.abs() < AVERAGED_MAX) => {
            sums::fill(bounds, values, true, out, |sum, count| sum / count);
        }
        _ => return false,
    }
    true
}

/// Calls `value(from, to)` for windows that hold samples.
fn each(bounds: &Bounds, out: &mut Vec<f64>, mut value: impl FnMut(usize, usize) -> f64) {
    let windows = bounds.from.iter().zip(&bounds.to);
    out.extend(windows.map(|(from, to)| if from < to { value(*from as usize, *to as usize) } else { ABSENT }));
}

fn lasts(bounds: &Bounds, values: &[f64], out: &mut Vec<f64>) {
    each(bounds, out, |_, to| values[to - 1]);
}

/// The change from the sample before each window to its last; where nothing lies before, `else_of` sees the window.
fn changes(
    layout: &Layout,
    bounds: &Bounds,
    column: Column<'_>,
    out: &mut Vec<f64>,
    finish: impl Fn(f64, f64) -> f64,
    else_of: impl Fn(&Window<'_>) -> f64,
) {
    let values = column.1;
    let changes = bounds.changes(layout, column.0);
    let windows = changes.base.iter().zip(&changes.last).zip(&changes.seconds).enumerate();
    out.extend(windows.map(|(i, ((base, last), seconds))| match *base {
        NO_SAMPLE => else_of(&window_at(layout, bounds, column, i)),
        // What did not change did so by nothing, also where it is infinite.
        base if base == *last => 0.0,
        base => finish(values[*last as usize] - values[base as usize], *seconds),
    }));
}

/// The extrapolated change of counters: windows are walked beside the list of falls, which mostly is empty.
fn counters(per_second: bool, layout: &Layout, bounds: &Bounds, column: Column<'_>, out: &mut Vec<f64>) {
    let falls = falls(column.1);
    let mut first = 0;
    for_each_window(layout, bounds, column, out, |window| {
        let (from, to) = (bounds.from[window.index] as usize, bounds.to[window.index] as usize);
        // A fall stands at the sample that fell; the one before it must lie in the window, too.
        while falls.get(first).is_some_and(|(at, _)| *at <= from) {
            first += 1;
        }
        let inside = falls[first..].iter().take_while(|(at, _)| *at < to);
        let befores = inside.map(|(_, before)| *before);
        promql::extrapolated_change(window, (to - from) as u64, befores, true, per_second)
    });
}

/// Where a value is less than the one before, and that one.
fn falls(values: &[f64]) -> Vec<(usize, f64)> {
    if super::prepare::never_falls(values) {
        return Vec::new();
    }
    let pairs = values.windows(2).enumerate();
    pairs.filter(|(_, pair)| pair[1] < pair[0]).map(|(at, pair)| (at + 1, pair[0])).collect()
}

/// In dialect `promql` a NaN is a value, which loses to all others.
fn all_numbers(values: &[f64]) -> bool {
    !values.iter().fold(false, |found, value| found | value.is_nan())
}

fn extremes(bounds: &Bounds, values: &[f64], out: &mut Vec<f64>, wins: impl Fn(f64, f64) -> bool) {
    if !sums::overlaps(bounds, values) {
        return each(bounds, out, |from, to| {
            let window = &values[from..to];
            window.iter().copied().reduce(|have, value| if wins(value, have) { value } else { have }).unwrap_or(ABSENT)
        });
    }
    // Places whose values may still become the extreme one, each winning over those behind it.
    let mut queue: std::collections::VecDeque<usize> = std::collections::VecDeque::new();
    let mut seen = 0;
    each(bounds, out, |from, to| {
        for at in seen..to {
            while queue.back().is_some_and(|last| wins(values[at], values[*last])) {
                queue.pop_back();
            }
            queue.push_back(at);
        }
        seen = seen.max(to);
        while queue.front().is_some_and(|first| *first < from) {
            queue.pop_front();
        }
        queue.front().map_or(ABSENT, |at| values[*at])
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        frame::Grid,
        rollup::{
            metricsql::Numbers,
            window::{Length, Spacing},
        },
    };

    fn same(a: f64, b: f64) -> bool {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![8 => (0..50).prop_map(|n| f64::from(n) * 0.5), 1 => Just(1e30), 1 => Just(f64::INFINITY), 1 => -5.0..5.0]
    }

    proptest! {
        #[test]
        fn loops_of_their_own_give_what_windows_one_by_one_give(
            samples in prop::collection::vec((1i64..40, value()), 1..120),
            length in 1i64..2_000,
            step in 1i64..60,
            lookback in prop_oneof![Just(0i64), 1i64..500],
        ) {
            let mut time = 0;
            let times: Vec<i64> = samples.iter().map(|(gap, _)| { time += gap; time }).collect();
            let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
            let grid = Grid { start: 50, step, points: 60 };
            let spacing = Spacing {
                said: Some(length),
                step,
                is_instant: false,
                lookback,
                staleness_min: 0,
                may_adjust: false,
                within_lookback: false,
            };
            let layout = Layout { first_end: 50, step, points: 60, grid, length: Length::Spaced(spacing) };
            let bounds = Bounds::find(&layout, &times);
            let column = (&times[..], &values[..]);
            let numbers = Numbers::default();
            for function in [
                M::Default, M::Sum, M::Avg, M::Min, M::Max, M::Count, M::Present, M::Delta, M::IncreasePure, M::DerivFast, M::Ideriv,
            ] {
                let (mut fast, mut slow) = (Vec::new(), Vec::new());
                prop_assert!(metricsql(function, &layout, &bounds, column, &mut fast));
                for_each_window(&layout, &bounds, column, &mut slow, |window| function.apply(&numbers, window));
                prop_assert!(fast.iter().zip(&slow).all(|(a, b)| same(*a, *b)), "{function:?}: {fast:?} {slow:?}");
            }
            let layout = Layout { length: Length::Fixed(length), ..layout };
            let bounds = Bounds::find(&layout, &times);
            for function in [P::Instant, P::Count, P::Present, P::Rate, P::Increase, P::Sum, P::Avg, P::Min, P::Max] {
                let (mut fast, mut slow) = (Vec::new(), Vec::new());
                if !promql(function, &layout, &bounds, column, &mut fast) {
                    continue;
                }
                for_each_window(&layout, &bounds, column, &mut slow, |window| function.apply(&numbers, window));
                prop_assert!(fast.iter().zip(&slow).all(|(a, b)| same(*a, *b)), "{function:?}: {fast:?} {slow:?}");
            }
        }
    }
}
