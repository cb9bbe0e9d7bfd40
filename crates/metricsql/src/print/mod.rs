//! Tree → text.
//!
//! [`Style::Canonical`] is one line whose tree is that of the expression again. The two others are those that users of the two languages know;
//! [`pretty`] breaks their lines where they get too long.

mod name;
mod number;
mod operator;
mod pretty;
mod selector;

pub use name::quote;
pub(crate) use pretty::pretty;

use std::fmt;

use crate::ast::{Aggregate, At, Call, Definition, Expr, ExprKind, Grouping, Rollup, Smoothing, Template};
use name::{label, name};

/// How a tree is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// One line, parentheses as they are in the tree.
    Canonical,
    /// Groupings in front, those without labels only where they mean something, filters sorted, durations normalized, lines up to 100 characters: as
    /// `format_query` of Prometheus has it.
    Spacious,
    /// Groupings behind, an operation in an operation always in parentheses, lines up to 80 characters: as `/prettify-query` of VictoriaMetrics has
    /// it.
    Compact,
}

/// Writes trees in a style.
#[derive(Clone, Copy)]
pub(crate) struct Printer<'a> {
    pub style: Style,
    /// The text that the tree's places are in: numbers and durations are then written as they are there.
    pub source: Option<&'a str>,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        Printer { style: Style::Canonical, source: None }.expr(&mut out, self);
        f.write_str(&out)
    }
}

