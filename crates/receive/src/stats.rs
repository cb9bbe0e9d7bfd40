//! What the doors count.

use basalt_http::{Counter, MetricsText, Summary};
use parking_lot::Mutex;
use storage_api::{Inserted, Refusals};

use crate::Door;

macro_rules! kinds {
    ($($name:ident = $type:literal,)*) => {
        /// Protocols, as rows are counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($name,)*
        }

        impl Kind {
            /// All kinds, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The value of the label `type`.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $type,)*
                }
            }
        }
    };
}

kinds! {
    RemoteWrite = "promremotewrite",
    ImportJson = "vmimport",
    Csv = "csvimport",
    Native = "native",
    Prometheus = "prometheus",
    Influx = "influx",
    Graphite = "graphite",
    OpenTsdb = "opentsdb",
    OpenTsdbHttp = "opentsdbhttp",
    OpenTelemetry = "opentelemetry",
    DatadogV1 = "datadogv1",
    DatadogV2 = "datadogv2",
    DatadogSketches = "datadogsketches",
    NewRelic = "newrelic",
    Zabbix = "zabbixconnector",
}

/// Counters of a door.
#[derive(Debug, Default)]
pub struct DoorStats {
    /// Requests.
    pub requests: Counter,
    /// Requests that were answered with an error.
    pub rejected: Counter,
    /// How long they took until they were answered: until their rows were durable.
    pub durations: Summary,
}

/// Counters of a protocol.
#[derive(Debug, Default)]
pub struct KindStats {
    /// Requests and connections.
    pub calls: Counter,
    /// Those whose bodies could not be read.
    pub errors: Counter,
    /// Samples that came, whatever became of them.
    pub rows_read: Counter,
    /// Samples that a store keeps.
    pub rows_inserted: Counter,
    /// Lines and points that could not be read.
    pub rows_invalid: Counter,
    /// Unpacked bytes.
    pub bytes_read: Counter,
}

/// Counters since the start.
#[derive(Debug)]
pub struct Stats {
    doors: Vec<DoorStats>,
    kinds: Vec<KindStats>,
    /// Samples that relabeling dropped.
    rows_dropped: Counter,
    /// What was refused before it came to the store.
    refused: Mutex<Refusals>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            doors: Door::ALL.iter().map(|_| DoorStats::default()).collect(),
            kinds: Kind::ALL.iter().map(|_| KindStats::default()).collect(),
            rows_dropped: Counter::default(),
            refused: Mutex::default(),
        }
    }
}

impl Stats {
    /// The counters of a door.
    pub fn door(&self, door: Door) -> &DoorStats {
        &self.doors[door as usize]
    }

    /// The counters of a protocol.
    pub fn kind(&self, kind: Kind) -> &KindStats {
        &self.kinds[kind as usize]
    }

    /// Counts rows that were acknowledged.
    pub fn acknowledged(&self, kind: Kind, inserted: &Inserted) {
        self.kind(kind).rows_inserted.add(inserted.samples);
        self.rows_dropped.add(inserted.dropped);
    }

    /// Counts what was refused before it came to the store.
    pub fn refuse(&self, refused: &Refusals) {
        if refused.total() > 0 {
            self.refused.lock().merge(refused);
        }
    }

    /// What was refused before it came to the store, which counts its own.
    pub fn refused(&self) -> Refusals {
        *self.refused.lock()
    }

    pub fn write(&self, out: &mut MetricsText) {
        for kind in Kind::ALL {
            let (stats, label) = (self.kind(*kind), kind.label());
            for (name, value) in [
                ("vm_rows_inserted_total", &stats.rows_inserted),
                ("vm_rows_read_total", &stats.rows_read),
                ("vm_rows_invalid_total", &stats.rows_invalid),
                ("vm_protoparser_rows_read_total", &stats.rows_read),
                ("vm_protoparser_read_calls_total", &stats.calls),
                ("vm_protoparser_read_errors_total", &stats.errors),
                ("vm_protoparser_bytes_read_total", &stats.bytes_read),
            ] {
                out.line(format_args!("{name}{{type=\"{label}\"}}"), value.get());
            }
        }
        out.line("vm_relabel_metrics_dropped_total", self.rows_dropped.get());
        for door in Door::ALL {
            let (stats, labels) = (self.door(*door), format!("path={:?}, protocol={:?}", door.path(), door.protocol()));
            out.line(format_args!("vm_http_requests_total{{{labels}}}"), stats.requests.get());
            out.line(format_args!("vm_http_request_errors_total{{{labels}}}"), stats.rejected.get());
            stats.durations.write("vm_request_duration_seconds", labels, out);
        }
    }
}
