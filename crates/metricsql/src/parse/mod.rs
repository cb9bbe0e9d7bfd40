//! Tokens → tree as it was written.
//!
//! 1. [`expr`]: operators by precedence climbing, signs, operands.
//! 2. [`call`]: functions, aggregations, `WITH`.
//! 3. [`selector`]: metric names and filters.
//! 4. [`suffix`]: `[…]`, `offset`, `@`, `anchored`, `smoothed` behind an operand.
//! 5. [`modifier`]: what stands between an operator and its right side.
//!
//! Every function begins at the first token of what it parses and ends behind the last one. `height` is always that of the tree that was parsed
//! last, so that no tree grows over [`HEIGHT_MAX`]; `nesting` bounds the parser's own recursion.

mod call;
mod expr;
mod modifier;
mod selector;
mod suffix;

use crate::{
    ast::{Expr, ExprKind, Span},
    error::ParseError,
    lex::{self, Kind, Token, unescape_name},
    options::{HEIGHT_MAX, NESTING_MAX, Options, TEXT_MAX},
};

pub(crate) use expr::fold_texts;
pub(crate) use selector::ordered;

/// The tree of `text` before expansion.
pub(crate) fn parse_written(text: &str, options: &Options) -> Result<Expr, ParseError> {
    if text.len() > TEXT_MAX {
        let message = format!("the expression has {} bytes, at most {TEXT_MAX} are read", text.len());
        return Err(ParseError::new(text, Span::default(), message));
    }
    let tokens = lex::tokens(text, options)?;
    let mut parser = Parser { text, tokens, at: 0, nesting: 0, height: 0, in_window: 0, options };
    if parser.peek() == &Kind::End {
        return Err(parser.error("no expression found"));
    }
    let expr = parser.expr()?;
    parser.expect(&Kind::End, "an operator or the end of the expression")?;
    Ok(expr)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    nesting: usize,
    /// The height of the tree that was parsed last.
    height: usize,
    /// How many brackets around a window are open: `min` and `max` are functions of lengths there.
    in_window: usize,
    options: &'a Options,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    fn peek_second(&self) -> &Kind {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + 1).min(last)].kind
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// Where the token before this one ends.
    fn end(&self) -> u32 {
        self.at.checked_sub(1).map_or(0, |before| self.tokens[before].span.end)
    }

    fn advance(&mut self) {
        // The last token is the end, nothing passes it.
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn take(&mut self, kind: &Kind) -> bool {
        let is_it = self.peek() == kind;
        if is_it {
            self.advance();
        }
        is_it
    }

    fn expect(&mut self, kind: &Kind, expected: &str) -> Result<(), ParseError> {
        if self.take(kind) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// The name at this token, as it was written.
    fn word(&self) -> Option<&'a str> {
        (self.peek() == &Kind::Name).then(|| self.source(self.span()))
    }

    /// Whether this token is the keyword, in any case.
    fn is_word(&self, keyword: &str) -> bool {
        self.word().is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }

    fn take_word(&mut self, keyword: &str) -> bool {
        let is_it = self.is_word(keyword);
        if is_it {
            self.advance();
        }
        is_it
    }

    /// The name at this token, without escapes; passes it.
    fn name(&mut self, expected: &str) -> Result<String, ParseError> {
        let word = self.word().ok_or_else(|| self.unexpected(expected))?;
        self.advance();
        Ok(unescape_name(word))
    }

    fn source(&self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.end as usize]
    }

    fn made(&self, start: u32, kind: ExprKind) -> Expr {
        Expr { kind, span: Span { start, end: self.end() } }
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.nesting == NESTING_MAX {
            return Err(self.error(format!("the expression is nested more than {NESTING_MAX} deep")));
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    /// Notes that a node stands over trees of at most this height.
    fn grow(&mut self, height_below: usize) -> Result<(), ParseError> {
        if height_below >= HEIGHT_MAX {
            return Err(self.error(format!("the expression has more than {HEIGHT_MAX} operations on one another")));
        }
        self.height = height_below + 1;
        Ok(())
    }

    fn unexpected(&self, expected: &str) -> ParseError {
        let found = match self.peek() {
            Kind::End => "the end of the expression".to_string(),
            _ => format!("{:?}", self.source(self.span())),
        };
        self.error(format!("found {found}, expected {expected}"))
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        self.error_at(self.span(), message)
    }

    fn error_at(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, span, message)
    }
}
