//! What happens to a column before windows are cut.

use model::is_stale;

use super::recipe::{Change, Cleaning, Then};

/// Values are looked at in runs of so many, so that the look needs no branch a value.
const RUN: usize = 512;
/// A fall by less than this part of the value is a partial reset: it goes on from where it fell to, not from zero.
const PARTIAL_FALL: f64 = 8.0;

/// Leaves out samples. Gives the times of those that stay if some went.
pub fn clean(cleaning: Cleaning, times: &[i64], values: &mut Vec<f64>) -> Option<Vec<i64>> {
    let dirty = match cleaning {
        Cleaning::Nothing => false,
        Cleaning::Stale => has_nan(values) && values.iter().any(|value| is_stale(*value)),
        Cleaning::NanNotStale => has_nan(values) && values.iter().any(|value| value.is_nan() && !is_stale(*value)),
        Cleaning::Nan => has_nan(values),
    };
    if !dirty {
        return None;
    }
    let goes = |value: f64| match cleaning {
        Cleaning::Nothing => false,
        Cleaning::Stale => is_stale(value),
        Cleaning::NanNotStale => value.is_nan() && !is_stale(value),
        Cleaning::Nan => value.is_nan(),
    };
    let kept = times.iter().zip(values.iter()).filter(|(_, value)| !goes(**value)).map(|(time, _)| *time).collect();
    values.retain(|value| !goes(*value));
    Some(kept)
}

fn has_nan(values: &[f64]) -> bool {
    values.chunks(RUN).any(|run| run.iter().fold(false, |found, value| found | value.is_nan()))
}

/// Whether no value is less than the one before. False if there is a NaN and another value.
pub fn never_falls(values: &[f64]) -> bool {
    let Some(rest) = values.get(1..) else { return true };
    rest.chunks(RUN)
        .zip(values.chunks(RUN))
        .all(|(run, before)| run.iter().zip(before).fold(true, |rises, (value, before)| rises & (value >= before)))
}

/// Changes values in place.
pub fn change(change: Change, times: &[i64], values: &mut [f64]) {
    let then = match change {
        Change::None => return,
        Change::Counter { gap_max, then } => {
            if !never_falls(values) {
                take_out_falls(times, values, gap_max);
            }
            then
        }
        Change::Replace(then) => then,
    };
    match then {
        Then::Keep => {}
        Then::Steps => steps(values, |_, _, step| Some(step)),
        Then::StepsPerSecond => steps(values, |from, to, step| {
            // Of several samples at one time, only the first is stepped from.
            (times[to] != times[from]).then(|| step / ((times[to] - times[from]) as f64 / 1e3))
        }),
        Then::Intervals => intervals(times, values),
    }
}

/// Adds to each value of a counter what it has lost by falls so far.
fn take_out_falls(times: &[i64], values: &mut [f64], gap_max: i64) {
    let mut falls = Falls::from(values.first().copied().unwrap_or(0.0));
    for (at, place) in values.iter_mut().enumerate() {
        let begins_anew = at > 0 && gap_max > 0 && times[at] - times[at - 1] > gap_max;
        *place = if begins_anew { falls.begin_anew(*place) } else { falls.take(*place) };
    }
}

/// What a counter has lost by falls up to a value.
#[derive(Debug, Clone, Copy)]
pub struct Falls {
    lost: f64,
    before: f64,
    risen: f64,
}

impl Falls {
    /// At the first value.
    pub fn from(first: f64) -> Self {
        Self { lost: 0.0, before: first, risen: f64::NEG_INFINITY }
    }

    /// The next value with what was lost before it.
    pub fn take(&mut self, value: f64) -> f64 {
        let fall = self.before - value;
        if fall > 0.0 {
            self.lost += if fall * PARTIAL_FALL < self.before { fall } else { self.before };
        }
        self.before = value;
        // Rounding must not make it fall.
        let sum = value + self.lost;
        self.risen = if sum < self.risen { self.risen } else { sum };
        self.risen
    }

