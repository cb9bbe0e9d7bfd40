//! What doors are told from outside.

use std::time::Duration;

use decode::{influx::InfluxStyle, otlp::OtlpStyle, zabbix::ZabbixStyle};

use crate::RuleOptions;

/// Bounds on what comes in.
#[derive(Debug, Clone)]
pub struct Options {
    /// The longest body, packed and unpacked.
    pub body_bytes_max: usize,
    /// Inserts that compute at once.
    pub concurrent_max: usize,
    /// How long an insert waits for its turn.
    pub queue_wait_max: Duration,
    /// Memory for all packed bodies together; at least one of the longest fits, and small ones beside it.
    pub bodies_bytes_max: u64,
    /// What is done with labels.
    pub rules: RuleOptions,
    /// Samples that come in per second; 0 means no limit.
    pub samples_per_second_max: u64,
    /// Whether every series that is new is logged.
    pub log_new_series: bool,
    /// Whether every row that comes in is logged.
    pub log_rows: bool,
    /// What single doors are told.
    pub doors: DoorOptions,
}

/// What single doors are told.
#[derive(Debug, Clone)]
pub struct DoorOptions {
    /// The longest line of an import.
    pub line_bytes_max: usize,
    /// CSV: times are cut to multiples of so many milliseconds.
    pub csv_trim_ms: i64,
    /// Graphite: times are cut to multiples of so many milliseconds.
    pub graphite_trim_ms: i64,
    /// OpenTSDB: times are cut to multiples of so many milliseconds.
    pub opentsdb_trim_ms: i64,
    /// OpenTSDB over HTTP: times are cut to multiples of so many milliseconds.
    pub opentsdb_http_trim_ms: i64,
    /// The longest body of OpenTSDB over HTTP.
    pub opentsdb_http_bytes_max: usize,
    /// How Influx lines are read.
    pub influx: InfluxStyle,
    /// The longest Influx line.
    pub influx_line_bytes_max: usize,
    /// The databases that Influx clients are told of.
    pub influx_databases: Vec<String>,
    /// How OpenTelemetry's names are made.
    pub opentelemetry: OtlpStyle,
    /// The longest OpenTelemetry body.
    pub opentelemetry_bytes_max: usize,
    /// Whether names lose what Datadog does not allow in them.
    pub datadog_sanitize: bool,
    /// The longest Datadog body.
    pub datadog_bytes_max: usize,
    /// The longest New Relic body.
    pub newrelic_bytes_max: usize,
    /// What becomes of Zabbix' groups and tags.
    pub zabbix: ZabbixStyle,
}

impl Default for DoorOptions {
    fn default() -> Self {
        Self {
            line_bytes_max: 10 << 20,
            csv_trim_ms: 1,
            graphite_trim_ms: 1000,
            opentsdb_trim_ms: 1000,
            opentsdb_http_trim_ms: 1,
            opentsdb_http_bytes_max: 32 << 20,
            influx: InfluxStyle::default(),
            influx_line_bytes_max: 256 << 10,
            influx_databases: Vec::new(),
            opentelemetry: OtlpStyle::default(),
            opentelemetry_bytes_max: 64 << 20,
            datadog_sanitize: true,
            datadog_bytes_max: 64 << 20,
            newrelic_bytes_max: 64 << 20,
            zabbix: ZabbixStyle::default(),
        }
    }
}
