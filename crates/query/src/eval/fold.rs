//! Aggregates over rollups, folded series by series.
//!
//! 1. `aggr by (…) (rollup(selector[…]))` needs no rows: each thread rolls a series up and adds it to the state of its group.
//! 2. Each batch has states of its own; they are merged in the order of batches, so that the result does not depend on threads.
//! 3. Only the labels that the grouping reads are asked of the store.
//! 4. States that come from where the samples are (`pushdown`) are merged like those of a batch. Groups come out in the order of their labels then, since
//!    nobody knows in which order they were met first.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicBool, Ordering},
};

use metricsql::{Aggregate, Expr, ExprKind, Grouping};
use model::{METRIC_NAME, SeriesKey};
use storage_api::{LabelsWanted, SeriesChunk, SeriesData, SeriesStream};

use super::{
    Evaluation, Scope,
    batches::{self, Batch},
    fetch::{Reader, name_of, samples_wanted},
    rollups::{Plan, Source},
    watch::SeriesPrint,
};
use crate::{
    api::{Dialect, QueryError},
    dialect,
    frame::Row,
    functions::{
        Groups,
        fold::{Fold, FoldKind},
    },
    labels::Labels,
    rollup::{Tag, is_rollup, series_argument},
};

/// What an aggregate folds.
#[derive(Debug, Clone)]
pub struct FoldPlan<'e> {
    /// Which aggregate.
    pub(super) kind: FoldKind,
    /// Over which groups.
    pub(super) grouping: Option<&'e Grouping>,
    groups_max: usize,
}

impl<'e> FoldPlan<'e> {
    /// A fold of any number of groups.
    pub(super) fn new(kind: FoldKind, grouping: Option<&'e Grouping>) -> Self {
        Self { kind, grouping, groups_max: usize::MAX }
    }

    /// Whether states that were made apart come to the same as one that took all series.
    pub(super) fn merges(&self) -> bool {
        !self.kind.keeps_labels() && self.groups_max == usize::MAX
    }

    /// The labels that are read.
    pub(super) fn labels_wanted(&self, with_name: bool) -> LabelsWanted {
        if self.kind.keeps_labels() {
            return LabelsWanted::All;
        }
        let mut names = match self.grouping {
            Some(Grouping::Without(_)) => return LabelsWanted::All,
            Some(Grouping::By(names)) => names.clone(),
            None => Vec::new(),
        };
        if with_name {
            names.push(METRIC_NAME.into());
        }
        if names.is_empty() { LabelsWanted::None } else { LabelsWanted::Only(names) }
    }
}

/// The groups of a batch, or of all.
pub(super) struct Folded {
    groups: Groups,
    folds: Vec<Fold>,
    /// Of each group the labels of its first series, where the result has them.
    first: Vec<Labels>,
    /// Which series there were.
    series: SeriesPrint,
}

