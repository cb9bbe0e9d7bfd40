//! cadvisor in the kubelet: one target a node, a block of series for each container.

use super::{Set, ZERO};
use crate::value::{Model, Unit};
use crate::world::Field;

const MIB: f32 = 1_048_576.0;

fn target() -> Set {
    Set::new(
        &[
            ("endpoint", "https-metrics"),
            ("job", "kubelet"),
            ("metrics_path", "/metrics/cadvisor"),
            ("prometheus_replica", "prometheus-k8s-0"),
            ("service", "kube-prometheus-stack-kubelet"),
        ],
        &[("cluster", Field::Cluster), ("instance", Field::NodeInstance(10250)), ("node", Field::Node)],
    )
}

pub(super) fn about_scrape() -> Set {
    let mut set = target();
    set.fixed.push(("namespace", "kube-system"));
    set.about_scrape()
}

pub(super) fn container() -> Set {
    let mut set = target().of_pod();
    set.fixed.retain(|&(name, _)| name == "job" || name == "metrics_path" || name == "prometheus_replica");
    set.fields.extend([
        ("container", Field::Container),
        ("id", Field::ContainerGroup),
        ("image", Field::Image),
        ("namespace", Field::Namespace),
        ("pod", Field::Pod),
    ]);
    cpu(&mut set);
    memory(&mut set);
    rest(&mut set);
    set
}

fn cpu(set: &mut Set) {
    set.add("container_cpu_usage_seconds_total", &[("cpu", "total")], Model::Nanos(0.15));
    set.add("container_cpu_user_seconds_total", &[], Model::Nanos(0.1));
    set.add("container_cpu_system_seconds_total", &[], Model::Nanos(0.05));
    set.add("container_cpu_cfs_periods_total", &[], Model::Requests(90.0));
    set.add("container_cpu_cfs_throttled_periods_total", &[], Model::Bursts(6.0));
    // Recording rules leave arbitrary doubles beside what the exporters count.
    set.add("node_namespace_pod_container:container_cpu_usage_seconds_total:sum_irate", &[], Model::Real(0.2));
    set.add("container_spec_cpu_quota", &[], Model::Fixed(&[50_000.0, 100_000.0, 200_000.0]));
    set.add("container_spec_cpu_shares", &[], Model::Fixed(&[102.0, 512.0, 1024.0]));
}

fn memory(set: &mut Set) {
    let pages = |home: f32, activity: f32| Model::Gauge {
        unit: Unit::Pages,
        home: home * MIB,
        wobble: 0.004,
        activity,
        most: 4_096.0 * MIB,
    };
    set.add("container_memory_usage_bytes", &[], pages(420.0, 0.85));
    set.add("container_memory_working_set_bytes", &[], pages(360.0, 0.85));
    set.add("container_memory_rss", &[], pages(310.0, 0.75));
    set.add("container_memory_cache", &[], pages(60.0, 0.75));
    set.add("container_memory_mapped_file", &[], Model::Seldom(&[0.0, 4_096_000.0, 12_288_000.0]));
    set.add("container_memory_swap", &[], ZERO);
    set.add("container_memory_max_usage_bytes", &[], Model::Seldom(&[511_705_088.0, 540_016_640.0, 583_008_256.0]));
    set.add("container_spec_memory_limit_bytes", &[], Model::Fixed(&[536_870_912.0, 1_073_741_824.0, 4_294_967_296.0]));
    let faults = |kind: &'static str, scope: &'static str| [("failure_type", kind), ("scope", scope)];
    set.add("container_memory_failures_total", &faults("pgfault", "container"), Model::Requests(400.0));
    set.add("container_memory_failures_total", &faults("pgfault", "hierarchy"), Model::Mirror(1));
    set.add("container_memory_failures_total", &faults("pgmajfault", "container"), Model::Errors);
}

fn rest(set: &mut Set) {
    let few = Model::Gauge { unit: Unit::Ones, home: 24.0, wobble: 0.1, activity: 0.6, most: 4_096.0 };
    set.add("container_fs_reads_total", &[("device", "/dev/nvme0n1")], Model::Bursts(2.0));
    set.add("container_fs_reads_bytes_total", &[("device", "/dev/nvme0n1")], Model::Bursts(900.0));
    set.add("container_fs_writes_total", &[("device", "/dev/nvme0n1")], Model::Requests(20.0));
    set.add("container_fs_writes_bytes_total", &[("device", "/dev/nvme0n1")], Model::Bytes(2e5));
    for (operation, model) in [("Read", Model::Bursts(4_000.0)), ("Write", Model::Bytes(2e5))] {
        let labels = [("device", "/dev/nvme0n1"), ("operation", operation)];
        set.add("container_blkio_device_usage_total", &labels, model);
    }
    set.add("container_processes", &[], Model::Fixed(&[1.0, 2.0, 6.0]));
    set.add("container_threads", &[], few);
    set.add("container_sockets", &[], few);
    set.add("container_oom_events_total", &[], ZERO);
    set.add("container_start_time_seconds", &[], Model::Created);
}

pub(super) fn pod_network() -> Set {
    let mut set = target().of_pod();
    set.fields.extend([("id", Field::PodGroup), ("namespace", Field::Namespace), ("pod", Field::Pod)]);
    set.fixed.retain(|&(name, _)| name != "endpoint");
    for (name, model) in [
        ("container_network_receive_bytes_total", Model::Bytes(4e5)),
        ("container_network_receive_packets_total", Model::Requests(400.0)),
        ("container_network_receive_packets_dropped_total", Model::Errors),
        ("container_network_transmit_bytes_total", Model::Bytes(3e5)),
        ("container_network_transmit_packets_total", Model::Requests(350.0)),
        ("container_network_transmit_packets_dropped_total", ZERO),
    ] {
        set.add(name, &[("interface", "eth0")], model);
    }
    set
}
