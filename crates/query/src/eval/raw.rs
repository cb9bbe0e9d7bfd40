//! Samples as they are stored: what an instant query for a range of a selector gives.

use metricsql::{Expr, ExprKind};
use model::{SeriesKey, TimeRange, is_stale};
use storage_api::{LabelsWanted, SamplesWanted, SeriesData};

use super::{
    Evaluation, Scope,
    batches::{self, Batch},
};
use crate::{
    api::{AnswerSeries, Dialect, Points, Query, QueryError},
    dialect,
    frame::{Grid, Operand},
    labels::Labels,
};

impl Evaluation<'_> {
    /// The samples of a selector in a window, if that is what the expression is.
    pub fn run_raw(&self, expr: &Expr) -> Result<Option<Vec<AnswerSeries>>, QueryError> {
        let ExprKind::Rollup(rollup) = &expr.without_parens().kind else { return Ok(None) };
        let (ExprKind::Selector(selector), Some(window), None) =
            (&rollup.inner.without_parens().kind, &rollup.window, &rollup.subquery)
        else {
            return Ok(None);
        };
        let scope = Scope { grid: self.grid };
        let mut end = match &rollup.at {
            Some(at) => self.instant(at, &scope)?,
            None => self.grid.start,
        };
        if let Some(offset) = &rollup.offset {
            end -= self.length(offset, &scope)?;
        }
        let start = (end - self.window(window, &scope)? + 1).min(end);
        let stream = self.open(selector, TimeRange::new(start, end), LabelsWanted::All, SamplesWanted::Raw, None)?;
        let mut all = Vec::new();
        batches::run(
            &*stream,
            self.options.workers_per_query_max,
            || (),
            |(), batch| self.samples_of(batch),
            |series| {
                all.extend(series);
                Ok(())
            },
        )?;
        Ok(Some(all))
    }

    /// The points of a subquery in its window, if an instant query asks for nothing else.
    pub fn run_range_of(&self, expr: &Expr) -> Result<Option<(Operand, Grid)>, QueryError> {
        let ExprKind::Rollup(rollup) = &expr.without_parens().kind else { return Ok(None) };
        let Some(window) = &rollup.window else { return Ok(None) };
        let scope = Scope { grid: self.grid };
        let mut end = match &rollup.at {
            Some(at) => self.instant(at, &scope)?,
            None => self.grid.start,
        };
        if let Some(offset) = &rollup.offset {
            end -= self.length(offset, &scope)?;
        }
        let start = end - self.window(window, &scope)?;
        let step = rollup.subquery.as_ref().and_then(|subquery| subquery.step.as_ref());
        let step = step.map(|step| self.window(step, &scope)).transpose()?.filter(|step| *step > 0);
        let grid = match self.query.dialect {
            Dialect::MetricsQl => self.aligned(start, end, step.unwrap_or(self.grid.step))?,
            Dialect::PromQl => {
                let step = step.unwrap_or(dialect::SUBQUERY_STEP_DEFAULT_MS);
                self.subquery_grid((start.div_euclid(step) + 1) * step, end, step)?
            }
        };
        let Some(grid) = grid else { return Ok(Some((Operand::Rows(Vec::new()), self.grid))) };
        let operand = self.run_at(&rollup.inner, grid)?;
        Ok(Some((operand, grid)))
    }

    fn aligned(&self, start: i64, end: i64, step: i64) -> Result<Option<Grid>, QueryError> {
        let span = crate::api::Span::Range { start, end, step };
        let query = Query { span, latency_offset: Some(std::time::Duration::ZERO), ..self.query.clone() };
        let grid = dialect::times(&query, self.options, self.now).grid;
        self.subquery_grid(grid.start, grid.end(), grid.step)
    }

    fn samples_of(&self, batch: Batch) -> Result<Vec<AnswerSeries>, QueryError> {
        let (mut key, mut all) = (SeriesKey::default(), Vec::new());
        for mut chunk in batch.chunks {
            for index in 0..chunk.len() {
                let mut data = SeriesData::default();
                chunk.read(index, &mut data)?;
                self.ledger.read_samples(data.values.len() as u64)?;
                self.ledger.hold(data.values.len() * (size_of::<f64>() + size_of::<i64>()))?;
                if self.query.dialect == Dialect::PromQl && data.values.iter().any(|value| is_stale(*value)) {
                    drop_stale(&mut data);
                }
                if data.values.is_empty() {
                    continue;
                }
                chunk.key(index, &mut key)?;
                let points = Points::Own { times: data.times, values: data.values };
                all.push(AnswerSeries { labels: Labels::from(&key), points });
            }
        }
        Ok(all)
    }
}

fn drop_stale(data: &mut SeriesData) {
    let kept = data.times.iter().zip(&data.values).filter(|(_, value)| !is_stale(**value)).map(|(time, _)| *time);
    data.times = std::sync::Arc::new(kept.collect());
    data.values.retain(|value| !is_stale(*value));
}
