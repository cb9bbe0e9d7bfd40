//! Templates in selectors and in lists of labels.

use model::{METRIC_NAME, MatchOp, Matcher, Selector};

use super::{Bound, Expander};
use crate::{
    ast::{Expr, ExprKind, Filter, Span},
    error::ParseError,
    parse::ordered,
};

impl<'a> Expander<'a> {
    /// The selector of a pattern.
    pub(super) fn completed(
        &mut self,
        name: Option<&str>,
        any_of: &'a [Vec<Filter>],
        scope: Option<usize>,
    ) -> Result<Selector, ParseError> {
        let mut completed = Vec::with_capacity(any_of.len());
        for filters in any_of {
            let mut matchers = Vec::with_capacity(filters.len());
            for filter in filters {
                self.filter(filter, scope, &mut matchers)?;
            }
            completed.push(ordered(name, matchers));
        }
        Ok(Selector { any_of: completed })
    }

    fn filter(&mut self, filter: &'a Filter, scope: Option<usize>, into: &mut Vec<Matcher>) -> Result<(), ParseError> {
        match filter {
            Filter::Matcher { label, op, value } => {
                let text = match self.expr(value, scope)?.kind {
                    ExprKind::Text(text) => text,
                    _ => return Err(self.error(value.span, "expected a text or a template that is a text")),
                };
                into.push(Matcher::new(label.clone(), *op, text));
                Ok(())
            }
            Filter::Template(name, span) => {
                let Some(found) = self.find(name, scope) else {
                    let message =
                        format!("no template {name:?} is defined; expected \"=\", \"!=\", \"=~\" or \"!~\" behind it");
                    return Err(self.error(*span, message));
                };
                let template = self.instance(found, Some(Vec::new()), *span)?;
                match unwrapped(template).kind {
                    ExprKind::Selector(mut selector)
                        if selector.any_of.len() <= 1 && metric_name(&selector).is_none() =>
                    {
                        into.extend(selector.any_of.pop().unwrap_or_default());
                        Ok(())
                    }
                    _ => Err(self.error(
                        *span,
                        format!("the template {name:?} must be {{…}} without a metric and without \"or\""),
                    )),
                }
            }
        }
    }

    /// A selector whose metric may be a template.
    pub(super) fn selector(
        &mut self,
        selector: Selector,
        scope: Option<usize>,
        span: Span,
    ) -> Result<Expr, ParseError> {
        let found = metric_name(&selector).and_then(|name| self.find(name, scope));
        let Some(found) = found.filter(|found| self.takes_nothing(*found)) else {
            return self.made(ExprKind::Selector(selector), span, 0);
        };
        let template = self.instance(found, None, span)?;
        if selector.any_of.iter().all(|matchers| matchers.len() == 1) {
            return Ok(template);
        }
        let mut template = unwrapped(template);
        let inner = match &mut template.kind {
            ExprKind::Selector(inner) => Some(inner),
            ExprKind::Rollup(rollup) => match &mut rollup.inner.kind {
                ExprKind::Selector(inner) => Some(inner),
                _ => None,
            },
            _ => None,
        };
        let Some(inner) = inner else {
            return Err(self.error(span, "filters stand behind a template that is no selector"));
        };
        let Some(merged) = merged(inner, &selector) else {
            return Err(self.error(span, "\"or\" stands both in the template and behind it"));
        };
        *inner = merged;
        Ok(template)
    }

    /// A mere name is not a template that has parameters.
    fn takes_nothing(&self, found: usize) -> bool {
        match &self.scopes[found].bound {
            Bound::Value { .. } => true,
            Bound::Template(definition) => definition.params.as_ref().is_none_or(Vec::is_empty),
        }
    }

    /// Labels in which a template stands for one or, as `(a, b)`, for some.
    pub(super) fn labels(
        &mut self,
        labels: &[String],
        scope: Option<usize>,
        span: Span,
    ) -> Result<Vec<String>, ParseError> {
        let mut expanded: Vec<String> = Vec::with_capacity(labels.len());
        let mut any = false;
        for label in labels {
            let found = self.find(label, scope).filter(|found| self.takes_nothing(*found));
            let Some(found) = found else {
                expanded.push(label.clone());
                continue;
            };
            any = true;
            let template = self.instance(found, None, span)?;
            let Some(names) = label_names(&template) else {
                return Err(self.error(span, format!("the template {label:?} must be a label or a list of labels")));
            };
            expanded.extend(names);
        }
        if any {
            let mut seen = Vec::new();
            expanded.retain(|label| {
                let is_new = !seen.contains(label);
                seen.extend(is_new.then(|| label.clone()));
                is_new
            });
        }
        Ok(expanded)
    }
}

/// The name of the metric, if it is the same in all alternatives.
pub(crate) fn metric_name(selector: &Selector) -> Option<&str> {
    let name_of = |matchers: &'_ Vec<Matcher>| -> Option<String> {
        let first = matchers.first()?;
        (first.name == METRIC_NAME && first.op == MatchOp::Equal).then(|| first.value.clone())
    };
    let name = name_of(selector.any_of.first()?)?;
    let is_common = selector.any_of.iter().all(|matchers| name_of(matchers).as_ref() == Some(&name));
    is_common.then(|| &*selector.any_of[0][0].value)
}

/// The filters of both; `None` if both have alternatives.
fn merged(template: &Selector, behind: &Selector) -> Option<Selector> {
    let mut first = template.any_of.clone();
    if first.is_empty() {
        first.push(Vec::new());
    }
    if first.len() > 1 && behind.any_of.len() > 1 {
        return None;
    }
    let mut any_of = Vec::new();
    for left in &first {
        for right in &behind.any_of {
            // The first matcher behind is the name of the template.
            let matchers = left.iter().chain(&right[1..]).cloned().collect();
            any_of.push(ordered(None, matchers));
        }
    }
    Some(Selector { any_of })
}

fn unwrapped(expr: Expr) -> Expr {
    match expr.kind {
        ExprKind::Paren(inner) => unwrapped(*inner),
        _ => expr,
    }
}

fn label_names(expr: &Expr) -> Option<Vec<String>> {
    match &expr.kind {
        ExprKind::Selector(selector) => match selector.any_of.as_slice() {
            [matchers] if matchers.len() == 1 => metric_name(selector).map(|name| vec![name.to_string()]),
            _ => None,
        },
        ExprKind::Text(text) => Some(vec![text.clone()]),
        ExprKind::Paren(inner) => label_names(inner),
        ExprKind::Union(members) => {
            members.iter().map(label_names).collect::<Option<Vec<_>>>().map(|names| names.concat())
        }
        _ => None,
    }
}
