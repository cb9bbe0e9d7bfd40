//! `anchored` and `smoothed`: windows that look beyond their borders.
//!
//! 1. An anchored window begins with the value that held at its start: the last sample at or before it, as far as the lookback reaches.
//! 2. A smoothed window has at both borders the value on the line between the samples around them.
//! 3. Where all samples lie before the window, or all behind it, there is nothing.
//! 4. A smoothed instant selector gives the value on the line between the samples around the instant.

use metricsql::Smoothing;

use super::Function;
use crate::{frame::ABSENT, rollup::window::Layout};

/// A function over windows that look beyond their borders.
#[derive(Debug, Clone, Copy)]
pub struct Extended {
    /// Which one.
    pub function: Function,
    /// How.
    pub smoothing: Smoothing,
    /// The length of the windows.
    pub length: i64,
    /// How far they look beyond.
    pub lookback: i64,
}

/// A run of samples.
#[derive(Clone, Copy)]
struct Samples<'a> {
    times: &'a [i64],
    values: &'a [f64],
}

impl<'a> Samples<'a> {
    /// Those in `(after, to]`.
    fn between(self, after: i64, to: i64) -> Self {
        let from = self.times.partition_point(|time| *time <= after);
        let to = self.times.partition_point(|time| *time <= to).max(from);
        Self { times: &self.times[from..to], values: &self.values[from..to] }
    }

    /// Value at `time` on the line between the samples at `left` and `left + 1`.
    fn on_line(self, left: usize, time: i64, is_counter: bool) -> f64 {
        let (mut from, to) = (self.values[left], self.values[left + 1]);
        if is_counter && to < from {
            from = 0.0;
        }
        let (start, end) = (self.times[left], self.times[left + 1]);
        from + (to - from) * (time - start) as f64 / (end - start) as f64
    }

    fn slice(self, from: usize, to: usize) -> &'a [f64] {
        if from < to { &self.values[from..to] } else { &[] }
    }
}

impl Extended {
    /// Appends the value of each window.
    pub fn apply(&self, layout: &Layout, times: &[i64], values: &[f64], out: &mut Vec<f64>) {
        let all = Samples { times, values };
        for i in 0..layout.points {
            let end = layout.end(i);
            let start = end - self.length;
            let ahead = if self.smoothing == Smoothing::Smoothed { self.lookback } else { 0 };
            let seen = all.between(start - self.lookback, end + ahead);
            out.push(self.value(seen, start, end));
        }
    }

    fn value(&self, seen: Samples<'_>, start: i64, end: i64) -> f64 {
        let (Some(oldest), Some(newest)) = (seen.times.first(), seen.times.last()) else { return ABSENT };
        if *newest <= start || *oldest > end {
            return ABSENT;
        }
        let first = seen.times[..seen.times.len() - 1].partition_point(|time| *time <= start).saturating_sub(1);
        let counted = match self.function {
            Function::Changes => super::changes,
            Function::Resets => super::resets,
            Function::Increase | Function::Rate => return self.change(seen, first, (start, end), true),
            _ => return self.change(seen, first, (start, end), false),
        };
        counted(&seen.values[first..])
    }

    /// The change between the borders.
    fn change(&self, seen: Samples<'_>, mut first: usize, (start, end): (i64, i64), is_counter: bool) -> f64 {
        let smoothed = self.smoothing == Smoothing::Smoothed;
        let mut last = seen.times.len() - 1;
        if smoothed {
            last = seen.times[..last].partition_point(|time| *time < end);
        }
        let left = if smoothed && seen.times[first] < start {
            seen.on_line(first, start, is_counter)
        } else {
            seen.values[first]
        };
        let right = if smoothed && last > 0 && seen.times[last] > end {
            seen.on_line(last - 1, end, is_counter)
        } else {
            seen.values[last]
        };
        let mut change = right - left;
        if is_counter {
            first += usize::from(seen.times[first] <= start);
            let behind = if seen.times[last] >= end { last } else { last + 1 };
            change += fallen(left, seen.slice(first, behind), right);
        }
        if self.function == Function::Rate { change / (self.length as f64 / 1e3) } else { change }
    }
}

/// The sum of the values from which the next one fell.
fn fallen(left: f64, inside: &[f64], right: f64) -> f64 {
    let (mut before, mut sum) = (left, 0.0);
    for value in inside.iter().chain([&right]) {
        if *value < before {
            sum += before;
        }
        before = *value;
    }
    sum
}

/// Appends, for each instant, the value on the line between the samples around it.
pub fn smoothed_instant(layout: &Layout, lookback: i64, times: &[i64], values: &[f64], out: &mut Vec<f64>) {
    let all = Samples { times, values };
    for i in 0..layout.points {
        let now = layout.end(i);
        let seen = all.between(now - lookback, now + lookback);
        let at = seen.times.partition_point(|time| *time < now);
        out.push(match (at.checked_sub(1), seen.times.get(at)) {
            (_, Some(time)) if *time == now => seen.values[at],
            (Some(left), Some(_)) => seen.on_line(left, now, false),
            (Some(left), None) => seen.values[left],
            (None, _) => ABSENT,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frame::Grid, rollup::window::Length};

    fn at(end: i64) -> Layout {
        let grid = Grid { start: end, step: 1, points: 1 };
        Layout { first_end: end, step: 1, points: 1, grid, length: Length::Fixed(20_000) }
    }

    fn increase(smoothing: Smoothing, end: i64) -> f64 {
        let times: Vec<i64> = (0..7).map(|i| i * 10_000).collect();
        let values = [0.0, 10.0, 20.0, 5.0, 15.0, 25.0, 35.0];
        let extended = Extended { function: Function::Increase, smoothing, length: 20_000, lookback: 300_000 };
        let mut out = Vec::new();
        extended.apply(&at(end), &times, &values, &mut out);
        out[0]
    }

    #[test]
    fn windows_that_no_sample_reaches_are_empty() {
        for function in [Function::Changes, Function::Resets, Function::Increase] {
            let extended = Extended { function, smoothing: Smoothing::Anchored, length: 20_000, lookback: 300_000 };
            let mut out = Vec::new();
            extended.apply(&at(40_000), &[10_000, 20_000], &[2.0, 1.0], &mut out);
            assert!(crate::frame::is_absent(out[0]), "{function:?}: {out:?}");
        }
        let extended =
            Extended { function: Function::Rate, smoothing: Smoothing::Smoothed, length: 20_000, lookback: 300_000 };
        let mut out = Vec::new();
        extended.apply(&at(40_000), &[40_001, 50_000], &[2.0, 1.0], &mut out);
        extended.apply(&at(40_000), &[40_000, 50_000], &[2.0, 1.0], &mut out);
        assert!(crate::frame::is_absent(out[0]) && out[1] == 0.0, "{out:?}");
    }

    #[test]
    fn borders_hold_what_was_or_lies_on_the_line() {
        // (5 s, 25 s]: at 0 s the value is 0, the last one is 20.
        assert_eq!(increase(Smoothing::Anchored, 25_000), 20.0);
        // From 5 on the line to 2.5 on the line after the reset: 15 up to 20, and 2.5 from zero.
        assert_eq!(increase(Smoothing::Smoothed, 25_000), 17.5);
        assert_eq!(increase(Smoothing::Anchored, 40_000), 15.0);
        let mut out = Vec::new();
        smoothed_instant(&at(5_000), 300_000, &[0, 10_000], &[1.0, 3.0], &mut out);
        assert_eq!(out, [2.0]);
    }
}
