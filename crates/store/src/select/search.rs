//! The series that a request means, source by source.
//!
//! Views of the rows in memory are taken first: a series that the head forgets while it is searched has no rows in them.

use std::sync::Arc;

use head::Pin;
use index::{CompiledSelector, Ids};
use model::{SeriesId, TimeRange};
use part::{Part, PartError, merge::Hidden};
use roaring::RoaringBitmap;
use storage_api::{SelectError, SelectRequest, ShardSet};

use super::head_source::{HeadSource, HeadView};
use crate::{inner::Inner, state::State};

/// The request's budget is checked each time so many parts were searched.
const CHECK_EVERY: usize = 8;

/// What a request is searched in.
pub struct Search<'a> {
    pub request: &'a SelectRequest,
    pub selector: CompiledSelector,
    /// The request's range cut to what has not expired.
    pub known_range: TimeRange,
    /// The same in whole dedup intervals; where it is empty nothing is searched.
    pub searched: TimeRange,
    pub views: Vec<HeadView>,
    /// Keeps the head's slots from being given to other series.
    pub pin: Pin,
    state: Arc<State>,
}

/// The series of a part that a request means.
pub struct Meant<'a> {
    pub part: &'a Arc<Part>,
    /// What tombstones hide of them.
    pub hidden: Vec<Hidden>,
    found: Arc<RoaringBitmap>,
    ids: Ids<'a>,
    shards: Option<&'a ShardSet>,
}

impl<'a> Search<'a> {
    /// Takes the current picture.
    pub fn new(inner: &Inner, request: &'a SelectRequest) -> Result<Self, SelectError> {
        let selector =
            CompiledSelector::compile(&request.selector).map_err(|error| SelectError::BadMatcher(error.to_string()))?;
        let pin = inner.head.pin();
        let state = inner.shared.get();
        let known_range = request.range.intersect(inner.kept());
        let searched = widen(known_range, inner.options.dedup_interval_ms);
        let views = if known_range.is_empty() { Vec::new() } else { HeadSource::views(inner, &state, searched) };
        Ok(Self { request, selector, known_range, searched, views, pin, state })
    }

    /// Searches each part that the range touches, when it is asked for.
    pub fn parts(&self) -> impl Iterator<Item = Result<Meant<'_>, SelectError>> {
        let touches = |part: &&Arc<Part>| !self.known_range.is_empty() && part.meta().range.overlaps(self.searched);
        let touched = self.state.parts.iter().filter(touches).enumerate();
        touched.filter_map(|(at, part)| {
            let checked = if at % CHECK_EVERY == 0 { self.request.budget.check() } else { Ok(()) };
            checked.and_then(|()| self.part(part)).transpose()
        })
    }

    fn part<'s>(&'s self, part: &'s Arc<Part>) -> Result<Option<Meant<'s>>, SelectError> {
        let found = part.search(self.request.tenant, &self.selector).map_err(failed)?;
        if found.is_empty() {
            return Ok(None);
        }
        self.request.budget.check_series(found.len())?;
        let labels = part.labels();
        let ids = labels.ids(0..labels.series_count()).map_err(|corrupt| failed(corrupt.into()))?;
        let mut hidden = self.state.hidden(part).map_err(failed)?;
        hidden.retain(|hidden| hidden.range.overlaps(self.request.range));
        let found = visible(part, found, &hidden);
        Ok(Some(Meant { part, hidden, found, ids, shards: self.request.shards.as_ref() }))
    }
}

impl Meant<'_> {
    /// How many there are, those of other shards included.
    pub fn len_max(&self) -> usize {
        self.found.len() as usize
    }

    /// Calls `take` with number and id of each.
    pub fn each(&self, mut take: impl FnMut(u32, SeriesId)) -> Result<(), SelectError> {
        for number in self.found.iter() {
            let id = self.ids.get(number as usize).ok_or_else(|| failed(out_of_range(self.part)))?;
            if self.shards.is_none_or(|shards| shards.contains(id)) {
                take(number, id);
            }
        }
        Ok(())
    }
}

/// What hides series of a part as a whole.
pub fn wholly<'h>(part: &Part, hidden: &'h [Hidden]) -> impl Iterator<Item = &'h Hidden> {
    let range = part.meta().range;
    hidden.iter().filter(move |hidden| hidden.range.covers(range))
}

/// Those of `found` that nothing hides as a whole.
pub fn visible(part: &Part, mut found: Arc<RoaringBitmap>, hidden: &[Hidden]) -> Arc<RoaringBitmap> {
    for hidden in wholly(part, hidden) {
        *Arc::make_mut(&mut found) -= &*hidden.series;
    }
    found
}

fn out_of_range(part: &Part) -> PartError {
    disk::Corrupt::new(part.folder(), 0, "the index names a series that the part lacks").into()
}

/// A dedup interval is judged as a whole, also where the range cuts it.
pub fn widen(range: TimeRange, interval_ms: i64) -> TimeRange {
    if interval_ms <= 0 || range.is_empty() {
        return range;
    }
    let floor = |time: i64| (time - 1).div_euclid(interval_ms).saturating_mul(interval_ms).saturating_add(1);
    TimeRange::new(floor(range.min), floor(range.max).saturating_add(interval_ms - 1))
}

/// A part that cannot be read makes an answer impossible, never incomplete.
pub fn failed(error: PartError) -> SelectError {
    match error {
        PartError::Corrupt(corrupt) => SelectError::Corrupt(corrupt.to_string()),
        PartError::Disk(_) | PartError::Newer { .. } => SelectError::Unavailable(error.to_string()),
    }
}
