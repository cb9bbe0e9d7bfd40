//! Metric names and filters: `m`, `m{a="b"}`, `{"m", a="b" or c="d"}`, `{template, a="x" + y}`.

use model::{METRIC_NAME, MatchOp, Matcher, Selector};

use super::{Parser, fold_texts};
use crate::{
    ast::{Binary, BinaryOp, Expr, ExprKind, Filter, Span, Template},
    error::ParseError,
    lex::{Kind, unescape_name},
};

impl Parser<'_> {
    pub(super) fn selector(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let name = match self.word() {
            Some(_) => Some(self.name("the name of a metric")?),
            None => None,
        };
        let mut any_of = if self.peek() == &Kind::BraceOpen { self.filters()? } else { Vec::new() };
        if any_of.is_empty() && name.is_some() {
            any_of.push(Vec::new());
        }
        if self.options.metric_name_once {
            self.check_name_once(start, name.as_deref(), &any_of)?;
        }
        self.height = 1;
        Ok(self.made(start, selector_kind(name, any_of)))
    }

    /// `{…}`; no alternative at all if nothing stands in it.
    fn filters(&mut self) -> Result<Vec<Vec<Filter>>, ParseError> {
        self.advance();
        if self.take(&Kind::BraceClose) {
            return Ok(Vec::new());
        }
        let mut any_of = vec![Vec::new()];
        loop {
            let filter = self.filter()?;
            any_of.last_mut().expect("BUG: there is an alternative").push(filter);
            if self.take(&Kind::Comma) && self.peek() != &Kind::BraceClose {
                continue;
            }
            if self.take(&Kind::BraceClose) {
                return Ok(any_of);
            }
            if !self.take_word("or") {
                return Err(self.unexpected("\",\", \"or\" or \"}\" behind a filter"));
            }
            any_of.push(Vec::new());
        }
    }

    fn filter(&mut self) -> Result<Filter, ParseError> {
        let span = self.span();
        let (label, is_quoted) = match self.peek() {
            Kind::Name => (unescape_name(self.source(span)), false),
            Kind::Text(text) => (text.clone(), true),
            _ => return Err(self.unexpected("the name of a label or \"}\"")),
        };
        self.advance();
        let Some(op) = self.match_op() else {
            let ends = matches!(self.peek(), Kind::Comma | Kind::BraceClose) || self.is_word("or");
            return match ends {
                true if is_quoted => Ok(name_filter(label, span)),
                true => Ok(Filter::Template(label, span)),
                false => Err(self.unexpected("\"=\", \"!=\", \"=~\" or \"!~\"")),
            };
        };
        self.advance();
        let value = self.filter_value()?;
        Ok(Filter::Matcher { label, op, value })
    }

    fn match_op(&self) -> Option<MatchOp> {
        Some(match self.peek() {
            Kind::Assign => MatchOp::Equal,
            Kind::NotEqual => MatchOp::NotEqual,
            Kind::MatchRegex => MatchOp::Regex,
            Kind::NotMatchRegex => MatchOp::NotRegex,
            _ => return None,
        })
    }

    /// Texts and names of templates, joined by `+`.
    fn filter_value(&mut self) -> Result<Expr, ParseError> {
        let mut value = self.filter_part()?;
        let mut height = 1;
        while self.take(&Kind::Add) {
            let right = self.filter_part()?;
            let start = value.span.start;
            self.grow(height)?;
            height = self.height;
            value = self.made(start, fold_texts(Binary::plain(value, BinaryOp::Add, right)));
        }
        Ok(value)
    }

    fn filter_part(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let kind = match self.peek() {
            Kind::Text(text) => ExprKind::Text(text.clone()),
            Kind::Name => selector_kind(Some(unescape_name(self.source(self.span()))), vec![Vec::new()]),
            _ => return Err(self.unexpected("a text")),
        };
        self.advance();
        Ok(self.made(start, kind))
    }

    fn check_name_once(&self, start: u32, name: Option<&str>, any_of: &[Vec<Filter>]) -> Result<(), ParseError> {
        let Some(name) = name else { return Ok(()) };
        for filter in any_of.iter().flatten() {
            if let Filter::Matcher { label, value, .. } = filter
                && label == METRIC_NAME
            {
                let second = match &value.kind {
                    ExprKind::Text(text) => text.as_str(),
                    _ => "",
                };
                let span = self.made(start, ExprKind::Union(Vec::new())).span;
                let message = format!("metric name must not be set twice: {name:?} or {second:?}");
                return Err(self.error_at(span, message));
            }
        }
        Ok(())
    }
}

fn name_filter(name: String, span: Span) -> Filter {
    let value = Expr { kind: ExprKind::Text(name), span };
    Filter::Matcher { label: METRIC_NAME.to_string(), op: MatchOp::Equal, value }
}

/// A selector if all filters are complete, else a pattern that templates complete.
fn selector_kind(name: Option<String>, any_of: Vec<Vec<Filter>>) -> ExprKind {
    let is_complete =
        |filter: &Filter| matches!(filter, Filter::Matcher { value: Expr { kind: ExprKind::Text(_), .. }, .. });
    if any_of.iter().flatten().all(is_complete) {
        let all_of = |filters: Vec<Filter>| {
            let matchers = filters.into_iter().filter_map(complete).collect();
            ordered(name.as_deref(), matchers)
        };
        return ExprKind::Selector(Selector { any_of: any_of.into_iter().map(all_of).collect() });
    }
    ExprKind::Template(Box::new(Template::Pattern { name, any_of }))
}

fn complete(filter: Filter) -> Option<Matcher> {
    match filter {
        Filter::Matcher { label, op, value: Expr { kind: ExprKind::Text(value), .. } } => {
            Some(Matcher::new(label, op, value))
        }
        _ => None,
    }
}

/// The matchers of one alternative: the metric name first, the same one never twice.
pub(crate) fn ordered(name: Option<&str>, matchers: Vec<Matcher>) -> Vec<Matcher> {
    let is_name = |matcher: &Matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal;
    let mut ordered: Vec<Matcher> = name.map(|name| Matcher::equal(METRIC_NAME, name)).into_iter().collect();
    let inner_name = matchers.iter().position(|matcher| ordered.is_empty() && is_name(matcher));
    ordered.extend(inner_name.map(|at| matchers[at].clone()));
    for matcher in matchers {
        if !ordered.contains(&matcher) {
            ordered.push(matcher);
        }
    }
    ordered
}
