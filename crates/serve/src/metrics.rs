//! `/metrics`: counters under the names that VictoriaMetrics gives them, where it has them, so that its dashboards and alerts work.

use std::time::Duration;

use basalt_http::{Counter, MetricsText, Response, StatusCode, Summary, plain};
use storage_api::{AdminError, StoreStats};

use crate::{Endpoint, Server, error::ApiError};

/// Counters of an endpoint.
#[derive(Debug, Default)]
pub struct EndpointStats {
    requests: Counter,
    errors: Counter,
    durations: Summary,
}

impl EndpointStats {
    /// Counts an answer. Streams are counted when they begin.
    pub fn count(&self, took: Duration, failed: bool) {
        self.requests.add(1);
        self.errors.add(u64::from(failed));
        self.durations.update(took);
    }
}

impl Server {
    pub(crate) async fn metrics(&self) -> Result<Response, ApiError> {
        let stats = self.operate(|admin| Box::pin(async move { Ok::<_, AdminError>(admin.stats()) })).await?;
        let mut out = MetricsText::default();
        self.write_store(&stats, &mut out);
        self.write_endpoints(&mut out);
        self.write_queries(&mut out);
        for source in &self.sources {
            source.write_metrics(&mut out);
        }
        self.write_flags(&mut out);
        Ok(plain(StatusCode::OK, out.into_string()))
    }

    fn write_store(&self, stats: &StoreStats, out: &mut MetricsText) {
        write_sizes(stats, out);
        write_caches(stats, out);
        write_work(stats, out);
        let path = format!("{{path={:?}}}", self.options.data_path);
        out.line(format_args!("vm_free_disk_space_bytes{path}"), stats.free_disk_bytes);
        out.line(format_args!("vm_free_disk_space_limit_bytes{path}"), self.options.free_disk_bytes_min);
        out.line(format_args!("vm_storage_is_read_only{path}"), u8::from(stats.read_only));
        out.line("vm_active_force_merges", self.forced_merges.load(std::sync::atomic::Ordering::Relaxed));
        write_limit("hourly", self.options.hourly_series_max, stats.hourly_series, out);
        write_limit("daily", self.options.daily_series_max, stats.daily_series, out);
        let short = self.options.version.rsplit('-').next().unwrap_or("");
        out.line(format_args!("vm_app_version{{version={:?}, short_version={short:?}}}", self.options.version), 1);
    }

    fn write_endpoints(&self, out: &mut MetricsText) {
        for (endpoint, stats) in Endpoint::ALL.iter().zip(&*self.stats) {
            let path = format!("path={:?}", endpoint.path());
            out.line(format_args!("vm_http_requests_total{{{path}}}"), stats.requests.get());
            out.line(format_args!("vm_http_request_errors_total{{{path}}}"), stats.errors.get());
            stats.durations.write("vm_request_duration_seconds", path, out);
        }
        out.line("vm_concurrent_select_capacity", self.gate.capacity());
        out.line("vm_concurrent_select_current", self.gate.current());
        out.line("vm_concurrent_select_limit_reached_total", self.gate.reached());
        out.line("vm_concurrent_select_limit_timeout_total", self.gate.refused());
    }

    fn write_queries(&self, out: &mut MetricsText) {
        let stats = self.engine.stats();
        let results = "{type=\"promql/rollupResult\"}";
        out.line(format_args!("vm_cache_requests_total{results}"), stats.cache_hits + stats.cache_misses);
        out.line(format_args!("vm_cache_misses_total{results}"), stats.cache_misses);
        out.line(format_args!("vm_cache_entries{results}"), stats.cache_entries);
        out.line(format_args!("vm_cache_size_bytes{results}"), stats.cache_bytes);
        out.line(format_args!("vm_cache_size_max_bytes{results}"), self.options.results_bytes_max);
        out.line("vm_rollup_result_cache_full_hits_total", stats.cache_hits);
        out.line("vm_rollup_result_cache_miss_total", stats.cache_misses);
        out.line("vm_slow_queries_total", self.slow_queries.get());
        for (metric, value) in [
            ("basalt_queries_total", stats.queries),
            ("basalt_query_errors_total", stats.failed),
            ("basalt_query_series_read_total", stats.series_read),
            ("basalt_query_samples_scanned_total", stats.samples_scanned),
            ("basalt_query_memory_held_bytes", stats.memory_held),
            ("basalt_queries_running", stats.active),
        ] {
            out.line(metric, value);
        }
    }

