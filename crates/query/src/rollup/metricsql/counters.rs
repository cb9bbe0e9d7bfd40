//! Functions of how values follow each other. The sample before the window takes part if it lies near enough.

use super::super::window::Window;

const NONE: f64 = f64::NAN;
/// Two values that differ by less than this part of them are the same: what differs comes from rounding.
const SAME: f64 = 1e-12;
/// The first value of a new counter counts from zero only if it is not more than so many times its next step.
const FIRST_STEP_RATIO: f64 = 10.0;

/// The value before the first step, and the values that follow; the first sample stands in where nothing lies before the window.
fn steps<'a>(window: &Window<'a>) -> Option<(f64, &'a [f64])> {
    if window.prev_value.is_nan() {
        window.values.split_first().map(|(first, rest)| (*first, rest))
    } else {
        Some((window.prev_value, window.values))
    }
}

/// By how much the value changed, from before the window to its last sample.
pub fn delta(window: &Window<'_>) -> f64 {
    let values = window.values;
    let (mut before, mut rest) = (window.prev_value, values);
    if before.is_nan() {
        let Some(first) = values.first().copied() else { return NONE };
        if !window.real_prev.is_nan() {
            // The value did not change during the gap.
            return window.last() - window.real_prev;
        }
        let step = match values.get(1) {
            Some(second) => second - first,
            None if !window.next.is_nan() => window.next - first,
            None => 0.0,
        };
        if first.abs() < FIRST_STEP_RATIO * (step.abs() + 1.0) {
            before = 0.0;
        } else {
            before = first;
            rest = &values[1..];
        }
    }
    rest.last().map_or(0.0, |last| last - before)
}

/// As [`delta`], but a counter always begins at zero.
pub fn increase_pure(window: &Window<'_>) -> f64 {
    let mut before = window.prev_value;
    if before.is_nan() {
        if window.values.is_empty() {
            return NONE;
        }
        before = if window.real_prev.is_nan() { 0.0 } else { window.real_prev };
    }
    window.values.last().map_or(0.0, |last| last - before)
}

/// From the first sample to the last.
pub fn delta_inside(values: &[f64]) -> f64 {
    match values {
        [first, .., last] => last - first,
        _ => NONE,
    }
}

/// From the last sample but one to the last.
pub fn idelta(window: &Window<'_>) -> f64 {
    match window.values {
        [] if window.prev_value.is_nan() => NONE,
        [] => 0.0,
        [only] if window.prev_value.is_nan() => *only,
        [only] => only - window.prev_value,
        [.., before, last] => last - before,
    }
}

/// The change by second, from before the window to its last sample.
pub fn rate(window: &Window<'_>) -> f64 {
    let (mut before, mut time) = (window.prev_value, window.prev_time);
    if before.is_nan() {
        // One sample alone does not tell in which time it came about.
        if window.values.len() < 2 {
            return NONE;
        }
        (before, time) = (window.values[0], window.times[0]);
    }
    match (window.values.last(), window.times.last()) {
        (Some(value), Some(last)) => (value - before) / ((last - time) as f64 / 1e3),
        _ => 0.0,
    }
}

/// The change by second between the last two samples of different times.
pub fn instant_rate(window: &Window<'_>) -> f64 {
    let per_second = |change: f64, millis: i64| change / (millis as f64 / 1e3);
    match (window.values, window.times) {
        ([], _) | (_, []) => NONE,
        ([value], [time]) if !window.prev_value.is_nan() => {
            per_second(value - window.prev_value, time - window.prev_time)
        }
        ([_], _) => NONE,
        ([.., value], [.., time]) => {
            let earlier = window.times.partition_point(|at| at < time);
            match earlier.checked_sub(1) {
                Some(at) => per_second(value - window.values[at], time - window.times[at]),
                None if window.prev_value.is_nan() => 0.0,
                None => per_second(value - window.prev_value, time - window.prev_time),
            }
        }
    }
}

fn is_other(value: f64, have: f64) -> bool {
    value != have && (value - have).abs() >= SAME * value.abs()
}

/// How often the value became another. That a series begins is a change.
pub fn changes(window: &Window<'_>) -> f64 {
    let Some((first, rest)) = steps(window) else { return NONE };
    count_changes(first, rest) + if window.prev_value.is_nan() { 1.0 } else { 0.0 }
}

/// How often the value became another inside the window.
pub fn changes_inside(values: &[f64]) -> f64 {
    values.split_first().map_or(NONE, |(first, rest)| count_changes(*first, rest))
}

fn count_changes(mut have: f64, values: &[f64]) -> f64 {
    let mut changes = 0;
    for value in values.iter().copied() {
        if is_other(value, have) {
            changes += 1;
            have = value;
        }
    }
    f64::from(changes)
}

/// How often the value moved as `moved(from, to)` says.
pub fn moves(window: &Window<'_>, moved: impl Fn(f64, f64) -> bool) -> f64 {
    let Some((mut have, rest)) = steps(window) else { return NONE };
    let mut moves = 0;
    for value in rest.iter().copied() {
        let is_move = moved(have, value);
        if is_move && !is_other(value, have) {
            continue;
        }
        moves += i32::from(is_move);
        have = value;
    }
    f64::from(moves)
}

/// The sum of all steps in one direction, which `step(from, to)` gives as positive.
pub fn climb(window: &Window<'_>, step: impl Fn(f64, f64) -> f64) -> f64 {
    let Some((mut have, rest)) = steps(window) else { return NONE };
    let mut sum = 0.0;
    for value in rest.iter().copied() {
        let by = step(have, value);
        if by > 0.0 {
            sum += by;
        }
        have = value;
    }
    sum
}

/// The value times how long it stood, in seconds.
pub fn integrate(window: &Window<'_>) -> f64 {
    let Some((mut have, values)) = steps(window) else { return NONE };
    let skipped = window.values.len() - values.len();
    let mut since = if skipped == 0 { window.end - window.length } else { window.times[0] };
    let mut sum = 0.0;
    for (time, value) in window.times[skipped..].iter().zip(values) {
        sum += have * ((time - since) as f64 / 1e3);
        (have, since) = (*value, *time);
    }
    sum + have * ((window.end - since) as f64 / 1e3)
}
