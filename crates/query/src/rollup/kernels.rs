//! Loops of their own for the functions that are asked most.
//!
//! 1. Functions that look at the borders of a window only (`rate`, `increase`, the last value) take constant work a window; that a counter falls nowhere in
//!    the column is found out once, for all windows.
//! 2. Sums go in lanes, so that additions need not wait for each other. The same window always adds in the same order.
//! 3. Where windows overlap much, least and greatest values are carried from window to window in a queue, and sums come from sums up to each sample, in
//!    twice the precision, as long as no value is so great that it would swallow the others.

use super::{
    metricsql::{Function as M, borders},
    promql::{self, Function as P},
    window::{Bounds, Layout, for_each_window},
};
use crate::frame::ABSENT;

const LANES: usize = 8;
/// Windows that hold each sample so many times on average are worth a structure over the whole column.
const OVERLAP_MIN: usize = 8;
/// The greatest value of a column may be so many times the least that is not zero before sums up to each sample would lose digits.
const MAGNITUDES_MAX: f64 = 1e9;

type Column<'a> = (&'a [i64], &'a [f64]);

/// Fills `out` if the function has a loop of its own.
pub fn metricsql(function: M, layout: &Layout, bounds: &Bounds, column: Column<'_>, out: &mut Vec<f64>) -> bool {
    let values = column.1;
    match function {
        M::Default => lasts(bounds, values, out),
        M::Sum => sums(bounds, values, out, |sum, _| sum),
        M::Avg => sums(bounds, values, out, |sum, count| sum / count),
        M::Min => extremes(bounds, values, out, |value, have| value < have),
        M::Max => extremes(bounds, values, out, |value, have| value > have),
        M::Count => each(bounds, out, |from, to| (to - from) as f64),
        M::Present => each(bounds, out, |_, _| 1.0),
        M::Delta => for_each_window(layout, bounds, column, out, borders::delta),
        M::IncreasePure => for_each_window(layout, bounds, column, out, borders::increase_pure),
        M::DerivFast => for_each_window(layout, bounds, column, out, borders::rate),
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
        let lost = inside.fold(0.0, |sum, (_, before)| sum + before);
        promql::extrapolated_change(window, lost, true, per_second)
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

/// How many samples all windows hold together.
fn held(bounds: &Bounds) -> usize {
    bounds.from.iter().zip(&bounds.to).map(|(from, to)| (to - from) as usize).sum()
}

fn overlaps(bounds: &Bounds, values: &[f64]) -> bool {
    held(bounds) / OVERLAP_MIN > values.len()
}

fn sums(bounds: &Bounds, values: &[f64], out: &mut Vec<f64>, finish: impl Fn(f64, f64) -> f64) {
    if overlaps(bounds, values) && is_even(values) {
        let up_to = sums_up_to(values);
        return each(bounds, out, |from, to| finish(difference(up_to[to], up_to[from]), (to - from) as f64));
    }
    each(bounds, out, |from, to| finish(sum(&values[from..to]), (to - from) as f64));
}

/// The sum in lanes.
pub fn sum(values: &[f64]) -> f64 {
    let (rows, rest) = values.as_chunks::<LANES>();
    if rows.len() < 2 {
        return values.iter().fold(0.0, |sum, value| sum + value);
    }
    let mut lanes = [0.0; LANES];
    for row in rows {
        for (lane, value) in lanes.iter_mut().zip(row) {
            *lane += value;
        }
    }
    let tail = rest.iter().fold(0.0, |sum, value| sum + value);
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (b + f)) + ((c + g) + (d + h)) + tail
}

/// Whether all values are finite and of comparable size, so that no sum of some swallows another value.
fn is_even(values: &[f64]) -> bool {
    let (mut least, mut greatest) = (f64::INFINITY, 0.0);
    for value in values {
        let size = value.abs();
        if size > greatest || !size.is_finite() {
            greatest = size;
        }
        if size < least && size != 0.0 {
            least = size;
        }
        if !greatest.is_finite() {
            return false;
        }
    }
    greatest <= least * MAGNITUDES_MAX || greatest == 0.0
}

/// The sum of all values before each place, as a rounded value and what rounding took.
fn sums_up_to(values: &[f64]) -> Vec<(f64, f64)> {
    let mut sums = Vec::with_capacity(values.len() + 1);
    let (mut high, mut low) = (0.0, 0.0);
    sums.push((high, low));
    for value in values {
        let (sum, error) = two_sum(high, *value);
        (high, low) = two_sum(sum, low + error);
        sums.push((high, low));
    }
    sums
}

fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let of_right = sum - left;
    (sum, (left - (sum - of_right)) + (right - of_right))
}

fn difference(to: (f64, f64), from: (f64, f64)) -> f64 {
    let (high, error) = two_sum(to.0, -from.0);
    high + (error + (to.1 - from.1))
}

fn extremes(bounds: &Bounds, values: &[f64], out: &mut Vec<f64>, wins: impl Fn(f64, f64) -> bool) {
    if !overlaps(bounds, values) {
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
        rollup::{metricsql::Numbers, window::Length},
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
        ) {
            let mut time = 0;
            let times: Vec<i64> = samples.iter().map(|(gap, _)| { time += gap; time }).collect();
            let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
            let grid = Grid { start: 50, step, points: 60 };
            let layout = Layout { first_end: 50, step, points: 60, grid, length: Length::Fixed(length) };
            let bounds = Bounds::find(&layout, &times);
            let column = (&times[..], &values[..]);
            let numbers = Numbers::default();
            for function in [M::Default, M::Sum, M::Avg, M::Min, M::Max, M::Count, M::Present, M::Delta, M::DerivFast, M::Ideriv] {
                let (mut fast, mut slow) = (Vec::new(), Vec::new());
                prop_assert!(metricsql(function, &layout, &bounds, column, &mut fast));
                for_each_window(&layout, &bounds, column, &mut slow, |window| function.apply(&numbers, window));
                prop_assert!(fast.iter().zip(&slow).all(|(a, b)| same(*a, *b)), "{function:?}: {fast:?} {slow:?}");
            }
            for function in [P::Instant, P::Count, P::Present, P::Rate, P::Increase] {
                let (mut fast, mut slow) = (Vec::new(), Vec::new());
                prop_assert!(promql(function, &layout, &bounds, column, &mut fast));
                for_each_window(&layout, &bounds, column, &mut slow, |window| function.apply(&numbers, window));
                prop_assert!(fast.iter().zip(&slow).all(|(a, b)| same(*a, *b)), "{function:?}: {fast:?} {slow:?}");
            }
        }
    }
}