    fn write_flags(&self, out: &mut MetricsText) {
        for (name, value, given) in &self.options.flags {
            out.line(format_args!("flag{{name={name:?}, value={value:?}, is_set=\"{given}\"}}"), 1);
        }
    }
}

fn write_sizes(stats: &StoreStats, out: &mut MetricsText) {
    for (metric, kind, value) in [
        ("vm_rows", "storage/inmemory", stats.head_samples),
        ("vm_rows", "storage/small", stats.part_samples),
        ("vm_rows", "storage/big", 0),
        ("vm_rows", "indexdb/inmemory", stats.series_active),
        ("vm_rows", "indexdb/file", stats.part_series),
        ("vm_parts", "storage/inmemory", 0),
        ("vm_parts", "storage/small", stats.parts),
        ("vm_parts", "storage/big", 0),
        ("vm_parts", "indexdb/file", stats.parts),
        // Whatever is acknowledged is seen by queries at once; nothing waits to become visible.
        ("vm_pending_rows", "storage", 0),
        ("vm_pending_rows", "indexdb", 0),
        ("vm_data_size_bytes", "storage/inmemory", stats.head_bytes),
        ("vm_data_size_bytes", "storage/small", stats.columns_bytes),
        ("vm_data_size_bytes", "storage/big", 0),
        ("vm_data_size_bytes", "indexdb/inmemory", 0),
        ("vm_data_size_bytes", "indexdb/file", stats.index_bytes),
        ("vm_data_size_bytes", "storage/log", stats.log_bytes),
        ("vm_cache_entries", "storage/hour_metric_ids", stats.series_active),
        ("vm_merges_total", "storage/small", stats.merges),
        ("vm_active_merges", "storage/small", stats.merges_active),
        ("vm_active_merges", "storage/big", 0),
        ("vm_rows_merged_total", "storage/small", stats.merged_samples),
        ("vm_deduplicated_samples_total", "merge", stats.deduplicated),
    ] {
        out.line(format_args!("{metric}{{type=\"{kind}\"}}"), value);
    }
}

/// Caches that do what VictoriaMetrics' of the same name do: from a sender's labels to the series, and from a selector to the series of a part.
fn write_caches(stats: &StoreStats, out: &mut MetricsText) {
    for (kind, cache) in [("storage/tsid", stats.encodings), ("indexdb/tagFiltersToMetricIDs", stats.searches)] {
        for (metric, value) in [
            ("entries", cache.entries),
            ("size_bytes", cache.bytes),
            ("requests_total", cache.requests),
            ("misses_total", cache.misses),
        ] {
            out.line(format_args!("vm_cache_{metric}{{type=\"{kind}\"}}"), value);
        }
    }
}

fn write_work(stats: &StoreStats, out: &mut MetricsText) {
    for (metric, value) in [
        ("vm_rows_received_by_storage_total", stats.rows_inserted + stats.refused.total()),
        ("vm_rows_added_to_storage_total", stats.rows_inserted),
        ("vm_new_timeseries_created_total", stats.series_created),
        ("basalt_series_keys_received_total", stats.keys_received),
        ("basalt_log_commits_total", stats.log_commits),
        ("basalt_flushes_total", stats.flushes),
        ("basalt_quarantined_parts", stats.quarantined_parts),
        ("basalt_damaged_log_records_total", stats.damaged_records),
        ("basalt_tombstones", stats.tombstones),
    ] {
        out.line(metric, value);
    }
}

fn write_limit(period: &str, max: u64, current: u64, out: &mut MetricsText) {
    out.line(format_args!("vm_{period}_series_limit_max_series"), max);
    out.line(format_args!("vm_{period}_series_limit_current_series"), current);
}
