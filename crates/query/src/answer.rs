//! From what a tree comes to, to an answer.
//!
//! 1. Series without samples go. Two series with the same labels are an error.
//! 2. Series are ordered, unless the expression orders them itself.
//! 3. Values are rounded if that is asked for; at the end of a range, points whose samples may still arrive are as the point before.

use std::{cmp::Ordering, collections::HashSet};

use metricsql::Expr;
use model::METRIC_NAME;

use crate::{
    api::{AnswerSeries, Dialect, Points, Query, QueryError, Span, Value},
    dialect::Times,
    frame::{ABSENT, Operand, Row, is_absent},
    functions,
    labels::Labels,
    options::EngineOptions,
    values::Values,
};

/// The answer to a query whose tree came to `operand`.
pub fn value(
    query: &Query,
    expr: &Expr,
    times: &Times,
    operand: Operand,
    options: &EngineOptions,
) -> Result<Value, QueryError> {
    let time = match query.span {
        Span::Instant { time, .. } => time,
        Span::Range { .. } => times.grid.start,
    };
    let is_range = matches!(query.span, Span::Range { .. });
    let rows = match (operand, query.dialect, is_range) {
        (Operand::Scalar(values), Dialect::PromQl, false) => {
            return Ok(Value::Scalar(time, values.first().copied().unwrap_or(f64::NAN)));
        }
        (Operand::Text(text), Dialect::PromQl, _) => return Ok(Value::Text(time, text)),
        (Operand::Text(_), Dialect::MetricsQl, _) => Vec::new(),
        (Operand::Scalar(values), ..) => {
            vec![Row { labels: Labels::default(), values: values.into(), drop_name: false }]
        }
        (Operand::Rows(rows), ..) => rows,
    };
    let mut rows = with_samples(rows, query.dialect);
    sort(&mut rows, query.dialect, expr, is_range);
    refuse_duplicates(&rows, query.dialect)?;
    if options.response_series_max > 0 && rows.len() > options.response_series_max {
        return Err(QueryError::Limit(format!(
            "the answer has {} series, -search.maxResponseSeries allows {}",
            rows.len(),
            options.response_series_max
        )));
    }
    if query.limit > 0 {
        rows.truncate(query.limit);
    }
    for row in &mut rows {
        round(row.values.held_mut(), query.round_digits);
        if let Some(held_back) = times.held_back {
            hold_back(times, held_back, &mut row.values);
        }
    }
    let series = rows.into_iter().map(|row| {
        let points = match is_range {
            true => {
                let (first, values) = row.values.into_held();
                Points::Grid { start: times.grid.at(first), step: times.grid.step, values }
            }
            false => Points::Own { times: vec![time].into(), values: row.values.into_whole() },
        };
        AnswerSeries { labels: row.labels, points }
    });
    Ok(if is_range { Value::Matrix(series.collect()) } else { Value::Vector(series.collect()) })
}

/// What is no sample becomes absent everywhere, and series that have no sample go.
fn with_samples(rows: Vec<Row>, dialect: Dialect) -> Vec<Row> {
    let has_samples = |mut row: Row| {
        if dialect == Dialect::MetricsQl {
            row.values.held_mut().iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = ABSENT);
        }
        row.values.iter().any(|value| !is_absent(*value)).then_some(row)
    };
    rows.into_iter().filter_map(has_samples).collect()
}

fn refuse_duplicates(rows: &[Row], dialect: Dialect) -> Result<(), QueryError> {
    let mut seen = HashSet::with_capacity(rows.len());
    match rows.iter().find(|row| !seen.insert(&row.labels)) {
        None => Ok(()),
        Some(row) => Err(QueryError::Evaluation(match dialect {
            Dialect::MetricsQl => format!("duplicate output timeseries: {}", written(&row.labels)),
            Dialect::PromQl => "vector cannot contain metrics with the same labelset".into(),
        })),
    }
}

fn written(labels: &Labels) -> String {
    let others: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != METRIC_NAME)
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{}{{{}}}", labels.metric_name(), others.join(","))
}

fn sort(rows: &mut [Row], dialect: Dialect, expr: &Expr, is_range: bool) {
    match dialect {
        Dialect::PromQl if is_range => {
            rows.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        Dialect::MetricsQl if !functions::keeps_order(dialect, expr) => {
            rows.sort_by(|a, b| by_name(&a.labels, &b.labels));
        }
        _ => {}
    }
}

/// By metric name first, then by the other labels.
fn by_name(a: &Labels, b: &Labels) -> Ordering {
    fn others(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
        labels.iter().filter(|(name, _)| *name != METRIC_NAME)
    }
    a.metric_name().cmp(b.metric_name()).then_with(|| others(a).cmp(others(b)))
}

/// Digits behind the point from which on nothing is rounded.
const DIGITS_MAX: i32 = 100;

fn round(values: &mut [f64], digits: Option<i32>) {
    let Some(digits) = digits.filter(|digits| *digits < DIGITS_MAX) else { return };
    let power = 10f64.powi(digits);
    for value in values.iter_mut().filter(|value| value.is_finite()) {
        let scaled = *value * power;
        if scaled.is_finite() {
            *value = if power.is_normal() { scaled.round() / power } else { 0.0 };
        }
    }
}

fn hold_back(times: &Times, (from, to): (i64, i64), values: &mut Values) {
    let grid = times.grid;
    if grid.end() > to {
        return;
    }
    let first = (0..grid.points).rev().take_while(|i| grid.at(*i) > from).last().unwrap_or(grid.points);
    let have = if first > 0 { values[first - 1] } else { ABSENT };
    values.go_on(first, have);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Grid;

    #[test]
    fn the_newest_points_are_as_the_one_before() {
        let times = |start| Times { grid: Grid { start, step: 10, points: 4 }, answered_later: 0, held_back: None };
        let mut values = Values::from(vec![1.0, 2.0, 3.0, 4.0]);
        hold_back(&times(0), (15, 50), &mut values);
        assert_eq!(values.held(), [1.0, 2.0, 2.0, 2.0]);
        let mut values = Values::from(vec![1.0, 2.0, 3.0, 4.0]);
        hold_back(&times(0), (15, 20), &mut values);
        assert_eq!(values.held(), [1.0, 2.0, 3.0, 4.0], "a series that reaches far into the future stays");
        let mut values = Values::from(vec![1.0, 2.0, 3.0, 4.0]);
        hold_back(&times(20), (15, 60), &mut values);
        assert!(values.iter().all(|value| is_absent(*value)));
    }

    #[test]
    fn values_are_rounded_as_asked() {
        let rounded = |value, digits| {
            let mut values = [value];
            round(&mut values, digits);
            values[0]
        };
        assert_eq!(rounded(1.2345, Some(2)), 1.23);
        assert_eq!(rounded(1234.5, Some(-2)), 1200.0);
        assert_eq!(
            (rounded(1.5, None), rounded(1.5, Some(100)), rounded(f64::INFINITY, Some(1))),
            (1.5, 1.5, f64::INFINITY)
        );
    }
}
