//! Runs a plan over a selector.
//!
//! 1. The store gives the series as a stream, over the time that the windows reach.
//! 2. Each thread has a [`Reader`]: a roller, and buffers that are used again for the next series.
//! 3. What comes out of a series becomes a row.

use metricsql::{Expr, ExprKind};
use model::{METRIC_NAME, MatchOp, Matcher, Selector, SeriesKey, TimeRange};
use storage_api::{
    LabelsWanted, PlacedHead, SamplesWanted, SelectRequest, SeriesChunk, SeriesData, SeriesStream, SubPlan,
};

use super::{
    Evaluation, Scope,
    batches::{self, Batch, block_on},
    dots, graphite,
    rollups::{Plan, Source},
    unlabelled,
};
use crate::{
    api::{Dialect, QueryError},
    budget::{row_bytes, select_error},
    dialect,
    frame::{ABSENT, Row, is_absent},
    functions,
    labels::Labels,
    rollup::{Emit, LocalKind, Roller, cuts, local_kind, output_labels},
    values::Values,
};

/// What a thread needs to read series and roll them up.
pub(super) struct Reader<'a> {
    evaluation: &'a Evaluation<'a>,
    roller: Roller<'a>,
    data: SeriesData,
    /// The key of the series that was read last.
    pub(super) key: SeriesKey,
    wants_keys: bool,
    buffered: usize,
    /// What values depend on, if that is looked at.
    kind: Option<LocalKind>,
    /// Up to which time of samples points are known.
    known_to: Option<i64>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let (Some(watch), Some(_)) = (&self.evaluation.watch, self.kind) {
            watch.looked(self.roller.reach());
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(evaluation: &'a Evaluation<'a>, plan: &'a Plan<'_>, wants_keys: bool) -> Self {
        let mut roller = Roller::new(&plan.recipe, &plan.layout);
        // Windows that lie before their instants are shifted; those behind see what is still to come.
        let shift = plan.layout.grid.start.saturating_sub(plan.layout.first_end);
        let kind = evaluation.watch.as_ref().and_then(|_| local_kind(&plan.recipe, &plan.layout));
        let kind = kind.filter(|_| shift >= 0 && samples_wanted(plan) == SamplesWanted::Raw);
        let tail = evaluation.watch.as_ref().and_then(|watch| watch.tail);
        let known_to = tail.map(|tail| tail.known_to - shift);
        match (&evaluation.watch, kind) {
            (Some(_), Some(kind)) => roller.watch(kind, dialect::silence(evaluation.options), known_to),
            (Some(watch), None) => watch.is_not_local(),
            (None, _) => {}
        }
        let (data, key) = (SeriesData::default(), SeriesKey::default());
        Self { evaluation, roller, data, key, wants_keys, buffered: 0, kind, known_to }
    }

    /// Reads a series. False if it has no samples.
    pub(super) fn read(&mut self, chunk: &mut dyn SeriesChunk, index: usize) -> Result<bool, QueryError> {
        let ledger = &self.evaluation.ledger;
        chunk.read(index, &mut self.data)?;
        let in_heads: u64 = self.data.heads.iter().map(|head| head.summary.count).sum();
        ledger.read_samples(self.data.values.len() as u64 + in_heads)?;
        let column = self.data.values.capacity() * size_of::<f64>() + self.data.times.len() * size_of::<i64>();
        let buffer = column + self.data.heads.capacity() * size_of::<PlacedHead>() + self.roller.bytes();
        if buffer > self.buffered {
            ledger.hold(buffer - self.buffered)?;
            self.buffered = buffer;
        }
        if self.data.values.is_empty() && self.data.heads.is_empty() {
            return Ok(false);
        }
        if self.wants_keys {
            chunk.key(index, &mut self.key)?;
        }
        self.look_before(chunk, index)?;
        Ok(true)
    }

    /// Finds out whether a series that seems to begin behind the points that are known does so.
    fn look_before(&mut self, chunk: &mut dyn SeriesChunk, index: usize) -> Result<(), QueryError> {
        let (Some(known_to), Some(kind)) = (self.known_to, self.kind) else { return Ok(()) };
        let known = self.data.times.partition_point(|time| *time <= known_to);
        let begins = known < self.data.times.len() && self.data.values[..known].iter().all(|value| value.is_nan());
        self.roller.came_before(begins && kind.looks_around() && chunk.has_before(index)?);
        Ok(())
    }

    /// Rolls up what was read last.
    pub(super) fn roll(&mut self, emit: &mut Emit<'_>) -> Result<(), QueryError> {
        let SeriesData { times, values, heads, .. } = &mut self.data;
        match heads.is_empty() {
            true => self.roller.roll(times, values, emit),
            false => self.roller.roll_heads(times, values, heads, emit),
        }
    }
}

