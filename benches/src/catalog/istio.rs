//! Istio's sidecar proxies: one target a pod, a block of series for each peer that calls it.

use super::{ONE, Set};
use crate::value::{Model, Unit};
use crate::world::Field;

/// Envoy's bounds for durations, in milliseconds.
const DURATION_LE: [&str; 12] = ["1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "+Inf"];
/// Envoy's bounds for sizes, in bytes, and one less.
const SIZE_LE: [&str; 11] =
    ["100", "1000", "10000", "25000", "50000", "100000", "250000", "500000", "1e+06", "1e+07", "+Inf"];

fn target() -> Set {
    Set::new(
        &[("job", "istio-proxies"), ("prometheus_replica", "prometheus-k8s-0")],
        &[
            ("cluster", Field::Cluster),
            ("instance", Field::PodInstance(15020)),
            ("namespace", Field::Namespace),
            ("pod", Field::Pod),
        ],
    )
    .of_pod()
}

pub(super) fn about_scrape() -> Set {
    envoy_labels(target()).about_scrape()
}

fn envoy_labels(mut set: Set) -> Set {
    set.fixed.extend([("container", "istio-proxy"), ("endpoint", "http-envoy-prom")]);
    set.fields.extend([("app", Field::Container), ("node", Field::Node)]);
    set
}

pub(super) fn proxy() -> Set {
    let mut set = envoy_labels(target());
    let few = Model::Gauge { unit: Unit::Ones, home: 30.0, wobble: 0.15, activity: 0.6, most: 10_000.0 };
    for cluster in
        ["inbound|8080||", "outbound|443||telemetry", "outbound|9090||ledger", "outbound|6379||session", "xds-grpc"]
    {
        let labels = [("cluster_name", cluster)];
        set.add("envoy_cluster_upstream_cx_total", &labels, Model::Requests(2.0));
        set.add("envoy_cluster_upstream_cx_rx_bytes_total", &labels, Model::Bytes(2e5));
        set.add("envoy_cluster_upstream_cx_tx_bytes_total", &labels, Model::Bytes(1e5));
        set.add("envoy_cluster_upstream_rq_total", &labels, Model::Requests(12.0));
        set.add("envoy_cluster_upstream_rq_retry", &labels, Model::Bursts(1.0));
        set.add("envoy_cluster_upstream_cx_connect_fail", &labels, Model::Errors);
        set.add("envoy_cluster_upstream_cx_active", &labels, few);
        set.add("envoy_cluster_membership_healthy", &labels, ONE);
    }
    set.add("envoy_server_live", &[], ONE);
    set.add(
        "envoy_server_memory_allocated",
        &[],
        Model::Gauge { unit: Unit::Pages, home: 4e7, wobble: 0.003, activity: 0.9, most: 1e9 },
    );
    set.add("envoy_server_uptime", &[], Model::Ticks(0.9));
    set.add("istio_build", &[("component", "proxy"), ("tag", "1.22.1")], ONE);
    set
}

pub(super) fn peer() -> Set {
    let mut set = target();
    set.fixed.extend([("reporter", "destination"), ("response_code", "200")]);
    set.fields.extend([
        ("destination_workload", Field::Container),
        ("source_workload", Field::PeerWorkload),
        ("source_workload_namespace", Field::PeerNamespace),
    ]);
    histogram(
        &mut set,
        "istio_request_duration_milliseconds_bucket",
        "istio_request_duration_milliseconds_sum",
        "istio_request_duration_milliseconds_count",
        &DURATION_LE,
    );
    set.add("istio_requests_total", &[], Model::Mirror(1));
    histogram(
        &mut set,
        "istio_response_bytes_bucket",
        "istio_response_bytes_sum",
        "istio_response_bytes_count",
        &SIZE_LE,
    );
    set
}

fn histogram(set: &mut Set, bucket: &'static str, sum: &'static str, count: &'static str, bounds: &[&'static str]) {
    for (index, &le) in bounds.iter().enumerate() {
        let model = Model::Bucket { index: index as u8, count: bounds.len() as u8, rate: 100.0 };
        set.add(bucket, &[("le", le)], model);
    }
    set.add(sum, &[], Model::HistogramSum);
    set.add(count, &[], Model::HistogramCount);
}