impl Printer<'_> {
    /// One line.
    pub(crate) fn line(&self, expr: &Expr) -> String {
        let mut out = String::new();
        self.expr(&mut out, expr);
        out
    }

    fn expr(&self, out: &mut String, expr: &Expr) {
        match &expr.kind {
            ExprKind::Number(value) => self.number(out, *value, expr.span),
            ExprKind::Duration(parts) => self.duration(out, parts, expr.span),
            ExprKind::Text(text) => out.push_str(&quote(text)),
            ExprKind::Selector(selector) => self.selector(out, selector),
            ExprKind::Rollup(rollup) => self.rollup(out, rollup),
            ExprKind::Call(call) => self.call(out, call),
            ExprKind::Aggregate(aggregate) => self.aggregate(out, aggregate),
            ExprKind::Binary(binary) => self.binary(out, binary),
            ExprKind::Negate(inner) => self.signed(out, "-", inner),
            ExprKind::Plus(inner) => self.signed(out, "+", inner),
            ExprKind::Paren(inner) => self.wrapped(out, self.style != Style::Compact, inner),
            ExprKind::Union(members) => self.list(out, members),
            ExprKind::Template(template) => self.template(out, template),
        }
    }

    fn list(&self, out: &mut String, exprs: &[Expr]) {
        out.push('(');
        for (at, expr) in exprs.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { ", " });
            self.expr(out, expr);
        }
        out.push(')');
    }

    /// The expression, in parentheses if it needs them where it stands. An operation that keeps names has its own.
    fn wrapped(&self, out: &mut String, needs: bool, expr: &Expr) {
        let has_own = matches!(&expr.kind, ExprKind::Binary(binary) if binary.keep_metric_names);
        let needs = needs && (self.style == Style::Compact || !has_own);
        out.push_str(if needs { "(" } else { "" });
        self.expr(out, expr);
        out.push_str(if needs { ")" } else { "" });
    }

    fn call(&self, out: &mut String, call: &Call) {
        out.push_str(&name(&call.name));
        self.list(out, &call.args);
        out.push_str(if call.keep_metric_names { " keep_metric_names" } else { "" });
    }

    fn aggregate(&self, out: &mut String, aggregate: &Aggregate) {
        self.aggregate_head(out, aggregate);
        self.list(out, &aggregate.args);
        self.aggregate_tail(out, aggregate);
    }

    /// What stands in front of the arguments.
    fn aggregate_head(&self, out: &mut String, aggregate: &Aggregate) {
        out.push_str(&aggregate.name);
        let means_nothing = self.style == Style::Spacious
            && matches!(&aggregate.grouping, Some(Grouping::By(labels)) if labels.is_empty());
        if self.style != Style::Compact && aggregate.grouping.is_some() && !means_nothing {
            self.grouping(out, aggregate.grouping.as_ref());
            out.push(' ');
        }
    }

    /// What stands behind them.
    fn aggregate_tail(&self, out: &mut String, aggregate: &Aggregate) {
        if self.style == Style::Compact {
            self.grouping(out, aggregate.grouping.as_ref());
        }
        if let Some(limit) = aggregate.limit {
            out.push_str(&format!(" limit {limit}"));
        }
    }

    fn grouping(&self, out: &mut String, grouping: Option<&Grouping>) {
        match grouping {
            None => {}
            Some(Grouping::By(labels)) => self.labels(out, " by", labels),
            Some(Grouping::Without(labels)) => self.labels(out, " without", labels),
        }
    }

    /// ` word (a, b)`.
    fn labels(&self, out: &mut String, word: &str, labels: &[String]) {
        let is_compact = self.style == Style::Compact;
        out.push_str(word);
        out.push_str(if is_compact { "(" } else { " (" });
        for (at, written) in labels.iter().enumerate() {
            out.push_str(match at {
                0 => "",
                _ if is_compact => ",",
                _ => ", ",
            });
            out.push_str(&if written == "*" { written.clone() } else { label(written) });
        }
        out.push(')');
    }

    fn rollup(&self, out: &mut String, rollup: &Rollup) {
        self.wrapped(out, self.inner_needs_parens(rollup), &rollup.inner);
        self.rollup_tail(out, rollup);
    }

    fn inner_needs_parens(&self, rollup: &Rollup) -> bool {
        let inner = if self.style == Style::Compact { rollup.inner.without_parens() } else { &rollup.inner };
        match &inner.kind {
            ExprKind::Binary(_) | ExprKind::Negate(_) | ExprKind::Plus(_) => true,
            ExprKind::Rollup(_) => self.style == Style::Compact || rollup.window.is_none() && rollup.subquery.is_none(),
            ExprKind::Aggregate(aggregate) => self.style == Style::Compact && aggregate.grouping.is_some(),
            ExprKind::Template(template) => matches!(**template, Template::With { .. }),
            _ => false,
        }
    }

    fn rollup_tail(&self, out: &mut String, rollup: &Rollup) {
        if rollup.window.is_some() || rollup.subquery.is_some() {
            out.push('[');
            if let Some(window) = &rollup.window {
                self.length(out, window);
            }
            if let Some(subquery) = &rollup.subquery {
                out.push(':');
                if let Some(step) = &subquery.step {
                    self.length(out, step);
                }
            }
            out.push(']');
        }
        out.push_str(match rollup.smoothing {
            None => "",
            Some(Smoothing::Anchored) => " anchored",
            Some(Smoothing::Smoothed) => " smoothed",
        });
        if self.style == Style::Compact {
            self.offset(out, rollup);
            self.at(out, rollup);
        } else {
            self.at(out, rollup);
            self.offset(out, rollup);
        }
    }

    fn offset(&self, out: &mut String, rollup: &Rollup) {
        let Some(offset) = &rollup.offset else { return };
        out.push_str(" offset ");
        let (sign, length) = match &offset.kind {
            ExprKind::Negate(length) => ("-", &**length),
            ExprKind::Plus(length) => ("+", &**length),
            _ => ("", offset),
        };
        out.push_str(sign);
        let plain = if self.style == Style::Compact { length.without_parens() } else { length };
        match &plain.kind {
            ExprKind::Binary(_) | ExprKind::Negate(_) | ExprKind::Plus(_) => self.wrapped(out, true, length),
            _ => self.length(out, length),
        }
    }

    fn at(&self, out: &mut String, rollup: &Rollup) {
        match &rollup.at {
            None => {}
            Some(At::Start) => out.push_str(" @ start()"),
            Some(At::End) => out.push_str(" @ end()"),
            Some(At::Time(time)) => {
                out.push_str(" @ ");
                let (sign, time) = match &time.kind {
                    ExprKind::Negate(time) => ("-", &**time),
                    ExprKind::Plus(time) => ("+", &**time),
                    _ => ("", time),
                };
                out.push_str(sign);
                let plain = if self.style == Style::Compact { time.without_parens() } else { time };
                let needs = match &plain.kind {
                    ExprKind::Binary(_) | ExprKind::Negate(_) | ExprKind::Plus(_) | ExprKind::Rollup(_) => true,
                    ExprKind::Template(template) => matches!(**template, Template::With { .. }),
                    // Without parentheses it is a word of `@`, not a function.
                    ExprKind::Call(call) if sign.is_empty() && call.args.is_empty() => {
                        ["start", "end"].iter().any(|word| call.name.eq_ignore_ascii_case(word))
                    }
                    _ => false,
                };
                self.wrapped(out, needs, time);
            }
        }
    }

    fn template(&self, out: &mut String, template: &Template) {
        match template {
            Template::Pattern { name, any_of } => self.pattern(out, name.as_deref(), any_of),
            Template::With { definitions, body } => {
                out.push_str("WITH (");
                for (at, definition) in definitions.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    self.definition_head(out, definition);
                    self.expr(out, &definition.body);
                }
                out.push_str(") ");
                self.expr(out, body);
            }
        }
    }

    fn definition_head(&self, out: &mut String, definition: &Definition) {
        out.push_str(&name(&definition.name));
        if let Some(params) = &definition.params {
            let params: Vec<_> = params.iter().map(|param| name(param)).collect();
            out.push_str(&format!("({})", params.join(", ")));
        }
        out.push_str(" = ");
    }
}
