//! From a request to a list of series and where their samples are.
//!
//! 1. Take the current picture and views of its generations: what arrives later is not part of this answer, what was acknowledged before is.
//! 2. Search each part whose range touches the request's, and the head.
//! 3. Unite the sources into one list in key order.
//!
//! Memory goes to the list (24 bytes a series) and to the sources (8 bytes a series and source); samples are decoded later, chunk by chunk.

use std::{ops::Range, sync::Arc};

use codec::Summary;
use head::Pin;
use index::{CompiledSelector, KeyCursor};
use model::{SeriesId, SeriesKey, TimeRange};
use parking_lot::Mutex;
use part::{BlockHead, Part, PartError, merge::Hidden};
use storage_api::{Budget, SamplesWanted, SelectError, SelectRequest};

use super::{
    chunk::Tools,
    head_source::HeadSource,
    times::SharedTimes,
    union::{SeriesSource, Union, unite},
};
use crate::{inner::Inner, state::State};

/// The request's budget is checked each time so many parts were searched.
const CHECK_EVERY: usize = 8;

/// Everything that a chunk needs to decode itself.
pub struct Plan {
    pub request: SelectRequest,
    /// Where series are found: the request's range cut to what has not expired.
    pub known_range: TimeRange,
    /// What is answered of it: all, or from where samples are wanted on.
    pub answer_range: TimeRange,
    /// What is read for it: whole dedup intervals.
    pub read_range: TimeRange,
    pub dedup_interval_ms: i64,
    pub union: Union,
    pub sources: Vec<Source>,
    pub shared_times: SharedTimes,
    /// What chunks that are done left.
    pub spare_tools: Mutex<Vec<Tools>>,
    /// Keeps the head's slots from being given to other series.
    _pin: Pin,
}

/// What a search found.
pub struct Found {
    /// The request's range cut to what has not expired.
    known_range: TimeRange,
    sources: Vec<Source>,
    /// Keeps the head's slots from being given to other series.
    pin: Pin,
}

/// Where samples come from.
pub enum Source {
    /// A part.
    Part(Box<PartSource>),
    /// The rows in memory.
    Head(HeadSource),
}

/// The series of a part that are meant, and what tombstones hide of them.
pub struct PartSource {
    pub part: Arc<Part>,
    pub numbers: Vec<u32>,
    pub hidden: Vec<Hidden>,
    ids: Vec<SeriesId>,
    /// Reads keys while sources are united.
    keys: Mutex<Option<KeyCursor>>,
}

/// Keys that are compared while sources are united lie near each other: so many of their texts are worth keeping.
const KEYS_COMPARED: usize = 64;

impl Plan {
    /// Searches all sources and puts what they have into one list.
    pub fn make(inner: &Inner, request: SelectRequest) -> Result<Self, SelectError> {
        let Found { known_range, sources, pin } = Found::search(inner, &request)?;
        let dedup_interval_ms = inner.options.dedup_interval_ms;
        let answer_range = known_range.intersect(TimeRange::new(request.samples_from, i64::MAX));
        let read_range = widen(answer_range, dedup_interval_ms);
        let union = {
            let borrowed: Vec<&dyn SeriesSource> = sources.iter().map(Source::series).collect();
            unite(&borrowed)?
        };
        request.budget.check_series(union.ids.len() as u64)?;
        Ok(Self {
            request,
            known_range,
            answer_range,
            read_range,
            dedup_interval_ms,
            union,
            sources,
            shared_times: SharedTimes::default(),
            spare_tools: Mutex::default(),
            _pin: pin,
        })
    }

    /// The summary that may stand for a block: it lies in the range as a whole, no window begins or ends in it, and it holds numbers only.
    pub fn head_for(&self, head: &BlockHead) -> Option<Summary> {
        let SamplesWanted::Heads(cuts) = &self.request.samples else { return None };
        let (first, last) = (head.time.first, head.time.last);
        let whole = self.answer_range.covers(TimeRange::new(first, last)) && !cuts.part(first, last);
        let exact = head.summary.clean && !(self.request.one_per_timestamp && head.equal_times);
        (whole && exact && !(cuts.rising && head.summary.resets > 0)).then_some(head.summary)
    }

    /// Which series of source `source` lie in a run of ranks.
    pub fn slice(&self, source: usize, ranks: &Range<usize>) -> Range<usize> {
        let of_source = &self.union.ranks[source];
        let start = of_source.partition_point(|rank| (*rank as usize) < ranks.start);
        let len = of_source[start..].partition_point(|rank| (*rank as usize) < ranks.end);
        start..start + len
    }
}

