//! Text ↔ tree of the union of PromQL and MetricsQL.
//!
//! Architecture invariant: knows the language, and neither data nor what an expression means.
//!
//! 1. [`lex`] cuts a text into tokens. 2. [`mod@parse`] makes the tree as it was written. 3. [`mod@expand`] puts in what templates stand for.
//! 4. [`print`] makes text of a tree again.
//!
//! A tree is never higher than [`HEIGHT_MAX`], so whoever walks it may recurse.

mod ast;
mod duration;
mod error;
mod expand;
mod fold;
pub mod fuzz;
mod lex;
mod names;
mod options;
mod parse;
mod print;
mod walk;

pub use ast::{
    Aggregate, At, Binary, BinaryOp, Call, Definition, Expr, ExprKind, Fill, Filter, Group, GroupSide, Grouping,
    Matching, Rollup, Smoothing, Span, Subquery, Template, Unit,
};
pub use duration::duration_millis;
pub use error::ParseError;
pub use lex::stray_byte;
pub use names::{AGGREGATES, is_aggregate};
pub use options::{EXPANDED_NODES_MAX, HEIGHT_MAX, NESTING_MAX, Options, TEXT_MAX};
pub use print::quote;

use print::{Printer, Style, pretty};

/// The tree of `text`, templates expanded.
pub fn parse(text: &str, options: &Options) -> Result<Expr, ParseError> {
    let written = parse::parse_written(text, options)?;
    expand::expand(text, &written, options)
}

/// The tree of `text` as it was written, with its templates.
pub fn parse_written(text: &str, options: &Options) -> Result<Expr, ParseError> {
    parse::parse_written(text, options)
}

/// `text` with its templates expanded and its constants put together, in the style of VictoriaMetrics' `/expand-with-exprs`.
pub fn expand(text: &str) -> Result<String, ParseError> {
    let mut expr = parse(text, &Options::default())?;
    fold::fold(&mut expr);
    Ok(Printer { style: Style::Compact, source: None }.line(&expr))
}

/// `text` over as many lines as it needs, templates kept, in the style of VictoriaMetrics' `/prettify-query`.
pub fn prettify(text: &str) -> Result<String, ParseError> {
    let written = parse::parse_written(text, &Options { folds_texts: false, ..Options::default() })?;
    Ok(pretty(&Printer { style: Style::Compact, source: Some(text) }, &written))
}

/// `text` over as many lines as it needs, in the style of Prometheus' `format_query`.
pub fn format_query(text: &str) -> Result<String, ParseError> {
    let options = Options { folds_texts: false, predefined_templates: false, ..Options::default() };
    let expr = parse(text, &options)?;
    Ok(pretty(&Printer { style: Style::Spacious, source: None }, &expr))
}
