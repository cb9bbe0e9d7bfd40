//! Expressions over several lines.
//!
//! 1. What fits into the width of the style, its indentation included, is written on one line.
//! 2. Else it is broken at its outermost node: the arguments of a call each on lines of their own, an operator between its sides, filters inside
//!    of their braces. Then the parts are looked at in the same way.

use model::Selector;

use super::{Printer, Style, operator::Side};
use crate::ast::{Binary, Definition, Expr, ExprKind, Rollup, Template};

const INDENT: &str = "  ";

/// The expression over as many lines as it needs.
pub(crate) fn pretty(printer: &Printer<'_>, expr: &Expr) -> String {
    let mut out = String::new();
    printer.pretty(&mut out, expr, 0);
    out
}

impl Printer<'_> {
    fn width(&self) -> usize {
        if self.style == Style::Compact { 80 } else { 100 }
    }

    fn fits(&self, line: &str, depth: usize) -> bool {
        // The wide style counts the text alone.
        let indent = if self.style == Style::Compact { depth * INDENT.len() } else { 0 };
        line.chars().count() + indent <= self.width()
    }

    fn pretty(&self, out: &mut String, expr: &Expr, depth: usize) {
        let line = self.line(expr);
        if self.fits(&line, depth) {
            indent(out, depth);
            return out.push_str(&line);
        }
        match &expr.kind {
            ExprKind::Paren(inner) => self.pretty_in_parens(out, self.style != Style::Compact, inner, depth),
            ExprKind::Binary(binary) => self.pretty_binary(out, binary, depth),
            ExprKind::Call(call) => {
                indent(out, depth);
                out.push_str(&super::name(&call.name));
                self.pretty_list(out, &call.args, depth);
                out.push_str(if call.keep_metric_names { " keep_metric_names" } else { "" });
            }
            ExprKind::Aggregate(aggregate) => {
                indent(out, depth);
                self.aggregate_head(out, aggregate);
                self.pretty_list(out, &aggregate.args, depth);
                self.aggregate_tail(out, aggregate);
            }
            ExprKind::Union(members) => {
                indent(out, depth);
                self.pretty_list(out, members, depth);
            }
            ExprKind::Rollup(rollup) => self.pretty_rollup(out, rollup, depth),
            ExprKind::Negate(inner) => self.pretty_signed(out, "-", inner, depth),
            ExprKind::Plus(inner) => self.pretty_signed(out, "+", inner, depth),
            ExprKind::Selector(selector) if self.style == Style::Compact => self.pretty_selector(out, selector, depth),
            ExprKind::Template(template) => self.pretty_template(out, template, &line, depth),
            _ => {
                indent(out, depth);
                out.push_str(&line);
            }
        }
    }

    fn pretty_in_parens(&self, out: &mut String, needs: bool, expr: &Expr, depth: usize) {
        let has_own = matches!(&expr.kind, ExprKind::Binary(binary) if binary.keep_metric_names);
        if !needs || (has_own && self.style != Style::Compact) {
            return self.pretty(out, expr, depth);
        }
        let line = format!("({})", self.line(expr));
        if self.style == Style::Compact && self.fits(&line, depth) {
            indent(out, depth);
            return out.push_str(&line);
        }
        self.pretty_paren(out, expr, depth);
    }

    fn pretty_paren(&self, out: &mut String, inner: &Expr, depth: usize) {
        indent(out, depth);
        out.push_str("(\n");
        self.pretty(out, inner, depth + 1);
        out.push('\n');
        indent(out, depth);
        out.push(')');
    }

    fn pretty_binary(&self, out: &mut String, binary: &Binary, depth: usize) {
        if !binary.keep_metric_names {
            return self.pretty_operation(out, binary, depth);
        }
        indent(out, depth);
        out.push_str("(\n");
        self.pretty_operation(out, binary, depth + 1);
        out.push('\n');
        indent(out, depth);
        out.push_str(") keep_metric_names");
    }

    /// The compact style indents the operator, the wide one its sides.
    fn pretty_operation(&self, out: &mut String, binary: &Binary, depth: usize) {
        let is_compact = self.style == Style::Compact;
        let (sides, operator) = if is_compact { (depth, depth + 1) } else { (depth + 1, depth) };
        let needs = |operand, side| self.operand_needs_parens(binary, operand, side);
        self.pretty_in_parens(out, needs(&binary.left, Side::Left), &binary.left, sides);
        out.push('\n');
        indent(out, operator);
        self.operator(out, binary);
        out.push('\n');
        self.pretty_in_parens(out, needs(&binary.right, Side::Right), &binary.right, sides);
    }

    fn pretty_list(&self, out: &mut String, exprs: &[Expr], depth: usize) {
        out.push_str("(\n");
        for (at, expr) in exprs.iter().enumerate() {
            self.pretty(out, expr, depth + 1);
            out.push_str(if at + 1 < exprs.len() { ",\n" } else { "\n" });
        }
        indent(out, depth);
        out.push(')');
    }

    fn pretty_rollup(&self, out: &mut String, rollup: &Rollup, depth: usize) {
        let needs = self.inner_needs_parens(rollup);
        self.pretty_in_parens(out, needs, &rollup.inner, depth);
        self.rollup_tail(out, rollup);
    }

    fn pretty_signed(&self, out: &mut String, sign: &str, inner: &Expr, depth: usize) {
        let needs = self.signed_needs_parens(inner);
        let mut behind = String::new();
        self.pretty_in_parens(&mut behind, needs, inner, depth);
        indent(out, depth);
        out.push_str(sign);
        out.push_str(behind.trim_start_matches(' '));
    }

    fn pretty_selector(&self, out: &mut String, selector: &Selector, depth: usize) {
        let (name, alternatives) = self.selector_parts(selector);
        indent(out, depth);
        out.push_str(&name);
        if alternatives.is_empty() {
            return;
        }
        out.push_str("{\n");
        for (at, filters) in alternatives.iter().enumerate() {
            if at > 0 {
                indent(out, depth + 2);
                out.push_str("or\n");
            }
            let line = filters.join(",");
            let lines = if self.fits(&line, depth + 1) { vec![line] } else { filters.clone() };
            for (at, line) in lines.iter().enumerate() {
                indent(out, depth + 1);
                out.push_str(line);
                out.push_str(if at + 1 < lines.len() { ",\n" } else { "\n" });
            }
        }
        indent(out, depth);
        out.push('}');
    }

    fn pretty_template(&self, out: &mut String, template: &Template, line: &str, depth: usize) {
        indent(out, depth);
        let Template::With { definitions, body } = template else { return out.push_str(line) };
        out.push_str("WITH (\n");
        for definition in definitions {
            self.pretty_definition(out, definition, depth + 1);
            out.push_str(",\n");
        }
        indent(out, depth);
        out.push_str(")\n");
        self.pretty(out, body, depth);
    }

    fn pretty_definition(&self, out: &mut String, definition: &Definition, depth: usize) {
        indent(out, depth);
        let mut head = String::new();
        self.definition_head(&mut head, definition);
        let line = self.line(&definition.body);
        if self.fits(&format!("{head}{line}"), depth) {
            out.push_str(&head);
            return out.push_str(&line);
        }
        out.push_str(&head);
        out.push_str("(\n");
        self.pretty(out, &definition.body, depth + 1);
        out.push('\n');
        indent(out, depth);
        out.push(')');
    }
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str(INDENT);
    }
}
