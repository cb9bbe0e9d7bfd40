//! From what is written to what is read: plans of rollups.
//!
//! 1. Parentheses are looked through. A selector, a range of one, or any other expression is what samples come from.
//! 2. Offset and `@` shift the windows; `@` makes all of them the same one, which is evaluated once.
//! 3. Window and function decide over which time samples are read.

use metricsql::{Call, Expr, ExprKind, Rollup, Smoothing, Span};
use model::{Selector, TimeRange};

use super::{Evaluation, Scope, pushdown::Origin};
use crate::{
    api::{Dialect, QueryError},
    dialect,
    frame::{Grid, Operand},
    rollup::{
        Arguments, Extended, Layout, Length, PromqlFunction, Recipe, Spacing, What, needs_samples_before,
        series_argument, takes_numbers,
    },
};

/// What a rollup does: whose samples, in which windows, by which recipe.
#[derive(Debug, Clone)]
pub struct Plan<'e> {
    /// Where samples come from.
    pub source: Source<'e>,
    /// Where windows lie.
    pub layout: Layout,
    /// What is done with each series.
    pub recipe: Recipe,
    /// Whether the metric name stays.
    pub keeps_name: bool,
    /// Whether the one window stands for all instants of the grid.
    pub spreads: bool,
    /// Dialect `promql`: where a metric is spoken of as a counter that its name does not say it is.
    pub counter_at: Option<Span>,
    /// From what the recipe was made, for those who may make it again.
    pub origin: Option<Origin>,
}

/// Where samples come from.
#[derive(Debug, Clone)]
pub enum Source<'e> {
    /// From the store.
    Selector {
        /// Which series.
        selector: &'e Selector,
        /// Over which time.
        range: TimeRange,
    },
    /// From an expression on a grid of its own.
    Subquery {
        /// The expression.
        expr: &'e Expr,
        /// The grid; `None` if it has no instant.
        grid: Option<Grid>,
    },
    /// From nowhere: a selector that selects everything means nothing (dialect `metricsql`).
    Nothing,
}

/// What is written around the source of samples.
struct Written<'e> {
    inner: &'e Expr,
    rollup: Option<&'e Rollup>,
    /// Whether no function takes it.
    is_bare: bool,
}

impl<'e> Written<'e> {
    fn of(expr: &'e Expr) -> Self {
        let expr = expr.without_parens();
        match &expr.kind {
            ExprKind::Rollup(rollup) => {
                let inner = rollup.inner.without_parens();
                let is_nested = matches!(inner.kind, ExprKind::Rollup(_));
                Self { inner: if is_nested { &rollup.inner } else { inner }, rollup: Some(rollup), is_bare: false }
            }
            _ => Self { inner: expr, rollup: None, is_bare: false },
        }
    }

    fn window(&self) -> Option<&'e Expr> {
        self.rollup.and_then(|rollup| rollup.window.as_ref())
    }

    fn smoothing(&self) -> Option<Smoothing> {
        self.rollup.and_then(|rollup| rollup.smoothing)
    }

    /// Dialect `metricsql`: a selector with a step that no function takes is the same as without the step.
    fn bare(expr: &'e Expr) -> Self {
        Self { is_bare: true, ..Self::of(expr) }
    }

    /// The selector, unless a subquery is made of it.
    fn selector(&self) -> Option<&'e Selector> {
        let is_subquery = !self.is_bare && self.rollup.is_some_and(|rollup| rollup.subquery.is_some());
        match &self.inner.kind {
            ExprKind::Selector(selector) if !is_subquery => Some(selector),
            _ => None,
        }
    }
}

/// The shifts of windows against the grid.
struct Shift {
    /// The end of the first window, and of how many.
    ends: Grid,
    spreads: bool,
}

