//! What the flags come to: plain values, read once at the start. Resources are built from them later.

use std::{path::PathBuf, sync::Arc, time::Duration};

use basalt_http::{HeaderName, HeaderValue, ServerOptions, header};
use jiff::tz::TimeZone;
use log::LevelFilter;

use crate::{
    alerts::AlertProxy,
    allocator,
    cluster::ClusterOptions,
    doors::{self, DoorAddresses},
    flags::{Flags, UsageError},
    front::{FrontOptions, auth::Auth},
    listeners::Listen,
    logging::{JsonNames, Logging},
    machine,
    push::Push,
    roles::{InsertSettings, Role},
    secrets::Sourced,
    self_scrape::SelfScrape,
    web::WebSettings,
};

/// Share of the allowed memory that bodies may take while they come in.
const BODIES_SHARE: u64 = 16;
/// Share of the allowed memory that running queries may hold together.
const QUERIES_SHARE: u64 = 2;
/// Share of the allowed memory that cached results may take.
const RESULTS_SHARE: u64 = 16;
/// Queries that work at once in a single node by default, however many processors there are.
const CONCURRENT_QUERIES_MAX: usize = 16;
/// Memory that a store cannot do without.
const MEMORY_BYTES_MIN: u64 = 64 << 20;

/// Everything that the flags say.
pub struct Settings {
    /// How to log.
    pub logging: Logging,
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Where to listen for lines.
    pub doors: DoorAddresses,
    /// What stands before the role.
    pub front: FrontOptions,
    /// The file with rules of relabeling; empty without one.
    pub relabel_config: String,
    /// Bounds of the listeners.
    pub server: ServerOptions,
    /// How long probes are answered badly before a stop begins.
    pub stop_delay: Duration,
    /// How the process scrapes itself.
    pub self_scrape: SelfScrape,
    /// How the process sends its metrics to others.
    pub push: Push,
    /// Other nodes.
    pub cluster: ClusterOptions,
    /// The data folder.
    pub data_path: PathBuf,
    /// Memory for buffers and caches.
    pub memory_allowed_bytes: u64,
    /// Of the store.
    pub store: store::Options,
    /// Whether queries outside the retention are refused.
    pub deny_outside_retention: bool,
    /// Whether it is counted how often metric names are asked for.
    pub track_metric_names: bool,
    /// Of the web interface.
    pub web: WebSettings,
    /// Of an insert node.
    pub insert: InsertSettings,
    /// Of the doors.
    pub receive: receive::Options,
    /// Of the query engine.
    pub engine: query::EngineOptions,
    /// Of the API.
    pub serve: serve::Options,
    /// Secrets that may change while the process runs.
    pub secrets: Vec<Sourced>,
}

impl Settings {
    /// Reads every flag that is obeyed.
    pub fn from_flags(flags: &Flags, role: Role) -> Result<Self, UsageError> {
        let memory_allowed_bytes = memory_allowed_bytes(flags);
        let store = store_options(flags, memory_allowed_bytes);
        let cluster = ClusterOptions::from_flags(flags)?;
        let mut settings = Self {
            logging: logging(flags)?,
            listen: Listen::from_flags(flags)?,
            doors: DoorAddresses::from_flags(flags),
            front: front_options(flags)?,
            relabel_config: flags.text("relabelConfig").to_string(),
            server: ServerOptions {
                connections_max: flags.number("http.maxConnections") as usize,
                idle_max: at_least_a_second(flags.duration("http.idleConnTimeout")),
                connection_age_max: at_least_a_second(flags.duration("http.connTimeout")),
                drain_max: flags.duration("http.maxGracefulShutdownDuration"),
                keep_alive: !flags.switch("http.disableKeepAlive"),
            },
            stop_delay: flags.duration("http.shutdownDelay"),
            self_scrape: SelfScrape {
                interval: flags.duration("selfScrapeInterval"),
                job: flags.text("selfScrapeJob").to_string(),
                instance: flags.text("selfScrapeInstance").to_string(),
                metrics_key: flags.secret("metricsAuthKey"),
            },
            push: Push::from_flags(flags)?,
            data_path: flags.text("storageDataPath").into(),
            memory_allowed_bytes,
            insert: InsertSettings::from_flags(flags, memory_allowed_bytes, cluster.replication.is_single()),
            cluster,
            receive: receive_options(flags, memory_allowed_bytes),
            engine: engine_options(flags, memory_allowed_bytes),
            serve: serve_options(flags, &store, role),
            store,
            deny_outside_retention: flags.switch("denyQueriesOutsideRetention"),
            track_metric_names: flags.switch("storage.trackMetricNamesStats"),
            web: WebSettings::from_flags(flags)?,
            secrets: Vec::new(),
        };
        // Known once all have asked.
        settings.secrets = flags.sourced_secrets();
        Ok(settings)
    }

