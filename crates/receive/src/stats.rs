//! What the doors count.

use basalt_http::{Counter, MetricsText};
use parking_lot::Mutex;
use storage_api::{Inserted, Refusals};

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Requests at any door.
    pub requests: Counter,
    /// Requests that were answered with an error.
    pub rejected: Counter,
    /// Samples that came in whole requests, whatever became of them.
    pub rows_read: Counter,
    /// Samples that a store keeps.
    pub rows_inserted: Counter,
    /// Samples that relabeling dropped.
    pub rows_dropped: Counter,
    /// Unpacked bytes.
    pub bytes_read: Counter,
    /// What was refused before it came to the store.
    refused: Mutex<Refusals>,
}

impl Stats {
    /// Counts a request that was acknowledged.
    pub fn acknowledged(&self, inserted: &Inserted, refused_before: &Refusals) {
        self.rows_inserted.add(inserted.samples);
        self.rows_dropped.add(inserted.dropped);
        if refused_before.total() > 0 {
            self.refused.lock().merge(refused_before);
        }
    }

    /// What was refused before it came to the store, which counts its own.
    pub fn refused(&self) -> Refusals {
        *self.refused.lock()
    }

    pub fn write(&self, out: &mut MetricsText) {
        const TYPE: &str = "{type=\"promremotewrite\"}";
        const PATH: &str = "{path=\"/api/v1/write\", protocol=\"promremotewrite\"}";
        out.line(format_args!("vm_rows_inserted_total{TYPE}"), self.rows_inserted.get());
        out.line(format_args!("vm_protoparser_rows_read_total{TYPE}"), self.rows_read.get());
        out.line(format_args!("vm_protoparser_read_calls_total{TYPE}"), self.requests.get());
        out.line(format_args!("vm_protoparser_bytes_read_total{TYPE}"), self.bytes_read.get());
        out.line("vm_relabel_metrics_dropped_total", self.rows_dropped.get());
        out.line(format_args!("vm_http_requests_total{PATH}"), self.requests.get());
        out.line(format_args!("vm_http_request_errors_total{PATH}"), self.rejected.get());
    }
}
