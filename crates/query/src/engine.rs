//! The engine: takes a query, gives its answer.
//!
//! 1. The text becomes a tree, the tree is checked, the times are adjusted as the dialect says.
//! 2. The tree is evaluated over series from [`Select`] under the budget of the query.
//! 3. The rows become an answer; what the query took is remembered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use model::{Clock, Tenant};
use storage_api::{Select, Version};

use crate::{
    answer,
    api::{ActiveQuery, Answer, Query, QueryError, Span, Stats, Value},
    budget::{AllQueries, Held, Ledger, row_bytes, value_bytes},
    cache::{Cacheable, Kept, Known, Partial, Pieces, ResultCache},
    check, dialect,
    eval::{Common, Evaluation, Print, Tail, Watch, together},
    frame::{Grid, Operand, Row},
    functions::Annotations,
    options::EngineOptions,
    registry::Registry,
    top::{LastQueries, TopBy, TopQuery},
    trace::Trace,
};

/// Answers queries.
pub struct Engine {
    select: Arc<dyn Select>,
    clock: Arc<dyn Clock>,
    options: EngineOptions,
    registry: Arc<Registry>,
    last: Arc<LastQueries>,
    all: Arc<AllQueries>,
    cache: ResultCache,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    queries: AtomicU64,
    failed: AtomicU64,
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
    series_read: AtomicU64,
    samples_scanned: AtomicU64,
}

/// What an engine did since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Queries that ended.
    pub queries: u64,
    /// Of these, those without an answer.
    pub failed: u64,
    /// Queries that the cache of results answered.
    pub cache_hits: u64,
    /// Queries that it could have answered and did not.
    pub cache_misses: u64,
    /// Bytes in the cache of results.
    pub cache_bytes: u64,
    /// Results in it.
    pub cache_entries: u64,
    /// Series that were read.
    pub series_read: u64,
    /// Samples that were looked at.
    pub samples_scanned: u64,
    /// Bytes that running queries hold.
    pub memory_held: u64,
    /// Queries that run.
    pub active: u64,
}

impl Engine {
    /// An engine over a store.
    pub fn new(select: Arc<dyn Select>, clock: Arc<dyn Clock>, options: EngineOptions) -> Self {
        let last = Arc::new(LastQueries::new(options.top_queries_max));
        let all = Arc::new(AllQueries::new(&options));
        let cache = ResultCache::new(options.cache_bytes_max);
        Self { select, clock, options, registry: Arc::default(), last, all, cache, counters: Arc::default() }
    }

    /// An engine over something else that shares all limits and lists with this one. It keeps no results.
    #[must_use]
    pub fn over(&self, select: Arc<dyn Select>) -> Self {
        Self {
            select,
            clock: Arc::clone(&self.clock),
            options: EngineOptions { cache_bytes_max: 0, ..self.options.clone() },
            registry: Arc::clone(&self.registry),
            last: Arc::clone(&self.last),
            all: Arc::clone(&self.all),
            cache: ResultCache::new(0),
            counters: Arc::clone(&self.counters),
        }
    }

