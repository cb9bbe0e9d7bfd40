//! Which names are rollup functions, and what each does.

use super::{
    metricsql::{Function as M, Numbers},
    outputs::{aggregates, candles, spread, three},
    promql::Function as P,
    recipe::{Change, Cleaning, Output, Recipe, Then, What},
    spread::Spread,
};
use crate::api::{Dialect, QueryError};

/// What stands beside the series among the arguments of a call, in order.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// Numbers, one a point of the grid.
    pub numbers: Vec<Vec<f64>>,
    /// Texts.
    pub texts: Vec<String>,
}

/// Whether a name in lower case is a rollup function.
pub fn is_rollup(dialect: Dialect, name: &str) -> bool {
    match dialect {
        Dialect::MetricsQl => of_metricsql(name).is_some() || is_special(name),
        Dialect::PromQl => of_promql(name).is_some(),
    }
}

/// Whether the function takes numbers beside the series, so that a text there is one that is no number (dialect `metricsql`).
pub fn takes_numbers(name: &str) -> bool {
    of_metricsql(name).is_some_and(|(_, numbers)| numbers > 0)
}

/// The place of the series among `count` arguments.
pub fn series_argument(dialect: Dialect, name: &str, count: usize) -> usize {
    match (dialect, name) {
        (_, "quantile_over_time") => 1,
        (
            Dialect::MetricsQl,
            "aggr_over_time" | "hoeffding_bound_lower" | "hoeffding_bound_upper" | "count_values_over_time",
        ) => 1,
        (Dialect::MetricsQl, "quantiles_over_time") => count.saturating_sub(1),
        _ => 0,
    }
}

/// Whether samples before the window take part (dialect `metricsql`).
pub fn needs_samples_before(name: &str) -> bool {
    matches!(
        name,
        "ascent_over_time"
            | "changes"
            | "decreases_over_time"
            | "default_rollup"
            | "delta"
            | "deriv_fast"
            | "descent_over_time"
            | "idelta"
            | "ideriv"
            | "increase"
            | "increase_pure"
            | "increases_over_time"
            | "integrate"
            | "irate"
            | "lag"
            | "lifetime"
            | "rate"
            | "resets"
            | "rollup"
            | "rollup_candlestick"
            | "rollup_delta"
            | "rollup_deriv"
            | "rollup_increase"
            | "rollup_rate"
            | "rollup_scrape_interval"
            | "scrape_interval"
            | "tlast_change_over_time"
            | "zscore_over_time"
    )
}

/// Functions of dialect `metricsql` that are not one function of a window.
fn is_special(name: &str) -> bool {
    matches!(
        name,
        "aggr_over_time"
            | "count_values_over_time"
            | "histogram_over_time"
            | "quantiles_over_time"
            | "rollup"
            | "rollup_candlestick"
            | "rollup_delta"
            | "rollup_deriv"
            | "rollup_increase"
            | "rollup_rate"
            | "rollup_scrape_interval"
    )
}

/// Functions that take the falls of a counter out first.
pub fn is_of_counters(name: &str) -> bool {
    matches!(
        name,
        "increase"
            | "increase_prometheus"
            | "increase_pure"
            | "irate"
            | "rate"
            | "rate_prometheus"
            | "rollup_increase"
            | "rollup_rate"
    )
}

fn may_adjust(name: &str) -> bool {
    matches!(
        name,
        "default_rollup"
            | "deriv"
            | "deriv_fast"
            | "ideriv"
            | "irate"
            | "rate"
            | "rate_over_sum"
            | "rollup"
            | "rollup_candlestick"
            | "rollup_deriv"
            | "rollup_rate"
            | "rollup_scrape_interval"
            | "scrape_interval"
            | "timestamp"
    )
}

fn keeps_name(name: &str) -> bool {
    matches!(
        name,
        "avg_over_time"
            | "default_rollup"
            | "first_over_time"
            | "geomean_over_time"
            | "hoeffding_bound_lower"
            | "hoeffding_bound_upper"
            | "holt_winters"
            | "double_exponential_smoothing"
            | "iqr_over_time"
            | "last_over_time"
            | "max_over_time"
            | "median_over_time"
            | "min_over_time"
            | "mode_over_time"
            | "predict_linear"
            | "quantile_over_time"
            | "quantiles_over_time"
            | "rollup"
            | "rollup_candlestick"
            | "timestamp_with_name"
    )
}

