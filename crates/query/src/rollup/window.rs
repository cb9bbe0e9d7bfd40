//! Where the windows of a rollup lie in a column of times.
//!
//! 1. Windows end on a line of instants; each is open on the left: it holds the samples of `(end - length, end]`.
//! 2. The bounds of all windows are found in one walk over the column, and kept for the next series that shares it.
//! 3. Dialect `metricsql`: a window without a length of its own is as long as the step, or longer if it would not hold two samples. What counts as the sample
//!    before a window depends on how far samples usually lie apart ([`Spacing`]).

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

pub use storage_api::{WindowLength as Length, WindowSpacing as Spacing};

use super::local::Reach;
use crate::frame::Grid;

/// So many of the first intervals of a column tell how far its samples lie apart.
pub const INTERVALS_LOOKED_AT: usize = 20;
/// Which of these intervals, in order of length, is taken.
const INTERVAL_QUANTILE: f64 = 0.6;

/// Where windows end and how long they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout {
    /// The end of the first window.
    pub first_end: i64,
    /// The distance between ends; 0 if all windows are the same one.
    pub step: i64,
    /// How many windows.
    pub points: usize,
    /// The instants for which they stand; another line than that of the ends behind `offset` and `@`.
    pub grid: Grid,
    /// How windows get their length.
    pub length: Length,
}

impl Layout {
    /// The end of window `i`.
    pub fn end(&self, i: usize) -> i64 {
        self.first_end + self.step * i as i64
    }

    /// The end of the last window.
    pub fn last_end(&self) -> i64 {
        self.end(self.points - 1)
    }
}

/// The bounds of all windows in one column of times.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// For each window the place of its first sample.
    pub from: Vec<u32>,
    /// For each window the place behind its last sample.
    pub to: Vec<u32>,
    /// How long the windows are.
    pub length: i64,
    /// A sample counts as the one before a window if it lies less than this before the window's start.
    pub before_max: i64,
    changes: OnceLock<Changes>,
    reach: OnceLock<Option<Reach>>,
}

/// Between which samples a change over each window is measured (dialect `metricsql`): it depends on times only, so that all series of a column share it.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// For each window the place of the sample from which on; [`NO_SAMPLE`] if nothing lies near enough before the window.
    pub base: Vec<u32>,
    /// For each window the place of the sample up to which; that of the base if the window is empty.
    pub last: Vec<u32>,
    /// The seconds between the two; 1 if they are the same sample.
    pub seconds: Vec<f64>,
}

/// Stands for the place of a sample that there is not.
pub const NO_SAMPLE: u32 = u32::MAX;

impl Bounds {
    /// Finds the bounds.
    pub fn find(layout: &Layout, times: &[i64]) -> Self {
        let (length, before_max) = match layout.length {
            Length::Fixed(length) => (length, 0),
            Length::Spaced(spacing) => lengths(&spacing, times),
        };
        let (mut from, mut to) = (Vec::with_capacity(layout.points), Vec::with_capacity(layout.points));
        let (mut first, mut behind) = (0, 0);
        for i in 0..layout.points {
            let end = layout.end(i);
            first = seek(times, first, end.saturating_sub(length));
            behind = seek(times, behind.max(first), end);
            from.push(first as u32);
            to.push(behind as u32);
        }
        Self { from, to, length, before_max, changes: OnceLock::new(), reach: OnceLock::new() }
    }

    /// What `look` tells of the windows, once for all series of the column.
    pub fn reach(&self, look: impl FnOnce() -> Option<Reach>) -> Option<Reach> {
        *self.reach.get_or_init(look)
    }

    /// Between which samples changes are measured.
    pub fn changes(&self, layout: &Layout, times: &[i64]) -> &Changes {
        self.changes.get_or_init(|| {
            let mut changes = Changes::default();
            for i in 0..layout.points {
                let (from, to) = (self.from[i] as usize, self.to[i] as usize);
                let earliest = layout.end(i) - self.length - self.before_max;
                let has_prev = from > 0 && from < times.len() && times[from - 1] > earliest;
                let base = if has_prev { from - 1 } else { NO_SAMPLE as usize };
                let last = if to > from { to - 1 } else { base };
                let millis = if has_prev && to > from { times[last] - times[base] } else { 1_000 };
                changes.base.push(base as u32);
                changes.last.push(last as u32);
                changes.seconds.push(millis as f64 / 1e3);
            }
            changes
        })
    }
}

/// So many places are looked at one by one.
const SEEK_NEAR: usize = 6;

/// The first place at or behind `start` whose time is greater than `time`. Looks at the next few places, for most windows move by a sample or two; then doubles
/// its steps, so that dense samples do not cost much.
#[inline]
fn seek(times: &[i64], start: usize, time: i64) -> usize {
    let near = &times[start..times.len().min(start + SEEK_NEAR)];
    match near.iter().position(|at| *at > time) {
        Some(steps) => start + steps,
        None => seek_far(times, start + near.len(), time),
    }
}

