//! Rows of range queries by which a query that is asked again a little later needs only its last points.
//!
//! 1. Rows are kept as they are before they become an answer, under all that they depend on but begin and end of the grid. Points close to now are not kept.
//! 2. Beside them stand the versions of pieces of time, from before they were computed: of hours, of which the last one is cut where points begin to be too
//!    close to now, since behind that everything changes. A later query on the same line of instants takes the points over which all pieces, from where it
//!    reads on, have the version that they had.
//! 3. It evaluates the other points alone, finding series as if it evaluated all. What came out is put together if that is what an evaluation of all points gives, to
//!    the bit: see [`super::shape`], `rollup::local` and `eval::watch`. Else all points are evaluated.

use std::{collections::HashMap, sync::Arc};

use metricsql::Expr;
use model::{Matcher, Tenant, TimeRange};
use storage_api::{Select, Version};

use super::{
    reach,
    shape::{Needs, needs},
};
use crate::{
    api::{Dialect, Query, Span},
    budget::row_bytes,
    dialect::{self, Times},
    eval::Print,
    frame::{Grid, Row},
    labels::Labels,
    options::EngineOptions,
    values::Values,
};

/// Versions are kept for pieces of so long at most.
const PIECE_MS: i64 = 3_600_000;
/// A store knows versions of minutes: pieces are cut where minutes begin.
const MINUTE_MS: i64 = 60_000;
/// So far before the last points that are kept one more cut is made, so that a scrape that comes late spoils little.
const LATE_MS: i64 = 10 * MINUTE_MS;
/// Longer ranges have no rows kept.
const PIECES_MAX: i64 = 2_000;
/// With longer steps heads may stand for blocks, in other places each time.
const STEP_MAX_MS: i64 = 3_600_000;
/// One who knows fewer than one in so many points evaluates all.
const KNOWN_SHARE_MIN: usize = 4;
/// A grid of one point would be evaluated as an instant query is.
const POINTS_MIN: usize = 2;

/// What rows depend on beside the data and where the grid begins and ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowsKey {
    tenant: Tenant,
    dialect: Dialect,
    text: String,
    step: i64,
    /// By how much instants lie behind multiples of the step.
    phase: i64,
    lookback: i64,
    extra_filters: Vec<Vec<Matcher>>,
}

impl RowsKey {
    /// About what it holds.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// A query whose rows may be found or kept.
#[derive(Debug, Clone)]
pub struct Partial {
    /// Where its rows are found.
    pub key: RowsKey,
    /// What former rows must tell.
    pub needs: Needs,
    grid: Grid,
    /// When the range ends: samples behind the last point tell how things went on.
    end: i64,
    /// Points behind are not kept.
    stable_to: i64,
    /// How far before its first point it reads at most.
    reach: i64,
}

/// The versions of pieces of time one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces(Vec<(TimeRange, Version)>);

impl Pieces {
    /// The version that a piece has now, if it is one of these.
    fn version(&self, piece: TimeRange) -> Option<Version> {
        let found = self.0.binary_search_by_key(&piece.min, |(piece, _)| piece.min).ok()?;
        let (have, version) = self.0[found];
        (have == piece).then_some(version)
    }
}

/// Rows that are kept.
#[derive(Debug)]
pub struct KeptRows {
    grid: Grid,
    end: i64,
    rows: Vec<Row>,
    pieces: Pieces,
    /// What folds were made of.
    pub prints: Vec<Print>,
    /// How many series they took.
    pub series_fetched: u64,
}

impl Partial {
    /// Tells whether rows of a query may come from here and go here.
    pub fn of(query: &Query, expr: &Expr, times: &Times, options: &EngineOptions, now: i64) -> Option<Self> {
        let Span::Range { end, .. } = query.span else { return None };
        let grid = times.grid;
        if !query.may_cache || query.trace || options.cache_bytes_max == 0 {
            return None;
        }
        if grid.points < POINTS_MIN || grid.step >= STEP_MAX_MS {
            return None;
        }
        let needs = needs(expr, query.dialect)?;
        let lookback = dialect::lookback(query, options);
        let reach = reach(expr, &grid, lookback.max(dialect::silence(options)))?;
        let end = end.max(grid.end());
        if end.saturating_sub(grid.start).saturating_add(reach) / PIECE_MS > PIECES_MAX {
            return None;
        }
        let offset = i64::try_from(options.cache_timestamp_offset.as_millis()).unwrap_or(i64::MAX / 4);
        let key = RowsKey {
            tenant: query.tenant,
            dialect: query.dialect,
            text: query.text.clone(),
            step: grid.step,
            phase: grid.start.rem_euclid(grid.step),
            lookback,
            extra_filters: query.extra_filters.clone(),
        };
        Some(Self { key, needs, grid, end, stable_to: now.saturating_sub(offset), reach })
    }

    /// The versions of the time that it reads.
    pub fn pieces(&self, select: &dyn Select) -> Pieces {
        self.versions(self.cut(), select)
    }

    fn versions(&self, pieces: Vec<TimeRange>, select: &dyn Select) -> Pieces {
        let versions = select.versions(self.key.tenant, &pieces);
        Pieces(pieces.into_iter().zip(versions).collect())
    }

