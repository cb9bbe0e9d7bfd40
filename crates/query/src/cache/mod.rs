//! Results of range queries that were asked before.
//!
//! 1. A result is kept under everything that its answer depends on but the data. For the data stands the store's version of a range of time that holds all
//!    samples which the query can have read; it is taken before the query reads, so that what is written meanwhile makes the result be forgotten.
//! 2. A result answers only while the version is the same: an answer from here is the answer that would be computed.
//! 3. Results that reach close to now are not kept, since every scrape changes them.
//! 4. Of expressions that allow it, rows are kept instead, so that a query that is asked again a little later evaluates its last points only ([`partial`]).
//! 5. The bytes of all results are bounded; the one that was asked for longest ago goes first.

mod partial;
mod shape;

use std::{collections::HashMap, sync::Arc};

use metricsql::{Expr, ExprKind};
use model::{Matcher, Tenant, TimeRange};
use parking_lot::Mutex;
use storage_api::{Select, Version};

pub use partial::{KeptRows, Known, Partial, Pieces, RowsKey};

use crate::{
    api::{Dialect, Query, Span, Value},
    dialect::{self, Times},
    frame::Grid,
    options::EngineOptions,
};

/// What an answer depends on beside the data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    tenant: Tenant,
    dialect: Dialect,
    text: String,
    grid: Grid,
    end: i64,
    lookback: i64,
    extra_filters: Vec<Vec<Matcher>>,
    round_digits: Option<i32>,
    limit: usize,
}

/// An answer that is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The value.
    pub value: Value,
    /// What was told with it.
    pub notes: (Vec<String>, Vec<String>),
    /// How many series it took.
    pub series_fetched: u64,
}

/// Where something is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Answer(CacheKey),
    Rows(RowsKey),
}

#[derive(Debug)]
enum Content {
    Answer { kept: Arc<Kept>, range: TimeRange, version: Version },
    Rows(Arc<KeptRows>),
}

#[derive(Debug)]
struct Entry {
    content: Content,
    bytes: usize,
    used: u64,
}

/// The results.
#[derive(Debug)]
pub struct ResultCache {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    clock: u64,
}

impl State {
    /// What stands there, which was asked for now.
    fn find(&mut self, key: &Key) -> Option<&Content> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(&entry.content)
    }

    fn remove(&mut self, key: &Key) {
        self.bytes -= self.entries.remove(key).map_or(0, |entry| entry.bytes);
    }
}

/// A query whose result may be kept or found.
#[derive(Debug)]
pub struct Cacheable {
    key: CacheKey,
    /// Over which time it reads at most.
    pub range: TimeRange,
}

impl Cacheable {
    /// Tells whether the result of a query may come from here and go here.
    pub fn of(query: &Query, expr: &Expr, times: &Times, options: &EngineOptions, now: i64) -> Option<Self> {
        let Span::Range { end, .. } = query.span else { return None };
        if !query.may_cache || query.trace || options.cache_bytes_max == 0 || times.held_back.is_some() {
            return None;
        }
        let offset = i64::try_from(options.cache_timestamp_offset.as_millis()).unwrap_or(i64::MAX / 4);
        let end = end.max(times.grid.end());
        if end > now - offset {
            return None;
        }
        let lookback = dialect::lookback(query, options);
        let reach = reach(expr, &times.grid, lookback.max(dialect::silence(options)))?;
        let key = CacheKey {
            tenant: query.tenant,
            dialect: query.dialect,
            text: query.text.clone(),
            grid: times.grid,
            end: dialect::range_end(query, options, &times.grid),
            lookback,
            extra_filters: query.extra_filters.clone(),
            round_digits: query.round_digits,
            limit: query.limit,
        };
        let range = TimeRange::new(times.grid.start.saturating_sub(reach), end.saturating_add(reach));
        Some(Self { key, range })
    }
}

/// How far a tree reaches beyond its grid at most; `None` if that cannot be said, or if the answer would be another one each time.
fn reach(expr: &Expr, grid: &Grid, lookback: i64) -> Option<i64> {
    let (mut reach, mut is_known) = (lookback.saturating_mul(2).saturating_add(2 * grid.step), true);
    let mut add = |millis: f64| reach = reach.saturating_add((millis.abs() as i64).saturating_mul(2));
    expr.for_each(&mut |part| match &part.kind {
        ExprKind::Rollup(rollup) => {
            let parts = [&rollup.window, &rollup.offset];
            let step = rollup.subquery.as_ref().and_then(|subquery| subquery.step.as_ref());
            for length in parts.into_iter().flatten().chain(step) {
                match &length.without_parens().kind {
                    ExprKind::Number(seconds) => add(seconds * 1e3),
                    ExprKind::Duration(parts) => add(parts
                        .iter()
                        .map(|part| metricsql::duration_millis(&[(part.0.abs(), part.1)], grid.step as f64))
                        .sum()),
                    _ => is_known = false,
                }
            }
            // Below a subquery windows without a length are as long as its step, and look around for as long again.
            add(lookback as f64);
            is_known &= rollup.at.is_none();
        }
        ExprKind::Call(call) => {
            add((lookback + grid.step) as f64);
            let name = call.name.to_ascii_lowercase();
            is_known &= name != "now" && !name.starts_with("rand");
        }
        _ => {}
    });
    is_known.then_some(reach)
}

