//! Operators, signs and operands.
//!
//! Precedence climbing: an operand is followed by operators that bind at least as tightly as asked for; the right side of each is parsed with what
//! binds tighter than it (as tightly, for `^`). A sign binds as `*` does: `-a ^ b` is `-(a ^ b)`, `-a * b` is `(-a) * b`. `keep_metric_names`
//! behind a right side belongs to the operator that has just got it.

use super::Parser;
use crate::{
    ast::{Binary, BinaryOp, Expr, ExprKind},
    error::ParseError,
    lex::Kind,
};

impl Parser<'_> {
    /// An expression up to what cannot belong to it.
    pub(super) fn expr(&mut self) -> Result<Expr, ParseError> {
        self.nested(|parser| parser.binary(0))
    }

    fn binary(&mut self, precedence_min: u8) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let mut left = self.signed()?;
        let mut height = self.height;
        while let Some(op) = self.operator().filter(|op| op.precedence() >= precedence_min) {
            self.advance();
            let mut binary = self.modifiers(op)?;
            let right_min = if op.is_right_associative() { op.precedence() } else { op.precedence() + 1 };
            binary.right = self.nested(|parser| parser.binary(right_min))?;
            binary.left = left;
            binary.keep_metric_names = self.take_word("keep_metric_names");
            let keeps = binary.keep_metric_names;
            self.grow(height.max(self.height))?;
            left = self.made(start, self.folded(binary));
            if keeps {
                // As it is meant: `a * (b + c) keep_metric_names` is `a * ((b + c) keep_metric_names)`.
                self.grow(self.height)?;
                left = self.made(start, ExprKind::Paren(Box::new(left)));
            }
            height = self.height;
        }
        self.height = height;
        Ok(left)
    }

    fn folded(&self, binary: Binary) -> ExprKind {
        if self.options.folds_texts { fold_texts(binary) } else { ExprKind::Binary(Box::new(binary)) }
    }

    fn operator(&self) -> Option<BinaryOp> {
        Some(match self.peek() {
            Kind::Equal => BinaryOp::Equal,
            Kind::NotEqual => BinaryOp::NotEqual,
            Kind::Less => BinaryOp::Less,
            Kind::LessOrEqual => BinaryOp::LessOrEqual,
            Kind::Greater => BinaryOp::Greater,
            Kind::GreaterOrEqual => BinaryOp::GreaterOrEqual,
            Kind::Add => BinaryOp::Add,
            Kind::Subtract => BinaryOp::Subtract,
            Kind::Multiply => BinaryOp::Multiply,
            Kind::Divide => BinaryOp::Divide,
            Kind::Modulo => BinaryOp::Modulo,
            Kind::Power => BinaryOp::Power,
            Kind::Name => BinaryOp::from_word(self.source(self.span()))?,
            _ => return None,
        })
    }

    fn signed(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let sign: fn(Box<Expr>) -> ExprKind = match self.peek() {
            Kind::Subtract => ExprKind::Negate,
            Kind::Add => ExprKind::Plus,
            _ => return self.operand_with_suffixes(),
        };
        self.advance();
        let inner = self.nested(|parser| parser.binary(BinaryOp::UNARY_PRECEDENCE + 1))?;
        self.grow(self.height)?;
        Ok(self.made(start, sign(Box::new(inner))))
    }

    /// What needs no other operand: literals, names, parentheses.
    pub(super) fn operand(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let kind = match self.peek().clone() {
            Kind::Number(value) => ExprKind::Number(value),
            Kind::Duration(parts) => ExprKind::Duration(parts),
            Kind::Text(text) => ExprKind::Text(text),
            Kind::Name => return self.named(),
            Kind::BraceOpen => return self.selector(),
            Kind::ParenOpen => return self.parentheses(),
            _ => return Err(self.unexpected("a number, a text, a name, \"(\", \"{\" or a sign")),
        };
        self.advance();
        self.height = 1;
        Ok(self.made(start, kind))
    }

    fn parentheses(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let mut inside = self.arguments()?;
        let kind = if inside.len() == 1 {
            let mut inner = inside.pop().expect("BUG: one was counted");
            match &mut inner.kind {
                ExprKind::Binary(binary) => binary.keep_metric_names |= self.take_word("keep_metric_names"),
                // A sum of texts was an operation as well, before it was put together; a text has no name to keep.
                ExprKind::Text(_) => _ = self.take_word("keep_metric_names"),
                _ => {}
            }
            ExprKind::Paren(Box::new(inner))
        } else {
            ExprKind::Union(inside)
        };
        Ok(self.made(start, kind))
    }

    /// `(a, b, …)` with or without a comma at the end; the height is that of a node over them.
    pub(super) fn arguments(&mut self) -> Result<Vec<Expr>, ParseError> {
        self.expect(&Kind::ParenOpen, "\"(\"")?;
        let mut arguments = Vec::new();
        let mut height = 0;
        while !self.take(&Kind::ParenClose) {
            arguments.push(self.expr()?);
            height = height.max(self.height);
            if !self.take(&Kind::Comma) && self.peek() != &Kind::ParenClose {
                return Err(self.unexpected("an operator, \",\" or \")\""));
            }
        }
        self.grow(height)?;
        Ok(arguments)
    }
}

/// `"a" + "b"` as one text, a comparison of two texts as the number it comes to; everything else as it is.
pub(crate) fn fold_texts(binary: Binary) -> ExprKind {
    let plain = binary.matching.is_none();
    let (Some(left), Some(right), true) = (as_text(&binary.left), as_text(&binary.right), plain) else {
        return ExprKind::Binary(Box::new(binary));
    };
    let holds = match binary.op {
        BinaryOp::Add => return ExprKind::Text(format!("{left}{right}")),
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Less => left < right,
        BinaryOp::LessOrEqual => left <= right,
        BinaryOp::Greater => left > right,
        BinaryOp::GreaterOrEqual => left >= right,
        _ => return ExprKind::Binary(Box::new(binary)),
    };
    ExprKind::Number(match (holds, binary.returns_bool) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        (false, false) => f64::NAN,
    })
}

fn as_text(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Text(text) => Some(text),
        ExprKind::Paren(inner) => as_text(inner),
        _ => None,
    }
}
