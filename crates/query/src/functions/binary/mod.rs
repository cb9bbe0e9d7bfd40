//! Operators between two operands.
//!
//! 1. Two scalars make a scalar; a scalar and series are put together value by value.
//! 2. Set operators ask on which side a sample is ([`sets`]).
//! 3. Everything else pairs series by their labels, in the way of the dialect ([`prometheus`], [`victoria`]), and puts pairs together value by value
//!    ([`operator`]).

mod operator;
mod pairing;
mod prometheus;
mod sets;
mod victoria;

use metricsql::{Binary, BinaryOp, Fill, Matching, Span};
use model::METRIC_NAME;

use super::{Context, args::into_rows, group::Names};
use crate::{
    api::{Dialect, QueryError},
    frame::{ABSENT, Operand, Row},
};
use operator::Kind;

/// Puts two operands together.
pub fn binary(
    ctx: &Context<'_>,
    binary: &Binary,
    _span: Span,
    left: Operand,
    right: Operand,
) -> Result<Operand, QueryError> {
    let has_scalar = matches!(left, Operand::Scalar(_)) || matches!(right, Operand::Scalar(_));
    if has_scalar && ctx.dialect == Dialect::PromQl && operator::kind(binary.op) == Kind::Set {
        let message = format!("set operator {:?} not allowed in binary scalar expression", operator::symbol(binary.op));
        return Err(QueryError::Evaluation(message));
    }
    match (ctx.dialect, left, right) {
        (_, Operand::Scalar(left), Operand::Scalar(right)) if is_of_numbers(ctx.dialect, binary.op) => {
            Ok(Operand::Scalar(numbers(binary.op, left, &right)))
        }
        (Dialect::PromQl, Operand::Rows(rows), Operand::Scalar(scalar)) => {
            prometheus::with_scalar(ctx, binary, rows, &scalar, false).map(Operand::Rows)
        }
        (Dialect::PromQl, Operand::Scalar(scalar), Operand::Rows(rows)) => {
            prometheus::with_scalar(ctx, binary, rows, &scalar, true).map(Operand::Rows)
        }
        (_, left, right) => rows(ctx, binary, into_rows(left), into_rows(right)).map(Operand::Rows),
    }
}

fn rows(ctx: &Context<'_>, binary: &Binary, left: Vec<Row>, right: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    match (operator::kind(binary.op), ctx.dialect) {
        (Kind::Set, _) => sets::join(ctx, binary, left, right),
        (_, Dialect::PromQl) => prometheus::join(ctx, binary, left, right),
        (_, Dialect::MetricsQl) if binary.fill != Fill::default() => filled(ctx, binary, left, right),
        (_, Dialect::MetricsQl) => victoria::join(ctx, binary, left, right),
    }
}

/// With values for partners that are missing, an operator of dialect `metricsql` is that of PromQL; what is no number is still no sample.
fn filled(ctx: &Context<'_>, binary: &Binary, mut left: Vec<Row>, mut right: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    let values = left.iter_mut().chain(&mut right).flat_map(|row| row.values.held_mut());
    values.filter(|value| value.is_nan()).for_each(|value| *value = ABSENT);
    let mut rows = prometheus::join(ctx, binary, left, right)?;
    for row in &mut rows {
        if std::mem::take(&mut row.drop_name) {
            row.labels.remove(METRIC_NAME);
        }
    }
    Ok(rows)
}

/// Whether two numbers make a number. In dialect `metricsql` a comparison of two is one of series without labels.
fn is_of_numbers(dialect: Dialect, op: BinaryOp) -> bool {
    dialect == Dialect::PromQl || operator::kind(op) == Kind::Arithmetic
}

fn numbers(op: BinaryOp, mut left: Vec<f64>, right: &[f64]) -> Vec<f64> {
    let pairs = left.iter_mut().zip(right);
    if operator::kind(op) == Kind::Arithmetic {
        let compute = operator::arithmetic(op);
        pairs.for_each(|(a, b)| *a = compute(*a, *b));
    } else {
        let holds = operator::compare(op);
        pairs.for_each(|(a, b)| *a = f64::from(u8::from(holds(*a, *b))));
    }
    left
}

/// What a pair of values becomes; [`ABSENT`] for nothing. Called only for pairs of samples (dialect `promql`).
fn pair_function(binary: &Binary) -> Box<dyn Fn(f64, f64) -> f64> {
    match operator::kind(binary.op) {
        Kind::Arithmetic => Box::new(operator::arithmetic(binary.op)),
        Kind::Comparison => {
            let holds = operator::compare(binary.op);
            if binary.returns_bool {
                Box::new(move |a, b| f64::from(u8::from(holds(a, b))))
            } else {
                Box::new(move |a, b| if holds(a, b) { a } else { ABSENT })
            }
        }
        Kind::Set => unreachable!("BUG: set operators have no values"),
    }
}

/// The labels that series of both sides must have in common.
fn signature(matching: Option<&Matching>) -> Names {
    match matching {
        None => Names::all_but([METRIC_NAME]),
        Some(Matching::On(names)) => Names::only(names),
        Some(Matching::Ignoring(names)) => Names::all_but(names.iter().map(String::as_str).chain([METRIC_NAME])),
    }
}
