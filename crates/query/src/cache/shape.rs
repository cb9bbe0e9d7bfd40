//! Which expressions come to values that depend on their own instant only, so that some points may come from a former answer.
//!
//! 1. At the leaves stand rollups of one metric, or folds of rollups over their series. Whether their values are local shows when they are evaluated.
//! 2. Above them stand functions and operators with numbers that make nothing of nothing.
//! 3. Two folds with the same grouping may be put together: no two series of a side have the same labels.
//! 4. Everything else looks at several points or at which series there are, and is no such expression.

use metricsql::{Aggregate, Binary, BinaryOp, Call, Expr, ExprKind, Grouping, Rollup};

use crate::{
    api::Dialect,
    dialect,
    eval::name_of,
    functions::fold::FoldKind,
    rollup::{is_rollup, series_argument},
};

/// Functions of one value that give nothing for nothing.
const OF_ONE_VALUE: [&str; 8] = ["abs", "ceil", "exp", "floor", "ln", "log10", "log2", "sqrt"];

/// What an expression comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape<'e> {
    /// The series of a selector.
    Series,
    /// The groups of a fold.
    Groups(Option<&'e Grouping>),
    /// Something else of which nothing more is known.
    Other,
}

/// What a former answer of an expression must tell to be of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// That folds came to the same groups.
    pub same_groups: bool,
}

/// What is needed to take points of an expression from a former answer; `None` if that cannot be.
pub fn needs(expr: &Expr, dialect: Dialect) -> Option<Needs> {
    let mut finder = Finder { dialect, needs: Needs { same_groups: false } };
    finder.shape(expr)?;
    Some(finder.needs)
}

struct Finder {
    dialect: Dialect,
    needs: Needs,
}

impl Finder {
    fn shape<'e>(&mut self, expr: &'e Expr) -> Option<Shape<'e>> {
        match &expr.kind {
            ExprKind::Paren(inner) | ExprKind::Plus(inner) | ExprKind::Negate(inner) => self.shape(inner),
            ExprKind::Selector(_) | ExprKind::Rollup(_) => {
                (self.is_rollup(expr) && has_one_name(expr)).then_some(Shape::Series)
            }
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate),
            ExprKind::Binary(binary) => self.binary(binary),
            ExprKind::Call(call) => self.call(call, expr),
            _ => None,
        }
    }

    /// Whether it is a rollup of a selector over windows that lie on the grid.
    fn is_rollup(&self, expr: &Expr) -> bool {
        match &expr.without_parens().kind {
            ExprKind::Selector(_) => true,
            ExprKind::Rollup(rollup) => is_plain(rollup),
            ExprKind::Call(call) => {
                let name = dialect::function_name(self.dialect, &call.name);
                let place = series_argument(self.dialect, &name, call.args.len());
                let over = call.args.get(place).map(|arg| &arg.without_parens().kind);
                is_rollup(self.dialect, &name)
                    && name != "absent_over_time"
                    && call.args.len() == 1
                    && !call.keep_metric_names
                    && match over {
                        Some(ExprKind::Selector(_)) => true,
                        Some(ExprKind::Rollup(rollup)) => is_plain(rollup),
                        _ => false,
                    }
            }
            _ => false,
        }
    }

    fn aggregate<'e>(&mut self, aggregate: &'e Aggregate) -> Option<Shape<'e>> {
        let kind = FoldKind::of(self.dialect, &aggregate.name)?;
        let [arg] = aggregate.args.as_slice() else { return None };
        // States of other folds are merged with rounding: one in which a series had no sample makes a difference.
        let is_exact = match kind {
            FoldKind::Sum | FoldKind::Min | FoldKind::Max | FoldKind::Count | FoldKind::Group => true,
            FoldKind::Avg => self.dialect == Dialect::MetricsQl,
            _ => false,
        };
        if !is_exact || aggregate.limit.is_some() {
            return None;
        }
        if self.is_rollup(arg) {
            return Some(Shape::Groups(aggregate.grouping.as_ref()));
        }
        // What is aggregated as a whole does not tell its groups.
        (self.shape(arg)? == Shape::Series).then_some(Shape::Other)
    }

    fn binary<'e>(&mut self, binary: &'e Binary) -> Option<Shape<'e>> {
        let is_bare = binary.matching.is_none()
            && binary.group.is_none()
            && binary.fill == metricsql::Fill::default()
            && !binary.keep_metric_names
            && !binary.returns_bool;
        let is_arithmetic =
            matches!(binary.op, BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide);
        let is_comparison = matches!(
            binary.op,
            BinaryOp::Equal | BinaryOp::Less | BinaryOp::LessOrEqual | BinaryOp::Greater | BinaryOp::GreaterOrEqual
        );
        if !is_bare || !(is_arithmetic || is_comparison) {
            return None;
        }
        match (is_number(&binary.left), is_number(&binary.right)) {
            (false, true) => self.shape(&binary.left),
            (true, false) => self.shape(&binary.right),
            (true, true) => None,
            (false, false) => match (self.shape(&binary.left)?, self.shape(&binary.right)?) {
                (Shape::Groups(left), Shape::Groups(right)) if left == right && is_arithmetic => {
                    self.needs.same_groups |= left.is_some();
                    Some(Shape::Groups(left))
                }
                _ => None,
            },
        }
    }

    fn call<'e>(&mut self, call: &'e Call, expr: &'e Expr) -> Option<Shape<'e>> {
        if self.is_rollup(expr) {
            return call.args.first().is_some_and(has_one_name).then_some(Shape::Series);
        }
        let name = dialect::function_name(self.dialect, &call.name);
        match call.args.as_slice() {
            [arg] if OF_ONE_VALUE.contains(&&*name) && !call.keep_metric_names => self.shape(arg),
            [number, arg] if name == "histogram_quantile" && is_number(number) => {
                let ExprKind::Aggregate(aggregate) = &arg.without_parens().kind else { return None };
                self.needs.same_groups = true;
                matches!(self.aggregate(aggregate)?, Shape::Groups(_)).then_some(Shape::Other)
            }
            _ => None,
        }
    }
}