    /// Whether a node of a role can start with them, as far as flags alone say.
    pub fn check(&self, role: Role) -> Result<(), UsageError> {
        self.listen.iter().try_for_each(Listen::check_address)?;
        self.doors.check()?;
        self.cluster.check(role)
    }
}

fn front_options(flags: &Flags) -> Result<FrontOptions, UsageError> {
    let mut headers = Vec::new();
    let mut add = |name: HeaderName, flag: &'static str, value: &str| {
        let wrong = |_| UsageError(format!("invalid value {value:?} for -{flag}: no header can hold it"));
        if !value.is_empty() {
            headers.push((name, HeaderValue::try_from(value).map_err(wrong)?));
        }
        Ok(())
    };
    add(header::STRICT_TRANSPORT_SECURITY, "http.header.hsts", flags.text("http.header.hsts"))?;
    add(header::CONTENT_SECURITY_POLICY, "http.header.csp", flags.text("http.header.csp"))?;
    add(header::X_FRAME_OPTIONS, "http.header.frameOptions", flags.text("http.header.frameOptions"))?;
    let cors = if flags.switch("http.disableCORS") { "" } else { "*" };
    add(header::ACCESS_CONTROL_ALLOW_ORIGIN, "http.disableCORS", cors)?;
    Ok(FrontOptions {
        path_prefix: path_prefix(flags.text("http.pathPrefix")),
        auth: Auth::new(flags.text("httpAuth.username"), flags.secret("httpAuth.password"), |flag| flags.secret(flag)),
        headers,
        alerts: AlertProxy::from_flags(flags)?.map(Arc::new),
    })
}

fn memory_allowed_bytes(flags: &Flags) -> u64 {
    let percent = flags.percent("memory.allowedPercent");
    let bytes = match flags.bytes("memory.allowedBytes") {
        0 => (machine::memory_bytes() as f64 * percent / 100.0) as u64,
        bytes => bytes,
    };
    bytes.max(MEMORY_BYTES_MIN)
}

fn store_options(flags: &Flags, memory_allowed_bytes: u64) -> store::Options {
    store::Options {
        retention_ms: milliseconds(flags.duration("retentionPeriod")),
        future_retention_ms: milliseconds(flags.duration("futureRetention")),
        max_backfill_age_ms: milliseconds(flags.duration("maxBackfillAge")),
        ack: match flags.text("storage.ack") {
            "process" => store::Ack::Process,
            "none" => store::Ack::None,
            _ => store::Ack::Power,
        },
        dedup_interval_ms: milliseconds(flags.duration("dedup.minScrapeInterval")),
        memory_allowed_bytes,
        min_free_disk_bytes: flags.bytes("storage.minFreeDiskSpaceBytes"),
        max_hourly_series: flags.number("storage.maxHourlySeries"),
        max_daily_series: flags.number("storage.maxDailySeries"),
        snapshots_max_age_ms: milliseconds(flags.duration("snapshotsMaxAge")),
        ..store::Options::default()
    }
}

fn receive_options(flags: &Flags, memory_allowed_bytes: u64) -> receive::Options {
    receive::Options {
        // Offsets in a body, and in the labels that are brought together behind it, have 32 bits.
        body_bytes_max: flags.bytes("maxInsertRequestSize").min(1 << 31) as usize,
        concurrent_max: match flags.number("maxConcurrentInserts") {
            0 => 2 * machine::processors(),
            number => number as usize,
        },
        queue_wait_max: flags.duration("insert.maxQueueDuration"),
        bodies_bytes_max: memory_allowed_bytes / BODIES_SHARE,
        doors: doors::options(flags),
        rules: receive::RuleOptions {
            limits: receive::LabelLimits {
                labels_max: flags.number("maxLabelsPerTimeseries") as usize,
                name_bytes_max: flags.number("maxLabelNameLen") as usize,
                value_bytes_max: flags.number("maxLabelValueLen") as usize,
            },
            prometheus_names: flags.switch("usePromCompatibleNaming"),
            relabeler: None,
            relabel_debug: flags.switch("relabelDebug"),
            without_metadata: !flags.switch("enableMetadata"),
        },
        samples_per_second_max: flags.number("maxIngestionRate"),
        log_new_series: flags.switch("logNewSeries"),
        log_rows: flags.switch("logIngestedRows"),
    }
}

