//! `rate`, `increase`, `delta`: the change between first and last sample, carried on to the borders of the window.
//!
//! 1. Samples that lie near a border are taken to go on to it; else the series is taken to begin or end half an interval away.
//! 2. A counter is not carried back to where it would be negative.

use crate::{frame::ABSENT, rollup::window::Window};

/// A sample is near a border if it is not further away than so many mean intervals.
const NEAR: f64 = 1.1;

/// The change over the window, by second if `per_second`.
pub fn extrapolated(window: &Window<'_>, is_counter: bool, per_second: bool) -> f64 {
    let count = window.values.len() as u64;
    let pairs = if is_counter { window.values.windows(2) } else { [].windows(2) };
    let falls = pairs.filter(|pair| pair[1] < pair[0]).map(|pair| pair[0]);
    extrapolated_change(window, count, falls, is_counter, per_second)
}

/// As [`extrapolated`], where only the samples at the borders need to be there. The window stands for so many samples; `falls` are the values from which
/// the next one fell, in the order of time: each is added to the change so far, since a sum of them first may be so great that it swallows the change.
pub fn extrapolated_change(
    window: &Window<'_>,
    count: u64,
    falls: impl Iterator<Item = f64>,
    is_counter: bool,
    per_second: bool,
) -> f64 {
    let ([first, .., last], [first_time, .., last_time]) = (window.values, window.times) else { return ABSENT };
    let mut change = falls.fold(last - first, |change, before| change + before);
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1e3;
    let sampled = seconds(*first_time, *last_time);
    let interval = sampled / (count - 1) as f64;
    let carried = |to_border: f64| if to_border >= interval * NEAR { interval / 2.0 } else { to_border };
    let mut to_start = carried(seconds(window.end - window.length, *first_time));
    if is_counter && change > 0.0 && *first >= 0.0 {
        let to_zero = sampled * (first / change);
        to_start = if to_zero < to_start { to_zero } else { to_start };
    }
    let to_end = carried(seconds(*last_time, window.end));
    let mut factor = (sampled + to_start + to_end) / sampled;
    if per_second {
        factor /= window.length as f64 / 1e3;
    }
    change *= factor;
    change
}

/// `irate` and `idelta`: from the last sample but one to the last.
pub fn of_last_two(window: &Window<'_>, is_rate: bool) -> f64 {
    let ([.., before, last], [.., before_time, last_time]) = (window.values, window.times) else { return ABSENT };
    if last_time == before_time {
        return ABSENT;
    }
    if !is_rate {
        return last - before;
    }
    // After a reset the counter came up from zero.
    let change = if last < before { *last } else { last - before };
    change / ((last_time - before_time) as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(values: &[f64], is_counter: bool) -> f64 {
        let times: Vec<i64> = (0..values.len() as i64).map(|at| at * 15_000).collect();
        let length = times[times.len() - 1];
        let window = Window {
            times: &times,
            values,
            prev_value: f64::NAN,
            prev_time: 0,
            real_prev: f64::NAN,
            next: f64::NAN,
            end: length,
            length,
            index: 0,
            instant: length,
        };
        extrapolated(&window, is_counter, false)
    }

    #[test]
    fn falls_do_not_swallow_the_change() {
        assert_eq!(change(&[1e17, 0.3, 1e-6, 9.99e-7], true), 0.3 + 1e-6);
        assert!(change(&[0.0, -0.0], false).is_sign_negative());
    }
}
