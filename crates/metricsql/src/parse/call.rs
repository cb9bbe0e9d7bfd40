//! What begins with a name: numbers that are words, `WITH`, functions, aggregations; everything else is a metric.

use super::Parser;
use crate::{
    ast::{Aggregate, Call, Definition, Expr, ExprKind, Grouping, Template},
    error::ParseError,
    lex::{Kind, unescape_name},
    names::is_aggregate,
};

/// Functions of lengths of time.
const OF_LENGTHS: [&str; 2] = ["min", "max"];

impl Parser<'_> {
    pub(super) fn named(&mut self) -> Result<Expr, ParseError> {
        let word = self.word().ok_or_else(|| self.unexpected("a name"))?;
        let is_called = self.peek_second() == &Kind::ParenOpen;
        if let Some(number) = word_number(word) {
            let start = self.span().start;
            self.advance();
            self.height = 1;
            return Ok(self.made(start, ExprKind::Number(number)));
        }
        let is_length = self.in_window > 0 && OF_LENGTHS.iter().any(|name| word.eq_ignore_ascii_case(name));
        if is_aggregate(word) && !is_length && (is_called || self.grouping_follows()) {
            return self.aggregate();
        }
        match is_called {
            true if word.eq_ignore_ascii_case("with") => self.with(),
            true => self.call(),
            false => self.selector(),
        }
    }

    fn call(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let name = self.name("the name of a function")?;
        let args = self.arguments()?;
        let keep_metric_names = self.take_word("keep_metric_names");
        Ok(self.made(start, ExprKind::Call(Call { name, args, keep_metric_names })))
    }

    /// Whether `by (` or `without (` stands behind this name.
    fn grouping_follows(&self) -> bool {
        let [_, word, bracket, ..] = &self.tokens[self.at..] else { return false };
        let text = self.source(word.span);
        let is_keyword = text.eq_ignore_ascii_case("by") || text.eq_ignore_ascii_case("without");
        is_keyword && bracket.kind == Kind::ParenOpen
    }

    fn aggregate(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let name = self.name("the name of an aggregation")?.to_ascii_lowercase();
        let mut grouping = self.grouping()?;
        let args = self.arguments()?;
        let behind = self.span();
        if let Some(second) = self.grouping()? {
            if grouping.is_some() {
                return Err(self.error_at(behind, "an aggregation is grouped twice"));
            }
            grouping = Some(second);
        }
        let limit = self.limit()?;
        Ok(self.made(start, ExprKind::Aggregate(Aggregate { name, args, grouping, limit })))
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        if self.take_word("by") {
            return Ok(Some(Grouping::By(self.labels(false)?)));
        }
        if self.take_word("without") {
            return Ok(Some(Grouping::Without(self.labels(false)?)));
        }
        Ok(None)
    }

    fn limit(&mut self) -> Result<Option<u64>, ParseError> {
        if !self.take_word("limit") {
            return Ok(None);
        }
        match self.peek() {
            Kind::Number(count) if *count >= 0.0 && count.fract() == 0.0 && *count < u64::MAX as f64 => {
                let limit = *count as u64;
                self.advance();
                Ok(Some(limit))
            }
            _ => Err(self.unexpected("a whole number behind limit")),
        }
    }

    fn with(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        self.advance();
        self.expect(&Kind::ParenOpen, "\"(\"")?;
        let mut definitions: Vec<Definition> = Vec::new();
        let mut height = 0;
        while !self.take(&Kind::ParenClose) {
            let place = self.span();
            let definition = self.definition()?;
            if definitions.iter().any(|other| other.name == definition.name) {
                let message = format!("the template {:?} is defined twice", definition.name);
                return Err(self.error_at(place, message));
            }
            definitions.push(definition);
            height = height.max(self.height);
            if !self.take(&Kind::Comma) && self.peek() != &Kind::ParenClose {
                return Err(self.unexpected("\",\" or \")\" behind a template"));
            }
        }
        let body = self.expr()?;
        self.grow(height.max(self.height))?;
        let template = Template::With { definitions, body };
        Ok(self.made(start, ExprKind::Template(Box::new(template))))
    }

    fn definition(&mut self) -> Result<Definition, ParseError> {
        let name = self.name("the name of a template")?;
        let params = if self.peek() == &Kind::ParenOpen { Some(self.params()?) } else { None };
        self.expect(&Kind::Assign, "\"=\"")?;
        let body = self.expr()?;
        Ok(Definition { name, params, body })
    }

    fn params(&mut self) -> Result<Vec<String>, ParseError> {
        let place = self.span();
        let params = self.labels(false)?;
        for (at, param) in params.iter().enumerate() {
            if params[..at].contains(param) {
                return Err(self.error_at(place, format!("the parameter {param:?} stands twice")));
            }
        }
        Ok(params)
    }
}

fn word_number(word: &str) -> Option<f64> {
    let word = unescape_word(word)?;
    if word.eq_ignore_ascii_case("inf") {
        return Some(f64::INFINITY);
    }
    word.eq_ignore_ascii_case("nan").then_some(f64::NAN)
}

/// A word with escapes is a name, whatever it spells.
fn unescape_word(word: &str) -> Option<&str> {
    (unescape_name(word) == word).then_some(word)
}
