//! What comes out of the rollup functions of dialect `metricsql` that are not one function of a window.

use super::{
    Arguments,
    metricsql::Function as M,
    recipe::{Output, What},
    spread::{Spread, general},
    table::{is_of_counters, of_metricsql},
};
use crate::api::QueryError;

/// The text that chooses one of several outputs; `None` if all are wanted.
fn chosen<'a>(name: &str, arguments: &'a Arguments) -> Result<Option<&'a str>, QueryError> {
    match (arguments.numbers.as_slice(), arguments.texts.as_slice()) {
        ([], []) => Ok(None),
        ([], [text]) => Ok(Some(text)),
        _ => Err(QueryError::Evaluation(format!(
            "unexpected arguments of {name}(): want the series and one text at most"
        ))),
    }
}

/// Least, greatest and mean.
pub fn three(name: &str, arguments: &Arguments) -> Result<Vec<Output>, QueryError> {
    let all = [("min", M::Min), ("max", M::Max), ("avg", M::Avg)];
    pick(name, chosen(name, arguments)?, &all, false, "`min`, `max` or `avg`")
}

/// The four values of a candle, or one of them.
pub fn candles(arguments: &Arguments) -> Result<Vec<Output>, QueryError> {
    let all = [("open", M::CandleOpen), ("close", M::CandleClose), ("low", M::CandleLow), ("high", M::CandleHigh)];
    let name = "rollup_candlestick";
    pick(name, chosen(name, arguments)?, &all, true, "`open`, `close`, `low` or `high`")
}

/// All outputs, or the one that was chosen, which has a tag only if `tagged`.
fn pick(
    name: &str,
    chosen: Option<&str>,
    all: &[(&'static str, M)],
    tagged: bool,
    want: &str,
) -> Result<Vec<Output>, QueryError> {
    let Some(chosen) = chosen else {
        return Ok(all.iter().map(|(tag, what)| Output { tag: Some(tag), what: What::Metricsql(*what) }).collect());
    };
    let found = all.iter().find(|(tag, _)| *tag == chosen);
    let (tag, what) = found.ok_or_else(|| {
        QueryError::Evaluation(format!("unexpected second argument of {name}(): {chosen:?}; want {want}"))
    })?;
    Ok(vec![Output { tag: tagged.then_some(*tag), what: What::Metricsql(*what) }])
}

/// Functions that `aggr_over_time` takes by name.
const AGGREGATES: [&str; 49] = [
    "absent_over_time",
    "ascent_over_time",
    "avg_over_time",
    "changes",
    "count_over_time",
    "decreases_over_time",
    "default_rollup",
    "delta",
    "deriv",
    "deriv_fast",
    "descent_over_time",
    "distinct_over_time",
    "first_over_time",
    "geomean_over_time",
    "idelta",
    "ideriv",
    "increase",
    "increase_pure",
    "increases_over_time",
    "integrate",
    "irate",
    "lag",
    "last_over_time",
    "lifetime",
    "mad_over_time",
    "max_over_time",
    "median_over_time",
    "min_over_time",
    "mode_over_time",
    "outlier_iqr_over_time",
    "present_over_time",
    "range_over_time",
    "rate",
    "rate_over_sum",
    "resets",
    "scrape_interval",
    "stale_samples_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "sum2_over_time",
    "tfirst_over_time",
    "timestamp",
    "timestamp_with_name",
    "tlast_change_over_time",
    "tlast_over_time",
    "tmax_over_time",
    "tmin_over_time",
    "zscore_over_time",
];

/// The functions that are named; says whether one of them is of counters.
pub fn aggregates(arguments: &Arguments, is_counter: &mut bool) -> Result<Vec<Output>, QueryError> {
    if arguments.texts.is_empty() || !arguments.numbers.is_empty() {
        return Err(QueryError::Evaluation(
            "unexpected arguments of aggr_over_time(): want one or more names of functions in quotes, and the series"
                .into(),
        ));
    }
    let output = |text: &String| {
        let known = AGGREGATES.into_iter().find(|known| known == text);
        let function = known.and_then(|name| of_metricsql(name).map(|(function, _)| (name, function)));
        let (name, function) = function.ok_or_else(|| {
            QueryError::Evaluation(format!(
                "{text:?} cannot be used in aggr_over_time(); want the name of a rollup function"
            ))
        })?;
        *is_counter |= is_of_counters(name);
        Ok(Output { tag: Some(name), what: What::Metricsql(function) })
    };
    arguments.texts.iter().map(output).collect()
}

/// The function that makes several series of one.
pub fn spread(name: &str, arguments: &Arguments) -> Result<Output, QueryError> {
    let wrong = |want: &str| Err(QueryError::Evaluation(format!("unexpected arguments of {name}(): want {want}")));
    let [label] = arguments.texts.as_slice() else { return wrong("one label name in quotes") };
    let what = match (name, arguments.numbers.as_slice()) {
        ("count_values_over_time", []) => Spread::CountValues(label.clone()),
        ("quantiles_over_time", [_, ..]) => {
            let phis = arguments.numbers.iter().map(|column| column.first().copied().unwrap_or(f64::NAN));
            Spread::Quantiles { label: label.clone(), phis: phis.map(|phi| (phi, general(phi))).collect() }
        }
        _ => return wrong("a label name in quotes, for quantiles_over_time() one number at least, and the series"),
    };
    Ok(Output { tag: None, what: What::Spread(what) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_aggregated_is_a_function_without_numbers() {
        for name in AGGREGATES {
            assert!(of_metricsql(name).is_some_and(|(_, numbers)| numbers == 0), "{name}");
        }
    }
}
