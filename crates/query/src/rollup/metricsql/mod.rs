//! Rollup functions of dialect `metricsql`.
//!
//! A window comes without NaN, but for `default_rollup` and `stale_samples_over_time`, which see stale markers; other NaN are no samples of this dialect.
//! A result that is NaN is no sample.

mod candles;
mod counters;
mod statistics;
mod times;
mod trends;
mod values;

use super::window::Window;

/// Functions that make one value of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    Absent,
    Ascent,
    Avg,
    CandleClose,
    CandleHigh,
    CandleLow,
    CandleOpen,
    Changes,
    ChangesPrometheus,
    Count,
    CountEq,
    CountGt,
    CountLe,
    CountNe,
    Decreases,
    Default,
    Delta,
    DeltaPrometheus,
    Deriv,
    DerivFast,
    DerivFastPrometheus,
    Descent,
    Distinct,
    Duration,
    First,
    Geomean,
    HoeffdingLower,
    HoeffdingUpper,
    HoltWinters,
    Idelta,
    Ideriv,
    IncreasePure,
    Increases,
    Integrate,
    Lag,
    Lifetime,
    Mad,
    Max,
    Median,
    Min,
    Mode,
    OutlierIqr,
    PredictLinear,
    Present,
    Quantile,
    Range,
    RateOverSum,
    ScrapeInterval,
    ShareEq,
    ShareGt,
    ShareLe,
    StaleSamples,
    Stddev,
    Stdvar,
    Sum,
    Sum2,
    SumEq,
    SumGt,
    SumLe,
    Tfirst,
    Tlast,
    TlastChange,
    Tmax,
    Tmin,
    Zscore,
}

/// What stands beside the series among the arguments of a function: numbers, one a point of the grid.
#[derive(Debug, Clone, Default)]
pub struct Numbers(pub Vec<Vec<f64>>);

impl Numbers {
    /// Argument `n` at a window; NaN if it is not there.
    pub fn at(&self, n: usize, window: &Window<'_>) -> f64 {
        let column = self.0.get(n);
        column.and_then(|column| column.get(window.index)).copied().unwrap_or(f64::NAN)
    }
}

impl Function {
    /// The value of a window.
    pub fn apply(self, numbers: &Numbers, window: &Window<'_>) -> f64 {
        let values = window.values;
        let number = |n: usize| numbers.at(n, window);
        match self {
            Self::Absent => values::absent(values),
            Self::Ascent => counters::climb(window, |from, to| to - from),
            Self::Avg => values::avg(values),
            Self::CandleClose => candles::close(window),
            Self::CandleHigh => candles::extreme(window, |value, have| value > have),
            Self::CandleLow => candles::extreme(window, |value, have| value < have),
            Self::CandleOpen => candles::open(window),
            Self::Changes => counters::changes(window),
            Self::ChangesPrometheus => counters::changes_inside(values),
            Self::Count => values::count(values),
            Self::CountEq => values::count_where(values, |value| value == number(0)),
            Self::CountGt => values::count_where(values, |value| value > number(0)),
            Self::CountLe => values::count_where(values, |value| value <= number(0)),
            Self::CountNe => values::count_where(values, |value| value != number(0)),
            Self::Decreases => counters::moves(window, |from, to| to < from),
            Self::Default => window.last(),
            Self::Delta => counters::delta(window),
            Self::DeltaPrometheus => counters::delta_inside(values),
            Self::Deriv => trends::slope(window).1,
            Self::DerivFast => counters::rate(window),
            Self::DerivFastPrometheus => counters::delta_inside(values) / (window.length as f64 / 1e3),
            Self::Descent => counters::climb(window, |from, to| from - to),
            Self::Distinct => statistics::distinct(values),
            Self::Duration => times::duration(window.times, number(0)),
            Self::First => values.first().copied().unwrap_or(f64::NAN),
            Self::Geomean => values::geomean(values),
            Self::HoeffdingLower => statistics::hoeffding(values, number(0), -1.0),
            Self::HoeffdingUpper => statistics::hoeffding(values, number(0), 1.0),
            Self::HoltWinters => trends::holt_winters(window, number(0), number(1)),
            Self::Idelta => counters::idelta(window),
            Self::Ideriv => counters::instant_rate(window),
            Self::IncreasePure => counters::increase_pure(window),
            Self::Increases => counters::moves(window, |from, to| to > from),
            Self::Integrate => counters::integrate(window),
            Self::Lag => times::lag(window),
            Self::Lifetime => times::lifetime(window),
            Self::Mad => statistics::mad(values),
            Self::Max => values::max(values),
            Self::Median => statistics::quantile(0.5, values),
            Self::Min => values::min(values),
            Self::Mode => statistics::mode(window.prev_value, values),
            Self::OutlierIqr => statistics::outlier(values),
            Self::PredictLinear => trends::predict(window, number(0)),
            Self::Present => values::present(values),
            Self::Quantile => statistics::quantile(number(0), values),
            Self::Range => values::max(values) - values::min(values),
            Self::RateOverSum => values::sum(values) / (window.length as f64 / 1e3),
            Self::ScrapeInterval => times::scrape_interval(window),
            Self::ShareEq => values::share_where(values, |value| value == number(0)),
            Self::ShareGt => values::share_where(values, |value| value > number(0)),
            Self::ShareLe => values::share_where(values, |value| value <= number(0)),
            Self::StaleSamples => values::count_where(values, model::is_stale),
            Self::Stddev => statistics::variance(values).sqrt(),
            Self::Stdvar => statistics::variance(values),
            Self::Sum => values::sum(values),
            Self::Sum2 => values::sum_squares(values),
            Self::SumEq => values::sum_where(values, |value| value == number(0)),
            Self::SumGt => values::sum_where(values, |value| value > number(0)),
            Self::SumLe => values::sum_where(values, |value| value <= number(0)),
            Self::Tfirst => times::seconds(window.times.first()),
            Self::Tlast => times::seconds(window.times.last()),
            Self::TlastChange => times::last_change(window),
            Self::Tmax => times::of_extreme(window, |value, have| value >= have),
            Self::Tmin => times::of_extreme(window, |value, have| value <= have),
            Self::Zscore => statistics::zscore(window),
        }
    }
}

pub use statistics::quantile_of_sorted;

/// Functions that look at the borders of a window.
pub mod borders {
    pub use super::counters::{delta, increase_pure, instant_rate, rate};
}
