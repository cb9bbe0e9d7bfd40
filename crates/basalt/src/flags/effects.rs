//! Where the effect of each obeyed flag is shown: the tests of a flag are data as the flag is.

use std::collections::BTreeMap;

use super::{State, table::SECTIONS};
use crate::files;

/// No file of tests is longer.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Files of tests, each with its tests, each with the flags whose effect it shows.
type Shown = &'static [(&'static str, &'static [(&'static str, &'static [&'static str])])];

const SHOWN: Shown = &[
    (
        "crates/basalt/tests/e2e/command_line.rs",
        &[
            ("version_and_help_end_well", &["version", "help"]),
            ("the_environment_sets_flags", &["envflag.enable", "envflag.prefix", "storageDataPath"]),
            ("log_lines_are_what_supervisors_wait_for", &["loggerTimezone", "loggerFormat"]),
            ("a_taken_port_and_a_taken_folder_end_with_1_and_say_why", &["httpListenAddr"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/operator_flags.rs",
        &[
            (
                "the_log_looks_as_it_is_wanted",
                &["loggerLevel", "loggerOutput", "loggerDisableTimestamps", "loggerJSONFields"],
            ),
            ("rules_and_secrets_come_from_servers", &["relabelConfig"]),
            (
                "the_process_sends_its_metrics_to_others",
                &[
                    "pushmetrics.url",
                    "pushmetrics.interval",
                    "pushmetrics.extraLabel",
                    "pushmetrics.header",
                    "pushmetrics.disableCompression",
                ],
            ),
            ("who_asks_about_alerts_is_led_to_vmalert", &["vmalert.proxyURL"]),
            ("a_balancer_says_whom_it_speaks_for", &["httpListenAddr.useProxyProtocol"]),
            (
                "balancers_may_stand_before_every_door",
                &[
                    "graphiteListenAddr.useProxyProtocol",
                    "influxListenAddr.useProxyProtocol",
                    "opentsdbListenAddr.useProxyProtocol",
                    "opentsdbHTTPListenAddr.useProxyProtocol",
                ],
            ),
            ("flags_are_hidden_that_somebody_names", &["secret.flags"]),
            ("new_series_are_logged_when_somebody_asks", &["logNewSeries", "logNewSeriesAuthKey"]),
            ("rows_are_logged_when_somebody_asks", &["logIngestedRows"]),
            ("relabeling_is_shown_and_nothing_stored", &["relabelDebug"]),
            ("queries_that_held_much_are_logged", &["search.logQueryMemoryUsage"]),
            ("addresses_of_version_6_are_listened_at_where_only_a_port_is_given", &["enableTCP6"]),
        ],
    ),
    (
        "crates/basalt/src/logging.rs",
        &[("a_place_may_log_so_many_errors_a_second", &["loggerErrorsPerSecondLimit", "loggerWarnsPerSecondLimit"])],
    ),
    (
        "crates/basalt/tests/e2e/relabel.rs",
        &[
            ("a_broken_file_is_found_at_the_start_and_by_a_dry_run", &["dryRun"]),
            (
                "limits_are_held_against_what_relabeling_leaves",
                &["maxLabelsPerTimeseries", "maxLabelNameLen", "maxLabelValueLen", "usePromCompatibleNaming"],
            ),
            ("what_comes_too_fast_is_told_to_come_again", &["maxIngestionRate", "insert.maxQueueDuration"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/store_flags.rs",
        &[
            ("times_have_their_limits", &["maxBackfillAge", "futureRetention"]),
            ("of_samples_close_to_each_other_the_last_stays", &["dedup.minScrapeInterval"]),
            ("what_lies_outside_the_retention_may_be_denied", &["denyQueriesOutsideRetention"]),
            ("a_full_disk_takes_no_writes", &["storage.minFreeDiskSpaceBytes"]),
            ("new_series_have_their_limits", &["storage.maxHourlySeries", "storage.maxDailySeries"]),
            ("memory_is_a_share_or_a_number", &["memory.allowedPercent", "memory.allowedBytes"]),
            (
                "answers_of_the_api_have_their_limits",
                &[
                    "search.maxExportSeries",
                    "search.maxSeries",
                    "search.maxLabelsAPISeries",
                    "search.maxTSDBStatusSeries",
                    "search.maxDeleteSeries",
                    "http.disableResponseCompression",
                ],
            ),
            (
                "lists_of_the_api_are_cut",
                &["search.maxTagKeys", "search.maxTagValues", "search.maxTSDBStatusTopNSeries"],
            ),
            (
                "work_for_the_api_has_its_time",
                &[
                    "search.maxExportDuration",
                    "search.maxLabelsAPIDuration",
                    "search.maxStatusRequestDuration",
                    "search.maxDeleteDuration",
                ],
            ),
            ("old_snapshots_are_removed", &["snapshotsMaxAge"]),
            ("traces_may_be_denied", &["denyQueryTracing"]),
        ],
    ),
    ("crates/basalt/tests/e2e/syscalls.rs", &[("the_log_is_synced_before_the_answer_leaves", &["storage.ack"])]),
    (
        "crates/basalt/tests/e2e/api.rs",
        &[
            ("refusals_are_named_and_counted", &["retentionPeriod"]),
            ("metadata_survives_a_restart", &["enableMetadata"]),
        ],
    ),
    (
        "crates/http/src/server.rs",
        &[
            ("a_hanging_request_is_cut_off", &["http.maxGracefulShutdownDuration"]),
            ("an_old_connection_is_closed_after_its_answer", &["http.connTimeout"]),
            ("an_idle_connection_and_a_slow_head_are_closed", &["http.idleConnTimeout"]),
            ("more_connections_wait_for_their_place", &["http.maxConnections"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/auth.rs",
        &[
            ("a_password_is_asked_for_on_every_path_but_probes", &["httpAuth.username", "httpAuth.password"]),
            (
                "every_key_guards_its_paths",
                &[
                    "deleteAuthKey",
                    "snapshotAuthKey",
                    "forceMergeAuthKey",
                    "forceFlushAuthKey",
                    "metricsAuthKey",
                    "flagsAuthKey",
                    "reloadAuthKey",
                    "configAuthKey",
                    "pprofAuthKey",
                    "search.resetCacheAuthKey",
                    "metricNamesStatsResetAuthKey",
                ],
            ),
            (
                "answers_have_the_headers_that_were_asked_for",
                &[
                    "http.pathPrefix",
                    "http.header.hsts",
                    "http.header.csp",
                    "http.header.frameOptions",
                    "http.disableCORS",
                    "http.disableKeepAlive",
                ],
            ),
            ("a_delayed_stop_tells_balancers_first", &["http.shutdownDelay"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/tls.rs",
        &[
            ("an_address_speaks_tls_beside_one_that_does_not", &["tls", "tlsCertFile", "tlsKeyFile"]),
            ("a_new_certificate_is_used_without_a_restart_and_a_broken_one_is_not", &["tlsMinVersion"]),
            ("bad_certificates_are_found_at_the_start", &["tlsCipherSuites"]),
            ("only_clients_with_a_certificate_are_let_in", &["mtls", "mtlsCAFile"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/pressure.rs",
        &[
            ("broken_and_poisonous_bodies_cost_nothing", &["maxInsertRequestSize"]),
            ("inserts_beyond_what_can_be_computed_are_told_to_come_again", &["maxConcurrentInserts"]),
            ("idle_and_half_open_senders_of_lines_keep_nobody_out", &["graphiteListenAddr"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/doors.rs",
        &[("lines_come_over_tcp_and_udp", &["influxListenAddr", "opentsdbListenAddr", "opentsdbHTTPListenAddr"])],
    ),
    (
        "crates/basalt/tests/e2e/ingest_flags.rs",
        &[
            (
                "times_are_cut_and_names_made_as_flags_say",
                &[
                    "csvTrimTimestamp",
                    "influxTrimTimestamp",
                    "opentsdbhttpTrimTimestamp",
                    "influxMeasurementFieldSeparator",
                    "influxDBLabel",
                    "influx.databaseNames",
                    "opentelemetry.usePrometheusNaming",
                    "opentelemetry.promoteAllResourceAttributes",
                    "datadog.sanitizeMetricName",
                    "zabbixconnector.addGroupsValue",
                    "zabbixconnector.addEmptyTagsValue",
                    "zabbixconnector.addDuplicateTagsSeparator",
                ],
            ),
            ("influx_names_may_leave_parts_away", &["influxSkipMeasurement", "influxSkipSingleField"]),
            (
                "bodies_and_lines_have_their_limits",
                &[
                    "import.maxLineLen",
                    "influx.maxLineSize",
                    "datadog.maxInsertRequestSize",
                    "newrelic.maxInsertRequestSize",
                    "opentelemetry.maxRequestSize",
                    "opentsdbhttp.maxInsertRequestSize",
                ],
            ),
            ("lines_of_listeners_are_cut_to_their_minutes", &["graphiteTrimTimestamp", "opentsdbTrimTimestamp"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/own_metrics.rs",
        &[("the_process_stores_its_own_metrics", &["selfScrapeInterval", "selfScrapeInstance", "selfScrapeJob"])],
    ),
    (
        "crates/basalt/tests/e2e/query_flags.rs",
        &[
            (
                "limits_are_obeyed_and_named",
                &[
                    "search.maxUniqueTimeseries",
                    "search.maxSamplesPerQuery",
                    "search.maxSamplesPerSeries",
                    "search.maxPointsSubqueryPerTimeseries",
                    "search.maxMemoryPerQuery",
                    "search.maxResponseSeries",
                    "search.maxSeriesPerAggrFunc",
                    "search.maxQueryLen",
                    "search.disableImplicitConversion",
                ],
            ),
            (
                "how_far_queries_look_back_is_a_matter_of_flags",
                &["search.maxLookback", "search.maxStalenessInterval", "search.minStalenessInterval"],
            ),
            ("a_range_may_look_back_one_step_only", &["search.setLookbackToStep"]),
            ("results_are_aligned_only_for_the_cache", &["search.disableCache"]),
            ("the_newest_results_are_not_cached", &["search.cacheTimestampOffset"]),
            ("the_newest_samples_are_seen_after_the_latency_offset", &["search.latencyOffset"]),
            ("the_newest_points_of_a_range_repeat_the_last_sure_one", &["search.maxStepForPointsAdjustment"]),
            (
                "slow_queries_are_logged_and_remembered",
                &["search.logSlowQueryDuration", "search.queryStats.lastQueriesCount"],
            ),
            ("dots_may_be_dots", &["search.treatDotsAsIsInRegexps"]),
            ("federation_has_its_limit", &["search.maxFederateSeries"]),
            ("a_full_queue_says_when_to_come_again", &["search.maxConcurrentRequests", "search.maxQueueDuration"]),
            ("a_query_has_its_time", &["search.maxQueryDuration"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/queries.rs",
        &[
            ("errors_have_the_codes_of_victoriametrics", &["search.maxPointsPerTimeseries"]),
            ("queries_are_listed_and_counted", &["search.queryStats.minQueryDuration"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/names_stats.rs",
        &[("requests_for_metrics_are_counted_over_restarts", &["storage.trackMetricNamesStats"])],
    ),
    (
        "crates/basalt/tests/e2e/web.rs",
        &[("the_web_interface_is_what_flags_make_it", &["vmui.customDashboardsPath", "vmui.defaultTimezone"])],
    ),
    ("crates/query/src/eval/batches.rs", &[("so_many_threads_work_as_may", &["search.maxWorkersPerQuery"])]),
    ("crates/basalt/tests/e2e/promql_api.rs", &[("the_flag_chooses_the_dialect_of_all_paths", &["search.dialect"])]),
    (
        "crates/basalt/tests/e2e/cluster.rs",
        &[
            ("a_storage_that_is_added_to_the_list_is_asked", &["storageNode"]),
            ("swapped_ports_work_all_the_same", &["vminsertAddr"]),
            ("a_select_asks_single_nodes_too", &["vmselectAddr"]),
            ("inserts_and_selects_may_stand_in_levels", &["clusternativeListenAddr"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/cluster/flags.rs",
        &[
            ("only_nodes_that_the_filter_matches_are_used", &["storageNode.filter"]),
            ("lists_are_looked_up_as_often_as_is_wanted", &["storageNode.discoveryInterval"]),
            ("each_group_has_its_own_number_of_copies", &["replicationFactor"]),
            ("each_series_is_in_as_many_groups_as_are_wanted", &["globalReplicationFactor"]),
            ("a_node_that_takes_no_connection_is_given_up_in_time", &["vmstorageDialTimeout"]),
            ("a_silent_node_counts_as_away_in_time", &["vmstorageUserTimeout"]),
            ("answers_that_lack_something_may_be_denied", &["search.denyPartialResponse"]),
            ("lists_of_labels_are_not_waited_for_where_slow_replicas_are_skipped", &["search.skipSlowReplicas"]),
            ("hints_lie_where_they_are_wanted_and_drain_as_fast_as_they_may", &["hints.path", "hints.maxDrainRate"]),
            ("a_storage_is_filled_up_as_fast_as_it_may", &["storage.refillMaxRate"]),
        ],
    ),
    (
        "crates/basalt/tests/e2e/cluster/writes.rs",
        &[
            ("strict_waits_for_all_copies_and_best_effort_keeps_hints", &["insert.ack"]),
            ("hints_are_bounded_and_a_refusal_says_so", &["hints.maxDiskUsage"]),
            (
                "nodes_with_certificates_of_one_authority_talk_and_let_nobody_else_in",
                &[
                    "cluster.tls",
                    "cluster.tlsCertFile",
                    "cluster.tlsKeyFile",
                    "cluster.tlsCAFile",
                    "cluster.tlsServerName",
                ],
            ),
        ],
    ),
    (
        "crates/basalt/tests/e2e/cluster/tenants.rs",
        &[("headers_may_be_told_to_mean_nothing", &["enableMultitenancyViaHeaders"])],
    ),
];

#[test]
fn every_obeyed_flag_names_a_test_of_its_effect() {
    let mut shown: BTreeMap<&str, String> = BTreeMap::new();
    for (file, tests) in SHOWN {
        let path = format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"));
        let text = files::read(&path, TEXT_BYTES_MAX).unwrap_or_else(|why| panic!("{file}: {why}"));
        let text = String::from_utf8_lossy(&text).into_owned();
        for (test, flags) in *tests {
            assert!(text.contains(&format!("fn {test}()")), "{file} has no test {test}");
            for flag in *flags {
                let before = shown.insert(flag, format!("{file} {test}"));
                assert!(before.is_none(), "-{flag} is shown twice: {before:?}");
            }
        }
    }
    let obeyed: Vec<&str> = SECTIONS
        .iter()
        .flat_map(|section| section.flags)
        .filter(|flag| flag.state == State::Obeyed)
        .map(|flag| flag.name)
        .collect();
    let missing: Vec<_> = obeyed.iter().filter(|name| !shown.contains_key(*name)).collect();
    assert!(missing.is_empty(), "obeyed, but no test shows their effect: {missing:?}");
    let stale: Vec<_> = shown.keys().filter(|name| !obeyed.contains(name)).collect();
    assert!(stale.is_empty(), "shown, but not obeyed: {stale:?}");
}