fn seek_far(times: &[i64], start: usize, time: i64) -> usize {
    let (mut low, mut step) = (start, 1);
    while low + step <= times.len() && times[low + step - 1] <= time {
        low += step;
        step *= 2;
    }
    let high = (low + step - 1).min(times.len());
    low + times[low..high].partition_point(|at| *at <= time)
}

/// How long windows are, and how far before a window a sample may lie to count as the one before it.
fn lengths(spacing: &Spacing, times: &[i64]) -> (i64, i64) {
    let mut before_max = if spacing.is_instant { spacing.step } else { stretched(usual_interval(times, spacing.step)) };
    if spacing.lookback > 0 {
        before_max = before_max.min(spacing.lookback);
    }
    before_max = before_max.max(spacing.staleness_min);
    if let Some(length) = spacing.said.filter(|length| *length > 0) {
        return (length, before_max);
    }
    let mut length = spacing.step;
    if spacing.may_adjust {
        length = length.max(before_max);
    }
    if spacing.within_lookback && spacing.lookback > 0 {
        length = length.min(spacing.lookback);
    }
    (length, before_max)
}

/// How far the samples of a column usually lie apart.
fn usual_interval(times: &[i64], default: i64) -> i64 {
    let mut intervals: Vec<i64> = times.windows(2).take(INTERVALS_LOOKED_AT).map(|pair| pair[1] - pair[0]).collect();
    if intervals.is_empty() {
        return default;
    }
    intervals.sort_unstable();
    let rank = INTERVAL_QUANTILE * (intervals.len() - 1) as f64;
    let (below, part) = (rank as usize, rank.fract());
    let above = intervals[(below + 1).min(intervals.len() - 1)];
    let interval = (intervals[below] as f64 * (1.0 - part) + above as f64 * part) as i64;
    if interval > 0 { interval } else { default }
}

/// An interval with room for jitter, of which short ones have more.
fn stretched(interval: i64) -> i64 {
    let room = match interval {
        ..=2_000 => interval.saturating_mul(4),
        2_001..=4_000 => interval * 2,
        4_001..=8_000 => interval,
        8_001..=16_000 => interval / 2,
        16_001..=32_000 => interval / 4,
        _ => interval / 8,
    };
    interval.saturating_add(room)
}

/// The least and the greatest length that [`stretched`] makes of any interval from `least` to `most`.
pub fn stretched_within(least: i64, most: i64) -> (i64, i64) {
    // Inside of a band lengths grow with intervals.
    const BAND_ENDS: [i64; 5] = [2_000, 4_000, 8_000, 16_000, 32_000];
    let inside = |at: &i64| least <= *at && *at <= most;
    let ends = BAND_ENDS.into_iter().flat_map(|end| [end, end + 1]).filter(inside);
    let lengths = [least, most].into_iter().chain(ends).map(stretched);
    lengths.fold((i64::MAX, 0), |(low, high), length| (low.min(length), high.max(length)))
}

/// The bounds of the columns that were met, found by the pointer of the column, which is held so that no other column can come to stand there.
#[derive(Debug, Default)]
pub struct BoundsCache {
    known: HashMap<*const Vec<i64>, Known>,
    /// How many times stand in the columns that are held.
    times: usize,
}

/// A column and its bounds.
type Known = (Arc<Vec<i64>>, Arc<Bounds>);

/// The bounds of all columns that are remembered hold at most about so many windows: then all are forgotten. Neighbouring series belong to different scrape
/// targets, so that it takes as many columns as there are targets.
const WINDOWS_REMEMBERED: usize = 1 << 18;
/// The columns that are held for it have at most about so many times.
const TIMES_REMEMBERED: usize = 1 << 21;

impl BoundsCache {
    /// The bounds of the windows in a column.
    pub fn get(&mut self, layout: &Layout, times: &Arc<Vec<i64>>) -> Arc<Bounds> {
        if let Some((_, bounds)) = self.known.get(&Arc::as_ptr(times)) {
            return Arc::clone(bounds);
        }
        self.times += times.len();
        if (self.known.len() + 1) * layout.points > WINDOWS_REMEMBERED || self.times > TIMES_REMEMBERED {
            self.known.clear();
            self.times = times.len();
        }
        let bounds = Arc::new(Bounds::find(layout, times));
        self.known.insert(Arc::as_ptr(times), (Arc::clone(times), Arc::clone(&bounds)));
        bounds
    }

    /// About how many bytes it holds.
    pub fn bytes(&self, layout: &Layout) -> usize {
        let windows = self.known.len() * layout.points;
        self.times * size_of::<i64>() + windows * 2 * size_of::<u32>() + self.known.len() * size_of::<Known>()
    }
}

/// A window of a series.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// Times of its samples.
    pub times: &'a [i64],
    /// Values of its samples.
    pub values: &'a [f64],
    /// The value of the sample before the window if that lies near enough, else NaN.
    pub prev_value: f64,
    /// The time of that sample, or the earliest that it could have.
    pub prev_time: i64,
    /// The value of the sample before the window if only the lookback limits how far away it is, else NaN.
    pub real_prev: f64,
    /// The value of the sample behind the window, or NaN.
    pub next: f64,
    /// Where the window ends.
    pub end: i64,
    /// How long it is.
    pub length: i64,
    /// Which window it is.
    pub index: usize,
    /// The instant for which it stands.
    pub instant: i64,
}