    /// Evaluates a query. Blocks the calling thread, and may use further ones.
    pub fn run(&self, query: &Query) -> Result<Answer, QueryError> {
        let begin = Instant::now();
        let _entry = self.registry.enter(query);
        let mut peak = 0;
        let answer = self.answer(query, &mut peak);
        self.counters.queries.fetch_add(1, Ordering::Relaxed);
        match &answer {
            Ok(answer) => {
                self.counters.series_read.fetch_add(answer.stats.series_fetched, Ordering::Relaxed);
                self.counters.samples_scanned.fetch_add(answer.stats.samples_scanned, Ordering::Relaxed);
            }
            Err(_) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        let elapsed = begin.elapsed();
        if elapsed >= self.options.top_query_duration_min {
            self.last.add(query.tenant, &query.text, time_range(query.span), elapsed, peak);
        }
        answer
    }

    /// The queries of a tenant, or of all, that run, the longest running first.
    pub fn active(&self, of: Option<Tenant>) -> Vec<ActiveQuery> {
        self.registry.list(of)
    }

    /// Ends a query of a tenant, or of any; false if none of this number runs.
    pub fn cancel(&self, id: u64, of: Option<Tenant>) -> bool {
        self.registry.cancel(id, of)
    }

    /// The first `limit` of the queries of a tenant, or of all, that ended during the last `lifetime`.
    pub fn top(&self, of: Option<Tenant>, by: TopBy, limit: usize, lifetime: Duration) -> Vec<TopQuery> {
        self.last.top(of, by, limit, lifetime)
    }

    /// Forgets all results that are kept.
    pub fn reset_cache(&self) {
        self.cache.clear();
    }

    /// What the engine did.
    pub fn stats(&self) -> EngineStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (cache_entries, cache_bytes) = self.cache.size();
        EngineStats {
            queries: get(&self.counters.queries),
            failed: get(&self.counters.failed),
            cache_hits: get(&self.counters.cache_hits),
            cache_misses: get(&self.counters.cache_misses),
            cache_bytes,
            cache_entries,
            series_read: get(&self.counters.series_read),
            samples_scanned: get(&self.counters.samples_scanned),
            memory_held: self.all.held(),
            active: self.registry.list(None).len() as u64,
        }
    }

    fn answer(&self, query: &Query, peak: &mut u64) -> Result<Answer, QueryError> {
        let begin = Instant::now();
        if query.text.len() > self.options.query_len_max && self.options.query_len_max > 0 {
            return Err(QueryError::Limit(format!(
                "the expression has {} bytes, -search.maxQueryLen allows {}",
                query.text.len(),
                self.options.query_len_max
            )));
        }
        let expr = metricsql::parse(&query.text, &dialect::syntax(query.dialect))
            .map_err(|error| check::parse_error(query.dialect, &error))?;
        let is_range = matches!(query.span, Span::Range { .. });
        check::check(&query.text, &expr, query.dialect, is_range)?;
        let now = self.clock.now_ms();
        let times = dialect::times(query, &self.options, now);
        self.check_points(&times.grid)?;
        let asked = Asked { query, expr: &expr, times: &times, now, begin };
        let partial = Partial::of(query, &expr, &times, &self.options, now);
        // Versions are those of before anything is read.
        let pieces = partial.as_ref().map(|partial| partial.pieces(&*self.select));
        if let (Some(partial), Some(pieces)) = (&partial, &pieces)
            && let Some(known) = self.cache.rows(partial, pieces, &*self.select)
            && let Some(answer) = self.continued(&asked, partial, pieces, &known, peak)?
        {
            self.counters.cache_hits.fetch_add(1, Ordering::Relaxed);
            return Ok(answer);
        }
        let cacheable = Cacheable::of(query, &expr, &times, &self.options, now);
        let version =
            cacheable.as_ref().and_then(|cacheable| self.select.versions(query.tenant, &[cacheable.range]).pop());
        if let (Some(cacheable), Some(version)) = (&cacheable, version)
            && let Some(answer) = self.kept(cacheable, version, begin)
        {
            return Ok(answer);
        }
        if partial.is_some() || cacheable.is_some() {
            self.counters.cache_misses.fetch_add(1, Ordering::Relaxed);
        }
        let watch = partial.as_ref().map(|partial| Watch::new(None, partial.needs.same_groups));
        let evaluation = self.evaluation(&asked, times.grid, watch);
        let is_range = matches!(query.span, Span::Range { .. });
        let value = match is_range {
            true => self.evaluate_range(&asked, &evaluation, partial.zip(pieces)),
            false => evaluate_instant(&evaluation, &expr, &times).map(|value| (value, false)),
        };
        *peak = evaluation.ledger.peak();
        let (value, are_rows_kept) = value?;
        let (warnings, infos) = evaluation.notes.to_strings();
        let (series_fetched, samples_scanned) = evaluation.ledger.read();
        let may_keep = !are_rows_kept && !query.completeness.is_partial();
        if let (Some(cacheable), Some(version), true) = (cacheable, version, may_keep) {
            let notes = (warnings.clone(), infos.clone());
            self.cache.put(cacheable, version, Kept { value: value.clone(), notes, series_fetched });
        }
        let bytes_moved = evaluation.ledger.bytes_moved();
        let stats =
            Stats { series_fetched, samples_scanned, bytes_moved, memory_peak: *peak, elapsed: begin.elapsed() };
        let trace = evaluation.trace.finish(format!("query {}", query.text), begin);
        let held = Some(Arc::new(evaluation.ledger.leave(value_bytes(&value))));
        Ok(Answer { value, stats, warnings, infos, trace, is_partial: None, held })
    }

