//! The tree of an expression as `/api/v1/parse_query` of Prometheus shows it: an object a node, its members by name.
//!
//! What only MetricsQL has stands in the node that is nearest to it: further alternatives of a selector beside `matchers`, `keep_metric_names` beside
//! `args`. A window or shift that is no constant is `null`.

use metricsql::{
    Aggregate, At, Binary, BinaryOp, Call, Expr, ExprKind, Group, GroupSide, Grouping, Matching, Rollup, Smoothing,
    duration_millis,
};
use model::{METRIC_NAME, MatchOp, Matcher, Selector};

use crate::{
    json::Json,
    number::{Layout, put_float},
};

/// Functions of Prometheus that give a scalar.
const SCALAR_FUNCTIONS: &[&str] = &["scalar", "time", "pi"];

/// Appends a node. The tree is bounded by the parser.
pub(super) fn put(out: &mut Json, expr: &Expr) {
    match &expr.kind {
        ExprKind::Number(value) => put_number(out, *value),
        ExprKind::Duration(parts) => put_number(out, duration_millis(parts, 0.0) / 1e3),
        ExprKind::Text(text) => {
            out.raw("{\"type\":\"stringLiteral\",\"val\":").text(text).raw("}");
        }
        ExprKind::Selector(selector) => put_selector(out, selector, None),
        ExprKind::Rollup(rollup) => put_rollup(out, rollup),
        ExprKind::Call(call) => put_call(out, call),
        ExprKind::Aggregate(aggregate) => put_aggregate(out, aggregate),
        ExprKind::Binary(binary) => put_binary(out, binary),
        ExprKind::Negate(inner) => put_unary(out, "-", inner),
        ExprKind::Plus(inner) => put_unary(out, "+", inner),
        ExprKind::Paren(inner) => {
            out.raw("{\"expr\":");
            put(out, inner);
            out.raw(",\"type\":\"parenExpr\"}");
        }
        ExprKind::Union(members) => {
            out.raw("{\"args\":").list(members, put).raw(",\"type\":\"union\"}");
        }
        ExprKind::Template(_) => {
            out.raw("null");
        }
    }
}

fn put_number(out: &mut Json, value: f64) {
    let mut digits = Vec::new();
    put_float(&mut digits, value, Layout::Plain);
    out.raw("{\"type\":\"numberLiteral\",\"val\":").text(&String::from_utf8_lossy(&digits)).raw("}");
}

fn put_unary(out: &mut Json, op: &str, inner: &Expr) {
    out.raw("{\"expr\":");
    put(out, inner);
    out.raw(",\"op\":").text(op).raw(",\"type\":\"unaryExpr\"}");
}

/// A selector, and the modifiers on it.
fn put_selector(out: &mut Json, selector: &Selector, modifiers: Option<&Rollup>) {
    let first: &[Matcher] = selector.any_of.first().map_or(&[], Vec::as_slice);
    let name = first.first().filter(|matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal);
    let window = modifiers.and_then(|rollup| rollup.window.as_ref());
    out.raw("{\"matchers\":");
    put_matchers(out, first);
    out.raw(",\"name\":").text(name.map_or("", |matcher| &matcher.value));
    if selector.any_of.len() > 1 {
        out.raw(",\"or\":").list(&selector.any_of[1..], |out, set| put_matchers(out, set));
    }
    put_shift(out, modifiers);
    if let Some(window) = window {
        out.raw(",\"range\":");
        put_ms(out, window);
    }
    if let Some(smoothing) = modifiers.and_then(|rollup| rollup.smoothing) {
        out.raw(match smoothing {
            Smoothing::Anchored => ",\"anchored\":true",
            Smoothing::Smoothed => ",\"smoothed\":true",
        });
    }
    out.raw(if window.is_some() { ",\"type\":\"matrixSelector\"}" } else { ",\"type\":\"vectorSelector\"}" });
}

/// The metric's name stands last, as in Prometheus.
fn put_matchers(out: &mut Json, set: &[Matcher]) {
    let is_name = |matcher: &&Matcher| matcher.name == METRIC_NAME;
    let ordered = set.iter().filter(|matcher| !is_name(matcher)).chain(set.iter().filter(is_name));
    out.list(ordered, |out, matcher| {
        let kind = match matcher.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        out.raw("{\"name\":").text(&matcher.name).raw(",\"type\":").text(kind);
        out.raw(",\"value\":").text(&matcher.value).raw("}");
    });
}