impl Window<'_> {
    /// The value of the last sample, or NaN.
    pub fn last(&self) -> f64 {
        self.values.last().copied().unwrap_or(f64::NAN)
    }
}

/// Calls `function` for each window of a series, and appends what it gives to `out`.
pub fn for_each_window(
    layout: &Layout,
    bounds: &Bounds,
    column: (&[i64], &[f64]),
    out: &mut Vec<f64>,
    mut function: impl FnMut(&Window<'_>) -> f64,
) {
    out.extend((0..layout.points).map(|index| function(&window_at(layout, bounds, column, index))));
}

/// A window of a series.
pub fn window_at<'a>(
    layout: &Layout,
    bounds: &Bounds,
    (times, values): (&'a [i64], &'a [f64]),
    index: usize,
) -> Window<'a> {
    let lookback = match layout.length {
        Length::Spaced(spacing) => spacing.lookback,
        Length::Fixed(_) => 0,
    };
    let (from, to) = (bounds.from[index] as usize, bounds.to[index] as usize);
    let end = layout.end(index);
    let start = end - bounds.length;
    let mut window = Window {
        times: &times[from..to],
        values: &values[from..to],
        prev_value: f64::NAN,
        prev_time: start - bounds.before_max,
        real_prev: f64::NAN,
        next: values.get(to).copied().unwrap_or(f64::NAN),
        end,
        length: bounds.length,
        index,
        instant: layout.grid.at(index),
    };
    if from > 0 {
        let (time, value) = (times[from - 1], values[from - 1]);
        if from < times.len() && time > window.prev_time {
            window.prev_value = value;
            window.prev_time = time;
        }
        let now = window.times.first().copied().unwrap_or(start);
        if lookback == 0 || now - time < lookback {
            window.real_prev = value;
        }
    }
    window
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(points: usize, length: Length) -> Layout {
        let grid = Grid { start: 100, step: 10, points };
        Layout { first_end: 100, step: 10, points, grid, length }
    }

    proptest! {
        #[test]
        fn bounds_hold_what_lies_in_the_window(mut times in prop::collection::vec(0i64..300, 0..60), length in 1i64..120) {
            times.sort_unstable();
            let layout = layout(15, Length::Fixed(length));
            let bounds = Bounds::find(&layout, &times);
            for i in 0..layout.points {
                let (start, end) = (layout.end(i) - length, layout.end(i));
                let want: Vec<i64> = times.iter().copied().filter(|time| start < *time && *time <= end).collect();
                prop_assert_eq!(&times[bounds.from[i] as usize..bounds.to[i] as usize], &want[..]);
            }
        }
    }

    #[test]
    fn places_near_and_far_are_found() {
        let times: Vec<i64> = (0..200).map(|i| i * i / 7).collect();
        for start in (0..=times.len()).step_by(3) {
            for time in (-5..times[199] + 5).step_by(11) {
                let wanted = start + times[start..].partition_point(|at| *at <= time);
                assert_eq!(seek(&times, start, time), wanted, "from {start} to {time}");
            }
        }
    }

    #[test]
    fn columns_that_are_held_are_bounded() {
        let layout = layout(1, Length::Fixed(10));
        let mut cache = BoundsCache::default();
        for _ in 0..100 {
            cache.get(&layout, &Arc::new(vec![0; TIMES_REMEMBERED / 10]));
            assert!(cache.bytes(&layout) <= TIMES_REMEMBERED * size_of::<i64>() + (1 << 10));
        }
    }

    #[test]
    fn no_interval_is_stretched_further() {
        for (least, most) in [(1, 50_000), (15_000, 15_100), (15_000, 30_000), (1_900, 2_100), (8_000, 8_001)] {
            let all: Vec<i64> = (least..=most).map(stretched).collect();
            let want = (*all.iter().min().expect("some"), *all.iter().max().expect("some"));
            assert_eq!(stretched_within(least, most), want, "{least} {most}");
        }
    }

    #[test]
    fn a_window_without_length_holds_two_samples_where_it_may() {
        let spacing = Spacing {
            said: None,
            step: 1_000,
            is_instant: false,
            lookback: 0,
            staleness_min: 0,
            may_adjust: true,
            within_lookback: false,
        };
        let times: Vec<i64> = (0..30).map(|i| i * 15_000).collect();
        assert_eq!(lengths(&spacing, &times), (22_500, 22_500));
        assert_eq!(lengths(&Spacing { may_adjust: false, ..spacing }, &times), (1_000, 22_500));
        assert_eq!(lengths(&Spacing { said: Some(60_000), ..spacing }, &times), (60_000, 22_500));
        assert_eq!(lengths(&Spacing { lookback: 5_000, within_lookback: true, ..spacing }, &times), (5_000, 5_000));
        assert_eq!(lengths(&Spacing { is_instant: true, ..spacing }, &times), (1_000, 1_000));
        assert_eq!(lengths(&Spacing { staleness_min: 60_000, ..spacing }, &times), (60_000, 60_000));
    }
}
