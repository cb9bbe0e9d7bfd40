//! Operations on numbers alone → the number that they come to, as VictoriaMetrics shows expanded expressions.
//!
//! 1. From the leaves up, an operation on two numbers becomes a number; so does a number with a sign or in parentheses.
//! 2. A comparison without `bool` comes to its left side, or to NaN where it does not hold.
//! 3. Lengths of time stay as they are written.

use crate::ast::{At, Binary, BinaryOp, Expr, ExprKind};

/// Folds all that can be folded in a tree.
pub(crate) fn fold(expr: &mut Expr) {
    match &mut expr.kind {
        ExprKind::Number(_)
        | ExprKind::Duration(_)
        | ExprKind::Text(_)
        | ExprKind::Selector(_)
        | ExprKind::Template(_) => {}
        ExprKind::Rollup(rollup) => {
            fold(&mut rollup.inner);
            if let Some(At::Time(time)) = &mut rollup.at {
                fold(time);
            }
        }
        ExprKind::Call(call) => call.args.iter_mut().for_each(fold),
        ExprKind::Aggregate(aggregate) => aggregate.args.iter_mut().for_each(fold),
        ExprKind::Union(members) => members.iter_mut().for_each(fold),
        ExprKind::Negate(inner) | ExprKind::Plus(inner) | ExprKind::Paren(inner) => fold(inner),
        ExprKind::Binary(binary) => {
            fold(&mut binary.left);
            fold(&mut binary.right);
        }
    }
    if let Some(number) = number_of(expr) {
        expr.kind = ExprKind::Number(number);
    }
}

/// What an expression comes to whose parts are folded.
fn number_of(expr: &Expr) -> Option<f64> {
    let number = |expr: &Expr| if let ExprKind::Number(number) = expr.kind { Some(number) } else { None };
    match &expr.kind {
        ExprKind::Plus(inner) | ExprKind::Paren(inner) => number(inner),
        ExprKind::Negate(inner) => number(inner).map(|number| -number),
        ExprKind::Binary(binary) if is_plain(binary) => {
            Some(of_two(binary.op, number(&binary.left)?, number(&binary.right)?, binary.returns_bool))
        }
        _ => None,
    }
}

fn is_plain(binary: &Binary) -> bool {
    binary.matching.is_none() && binary.group.is_none()
}

fn of_two(op: BinaryOp, left: f64, right: f64, returns_bool: bool) -> f64 {
    let compared = |holds: bool| match (holds, returns_bool) {
        (true, false) => left,
        (false, false) => f64::NAN,
        (holds, true) => f64::from(u8::from(holds)),
    };
    let kept = |is_kept: bool| if is_kept { left } else { f64::NAN };
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Subtract => left - right,
        BinaryOp::Multiply => left * right,
        BinaryOp::Divide => left / right,
        BinaryOp::Modulo => left % right,
        BinaryOp::Power => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        BinaryOp::Equal => compared(left == right),
        BinaryOp::NotEqual => compared(left != right),
        BinaryOp::Less => compared(left < right),
        BinaryOp::LessOrEqual => compared(left <= right),
        BinaryOp::Greater => compared(left > right),
        BinaryOp::GreaterOrEqual => compared(left >= right),
        BinaryOp::And | BinaryOp::If => kept(!right.is_nan()),
        BinaryOp::Unless | BinaryOp::IfNot => kept(right.is_nan()),
        BinaryOp::Or | BinaryOp::Default => {
            if left.is_nan() {
                right
            } else {
                left
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::expand;

    #[test]
    fn numbers_are_put_together() {
        let cases = [
            ("1 + 2 * 3", "7"),
            ("-2 ^ 2", "-4"),
            ("2 ^ 3 ^ 2", "512"),
            ("(1 + 2) * m", "3 * m"),
            ("m * 2 * 3", "(m * 2) * 3"),
            ("1 > 2", "NaN"),
            ("3 >= bool 2", "1"),
            ("NaN default 5", "5"),
            ("5 if (1 > 2)", "NaN"),
            ("WITH (rt = 234 + 234) 2 * rt + m", "936 + m"),
            ("WITH (q(x, y) = x + y) q(1, q(2, 3))", "6"),
            ("rate(m[5m] offset 1h) > 60 * 60", "rate(m[5m] offset 1h) > 3600"),
            ("m @ (1 + 2)", "m @ 3"),
            ("sum(1 + 1, m) by (a)", "sum(2, m) by(a)"),
            ("(m + 1) * (2)", "(m + 1) * 2"),
            ("-(m)", "-m"),
            ("1 + on() 2", "1 + on() 2"),
        ];
        for (text, want) in cases {
            assert_eq!(expand(text).as_deref(), Ok(want), "{text:?}");
        }
    }
}