impl Evaluation<'_> {
    /// The plans of an aggregate that folds over a rollup of a selector.
    pub(super) fn plan_fold<'e>(
        &self,
        aggregate: &'e Aggregate,
        scope: &Scope,
    ) -> Result<Option<(Plan<'e>, FoldPlan<'e>)>, QueryError> {
        let ([arg], Some(kind)) = (aggregate.args.as_slice(), FoldKind::of(self.query.dialect, &aggregate.name)) else {
            return Ok(None);
        };
        let Some(plan) = self.plan_of_selector(arg.without_parens(), scope)? else { return Ok(None) };
        let groups_max = aggregate.limit.filter(|limit| *limit > 0);
        let fold = FoldPlan {
            kind,
            grouping: aggregate.grouping.as_ref(),
            groups_max: groups_max.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX),
        };
        Ok(Some((plan, fold)))
    }

    /// The plan of an expression, if it is a rollup of a selector.
    fn plan_of_selector<'e>(&self, expr: &'e Expr, scope: &Scope) -> Result<Option<Plan<'e>>, QueryError> {
        let plan = match &expr.kind {
            ExprKind::Selector(_) => self.plan_samples(expr, scope)?,
            ExprKind::Rollup(rollup)
                if rollup.subquery.is_none()
                    && matches!(rollup.inner.without_parens().kind, ExprKind::Selector(_))
                    && (self.query.dialect == Dialect::MetricsQl || rollup.window.is_none()) =>
            {
                self.plan_samples(expr, scope)?
            }
            ExprKind::Call(call) => {
                let name = dialect::function_name(self.query.dialect, &call.name);
                let place = series_argument(self.query.dialect, &name, call.args.len());
                let over_selector = call.args.get(place).is_some_and(reads_selector);
                if !over_selector || !is_rollup(self.query.dialect, &name) || name == "absent_over_time" {
                    return Ok(None);
                }
                self.plan_call(call, &name, expr.span, scope)?
            }
            _ => return Ok(None),
        };
        Ok(matches!(plan.source, Source::Selector { .. }).then_some(plan))
    }

    /// The rows of an aggregate that folds.
    pub(super) fn run_fold(&self, plan: &Plan<'_>, fold: &FoldPlan<'_>, scope: &Scope) -> Result<Vec<Row>, QueryError> {
        let Source::Selector { selector, range } = &plan.source else {
            return Err(QueryError::Internal("a fold without a selector".into()));
        };
        let mark = self.ledger.mark();
        let counter_name = plan.counter_at.and_then(|_| name_of(selector));
        let names_each = plan.counter_at.is_some() && counter_name.is_none();
        let labels = fold.labels_wanted(names_each);
        let wants_keys = labels != LabelsWanted::None;
        // The names of single series are not in the groups that they came to.
        let sub_plan = if names_each { None } else { self.sub_plan(plan, Some(fold)) };
        let may_come_folded = sub_plan.is_some();
        let stream = self.open(selector, *range, labels, samples_wanted(plan), sub_plan)?;
        let found = AtomicBool::new(false);
        let all = self.fold_stream(&*stream, plan, fold, wants_keys, &found)?;
        self.count_effort(&*stream)?;
        if let (Some(span), Some(name), true) = (plan.counter_at, counter_name, found.into_inner()) {
            self.note_counter(span, name);
        }
        let depends_on_order = matches!(fold.kind, FoldKind::Sum | FoldKind::Avg);
        let series = if depends_on_order { all.series.finish() } else { 0 };
        let mut rows = all.finish(fold, plan, self.query.dialect, scope);
        if may_come_folded {
            rows.sort_by(|one, other| one.labels.cmp(&other.labels));
        }
        if let Some(watch) = &self.watch {
            watch.folded(series, &rows, fold.grouping.is_some());
        }
        self.ledger.settle(mark, rows.iter().map(crate::budget::row_bytes).sum());
        Ok(rows)
    }

    /// Folds all that a stream gives.
    pub(super) fn fold_stream(
        &self,
        stream: &dyn SeriesStream,
        plan: &Plan<'_>,
        fold: &FoldPlan<'_>,
        wants_keys: bool,
        found: &AtomicBool,
    ) -> Result<Folded, QueryError> {
        let mut all = Folded::new(fold);
        batches::run(
            stream,
            self.options.workers_per_query_max,
            || Reader::new(self, plan, wants_keys),
            |reader, batch| self.fold_batch(reader, batch, plan, fold, found),
            |batch| all.merge(batch, fold, self),
        )?;
        Ok(all)
    }

    fn fold_batch(
        &self,
        reader: &mut Reader<'_>,
        batch: Batch,
        plan: &Plan<'_>,
        fold: &FoldPlan<'_>,
        found: &AtomicBool,
    ) -> Result<Folded, QueryError> {
        let mut folded = Folded::new(fold);
        let drops_name = !plan.keeps_name && self.query.dialect == Dialect::MetricsQl;
        let leaves_silent_out = fold.kind.leaves_silent_out(self.query.dialect);
        let mut noted = String::new();
        for mut chunk in batch.chunks {
            self.ledger.check()?;
            if chunk.is_partial_result() {
                self.take_states(&mut *chunk, &mut folded, plan, fold)?;
                found.store(true, Ordering::Relaxed);
                continue;
            }
            for index in 0..chunk.len() {
                if self.watch.is_some() {
                    folded.series.add(chunk.id(index));
                }
                if !reader.read(&mut *chunk, index)? {
                    continue;
                }
                let key = std::mem::take(&mut reader.key);
                reader.roll(&mut |tag, values| {
                    if self.is_dropped(values) || (leaves_silent_out && values.iter().all(|value| value.is_nan())) {
                        return Ok(());
                    }
                    if plan.counter_at.is_some() {
                        found.store(true, Ordering::Relaxed);
                        self.note_counter_of(&key, plan, &mut noted);
                    }
                    folded.add(&key, tag, drops_name, values, fold, self)
                })?;
                reader.key = key;
            }
        }
        Ok(folded)
    }

    /// Takes states of groups that were made where the samples are.
    fn take_states(
        &self,
        chunk: &mut dyn SeriesChunk,
        folded: &mut Folded,
        plan: &Plan<'_>,
        fold: &FoldPlan<'_>,
    ) -> Result<(), QueryError> {
        if let Some(watch) = &self.watch {
            watch.is_not_local();
        }
        let (mut key, mut data) = (SeriesKey::default(), SeriesData::default());
        for index in 0..chunk.len() {
            chunk.key(index, &mut key)?;
            chunk.read(index, &mut data)?;
            let state =
                Fold::from_state(fold.kind, self.query.dialect, plan.layout.points, std::mem::take(&mut data.values));
            let state = state.map_err(|numbers| {
                QueryError::Internal(format!("a storage node gives a state of {numbers} numbers"))
            })?;
            folded.take(&key, state, self)?;
        }
        Ok(())
    }

    /// Tells of the metric of a series once for all series of it that stand side by side.
    fn note_counter_of(&self, key: &SeriesKey, plan: &Plan<'_>, noted: &mut String) {
        let (Some(span), Some(name)) = (plan.counter_at, key.label(METRIC_NAME)) else { return };
        if *noted != *name {
            self.note_counter(span, &name);
            *noted = name.into_owned();
        }
    }
}