fn engine_options(flags: &Flags, memory_allowed_bytes: u64) -> query::EngineOptions {
    let usual = query::EngineOptions::default();
    let cache_bytes_max = if flags.switch("search.disableCache") { 0 } else { memory_allowed_bytes / RESULTS_SHARE };
    query::EngineOptions {
        workers_per_query_max: match flags.number("search.maxWorkersPerQuery") {
            0 => usual.workers_per_query_max,
            number => number as usize,
        },
        points_per_series_max: flags.number("search.maxPointsPerTimeseries") as usize,
        subquery_points_max: flags.number("search.maxPointsSubqueryPerTimeseries") as usize,
        series_max: flags.number("search.maxUniqueTimeseries"),
        response_series_max: flags.number("search.maxResponseSeries") as usize,
        samples_per_query_max: flags.number("search.maxSamplesPerQuery"),
        samples_per_series_max: flags.number("search.maxSamplesPerSeries"),
        memory_per_query_max: flags.bytes("search.maxMemoryPerQuery"),
        memory_max: memory_allowed_bytes / QUERIES_SHARE,
        reclaim: allocator::reclaim,
        query_len_max: flags.bytes("search.maxQueryLen") as usize,
        latency_offset: flags.duration("search.latencyOffset"),
        staleness_interval_min: flags.duration("search.minStalenessInterval"),
        no_implicit_conversion: flags.switch("search.disableImplicitConversion"),
        cache_bytes_max: cache_bytes_max as usize,
        cache_timestamp_offset: flags.duration("search.cacheTimestampOffset"),
        top_queries_max: flags.number("search.queryStats.lastQueriesCount") as usize,
        top_query_duration_min: flags.duration("search.queryStats.minQueryDuration"),
        dots_are_dots: flags.switch("search.treatDotsAsIsInRegexps"),
        held_back_step_max: flags.duration("search.maxStepForPointsAdjustment"),
        aggregate_series_max: flags.number("search.maxSeriesPerAggrFunc") as usize,
        ..usual
    }
}

fn query_options(flags: &Flags) -> serve::QueryOptions {
    let lookbacks = ["search.maxLookback", "search.maxStalenessInterval"].map(|name| flags.duration(name));
    serve::QueryOptions {
        dialect: match flags.text("search.dialect") {
            "promql" => query::Dialect::PromQl,
            _ => query::Dialect::MetricsQl,
        },
        time_max: flags.duration("search.maxQueryDuration"),
        text_bytes_max: flags.bytes("search.maxQueryLen") as usize,
        lookback: lookbacks.into_iter().find(|lookback| !lookback.is_zero()),
        lookback_is_step: flags.switch("search.setLookbackToStep"),
        slow: flags.duration("search.logSlowQueryDuration"),
        memory_noted: flags.bytes("search.logQueryMemoryUsage"),
    }
}

impl Settings {
    /// What other nodes may ask: what the same flags allow to those who ask here.
    pub fn node_limits(&self) -> rpc::NodeLimits {
        let asked = &self.serve;
        rpc::NodeLimits {
            series_max: unlimited_if_zero(self.engine.series_max),
            label_names_max: asked.label_names_max,
            label_values_max: asked.label_values_max,
            deletes_max: asked.delete_series_max,
            at_once: asked.concurrent_max,
            wait_max: asked.queue_wait_max,
        }
    }
}