    fn evaluation<'a>(&'a self, asked: &Asked<'a>, grid: Grid, watch: Option<Watch>) -> Evaluation<'a> {
        let query = asked.query;
        Evaluation {
            select: &*self.select,
            options: &self.options,
            query,
            grid,
            now: asked.now,
            lookback: dialect::lookback(query, &self.options),
            notes: Annotations::new(query.text.as_str()),
            ledger: Ledger::new(query, &self.options, &self.all),
            trace: Trace::new(query.trace),
            common: Common::of(asked.expr, query.dialect),
            watch,
        }
    }

    /// Evaluates all points of a range query. Keeps the rows if they may be kept, and tells whether they were.
    fn evaluate_range(
        &self,
        asked: &Asked<'_>,
        evaluation: &Evaluation<'_>,
        partial: Option<(Partial, Pieces)>,
    ) -> Result<(Value, bool), QueryError> {
        let operand = evaluation.run(asked.expr)?;
        let mut are_rows_kept = false;
        if let (Some((partial, pieces)), Operand::Rows(rows)) = (partial, &operand) {
            let series_fetched = evaluation.ledger.read().0;
            let kept = prints_of(evaluation).and_then(|prints| partial.keep(rows, pieces, prints, series_fetched));
            are_rows_kept = kept.is_some();
            match kept {
                Some(kept) => self.cache.put_rows(partial, kept),
                None => self.cache.forget_rows(&partial),
            }
        }
        Ok((self.value_of(asked, operand)?, are_rows_kept))
    }

    fn value_of(&self, asked: &Asked<'_>, operand: Operand) -> Result<Value, QueryError> {
        answer::value(asked.query, asked.expr, asked.times, operand, &self.options)
    }

    /// The answer from rows that are known, of which only the last points are evaluated; `None` if these do not fit together.
    fn continued(
        &self,
        asked: &Asked<'_>,
        partial: &Partial,
        pieces: &Pieces,
        (kept, known): &Known,
        peak: &mut u64,
    ) -> Result<Option<Answer>, QueryError> {
        let Some((known_to, missing)) = partial.tail(*known) else {
            let evaluation = self.evaluation(asked, asked.times.grid, None);
            let answer = self.joined(asked, &evaluation, partial.join(kept, *known, Vec::new()), kept.series_fetched);
            *peak = evaluation.ledger.peak();
            return answer.map(Some);
        };
        let tail = Tail { known_to, shift: missing.start - asked.times.grid.start };
        let watch = Watch::new(Some(tail), partial.needs.same_groups);
        let evaluation = self.evaluation(asked, missing, Some(watch));
        let operand = evaluation.run(asked.expr);
        *peak = evaluation.ledger.peak();
        let (Operand::Rows(tail), Some(prints)) = (operand?, prints_of(&evaluation)) else { return Ok(None) };
        let Some(prints) = together(&kept.prints, &prints) else { return Ok(None) };
        let rows = partial.join(kept, *known, tail);
        let series_fetched = evaluation.ledger.read().0;
        if let Some(kept) = partial.keep(&rows, pieces.clone(), prints, series_fetched) {
            self.cache.put_rows(partial.clone(), kept);
        }
        let answer = self.joined(asked, &evaluation, rows, series_fetched);
        *peak = evaluation.ledger.peak();
        answer.map(Some)
    }

