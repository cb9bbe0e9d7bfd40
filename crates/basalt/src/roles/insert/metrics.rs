//! What an insert node counts, under the names that VictoriaMetrics gives it where it has them.

use std::sync::Arc;

use basalt_http::{MetricsSource, MetricsText};
use receive::Receiver;
use route::Router;
use storage_api::Refusal;

use crate::machine;

/// Numbers of the router and of what was refused before it.
pub struct RouterMetrics {
    router: Arc<Router>,
    receiver: Arc<Receiver>,
}

impl RouterMetrics {
    /// Numbers of these.
    pub fn new(router: Arc<Router>, receiver: Arc<Receiver>) -> Self {
        Self { router, receiver }
    }
}

impl MetricsSource for RouterMetrics {
    fn write_metrics(&self, out: &mut MetricsText) {
        let stats = self.router.stats();
        for node in &stats.nodes {
            let labels = format!("{{name=\"vminsert\", addr={:?}}}", node.name);
            for (metric, value) in [
                ("vm_rpc_rows_sent_total", node.rows_sent),
                ("vm_rpc_bytes_sent_total", node.bytes_sent),
                ("vm_rpc_rows_pending", 0),
                ("vm_rpc_buf_pending_bytes", node.sending_bytes),
                ("vm_rpc_connection_errors_total", node.errors),
                ("vm_rpc_rows_hinted_total", node.rows_hinted),
                ("vm_rpc_hint_rows_drained_total", node.rows_drained),
                ("vm_rpc_hint_rows_refused_total", node.rows_refused),
                ("vm_rpc_hints_pending_bytes", node.hint_bytes),
                ("vm_rpc_hints_pending", u64::from(node.is_catching_up)),
                ("vm_rpc_hints_damaged_total", node.damaged),
                ("vm_rpc_hint_errors_total", node.drain_errors),
            ] {
                out.line(format_args!("{metric}{labels}"), value);
            }
            let is_reachable = u8::from(node.is_reachable);
            out.line(format_args!("vm_rpc_vmstorage_is_reachable{labels}"), is_reachable);
            out.line(format_args!("vm_rpc_vmstorage_is_read_only{labels}"), u8::from(node.is_read_only));
        }
        // Rows never change their way; dashboards and alerts look for it.
        for (metric, value) in [
            ("vm_rpc_rows_rerouted_from_here_total{name=\"vminsert\"}", 0),
            ("vm_rpc_rows_dropped_on_overload_total{name=\"vminsert\"}", 0),
            ("vm_rpc_rows_lost_total{name=\"vminsert\"}", 0),
            ("basalt_route_overloaded_total", stats.overloaded),
            ("basalt_route_unavailable_total", stats.unavailable),
            ("basalt_route_series", stats.series),
            ("basalt_route_series_bytes", stats.series_bytes),
            ("vm_new_timeseries_created_total", stats.series_created),
        ] {
            out.line(metric, value);
        }
        out.line(format_args!("basalt_shard_map_info{{version=\"{:016x}\"}}", stats.map_version), 1);
        let refused = self.receiver.refused();
        for reason in Refusal::ALL {
            out.line(format_args!("vm_rows_ignored_total{{reason=\"{}\"}}", reason.name()), refused.get(*reason));
        }
        let short = machine::VERSION.rsplit('-').next().unwrap_or("");
        out.line(format_args!("vm_app_version{{version={:?}, short_version={short:?}}}", machine::VERSION), 1);
    }
}
