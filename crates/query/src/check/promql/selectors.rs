//! Selectors and what stands behind them.

use ::metricsql::{At, Expr, ExprKind, ParseError, Rollup, Smoothing, Span, duration_millis};
use model::{MatchOp, Matcher, Selector};

use super::{Checker, Type};

/// Times lie within so many seconds of 1970.
const SECONDS_MAX: f64 = i64::MAX as f64;

impl Checker<'_> {
    pub(super) fn selector(&self, selector: &Selector, span: Span) -> Result<Type, ParseError> {
        let restricts = |matchers: &Vec<Matcher>| matchers.iter().any(|matcher| !matches_empty(matcher));
        if selector.any_of.is_empty() || !selector.any_of.iter().all(restricts) {
            return self.wrong(span, "vector selector must contain at least one non-empty matcher");
        }
        Ok(Type::InstantVector)
    }

    pub(super) fn rollup(&self, rollup: &Rollup, span: Span) -> Result<Type, ParseError> {
        self.time_is_right(rollup, span)?;
        for length in [rollup.window.as_ref(), rollup.subquery.as_ref().and_then(|subquery| subquery.step.as_ref())] {
            self.length_is_positive(length)?;
        }
        match (&rollup.window, &rollup.subquery) {
            (None, Some(_)) => {
                self.wrong(span, "unexpected \":\" in subquery selector, expected number, duration, step(), or range()")
            }
            (Some(_), Some(_)) => self.subquery(rollup, span),
            (Some(_), None) => self.range(rollup, span),
            (None, None) => self.shifted(rollup, span),
        }
    }

    fn subquery(&self, rollup: &Rollup, span: Span) -> Result<Type, ParseError> {
        if let Some(smoothing) = rollup.smoothing {
            return self.wrong(span, format!("{} modifier is not supported for subqueries", word(smoothing)));
        }
        match self.type_of(&rollup.inner)? {
            Type::InstantVector => Ok(Type::RangeVector),
            found => {
                let found = match found {
                    Type::RangeVector => "matrix",
                    found => found.name(),
                };
                self.wrong(span, format!("subquery is only allowed on instant vector, got {found} instead"))
            }
        }
    }

    fn range(&self, rollup: &Rollup, span: Span) -> Result<Type, ParseError> {
        let message = match &rollup.inner.kind {
            ExprKind::Selector(selector) => {
                self.selector(selector, rollup.inner.span)?;
                return Ok(Type::RangeVector);
            }
            ExprKind::Rollup(inner) if inner.window.is_none() && inner.offset.is_some() => {
                "no offset modifiers allowed before range"
            }
            ExprKind::Rollup(inner) if inner.window.is_none() && inner.at.is_some() => {
                "no @ modifiers allowed before range"
            }
            _ => "ranges only allowed for vector selectors",
        };
        self.wrong(span, message)
    }

    /// Behind a selector without a range.
    fn shifted(&self, rollup: &Rollup, span: Span) -> Result<Type, ParseError> {
        if let ExprKind::Selector(selector) = &rollup.inner.kind {
            return self.selector(selector, rollup.inner.span);
        }
        let modifier = match (&rollup.offset, rollup.smoothing) {
            (Some(_), _) => "offset",
            (None, Some(smoothing)) if rollup.at.is_none() => {
                return self.wrong(span, format!("{} modifier not implemented", word(smoothing)));
            }
            _ => "@",
        };
        self.wrong(
            span,
            format!("{modifier} modifier must be preceded by an instant vector selector or range vector selector or a subquery"),
        )
    }

    fn time_is_right(&self, rollup: &Rollup, span: Span) -> Result<(), ParseError> {
        let Some(At::Time(time)) = &rollup.at else { return Ok(()) };
        let Some(seconds) = constant(time) else {
            return self.wrong(time.span, "unexpected expression in @, expected timestamp");
        };
        if !seconds.is_finite() || seconds.abs() >= SECONDS_MAX {
            return self.wrong(span, format!("timestamp out of bounds for @ modifier: {seconds:.6}"));
        }
        Ok(())
    }

    /// Lengths that depend on the query are looked at when it is evaluated.
    fn length_is_positive(&self, length: Option<&Expr>) -> Result<(), ParseError> {
        match length.and_then(|length| constant(length).map(|seconds| (length, seconds))) {
            Some((length, seconds)) if seconds <= 0.0 || seconds.is_nan() => {
                self.wrong(length.span, "duration must be greater than 0")
            }
            _ => Ok(()),
        }
    }
}

/// A number or duration with or without sign and parentheses, in seconds.
fn constant(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        ExprKind::Number(number) => Some(*number),
        ExprKind::Duration(parts) => Some(duration_millis(parts, 1.0) / 1e3),
        ExprKind::Negate(inner) => constant(inner).map(|seconds| -seconds),
        ExprKind::Plus(inner) | ExprKind::Paren(inner) => constant(inner),
        _ => None,
    }
}

fn word(smoothing: Smoothing) -> &'static str {
    match smoothing {
        Smoothing::Anchored => "anchored",
        Smoothing::Smoothed => "smoothed",
    }
}

/// Whether a label that is not there passes. A broken expression is reported by who compiles it for the search.
fn matches_empty(matcher: &Matcher) -> bool {
    let is_match = || regex::Regex::new(&format!("^(?:{})$", matcher.value)).is_ok_and(|regex| regex.is_match(""));
    match matcher.op {
        MatchOp::Equal => matcher.value.is_empty(),
        MatchOp::NotEqual => !matcher.value.is_empty(),
        MatchOp::Regex => is_match(),
        MatchOp::NotRegex => !is_match(),
    }
}
