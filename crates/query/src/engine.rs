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

use model::Clock;
use storage_api::{Select, Version};

use crate::{
    answer,
    api::{ActiveQuery, Answer, Query, QueryError, Span, Stats, Value},
    budget::{AllQueries, Ledger},
    cache::{Cacheable, Kept, ResultCache},
    check, dialect,
    eval::Evaluation,
    frame::Grid,
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
    last: LastQueries,
    all: Arc<AllQueries>,
    cache: ResultCache,
    counters: Counters,
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
        let last = LastQueries::new(options.top_queries_max);
        let all = Arc::new(AllQueries::new(&options));
        let cache = ResultCache::new(options.cache_bytes_max);
        Self { select, clock, options, registry: Arc::default(), last, all, cache, counters: Counters::default() }
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
            self.last.add(&query.text, time_range(query.span), elapsed, peak);
        }
        answer
    }

    /// The queries that run, the longest running first.
    pub fn active(&self) -> Vec<ActiveQuery> {
        self.registry.list()
    }

    /// Ends a query; false if none of this number runs.
    pub fn cancel(&self, id: u64) -> bool {
        self.registry.cancel(id)
    }

    /// The first `limit` of the queries that ended during the last `lifetime`.
    pub fn top(&self, by: TopBy, limit: usize, lifetime: Duration) -> Vec<TopQuery> {
        self.last.top(by, limit, lifetime)
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
            active: self.registry.list().len() as u64,
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
        let evaluation = Evaluation {
            select: &*self.select,
            options: &self.options,
            query,
            grid: times.grid,
            now,
            lookback: dialect::lookback(query, &self.options),
            notes: Annotations::new(query.text.as_str()),
            ledger: Ledger::new(query, &self.options, &self.all),
            trace: Trace::new(query.trace),
        };
        let cacheable = Cacheable::of(query, &expr, &times, &self.options, now);
        // The version is that of before anything is read.
        let version = cacheable.as_ref().map(|cacheable| self.select.version(query.tenant, cacheable.range));
        if let (Some(cacheable), Some(version)) = (&cacheable, version)
            && let Some(answer) = self.kept(cacheable, version, begin)
        {
            return Ok(answer);
        }
        let value = evaluate(&evaluation, &expr, &times);
        *peak = evaluation.ledger.peak();
        let value = value?;
        let (warnings, infos) = evaluation.notes.to_strings();
        let (series_fetched, samples_scanned) = evaluation.ledger.read();
        if let (Some(cacheable), Some(version), false) = (cacheable, version, query.completeness.is_partial()) {
            let notes = (warnings.clone(), infos.clone());
            self.cache.put(cacheable, version, Kept { value: value.clone(), notes, series_fetched });
        }
        let stats = Stats { series_fetched, samples_scanned, memory_peak: *peak, elapsed: begin.elapsed() };
        let trace = evaluation.trace.finish(format!("query {}", query.text), begin);
        Ok(Answer { value, stats, warnings, infos, trace, is_partial: None })
    }

    /// The answer that was computed before from the same data.
    fn kept(&self, cacheable: &Cacheable, version: Version, begin: Instant) -> Option<Answer> {
        let Some(kept) = self.cache.get(cacheable, version) else {
            self.counters.cache_misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.counters.cache_hits.fetch_add(1, Ordering::Relaxed);
        let (warnings, infos) = kept.notes.clone();
        let stats =
            Stats { series_fetched: kept.series_fetched, samples_scanned: 0, memory_peak: 0, elapsed: begin.elapsed() };
        Some(Answer { value: kept.value.clone(), stats, warnings, infos, trace: None, is_partial: None })
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

/// What the tree comes to, as an answer.
fn evaluate(evaluation: &Evaluation<'_>, expr: &metricsql::Expr, times: &dialect::Times) -> Result<Value, QueryError> {
    let query = evaluation.query;
    let is_instant = matches!(query.span, Span::Instant { .. });
    if is_instant && let Some(series) = evaluation.run_raw(expr)? {
        return Ok(Value::Matrix(series));
    }
    if is_instant && let Some((rows, grid)) = evaluation.run_range_of(expr)? {
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