fn put_rollup(out: &mut Json, rollup: &Rollup) {
    if let (ExprKind::Selector(selector), None) = (&rollup.inner.kind, &rollup.subquery) {
        return put_selector(out, selector, Some(rollup));
    }
    out.raw("{\"expr\":");
    put(out, &rollup.inner);
    put_shift(out, Some(rollup));
    out.raw(",\"range\":");
    match &rollup.window {
        Some(window) => put_ms(out, window),
        None => drop(out.raw("null")),
    }
    out.raw(",\"step\":");
    match rollup.subquery.as_ref().and_then(|subquery| subquery.step.as_ref()) {
        Some(step) => put_ms(out, step),
        None => drop(out.raw("0")),
    }
    out.raw(",\"type\":\"subquery\"}");
}

/// `offset` and `@`.
fn put_shift(out: &mut Json, rollup: Option<&Rollup>) {
    out.raw(",\"offset\":");
    match rollup.and_then(|rollup| rollup.offset.as_ref()) {
        Some(offset) => put_ms(out, offset),
        None => drop(out.raw("0")),
    }
    let (border, time) = match rollup.and_then(|rollup| rollup.at.as_ref()) {
        None => ("null", None),
        Some(At::Start) => ("\"start\"", None),
        Some(At::End) => ("\"end\"", None),
        Some(At::Time(time)) => ("null", Some(time)),
    };
    out.raw(",\"startOrEnd\":").raw(border).raw(",\"timestamp\":");
    match time {
        Some(time) => put_ms(out, time),
        None => drop(out.raw("null")),
    }
}

/// A constant number of seconds, or a duration, in milliseconds.
fn put_ms(out: &mut Json, expr: &Expr) {
    match seconds(expr) {
        Some(seconds) if seconds.is_finite() => out.raw(&format!("{}", (seconds * 1e3).round() as i64)),
        _ => out.raw("null"),
    };
}