    fn joined(
        &self,
        asked: &Asked<'_>,
        evaluation: &Evaluation<'_>,
        rows: Vec<Row>,
        series_fetched: u64,
    ) -> Result<Answer, QueryError> {
        evaluation.ledger.hold(rows.iter().map(row_bytes).sum())?;
        let value = self.value_of(asked, Operand::Rows(rows))?;
        let (samples_scanned, memory_peak) = (evaluation.ledger.read().1, evaluation.ledger.peak());
        let bytes_moved = evaluation.ledger.bytes_moved();
        let stats = Stats { series_fetched, samples_scanned, bytes_moved, memory_peak, elapsed: asked.begin.elapsed() };
        let held = Some(Arc::new(evaluation.ledger.leave(value_bytes(&value))));
        Ok(Answer { value, stats, warnings: Vec::new(), infos: Vec::new(), trace: None, is_partial: None, held })
    }

    /// The answer that was computed before from the same data.
    fn kept(&self, cacheable: &Cacheable, version: Version, begin: Instant) -> Option<Answer> {
        let kept = self.cache.get(cacheable, version)?;
        self.counters.cache_hits.fetch_add(1, Ordering::Relaxed);
        let (warnings, infos) = kept.notes.clone();
        let stats = Stats { series_fetched: kept.series_fetched, elapsed: begin.elapsed(), ..Stats::default() };
        let value = kept.value.clone();
        let held = Some(Arc::new(Held::new(value_bytes(&value), &self.all)));
        Some(Answer { value, stats, warnings, infos, trace: None, is_partial: None, held })
    }

    fn check_points(&self, grid: &Grid) -> Result<(), QueryError> {
        let max = self.options.points_per_series_max;
        if grid.points > max && max > 0 {
            return Err(QueryError::Limit(format!(
                "too many points for the given start={}, end={} and step={}: {}; the maximum number of points is {max} (-search.maxPointsPerTimeseries)",
                grid.start,
                grid.end(),
                grid.step,
                grid.points
            )));
        }
        let ends = [grid.start, grid.end(), grid.step];
        if ends.iter().any(|time| time.saturating_abs() > TIME_MAX_MS) {
            return Err(QueryError::Evaluation(format!(
                "cannot evaluate from {} to {}: times lie within {TIME_MAX_MS} milliseconds of 1970",
                grid.start,
                grid.end()
            )));
        }
        Ok(())
    }
}

/// A query with what follows from it.
struct Asked<'a> {
    query: &'a Query,
    expr: &'a metricsql::Expr,
    times: &'a dialect::Times,
    now: i64,
    begin: Instant,
}

/// What folds were made of, if values may be kept. What told notes is told again each time, and what lacks data may be whole the next time.
fn prints_of(evaluation: &Evaluation<'_>) -> Option<Vec<Print>> {
    if evaluation.query.completeness.is_partial() {
        return None;
    }
    let (warnings, infos) = evaluation.notes.to_strings();
    let prints = evaluation.watch.as_ref()?.prints()?;
    (warnings.is_empty() && infos.is_empty()).then_some(prints)
}

/// What the tree comes to at an instant, as an answer.
fn evaluate_instant(
    evaluation: &Evaluation<'_>,
    expr: &metricsql::Expr,
    times: &dialect::Times,
) -> Result<Value, QueryError> {
    if let Some(series) = evaluation.run_raw(expr)? {
        return Ok(Value::Matrix(series));
    }
    let query = evaluation.query;
    if let Some((rows, grid)) = evaluation.run_range_of(expr)? {
        let query =
            Query { span: Span::Range { start: grid.start, end: grid.end(), step: grid.step }, ..query.clone() };
        let times = dialect::Times { grid, answered_later: 0, held_back: None };
        return answer::value(&query, expr, &times, rows, evaluation.options);
    }
    let operand = evaluation.run(expr)?;
    answer::value(query, expr, times, operand, evaluation.options)
}

/// No query reaches further from 1970: lengths can be added to its times without overflow.
const TIME_MAX_MS: i64 = 10_000_000_000_000_000;

fn time_range(span: Span) -> Duration {
    match span {
        Span::Instant { .. } => Duration::ZERO,
        Span::Range { start, end, .. } => Duration::from_millis(end.saturating_sub(start).max(0) as u64),
    }
}
