//! Operators and signs.

use super::{Printer, Style, quote};
use crate::ast::{Binary, BinaryOp, Expr, ExprKind, Fill, GroupSide, Matching, Template};

/// On which side of an operator an operand stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Printer<'_> {
    pub(super) fn binary(&self, out: &mut String, binary: &Binary) {
        let keeps = binary.keep_metric_names;
        out.push_str(if keeps { "(" } else { "" });
        self.operation(out, binary);
        out.push_str(if keeps { ") keep_metric_names" } else { "" });
    }

    /// Without `keep_metric_names`.
    pub(super) fn operation(&self, out: &mut String, binary: &Binary) {
        for (side, operand) in [(Side::Left, &binary.left), (Side::Right, &binary.right)] {
            if side == Side::Right {
                out.push(' ');
                self.operator(out, binary);
                out.push(' ');
            }
            let needs = self.operand_needs_parens(binary, operand, side);
            self.wrapped(out, needs, operand);
        }
    }

    /// The operator with its modifiers.
    pub(super) fn operator(&self, out: &mut String, binary: &Binary) {
        let is_compact = self.style == Style::Compact;
        out.push_str(binary.op.text());
        if binary.returns_bool {
            out.push_str(if is_compact { "bool" } else { " bool" });
        }
        match &binary.matching {
            None => {}
            // `group_left` and `group_right` stand behind it.
            Some(Matching::Ignoring(labels))
                if labels.is_empty() && binary.group.is_none() && self.style == Style::Spacious => {}
            Some(Matching::On(labels)) => self.labels(out, " on", labels),
            Some(Matching::Ignoring(labels)) => self.labels(out, " ignoring", labels),
        }
        if let Some(group) = &binary.group {
            let word = match group.side {
                GroupSide::Left => " group_left",
                GroupSide::Right => " group_right",
            };
            self.labels(out, word, &group.labels);
            if let Some(prefix) = &group.prefix {
                out.push_str(" prefix ");
                out.push_str(&quote(prefix));
            }
        }
        self.fill(out, binary.fill);
    }

    fn fill(&self, out: &mut String, fill: Fill) {
        let same = |left: f64, right: f64| left.to_bits() == right.to_bits();
        let mut write = |word: &str, value: f64| {
            out.push_str(word);
            self.number(out, value, Default::default());
            out.push(')');
        };
        match (fill.left, fill.right) {
            (Some(left), Some(right)) if same(left, right) => write(" fill (", left),
            (left, right) => {
                left.into_iter().for_each(|value| write(" fill_left (", value));
                right.into_iter().for_each(|value| write(" fill_right (", value));
            }
        }
    }

    pub(super) fn operand_needs_parens(&self, parent: &Binary, operand: &Expr, side: Side) -> bool {
        let is_compact = self.style == Style::Compact;
        let operand = if is_compact { operand.without_parens() } else { operand };
        match &operand.kind {
            // A sign would take the whole power for itself.
            ExprKind::Negate(_) | ExprKind::Plus(_) => {
                side == Side::Left && parent.op.precedence() > BinaryOp::UNARY_PRECEDENCE
            }
            _ if is_compact => compact_needs_parens(operand),
            ExprKind::Binary(child) => {
                let (mine, parents) = (child.op.precedence(), parent.op.precedence());
                let natural = if parent.op.is_right_associative() { Side::Right } else { Side::Left };
                mine < parents || (mine == parents && side != natural)
            }
            ExprKind::Template(template) => side == Side::Left && matches!(**template, Template::With { .. }),
            _ => false,
        }
    }

    pub(super) fn signed(&self, out: &mut String, sign: &str, inner: &Expr) {
        out.push_str(sign);
        match inner.kind {
            // Prometheus makes one number of it.
            ExprKind::Number(f64::INFINITY) if self.style == Style::Spacious => out.push_str("Inf"),
            _ => self.wrapped(out, self.signed_needs_parens(inner), inner),
        }
    }

    pub(super) fn signed_needs_parens(&self, inner: &Expr) -> bool {
        let is_compact = self.style == Style::Compact;
        let plain = if is_compact { inner.without_parens() } else { inner };
        match &plain.kind {
            ExprKind::Binary(binary) => is_compact || binary.op.precedence() <= BinaryOp::UNARY_PRECEDENCE,
            _ => false,
        }
    }
}

/// An operation, and what would take a suffix or `keep_metric_names` for itself.
fn compact_needs_parens(operand: &Expr) -> bool {
    match &operand.kind {
        ExprKind::Binary(_) => true,
        ExprKind::Rollup(rollup) => rollup.offset.is_some() || rollup.at.is_some(),
        ExprKind::Call(call) => call.keep_metric_names,
        ExprKind::Template(template) => matches!(**template, Template::With { .. }),
        _ => false,
    }
}
