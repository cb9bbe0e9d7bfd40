//! Functions that look at one value at a time: rounding, powers, trigonometry.

use std::f64::consts::PI;

use super::{
    Dialects::{Both, MetricsQl, PromQl},
    Function,
    Run::{Map, MapNamed, Whole},
    args::Args,
    function,
    names::drop_name,
};
use crate::{
    api::{Dialect, QueryError},
    frame::{Operand, Row, is_absent},
};

pub(super) const TABLE: &[Function] = &[
    function("abs", Both, (1, 1), Map(f64::abs)),
    function("acos", Both, (1, 1), Map(f64::acos)),
    function("acosh", Both, (1, 1), Map(f64::acosh)),
    function("asin", Both, (1, 1), Map(f64::asin)),
    function("asinh", Both, (1, 1), Map(f64::asinh)),
    function("atan", Both, (1, 1), Map(f64::atan)),
    function("atanh", Both, (1, 1), Map(f64::atanh)),
    function("ceil", Both, (1, 1), MapNamed(f64::ceil)),
    function("clamp", Both, (3, 3), Whole(clamp)),
    function("clamp_max", Both, (2, 2), Whole(clamp_max)),
    function("clamp_min", Both, (2, 2), Whole(clamp_min)),
    function("cos", Both, (1, 1), Map(f64::cos)),
    function("cosh", Both, (1, 1), Map(f64::cosh)),
    function("deg", Both, (1, 1), Map(|value| value * 180.0 / PI)),
    function("exp", Both, (1, 1), Map(f64::exp)),
    function("floor", Both, (1, 1), MapNamed(f64::floor)),
    function("ln", Both, (1, 1), Map(f64::ln)),
    function("log10", Both, (1, 1), Map(f64::log10)),
    function("log2", Both, (1, 1), Map(f64::log2)),
    function("max_of", PromQl, (2, 2), Whole(max_of)),
    function("min_of", PromQl, (2, 2), Whole(min_of)),
    function("rad", Both, (1, 1), Map(|value| value * PI / 180.0)),
    function("round", Both, (1, 2), Whole(round)),
    function("sgn", MetricsQl, (1, 1), Whole(sign_metricsql)),
    function("sgn", PromQl, (1, 1), Map(sign)),
    function("sin", Both, (1, 1), Map(f64::sin)),
    function("sinh", Both, (1, 1), Map(f64::sinh)),
    function("sqrt", Both, (1, 1), Map(f64::sqrt)),
    function("tan", Both, (1, 1), Map(f64::tan)),
    function("tanh", Both, (1, 1), Map(f64::tanh)),
];

/// Runs a function of one value over argument 0. The metric name goes, unless the call keeps it or the function does so in dialect `metricsql`.
pub(super) fn map_values(mut args: Args<'_>, is_named: bool, map: fn(f64) -> f64) -> Result<Operand, QueryError> {
    let rows = args.rows(0);
    map_points(&args, rows, is_named, |_, value| map(value))
}

/// Replaces every sample by what `map` makes of it and of its point.
pub(super) fn map_points(
    args: &Args<'_>,
    mut rows: Vec<Row>,
    is_named: bool,
    map: impl Fn(usize, f64) -> f64,
) -> Result<Operand, QueryError> {
    let dialect = args.ctx.dialect;
    let keeps = args.keeps_names || (is_named && dialect == Dialect::MetricsQl);
    for row in &mut rows {
        (args.ctx.check)(0)?;
        if !keeps {
            drop_name(dialect, row);
        }
        let held = row.values.span().zip(row.values.held_mut());
        held.filter(|(_, value)| !is_absent(**value)).for_each(|(at, value)| *value = map(at, *value));
    }
    Ok(Operand::Rows(rows))
}

fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// As VictoriaMetrics answers: what is neither above nor below zero is 0, a gap too.
fn sign_metricsql(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let mut rows = args.rows(0);
    for row in &mut rows {
        for value in args.ctx.spread(&mut row.values)? {
            *value = f64::from(i8::from(*value > 0.0) - i8::from(*value < 0.0));
        }
    }
    map_points(&args, rows, false, |_, value| value)
}

