//! Series and samples out.
//!
//! 1. A caller sends a [`SelectRequest`] and gets a [`SeriesStream`].
//! 2. Any number of worker threads pull [`SeriesChunk`]s from it; handing out a chunk is cheap.
//! 3. The worker that holds a chunk decodes its series, one by one, into its own [`SeriesData`].
//!
//! Series come in the one order of series; a chunk knows its place in it, so that workers may finish in any order.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use codec::Summary;
use model::{SHARDS, Selector, SeriesId, SeriesKey, Tenant, TimeRange, ValueKind};

use crate::{BoxFuture, sub_plan::SubPlan};

/// Gives series.
pub trait Select: Send + Sync {
    /// Finds the series that have samples in the range (or, without samples asked for, that are known in it) and gives them as a stream.
    fn select<'a>(&'a self, request: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>>;

    /// Label names of the series that the request means, sorted.
    fn label_names<'a>(&'a self, request: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>>;

    /// Values of one label over the series that the request means, sorted.
    fn label_values<'a>(&'a self, request: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>>;

    /// How many series a tenant has.
    fn series_count<'a>(&'a self, tenant: Tenant) -> BoxFuture<'a, Result<u64, SelectError>>;

    /// The virtual shards of which there may be samples in the range.
    fn shards(&self, range: TimeRange) -> ShardSet {
        let _ = range;
        ShardSet::all()
    }

    /// Whether it may do the sub-plan of a request itself, so that it is worth making one.
    fn takes_sub_plans(&self) -> bool {
        false
    }

    /// For each range a number that is raised whenever an answer over it could become another: by late writes, deletes and expiry, and by every write into
    /// the range itself. They are asked for together because another node is asked once for all of them.
    fn versions(&self, tenant: Tenant, ranges: &[TimeRange]) -> Vec<Version>;
}

/// See [`Select::versions`]. Only equality has a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(pub u64);

/// What is asked of a store.
#[derive(Debug, Clone)]
pub struct SelectRequest {
    /// Whose series.
    pub tenant: Tenant,
    /// Which series.
    pub selector: Selector,
    /// Over which time.
    pub range: TimeRange,
    /// Which labels the caller will read.
    pub labels: LabelsWanted,
    /// Which samples the caller will read.
    pub samples: SamplesWanted,
    /// Samples before this instant need not be given, for the caller knows what lies there; series are found over the whole range.
    pub samples_from: i64,
    /// Only one sample per timestamp: the one that stands last in the order of values at equal times, numbers before NaN before stale.
    pub one_per_timestamp: bool,
    /// Only series of these virtual shards.
    pub shards: Option<ShardSet>,
    /// What the caller makes of the series; a store may do it itself.
    pub sub_plan: Option<SubPlan>,
    /// What the request may cost.
    pub budget: Budget,
}

impl SelectRequest {
    /// Raw samples with all labels.
    pub fn raw(tenant: Tenant, selector: Selector, range: TimeRange) -> Self {
        Self {
            tenant,
            selector,
            range,
            labels: LabelsWanted::All,
            samples: SamplesWanted::Raw,
            samples_from: i64::MIN,
            one_per_timestamp: false,
            shards: None,
            sub_plan: None,
            budget: Budget::default(),
        }
    }
}

/// Which labels a caller reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LabelsWanted {
    /// All.
    All,
    /// None; keys come empty.
    None,
    /// These.
    Only(Vec<String>),
}

/// Which samples a caller reads.
#[derive(Debug, Clone, PartialEq)]
pub enum SamplesWanted {
    /// None: only series.
    None,
    /// All, one by one.
    Raw,
    /// All, but where no window begins or ends inside a block, its head may stand for its samples.
    Heads(Cuts),
}

/// The instants at which windows begin or end. A block that has no cut strictly between two of its samples lies in the same windows as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Sorted instants; a sample at a cut belongs to what lies left of it.
    pub at: Arc<Vec<i64>>,
    /// So many numbers on either side of each cut, and as many at the begin of the series, come one by one: for functions that look at the borders of windows.
    pub edges: u64,
    /// Whether no head may stand for a block in which a value is less than the one before: for functions of counters.
    pub rising: bool,
}

impl Cuts {
    /// Whether a cut parts the samples of a block that reaches from `first` to `last`.
    pub fn part(&self, first: i64, last: i64) -> bool {
        let next = self.at.partition_point(|cut| *cut < first);
        self.at.get(next).is_some_and(|cut| *cut < last)
    }
}

/// A set of virtual shards.
#[derive(Clone, PartialEq, Eq)]
pub struct ShardSet([u64; SHARDS / 64]);

