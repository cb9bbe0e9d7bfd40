//! The way over a tree.

use crate::ast::{At, Expr, ExprKind, Filter, Rollup, Template};

impl Expr {
    /// Calls `visit` with each direct child, in the order of writing.
    pub fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::Duration(_) | ExprKind::Text(_) | ExprKind::Selector(_) => {}
            ExprKind::Rollup(rollup) => rollup.for_each_child(visit),
            ExprKind::Call(call) => call.args.iter().for_each(visit),
            ExprKind::Aggregate(aggregate) => aggregate.args.iter().for_each(visit),
            ExprKind::Binary(binary) => [&binary.left, &binary.right].into_iter().for_each(visit),
            ExprKind::Negate(inner) | ExprKind::Plus(inner) | ExprKind::Paren(inner) => visit(inner),
            ExprKind::Union(members) => members.iter().for_each(visit),
            ExprKind::Template(template) => template.for_each_child(visit),
        }
    }

    /// Calls `visit` with this expression and all below it, a parent before its children.
    pub fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(self);
        self.for_each_child(&mut |child| child.for_each(visit));
    }

    /// What stands in parentheses, however many; else the expression itself.
    pub fn without_parens(&self) -> &Expr {
        match &self.kind {
            ExprKind::Paren(inner) => inner.without_parens(),
            _ => self,
        }
    }
}

impl Rollup {
    fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(&self.inner);
        let step = self.subquery.as_ref().and_then(|subquery| subquery.step.as_ref());
        let time = match &self.at {
            Some(At::Time(time)) => Some(time),
            _ => None,
        };
        [self.window.as_ref(), step, self.offset.as_ref(), time].into_iter().flatten().for_each(visit);
    }
}

impl Template {
    fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Self::With { definitions, body } => {
                definitions.iter().for_each(|definition| visit(&definition.body));
                visit(body);
            }
            Self::Pattern { any_of, .. } => {
                for filter in any_of.iter().flatten() {
                    if let Filter::Matcher { value, .. } = filter {
                        visit(value);
                    }
                }
            }
        }
    }
}
