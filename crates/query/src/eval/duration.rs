//! Lengths of time that are written as expressions: windows, offsets, steps of subqueries, and the instant of `@`.
//!
//! A number counts seconds, a duration its units, of which `i` is the step; operators, `step()`, `range()`, `min` and `max` put them together.

use metricsql::{At, BinaryOp, Call, Expr, ExprKind, ParseError};

use super::{Evaluation, Scope};
use crate::{
    api::{Dialect, QueryError},
    check::parse_error,
    frame::Operand,
};

/// No length is greater: it must be possible to add a few of them to any time.
const LENGTH_MAX_MS: f64 = 1e15;

impl Evaluation<'_> {
    /// A length in milliseconds.
    pub(super) fn length(&self, expr: &Expr, scope: &Scope) -> Result<i64, QueryError> {
        let millis = self.millis(expr, scope)?;
        if millis.is_nan() || millis.abs() > LENGTH_MAX_MS {
            return Err(self.wrong_length(expr, "duration is out of range"));
        }
        Ok(match self.dialect() {
            Dialect::MetricsQl => millis as i64,
            Dialect::PromQl => millis.round() as i64,
        })
    }

    /// A length that must be positive (dialect `promql`) or at least not negative.
    pub(super) fn window(&self, expr: &Expr, scope: &Scope) -> Result<i64, QueryError> {
        let length = self.length(expr, scope)?;
        match self.dialect() {
            Dialect::PromQl if length <= 0 => Err(self.wrong_length(expr, "duration must be greater than 0")),
            Dialect::MetricsQl if length < 0 => Err(QueryError::Evaluation(format!(
                "the length of a window must be not negative, {} is {length} milliseconds",
                self.text(expr.span)
            ))),
            _ => Ok(length),
        }
    }

    fn millis(&self, expr: &Expr, scope: &Scope) -> Result<f64, QueryError> {
        match &expr.kind {
            ExprKind::Number(seconds) => Ok(seconds * 1e3),
            ExprKind::Duration(parts) => Ok(metricsql::duration_millis(parts, scope.grid.step as f64)),
            ExprKind::Negate(inner) => Ok(-self.millis(inner, scope)?),
            ExprKind::Plus(inner) | ExprKind::Paren(inner) => self.millis(inner, scope),
            ExprKind::Binary(binary) => {
                let (left, right) = (self.millis(&binary.left, scope)? / 1e3, self.millis(&binary.right, scope)? / 1e3);
                let seconds = match binary.op {
                    BinaryOp::Divide if right == 0.0 => return Err(self.wrong_length(expr, "division by zero")),
                    BinaryOp::Modulo if right == 0.0 => return Err(self.wrong_length(expr, "modulo by zero")),
                    BinaryOp::Add => left + right,
                    BinaryOp::Subtract => left - right,
                    BinaryOp::Multiply => left * right,
                    BinaryOp::Divide => left / right,
                    BinaryOp::Modulo => left % right,
                    BinaryOp::Power => left.powf(right),
                    _ => return Err(self.no_length(expr)),
                };
                if !seconds.is_finite() {
                    return Err(self.wrong_length(expr, "duration is out of range"));
                }
                Ok(seconds * 1e3)
            }
            ExprKind::Call(call) => self.millis_of_call(call, expr, scope),
            _ => Err(self.no_length(expr)),
        }
    }

    fn millis_of_call(&self, call: &Call, expr: &Expr, scope: &Scope) -> Result<f64, QueryError> {
        let grid = if self.dialect() == Dialect::PromQl { self.grid } else { scope.grid };
        match (call.name.to_ascii_lowercase().as_str(), call.args.as_slice()) {
            ("step", []) => {
                Ok(if self.is_range() || self.dialect() == Dialect::MetricsQl { grid.step as f64 } else { 0.0 })
            }
            ("range", []) => Ok((self.end_of(&grid) - grid.start) as f64),
            ("min" | "min_of", [left, right]) => Ok(self.millis(left, scope)?.min(self.millis(right, scope)?)),
            ("max" | "max_of", [left, right]) => Ok(self.millis(left, scope)?.max(self.millis(right, scope)?)),
            _ => Err(self.no_length(expr)),
        }
    }

    fn no_length(&self, expr: &Expr) -> QueryError {
        QueryError::Evaluation(format!("{:?} cannot be used as a length of time", self.text(expr.span)))
    }

    /// Prometheus knows all lengths before a query begins: what is wrong with one is wrong with the text.
    fn wrong_length(&self, expr: &Expr, what: &str) -> QueryError {
        match self.dialect() {
            Dialect::MetricsQl => QueryError::Evaluation(format!("{}: {what}", self.text(expr.span))),
            Dialect::PromQl => parse_error(Dialect::PromQl, &ParseError::new(&self.query.text, expr.span, what)),
        }
    }

    /// The instant of `@` in milliseconds.
    pub(super) fn instant(&self, at: &At, scope: &Scope) -> Result<i64, QueryError> {
        let grid = if self.dialect() == Dialect::PromQl { self.grid } else { scope.grid };
        let time = match at {
            At::Start => return Ok(grid.start),
            At::End => return Ok(self.end_of(&grid)),
            At::Time(time) => time,
        };
        let seconds = match self.eval(time, scope)? {
            Operand::Scalar(values) => values.first().copied(),
            Operand::Rows(rows) => match rows.as_slice() {
                [row] => row.values.first(),
                rows => {
                    return Err(QueryError::Evaluation(format!(
                        "`@` modifier must return a single series; it returns {} series instead",
                        rows.len()
                    )));
                }
            },
            Operand::Text(_) => None,
        };
        let millis = seconds.map_or(f64::NAN, |seconds| seconds * 1e3);
        if millis.is_nan() || millis.abs() > LENGTH_MAX_MS {
            return Err(QueryError::Evaluation(format!("{:?} is no time that `@` can mean", self.text(time.span))));
        }
        Ok(match self.dialect() {
            Dialect::MetricsQl => millis as i64,
            Dialect::PromQl => millis.round() as i64,
        })
    }
}
