//! What the two dialects do differently, outside of single functions.
//!
//! | | `metricsql` | `promql` |
//! |---|---|---|
//! | names of functions | in any case | in lower case |
//! | samples at one time | all | the last in the order of values |
//! | a selector without a range | `default_rollup`: the last sample in a window that follows from step and distance of samples | the last sample of the lookback |
//! | a range without a function | the same over that range | only at the top of an instant query |
//! | a function over no selector | a subquery with the query's step | only with a subquery |
//! | NaN | no sample | a value |
//! | metric names | go at once | go at the end |
//! | `start()`, `end()`, `@ start()` | of the subquery | of the query |
//! | steps of a subquery | from before the first window to behind the last, at multiples | inside the windows, at multiples |
//! | a subquery without a step | the query's step | [`SUBQUERY_STEP_DEFAULT_MS`] |
//! | begin and end of a range query | at multiples of the step, if it has many points and the cache may be used | as asked |
//! | the newest samples | left out (`-search.latencyOffset`) | answered |
//!
//! Rollup functions (`rollup`) and functions over rows (`functions`) have tables that name the dialect.

use std::borrow::Cow;

use crate::{
    api::{Dialect, Query, Span},
    frame::Grid,
    options::EngineOptions,
};

/// The step of a subquery that says none (dialect `promql`).
pub const SUBQUERY_STEP_DEFAULT_MS: i64 = 60_000;
/// How far before its first window a rollup of dialect `metricsql` looks for the sample before it.
const SILENCE_MS: i64 = 300_000;
/// A range query of at least so many points begins and ends at multiples of its step.
const ALIGNED_POINTS_MIN: i64 = 50;

/// The name of a function as the tables have it.
pub fn function_name(dialect: Dialect, name: &str) -> Cow<'_, str> {
    match dialect {
        Dialect::MetricsQl if name.bytes().any(|byte| byte.is_ascii_uppercase()) => name.to_ascii_lowercase().into(),
        _ => name.into(),
    }
}

/// Whether a series has at most one sample at a time.
pub fn one_per_timestamp(dialect: Dialect) -> bool {
    dialect == Dialect::PromQl
}

/// How the text is read.
pub fn syntax(dialect: Dialect) -> metricsql::Options {
    let is_metricsql = dialect == Dialect::MetricsQl;
    metricsql::Options {
        folds_texts: is_metricsql,
        negative_duration_parts: is_metricsql,
        predefined_templates: is_metricsql,
        metric_name_once: !is_metricsql,
    }
}

/// How far back a sample counts, in milliseconds; 0 in dialect `metricsql` for as long as its distance from others says.
pub fn lookback(query: &Query, options: &EngineOptions) -> i64 {
    let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4);
    match (query.lookback, query.dialect) {
        (Some(lookback), _) => millis(lookback),
        (None, Dialect::MetricsQl) => 0,
        (None, Dialect::PromQl) => millis(options.promql_lookback),
    }
}

/// How far before its first window a rollup of dialect `metricsql` looks.
pub fn silence(options: &EngineOptions) -> i64 {
    match i64::try_from(options.staleness_interval_min.as_millis()) {
        Ok(0) | Err(_) => SILENCE_MS,
        Ok(interval) => interval,
    }
}

fn points_asked(start: i64, end: i64, step: i64) -> i64 {
    end.saturating_sub(start).max(0) / step + 1
}

/// Whether a range query of so many points begins and ends at multiples of its step.
fn is_aligned(query: &Query, options: &EngineOptions, points: i64) -> bool {
    let may_cache = query.may_cache && options.cache_bytes_max > 0;
    query.dialect == Dialect::MetricsQl && may_cache && points >= ALIGNED_POINTS_MIN
}

/// When the range of a query ends. As it was asked for, that may be behind the last instant.
pub fn range_end(query: &Query, options: &EngineOptions, grid: &Grid) -> i64 {
    match query.span {
        Span::Range { start, end, step } if !is_aligned(query, options, points_asked(start, end, step.max(1))) => {
            end.max(grid.end())
        }
        _ => grid.end(),
    }
}

/// When a query is evaluated, and what is held back of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The instants.
    pub grid: Grid,
    /// By how much later than evaluated an instant query is answered.
    pub answered_later: i64,
    /// Points in `(from, to]` of a range query get the value of the point before, since their samples may still arrive.
    pub held_back: Option<(i64, i64)>,
}

/// The instants at which a query is evaluated.
pub fn times(query: &Query, options: &EngineOptions, now: i64) -> Times {
    let offset = query.latency_offset.unwrap_or(options.latency_offset);
    let offset = i64::try_from(offset.as_millis()).unwrap_or(i64::MAX / 4);
    let is_metricsql = query.dialect == Dialect::MetricsQl;
    match query.span {
        Span::Instant { time, step } => {
            let step = step.max(1);
            let is_near = now.saturating_sub(time).saturating_abs() < offset;
            let answered_later = if is_metricsql && query.may_cache && is_near { time - (now - offset) } else { 0 };
            let answered_later = answered_later.max(0);
            Times { grid: Grid { start: time - answered_later, step, points: 1 }, answered_later, held_back: None }
        }
        Span::Range { start, end, step } => {
            let step = step.max(1);
            let mut points = points_asked(start, end, step);
            let mut start = start;
            if is_aligned(query, options, points) {
                start -= start % step;
                points = points.min((end.saturating_add(step - 1) - start) / step + 1);
            }
            let points = usize::try_from(points).unwrap_or(usize::MAX);
            let step_max = i64::try_from(options.held_back_step_max.as_millis()).unwrap_or(i64::MAX);
            let holds_back = is_metricsql && offset > 0 && step < step_max && now - offset < end;
            let held_back = holds_back.then_some((now - offset, now + step));
            Times { grid: Grid { start, step, points }, answered_later: 0, held_back }
        }
    }
}
