//! What an operator asks of a store.

use std::fmt;

use model::{Selector, Tenant, TimeRange};

use crate::{BoxFuture, Completeness, insert::Refusals};

/// Flush, merge, snapshots, delete, tenants, statistics, metadata.
pub trait Admin: Send + Sync {
    /// Moves everything in memory into parts; resolves when they are durable.
    fn flush<'a>(&'a self) -> BoxFuture<'a, Result<(), AdminError>>;

    /// Merges each partition whose name starts with `prefix` into one part.
    fn merge<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), AdminError>>;

    /// Makes a snapshot and gives its name.
    fn create_snapshot<'a>(&'a self) -> BoxFuture<'a, Result<String, AdminError>>;

    /// Names of the snapshots, oldest first.
    fn list_snapshots(&self) -> Result<Vec<String>, AdminError>;

    /// Removes a snapshot.
    fn delete_snapshot(&self, name: &str) -> Result<(), AdminError>;

    /// Whether a delete would be done now; fails as it would.
    fn check_delete<'a>(&'a self, request: DeleteRequest) -> BoxFuture<'a, Result<(), AdminError>>;

    /// Hides what was stored before the call; resolves with the number of series hit when that is durable.
    fn delete_series<'a>(&'a self, request: DeleteRequest) -> BoxFuture<'a, Result<u64, AdminError>>;

    /// Tenants with samples in the range, sorted.
    fn tenants<'a>(&'a self, range: TimeRange) -> BoxFuture<'a, Result<Vec<Tenant>, AdminError>>;

    /// What is known about metrics, sorted by metric; of one metric if it is named.
    fn metadata<'a>(
        &'a self,
        tenant: Tenant,
        metric: Option<&'a str>,
        limit: usize,
        completeness: &'a Completeness,
    ) -> BoxFuture<'a, Result<Vec<MetadataEntry>, AdminError>>;

    /// The statistics behind `/api/v1/status/tsdb`.
    fn cardinality<'a>(&'a self, request: CardinalityRequest) -> BoxFuture<'a, Result<Cardinality, AdminError>>;

    /// Counters and gauges for `/metrics`.
    fn stats(&self) -> StoreStats;
}

/// What to delete.
#[derive(Debug, Clone)]
pub struct DeleteRequest {
    /// Whose series.
    pub tenant: Tenant,
    /// Which series.
    pub selector: Selector,
    /// Over which time.
    pub range: TimeRange,
    /// More series than this are refused.
    pub series_max: u64,
}

/// Which statistics are asked for.
#[derive(Debug, Clone)]
pub struct CardinalityRequest {
    /// Whose series; all tenants' without.
    pub tenant: Option<Tenant>,
    /// Which series.
    pub selector: Selector,
    /// Over which time.
    pub range: TimeRange,
    /// How many entries a list has at most.
    pub top: usize,
    /// The label whose values are listed one by one.
    pub focus_label: Option<String>,
    /// More series than this are refused.
    pub series_max: u64,
}

/// A name with a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCount {
    /// The name.
    pub name: String,
    /// The count.
    pub count: u64,
}

/// How the series spread over metrics and labels; each list by descending count, then name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cardinality {
    /// Series in all.
    pub series: u64,
    /// Pairs of label and value over all series.
    pub label_value_pairs: u64,
    /// Series by metric name.
    pub series_by_metric: Vec<NamedCount>,
    /// Series by label name.
    pub series_by_label: Vec<NamedCount>,
    /// Series by value of the focus label.
    pub series_by_focus_value: Vec<NamedCount>,
    /// Series by `name=value`.
    pub series_by_pair: Vec<NamedCount>,
    /// Distinct values by label name.
    pub values_by_label: Vec<NamedCount>,
}

/// What is known about a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataEntry {
    /// The metric family.
    pub metric: String,
    /// `counter`, `gauge`, …
    pub kind: String,
    /// The help text.
    pub help: String,
    /// The unit.
    pub unit: String,
}

/// Counters (since the start) and gauges of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// What it holds.
    pub entries: u64,
    /// Bytes that this takes.
    pub bytes: u64,
    /// How often something was looked for.
    pub requests: u64,
    /// How often it was not there.
    pub misses: u64,
}

/// Counters (since the start) and gauges of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Samples taken.
    pub rows_inserted: u64,
    /// Samples refused, by reason.
    pub refused: Refusals,
    /// Series seen for the first time since they were last forgotten.
    pub series_created: u64,
    /// Rows that another node had to send with all labels, for their series was not known by id.
    pub keys_received: u64,
    /// Series held in memory.
    pub series_active: u64,
    /// What is remembered of label bytes: which series they mean.
    pub encodings: CacheStats,
    /// What is remembered of searches in parts: which series a selector means.
    pub searches: CacheStats,
    /// Samples in memory.
    pub head_samples: u64,
    /// Bytes that samples take in memory.
    pub head_bytes: u64,
    /// Samples in parts.
    pub part_samples: u64,
    /// Series in parts, counted once per part.
    pub part_series: u64,
    /// Parts.
    pub parts: u64,
    /// Bytes of columns on disk.
    pub columns_bytes: u64,
    /// Bytes of indexes on disk.
    pub index_bytes: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Commits of the log.
    pub log_commits: u64,
    /// Flushes done.
    pub flushes: u64,
    /// Merges done.
    pub merges: u64,
    /// Merges under way.
    pub merges_active: u64,
    /// Samples rewritten by merges.
    pub merged_samples: u64,
    /// Exact duplicates and samples inside a dedup interval that flushes and merges dropped.
    pub deduplicated: u64,
    /// Parts set aside because they are damaged.
    pub quarantined_parts: u64,
    /// Damaged places skipped in the log.
    pub damaged_records: u64,
    /// Whether writes are refused at the moment.
    pub read_only: bool,
    /// Free bytes on the data folder's disk.
    pub free_disk_bytes: u64,
    /// Tombstones that still hide something.
    pub tombstones: u64,
    /// Distinct series of the running hour, if they are limited.
    pub hourly_series: u64,
    /// Distinct series of the running day, if they are limited.
    pub daily_series: u64,
}

/// What a check of a whole data folder found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Parts read.
    pub parts: u64,
    /// Samples decoded.
    pub samples: u64,
    /// Records of the log read.
    pub log_records: u64,
    /// What is damaged, each with file and place.
    pub damage: Vec<String>,
}

/// Why an operator's wish was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminError {
    /// The wish makes no sense.
    Invalid(String),
    /// There is no such thing.
    NotFound(String),
    /// It failed.
    Failed(String),
    /// It cannot be done now: a node that has to take part is away.
    Unavailable(String),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) | Self::NotFound(why) | Self::Failed(why) | Self::Unavailable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for AdminError {}
