//! Functions that order series, or take some of them by their place.

use std::cmp::Ordering;

use metricsql::{BinaryOp, Expr, ExprKind};

use super::{
    ANY_NUMBER, Context,
    Dialects::{Both, MetricsQl},
    Function,
    Run::Whole,
    args::Args,
    function,
};
use crate::{
    api::{Dialect, QueryError},
    frame::{Operand, Row, is_absent},
};

pub(super) const TABLE: &[Function] = &[
    function("drop_empty_series", MetricsQl, (1, 1), Whole(drop_empty_series)),
    function("limit_offset", MetricsQl, (3, 3), Whole(limit_offset)),
    function("sort", Both, (1, 1), Whole(|args| sort(args, false))),
    function("sort_by_label", Both, (1, ANY_NUMBER), Whole(|args| sort_by_label(args, false))),
    function("sort_by_label_desc", Both, (1, ANY_NUMBER), Whole(|args| sort_by_label(args, true))),
    function("sort_by_label_numeric", MetricsQl, (2, ANY_NUMBER), Whole(|args| sort_by_number(args, false))),
    function("sort_by_label_numeric_desc", MetricsQl, (2, ANY_NUMBER), Whole(|args| sort_by_number(args, true))),
    function("sort_desc", Both, (1, 1), Whole(|args| sort(args, true))),
];

/// Whether the series of an expression have an order that the answer must keep; others are put in the order of their labels. In dialect `promql` the answer
/// to an instant query has the order in which it was made.
pub fn keeps_order(dialect: Dialect, expr: &Expr) -> bool {
    if dialect == Dialect::PromQl {
        return true;
    }
    let mut expr = expr;
    while let ExprKind::Paren(inner) | ExprKind::Plus(inner) = &expr.kind {
        expr = inner;
    }
    match &expr.kind {
        ExprKind::Call(call) => {
            let name = call.name.to_ascii_lowercase();
            name.starts_with("sort") || name == "limit_offset"
        }
        ExprKind::Aggregate(aggregate) => {
            let ranks = ["topk", "bottomk", "outliersk"];
            ranks.iter().any(|prefix| aggregate.name.starts_with(prefix))
        }
        ExprKind::Binary(binary) => binary.op == BinaryOp::Or,
        _ => false,
    }
}

fn warn_of_range(args: &Args<'_>) {
    if args.is_promql() && args.ctx.is_range {
        let message = "sort is ineffective for range queries since results are always ordered by labels";
        args.ctx.notes.warn(args.span, message);
    }
}

fn sort(mut args: Args<'_>, descends: bool) -> Result<Operand, QueryError> {
    warn_of_range(&args);
    let mut rows = args.rows(0);
    if args.is_promql() {
        rows.sort_by(|a, b| by_first(a, b, descends));
    } else {
        rows.sort_by(|a, b| by_last(a, b, descends));
    }
    Ok(Operand::Rows(rows))
}

/// By the only point of an instant query; NaN comes last in both directions.
fn by_first(a: &Row, b: &Row, descends: bool) -> Ordering {
    let (a, b) = (a.values[0], b.values[0]);
    match a.partial_cmp(&b) {
        Some(order) if descends => order.reverse(),
        Some(order) => order,
        None => a.is_nan().cmp(&b.is_nan()),
    }
}

/// By the last point, of equal ones by the point before, and so on; a gap comes first in both directions.
fn by_last(a: &Row, b: &Row, descends: bool) -> Ordering {
    for (a, b) in a.values.iter().rev().zip(b.values.iter().rev()) {
        match a.partial_cmp(b) {
            Some(Ordering::Equal) => {}
            Some(order) => return if descends { order.reverse() } else { order },
            None if a.is_nan() && b.is_nan() => {}
            None => return b.is_nan().cmp(&a.is_nan()),
        }
    }
    Ordering::Equal
}

