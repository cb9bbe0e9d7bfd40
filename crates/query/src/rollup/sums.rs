//! Sums over windows.
//!
//! 1. If all values of a column are whole numbers so small that no sum of them is rounded, sums up to each sample are exact, and that of a window is the
//!    difference of two of them: constant work a window, however long it is.
//! 2. Else the values of a window are added in lanes, so that additions need not wait for each other. The same window always adds in the same order.
//! 3. Where windows overlap much, sums come from sums up to each sample in twice the precision, as long as no value is so great that it would swallow others.
//! 4. Dialect `promql` adds with compensation: each lane keeps what rounding took, after Neumaier.

use super::{promql, window::Bounds};
use crate::frame::ABSENT;

const LANES: usize = 8;
/// Whole numbers of at most this size are exact.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// Windows that hold each sample so many times on average are worth a structure over the whole column.
pub const OVERLAP_MIN: usize = 8;
/// The greatest value of a column may be so many times the least that is not zero before sums up to each sample would lose digits.
const MAGNITUDES_MAX: f64 = 1e9;

/// Appends `finish(sum, count)` of each window that holds samples.
pub fn fill(bounds: &Bounds, values: &[f64], compensated: bool, out: &mut Vec<f64>, finish: impl Fn(f64, f64) -> f64) {
    let windows = bounds.from.iter().zip(&bounds.to).map(|(from, to)| (*from as usize, *to as usize));
    let mut each = |sum: &dyn Fn(usize, usize) -> f64| {
        let value = |(from, to)| if from < to { finish(sum(from, to), (to - from) as f64) } else { ABSENT };
        out.extend(windows.clone().map(value));
    };
    let held = held(bounds);
    if held > values.len() && is_whole(values) {
        let up_to = whole_sums_up_to(values);
        return each(&|from, to| up_to[to] - up_to[from]);
    }
    if held / OVERLAP_MIN > values.len() && is_even(values) {
        let up_to = sums_up_to(values);
        return each(&|from, to| difference(up_to[to], up_to[from]));
    }
    match compensated {
        true => each(&|from, to| compensated_sum(&values[from..to])),
        false => each(&|from, to| sum(&values[from..to])),
    }
}

/// How many samples all windows hold together.
pub fn held(bounds: &Bounds) -> usize {
    bounds.from.iter().zip(&bounds.to).map(|(from, to)| (to - from) as usize).sum()
}

/// Whether windows hold each sample many times.
pub fn overlaps(bounds: &Bounds, values: &[f64]) -> bool {
    held(bounds) / OVERLAP_MIN > values.len()
}

/// Whether all values are whole, and no sum of them is rounded.
pub fn is_whole(values: &[f64]) -> bool {
    let max = WHOLE_MAX / values.len() as f64;
    values
        .chunks(512)
        .all(|run| run.iter().fold(true, |whole, value| whole & (value.trunc() == *value) & (value.abs() < max)))
}

fn whole_sums_up_to(values: &[f64]) -> Vec<f64> {
    let mut sums = Vec::with_capacity(values.len() + 1);
    let mut sum = 0.0;
    sums.push(sum);
    sums.extend(values.iter().map(|value| {
        sum += value;
        sum
    }));
    sums
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

/// The sum in lanes, each with what rounding took.
fn compensated_sum(values: &[f64]) -> f64 {
    let (rows, rest) = values.as_chunks::<LANES>();
    if rows.len() < 2 {
        return promql::sum(values);
    }
    let (mut sums, mut lost) = ([0.0; LANES], [0.0; LANES]);
    for row in rows {
        for lane in 0..LANES {
            let (sum, error) = two_sum(sums[lane], row[lane]);
            sums[lane] = sum;
            lost[lane] += error;
        }
    }
    let mut parts = [0.0; 3 * LANES];
    parts[..LANES].copy_from_slice(&sums);
    parts[LANES..2 * LANES].copy_from_slice(&lost);
    parts[2 * LANES..2 * LANES + rest.len()].copy_from_slice(rest);
    let total = promql::sum(&parts);
    // An infinite value, or a sum that overflowed in a lane, has no rounding error that could be kept.
    if total.is_finite() { total } else { promql::sum(values) }
}

/// Whether all values are finite and of comparable size, so that no sum of some swallows another value.
fn is_even(values: &[f64]) -> bool {
    let (mut least, mut greatest) = (f64::INFINITY, 0.0);
    for value in values {
        let size = value.abs();
        if !size.is_finite() {
            return false;
        }
        greatest = if size > greatest { size } else { greatest };
        least = if size < least && size != 0.0 { size } else { least };
    }
    greatest <= least * MAGNITUDES_MAX
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

#[inline(always)]
fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let of_right = sum - left;
    (sum, (left - (sum - of_right)) + (right - of_right))
}

fn difference(to: (f64, f64), from: (f64, f64)) -> f64 {
    let (high, error) = two_sum(to.0, -from.0);
    high + (error + (to.1 - from.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_in_lanes_lose_nothing() {
        let mut values = vec![0.0; 40];
        (values[0], values[9], values[20], values[39]) = (1.0, 1e100, 1.0, -1e100);
        assert_eq!(compensated_sum(&values), 2.0);
        values[5] = f64::INFINITY;
        assert_eq!(compensated_sum(&values), f64::INFINITY);
        values[6] = f64::NEG_INFINITY;
        assert!(compensated_sum(&values).is_nan());
        assert!(is_whole(&[1.0, -3.0, 0.0]) && !is_whole(&[0.5]) && !is_whole(&[f64::NAN]) && !is_whole(&[1e15; 100]));
        assert!(is_even(&[0.0, 1.0, 1e8]) && !is_even(&[1e-3, 1e8]) && !is_even(&[f64::NAN]));
    }
}
