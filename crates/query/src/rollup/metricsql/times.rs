//! Functions of when samples were.

use super::super::window::Window;

const NONE: f64 = f64::NAN;

/// A time in seconds, if there is one.
pub fn seconds(time: Option<&i64>) -> f64 {
    time.map_or(NONE, |time| *time as f64 / 1e3)
}

/// The last time of the value that `wins(value, have)` over the others.
pub fn of_extreme(window: &Window<'_>, wins: impl Fn(f64, f64) -> bool) -> f64 {
    let mut found: Option<(f64, &i64)> = None;
    for (value, time) in window.values.iter().zip(window.times) {
        if found.is_none_or(|(have, _)| wins(*value, have)) {
            found = Some((*value, time));
        }
    }
    seconds(found.map(|(_, time)| time))
}

/// When the last value was reached.
pub fn last_change(window: &Window<'_>) -> f64 {
    let Some((last, before)) = window.values.split_last() else { return NONE };
    match before.iter().rposition(|value| value != last) {
        Some(at) => seconds(window.times.get(at + 1)),
        None if window.prev_value == *last => NONE,
        None => seconds(window.times.first()),
    }
}

/// How long samples followed each other at intervals of at most so many seconds.
pub fn duration(times: &[i64], interval_max: f64) -> f64 {
    if times.is_empty() {
        return NONE;
    }
    let max = (interval_max * 1e3) as i64;
    let intervals = times.windows(2).map(|pair| pair[1] - pair[0]);
    intervals.filter(|interval| *interval <= max).sum::<i64>() as f64 / 1e3
}

/// From the first sample to the last.
pub fn lifetime(window: &Window<'_>) -> f64 {
    match (window.times, window.prev_value.is_nan()) {
        ([first, .., last], true) => (last - first) as f64 / 1e3,
        ([.., last], false) => (last - window.prev_time) as f64 / 1e3,
        _ => NONE,
    }
}

/// From the last sample to now.
pub fn lag(window: &Window<'_>) -> f64 {
    match window.times.last() {
        Some(last) => (window.end - last) as f64 / 1e3,
        None if window.prev_value.is_nan() => NONE,
        None => (window.end - window.prev_time) as f64 / 1e3,
    }
}

/// The mean distance of samples.
pub fn scrape_interval(window: &Window<'_>) -> f64 {
    let intervals = if window.prev_value.is_nan() { window.times.len().saturating_sub(1) } else { window.times.len() };
    lifetime(window) / intervals as f64
}