/// Functions of dialect `metricsql`, with how many numbers they take.
pub fn of_metricsql(name: &str) -> Option<(M, usize)> {
    Some(match name {
        "absent_over_time" => (M::Absent, 0),
        "ascent_over_time" => (M::Ascent, 0),
        "avg_over_time" => (M::Avg, 0),
        "changes" => (M::Changes, 0),
        "changes_prometheus" => (M::ChangesPrometheus, 0),
        "count_eq_over_time" => (M::CountEq, 1),
        "count_gt_over_time" => (M::CountGt, 1),
        "count_le_over_time" => (M::CountLe, 1),
        "count_ne_over_time" => (M::CountNe, 1),
        "count_over_time" => (M::Count, 0),
        "decreases_over_time" | "resets" => (M::Decreases, 0),
        "default_rollup" | "last_over_time" => (M::Default, 0),
        "delta" | "increase" => (M::Delta, 0),
        "delta_prometheus" | "increase_prometheus" => (M::DeltaPrometheus, 0),
        "deriv" => (M::Deriv, 0),
        "deriv_fast" | "rate" => (M::DerivFast, 0),
        "rate_prometheus" => (M::DerivFastPrometheus, 0),
        "descent_over_time" => (M::Descent, 0),
        "distinct_over_time" => (M::Distinct, 0),
        "duration_over_time" => (M::Duration, 1),
        "first_over_time" => (M::First, 0),
        "geomean_over_time" => (M::Geomean, 0),
        "hoeffding_bound_lower" => (M::HoeffdingLower, 1),
        "hoeffding_bound_upper" => (M::HoeffdingUpper, 1),
        "holt_winters" | "double_exponential_smoothing" => (M::HoltWinters, 2),
        "idelta" => (M::Idelta, 0),
        "ideriv" | "irate" => (M::Ideriv, 0),
        "increase_pure" => (M::IncreasePure, 0),
        "increases_over_time" => (M::Increases, 0),
        "integrate" => (M::Integrate, 0),
        "lag" => (M::Lag, 0),
        "lifetime" => (M::Lifetime, 0),
        "mad_over_time" => (M::Mad, 0),
        "max_over_time" => (M::Max, 0),
        "median_over_time" => (M::Median, 0),
        "min_over_time" => (M::Min, 0),
        "mode_over_time" => (M::Mode, 0),
        "outlier_iqr_over_time" => (M::OutlierIqr, 0),
        "predict_linear" => (M::PredictLinear, 1),
        "present_over_time" => (M::Present, 0),
        "quantile_over_time" => (M::Quantile, 1),
        "range_over_time" => (M::Range, 0),
        "rate_over_sum" => (M::RateOverSum, 0),
        "scrape_interval" => (M::ScrapeInterval, 0),
        "share_eq_over_time" => (M::ShareEq, 1),
        "share_gt_over_time" => (M::ShareGt, 1),
        "share_le_over_time" => (M::ShareLe, 1),
        "stale_samples_over_time" => (M::StaleSamples, 0),
        "stddev_over_time" => (M::Stddev, 0),
        "stdvar_over_time" => (M::Stdvar, 0),
        "sum_eq_over_time" => (M::SumEq, 1),
        "sum_gt_over_time" => (M::SumGt, 1),
        "sum_le_over_time" => (M::SumLe, 1),
        "sum_over_time" => (M::Sum, 0),
        "sum2_over_time" => (M::Sum2, 0),
        "tfirst_over_time" => (M::Tfirst, 0),
        "timestamp" | "timestamp_with_name" | "tlast_over_time" => (M::Tlast, 0),
        "tlast_change_over_time" => (M::TlastChange, 0),
        "tmax_over_time" => (M::Tmax, 0),
        "tmin_over_time" => (M::Tmin, 0),
        "zscore_over_time" => (M::Zscore, 0),
        _ => return None,
    })
}

/// Range functions of dialect `promql`, with how many numbers they take.
fn of_promql(name: &str) -> Option<(P, usize)> {
    Some(match name {
        "absent_over_time" => (P::Absent, 0),
        "avg_over_time" => (P::Avg, 0),
        "changes" => (P::Changes, 0),
        "count_over_time" => (P::Count, 0),
        "delta" => (P::Delta, 0),
        "deriv" => (P::Deriv, 0),
        "double_exponential_smoothing" => (P::DoubleExponentialSmoothing, 2),
        "first_over_time" => (P::First, 0),
        "idelta" => (P::Idelta, 0),
        "increase" => (P::Increase, 0),
        "irate" => (P::Irate, 0),
        "last_over_time" => (P::Last, 0),
        "mad_over_time" => (P::Mad, 0),
        "max_over_time" => (P::Max, 0),
        "min_over_time" => (P::Min, 0),
        "predict_linear" => (P::PredictLinear, 1),
        "present_over_time" => (P::Present, 0),
        "quantile_over_time" => (P::Quantile, 1),
        "rate" => (P::Rate, 0),
        "resets" => (P::Resets, 0),
        "stddev_over_time" => (P::Stddev, 0),
        "stdvar_over_time" => (P::Stdvar, 0),
        "sum_over_time" => (P::Sum, 0),
        "ts_of_first_over_time" => (P::TsOfFirst, 0),
        "ts_of_last_over_time" => (P::TsOfLast, 0),
        "ts_of_max_over_time" => (P::TsOfMax, 0),
        "ts_of_min_over_time" => (P::TsOfMin, 0),
        _ => return None,
    })
}

