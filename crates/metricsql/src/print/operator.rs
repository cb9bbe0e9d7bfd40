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
        self.in_parens(out, keeps && self.style == Style::Compact, |out| self.operation(out, binary));
        out.push_str(if keeps { " keep_metric_names" } else { "" });
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
            self.in_parens(out, needs, |out| self.expr(out, operand));
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
        if self.style == Style::Compact {
            return compact_needs_parens(operand.without_parens());
        }
        match &operand.kind {
            ExprKind::Binary(child) => {
                let (mine, parents) = (child.op.precedence(), parent.op.precedence());
                let natural = if parent.op.is_right_associative() { Side::Right } else { Side::Left };
                let steals_keep = side == Side::Right && parent.keep_metric_names && !child.keep_metric_names;
                mine < parents || (mine == parents && side != natural) || steals_keep
            }
            ExprKind::Negate(_) | ExprKind::Plus(_) => {
                let is_tighter = parent.op.precedence() > BinaryOp::UNARY_PRECEDENCE;
                side == Side::Left && is_tighter
            }
            ExprKind::Call(call) => side == Side::Right && parent.keep_metric_names && !call.keep_metric_names,
            ExprKind::Template(template) => side == Side::Left && matches!(**template, Template::With { .. }),
            _ => false,
        }
    }

    pub(super) fn signed(&self, out: &mut String, sign: &str, inner: &Expr) {
        let plain = if self.style == Style::Compact { inner.without_parens() } else { inner };
        let needs = match &plain.kind {
            ExprKind::Binary(binary) => {
                self.style == Style::Compact
                    || binary.op.precedence() <= BinaryOp::UNARY_PRECEDENCE
                    || binary.keep_metric_names
            }
            _ => false,
        };
        out.push_str(sign);
        self.in_parens(out, needs, |out| self.expr(out, inner));
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