/// A range of a selector of constant length, shifted by a constant time at most.
fn is_plain(rollup: &Rollup) -> bool {
    let is_constant = |length: &Option<Expr>| {
        length.as_ref().is_none_or(|length| {
            matches!(length.without_parens().kind, ExprKind::Number(_) | ExprKind::Duration(_) | ExprKind::Negate(_))
        })
    };
    matches!(rollup.inner.without_parens().kind, ExprKind::Selector(_))
        && rollup.subquery.is_none()
        && rollup.at.is_none()
        && rollup.smoothing.is_none()
        && is_constant(&rollup.window)
        && is_constant(&rollup.offset)
}

/// Whether all series have the same metric name, so that they differ without it.
fn has_one_name(expr: &Expr) -> bool {
    match &expr.without_parens().kind {
        ExprKind::Selector(selector) => name_of(selector).is_some(),
        ExprKind::Rollup(rollup) => has_one_name(&rollup.inner),
        _ => false,
    }
}

fn is_number(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) => true,
        ExprKind::Paren(inner) | ExprKind::Negate(inner) | ExprKind::Plus(inner) => is_number(inner),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs_of(text: &str) -> Option<Needs> {
        needs(
            &metricsql::parse(text, &metricsql::Options::default()).expect("tests write expressions"),
            Dialect::MetricsQl,
        )
    }

    #[test]
    fn expressions_of_their_own_instant_are_told_apart() {
        for text in ["m", "rate(m[5m])", "sum by (a) (rate(m[5m] offset 1h)) * 100 > 5", "sum(m) / sum(n)", "-abs(m)"] {
            assert_eq!(needs_of(text), Some(Needs { same_groups: false }), "{text}");
        }
        for text in ["histogram_quantile(0.9, sum by (le) (rate(m[5m])))", "sum by (a) (m) / sum by (a) (n)"] {
            assert_eq!(needs_of(text), Some(Needs { same_groups: true }), "{text}");
        }
        for text in [
            "m @ 5",
            "{job=\"a\"}",
            "m + n",
            "m or n",
            "topk(3, m)",
            "sum by (a) (m) / sum by (b) (n)",
            "max_over_time(sum(m)[1h:1m])",
            "m ^ 0",
            "sum(m) > bool 3",
            "sum(m) by (a) limit 3",
            "stddev(m)",
            "running_sum(m)",
            "time()",
            "m default 0",
        ] {
            assert_eq!(needs_of(text), None, "{text}");
        }
    }
}