fn seconds(expr: &Expr) -> Option<f64> {
    Some(match &expr.kind {
        ExprKind::Number(seconds) => *seconds,
        ExprKind::Duration(parts) => duration_millis(parts, 0.0) / 1e3,
        ExprKind::Negate(inner) => -seconds(inner)?,
        ExprKind::Plus(inner) | ExprKind::Paren(inner) => seconds(inner)?,
        ExprKind::Binary(binary) => {
            let (left, right) = (seconds(&binary.left)?, seconds(&binary.right)?);
            match binary.op {
                BinaryOp::Add => left + right,
                BinaryOp::Subtract => left - right,
                BinaryOp::Multiply => left * right,
                BinaryOp::Divide => left / right,
                BinaryOp::Modulo => left % right,
                BinaryOp::Power => left.powf(right),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn put_call(out: &mut Json, call: &Call) {
    out.raw("{\"args\":").list(&call.args, put).raw(",\"func\":{\"name\":").text(&call.name).raw("}");
    if call.keep_metric_names {
        out.raw(",\"keep_metric_names\":true");
    }
    out.raw(",\"type\":\"call\"}");
}

fn put_aggregate(out: &mut Json, aggregate: &Aggregate) {
    let (params, over) = match aggregate.args.split_last() {
        Some((over, params)) => (params, Some(over)),
        None => (&[][..], None),
    };
    let put_optional = |out: &mut Json, expr: Option<&Expr>| match expr {
        Some(expr) => put(out, expr),
        None => drop(out.raw("null")),
    };
    out.raw("{\"expr\":");
    put_optional(out, over);
    let (labels, without) = match &aggregate.grouping {
        None => (&[][..], false),
        Some(Grouping::By(labels)) => (labels.as_slice(), false),
        Some(Grouping::Without(labels)) => (labels.as_slice(), true),
    };
    out.raw(",\"grouping\":").texts(labels).raw(",\"op\":").text(&aggregate.name).raw(",\"param\":");
    put_optional(out, params.first());
    out.raw(",\"type\":\"aggregation\",\"without\":").raw(if without { "true}" } else { "false}" });
}

fn put_binary(out: &mut Json, binary: &Binary) {
    out.raw("{\"bool\":").raw(if binary.returns_bool { "true" } else { "false" }).raw(",\"lhs\":");
    put(out, &binary.left);
    out.raw(",\"matching\":");
    if is_scalar(&binary.left) || is_scalar(&binary.right) {
        out.raw("null");
    } else {
        put_matching(out, binary);
    }
    out.raw(",\"op\":").text(op_text(binary.op)).raw(",\"rhs\":");
    put(out, &binary.right);
    out.raw(",\"type\":\"binaryExpr\"}");
}

fn put_matching(out: &mut Json, binary: &Binary) {
    let card = match (&binary.group, binary.op) {
        (_, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) => "many-to-many",
        (None, _) => "one-to-one",
        (Some(Group { side: GroupSide::Left, .. }), _) => "many-to-one",
        (Some(Group { side: GroupSide::Right, .. }), _) => "one-to-many",
    };
    let include = binary.group.as_ref().map_or(&[][..], |group| group.labels.as_slice());
    let (labels, on) = match &binary.matching {
        None => (&[][..], false),
        Some(Matching::On(labels)) => (labels.as_slice(), true),
        Some(Matching::Ignoring(labels)) => (labels.as_slice(), false),
    };
    out.raw("{\"card\":").text(card).raw(",\"include\":").texts(include).raw(",\"labels\":").texts(labels);
    out.raw(",\"on\":").raw(if on { "true}" } else { "false}" });
}

/// Whether Prometheus takes it for a scalar, which is never matched.
fn is_scalar(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Duration(_) => true,
        ExprKind::Negate(inner) | ExprKind::Plus(inner) | ExprKind::Paren(inner) => is_scalar(inner),
        ExprKind::Binary(binary) => is_scalar(&binary.left) && is_scalar(&binary.right),
        ExprKind::Call(call) => SCALAR_FUNCTIONS.contains(&call.name.as_str()),
        _ => false,
    }
}

fn op_text(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Default => "default",
        BinaryOp::If => "if",
        BinaryOp::IfNot => "ifnot",
        BinaryOp::Or => "or",
        BinaryOp::And => "and",
        BinaryOp::Unless => "unless",
        BinaryOp::Equal => "==",
        BinaryOp::NotEqual => "!=",
        BinaryOp::Less => "<",
        BinaryOp::LessOrEqual => "<=",
        BinaryOp::Greater => ">",
        BinaryOp::GreaterOrEqual => ">=",
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::Modulo => "%",
        BinaryOp::Atan2 => "atan2",
        BinaryOp::Power => "^",
    }
}

#[cfg(test)]
mod tests {
    use metricsql::Options;

    use super::*;

    #[test]
    fn trees_look_as_those_of_prometheus() {
        for (text, want) in [
            (
                "foo/bar",
                concat!(
                    r#"{"bool":false,"lhs":{"matchers":[{"name":"__name__","type":"=","value":"foo"}],"name":"foo","#,
                    r#""offset":0,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"#,
                    r#""matching":{"card":"one-to-one","include":[],"labels":[],"on":false},"op":"/","#,
                    r#""rhs":{"matchers":[{"name":"__name__","type":"=","value":"bar"}],"name":"bar","offset":0,"#,
                    r#""startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"type":"binaryExpr"}"#,
                ),
            ),
            (
                "-1 * 2",
                concat!(
                    r#"{"bool":false,"lhs":{"expr":{"type":"numberLiteral","val":"1"},"op":"-","type":"unaryExpr"},"#,
                    r#""matching":null,"op":"*","rhs":{"type":"numberLiteral","val":"2"},"type":"binaryExpr"}"#,
                ),
            ),
            (
                "m{a!=\"b\"}[5m] offset 1m @ 1.5",
                concat!(
                    r#"{"matchers":[{"name":"a","type":"!=","value":"b"},{"name":"__name__","type":"=","value":"m"}],"#,
                    r#""name":"m","offset":60000,"startOrEnd":null,"timestamp":1500,"range":300000,"type":"matrixSelector"}"#,
                ),
            ),
            (
                "topk by (x) (3, (m))",
                concat!(
                    r#"{"expr":{"expr":{"matchers":[{"name":"__name__","type":"=","value":"m"}],"name":"m","offset":0,"#,
                    r#""startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"type":"parenExpr"},"grouping":["x"],"#,
                    r#""op":"topk","param":{"type":"numberLiteral","val":"3"},"type":"aggregation","without":false}"#,
                ),
            ),
            (
                "m[1h:1m] @ start()",
                concat!(
                    r#"{"expr":{"matchers":[{"name":"__name__","type":"=","value":"m"}],"name":"m","offset":0,"#,
                    r#""startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"offset":0,"startOrEnd":"start","#,
                    r#""timestamp":null,"range":3600000,"step":60000,"type":"subquery"}"#,
                ),
            ),
        ] {
            let options = Options { folds_texts: false, predefined_templates: false, ..Options::default() };
            let mut out = Json::default();
            put(&mut out, &metricsql::parse(text, &options).expect("an expression"));
            assert_eq!(String::from_utf8(out.into_bytes()).expect("JSON is text"), want, "{text}");
        }
    }
}