impl Evaluation<'_> {
    /// The plan of an expression that is a selector, or a selector or any expression with a range, offset or `@`.
    pub(super) fn plan_samples<'e>(&self, expr: &'e Expr, scope: &Scope) -> Result<Plan<'e>, QueryError> {
        match self.dialect() {
            Dialect::MetricsQl => {
                let recipe = Recipe::of_metricsql("default_rollup", Arguments::default(), 0)?;
                let origin = self.origin("default_rollup", &Arguments::default(), 0);
                let plan = self.plan_metricsql("default_rollup", &Written::bare(expr), recipe, false, scope)?;
                Ok(Plan { origin, ..plan })
            }
            Dialect::PromQl => {
                let origin = self.origin("", &Arguments::default(), 0);
                let plan = self.plan_instant(&Written::of(expr), PromqlFunction::Instant, scope)?;
                Ok(Plan { origin, ..plan })
            }
        }
    }

    /// The plan of the times of the samples of a selector (dialect `promql`).
    pub(super) fn plan_sample_times<'e>(&self, expr: &'e Expr, scope: &Scope) -> Result<Plan<'e>, QueryError> {
        self.plan_instant(&Written::of(expr), PromqlFunction::SampleTime, scope)
    }

    /// The plan of the call of a rollup function.
    pub(super) fn plan_call<'e>(
        &self,
        call: &'e Call,
        name: &str,
        span: Span,
        scope: &Scope,
    ) -> Result<Plan<'e>, QueryError> {
        let place = series_argument(self.dialect(), name, call.args.len());
        let Some(series) = call.args.get(place) else {
            return Err(QueryError::Evaluation(format!(
                "expected at least {} argument(s) in call to {:?}, got {}",
                place + 1,
                call.name,
                call.args.len()
            )));
        };
        let others = call.args.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, arg)| arg);
        let mut arguments = self.arguments(others, scope)?;
        let written = Written::of(series);
        match self.dialect() {
            Dialect::MetricsQl => {
                let window = written.window().map(|window| self.window(window, scope)).transpose()?.unwrap_or(0);
                let gap_max = if self.lookback > 0 { self.lookback + window } else { 0 };
                // Absence is where no series is present.
                let name = if name == "absent_over_time" { "present_over_time" } else { name };
                if takes_numbers(name) {
                    let texts = std::mem::take(&mut arguments.texts);
                    arguments.numbers.extend(texts.iter().map(|_| Vec::new()));
                }
                let origin = self.origin(name, &arguments, gap_max);
                let recipe = Recipe::of_metricsql(name, arguments, gap_max)?;
                let plan = self.plan_metricsql(name, &written, recipe, call.keep_metric_names, scope)?;
                Ok(Plan { origin, ..plan })
            }
            Dialect::PromQl => {
                let mut plan = self.plan_range(name, &written, arguments, span, scope)?;
                plan.keeps_name |= call.keep_metric_names;
                Ok(plan)
            }
        }
    }

    fn arguments<'e>(&self, exprs: impl Iterator<Item = &'e Expr>, scope: &Scope) -> Result<Arguments, QueryError> {
        let mut arguments = Arguments::default();
        for expr in exprs {
            if let ExprKind::Union(members) = &expr.without_parens().kind {
                let texts = members.iter().filter_map(|member| match &member.without_parens().kind {
                    ExprKind::Text(text) => Some(text.clone()),
                    _ => None,
                });
                let texts: Vec<String> = texts.collect();
                if texts.len() == members.len() && !texts.is_empty() {
                    arguments.texts.extend(texts);
                    continue;
                }
            }
            match self.eval(expr, scope)? {
                Operand::Text(text) => arguments.texts.push(text),
                Operand::Scalar(values) => arguments.numbers.push(values),
                Operand::Rows(mut rows) if rows.len() == 1 => {
                    arguments.numbers.extend(rows.pop().map(|row| row.values.into_whole()));
                }
                Operand::Rows(rows) => {
                    return Err(QueryError::Evaluation(format!(
                        "{:?} must be a single time series to be used as a number; it is {} time series",
                        self.text(expr.span),
                        rows.len()
                    )));
                }
            }
        }
        Ok(arguments)
    }

    fn shift(&self, written: &Written<'_>, scope: &Scope) -> Result<Shift, QueryError> {
        let mut ends = scope.grid;
        let mut spreads = false;
        if let Some(at) = written.rollup.and_then(|rollup| rollup.at.as_ref()) {
            ends = Grid { start: self.instant(at, scope)?, step: scope.grid.step, points: 1 };
            spreads = true;
        }
        if let Some(offset) = written.rollup.and_then(|rollup| rollup.offset.as_ref()) {
            ends.start -= self.length(offset, scope)?;
        }
        Ok(Shift { ends, spreads })
    }

    fn plan_metricsql<'e>(
        &self,
        name: &str,
        written: &Written<'e>,
        recipe: Recipe,
        keep_name: bool,
        scope: &Scope,
    ) -> Result<Plan<'e>, QueryError> {
        let Shift { mut ends, spreads } = self.shift(written, scope)?;
        if name == "rollup_candlestick" {
            // A candle stands at its begin.
            ends.start += ends.step;
        }
        let window = written.window().map(|window| self.window(window, scope)).transpose()?;
        let spacing = Spacing {
            said: window,
            step: ends.step,
            // The one window of `@` in a range query is made like the others of the query.
            is_instant: ends.points == 1 && !(spreads && self.is_range()),
            lookback: self.lookback,
            staleness_min: i64::try_from(self.options.staleness_interval_min.as_millis()).unwrap_or(i64::MAX / 4),
            may_adjust: recipe.may_adjust,
            within_lookback: recipe.is_default,
        };
        let layout = Layout {
            first_end: ends.start,
            step: ends.step,
            points: ends.points,
            grid: scope.grid,
            length: Length::Spaced(spacing),
        };
        let silence = dialect::silence(self.options);
        // Samples between the last window and the end of the range tell how things went on.
        let last = layout.last_end() + if spreads { 0 } else { self.end_of(&scope.grid) - scope.grid.end() };
        let source = match written.selector() {
            Some(selector) if means_nothing(selector) => Source::Nothing,
            Some(selector) => {
                // A window that may be longer than the step needs as much.
                let may_reach = needs_samples_before(name) || (window.is_none() && layout_adjusts(&layout));
                let before = if may_reach { silence } else { 0 };
                let length = window.unwrap_or(0).max(ends.step);
                let min = ends.start.saturating_sub(before).saturating_sub(length);
                Source::Selector { selector, range: TimeRange::new(min, last) }
            }
            None => {
                if self.options.no_implicit_conversion && name != "default_rollup" && !is_said_subquery(written) {
                    return Err(QueryError::Evaluation(format!(
                        "{name}() needs a selector or a subquery with a step, since -search.disableImplicitConversion is set; got {:?}",
                        self.text(written.inner.span)
                    )));
                }
                let step = self.subquery_step(written, scope.grid.step, scope)?;
                Source::Subquery {
                    expr: written.inner,
                    grid: Some(self.surrounding(layout.first_end - window.unwrap_or(0) - silence, last, step)?),
                }
            }
        };
        let keeps_name = keep_name || recipe.keeps_name;
        Ok(Plan { source, layout, recipe, keeps_name, spreads, counter_at: None, origin: None })
    }

    /// The plan of an instant selector (dialect `promql`).
    fn plan_instant<'e>(
        &self,
        written: &Written<'e>,
        function: PromqlFunction,
        scope: &Scope,
    ) -> Result<Plan<'e>, QueryError> {
        let (Some(selector), None) = (written.selector(), written.window()) else {
            return Err(QueryError::Evaluation(format!(
                "{:?} is a range vector, which has no value at an instant; a function over time is missing around it",
                self.text(written.inner.span)
            )));
        };
        let Shift { ends, spreads } = self.shift(written, scope)?;
        let mut recipe = Recipe::of_instant(function);
        let mut range = TimeRange::new(ends.start - self.lookback + 1, ends.end());
        if written.smoothing() == Some(Smoothing::Smoothed) {
            recipe.outputs[0].what = What::SmoothedInstant(self.lookback);
            recipe.cleaning = crate::rollup::Cleaning::Stale;
            range.max += self.lookback;
        }
        let layout = layout(ends, scope, Length::Fixed(self.lookback));
        Ok(Plan {
            source: Source::Selector { selector, range },
            layout,
            recipe,
            keeps_name: true,
            spreads,
            counter_at: None,
            origin: None,
        })
    }

    /// The plan of a range function (dialect `promql`).
    fn plan_range<'e>(
        &self,
        name: &str,
        written: &Written<'e>,
        arguments: Arguments,
        span: Span,
        scope: &Scope,
    ) -> Result<Plan<'e>, QueryError> {
        let Some(window) = written.window() else {
            return Err(QueryError::Evaluation(format!(
                "expected type range vector in call to function {name:?}, got {:?}",
                self.text(written.inner.span)
            )));
        };
        let window = self.window(window, scope)?;
        let Shift { mut ends, mut spreads } = self.shift(written, scope)?;
        let mut layout_step = ends.step;
        if spreads && name == "predict_linear" {
            // It predicts from the instant on, which the window does not follow.
            (ends.points, layout_step, spreads) = (scope.grid.points, 0, false);
        }
        let recipe_name = if name == "absent_over_time" { "present_over_time" } else { name };
        let origin = self.origin(recipe_name, &arguments, 0);
        let mut recipe = Recipe::of_promql(recipe_name, arguments)?;
        let argument = written.rollup.map_or(span, |_| written.inner.span);
        self.note_quantile(name, &recipe, argument);
        let mut layout = layout(ends, scope, Length::Fixed(window));
        layout.step = layout_step;
        let (first, last) = (layout.first_end, layout.last_end());
        let source = match written.selector() {
            Some(selector) => {
                let mut range = TimeRange::new(first - window + 1, last);
                if let Some(smoothing) = written.smoothing() {
                    range.min -= self.lookback;
                    range.max += if smoothing == Smoothing::Smoothed { self.lookback } else { 0 };
                    self.extend(name, &mut recipe, smoothing, window)?;
                }
                Source::Selector { selector, range }
            }
            None => {
                let step = self.subquery_step(written, dialect::SUBQUERY_STEP_DEFAULT_MS, scope)?;
                // The first multiple of the step inside the first window.
                let start = ((first - window).div_euclid(step) + 1) * step;
                Source::Subquery { expr: written.inner, grid: self.subquery_grid(start, last, step)? }
            }
        };
        let keeps_name = recipe.keeps_name;
        let counter_at = matches!(name, "rate" | "increase").then_some(argument);
        Ok(Plan { source, layout, recipe, keeps_name, spreads, counter_at, origin })
    }

    fn note_quantile(&self, name: &str, recipe: &Recipe, argument: Span) {
        if name != "quantile_over_time" {
            return;
        }
        for phi in recipe.numbers.0.iter().flatten().filter(|phi| !(0.0..=1.0).contains(*phi)) {
            self.notes.warn(argument, format_args!("quantile value should be between 0 and 1, got {}", number(*phi)));
        }
    }

    fn extend(&self, name: &str, recipe: &mut Recipe, smoothing: Smoothing, length: i64) -> Result<(), QueryError> {
        let What::Promql(function) = recipe.outputs[0].what else { return Ok(()) };
        let is_change = matches!(function, PromqlFunction::Rate | PromqlFunction::Increase | PromqlFunction::Delta);
        let is_count = matches!(function, PromqlFunction::Changes | PromqlFunction::Resets);
        let fits = is_change || (is_count && smoothing == Smoothing::Anchored);
        if !fits {
            let (kind, with) = match smoothing {
                Smoothing::Anchored => ("anchored", "changes, delta, increase, rate, resets"),
                Smoothing::Smoothed => ("smoothed", "delta, increase, rate"),
            };
            return Err(QueryError::Evaluation(format!(
                "{kind} modifier can only be used with: {with} - not with {name}"
            )));
        }
        recipe.outputs[0].what = What::Extended(Extended { function, smoothing, length, lookback: self.lookback });
        Ok(())
    }

    fn subquery_step(&self, written: &Written<'_>, default: i64, scope: &Scope) -> Result<i64, QueryError> {
        let step =
            written.rollup.and_then(|rollup| rollup.subquery.as_ref()).and_then(|subquery| subquery.step.as_ref());
        match step.map(|step| self.window(step, scope)).transpose()? {
            None | Some(0) => Ok(default),
            Some(step) => Ok(step),
        }
    }

    /// A grid at multiples of the step from before the first window to behind the last (dialect `metricsql`).
    fn surrounding(&self, start: i64, end: i64, step: i64) -> Result<Grid, QueryError> {
        let start = start - step;
        let start = start - start % step;
        let end = end + step;
        let end = if end % step > 0 { end + step - end % step } else { end };
        self.subquery_grid(start, end, step)?
            .ok_or_else(|| QueryError::Internal("a subquery ends before it begins".into()))
    }

    pub(super) fn subquery_grid(&self, start: i64, end: i64, step: i64) -> Result<Option<Grid>, QueryError> {
        if start > end {
            return Ok(None);
        }
        let points = (end - start) / step + 1;
        let max = self.options.subquery_points_max;
        match usize::try_from(points) {
            Ok(points) if points <= max || max == 0 => Ok(Some(Grid { start, step, points })),
            _ => Err(QueryError::Limit(format!(
                "a subquery with a step of {step} milliseconds has {points} points a series, -search.maxPointsSubqueryPerTimeseries allows {max}"
            ))),
        }
    }
}

fn layout(ends: Grid, scope: &Scope, length: Length) -> Layout {
    Layout { first_end: ends.start, step: ends.step, points: ends.points, grid: scope.grid, length }
}

fn layout_adjusts(layout: &Layout) -> bool {
    matches!(layout.length, Length::Spaced(spacing) if spacing.may_adjust)
}

fn means_nothing(selector: &Selector) -> bool {
    selector.any_of.iter().all(Vec::is_empty)
}

fn is_said_subquery(written: &Written<'_>) -> bool {
    written.rollup.and_then(|rollup| rollup.subquery.as_ref()).is_some_and(|subquery| subquery.step.is_some())
}

/// A number as messages have it.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        value => format!("{value}"),
    }
}