fn serve_options(flags: &Flags, store: &store::Options, role: Role) -> serve::Options {
    serve::Options {
        concurrent_max: match flags.number("search.maxConcurrentRequests") {
            0 if role == Role::Single => (2 * machine::processors()).min(CONCURRENT_QUERIES_MAX),
            0 => 2 * machine::processors(),
            number => number as usize,
        },
        queue_wait_max: flags.duration("search.maxQueueDuration"),
        queries: query_options(flags),
        tenant_by_headers: flags.switch("enableMultitenancyViaHeaders"),
        compress: !flags.switch("http.disableResponseCompression"),
        federate_series_max: unlimited_if_zero(flags.number("search.maxFederateSeries")),
        export_series_max: unlimited_if_zero(flags.number("search.maxExportSeries")),
        export_time_max: flags.duration("search.maxExportDuration"),
        series_max: unlimited_if_zero(flags.number("search.maxSeries")),
        labels_series_max: unlimited_if_zero(flags.number("search.maxLabelsAPISeries")),
        labels_time_max: flags.duration("search.maxLabelsAPIDuration"),
        label_names_max: unlimited_if_zero(flags.number("search.maxTagKeys")) as usize,
        label_values_max: unlimited_if_zero(flags.number("search.maxTagValues")) as usize,
        status_series_max: unlimited_if_zero(flags.number("search.maxTSDBStatusSeries")),
        status_time_max: flags.duration("search.maxStatusRequestDuration"),
        deny_tracing: flags.switch("denyQueryTracing"),
        status_top_max: unlimited_if_zero(flags.number("search.maxTSDBStatusTopNSeries")) as usize,
        delete_series_max: unlimited_if_zero(flags.number("search.maxDeleteSeries")),
        delete_time_max: flags.duration("search.maxDeleteDuration"),
        // The role opens it with its store.
        names_stats: None,
        keys: serve::Keys {
            delete: flags.secret("deleteAuthKey"),
            snapshot: flags.secret("snapshotAuthKey"),
            force_merge: flags.secret("forceMergeAuthKey"),
            force_flush: flags.secret("forceFlushAuthKey"),
            reset_cache: flags.secret("search.resetCacheAuthKey"),
            metrics: flags.secret("metricsAuthKey"),
            flags: flags.secret("flagsAuthKey"),
            names_stats: flags.secret("metricNamesStatsResetAuthKey"),
        },
        flags: flags.shown().collect(),
        version: machine::VERSION,
        data_path: flags.text("storageDataPath").to_string(),
        results_bytes_max: store.memory_allowed_bytes / RESULTS_SHARE,
        free_disk_bytes_min: store.min_free_disk_bytes,
        hourly_series_max: store.max_hourly_series,
        daily_series_max: store.max_daily_series,
        has_nodes: role == Role::Select,
        deny_partial: flags.switch("search.denyPartialResponse"),
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn unlimited_if_zero(number: u64) -> u64 {
    if number == 0 { u64::MAX } else { number }
}

/// Zero means "no limit" in VictoriaMetrics; every connection here has one, so it becomes a year.
fn at_least_a_second(duration: Duration) -> Duration {
    if duration.is_zero() { Duration::from_secs(365 * 86_400) } else { duration.max(Duration::from_secs(1)) }
}

/// With a slash before it and none behind, in the plain form in which paths are seen.
fn path_prefix(text: &str) -> String {
    let plain = basalt_http::plain_path(text).unwrap_or_else(|| text.to_string());
    match plain.trim_matches('/') {
        "" => String::new(),
        prefix => format!("/{prefix}"),
    }
}

fn logging(flags: &Flags) -> Result<Logging, UsageError> {
    let zone = flags.text("loggerTimezone");
    let unknown = |_| {
        UsageError(format!(
            "invalid value {zone:?} for -loggerTimezone: want UTC, Local or a name such as Asia/Shanghai"
        ))
    };
    Ok(Logging {
        json: flags.text("loggerFormat") == "json",
        level: match flags.text("loggerLevel") {
            "INFO" => LevelFilter::Info,
            "WARN" => LevelFilter::Warn,
            _ => LevelFilter::Error,
        },
        timezone: match zone {
            "UTC" | "" => TimeZone::UTC,
            "Local" => TimeZone::system(),
            name => TimeZone::get(name).map_err(unknown)?,
        },
        timestamps: !flags.switch("loggerDisableTimestamps"),
        to_stdout: flags.text("loggerOutput") == "stdout",
        json_names: json_names(flags.text("loggerJSONFields"))?,
        errors_per_second: flags.number("loggerErrorsPerSecondLimit"),
        warnings_per_second: flags.number("loggerWarnsPerSecondLimit"),
    })
}

/// Reads `ts:timestamp,msg:message`.
fn json_names(text: &str) -> Result<JsonNames, UsageError> {
    let mut names = JsonNames::default();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let renamed = pair.split_once(':').is_some_and(|(field, name)| names.rename(field, name));
        if !renamed {
            let why = "want pairs such as ts:timestamp,msg:message of the fields ts, level, caller and msg";
            return Err(UsageError(format!("invalid value {text:?} for -loggerJSONFields: {why}")));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::flags::{Invocation, State, table};

    fn flags(line: &str) -> Flags {
        let arguments = line.split_whitespace().map(str::to_string).collect();
        Invocation::read(arguments, &|_| None).expect("a good command line").flags
    }

    #[test]
    fn every_obeyed_flag_is_read_and_no_other() {
        let flags = flags("");
        let early = ["version", "help", "dryRun"];
        assert!(early.iter().all(|name| !flags.switch(name)), "the program's entry reads these itself");
        Settings::from_flags(&flags, Role::Single).expect("defaults are good");
        let obeyed: BTreeSet<&str> =
            table::all().filter(|flag| flag.state == State::Obeyed).map(|flag| flag.name).collect();
        let asked = flags.asked();
        // These change how flags are read.
        let read_by_parsing = BTreeSet::from(["envflag.prefix"]);
        let unread: Vec<_> = obeyed.difference(&asked).filter(|name| !read_by_parsing.contains(**name)).collect();
        assert!(unread.is_empty(), "obeyed in the table, but no code reads them: {unread:?}");
        let undeclared: Vec<_> = asked.difference(&obeyed).collect();
        assert!(undeclared.is_empty(), "read by code, but not obeyed in the table: {undeclared:?}");
    }

    #[test]
    fn a_start_that_must_fail_is_known_from_its_flags() {
        let check =
            |role: Role, line: &str| Settings::from_flags(&flags(line), role).and_then(|settings| settings.check(role));
        for (role, line, part) in [
            (Role::Single, "-httpListenAddr=foo", "-httpListenAddr"),
            (Role::Single, "-graphiteListenAddr=bar", "-graphiteListenAddr"),
            (Role::Single, "-opentsdbHTTPListenAddr=1.2.3:4", "-opentsdbHTTPListenAddr"),
            (Role::Single, "-vmselectAddr=foo", "-vmselectAddr"),
            (Role::Storage, "-vminsertAddr=foo", "-vminsertAddr"),
            (Role::Insert, "", "missing -storageNode"),
            (Role::Select, "", "missing -storageNode"),
            (Role::Insert, "-storageNode=a:1 -replicationFactor=3", "as -replicationFactor asks"),
            (Role::Insert, "-storageNode=a -clusternativeListenAddr=foo", "-clusternativeListenAddr"),
            (Role::Select, "-storageNode=a -storageNode.filter=(", "filter of storage nodes"),
            (Role::Select, "-storageNode=a,a", "stands there twice"),
        ] {
            let said = check(role, line).expect_err(line).0;
            assert!(said.contains(part), "{line}: {said}");
        }
        for (role, line) in [
            (Role::Single, "-httpListenAddr=my-host:8428 -graphiteListenAddr=:2003"),
            (Role::Storage, "-vminsertAddr=:8400 -vmselectAddr=:8401"),
            (Role::Insert, "-storageNode=a,b,c -replicationFactor=3"),
            (Role::Insert, "-storageNode=file:/nodes -replicationFactor=3"),
            (Role::Select, "-storageNode=dns+nodes:8401 -storageNode.filter=^a"),
        ] {
            assert_eq!(check(role, line), Ok(()), "{line}");
        }
    }

    #[test]
    fn flags_become_values() {
        let line = "-search.maxWorkersPerQuery=5 -retentionPeriod=3d -storage.ack=process -memory.allowedBytes=1GiB -maxConcurrentInserts=7 \
                    -http.pathPrefix=a/b/ -http.connTimeout=0 -search.maxExportSeries=0 -maxLabelValueLen=9";
        let settings = Settings::from_flags(&flags(line), Role::Single).expect("good flags");
        assert_eq!(settings.store.retention_ms, 3 * 86_400_000);
        assert_eq!(settings.store.ack, store::Ack::Process);
        assert_eq!((settings.memory_allowed_bytes, settings.store.memory_allowed_bytes), (1 << 30, 1 << 30));
        assert_eq!((settings.receive.concurrent_max, settings.receive.rules.limits.value_bytes_max), (7, 9));
        assert_eq!((settings.front.path_prefix.as_str(), settings.engine.workers_per_query_max), ("/a/b", 5));
        assert_eq!(settings.serve.export_series_max, u64::MAX);
        assert!(settings.server.connection_age_max > Duration::from_secs(86_400));
        assert!(Settings::from_flags(&flags("-loggerTimezone=Atlantis/Poseidonis"), Role::Single).is_err());
    }
}
