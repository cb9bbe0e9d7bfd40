//! What an engine is told once: limits and defaults, each named after the flag that sets it.

use std::time::Duration;

/// Limits and defaults of an [`crate::Engine`]. A limit of 0 is none, unless its flag says otherwise.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// `-search.maxWorkersPerQuery`: so many threads work for one query.
    pub workers_per_query_max: usize,
    /// `-search.maxPointsPerTimeseries`: points of a series on the grid of a query.
    pub points_per_series_max: usize,
    /// `-search.maxPointsSubqueryPerTimeseries`: points of a series on the grid of a subquery.
    pub subquery_points_max: usize,
    /// `-search.maxUniqueTimeseries`: series that one selector may mean.
    pub series_max: u64,
    /// `-search.maxResponseSeries`: series of an answer.
    pub response_series_max: usize,
    /// `-search.maxSamplesPerQuery`: samples that one query may look at.
    pub samples_per_query_max: u64,
    /// `-search.maxSamplesPerSeries`: samples that one series may give to a query.
    pub samples_per_series_max: u64,
    /// `-search.maxMemoryPerQuery`: bytes that one query may hold.
    pub memory_per_query_max: u64,
    /// Bytes that all queries together may hold; half of what the process is allowed.
    pub memory_max: u64,
    /// Gives memory that nothing uses back to the system.
    pub reclaim: fn(),
    /// `-search.maxQueryLen`: bytes of an expression.
    pub query_len_max: usize,
    /// `-search.latencyOffset`: what is newer is not answered in dialect `metricsql`, unless the request says otherwise.
    pub latency_offset: Duration,
    /// `-search.minStalenessInterval`: a sample counts as the one before a window for at least so long.
    pub staleness_interval_min: Duration,
    /// `-search.disableImplicitConversion`: a rollup of what is no selector is refused unless a subquery is written.
    pub no_implicit_conversion: bool,
    /// `-search.treatDotsAsIsInRegexps`: a dot in the regular expressions of a query's selectors is a dot, unless `*`, `+` or `{` follow.
    pub dots_are_dots: bool,
    /// How far dialect `promql` looks back for a sample.
    pub promql_lookback: Duration,
    /// Bytes that results may take in the cache; 0 for no cache (`-search.disableCache`).
    pub cache_bytes_max: usize,
    /// `-search.cacheTimestampOffset`: results newer than so long ago are not kept, since their samples still arrive.
    pub cache_timestamp_offset: Duration,
    /// `-search.queryStats.lastQueriesCount`: so many queries are remembered for the list of the costly ones.
    pub top_queries_max: usize,
    /// `-search.queryStats.minQueryDuration`: shorter queries are not remembered.
    pub top_query_duration_min: Duration,
    /// `-search.maxStepForPointsAdjustment`: with longer steps the newest points of a range are answered as they are.
    pub held_back_step_max: Duration,
    /// `-search.maxSeriesPerAggrFunc`: series that an aggregate may come to.
    pub aggregate_series_max: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            workers_per_query_max: cores.min(32),
            points_per_series_max: 30_000,
            subquery_points_max: 100_000,
            series_max: 0,
            response_series_max: 0,
            samples_per_query_max: 1_000_000_000,
            samples_per_series_max: 30_000_000,
            memory_per_query_max: 0,
            memory_max: 0,
            reclaim: || {},
            query_len_max: 16 << 10,
            latency_offset: Duration::from_secs(30),
            staleness_interval_min: Duration::ZERO,
            no_implicit_conversion: false,
            dots_are_dots: false,
            promql_lookback: Duration::from_secs(300),
            cache_bytes_max: 64 << 20,
            cache_timestamp_offset: Duration::from_secs(300),
            top_queries_max: 20_000,
            top_query_duration_min: Duration::from_millis(1),
            held_back_step_max: Duration::from_secs(60),
            aggregate_series_max: 1_000_000,
        }
    }
}
