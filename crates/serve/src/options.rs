//! What a server is told once: bounds, keys and what there is to show.

use std::{sync::Arc, time::Duration};

use basalt_http::Secret;
use query::Dialect;
use storage_api::CountNames;

/// Bounds, keys and what there is to show.
#[derive(Clone)]
pub struct Options {
    /// Queries and exports at once.
    pub concurrent_max: usize,
    /// How long one waits for its turn.
    pub queue_wait_max: Duration,
    /// Whether headers name the tenant where a path for tenants names none.
    pub tenant_by_headers: bool,
    /// Whether answers are packed for clients that take it.
    pub compress: bool,
    /// What queries may cost and mean.
    pub queries: QueryOptions,
    /// Series of an answer of `/federate`.
    pub federate_series_max: u64,
    /// Series of an export.
    pub export_series_max: u64,
    /// Time of an export.
    pub export_time_max: Duration,
    /// Series of an answer of `/api/v1/series`.
    pub series_max: u64,
    /// Series that label names and values are collected from.
    pub labels_series_max: u64,
    /// Time of requests for series, label names and values.
    pub labels_time_max: Duration,
    /// Label names in an answer.
    pub label_names_max: usize,
    /// Label values in an answer.
    pub label_values_max: usize,
    /// Series that `/api/v1/status/tsdb` looks at.
    pub status_series_max: u64,
    /// Time of a request there.
    pub status_time_max: Duration,
    /// Whether nobody may ask how a query was done.
    pub deny_tracing: bool,
    /// The largest `topN` there.
    pub status_top_max: usize,
    /// Series of a delete.
    pub delete_series_max: u64,
    /// Time of a delete.
    pub delete_time_max: Duration,
    /// How often each metric is asked for, if that is counted.
    pub names_stats: Option<Arc<dyn CountNames>>,
    /// What `authKey` must be, by what it protects.
    pub keys: Keys,
    /// Every flag with its value, and whether it was given.
    pub flags: Vec<(&'static str, String, bool)>,
    /// The program's name and version.
    pub version: &'static str,
    /// The data folder as the operator knows it, a label of some metrics.
    pub data_path: String,
    /// What cached results may take, for `/metrics`.
    pub results_bytes_max: u64,
    /// `-storage.minFreeDiskSpaceBytes`, for `/metrics`.
    pub free_disk_bytes_min: u64,
    /// `-storage.maxHourlySeries`, for `/metrics`.
    pub hourly_series_max: u64,
    /// `-storage.maxDailySeries`, for `/metrics`.
    pub daily_series_max: u64,
    /// Whether answers are gathered from several nodes, and therefore say whether data of some are missing.
    pub has_nodes: bool,
    /// `-search.denyPartialResponse`: an answer that would lack data of a node is refused, unless the request says otherwise.
    pub deny_partial: bool,
}

/// What queries may cost and mean, as far as it is decided before the engine sees them.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// `-search.dialect`: whose meaning queries have if the request does not say.
    pub dialect: Dialect,
    /// `-search.maxQueryDuration`: queries that take longer are ended.
    pub time_max: Duration,
    /// `-search.maxQueryLen`: the longest expression.
    pub text_bytes_max: usize,
    /// `-search.maxLookback`, `-search.maxStalenessInterval`: how far back a query looks for a sample; `None` leaves it to the dialect.
    pub lookback: Option<Duration>,
    /// `-search.setLookbackToStep`: it looks one step back.
    pub lookback_is_step: bool,
    /// `-search.logSlowQueryDuration`: queries that take longer are logged; zero logs none.
    pub slow: Duration,
    /// `-search.logQueryMemoryUsage`: queries that held more bytes are logged; zero logs none.
    pub memory_noted: u64,
}

/// What `authKey` must be; empty lets everybody in.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// For deleting series.
    pub delete: Secret,
    /// For snapshots.
    pub snapshot: Secret,
    /// For forced merges.
    pub force_merge: Secret,
    /// For forced flushes.
    pub force_flush: Secret,
    /// For forgetting cached results.
    pub reset_cache: Secret,
    /// For `/metrics`.
    pub metrics: Secret,
    /// For `/flags`.
    pub flags: Secret,
    /// For counting anew how often metrics are asked for.
    pub names_stats: Secret,
}