impl ShardSet {
    /// No shard.
    pub fn empty() -> Self {
        Self([0; SHARDS / 64])
    }

    /// Whether a shard is in the set.
    pub fn has(&self, shard: u16) -> bool {
        self.0[usize::from(shard) / 64] >> (shard % 64) & 1 == 1
    }

    /// Adds a shard.
    pub fn insert(&mut self, shard: u16) {
        self.0[usize::from(shard) / 64] |= 1 << (shard % 64);
    }

    /// All shards.
    pub fn all() -> Self {
        Self([u64::MAX; SHARDS / 64])
    }

    /// Whether there is none in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Adds all shards of another set.
    pub fn unite(&mut self, other: &Self) {
        *self = self.or(other);
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// Those of this that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// Those that are in one of them.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// A set from a bit for each shard.
    pub fn from_words(words: [u64; SHARDS / 64]) -> Self {
        Self(words)
    }

    /// Reads the hexadecimal digits of a set.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = [0; SHARDS / 64];
        if text.len() != words.len() * 16 {
            return None;
        }
        for (at, word) in words.iter_mut().enumerate() {
            *word = u64::from_str_radix(text.get(at * 16..at * 16 + 16)?, 16).ok()?;
        }
        Some(Self(words))
    }

    /// A bit for each shard.
    pub fn words(&self) -> &[u64; SHARDS / 64] {
        &self.0
    }

    /// Whether a series belongs to one of the shards.
    pub fn contains(&self, id: SeriesId) -> bool {
        self.has(id.shard())
    }
}

impl fmt::LowerHex for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl fmt::Debug for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardSet({})", self.len())
    }
}

/// What a request may cost.
#[derive(Debug, Clone)]
pub struct Budget {
    /// More series than this are refused.
    pub series_max: u64,
    /// Ends the request from outside.
    pub cancel: Cancel,
    /// Ends the request by time.
    pub deadline: Option<Instant>,
    /// Whether the answer may lack what nodes hold that do not answer.
    pub completeness: Completeness,
}

impl Default for Budget {
    fn default() -> Self {
        Self { series_max: u64::MAX, cancel: Cancel::default(), deadline: None, completeness: Completeness::required() }
    }
}

impl Budget {
    /// Fails if the request was cancelled or its time is over. Called between units of work of at most some milliseconds.
    pub fn check(&self) -> Result<(), SelectError> {
        if self.cancel.is_cancelled() {
            return Err(SelectError::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(SelectError::DeadlinePassed),
            _ => Ok(()),
        }
    }

    /// Fails if `series` are too many.
    pub fn check_series(&self, series: u64) -> Result<(), SelectError> {
        if series > self.series_max {
            return Err(SelectError::TooManySeries { found: series, max: self.series_max });
        }
        Ok(())
    }
}

/// Set when the caller of a request is gone.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends all work for the request.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the caller is gone.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether an answer may lack what nodes hold that do not answer, and whether it does. Shared by all who work for one answer; by default nothing may be
/// missing.
#[derive(Debug, Clone, Default)]
pub struct Completeness(Option<Arc<AtomicBool>>);

impl Completeness {
    /// An answer that would lack something is refused.
    pub fn required() -> Self {
        Self(None)
    }

    /// An answer may lack something, and then says so.
    pub fn may_be_partial() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether something may be missing.
    pub fn may_lack(&self) -> bool {
        self.0.is_some()
    }

    /// Something is missing.
    pub fn lack(&self) {
        if let Some(lacks) = &self.0 {
            lacks.store(true, Ordering::Relaxed);
        }
    }

    /// Whether something is missing.
    pub fn is_partial(&self) -> bool {
        self.0.as_ref().is_some_and(|lacks| lacks.load(Ordering::Relaxed))
    }
}

/// Series as they are found; see the module's steps. Dropping it ends the work.
pub trait SeriesStream: Send + Sync {
    /// The next chunk; `None` when all are handed out.
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError>;

    /// How many series there are in all, if that is known already. Those behind partial results count, and not the groups that they came to.
    fn series_total(&self) -> Option<u64>;

    /// What was done for it so far beside what is read from its chunks.
    fn effort(&self) -> Effort {
        Effort::default()
    }
}

/// What was done elsewhere for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effort {
    /// Samples that were looked at to make partial results.
    pub samples: u64,
    /// Bytes that came from other nodes.
    pub bytes: u64,
    /// Chunks of partial results among what came.
    pub partial_chunks: u64,
}

