//! What stands between an operator and its right side, in this order:
//! `bool`, `on (…)` or `ignoring (…)`, `group_left (…)` or `group_right (…)`, `prefix "…"`, `fill (…)`, `fill_left (…)`, `fill_right (…)`.

use super::Parser;
use crate::{
    ast::{Binary, BinaryOp, Expr, ExprKind, Fill, Group, GroupSide, Matching, Span},
    error::ParseError,
    lex::{Kind, unescape_name},
};

impl Parser<'_> {
    /// The operator with its modifiers; its sides are set by the caller.
    pub(super) fn modifiers(&mut self, op: BinaryOp) -> Result<Binary, ParseError> {
        let nothing = || Expr { kind: ExprKind::Union(Vec::new()), span: Span::default() };
        let returns_bool = self.returns_bool(op)?;
        let matching = self.matching()?;
        let group = self.group(matching.is_some())?;
        let fill = self.fill()?;
        Ok(Binary { returns_bool, matching, group, fill, ..Binary::plain(nothing(), op, nothing()) })
    }

    fn returns_bool(&mut self, op: BinaryOp) -> Result<bool, ParseError> {
        if !self.is_word("bool") {
            return Ok(false);
        }
        if !op.is_comparison() {
            return Err(self.error("bool modifier can only be used on comparison operators"));
        }
        self.advance();
        Ok(true)
    }

    fn matching(&mut self) -> Result<Option<Matching>, ParseError> {
        let make: fn(Vec<String>) -> Matching = match self.word() {
            Some(word) if word.eq_ignore_ascii_case("on") => Matching::On,
            Some(word) if word.eq_ignore_ascii_case("ignoring") => Matching::Ignoring,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(make(self.labels(false)?)))
    }

    fn group(&mut self, has_matching: bool) -> Result<Option<Group>, ParseError> {
        let side = match self.word() {
            Some(word) if word.eq_ignore_ascii_case("group_left") => GroupSide::Left,
            Some(word) if word.eq_ignore_ascii_case("group_right") => GroupSide::Right,
            _ => return Ok(None),
        };
        if !has_matching {
            return Err(self.unexpected("on (…) or ignoring (…) in front of group_left and group_right"));
        }
        self.advance();
        let labels = if self.peek() == &Kind::ParenOpen { self.labels(true)? } else { Vec::new() };
        let prefix = self.prefix()?;
        Ok(Some(Group { side, labels, prefix }))
    }

    fn prefix(&mut self) -> Result<Option<String>, ParseError> {
        if !self.is_word("prefix") || !matches!(self.peek_second(), Kind::Text(_)) {
            return Ok(None);
        }
        self.advance();
        let mut prefix = String::new();
        while let Kind::Text(text) = self.peek() {
            prefix.push_str(text);
            self.advance();
            // Texts that are added belong to the prefix also where other sums of texts are kept as they are written: the operand behind it
            // would be another one.
            if self.peek() != &Kind::Add || !matches!(self.peek_second(), Kind::Text(_)) {
                break;
            }
            self.advance();
        }
        Ok(Some(prefix))
    }

    fn fill(&mut self) -> Result<Fill, ParseError> {
        let mut fill = Fill::default();
        while self.peek_second() == &Kind::ParenOpen {
            let Some(word) = self.word().map(str::to_ascii_lowercase) else { break };
            let (left, right) = match &*word {
                "fill" => (true, true),
                "fill_left" => (true, false),
                "fill_right" => (false, true),
                _ => break,
            };
            if (left && fill.left.is_some()) || (right && fill.right.is_some()) {
                return Err(self.error(format!("{word} sets a side again that has its value already")));
            }
            self.advance();
            let value = self.fill_value()?;
            fill.left = fill.left.or(left.then_some(value));
            fill.right = fill.right.or(right.then_some(value));
        }
        Ok(fill)
    }

    fn fill_value(&mut self) -> Result<f64, ParseError> {
        self.expect(&Kind::ParenOpen, "\"(\"")?;
        let value = self.signed_number()?;
        self.expect(&Kind::ParenClose, "\")\"")?;
        Ok(value)
    }

    fn signed_number(&mut self) -> Result<f64, ParseError> {
        let negative = self.take(&Kind::Subtract);
        if !negative {
            self.take(&Kind::Add);
        }
        let value = match self.peek() {
            Kind::Number(value) => *value,
            Kind::Duration(parts) => crate::duration_millis(parts, 0.0) / 1e3,
            Kind::Name if self.is_word("inf") => f64::INFINITY,
            Kind::Name if self.is_word("nan") => f64::NAN,
            _ => return Err(self.unexpected("a number")),
        };
        self.advance();
        Ok(if negative { -value } else { value })
    }

    /// `(a, "b", …)`, or `(*)` if `star`.
    pub(super) fn labels(&mut self, star: bool) -> Result<Vec<String>, ParseError> {
        self.expect(&Kind::ParenOpen, "\"(\" and label names")?;
        if star && self.take(&Kind::Multiply) {
            self.expect(&Kind::ParenClose, "\")\"")?;
            return Ok(vec!["*".to_string()]);
        }
        let mut labels = Vec::new();
        while !self.take(&Kind::ParenClose) {
            labels.push(self.label()?);
            if !self.take(&Kind::Comma) && self.peek() != &Kind::ParenClose {
                return Err(self.unexpected("\",\" or \")\" in a list of labels"));
            }
        }
        Ok(labels)
    }

    fn label(&mut self) -> Result<String, ParseError> {
        let label = match self.peek() {
            Kind::Name => unescape_name(self.source(self.span())),
            Kind::Text(text) if !text.is_empty() => text.clone(),
            _ => return Err(self.unexpected("the name of a label")),
        };
        self.advance();
        Ok(label)
    }
}
