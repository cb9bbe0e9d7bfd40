//! Functions that lay a line through the samples.

use super::super::window::Window;

const NONE: f64 = f64::NAN;
/// Times that spread less than this (squared seconds) have no slope.
const SPREAD_MIN: f64 = 1e-6;

/// Value at the window's end and slope by second of the line of least squares.
pub fn slope(window: &Window<'_>) -> (f64, f64) {
    let values = window.values;
    let Some(first) = values.first().copied() else { return (NONE, NONE) };
    if values.iter().all(|value| *value == first) {
        return (first, 0.0);
    }
    let (mut sum, mut time_sum, mut product_sum, mut square_sum) = (0.0, 0.0, 0.0, 0.0);
    for (value, time) in values.iter().zip(window.times) {
        let since = (time - window.end) as f64 / 1e3;
        sum += value;
        time_sum += since;
        product_sum += since * value;
        square_sum += since * since;
    }
    let count = values.len() as f64;
    let spread = square_sum - time_sum * time_sum / count;
    let slope = if spread.abs() >= SPREAD_MIN { (product_sum - time_sum * sum / count) / spread } else { 0.0 };
    (sum / count - slope * time_sum / count, slope)
}

/// The value that the line has so many seconds behind the window's end.
pub fn predict(window: &Window<'_>, seconds: f64) -> f64 {
    let (value, slope) = slope(window);
    value + slope * seconds
}

/// Double exponential smoothing.
pub fn holt_winters(window: &Window<'_>, smoothing: f64, trend: f64) -> f64 {
    let in_range = |factor: f64| (0.0..=1.0).contains(&factor);
    if window.values.is_empty() || !in_range(smoothing) || !in_range(trend) {
        return NONE;
    }
    let (mut level, values) = match window.prev_value {
        prev if prev.is_nan() => (window.values[0], &window.values[1..]),
        prev => (prev, window.values),
    };
    let Some(first) = values.first() else { return level };
    let mut slope = first - level;
    for value in values {
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        slope = trend * (next - level) + (1.0 - trend) * slope;
        level = next;
    }
    level
}