    /// The next value, from which on counting begins anew.
    fn begin_anew(&mut self, value: f64) -> f64 {
        *self = Self { lost: 0.0, before: value, risen: value };
        value
    }
}

/// Replaces each value by the step from it to the next, as `measure(from, to, step)` says; the last by the step before. A step that cannot be measured is as
/// the one before, and the next is measured from the same value.
fn steps(values: &mut [f64], measure: impl Fn(usize, usize, f64) -> Option<f64>) {
    let Some(last) = values.len().checked_sub(1) else { return };
    let (mut from, mut from_value, mut step) = (0, values[0], 0.0);
    for to in 1..values.len() {
        let value = values[to];
        if let Some(measured) = measure(from, to, value - from_value) {
            step = measured;
            (from, from_value) = (to, value);
        }
        values[to - 1] = step;
    }
    values[last] = step;
}

fn intervals(times: &[i64], values: &mut [f64]) {
    let seconds = |at: usize| times[at] as f64 / 1e3;
    for (at, value) in values.iter_mut().enumerate().skip(1) {
        *value = seconds(at) - seconds(at - 1);
    }
    // Nothing stands before the first sample, so that it counts as far from there as the second from it.
    let second = values.get(1).copied().unwrap_or(f64::NAN);
    if let Some(first) = values.first_mut() {
        *first = second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_are_taken_out() {
        let times: Vec<i64> = (0..6).collect();
        let counter = |gap_max| Change::Counter { gap_max, then: Then::Keep };
        let mut values = [10.0, 20.0, 5.0, 8.0, 0.0, 1.0];
        change(counter(0), &times, &mut values);
        assert_eq!(values, [10.0, 20.0, 25.0, 28.0, 28.0, 29.0]);
        let mut values = [100.0, 99.0, 101.0];
        change(counter(0), &times[..3], &mut values);
        assert_eq!(values, [100.0, 100.0, 102.0], "a partial reset");
        let mut values = [10.0, 5.0, 4.0];
        change(counter(50), &[0, 100, 110], &mut values);
        assert_eq!(values, [10.0, 5.0, 9.0], "counting begins anew behind a gap");
    }

    #[test]
    fn steps_stand_where_they_begin() {
        let mut values = [1.0, 3.0, 6.0];
        change(Change::Replace(Then::Steps), &[0, 1, 2], &mut values);
        assert_eq!(values, [2.0, 3.0, 3.0]);
        let mut values = [1.0, 3.0, 9.0, 5.0];
        change(Change::Replace(Then::StepsPerSecond), &[0, 1_000, 1_000, 2_000], &mut values);
        assert_eq!(values, [2.0, 2.0, 2.0, 2.0]);
        let mut values = [0.0; 3];
        change(Change::Replace(Then::Intervals), &[0, 1_000, 4_000], &mut values);
        assert_eq!(values, [1.0, 1.0, 3.0]);
    }

    #[test]
    fn cleaning_keeps_times_and_values_together() {
        let stale = f64::from_bits(model::STALE_NAN_BITS);
        let mut values = vec![1.0, f64::NAN, stale, 2.0];
        assert_eq!(clean(Cleaning::NanNotStale, &[1, 2, 3, 4], &mut values.clone()), Some(vec![1, 3, 4]));
        assert_eq!(clean(Cleaning::Stale, &[1, 2, 3, 4], &mut values), Some(vec![1, 2, 4]));
        assert_eq!(clean(Cleaning::Nan, &[1, 2, 4], &mut values), Some(vec![1, 4]));
        assert_eq!(clean(Cleaning::Nan, &[1, 4], &mut values), None);
        assert_eq!(values, [1.0, 2.0]);
        assert!(never_falls(&[1.0, 1.0, 2.0]) && !never_falls(&[2.0, 1.0]) && !never_falls(&[1.0, f64::NAN]));
    }
}
