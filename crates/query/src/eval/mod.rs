//! Evaluates a tree.
//!
//! 1. Numbers, texts, functions, aggregates and operators are evaluated from the leaves up, each on the grid of its [`Scope`]; `functions` does the work.
//! 2. What looks at samples becomes a [`rollups::Plan`]: whose samples, in which windows, by which recipe.
//! 3. A plan over a selector is run by several threads (`fetch`, `batches`); an aggregate that folds takes its series one by one (`fold`), so that only
//!    the groups are held.
//! 4. What stands in the tree more than once is evaluated once (`common`).
//! 5. Of a plan over a selector that others hold they may do a part (`pushdown`).
//! 6. A plan over any other expression is run over that expression's rows on a grid of its own (`subquery`).

mod batches;
mod common;
mod dots;
mod duration;
mod fetch;
mod fold;
mod graphite;
mod info;
mod pushdown;
mod raw;
mod rollups;
mod subquery;
mod watch;

pub use common::Common;
pub use fetch::name_of;
pub use pushdown::{PartialAnswers, PartialStats};
pub use watch::{Print, Tail, Watch, together};

use metricsql::{Aggregate, Binary, Call, Expr, ExprKind, Rollup, Span};
use storage_api::Select;

use crate::{
    api::{Dialect, Query, QueryError},
    budget::{Ledger, operand_bytes},
    dialect,
    frame::{Grid, Operand, Row},
    functions::{self, Annotations, Context},
    labels::Labels,
    options::EngineOptions,
    rollup::is_rollup,
    trace::Trace,
};

/// A query while it is evaluated.
pub struct Evaluation<'a> {
    /// Where series come from.
    pub select: &'a dyn Select,
    /// Limits and defaults.
    pub options: &'a EngineOptions,
    /// What is asked.
    pub query: &'a Query,
    /// The instants of the query.
    pub grid: Grid,
    /// The time of day at its begin.
    pub now: i64,
    /// How far back a sample counts.
    pub lookback: i64,
    /// What may be wrong with it.
    pub notes: Annotations,
    /// What it cost so far.
    pub ledger: Ledger,
    /// How it was done so far.
    pub trace: Trace,
    /// What stands in it more than once.
    pub common: Common,
    /// Looks whether its points may be kept.
    pub watch: Option<Watch>,
}

/// Where in time a part of the tree is evaluated.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The instants.
    pub grid: Grid,
}

