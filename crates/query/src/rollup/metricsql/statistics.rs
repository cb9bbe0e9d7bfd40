//! Functions of how values are spread.

use super::{super::window::Window, times, values};

const NONE: f64 = f64::NAN;
/// An outlier lies this many times the distance of the quartiles outside of them.
const OUTLIER_DISTANCE: f64 = 1.5;

/// The quantile of sorted values: between two values in proportion.
pub fn quantile_of_sorted(phi: f64, sorted: &[f64]) -> f64 {
    if sorted.is_empty() || phi.is_nan() {
        return NONE;
    }
    if !(0.0..=1.0).contains(&phi) {
        return if phi < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let rank = phi * (sorted.len() - 1) as f64;
    let (below, part) = (rank as usize, rank.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] * (1.0 - part) + sorted[above] * part
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// The quantile of values.
pub fn quantile(phi: f64, values: &[f64]) -> f64 {
    quantile_of_sorted(phi, &sorted(values))
}

/// The median of the distances from the median.
pub fn mad(values: &[f64]) -> f64 {
    let median = quantile(0.5, values);
    let distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    quantile(0.5, &distances)
}

/// The last value if it lies outside of the others.
pub fn outlier(values: &[f64]) -> f64 {
    let Some(last) = values.last().copied().filter(|_| values.len() >= 2) else { return NONE };
    let sorted = sorted(values);
    let (low, high) = (quantile_of_sorted(0.25, &sorted), quantile_of_sorted(0.75, &sorted));
    let distance = OUTLIER_DISTANCE * (high - low);
    if last > high + distance || last < low - distance { last } else { NONE }
}

/// The most frequent value; the least of several. The value before the window counts once.
pub fn mode(prev: f64, values: &[f64]) -> f64 {
    let (mut have, mut mode) = (prev, prev);
    let (mut since, mut most) = (-1, 0);
    let sorted = sorted(values);
    let mut ends = |at: i64, have: f64| {
        let count = at - since;
        if count > most || mode.is_nan() {
            (most, mode) = (count, have);
        }
        since = at;
    };
    for (at, value) in sorted.iter().enumerate().filter(|_| !values.is_empty()) {
        if *value != have {
            ends(at as i64, have);
            have = *value;
        }
    }
    if !values.is_empty() {
        ends(values.len() as i64, have);
    }
    mode
}

/// How many different values.
pub fn distinct(values: &[f64]) -> f64 {
    if values.is_empty() {
        return NONE;
    }
    // Zeros are equal whatever their sign.
    let mut bits: Vec<u64> = values.iter().map(|value| if *value == 0.0 { 0 } else { value.to_bits() }).collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len() as f64
}

/// The mean squared distance from the mean, after Welford.
pub fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return if values.is_empty() { NONE } else { 0.0 };
    }
    let (mut mean, mut count, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let next = mean + (value - mean) / count;
        squares += (value - mean) * (value - next);
        mean = next;
    }
    squares / count
}

/// The mean and, in the direction of `sign`, how far the true mean can lie from it with probability `phi`, after Hoeffding.
pub fn hoeffding(values: &[f64], phi: f64, sign: f64) -> f64 {
    let mean = values::avg(values);
    let range = values::max(values) - values::min(values);
    if values.len() < 2 || range <= 0.0 || phi <= 0.0 {
        return mean;
    }
    if phi >= 1.0 {
        return mean + sign * f64::INFINITY;
    }
    mean + sign * range * ((1.0 / (1.0 - phi)).ln() / (2.0 * values.len() as f64)).sqrt()
}

/// How many standard deviations the last value lies from the mean; nothing if the series seems to have ended.
pub fn zscore(window: &Window<'_>) -> f64 {
    let (interval, lag) = (times::scrape_interval(window), times::lag(window));
    if interval.is_nan() || lag.is_nan() || lag > interval {
        return NONE;
    }
    let distance = window.last() - values::avg(window.values);
    if distance == 0.0 { 0.0 } else { distance / variance(window.values).sqrt() }
}
