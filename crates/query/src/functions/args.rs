//! The arguments of a call, taken out one by one as what the function wants.

use metricsql::{Expr, ExprKind, Span};

use super::Context;
use crate::{
    api::{Dialect, QueryError},
    frame::{Operand, Row},
    labels::Labels,
};

/// Evaluated arguments.
pub(super) struct Args<'a> {
    pub(super) ctx: &'a Context<'a>,
    /// The name of the function as it was written.
    pub(super) name: &'a str,
    /// Where the call stands.
    pub(super) span: Span,
    /// Whether the call keeps metric names.
    pub(super) keeps_names: bool,
    exprs: &'a [Expr],
    values: Vec<Option<Operand>>,
}

impl<'a> Args<'a> {
    pub(super) fn new(ctx: &'a Context<'a>, name: &'a str, span: Span, exprs: &'a [Expr], args: Vec<Operand>) -> Self {
        Self { ctx, name, span, keeps_names: false, exprs, values: args.into_iter().map(Some).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn is_promql(&self) -> bool {
        self.ctx.dialect == Dialect::PromQl
    }

    /// What argument `at` was computed from, without parentheses around it.
    pub(super) fn expr(&self, at: usize) -> Option<&'a Expr> {
        let mut expr = self.exprs.get(at)?;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        Some(expr)
    }

    /// Where argument `at` stands.
    pub(super) fn span_of(&self, at: usize) -> Span {
        self.expr(at).map_or(self.span, |expr| expr.span)
    }

    pub(super) fn expect_count(&self, (least, most): (usize, usize)) -> Result<(), QueryError> {
        let (name, got) = (self.name, self.len());
        if (least..=most).contains(&got) {
            return Ok(());
        }
        let want = match (least, most) {
            (least, super::ANY_NUMBER) => format!("at least {least}"),
            (least, most) if least == most => format!("{least}"),
            (least, most) => format!("{least}...{most}"),
        };
        self.fail(format!("unexpected number of args of {name:?}; got {got}; want {want}"))
    }

    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Result<T, QueryError> {
        Err(QueryError::Evaluation(message.into()))
    }

    fn take(&mut self, at: usize) -> Operand {
        self.values.get_mut(at).and_then(Option::take).expect("BUG: an argument that is not there or was taken before")
    }

    /// Argument `at` as series. A scalar is one without labels; a text is none.
    pub(super) fn rows(&mut self, at: usize) -> Vec<Row> {
        into_rows(self.take(at))
    }

    /// Argument `at` as a number a point.
    pub(super) fn scalar(&mut self, at: usize) -> Result<Vec<f64>, QueryError> {
        match self.take(at) {
            Operand::Scalar(values) => Ok(values),
            Operand::Rows(mut rows) if rows.len() == 1 && !self.is_promql() => Ok(rows.remove(0).values.into_whole()),
            Operand::Rows(rows) if !self.is_promql() => {
                self.fail(format!("arg #{} must contain a single timeseries; got {} timeseries", at + 1, rows.len()))
            }
            _ => self.fail(format!("arg #{} of {:?} must be a scalar", at + 1, self.name)),
        }
    }

    /// Argument `at` as a number a point, or the same number at all points if it is not there.
    pub(super) fn scalar_or(&mut self, at: usize, default: f64) -> Result<Vec<f64>, QueryError> {
        if at < self.len() { self.scalar(at) } else { Ok(vec![default; self.ctx.grid.points]) }
    }

    /// Argument `at` as a text.
    pub(super) fn text(&mut self, at: usize) -> Result<String, QueryError> {
        match self.take(at) {
            Operand::Text(text) => Ok(text),
            _ => self.fail(format!("arg #{} of {:?} must be a string", at + 1, self.name)),
        }
    }

    /// Argument `at` as a whole number that is the same at all points.
    pub(super) fn whole(&mut self, at: usize) -> Result<i64, QueryError> {
        let values = self.scalar(at)?;
        // A float beyond the range of a whole number becomes its border.
        Ok(values.first().map_or(0, |value| *value as i64))
    }

    /// All arguments, one after the other.
    pub(super) fn into_operands(self) -> impl Iterator<Item = Operand> {
        self.values.into_iter().flatten()
    }

    /// Every argument that is left, as series one behind the other.
    pub(super) fn all_rows(&mut self) -> Vec<Row> {
        self.values.iter_mut().filter_map(Option::take).flat_map(into_rows).collect()
    }

    /// The arguments from `from` on as texts.
    pub(super) fn texts_from(&mut self, from: usize) -> Result<Vec<String>, QueryError> {
        (from..self.len()).map(|at| self.text(at)).collect()
    }
}

/// An operand as series. A scalar is one without labels; a text is none.
pub(super) fn into_rows(operand: Operand) -> Vec<Row> {
    match operand {
        Operand::Rows(rows) => rows,
        Operand::Scalar(values) => vec![Row { labels: Labels::default(), values: values.into(), drop_name: false }],
        Operand::Text(_) => Vec::new(),
    }
}
