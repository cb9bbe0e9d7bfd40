//! `deriv`, `predict_linear` and double exponential smoothing.

use super::sums::Compensated;
use crate::{
    api::QueryError,
    frame::ABSENT,
    rollup::{
        metricsql::Numbers,
        window::{Bounds, Window},
    },
};

/// The slope by second of the line of least squares; times count from the first sample, so that they stay small.
pub fn deriv(window: &Window<'_>) -> f64 {
    match window.times {
        [first, _, ..] => line(window, *first).0,
        _ => ABSENT,
    }
}

/// The value of that line so many seconds behind the instant.
pub fn predict(window: &Window<'_>, seconds: f64) -> f64 {
    if window.times.len() < 2 {
        return ABSENT;
    }
    let (slope, value) = line(window, window.instant);
    slope * seconds + value
}

/// Slope, and value at `origin`.
fn line(window: &Window<'_>, origin: i64) -> (f64, f64) {
    let first = window.values[0];
    if window.values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let [mut sum, mut time_sum, mut product_sum, mut square_sum] = [Compensated::default(); 4];
    for (value, time) in window.values.iter().zip(window.times) {
        let since = (time - origin) as f64 / 1e3;
        time_sum.add(since);
        sum.add(*value);
        product_sum.add(since * value);
        square_sum.add(since * since);
    }
    let count = window.values.len() as f64;
    let (sum, time_sum) = (sum.value(), time_sum.value());
    let covariance = product_sum.value() - time_sum * sum / count;
    let spread = square_sum.value() - time_sum * time_sum / count;
    let slope = covariance / spread;
    (slope, sum / count - slope * time_sum / count)
}

/// Refuses factors of [`smoothing`] that it cannot do with. Where a window is empty nobody asks for them.
pub fn check_factors(numbers: &Numbers, bounds: &Bounds) -> Result<(), QueryError> {
    for (what, factors) in ["smoothing", "trend"].into_iter().zip(&numbers.0) {
        let windows = bounds.from.iter().zip(&bounds.to);
        let used = factors.iter().zip(windows).filter(|(_, (from, to))| from < to);
        if let Some((factor, _)) = used.into_iter().find(|(factor, _)| **factor <= 0.0 || **factor >= 1.0) {
            return Err(QueryError::Evaluation(format!(
                "invalid {what} factor. Expected: 0 < {}f < 1, got: {factor:.6}",
                &what[..1]
            )));
        }
    }
    Ok(())
}

/// Level of a series that is smoothed together with its trend.
pub fn smoothing(values: &[f64], smoothing: f64, trend: f64) -> f64 {
    let [first, second, ..] = values else { return ABSENT };
    let (mut before, mut level, mut slope) = (0.0, *first, second - first);
    for (at, value) in values.iter().enumerate().skip(1) {
        if at > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    level
}
