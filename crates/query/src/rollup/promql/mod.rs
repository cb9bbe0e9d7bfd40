//! Range functions of dialect `promql`.
//!
//! A window comes without stale markers, but for [`Function::Instant`] and [`Function::SampleTime`]; other NaN are values. What a function gives of an empty
//! window is absent.

mod extended;
mod rates;
mod sums;
mod trends;

use super::{metricsql::quantile_of_sorted, window::Window};
use crate::{frame::ABSENT, rollup::metricsql::Numbers};

pub use extended::{Extended, smoothed_instant};
pub use rates::extrapolated_change;
pub use sums::{avg, sum};
pub use trends::check_factors;

/// Functions that make one value of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// The last value, unless it is a stale marker: what an instant selector gives.
    Instant,
    /// The time of that value.
    SampleTime,
    Absent,
    Avg,
    Changes,
    Count,
    Delta,
    Deriv,
    DoubleExponentialSmoothing,
    First,
    Idelta,
    Increase,
    Irate,
    Last,
    Mad,
    Max,
    Min,
    PredictLinear,
    Present,
    Quantile,
    Rate,
    Resets,
    Stddev,
    Stdvar,
    Sum,
    TsOfFirst,
    TsOfLast,
    TsOfMax,
    TsOfMin,
}

impl Function {
    /// The value of a window.
    pub fn apply(self, numbers: &Numbers, window: &Window<'_>) -> f64 {
        let values = window.values;
        if values.is_empty() {
            return if self == Self::Absent { 1.0 } else { ABSENT };
        }
        let number = |n: usize| numbers.at(n, window);
        let seconds = |time: i64| time as f64 / 1e3;
        match self {
            // The stale marker is what stands for an absent sample.
            Self::Instant | Self::Last => values[values.len() - 1],
            Self::SampleTime if model::is_stale(values[values.len() - 1]) => ABSENT,
            Self::SampleTime | Self::TsOfLast => seconds(window.times[window.times.len() - 1]),
            Self::TsOfFirst => seconds(window.times[0]),
            Self::Absent => ABSENT,
            Self::Avg => sums::avg(values),
            Self::Changes => changes(values),
            Self::Count => values.len() as f64,
            Self::Delta => rates::extrapolated(window, false, false),
            Self::Deriv => trends::deriv(window),
            Self::DoubleExponentialSmoothing => trends::smoothing(values, number(0), number(1)),
            Self::First => values[0],
            Self::Idelta => rates::of_last_two(window, false),
            Self::Increase => rates::extrapolated(window, true, false),
            Self::Irate => rates::of_last_two(window, true),
            Self::Mad => mad(values),
            Self::Max => values[extreme(values, |value, have| value > have)],
            Self::Min => values[extreme(values, |value, have| value < have)],
            Self::PredictLinear => trends::predict(window, number(0)),
            Self::Present => 1.0,
            Self::Quantile => quantile(number(0), values),
            Self::Rate => rates::extrapolated(window, true, true),
            Self::Resets => resets(values),
            Self::Stddev => sums::variance(values).sqrt(),
            Self::Stdvar => sums::variance(values),
            Self::Sum => sums::sum(values),
            Self::TsOfMax => seconds(window.times[extreme(values, |value, have| value >= have)]),
            Self::TsOfMin => seconds(window.times[extreme(values, |value, have| value <= have)]),
        }
    }
}

/// Where the value stands that `wins(value, have)` over the others; NaN loses to all.
fn extreme(values: &[f64], wins: impl Fn(f64, f64) -> bool) -> usize {
    let mut found = 0;
    for (at, value) in values.iter().enumerate() {
        if wins(*value, values[found]) || values[found].is_nan() {
            found = at;
        }
    }
    found
}

/// The quantile of values, of which NaN are the least.
fn quantile(phi: f64, values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a, b) => b.cmp(&a),
    });
    quantile_of_sorted(phi, &sorted)
}

fn mad(values: &[f64]) -> f64 {
    let median = quantile(0.5, values);
    let distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    // A NaN among the values makes the distance of each from the median one, or is itself the least of the distances.
    if distances.iter().any(|distance| distance.is_nan()) { f64::NAN } else { quantile(0.5, &distances) }
}

/// How often a value is followed by another; NaN does not follow NaN as another.
fn changes(values: &[f64]) -> f64 {
    values.windows(2).filter(|pair| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan())).count() as f64
}

fn resets(values: &[f64]) -> f64 {
    values.windows(2).filter(|pair| pair[1] < pair[0]).count() as f64
}