/// Some neighbouring series, not yet decoded.
pub trait SeriesChunk: Send {
    /// Place of the first series in the whole answer.
    fn position(&self) -> u64;

    /// How many series.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it holds partial results of the request's sub-plan: rows or groups instead of series, whose key is what labels they have, and whose column of
    /// numbers is all of their [`SeriesData::values`].
    fn is_partial_result(&self) -> bool {
        false
    }

    /// Id of series `index` of the chunk.
    fn id(&self, index: usize) -> SeriesId;

    /// Writes the labels that were asked for of series `index` into `key`.
    fn key(&self, index: usize, key: &mut SeriesKey) -> Result<(), SelectError>;

    /// Whether series `index` may have samples in the range that were not to be given ([`SelectRequest::samples_from`]).
    fn has_before(&mut self, index: usize) -> Result<bool, SelectError> {
        let _ = index;
        Ok(true)
    }

    /// Decodes series `index` into `data`, replacing what was there.
    fn read(&mut self, index: usize, data: &mut SeriesData) -> Result<(), SelectError>;
}

/// The samples of one series over the range that was asked for, by ascending time.
#[derive(Debug, Clone, Default)]
pub struct SeriesData {
    /// The times. Series of one scrape target usually share one column: equal pointers mean equal times, so that what depends only on times is
    /// computed once.
    pub times: Arc<Vec<i64>>,
    /// The values, as many as times.
    pub values: Vec<f64>,
    /// Blocks whose samples are not among the above.
    pub heads: Vec<PlacedHead>,
    /// What the values are.
    pub kind: Option<ValueKind>,
}

/// A block head that stands for its samples.
#[derive(Debug, Clone)]
pub struct PlacedHead {
    /// How many of [`SeriesData::values`] lie before the block.
    pub before: usize,
    /// Time of the block's first sample.
    pub first_time: i64,
    /// Time of the block's last sample.
    pub last_time: i64,
    /// What the samples come to.
    pub summary: Summary,
}

/// Which label names are asked for.
#[derive(Debug, Clone)]
pub struct NamesRequest {
    /// Whose series.
    pub tenant: Tenant,
    /// Which series.
    pub selector: Selector,
    /// Over which time.
    pub range: TimeRange,
    /// At most so many; the first in order.
    pub limit: usize,
    /// What the request may cost.
    pub budget: Budget,
}

/// Which label values are asked for.
#[derive(Debug, Clone)]
pub struct ValuesRequest {
    /// The label.
    pub label: String,
    /// Over which series.
    pub names: NamesRequest,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectError {
    /// The caller is gone.
    Cancelled,
    /// The request's time is over.
    DeadlinePassed,
    /// The selector means more series than allowed.
    TooManySeries {
        /// How many were found, at least.
        found: u64,
        /// How many are allowed.
        max: u64,
    },
    /// It would pass another limit, which the text names.
    TooCostly(String),
    /// A matcher cannot be understood.
    BadMatcher(String),
    /// The store cannot give a right answer now.
    Unavailable(String),
    /// Stored bytes are damaged.
    Corrupt(String),
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => write!(f, "the query was cancelled"),
            Self::DeadlinePassed => write!(f, "the query ran out of time"),
            Self::TooManySeries { found, max } => {
                write!(
                    f,
                    "the query means at least {found} series, {max} are allowed; narrow its matchers or its time range"
                )
            }
            Self::TooCostly(what) | Self::BadMatcher(what) | Self::Unavailable(what) | Self::Corrupt(what) => {
                f.write_str(what)
            }
        }
    }
}

impl std::error::Error for SelectError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_at_an_edge_parts_nothing() {
        let cuts = Cuts { at: Arc::new(vec![100, 200]), ..Cuts::default() };
        assert!(!cuts.part(101, 200), "the window (100, 200] holds the whole block");
        assert!(cuts.part(100, 200), "the sample at 100 belongs to the window before");
        assert!(cuts.part(150, 201));
        assert!(!cuts.part(201, 900));
        assert!(!cuts.part(100, 100), "one sample cannot be parted");
    }

    #[test]
    fn a_budget_ends_work() {
        let budget = Budget { series_max: 3, ..Budget::default() };
        assert_eq!(budget.check(), Ok(()));
        assert!(budget.check_series(4).is_err());
        budget.cancel.clone().cancel();
        assert_eq!(budget.check(), Err(SelectError::Cancelled));
    }

    #[test]
    fn shards_are_members_or_not() {
        let mut shards = ShardSet::empty();
        shards.insert(1023);
        assert!(shards.contains(SeriesId(u128::MAX)));
        assert!(!shards.contains(SeriesId(0)));
    }
}
