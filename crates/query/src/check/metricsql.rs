//! Dialect `metricsql`: names and numbers of arguments.

use ::metricsql::{Binary, Expr, ExprKind, GroupSide, ParseError, Span};

use super::{
    Type,
    signature::{ANY_NUMBER, Kind, find, suggestion},
    wrong,
};
use crate::api::Dialect;

pub(super) fn check(text: &str, expr: &Expr) -> Result<Type, ParseError> {
    let mut first = Ok(());
    expr.for_each(&mut |part| {
        if first.is_ok() {
            first = part_is_right(text, part);
        }
    });
    first.map(|()| type_of(expr))
}

fn part_is_right(text: &str, expr: &Expr) -> Result<(), ParseError> {
    match &expr.kind {
        ExprKind::Call(call) if is_of_lengths(&call.name) => Ok(()),
        ExprKind::Call(call) => count_is_right(text, expr.span, &call.name, call.args.len(), false),
        ExprKind::Aggregate(aggregate) => count_is_right(text, expr.span, &aggregate.name, aggregate.args.len(), true),
        ExprKind::Binary(binary) => group_is_right(text, expr.span, binary),
        _ => Ok(()),
    }
}

/// Functions that stand in brackets and behind `offset` alone; the parser has checked them.
fn is_of_lengths(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().as_str(), "min" | "max" | "min_of" | "max_of" | "range")
}

fn count_is_right(text: &str, span: Span, name: &str, count: usize, is_aggregate: bool) -> Result<(), ParseError> {
    let signature = find(Dialect::MetricsQl, name).filter(|found| (found.kind == Kind::Aggregate) == is_aggregate);
    let Some((least, most)) = signature.and_then(|signature| signature.metricsql) else {
        let suggestion = suggestion(Dialect::MetricsQl, name);
        return wrong(text, span, format!("unsupported function {name:?}{suggestion}"));
    };
    if (least..=most).contains(&count) {
        return Ok(());
    }
    let want = match (least, most) {
        (least, ANY_NUMBER) => format!("at least {least}"),
        (least, most) if least == most => format!("{least}"),
        (least, most) => format!("{least}...{most}"),
    };
    wrong(text, span, format!("unexpected number of args for {name:?}; got {count}; want {want}"))
}

fn group_is_right(text: &str, span: Span, binary: &Binary) -> Result<(), ParseError> {
    let Some(group) = binary.group.as_ref().filter(|_| binary.op.is_set()) else { return Ok(()) };
    let word = match group.side {
        GroupSide::Left => "group_left",
        GroupSide::Right => "group_right",
    };
    wrong(text, span, format!("modifier {word:?} cannot be applied to {:?}", binary.op.text()))
}

fn type_of(expr: &Expr) -> Type {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Duration(_) => Type::Scalar,
        ExprKind::Text(_) => Type::Text,
        ExprKind::Paren(inner) => type_of(inner),
        ExprKind::Rollup(rollup) if rollup.window.is_some() || rollup.subquery.is_some() => Type::RangeVector,
        _ => Type::InstantVector,
    }
}