impl Recipe {
    /// The recipe of an instant selector of dialect `promql`, or of a function over its samples.
    pub fn of_instant(function: P) -> Self {
        Self::single(What::Promql(function), Cleaning::Nothing, true, Arguments::default())
    }

    /// The recipe of a range function of dialect `promql`.
    pub fn of_promql(name: &str, arguments: Arguments) -> Result<Self, QueryError> {
        let Some((function, wanted)) = of_promql(name) else { return Err(unknown(name)) };
        expect_numbers(name, wanted, &arguments)?;
        let keeps_name = matches!(function, P::First | P::Last);
        Ok(Self::single(What::Promql(function), Cleaning::Stale, keeps_name, arguments))
    }

    /// The recipe of a rollup function of dialect `metricsql`; `gap_max` is behind which gap a counter begins anew, 0 for none.
    pub fn of_metricsql(name: &str, arguments: Arguments, gap_max: i64) -> Result<Self, QueryError> {
        let mut is_counter = is_of_counters(name);
        let mut then = Then::Keep;
        let outputs = match name {
            "rollup" => three(name, &arguments)?,
            "rollup_rate" | "rollup_deriv" => {
                then = Then::StepsPerSecond;
                three(name, &arguments)?
            }
            "rollup_increase" | "rollup_delta" => {
                then = Then::Steps;
                three(name, &arguments)?
            }
            "rollup_scrape_interval" => {
                then = Then::Intervals;
                three(name, &arguments)?
            }
            "rollup_candlestick" => candles(&arguments)?,
            "aggr_over_time" => aggregates(&arguments, &mut is_counter)?,
            "histogram_over_time" => vec![Output { tag: None, what: What::Spread(Spread::Histogram) }],
            "count_values_over_time" | "quantiles_over_time" => vec![spread(name, &arguments)?],
            _ => {
                let Some((function, wanted)) = of_metricsql(name) else { return Err(unknown(name)) };
                expect_numbers(name, wanted, &arguments)?;
                vec![Output { tag: None, what: What::Metricsql(function) }]
            }
        };
        let change = match (is_counter, then) {
            (true, then) => Change::Counter { gap_max, then },
            (false, Then::Keep) => Change::None,
            (false, then) => Change::Replace(then),
        };
        let sees_stale = matches!(name, "default_rollup" | "stale_samples_over_time");
        Ok(Self {
            outputs,
            change,
            cleaning: if sees_stale { Cleaning::NanNotStale } else { Cleaning::Nan },
            keeps_name: keeps_name(name),
            numbers: Numbers(arguments.numbers),
            may_adjust: may_adjust(name),
            is_default: name == "default_rollup",
        })
    }

    fn single(what: What, cleaning: Cleaning, keeps_name: bool, arguments: Arguments) -> Self {
        Self {
            outputs: vec![Output { tag: None, what }],
            change: Change::None,
            cleaning,
            keeps_name,
            numbers: Numbers(arguments.numbers),
            may_adjust: false,
            is_default: false,
        }
    }
}

fn unknown(name: &str) -> QueryError {
    QueryError::Evaluation(format!("unknown function {name:?}"))
}

fn expect_numbers(name: &str, wanted: usize, arguments: &Arguments) -> Result<(), QueryError> {
    let given = arguments.numbers.len() + arguments.texts.len();
    if given != wanted || !arguments.texts.is_empty() {
        return Err(QueryError::Evaluation(format!(
            "unexpected arguments of {name}(): want the series and {wanted} number(s), got {} number(s) and {} text(s)",
            arguments.numbers.len(),
            arguments.texts.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_say_what_is_wrong_with_arguments() {
        let texts = |texts: &[&str]| Arguments {
            texts: texts.iter().map(ToString::to_string).collect(),
            ..Arguments::default()
        };
        assert!(Recipe::of_metricsql("rollup", texts(&["mean"]), 0).is_err());
        assert!(Recipe::of_metricsql("aggr_over_time", texts(&["quantile_over_time"]), 0).is_err());
        assert!(Recipe::of_metricsql("quantile_over_time", Arguments::default(), 0).is_err());
        assert_eq!(
            Recipe::of_metricsql("rollup_candlestick", texts(&["low"]), 0).map(|recipe| recipe.outputs.len()),
            Ok(1)
        );
        assert!(Recipe::of_promql("increase_pure", Arguments::default()).is_err());
    }
}
