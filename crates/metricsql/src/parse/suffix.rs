//! What may stand behind an operand: `[window]`, `[window:step]`, `offset`, `@`, `anchored`, `smoothed`.
//!
//! All that stands behind one operand goes into one [`Rollup`], in whatever order; a second `[…]` begins the next one around it, which is how
//! `m offset 1h [1d:5m]` is a subquery over shifted values.

use super::Parser;
use crate::{
    ast::{At, Call, Expr, ExprKind, Rollup, Smoothing, Subquery},
    error::ParseError,
    lex::Kind,
};

impl Parser<'_> {
    pub(super) fn operand_with_suffixes(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let operand = self.operand()?;
        let mut height = self.height;
        let mut rollup = empty(operand);
        loop {
            let is_window = self.peek() == &Kind::BracketOpen;
            if is_window && is_set(&rollup) {
                self.grow(height)?;
                height = self.height;
                rollup = empty(self.made(start, ExprKind::Rollup(Box::new(rollup))));
            }
            if !self.suffix(&mut rollup)? {
                break;
            }
            height = height.max(self.height);
        }
        if !is_set(&rollup) {
            self.height = height;
            return Ok(rollup.inner);
        }
        self.grow(height)?;
        Ok(self.made(start, ExprKind::Rollup(Box::new(rollup))))
    }

    /// One suffix, if there is one.
    fn suffix(&mut self, rollup: &mut Rollup) -> Result<bool, ParseError> {
        self.height = 0;
        if self.take(&Kind::BracketOpen) {
            self.nested(|parser| parser.window(rollup))?;
        } else if self.is_word("offset") {
            self.not_yet(rollup.offset.is_some(), "offset may not be set multiple times")?;
            self.advance();
            rollup.offset = Some(self.nested(Self::shift)?);
        } else if self.peek() == &Kind::At {
            self.not_yet(rollup.at.is_some(), "@ <timestamp> may not be set multiple times")?;
            self.advance();
            rollup.at = Some(self.nested(Self::at_time)?);
        } else if self.is_word("anchored") || self.is_word("smoothed") {
            self.not_yet(rollup.smoothing.is_some(), "anchored and smoothed modifiers cannot be used together")?;
            rollup.smoothing = Some(if self.is_word("anchored") { Smoothing::Anchored } else { Smoothing::Smoothed });
            self.advance();
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn not_yet(&self, is_set: bool, message: &str) -> Result<(), ParseError> {
        if is_set { Err(self.error(message)) } else { Ok(()) }
    }

    fn window(&mut self, rollup: &mut Rollup) -> Result<(), ParseError> {
        self.in_window += 1;
        let mut height = 0;
        if self.peek() != &Kind::Colon {
            rollup.window = Some(self.expr()?);
            height = self.height;
        }
        if self.take(&Kind::Colon) {
            let has_step = self.peek() != &Kind::BracketClose;
            let step = if has_step { Some(self.expr()?) } else { None };
            height = height.max(if has_step { self.height } else { 0 });
            rollup.subquery = Some(Subquery { step });
        }
        self.height = height;
        self.in_window -= 1;
        self.expect(&Kind::BracketClose, "\":\" or \"]\" behind a length of time")
    }

    /// A length with or without a sign; longer expressions stand in parentheses.
    fn shift(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let sign: Option<fn(Box<Expr>) -> ExprKind> = match self.peek() {
            Kind::Subtract => Some(ExprKind::Negate),
            Kind::Add => Some(ExprKind::Plus),
            _ => None,
        };
        if sign.is_some() {
            self.advance();
        }
        if !matches!(self.peek(), Kind::Number(_) | Kind::Duration(_) | Kind::Name | Kind::ParenOpen) {
            return Err(self.unexpected("a number, a duration, step() or range() behind offset"));
        }
        self.in_window += 1;
        let length = self.operand();
        self.in_window -= 1;
        let length = length?;
        let Some(sign) = sign else { return Ok(length) };
        self.grow(self.height)?;
        Ok(self.made(start, sign(Box::new(length))))
    }

    fn at_time(&mut self) -> Result<At, ParseError> {
        let start = self.span().start;
        let sign: fn(Box<Expr>) -> ExprKind = match self.peek() {
            Kind::Subtract => ExprKind::Negate,
            Kind::Add => ExprKind::Plus,
            _ => return Ok(at_operand(self.operand()?)),
        };
        self.advance();
        let time = self.operand()?;
        self.grow(self.height)?;
        Ok(At::Time(self.made(start, sign(Box::new(time)))))
    }
}

fn at_operand(time: Expr) -> At {
    match &time.kind {
        ExprKind::Call(Call { name, args, keep_metric_names: false }) if args.is_empty() => {
            match &*name.to_ascii_lowercase() {
                "start" => At::Start,
                "end" => At::End,
                _ => At::Time(time),
            }
        }
        _ => At::Time(time),
    }
}

fn empty(inner: Expr) -> Rollup {
    Rollup { inner, window: None, subquery: None, offset: None, at: None, smoothing: None }
}

fn is_set(rollup: &Rollup) -> bool {
    let Rollup { inner: _, window, subquery, offset, at, smoothing } = rollup;
    window.is_some() || subquery.is_some() || offset.is_some() || at.is_some() || smoothing.is_some()
}