impl ResultCache {
    /// Keeps results of at most so many bytes in all.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// The result of a query, if there is one of this version of the data.
    pub fn get(&self, query: &Cacheable, version: Version) -> Option<Arc<Kept>> {
        let key = Key::Answer(query.key.clone());
        let mut state = self.state.lock();
        match state.find(&key)? {
            Content::Answer { kept, range, version: of } if *of == version && *range == query.range => {
                Some(Arc::clone(kept))
            }
            _ => {
                state.remove(&key);
                None
            }
        }
    }

    /// Keeps a result that was computed from this version of the data, or a later one.
    pub fn put(&self, query: Cacheable, version: Version, kept: Kept) {
        let bytes = bytes_of(&query.key, &kept);
        let content = Content::Answer { kept: Arc::new(kept), range: query.range, version };
        self.insert(Key::Answer(query.key), content, bytes);
    }

    /// Rows of some of the first points of a query, and of how many. `now` are the versions of before anything is read.
    pub fn rows(&self, query: &Partial, now: &Pieces, select: &dyn Select) -> Option<Known> {
        let key = Key::Rows(query.key.clone());
        let kept = match self.state.lock().find(&key)? {
            Content::Rows(kept) => Arc::clone(kept),
            Content::Answer { .. } => return None,
        };
        let known = query.known(&kept, now, select)?;
        Some((kept, known))
    }

    /// Rows of a query of which no points can be kept any more.
    pub fn forget_rows(&self, query: &Partial) {
        self.state.lock().remove(&Key::Rows(query.key.clone()));
    }

    /// Keeps rows.
    pub fn put_rows(&self, query: Partial, kept: KeptRows) {
        let bytes = ENTRY_OVERHEAD + query.key.bytes() + kept.bytes();
        self.insert(Key::Rows(query.key), Content::Rows(Arc::new(kept)), bytes);
    }

    fn insert(&self, key: Key, content: Content, bytes: usize) {
        // One result may not drive out all others.
        if bytes > self.bytes_max / 4 {
            return;
        }
        let state = &mut *self.state.lock();
        state.clock += 1;
        let entry = Entry { content, bytes, used: state.clock };
        state.bytes += bytes;
        if let Some(before) = state.entries.insert(key, entry) {
            state.bytes -= before.bytes;
        }
        while state.bytes > self.bytes_max {
            let Some(oldest) = state.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone())
            else {
                return;
            };
            state.remove(&oldest);
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        let state = &mut *self.state.lock();
        state.entries.clear();
        state.bytes = 0;
    }

    /// How many results there are, and how many bytes they take.
    pub fn size(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.entries.len() as u64, state.bytes as u64)
    }
}

/// About what a map takes beside what stands in it.
const ENTRY_OVERHEAD: usize = 256;

fn bytes_of(key: &CacheKey, kept: &Kept) -> usize {
    let series = match &kept.value {
        Value::Vector(series) | Value::Matrix(series) => series.as_slice(),
        Value::Scalar(..) | Value::Text(..) => &[],
    };
    let of_series = |series: &crate::AnswerSeries| {
        let samples = match &series.points {
            crate::Points::Grid { values, .. } | crate::Points::Own { values, .. } => values.len(),
        };
        size_of::<crate::AnswerSeries>() + series.labels.bytes() + samples * size_of::<f64>()
    };
    ENTRY_OVERHEAD + key.text.len() + series.iter().map(of_series).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach_of(text: &str) -> Option<i64> {
        let expr = metricsql::parse(text, &metricsql::Options::default()).expect("tests write expressions");
        reach(&expr, &Grid { start: 0, step: 1_000, points: 10 }, 300_000)
    }

    #[test]
    fn the_reach_holds_all_windows_and_shifts() {
        let plain = reach_of("m").expect("it can be said");
        assert!(plain >= 301_000);
        assert!(
            reach_of("max_over_time(rate(m[5m] offset 1h)[30m:1m])").is_some_and(|reach| reach > plain + 95 * 60_000)
        );
        assert_eq!(reach_of("m @ 5"), None);
        assert_eq!(reach_of("now() + m"), None);
    }
}