    /// The time that it reads, in pieces.
    fn cut(&self) -> Vec<TimeRange> {
        let behind = (self.end.div_euclid(PIECE_MS) + 1) * PIECE_MS;
        let last_kept = self.stable_to.min(self.grid.end()).div_euclid(MINUTE_MS) * MINUTE_MS;
        let first = self.reads_from().div_euclid(PIECE_MS);
        let mut starts: Vec<i64> = (first..behind / PIECE_MS).map(|piece| piece * PIECE_MS).collect();
        starts.extend([last_kept - LATE_MS, last_kept].iter().filter(|cut| (first * PIECE_MS..behind).contains(cut)));
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().skip(1).copied().chain([behind]);
        starts.iter().zip(ends).map(|(start, end)| TimeRange::new(*start, end - 1)).collect()
    }

    fn reads_from(&self) -> i64 {
        self.grid.start.saturating_sub(self.reach)
    }

    /// How many of the first points are known from these rows, if that is worth it. `now` are the versions of before anything is read.
    pub fn known(&self, kept: &KeptRows, now: &Pieces, select: &dyn Select) -> Option<usize> {
        if kept.grid.start > self.grid.start {
            return None;
        }
        let pieces = kept.pieces.0.iter().skip_while(|(piece, _)| piece.max < self.reads_from());
        // Those at the end were cut where the present was.
        let others = pieces.clone().map(|(piece, _)| *piece).filter(|piece| now.version(*piece).is_none()).collect();
        let others = self.versions(others, select);
        let is_same = |(piece, then): &&(TimeRange, Version)| {
            now.version(*piece).or_else(|| others.version(*piece)) == Some(*then)
        };
        let (wanted, same) = (pieces.clone().count(), pieces.clone().take_while(is_same).count());
        let sure_to = pieces.take(same).last()?.0.max.min(kept.grid.end());
        let known = self.points_to(sure_to);
        // Only the same query over the same data knows how things went on behind its last point.
        let is_same = kept.grid == self.grid && kept.end == self.end && same == wanted;
        let known = if is_same { known } else { known.min(self.grid.points - 1) };
        (known * KNOWN_SHARE_MIN >= self.grid.points).then_some(known)
    }

    /// How many points there are up to an instant.
    fn points_to(&self, time: i64) -> usize {
        let points = (time - self.grid.start).div_euclid(self.grid.step) + 1;
        usize::try_from(points).unwrap_or(0).min(self.grid.points)
    }

    /// The last point that is known, and the grid of those that are to be evaluated; `None` if all are known.
    pub fn tail(&self, known: usize) -> Option<(i64, Grid)> {
        let first = known.min(self.grid.points - POINTS_MIN);
        let missing = Grid { start: self.grid.at(first), points: self.grid.points - first, ..self.grid };
        (known < self.grid.points).then(|| (self.grid.at(known - 1), missing))
    }

    /// The rows of all points: the known ones, and behind them those that were evaluated.
    pub fn join(&self, kept: &KeptRows, known: usize, tail: Vec<Row>) -> Vec<Row> {
        let points = self.grid.points;
        let skipped = ((self.grid.start - kept.grid.start) / self.grid.step) as usize;
        let mut rows: Vec<Row> = Vec::with_capacity(kept.rows.len());
        let mut places: HashMap<&Labels, usize> = HashMap::with_capacity(kept.rows.len());
        for row in &kept.rows {
            let values = row.values.stretch(skipped..skipped + known);
            if values.held().is_empty() {
                continue;
            }
            places.insert(&row.labels, rows.len());
            rows.push(Row { labels: row.labels.clone(), values, drop_name: row.drop_name });
        }
        for row in tail {
            let again = row.values.len() - (points - known);
            let missing = row.values.stretch(again..row.values.len());
            match places.get(&row.labels) {
                Some(place) => rows[*place].values.append(missing),
                None => {
                    let mut values = Values::absent(known);
                    values.append(missing);
                    rows.push(Row { values, ..row });
                }
            }
        }
        for row in rows.iter_mut().filter(|row| row.values.len() < points) {
            row.values.append(Values::absent(points - known));
        }
        rows
    }

    /// What is kept of rows of all points that were computed when time had these versions, or later ones.
    pub fn keep(&self, rows: &[Row], pieces: Pieces, prints: Vec<Print>, series_fetched: u64) -> Option<KeptRows> {
        let points = self.points_to(self.stable_to);
        if points < POINTS_MIN {
            return None;
        }
        let kept = |row: &Row| {
            let values = row.values.stretch(0..points);
            (!values.held().is_empty()).then(|| Row { labels: row.labels.clone(), values, drop_name: row.drop_name })
        };
        let rows = rows.iter().filter_map(kept).collect();
        Some(KeptRows { grid: Grid { points, ..self.grid }, end: self.end, rows, pieces, prints, series_fetched })
    }
}

impl KeptRows {
    /// About what it holds.
    pub fn bytes(&self) -> usize {
        self.rows.iter().map(row_bytes).sum::<usize>() + self.pieces.0.len() * size_of::<(TimeRange, Version)>()
    }
}

/// Rows with how many of the first points are known from them.
pub type Known = (Arc<KeptRows>, usize);
