//! What can be known to be wrong with an expression before it is evaluated.
//!
//! 1. Every name of a function must be in the table of signatures of the dialect ([`signature`]); for one that is not, the nearest that is gets named.
//! 2. Dialect `promql` has types: each part of an expression has one, and functions, operators and ranges take what they are made for ([`promql`]).
//! 3. Dialect `metricsql` converts instead of refusing: only the number of arguments is fixed ([`metricsql`]).
//!
//! The words of errors are those that users of the two programs know.

mod metricsql;
mod nearest;
mod promql;
mod signature;
mod table;
#[cfg(test)]
mod tests;

use ::metricsql::{Expr, ParseError, Span};

use crate::api::{Dialect, QueryError};

/// What an expression comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A number at each instant.
    Scalar,
    /// Series with at most one sample at each instant.
    InstantVector,
    /// Series with the samples of a window.
    RangeVector,
    /// A text.
    Text,
}

impl Type {
    /// Its name in documents and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::InstantVector => "instant vector",
            Self::RangeVector => "range vector",
            Self::Text => "string",
        }
    }
}

/// The type of the whole expression, which `text` was parsed to, or the first thing that is wrong with it.
pub fn check(text: &str, expr: &Expr, dialect: Dialect, is_range: bool) -> Result<Type, QueryError> {
    let found = match dialect {
        Dialect::PromQl => promql::check(text, expr),
        Dialect::MetricsQl => metricsql::check(text, expr),
    };
    let found = found.map_err(|error| parse_error(dialect, &error))?;
    if dialect == Dialect::PromQl && is_range && !matches!(found, Type::Scalar | Type::InstantVector) {
        // No place in the text is named: it is right, but for a range.
        let name = found.name();
        let why = format!("invalid expression type {name:?} for range query, must be Scalar or instant Vector");
        return Err(QueryError::Parse(why));
    }
    Ok(found)
}

/// A parser's or check's error in the words of the dialect's program.
pub fn parse_error(dialect: Dialect, error: &ParseError) -> QueryError {
    QueryError::Parse(match dialect {
        Dialect::PromQl => format!("{}:{}: parse error: {}", error.line, error.column, error.message),
        Dialect::MetricsQl => error.to_string(),
    })
}

fn wrong<T>(text: &str, span: Span, message: impl Into<String>) -> Result<T, ParseError> {
    Err(ParseError::new(text, span, message))
}