fn clamp(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (mut rows, min, max) = (args.rows(0), args.scalar(1)?, args.scalar(2)?);
    if args.is_promql() {
        // Where the bounds are the wrong way round there is nothing.
        for row in &mut rows {
            let held = row.values.span().zip(row.values.held_mut());
            let crossed = held.filter(|(at, _)| max[*at] < min[*at]);
            crossed.for_each(|(_, value)| *value = crate::frame::ABSENT);
        }
        rows.retain(|row| !row.values.iter().all(|value| is_absent(*value)));
        return map_points(&args, rows, true, |at, value| larger(min[at], smaller(max[at], value)));
    }
    // Where the bounds are the wrong way round, the upper one is looked at first.
    map_points(&args, rows, true, |at, value| if value > max[at] { max[at] } else { value.max_or_self(min[at]) })
}

fn clamp_max(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (rows, max) = (args.rows(0), args.scalar(1)?);
    if args.is_promql() {
        return map_points(&args, rows, true, |at, value| smaller(max[at], value));
    }
    map_points(&args, rows, true, |at, value| value.min_or_self(max[at]))
}

fn clamp_min(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (rows, min) = (args.rows(0), args.scalar(1)?);
    if args.is_promql() {
        return map_points(&args, rows, true, |at, value| larger(min[at], value));
    }
    map_points(&args, rows, true, |at, value| value.max_or_self(min[at]))
}

/// Bounds that are no numbers bound nothing (dialect `metricsql`).
trait Bound {
    fn min_or_self(self, max: f64) -> f64;
    fn max_or_self(self, min: f64) -> f64;
}

impl Bound for f64 {
    fn min_or_self(self, max: f64) -> f64 {
        if self > max { max } else { self }
    }

    fn max_or_self(self, min: f64) -> f64 {
        if self < min { min } else { self }
    }
}

/// The smaller, as Go has it: nothing is below -Inf, not even NaN, which else is below all; -0 is below 0.
fn smaller(a: f64, b: f64) -> f64 {
    match (a, b) {
        (f64::NEG_INFINITY, _) | (_, f64::NEG_INFINITY) => f64::NEG_INFINITY,
        _ if a.is_nan() || b.is_nan() => f64::NAN,
        _ if a.total_cmp(&b).is_le() => a,
        _ => b,
    }
}

/// The larger, likewise.
fn larger(a: f64, b: f64) -> f64 {
    -smaller(-a, -b)
}

fn min_of(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (left, right) = (args.scalar(0)?, args.scalar(1)?);
    Ok(Operand::Scalar(left.iter().zip(&right).map(|(a, b)| smaller(*a, *b)).collect()))
}

fn max_of(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (left, right) = (args.scalar(0)?, args.scalar(1)?);
    Ok(Operand::Scalar(left.iter().zip(&right).map(|(a, b)| larger(*a, *b)).collect()))
}

fn round(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (rows, nearest) = (args.rows(0), args.scalar_or(1, 1.0)?);
    if args.is_promql() {
        // Halves go up; dividing by the inverse keeps 0.1 and its like exact.
        return map_points(&args, rows, true, |at, value| {
            let inverse = 1.0 / nearest[at];
            (value * inverse + 0.5).floor() / inverse
        });
    }
    let decimal: Vec<f64> = nearest.iter().map(|nearest| power_of_ten(*nearest)).collect();
    map_points(&args, rows, true, |at, value| {
        let nearest = nearest[at];
        let shifted = value + 0.5 * nearest.copysign(value);
        let cut = shifted - shifted % nearest;
        // What the remainder leaves behind the last decimal of `nearest` is noise.
        (cut * decimal[at]).trunc() / decimal[at]
    })
}

/// The smallest power of ten that makes a whole number of `nearest`, as far as floats go.
fn power_of_ten(nearest: f64) -> f64 {
    let text = format!("{nearest:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len() as i32);
    10f64.powi((decimals - exponent.parse::<i32>().unwrap_or(0)).max(0))
}
