//! What an operator makes of two numbers.

use metricsql::BinaryOp;

use crate::frame::{ABSENT, is_absent};

/// What becomes of a pair of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number is computed.
    Arithmetic,
    /// A number is kept or not.
    Comparison,
    /// Samples are taken for being there or not.
    Set,
}

pub(super) fn kind(op: BinaryOp) -> Kind {
    use BinaryOp as Op;
    match op {
        Op::Default | Op::If | Op::IfNot | Op::Or | Op::And | Op::Unless => Kind::Set,
        Op::Equal | Op::NotEqual | Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual => Kind::Comparison,
        Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Modulo | Op::Atan2 | Op::Power => Kind::Arithmetic,
    }
}

pub(super) fn symbol(op: BinaryOp) -> &'static str {
    use BinaryOp as Op;
    match op {
        Op::Default => "default",
        Op::If => "if",
        Op::IfNot => "ifnot",
        Op::Or => "or",
        Op::And => "and",
        Op::Unless => "unless",
        Op::Equal => "==",
        Op::NotEqual => "!=",
        Op::Less => "<",
        Op::LessOrEqual => "<=",
        Op::Greater => ">",
        Op::GreaterOrEqual => ">=",
        Op::Add => "+",
        Op::Subtract => "-",
        Op::Multiply => "*",
        Op::Divide => "/",
        Op::Modulo => "%",
        Op::Atan2 => "atan2",
        Op::Power => "^",
    }
}

/// Puts every value together with its partner, which is the left one if `swapped`. Every operator has a loop of its own, since a call a value would cost more
/// than the operation.
pub(super) fn compute<'p>(
    op: BinaryOp,
    values: &mut [f64],
    partners: impl IntoIterator<Item = &'p f64>,
    swapped: bool,
) {
    match op {
        BinaryOp::Add => zip(values, partners, swapped, |a, b| a + b),
        BinaryOp::Subtract => zip(values, partners, swapped, |a, b| a - b),
        BinaryOp::Multiply => zip(values, partners, swapped, |a, b| a * b),
        BinaryOp::Divide => zip(values, partners, swapped, |a, b| a / b),
        other => zip(values, partners, swapped, arithmetic(other)),
    }
}

/// As [`compute`]; where one of both is absent, nothing comes out.
pub(super) fn compute_samples(op: BinaryOp, values: &mut [f64], partners: &[f64], swapped: bool) {
    match op {
        BinaryOp::Add => zip_samples(values, partners, swapped, |a, b| a + b),
        BinaryOp::Subtract => zip_samples(values, partners, swapped, |a, b| a - b),
        BinaryOp::Multiply => zip_samples(values, partners, swapped, |a, b| a * b),
        BinaryOp::Divide => zip_samples(values, partners, swapped, |a, b| a / b),
        other => zip_samples(values, partners, swapped, arithmetic(other)),
    }
}

/// Replaces every value by what `map` makes of it and its partner.
pub(super) fn zip<'p>(
    values: &mut [f64],
    partners: impl IntoIterator<Item = &'p f64>,
    swapped: bool,
    map: impl Fn(f64, f64) -> f64,
) {
    let pairs = values.iter_mut().zip(partners);
    if swapped {
        pairs.for_each(|(value, partner)| *value = map(*partner, *value));
    } else {
        pairs.for_each(|(value, partner)| *value = map(*value, *partner));
    }
}

/// As [`zip`]; where one of both is absent, nothing comes out.
pub(super) fn zip_samples(values: &mut [f64], partners: &[f64], swapped: bool, map: impl Fn(f64, f64) -> f64) {
    zip(values, partners, swapped, |a, b| if is_absent(a) || is_absent(b) { ABSENT } else { map(a, b) });
}

/// The function of an arithmetic operator.
pub(super) fn arithmetic(op: BinaryOp) -> fn(f64, f64) -> f64 {
    match op {
        BinaryOp::Add => |a, b| a + b,
        BinaryOp::Subtract => |a, b| a - b,
        BinaryOp::Multiply => |a, b| a * b,
        BinaryOp::Divide => |a, b| a / b,
        BinaryOp::Modulo => |a, b| a % b,
        BinaryOp::Atan2 => f64::atan2,
        // The power of what is absent, a signalling NaN, is one as of any other NaN: with an exponent of zero it is 1.
        BinaryOp::Power => |a, b| quiet(a).powf(quiet(b)),
        other => unreachable!("BUG: {other:?} computes nothing"),
    }
}

fn quiet(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// Whether a comparison holds, with NaN unequal to everything.
pub(super) fn compare(op: BinaryOp) -> fn(f64, f64) -> bool {
    match op {
        BinaryOp::Equal => |a, b| a == b,
        BinaryOp::NotEqual => |a, b| a != b,
        BinaryOp::Less => |a, b| a < b,
        BinaryOp::LessOrEqual => |a, b| a <= b,
        BinaryOp::Greater => |a, b| a > b,
        BinaryOp::GreaterOrEqual => |a, b| a >= b,
        other => unreachable!("BUG: {other:?} compares nothing"),
    }
}

/// Whether a comparison holds, with nothing equal to nothing (dialect `metricsql`).
pub(super) fn compare_absence(op: BinaryOp) -> fn(f64, f64) -> bool {
    match op {
        BinaryOp::Equal => |a, b| a == b || (a.is_nan() && b.is_nan()),
        BinaryOp::NotEqual => |a, b| a != b && !(a.is_nan() && b.is_nan()),
        other => compare(other),
    }
}