impl Found {
    /// Searches all sources.
    pub fn search(inner: &Inner, request: &SelectRequest) -> Result<Self, SelectError> {
        let selector =
            CompiledSelector::compile(&request.selector).map_err(|error| SelectError::BadMatcher(error.to_string()))?;
        let pin = inner.head.pin();
        let state = inner.shared.get();
        let known_range = request.range.intersect(inner.kept());
        let searched = widen(known_range, inner.options.dedup_interval_ms);
        let mut sources = Vec::new();
        if !known_range.is_empty() {
            // Views are taken first: a series that the head forgets while it is searched has no rows in them.
            let views = HeadSource::views(inner, &state, searched);
            let touched = state.parts.iter().filter(|part| part.meta().range.overlaps(searched));
            for (at, part) in touched.enumerate() {
                if at % CHECK_EVERY == 0 {
                    request.budget.check()?;
                }
                sources.extend(
                    PartSource::search(&state, part, request, &selector)?.map(|found| Source::Part(Box::new(found))),
                );
            }
            sources.extend(HeadSource::search(views, &inner.head, request, &selector, searched).map(Source::Head));
        }
        Ok(Self { known_range, sources, pin })
    }

    /// How many different series there are. Their order is not asked for, so no keys are read: among 130,000 series of 30 parts that took half a second.
    /// Each source goes as soon as its ids are taken: what everything needs at once is the ids, not what else is known of the series.
    pub fn count(self, budget: &Budget) -> Result<u64, SelectError> {
        let all = self.sources.iter().map(|source| source.series().len()).sum();
        let mut ids: Vec<SeriesId> = Vec::with_capacity(all);
        for source in self.sources {
            let series = source.series();
            ids.extend((0..series.len()).map(|at| series.id(at)));
        }
        ids.sort_unstable();
        ids.dedup();
        budget.check_series(ids.len() as u64)?;
        Ok(ids.len() as u64)
    }
}

/// A dedup interval is judged as a whole, also where the range cuts it.
pub fn widen(range: TimeRange, interval_ms: i64) -> TimeRange {
    if interval_ms <= 0 || range.is_empty() {
        return range;
    }
    let floor = |time: i64| (time - 1).div_euclid(interval_ms).saturating_mul(interval_ms).saturating_add(1);
    TimeRange::new(floor(range.min), floor(range.max).saturating_add(interval_ms - 1))
}

impl Source {
    /// The source as a list of series.
    pub fn series(&self) -> &dyn SeriesSource {
        match self {
            Self::Part(source) => &**source,
            Self::Head(source) => source,
        }
    }
}

impl PartSource {
    fn search(
        state: &State,
        part: &Arc<Part>,
        request: &SelectRequest,
        selector: &CompiledSelector,
    ) -> Result<Option<Self>, SelectError> {
        let found = part.search(request.tenant, selector).map_err(failed)?;
        if found.is_empty() {
            return Ok(None);
        }
        request.budget.check_series(found.len())?;
        let labels = part.labels();
        let all_ids = labels.ids(0..labels.series_count()).map_err(|corrupt| failed(corrupt.into()))?;
        let mut numbers: Vec<u32> = Vec::with_capacity(found.len() as usize);
        let mut ids = Vec::with_capacity(found.len() as usize);
        for number in found.iter() {
            let id = all_ids.get(number as usize).ok_or_else(|| failed(out_of_range(part)))?;
            if request.shards.as_ref().is_none_or(|shards| shards.contains(id)) {
                numbers.push(number);
                ids.push(id);
            }
        }
        let mut hidden = state.hidden(part).map_err(failed)?;
        hidden.retain(|hidden| hidden.range.overlaps(request.range));
        if hidden.iter().any(|hidden| hidden.range.covers(part.meta().range)) {
            let gone =
                |number: u32| hidden.iter().any(|h| h.range.covers(part.meta().range) && h.series.contains(number));
            let kept: Vec<bool> = numbers.iter().map(|number| !gone(*number)).collect();
            let mut keep = kept.iter();
            numbers.retain(|_| *keep.next().expect("BUG: one answer per series"));
            let mut keep = kept.iter();
            ids.retain(|_| *keep.next().expect("BUG: one answer per series"));
        }
        let keys = Mutex::default();
        Ok((!numbers.is_empty()).then(|| Self { part: Arc::clone(part), numbers, hidden, ids, keys }))
    }
}

fn out_of_range(part: &Part) -> PartError {
    disk::Corrupt::new(part.folder(), 0, "the index names a series that the part lacks").into()
}

impl SeriesSource for PartSource {
    fn len(&self) -> usize {
        self.numbers.len()
    }

    fn id(&self, at: usize) -> SeriesId {
        self.ids[at]
    }

    fn read_key(&self, at: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        let mut keys = self.keys.lock();
        let reader = keys.get_or_insert_with(|| self.part.labels().some_keys(KEYS_COMPARED));
        reader.key(self.numbers[at], key).map_err(|corrupt| failed(corrupt.into()))
    }
}

/// A part that cannot be read makes an answer impossible, never incomplete.
pub fn failed(error: PartError) -> SelectError {
    match error {
        PartError::Corrupt(corrupt) => SelectError::Corrupt(corrupt.to_string()),
        PartError::Disk(_) | PartError::Newer { .. } => SelectError::Unavailable(error.to_string()),
    }
}
