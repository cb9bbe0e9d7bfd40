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
use index::KeyCursor;
use model::{SeriesId, SeriesKey, TimeRange};
use parking_lot::Mutex;
use part::{BlockHead, Part, merge::Hidden};
use storage_api::{SamplesWanted, SelectError, SelectRequest};

use super::{
    chunk::Tools,
    head_source::HeadSource,
    search::{Meant, Search, failed, widen},
    times::SharedTimes,
    union::{SeriesSource, Union, unite},
};
use crate::inner::Inner;

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
        let search = Search::new(inner, &request)?;
        let mut sources = Vec::new();
        for meant in search.parts() {
            sources.extend(PartSource::of(meant?)?.map(|found| Source::Part(Box::new(found))));
        }
        let in_memory = HeadSource::meant(&search, &inner.head);
        let Search { known_range, views, pin, .. } = search;
        sources.extend(HeadSource::of(&inner.head, &in_memory, views).map(Source::Head));
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

    /// The summary that may stand for a block: it lies in the range as a whole, no window begins or ends in it, and it holds numbers only. Their sum must
    /// not have overflowed, since a mean of them needs not.
    pub fn head_for(&self, head: &BlockHead) -> Option<Summary> {
        let SamplesWanted::Heads(cuts) = &self.request.samples else { return None };
        let (first, last) = (head.time.first, head.time.last);
        let whole = self.answer_range.covers(TimeRange::new(first, last)) && !cuts.part(first, last);
        let numbers = head.summary.clean && head.summary.sum.to_f64().is_finite();
        let exact = numbers && !(self.request.one_per_timestamp && head.equal_times);
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
    fn of(meant: Meant<'_>) -> Result<Option<Self>, SelectError> {
        let (mut numbers, mut ids) = (Vec::with_capacity(meant.len_max()), Vec::with_capacity(meant.len_max()));
        meant.each(|number, id| {
            numbers.push(number);
            ids.push(id);
        })?;
        let keys = Mutex::default();
        Ok((!numbers.is_empty()).then(|| Self {
            part: Arc::clone(meant.part),
            numbers,
            hidden: meant.hidden,
            ids,
            keys,
        }))
    }
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
