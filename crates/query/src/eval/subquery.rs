//! Runs a plan over the rows of an expression on a grid of its own, in several threads if there is much to do.

use std::sync::Arc;

use metricsql::Expr;

use super::{Evaluation, Scope, batches, rollups::Plan, unlabelled};
use crate::{
    api::{Dialect, QueryError},
    budget::row_bytes,
    frame::{Grid, Operand, Row, is_absent},
    rollup::{Roller, output_labels},
    values::Values,
};

impl Evaluation<'_> {
    pub(super) fn run_subquery(
        &self,
        plan: &Plan<'_>,
        expr: &Expr,
        grid: Option<Grid>,
        scope: &Scope,
    ) -> Result<Vec<Row>, QueryError> {
        let Some(grid) = grid else { return Ok(Vec::new()) };
        let inner = match self.eval(expr, &Scope { grid })? {
            Operand::Rows(rows) => rows,
            Operand::Scalar(values) => vec![unlabelled(values)],
            Operand::Text(_) => {
                return Err(QueryError::Evaluation(format!(
                    "{:?} is a text, which has no values over time",
                    self.text(expr.span)
                )));
            }
        };
        self.roll_rows(plan, inner, grid, scope)
    }

    fn roll_rows(&self, plan: &Plan<'_>, inner: Vec<Row>, grid: Grid, scope: &Scope) -> Result<Vec<Row>, QueryError> {
        let shared: Arc<Vec<i64>> = Arc::new((0..grid.points).map(|i| grid.at(i)).collect());
        let cost = inner.len().saturating_mul(grid.points.max(plan.layout.points));
        let mut rows = Vec::new();
        batches::run_pieces(
            inner,
            cost,
            self.options.workers_per_query_max,
            || Roller::new(&plan.recipe, &plan.layout),
            |roller, piece| {
                let mut rows = Vec::new();
                piece
                    .into_iter()
                    .try_for_each(|series| self.roll_row(plan, series, &shared, scope, roller, &mut rows))?;
                Ok(rows)
            },
            |piece| {
                rows.extend(piece);
                Ok(())
            },
        )?;
        Ok(rows)
    }

    fn roll_row(
        &self,
        plan: &Plan<'_>,
        mut series: Row,
        shared: &Arc<Vec<i64>>,
        scope: &Scope,
        roller: &mut Roller<'_>,
        rows: &mut Vec<Row>,
    ) -> Result<(), QueryError> {
        self.ledger.check()?;
        let bytes = row_bytes(&series);
        let is_metricsql = self.query.dialect == Dialect::MetricsQl;
        // Where there is no sample there is nothing, neither for windows nor for the distance of samples.
        let (first, mut values) = series.values.into_held();
        let times = without_absent(shared, first, &mut values, is_metricsql);
        if !plan.keeps_name && is_metricsql {
            series.labels.remove(model::METRIC_NAME);
        }
        if let Some(span) = plan.counter_at {
            self.note_counter(span, series.labels.metric_name());
        }
        roller.roll(&times, &mut values, &mut |tag, values| {
            if self.is_dropped(values) {
                return Ok(());
            }
            let labels = output_labels(&series.labels, tag).into_owned();
            let mut row = self.row(labels, Values::take(values), plan, scope)?;
            row.drop_name |= series.drop_name;
            rows.push(row);
            Ok(())
        })?;
        self.ledger.release(bytes);
        Ok(())
    }
}

/// Leaves out places without a sample; `values` stand from place `first` on. The column of times stays the shared one if there is none.
fn without_absent(shared: &Arc<Vec<i64>>, first: usize, values: &mut Vec<f64>, nan_is_absent: bool) -> Arc<Vec<i64>> {
    let goes = |value: f64| if nan_is_absent { value.is_nan() } else { is_absent(value) };
    if values.len() == shared.len() && !values.iter().any(|value| goes(*value)) {
        return Arc::clone(shared);
    }
    let times = shared[first..].iter().zip(values.iter());
    let kept = times.filter(|(_, value)| !goes(**value)).map(|(time, _)| *time).collect();
    values.retain(|value| !goes(*value));
    Arc::new(kept)
}
