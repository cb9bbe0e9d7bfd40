//! What the process says about itself: `/metrics`, its own scrapes, profiles.

use crate::{
    prometheus::wait_until,
    server::{Basalt, folder},
    wire::{BodyWriter, labels},
};

/// Lines that dashboards, alerts and scripts ask for; they stand there from the start.
const LINES: &[&str] = &[
    "vm_new_timeseries_created_total",
    "vm_hourly_series_limit_max_series",
    "vm_hourly_series_limit_current_series",
    "vm_hourly_series_limit_rows_dropped_total",
    "vm_daily_series_limit_max_series",
    "vm_daily_series_limit_current_series",
    "vm_daily_series_limit_rows_dropped_total",
    "vm_max_ingestion_rate_limit_reached_total",
    "vm_rows_inserted_total{type=\"promremotewrite\"}",
    "vm_rows{type=\"storage/inmemory\"}",
    "vm_rows{type=\"storage/small\"}",
    "vm_rows{type=\"storage/big\"}",
    "vm_parts{type=\"storage/small\"}",
    "vm_data_size_bytes{type=\"storage/small\"}",
    "vm_data_size_bytes{type=\"indexdb/file\"}",
    "vm_cache_entries{type=\"storage/hour_metric_ids\"}",
    "vm_cache_entries{type=\"storage/tsid\"}",
    "vm_cache_size_bytes{type=\"storage/tsid\"}",
    "vm_cache_requests_total{type=\"storage/tsid\"}",
    "vm_cache_misses_total{type=\"storage/tsid\"}",
    "vm_cache_entries{type=\"indexdb/tagFiltersToMetricIDs\"}",
    "vm_cache_size_bytes{type=\"indexdb/tagFiltersToMetricIDs\"}",
    "vm_cache_requests_total{type=\"indexdb/tagFiltersToMetricIDs\"}",
    "vm_cache_misses_total{type=\"indexdb/tagFiltersToMetricIDs\"}",
    "vm_cache_requests_total{type=\"promql/rollupResult\"}",
    "vm_cache_misses_total{type=\"promql/rollupResult\"}",
    "vm_rows_ignored_total{reason=\"big_timestamp\"}",
    "vm_http_requests_total{path=\"/api/v1/write\", protocol=\"promremotewrite\"}",
    "vm_http_request_errors_total{path=\"/api/v1/write\", protocol=\"promremotewrite\"}",
    "vm_request_duration_seconds_count{path=\"/api/v1/write\", protocol=\"promremotewrite\"}",
    "vm_http_requests_total{path=\"/api/v1/export\"}",
    "vm_request_duration_seconds_count{path=\"/api/v1/export\"}",
    "vm_relabel_config_last_reload_successful",
    "vm_http_requests_all_total",
    "vm_http_requests_total{path=\"/ping\"}",
    "vm_http_requests_total{path=\"/-/reload\"}",
    "vm_http_requests_total{path=\"/debug/pprof/profile\"}",
    "vm_http_request_errors_total{path=\"*\", reason=\"unsupported\"}",
    "vm_rows_ignored_total{reason=\"small_timestamp\"}",
    "vm_pending_rows{type=\"storage\"}",
    "vm_slow_row_inserts_total",
    "vm_slow_queries_total",
    "vm_rows_received_by_storage_total",
    "vm_concurrent_insert_limit_reached_total",
    "vm_concurrent_select_limit_reached_total",
    "vm_cache_size_max_bytes{type=\"promql/rollupResult\"}",
    "vm_deduplicated_samples_total{type=\"merge\"}",
    "vm_concurrent_insert_capacity",
    "vm_concurrent_select_capacity",
    "vm_app_uptime_seconds",
    "vm_available_memory_bytes",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_start_time_seconds",
];

#[test]
fn the_lines_that_others_wait_for_stand_there_from_the_start() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-storage.maxHourlySeries=7", "-metricsAuthKey="]);
    let text = basalt.ok("/metrics");
    let missing: Vec<_> =
        LINES.iter().filter(|name| !text.lines().any(|line| line.starts_with(&format!("{name} ")))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(text.contains("vm_hourly_series_limit_max_series 7\n"));
    for start in ["vm_tcplistener_conns{name=\"http\"", "vm_log_messages_total{app_version=\"basalt-"] {
        assert!(text.lines().any(|line| line.starts_with(start)), "{start}");
    }
    let again = basalt.ok("/metrics");
    assert!(again.contains("vm_request_duration_seconds{path=\"/metrics\", quantile=\"0.99\"}"));
    assert!(text.lines().any(|line| line.starts_with("vm_app_version{version=\"basalt-")));
    assert!(text.contains("flag{name=\"storage.maxHourlySeries\", value=\"7\", is_set=\"true\"} 1\n"));
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect();
    let lines = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), lines, "a line stands there twice");
}

#[test]
fn the_process_stores_its_own_metrics() {
    let folder = folder();
    let flags = ["-selfScrapeInterval=200ms", "-selfScrapeInstance=me:1", "-selfScrapeJob=mine", "-metricsAuthKey=k"];
    let basalt = Basalt::start(folder.path(), &flags);
    let found = || basalt.export(r#"vm_app_version{job="mine",instance="me:1"}"#).samples();
    wait_until("two scrapes are stored", || found() >= 2);
    basalt.stop();
    let basalt = Basalt::start(folder.path(), &[]);
    let mut body = BodyWriter::default();
    body.series(&labels(&[("__name__", "quiet")]), &[(1_767_312_000_000, 1.0)]);
    assert_eq!(basalt.write(&body.body).status, 204);
    let before = basalt.export("process_cpu_seconds_total").samples();
    assert!(before >= 2);
    assert_eq!(basalt.export("process_cpu_seconds_total").samples(), before, "without the flag nothing is added");
}

#[test]
fn profiles_are_taken_while_it_works() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    assert!(basalt.ok("/debug/pprof/").contains("/debug/pprof/profile?seconds="));
    let profile = basalt.get("/debug/pprof/profile?seconds=0");
    assert_eq!((profile.status, profile.body.first()), (200, Some(&0x0a)));
    assert_eq!(basalt.get("/debug/pprof/profile?seconds=many").status, 400);
    assert_eq!(basalt.ok("/health"), "OK");
}
