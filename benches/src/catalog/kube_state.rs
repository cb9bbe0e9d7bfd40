//! kube-state-metrics, sharded so that each target shows one node and its pods.

use super::{ONE, Set, ZERO};
use crate::value::Model;
use crate::world::Field;

const SHARD_POD: &str = "kube-prometheus-stack-kube-state-metrics";

fn target() -> Set {
    Set::new(
        &[
            ("job", "kube-state-metrics"),
            ("prometheus_replica", "prometheus-k8s-0"),
            ("service", "kube-prometheus-stack-kube-state-metrics"),
        ],
        &[("cluster", Field::Cluster), ("instance", Field::NodeInstance(8080))],
    )
}

pub(super) fn about_scrape() -> Set {
    let mut set = target();
    set.fixed.extend([("container", "kube-state-metrics"), ("namespace", "monitoring")]);
    set.fields.push(("pod", Field::DaemonPod(SHARD_POD)));
    set.about_scrape()
}

pub(super) fn node() -> Set {
    let mut set = target();
    set.fixed.extend([("container", "kube-state-metrics"), ("namespace", "monitoring")]);
    set.fields.extend([("node", Field::Node), ("pod", Field::DaemonPod(SHARD_POD))]);
    set.add(
        "kube_node_info",
        &[
            ("container_runtime_version", "containerd://1.7.18"),
            ("kernel_version", "6.1.0-18-cloud-amd64"),
            ("kubelet_version", "v1.30.2"),
            ("os_image", "Debian GNU/Linux 12 (bookworm)"),
        ],
        ONE,
    );
    set.add("kube_node_created", &[], Model::Created);
    set.add("kube_node_spec_unschedulable", &[], ZERO);
    for (status, model) in [("true", ONE), ("false", ZERO), ("unknown", ZERO)] {
        set.add("kube_node_status_condition", &[("condition", "Ready"), ("status", status)], model);
    }
    for (resource, unit, choices) in [
        ("cpu", "core", &[16.0, 32.0][..]),
        ("memory", "byte", &[66_561_015_808.0, 133_129_682_944.0][..]),
        ("pods", "integer", &[110.0][..]),
    ] {
        let labels = [("resource", resource), ("unit", unit)];
        set.add("kube_node_status_capacity", &labels, Model::Fixed(choices));
        set.add("kube_node_status_allocatable", &labels, Model::Fixed(choices));
    }
    set
}

pub(super) fn pod() -> Set {
    let mut set = target().of_pod();
    set.fields.extend([
        ("container", Field::Container),
        ("namespace", Field::Namespace),
        ("node", Field::Node),
        ("pod", Field::Pod),
        ("uid", Field::Uid),
    ]);
    set.add("kube_pod_info", &[("created_by_kind", "ReplicaSet"), ("host_network", "false")], ONE);
    set.add("kube_pod_created", &[], Model::Created);
    for phase in ["Pending", "Succeeded", "Failed", "Unknown"] {
        set.add("kube_pod_status_phase", &[("phase", phase)], ZERO);
    }
    set.add("kube_pod_status_phase", &[("phase", "Running")], ONE);
    set.add("kube_pod_status_ready", &[("condition", "true")], Model::Seldom(&[1.0, 1.0, 1.0, 0.0]));
    let requests =
        [("cpu", "core", &[0.1, 0.25, 0.5, 1.0, 2.0][..]), ("memory", "byte", &[268_435_456.0, 536_870_912.0])];
    for (resource, unit, choices) in requests {
        let labels = [("resource", resource), ("unit", unit)];
        set.add("kube_pod_container_resource_requests", &labels, Model::Fixed(choices));
    }
    let limits = [("cpu", "core", &[0.5, 1.0, 2.0, 4.0][..]), ("memory", "byte", &[536_870_912.0, 4_294_967_296.0])];
    for (resource, unit, choices) in limits {
        let labels = [("resource", resource), ("unit", unit)];
        set.add("kube_pod_container_resource_limits", &labels, Model::Fixed(choices));
    }
    set.add("kube_pod_container_status_ready", &[], Model::Mirror(5));
    set.add("kube_pod_container_status_restarts_total", &[], Model::Seldom(&[0.0, 1.0, 2.0, 3.0]));
    set
}