fn sort_by_label(mut args: Args<'_>, descends: bool) -> Result<Operand, QueryError> {
    warn_of_range(&args);
    let (mut rows, names, is_promql) = (args.rows(0), args.texts_from(1)?, args.is_promql());
    rows.sort_by(|a, b| {
        let labels = names.iter().map(|name| (a.labels.get(name), b.labels.get(name)));
        let order = if is_promql {
            labels
                .map(|(a, b)| natural_order(a, b))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| a.labels.cmp(&b.labels))
        } else {
            labels.map(|(a, b)| a.cmp(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        };
        if descends { order.reverse() } else { order }
    });
    Ok(Operand::Rows(rows))
}

fn sort_by_number(mut args: Args<'_>, descends: bool) -> Result<Operand, QueryError> {
    let (mut rows, names) = (args.rows(0), args.texts_from(1)?);
    rows.sort_by(|a, b| {
        let mut orders = names.iter().map(|name| numeric_order(a.labels.get(name), b.labels.get(name)));
        let order = orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        if descends { order.reverse() } else { order }
    });
    Ok(Operand::Rows(rows))
}

/// Runs of digits compare as numbers, what stands between them as text.
fn natural_order(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() && !b.is_empty() {
        let (mine, theirs) = (take_run(&mut a), take_run(&mut b));
        let order = match (mine.parse::<u64>(), theirs.parse::<u64>()) {
            (Ok(mine), Ok(theirs)) => mine.cmp(&theirs),
            _ => mine.cmp(theirs),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Takes off the digits, or what is none, up to where that changes.
fn take_run<'a>(text: &mut &'a str) -> &'a str {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let first = text.as_bytes().first().is_some_and(is_digit);
    let end = text.bytes().position(|byte| byte.is_ascii_digit() != first).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    run
}

/// As [`natural_order`], with signs and decimal points, and with a number in front of what is none.
fn numeric_order(mut a: &str, mut b: &str) -> Ordering {
    loop {
        if a.is_empty() || b.is_empty() {
            return b.is_empty().cmp(&a.is_empty());
        }
        let (mine, theirs) = (take_number(&mut a), take_number(&mut b));
        match (mine, theirs) {
            (Some(mine), Some(theirs)) if mine != theirs => return mine.total_cmp(&theirs),
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            _ => {}
        }
        let (mine, theirs) = (take_text(&mut a), take_text(&mut b));
        if mine != theirs {
            return mine.cmp(theirs);
        }
    }
}

fn take_number(text: &mut &str) -> Option<f64> {
    let sign = usize::from(text.starts_with(['-', '+']));
    let (mut end, mut has_point) = (sign, false);
    for byte in text.bytes().skip(sign) {
        if byte == b'.' && !has_point {
            has_point = true;
        } else if !byte.is_ascii_digit() {
            break;
        }
        end += 1;
    }
    let number = text[..end].parse().ok()?;
    *text = &text[end..];
    Some(number)
}

fn take_text<'a>(text: &mut &'a str) -> &'a str {
    let end = text.bytes().position(|byte| byte.is_ascii_digit()).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    run
}

fn limit_offset(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let limit = usize::try_from(args.whole(0)?).unwrap_or(0);
    let offset = usize::try_from(args.whole(1)?).unwrap_or(0);
    let mut rows = args.rows(2);
    retain_samples(args.ctx, &mut rows);
    Ok(Operand::Rows(rows.into_iter().skip(offset).take(limit).collect()))
}

fn drop_empty_series(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let mut rows = args.rows(0);
    retain_samples(args.ctx, &mut rows);
    Ok(Operand::Rows(rows))
}

fn retain_samples(ctx: &Context<'_>, rows: &mut Vec<Row>) {
    rows.retain(|row| row.values.iter().any(|value| !is_absent(*value) && ctx.is_sample(*value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_in_natural_order() {
        let sorted = ["", "0", "1", "2", "10", "100", "4m5", "4m600", "4m1000", "a", "a1", "a1b", "a2", "b"];
        for (at, a) in sorted.iter().enumerate() {
            for (other, b) in sorted.iter().enumerate() {
                if a.starts_with("4m") == b.starts_with("4m") {
                    assert_eq!(natural_order(a, b), at.cmp(&other), "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn labels_are_in_numeric_order() {
        let sorted = ["-5", "-0.5", "1", "1.5", "2", "2a", "15", "101", "a", "a1", "a2", "a15", "b"];
        assert!(sorted.is_sorted_by(|a, b| numeric_order(a, b).is_lt()), "{sorted:?}");
        assert_eq!(numeric_order("1.2.3", "1.2.10"), Ordering::Less);
        assert_eq!(numeric_order("", ""), Ordering::Equal);
        assert_eq!(numeric_order("", "a"), Ordering::Less);
        assert_eq!(numeric_order("b", ""), Ordering::Greater);
    }
}