impl Evaluation<'_> {
    fn dialect(&self) -> Dialect {
        self.query.dialect
    }

    fn is_range(&self) -> bool {
        matches!(self.query.span, crate::api::Span::Range { .. })
    }

    /// When the range ends of which a grid has the instants.
    fn end_of(&self, grid: &Grid) -> i64 {
        if *grid == self.grid { dialect::range_end(self.query, self.options, grid) } else { grid.end() }
    }

    /// Evaluates the whole tree.
    pub fn run(&self, expr: &Expr) -> Result<Operand, QueryError> {
        self.run_at(expr, self.grid)
    }

    /// Evaluates a tree whose rows are the answer, on some grid.
    fn run_at(&self, expr: &Expr, grid: Grid) -> Result<Operand, QueryError> {
        let scope = Scope { grid };
        match self.eval(expr, &scope)? {
            Operand::Rows(rows) => {
                self.with_context(&scope, |ctx| functions::finish_names(ctx, rows)).map(Operand::Rows)
            }
            other => Ok(other),
        }
    }

    fn with_context<T>(&self, scope: &Scope, work: impl FnOnce(&Context<'_>) -> T) -> T {
        let check = |bytes: usize| self.ledger.hold(bytes);
        work(&Context {
            dialect: self.dialect(),
            grid: scope.grid,
            query_grid: self.grid,
            end: self.end_of(if self.dialect() == Dialect::PromQl { &self.grid } else { &scope.grid }),
            is_range: self.is_range(),
            now: self.now,
            notes: &self.notes,
            check: &check,
        })
    }

    /// Evaluates a part of the tree. What it holds when it is done is counted.
    fn eval(&self, expr: &Expr, scope: &Scope) -> Result<Operand, QueryError> {
        let mark = self.ledger.mark();
        let operand = self.eval_once(expr, scope)?;
        self.ledger.settle(mark, operand_bytes(&operand));
        Ok(operand)
    }

    fn eval_kind(&self, expr: &Expr, scope: &Scope) -> Result<Operand, QueryError> {
        match &expr.kind {
            ExprKind::Number(number) => self.constant(*number, scope),
            ExprKind::Duration(parts) => {
                self.constant(metricsql::duration_millis(parts, scope.grid.step as f64) / 1e3, scope)
            }
            ExprKind::Text(text) => Ok(Operand::Text(text.clone())),
            ExprKind::Selector(_) | ExprKind::Rollup(_) => self.eval_samples(expr, scope),
            ExprKind::Call(call) => self.eval_call(call, expr.span, scope),
            ExprKind::Aggregate(aggregate) => self.eval_aggregate(aggregate, expr.span, scope),
            ExprKind::Binary(binary) => self.eval_binary(binary, expr.span, scope),
            ExprKind::Negate(inner) => {
                let operand = self.eval(inner, scope)?;
                self.with_context(scope, |ctx| functions::negate(ctx, operand))
            }
            ExprKind::Plus(inner) | ExprKind::Paren(inner) => self.eval(inner, scope),
            ExprKind::Union(members) => {
                let members = self.eval_all(members, scope)?;
                self.with_context(scope, |ctx| functions::union(ctx, members))
            }
            ExprKind::Template(_) => Err(QueryError::Internal("a template was left in the tree".into())),
        }
    }

    fn constant(&self, value: f64, scope: &Scope) -> Result<Operand, QueryError> {
        self.ledger.hold(scope.grid.points * size_of::<f64>())?;
        Ok(Operand::Scalar(vec![value; scope.grid.points]))
    }

    fn eval_samples(&self, expr: &Expr, scope: &Scope) -> Result<Operand, QueryError> {
        let plan = self.plan_samples(expr, scope)?;
        self.trace
            .step(
                |rows: &Result<Vec<Row>, _>| format!("{}: {}", self.text(expr.span), counted(rows)),
                || self.run_plan(&plan, scope),
            )
            .map(Operand::Rows)
    }

    fn eval_all(&self, exprs: &[Expr], scope: &Scope) -> Result<Vec<Operand>, QueryError> {
        exprs.iter().map(|expr| self.eval(expr, scope)).collect()
    }

    fn eval_call(&self, call: &Call, span: Span, scope: &Scope) -> Result<Operand, QueryError> {
        let name = dialect::function_name(self.dialect(), &call.name);
        if is_rollup(self.dialect(), &name) {
            return self.eval_rollup(call, &name, span, scope);
        }
        if self.dialect() == Dialect::PromQl && name == "timestamp" && call.args.iter().all(is_instant_selector) {
            return self.eval_sample_times(call, scope);
        }
        if self.dialect() == Dialect::PromQl && name == "info" {
            return self.eval_info(call, span, scope);
        }
        let args = self.eval_all(&call.args, scope)?;
        self.trace.step(
            |result: &Result<Operand, _>| format!("{name}(): {}", counted_operand(result)),
            || self.with_context(scope, |ctx| functions::call(ctx, call, span, args)),
        )
    }

    fn eval_rollup(&self, call: &Call, name: &str, span: Span, scope: &Scope) -> Result<Operand, QueryError> {
        let plan = self.plan_call(call, name, span, scope)?;
        self.trace
            .step(
                |rows: &Result<Vec<Row>, _>| format!("{}: {}", self.text(span), counted(rows)),
                || match (name, call.args.first()) {
                    ("absent_over_time", Some(of)) => self.run_absent(&plan, of, scope),
                    _ => self.run_plan(&plan, scope),
                },
            )
            .map(Operand::Rows)
    }

    fn eval_aggregate(&self, aggregate: &Aggregate, span: Span, scope: &Scope) -> Result<Operand, QueryError> {
        let rows = self.rows_of_aggregate(aggregate, span, scope)?;
        let max = self.options.aggregate_series_max;
        if rows.len() > max && max > 0 {
            return Err(QueryError::Limit(format!(
                "{}() comes to {} series, -search.maxSeriesPerAggrFunc allows {max}",
                aggregate.name,
                rows.len()
            )));
        }
        Ok(Operand::Rows(rows))
    }

    fn rows_of_aggregate(&self, aggregate: &Aggregate, span: Span, scope: &Scope) -> Result<Vec<Row>, QueryError> {
        if let Some((plan, fold)) = self.plan_fold(aggregate, scope)? {
            return self.trace.step(
                |rows: &Result<Vec<Row>, _>| format!("{}, series by series: {}", self.text(span), counted(rows)),
                || self.run_fold(&plan, &fold, scope),
            );
        }
        let args = self.eval_all(&aggregate.args, scope)?;
        self.trace.step(
            |rows: &Result<Vec<Row>, _>| format!("{}(): {}", aggregate.name, counted(rows)),
            || self.with_context(scope, |ctx| functions::aggregate(ctx, aggregate, span, args)),
        )
    }

    fn eval_binary(&self, binary: &Binary, span: Span, scope: &Scope) -> Result<Operand, QueryError> {
        let left = self.eval(&binary.left, scope)?;
        let right = self.eval(&binary.right, scope)?;
        self.trace.step(
            |result: &Result<Operand, _>| format!("{:?}: {}", binary.op, counted_operand(result)),
            || self.with_context(scope, |ctx| functions::binary(ctx, binary, span, left, right)),
        )
    }

    /// `timestamp()` of a selector (dialect `promql`): the times of the samples. Of anything else it is a function of the instants.
    fn eval_sample_times(&self, call: &Call, scope: &Scope) -> Result<Operand, QueryError> {
        let [arg] = call.args.as_slice() else {
            return Err(QueryError::Evaluation(format!(
                "expected 1 argument(s) in call to \"timestamp\", got {}",
                call.args.len()
            )));
        };
        let plan = self.plan_sample_times(arg, scope)?;
        let mut rows = self.run_plan(&plan, scope)?;
        rows.iter_mut().for_each(|row| row.drop_name = true);
        Ok(Operand::Rows(rows))
    }

    /// The text of a part of the query, as far as it is written there.
    fn text(&self, span: Span) -> &str {
        self.query.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }
}

fn is_instant_selector(expr: &Expr) -> bool {
    match &expr.without_parens().kind {
        ExprKind::Selector(_) => true,
        ExprKind::Rollup(rollup) => {
            let Rollup { inner, window, subquery, .. } = &**rollup;
            matches!(inner.without_parens().kind, ExprKind::Selector(_)) && window.is_none() && subquery.is_none()
        }
        _ => false,
    }
}

/// A row without labels.
fn unlabelled(values: Vec<f64>) -> Row {
    Row { labels: Labels::default(), values: values.into(), drop_name: false }
}

fn counted(rows: &Result<Vec<Row>, QueryError>) -> String {
    match rows {
        Ok(rows) => format!("{} series", rows.len()),
        Err(error) => error.to_string(),
    }
}

fn counted_operand(operand: &Result<Operand, QueryError>) -> String {
    match operand {
        Ok(Operand::Rows(rows)) => format!("{} series", rows.len()),
        Ok(Operand::Scalar(_)) => "a scalar".into(),
        Ok(Operand::Text(_)) => "a text".into(),
        Err(error) => error.to_string(),
    }
}
