//! Selectors.

use model::{METRIC_NAME, MatchOp, Matcher, Selector};

use super::{
    Printer, Style,
    name::{is_plain_metric, label, name, quote},
};
use crate::{
    ast::{ExprKind, Filter},
    expand::metric_name,
};

impl Printer<'_> {
    pub(super) fn selector(&self, out: &mut String, selector: &Selector) {
        let (name, alternatives) = self.selector_parts(selector);
        out.push_str(&name);
        if !alternatives.is_empty() || name.is_empty() {
            let joined: Vec<_> = alternatives.iter().map(|filters| filters.join(",")).collect();
            out.push_str(&format!("{{{}}}", joined.join(" or ")));
        }
    }

    /// What stands in front of the braces, and the filters inside of each alternative. No alternative means no braces.
    pub(super) fn selector_parts(&self, selector: &Selector) -> (String, Vec<Vec<String>>) {
        let name = metric_name(selector).unwrap_or_default();
        let has_filters = selector.any_of.iter().any(|matchers| matchers.len() > 1);
        let has_bare = selector.any_of.iter().any(|matchers| matchers.len() == 1);
        // An alternative cannot be empty, so one with the name alone has to write it.
        let in_front = is_plain_metric(name) && (selector.any_of.len() == 1 || !has_bare);
        if in_front && !has_filters {
            return (name.to_string(), Vec::new());
        }
        let skip = usize::from(in_front);
        let alternatives = selector.any_of.iter().map(|matchers| self.filters(&matchers[skip..])).collect();
        (if in_front { name.to_string() } else { String::new() }, alternatives)
    }

    fn filters(&self, matchers: &[Matcher]) -> Vec<String> {
        let mut written: Vec<_> = matchers.iter().map(filter).collect();
        if self.style == Style::Spacious {
            written.sort();
        }
        written
    }

    pub(super) fn pattern(&self, out: &mut String, name: Option<&str>, any_of: &[Vec<Filter>]) {
        let plain = name.filter(|name| is_plain_metric(name));
        out.push_str(plain.unwrap_or_default());
        out.push('{');
        for (at, filters) in any_of.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { " or " });
            let quoted = name.filter(|_| plain.is_none()).map(quote);
            let written: Vec<_> =
                quoted.into_iter().chain(filters.iter().map(|filter| self.open_filter(filter))).collect();
            out.push_str(&written.join(","));
        }
        out.push('}');
    }

    fn open_filter(&self, open: &Filter) -> String {
        match open {
            Filter::Template(template, _) => name(template),
            Filter::Matcher { label: written, op, value } => match &value.kind {
                ExprKind::Text(text) => filter(&Matcher::new(written.clone(), *op, text.clone())),
                _ => {
                    // A sum of texts, which needs no parentheses.
                    let value = Printer { style: Style::Canonical, ..*self }.line(value).replace(" + ", "+");
                    format!("{}{}{value}", label(written), op_text(*op))
                }
            },
        }
    }
}

fn filter(matcher: &Matcher) -> String {
    if matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal && !is_plain_metric(&matcher.value) {
        return quote(&matcher.value);
    }
    format!("{}{}{}", label(&matcher.name), op_text(matcher.op), quote(&matcher.value))
}

fn op_text(op: MatchOp) -> &'static str {
    match op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    }
}