impl Evaluation<'_> {
    /// The rows that a plan comes to.
    pub(super) fn run_plan(&self, plan: &Plan<'_>, scope: &Scope) -> Result<Vec<Row>, QueryError> {
        match &plan.source {
            Source::Nothing => Ok(vec![unlabelled(vec![ABSENT; scope.grid.points])]),
            Source::Subquery { expr, grid } => self.run_subquery(plan, expr, *grid, scope),
            Source::Selector { selector, range } => self.run_selector(plan, selector, *range, scope),
        }
    }

    fn run_selector(
        &self,
        plan: &Plan<'_>,
        selector: &Selector,
        range: TimeRange,
        scope: &Scope,
    ) -> Result<Vec<Row>, QueryError> {
        // A tail is joined to what is known of each series, for which its samples are looked at.
        let sub_plan = if self.watch.is_some() { None } else { self.sub_plan(plan, None) };
        let stream = self.open(selector, range, LabelsWanted::All, samples_wanted(plan), sub_plan)?;
        let mut rows = Vec::new();
        batches::run(
            &*stream,
            self.options.workers_per_query_max,
            || Reader::new(self, plan, true),
            |reader, batch| self.rows_of(reader, batch, plan, scope),
            |batch| {
                rows.extend(batch);
                Ok(())
            },
        )?;
        self.count_effort(&*stream)?;
        if let Some(watch) = &self.watch {
            watch.rolled();
        }
        if let Some(span) = plan.counter_at {
            rows.iter().for_each(|row| self.note_counter(span, row.labels.metric_name()));
        }
        Ok(rows)
    }

    /// Asks the store for series.
    pub(super) fn open(
        &self,
        selector: &Selector,
        range: TimeRange,
        labels: LabelsWanted,
        samples: SamplesWanted,
        sub_plan: Option<SubPlan>,
    ) -> Result<Box<dyn SeriesStream>, QueryError> {
        let budget = self.ledger.budget.clone();
        let tail = self.watch.as_ref().and_then(|watch| watch.tail);
        let samples_from = if tail.is_some() { range.min } else { i64::MIN };
        // Series are found as if all points were evaluated.
        let range = TimeRange::new(range.min.saturating_sub(tail.map_or(0, |tail| tail.shift)), range.max);
        let request = SelectRequest {
            labels,
            samples,
            samples_from,
            one_per_timestamp: dialect::one_per_timestamp(self.query.dialect),
            sub_plan,
            budget: budget.clone(),
            ..SelectRequest::raw(self.query.tenant, self.restricted(selector), range)
        };
        let stream = self.trace.step(
            |stream: &Result<Box<dyn SeriesStream>, _>| {
                let found = stream.as_ref().ok().and_then(|stream| stream.series_total());
                format!("select from {} to {}: {} series", range.min, range.max, found.unwrap_or(0))
            },
            || block_on(self.select.select(request)),
        );
        let stream = stream.map_err(|error| select_error(error, &budget))?;
        self.ledger.read_series(stream.series_total().unwrap_or(0));
        Ok(stream)
    }

    /// Counts what was done elsewhere for a stream that was read to its end.
    pub(super) fn count_effort(&self, stream: &dyn SeriesStream) -> Result<(), QueryError> {
        let effort = stream.effort();
        self.ledger.add_effort(effort)?;
        if effort.bytes > 0 {
            let told = |_: &()| {
                format!("from storage nodes: {} bytes, {} partial chunks", effort.bytes, effort.partial_chunks)
            };
            self.trace.step(told, || ());
        }
        Ok(())
    }

    /// The selector, of whose series only those count for which one of the extra sets of filters holds.
    fn restricted(&self, selector: &Selector) -> Selector {
        let filters = &self.query.extra_filters;
        let mut selector = selector.clone();
        if self.options.dots_are_dots {
            selector.any_of.iter_mut().flatten().for_each(dots::escape);
        }
        if !filters.is_empty() {
            let both = |own: &Vec<Matcher>, extra: &Vec<Matcher>| own.iter().chain(extra).cloned().collect();
            let any_of = selector.any_of.iter().flat_map(|own| filters.iter().map(move |extra| both(own, extra)));
            selector.any_of = any_of.collect();
        }
        if self.query.dialect == Dialect::MetricsQl {
            selector.any_of.iter_mut().flatten().for_each(graphite::translate);
        }
        selector
    }

    fn rows_of(
        &self,
        reader: &mut Reader<'_>,
        batch: Batch,
        plan: &Plan<'_>,
        scope: &Scope,
    ) -> Result<Vec<Row>, QueryError> {
        let mut rows = Vec::new();
        for mut chunk in batch.chunks {
            if chunk.is_partial_result() {
                self.take_rows(&mut *chunk, plan, scope, &mut rows)?;
                continue;
            }
            for index in 0..chunk.len() {
                if !reader.read(&mut *chunk, index)? {
                    continue;
                }
                let mut labels = None;
                let key = std::mem::take(&mut reader.key);
                reader.roll(&mut |tag, values| {
                    if self.is_dropped(values) {
                        return Ok(());
                    }
                    let labels = labels.get_or_insert_with(|| self.output_labels(&key, plan));
                    let labels = output_labels(labels, tag).into_owned();
                    let row = self.row(labels, Values::take(values), plan, scope)?;
                    rows.push(row);
                    Ok(())
                })?;
                reader.key = key;
            }
        }
        Ok(rows)
    }

    /// Takes rows that were made where the samples are.
    fn take_rows(
        &self,
        chunk: &mut dyn SeriesChunk,
        plan: &Plan<'_>,
        scope: &Scope,
        rows: &mut Vec<Row>,
    ) -> Result<(), QueryError> {
        let (mut key, mut data) = (SeriesKey::default(), SeriesData::default());
        for index in 0..chunk.len() {
            chunk.key(index, &mut key)?;
            chunk.read(index, &mut data)?;
            if data.values.len() != plan.layout.points {
                return Err(QueryError::Internal(format!(
                    "a storage node gives a row of {} points",
                    data.values.len()
                )));
            }
            let labels = self.output_labels(&key, plan);
            rows.push(self.row(labels, Values::take(&mut data.values), plan, scope)?);
        }
        Ok(())
    }

    /// Whether a series without any sample on the grid is no series.
    pub(super) fn is_dropped(&self, values: &[f64]) -> bool {
        self.query.dialect == Dialect::PromQl && values.iter().all(|value| is_absent(*value))
    }

    /// A row of an output, over all instants of the grid.
    pub(super) fn row(
        &self,
        labels: Labels,
        mut values: Values,
        plan: &Plan<'_>,
        scope: &Scope,
    ) -> Result<Row, QueryError> {
        if plan.spreads {
            values = values.first_everywhere(scope.grid.points);
        }
        let drop_name = !plan.keeps_name && self.query.dialect == Dialect::PromQl;
        let row = Row { labels, values, drop_name };
        self.ledger.hold(row_bytes(&row))?;
        Ok(row)
    }

    fn output_labels(&self, key: &SeriesKey, plan: &Plan<'_>) -> Labels {
        let mut labels = Labels::from(key);
        if !plan.keeps_name && self.query.dialect == Dialect::MetricsQl {
            labels.remove(METRIC_NAME);
        }
        labels
    }

    /// Tells of a metric that is used as a counter, though its name does not say that it is one.
    pub(super) fn note_counter(&self, span: metricsql::Span, name: &str) {
        const COUNTERS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];
        if !name.is_empty() && !COUNTERS.iter().any(|ending| name.ends_with(ending)) {
            self.notes.info(
                span,
                format_args!(
                    "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}"
                ),
            );
        }
    }

    /// 1 where no series has samples in the window, with the labels that equality asks for.
    pub(super) fn run_absent(&self, plan: &Plan<'_>, of: &Expr, scope: &Scope) -> Result<Vec<Row>, QueryError> {
        let present = self.run_plan(plan, scope)?;
        let mut values = vec![1.0; scope.grid.points];
        for row in &present {
            row.values.samples().filter(|(_, have)| !have.is_nan()).for_each(|(at, _)| values[at] = ABSENT);
        }
        if self.is_dropped(&values) {
            return Ok(Vec::new());
        }
        let selector = match &of.without_parens().kind {
            ExprKind::Rollup(rollup) if rollup.subquery.is_none() => &rollup.inner,
            _ => of,
        };
        let labels = functions::absent_labels(self.query.dialect, selector);
        Ok(vec![Row { labels, values: values.into(), drop_name: false }])
    }
}

/// Samples one by one, or heads of blocks where they may stand for them.
pub(super) fn samples_wanted(plan: &Plan<'_>) -> SamplesWanted {
    cuts(&plan.recipe, &plan.layout).map_or(SamplesWanted::Raw, SamplesWanted::Heads)
}

/// The metric name that all series of a selector have, if it asks for one.
pub fn name_of(selector: &Selector) -> Option<&str> {
    let mut names = selector.any_of.iter().map(|matchers| {
        let of_name = |matcher: &&Matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal;
        matchers.iter().find(of_name).map(|matcher| matcher.value.as_str())
    });
    let first = names.next()??;
    names.all(|name| name == Some(first)).then_some(first)
}