impl Folded {
    fn new(fold: &FoldPlan<'_>) -> Self {
        Self {
            groups: Groups::new(fold.grouping),
            folds: Vec::new(),
            first: Vec::new(),
            series: SeriesPrint::default(),
        }
    }

    fn add(
        &mut self,
        key: &SeriesKey,
        tag: Tag<'_>,
        drops_name: bool,
        values: &[f64],
        fold: &FoldPlan<'_>,
        evaluation: &Evaluation<'_>,
    ) -> Result<(), QueryError> {
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            key.labels().filter(|(name, _)| !drops_name || name != METRIC_NAME).collect();
        if let Tag::Label(name, value) = tag {
            pairs.retain(|(have, _)| have != name);
            pairs.push((name.into(), value.into()));
        }
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        let sorted = pairs.iter().map(|(name, value)| (&**name, &**value));
        // Which groups count is decided when all are put together, in the order of series.
        let Some(number) = self.groups.number(sorted.clone(), usize::MAX) else { return Ok(()) };
        if number == self.folds.len() {
            evaluation.ledger.hold(size_of::<Fold>())?;
            self.folds.push(Fold::new(fold.kind, evaluation.query.dialect, values.len()));
            if fold.kind.keeps_labels() {
                self.first.push(Labels::from_sorted(sorted));
            }
        }
        self.change(number, evaluation, |fold| fold.add(values))
    }

    /// Takes over the state of a group.
    fn take(&mut self, key: &SeriesKey, state: Fold, evaluation: &Evaluation<'_>) -> Result<(), QueryError> {
        let labels = Labels::from(key);
        let Some(number) = self.groups.number(labels.iter(), usize::MAX) else { return Ok(()) };
        if number < self.folds.len() {
            return self.change(number, evaluation, |fold| fold.merge(&state));
        }
        evaluation.ledger.hold(state.bytes())?;
        self.folds.push(state);
        Ok(())
    }

    /// Changes the state of a group, which may take more memory then.
    fn change(
        &mut self,
        number: usize,
        evaluation: &Evaluation<'_>,
        change: impl FnOnce(&mut Fold),
    ) -> Result<(), QueryError> {
        let fold = &mut self.folds[number];
        let before = fold.bytes();
        change(fold);
        evaluation.ledger.hold(fold.bytes() - before)
    }

    /// The groups with their states.
    pub(super) fn into_states(self) -> Vec<(Labels, Fold)> {
        self.groups.into_labels().into_iter().zip(self.folds).collect()
    }

    /// Takes over the groups of the next batch.
    fn merge(&mut self, batch: Self, fold: &FoldPlan<'_>, evaluation: &Evaluation<'_>) -> Result<(), QueryError> {
        self.series.append(&batch.series);
        if self.folds.is_empty() && batch.folds.len() <= fold.groups_max {
            *self = Self { series: std::mem::take(&mut self.series), ..batch };
            return Ok(());
        }
        let (groups, mut first) = (batch.groups, batch.first.into_iter());
        for (number, theirs) in batch.folds.into_iter().enumerate() {
            let first = first.next();
            let Some(mine) = self.groups.number(groups.labels(number).iter(), fold.groups_max) else {
                evaluation.ledger.release(theirs.bytes());
                continue;
            };
            if mine == self.folds.len() {
                self.folds.push(theirs);
                self.first.extend(first);
            } else {
                self.change(mine, evaluation, |fold| fold.merge(&theirs))?;
                evaluation.ledger.release(theirs.bytes());
            }
        }
        Ok(())
    }

    fn finish(self, fold: &FoldPlan<'_>, plan: &Plan<'_>, dialect: Dialect, scope: &Scope) -> Vec<Row> {
        let labels = if fold.kind.keeps_labels() { self.first } else { self.groups.into_labels() };
        let drop_name = !plan.keeps_name && dialect == Dialect::PromQl;
        let row = |(labels, state): (Labels, Fold)| {
            let mut values = state.finish();
            if plan.spreads {
                values = values.first_everywhere(scope.grid.points);
            }
            Row { labels, values, drop_name }
        };
        labels.into_iter().zip(self.folds).map(row).collect()
    }
}

/// Whether an aggregate takes what it folds series by series from a selector, so that its argument is never evaluated as a whole.
pub(super) fn folds_over_selector(aggregate: &Aggregate, dialect: Dialect) -> bool {
    let ([arg], Some(_)) = (aggregate.args.as_slice(), FoldKind::of(dialect, &aggregate.name)) else { return false };
    match &arg.without_parens().kind {
        ExprKind::Call(call) => {
            let name = dialect::function_name(dialect, &call.name);
            let place = series_argument(dialect, &name, call.args.len());
            is_rollup(dialect, &name) && call.args.get(place).is_some_and(reads_selector)
        }
        _ => reads_selector(arg),
    }
}

fn reads_selector(expr: &Expr) -> bool {
    match &expr.without_parens().kind {
        ExprKind::Selector(_) => true,
        ExprKind::Rollup(rollup) => {
            rollup.subquery.is_none() && matches!(rollup.inner.without_parens().kind, ExprKind::Selector(_))
        }
        _ => false,
    }
}
