//! `rate`, `increase`, `delta`: the change between first and last sample, carried on to the borders of the window.
//!
//! 1. Samples that lie near a border are taken to go on to it; else the series is taken to begin or end half an interval away.
//! 2. A counter is not carried back to where it would be negative.

use crate::{frame::ABSENT, rollup::window::Window};

/// A sample is near a border if it is not further away than so many mean intervals.
const NEAR: f64 = 1.1;

/// The change over the window, by second if `per_second`.
pub fn extrapolated(window: &Window<'_>, is_counter: bool, per_second: bool) -> f64 {
    let lost = if is_counter { fallen(window.values) } else { 0.0 };
    extrapolated_change(window, Passed { count: window.values.len() as u64, lost }, is_counter, per_second)
}

/// What lies between the first and the last sample of a window.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    /// How many samples there are, with the two.
    pub count: u64,
    /// The sum of what resets took.
    pub lost: f64,
}

/// The sum of the values from which the next one fell.
pub fn fallen(values: &[f64]) -> f64 {
    values.windows(2).filter(|pair| pair[1] < pair[0]).fold(0.0, |sum, pair| sum + pair[0])
}

/// As [`extrapolated`], where it is known what lies between the borders.
pub fn extrapolated_change(window: &Window<'_>, passed: Passed, is_counter: bool, per_second: bool) -> f64 {
    let ([first, .., last], [first_time, .., last_time]) = (window.values, window.times) else { return ABSENT };
    let mut change = last - first + passed.lost;
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1e3;
    let sampled = seconds(*first_time, *last_time);
    let interval = sampled / (passed.count - 1) as f64;
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
