//! Runs a plan over the rows of an expression on a grid of its own.

use std::sync::Arc;

use metricsql::Expr;

use super::{Evaluation, Scope, rollups::Plan, unlabelled};
use crate::{
    api::{Dialect, QueryError},
    budget::row_bytes,
    frame::{Grid, Operand, Row, is_absent},
    rollup::{Roller, output_labels},
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
        let is_metricsql = self.query.dialect == Dialect::MetricsQl;
        let mut roller = Roller::new(&plan.recipe, &plan.layout);
        let mut rows = Vec::new();
        for mut series in inner {
            self.ledger.check()?;
            let bytes = row_bytes(&series);
            // Where there is no sample there is nothing, neither for windows nor for the distance of samples.
            let times = without_absent(&shared, &mut series.values, is_metricsql);
            if !plan.keeps_name && is_metricsql {
                series.labels.remove(model::METRIC_NAME);
            }
            if let Some(span) = plan.counter_at {
                self.note_counter(span, series.labels.metric_name());
            }
            roller.roll(&times, &mut series.values, &mut |tag, values| {
                if self.is_dropped(values) {
                    return Ok(());
                }
                let labels = output_labels(&series.labels, tag).into_owned();
                let mut row = self.row(labels, std::mem::take(values), plan, scope)?;
                row.drop_name |= series.drop_name;
                rows.push(row);
                Ok(())
            })?;
            self.ledger.release(bytes);
        }
        Ok(rows)
    }
}

/// Leaves out places without a sample; the column of times stays the shared one if there is none.
fn without_absent(shared: &Arc<Vec<i64>>, values: &mut Vec<f64>, nan_is_absent: bool) -> Arc<Vec<i64>> {
    let goes = |value: f64| if nan_is_absent { value.is_nan() } else { is_absent(value) };
    if !values.iter().any(|value| goes(*value)) {
        return Arc::clone(shared);
    }
    let kept = shared.iter().zip(values.iter()).filter(|(_, value)| !goes(**value)).map(|(time, _)| *time).collect();
    values.retain(|value| !goes(*value));
    Arc::new(kept)
}
