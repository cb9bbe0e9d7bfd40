//! Open, close, low and high of `rollup_candlestick`.
//!
//! A candle is what lies before the instant, the sample before the window included if it is not older than the window; a sample right at the instant
//! belongs to the next candle.

use super::super::window::Window;

const NONE: f64 = f64::NAN;

fn inside<'a>(window: &Window<'a>) -> &'a [f64] {
    let behind = window.times.partition_point(|time| *time < window.end);
    &window.values[..behind]
}

fn before(window: &Window<'_>) -> f64 {
    if window.prev_time + window.length >= window.end { window.prev_value } else { NONE }
}

/// The first value.
pub fn open(window: &Window<'_>) -> f64 {
    let before = before(window);
    if before.is_nan() { inside(window).first().copied().unwrap_or(NONE) } else { before }
}

/// The last value.
pub fn close(window: &Window<'_>) -> f64 {
    inside(window).last().copied().unwrap_or_else(|| before(window))
}

/// The value that `wins(value, have)` over the others.
pub fn extreme(window: &Window<'_>, wins: impl Fn(f64, f64) -> bool) -> f64 {
    let start = before(window);
    inside(window).iter().fold(start, |have, value| if have.is_nan() || wins(*value, have) { *value } else { have })
}
