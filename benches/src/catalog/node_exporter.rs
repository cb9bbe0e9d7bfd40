//! node-exporter: one target a node.

use super::{ONE, Set, ZERO};
use crate::value::{Model, Unit};
use crate::world::Field;

const CPUS: [&str; 4] = ["0", "1", "2", "3"];
const DEVICES: [&str; 3] = ["eth0", "cni0", "lo"];
const DISKS: [&str; 2] = ["nvme0n1", "nvme1n1"];
const GIB: f32 = 1_073_741_824.0;

fn target() -> Set {
    Set::new(
        &[
            ("container", "node-exporter"),
            ("endpoint", "http-metrics"),
            ("job", "node-exporter"),
            ("namespace", "monitoring"),
            ("prometheus_replica", "prometheus-k8s-0"),
            ("service", "kube-prometheus-stack-prometheus-node-exporter"),
        ],
        &[
            ("cluster", Field::Cluster),
            ("instance", Field::NodeInstance(9100)),
            ("pod", Field::DaemonPod("kube-prometheus-stack-prometheus-node-exporter")),
        ],
    )
}

pub(super) fn about_scrape() -> Set {
    target().about_scrape()
}

pub(super) fn node() -> Set {
    let mut set = target();
    set.fields.push(("node", Field::Node));
    cpu(&mut set);
    memory(&mut set);
    filesystem(&mut set);
    disk(&mut set);
    network(&mut set);
    kernel(&mut set);
    exporter(&mut set);
    set
}

fn cpu(set: &mut Set) {
    for cpu in CPUS {
        for (mode, model) in [
            ("idle", Model::Ticks(0.7)),
            ("iowait", Model::Errors),
            ("irq", ZERO),
            ("nice", ZERO),
            ("softirq", Model::Ticks(0.006)),
            ("steal", ZERO),
            ("system", Model::Ticks(0.04)),
            ("user", Model::Ticks(0.15)),
        ] {
            set.add("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], model);
        }
        set.add("node_schedstat_timeslices_total", &[("cpu", cpu)], Model::Requests(15_000.0));
        set.add("node_softnet_processed_total", &[("cpu", cpu)], Model::Requests(900.0));
        set.add("node_softnet_times_squeezed_total", &[("cpu", cpu)], Model::Errors);
    }
}

fn memory(set: &mut Set) {
    let pages = |home: f32, activity: f32| Model::Gauge {
        unit: Unit::Pages,
        home: home * GIB,
        wobble: 0.002,
        activity,
        most: 62.0 * GIB,
    };
    set.add("node_memory_MemTotal_bytes", &[], Model::Fixed(&[66_561_015_808.0, 133_129_682_944.0]));
    set.add("node_memory_MemFree_bytes", &[], pages(6.0, 0.9));
    set.add("node_memory_MemAvailable_bytes", &[], pages(30.0, 0.9));
    set.add("node_memory_Buffers_bytes", &[], pages(0.3, 0.5));
    set.add("node_memory_Cached_bytes", &[], pages(20.0, 0.95));
    set.add("node_memory_Active_bytes", &[], pages(14.0, 0.95));
    set.add("node_memory_Slab_bytes", &[], pages(1.4, 0.9));
    set.add("node_memory_SwapTotal_bytes", &[], ZERO);
    set.add("node_memory_SwapFree_bytes", &[], ZERO);
}

fn filesystem(set: &mut Set) {
    for (device, mountpoint) in [("/dev/nvme0n1p1", "/"), ("/dev/nvme1n1", "/var/lib/containerd")] {
        let labels = [("device", device), ("fstype", "ext4"), ("mountpoint", mountpoint)];
        let free = Model::Gauge { unit: Unit::Pages, home: 90.0 * GIB, wobble: 1e-4, activity: 0.8, most: 400.0 * GIB };
        set.add("node_filesystem_size_bytes", &labels, Model::Fixed(&[103_865_303_040.0, 528_243_195_904.0]));
        set.add("node_filesystem_avail_bytes", &labels, free);
        set.add("node_filesystem_free_bytes", &labels, Model::Mirror(1));
        set.add("node_filesystem_files", &labels, Model::Fixed(&[6_451_200.0, 32_768_000.0]));
        set.add("node_filesystem_readonly", &labels, ZERO);
        set.add("node_filesystem_device_error", &labels, ZERO);
    }
}

fn disk(set: &mut Set) {
    for device in DISKS {
        let labels = [("device", device)];
        set.add("node_disk_reads_completed_total", &labels, Model::Bursts(3.0));
        set.add("node_disk_read_bytes_total", &labels, Model::Bursts(2_000.0));
        set.add("node_disk_writes_completed_total", &labels, Model::Requests(120.0));
        set.add("node_disk_written_bytes_total", &labels, Model::Bytes(3e6));
        set.add("node_disk_io_time_seconds_total", &labels, Model::Ticks(0.01));
        set.add("node_disk_io_now", &labels, ZERO);
    }
}

fn network(set: &mut Set) {
    for device in DEVICES {
        let labels = [("device", device)];
        set.add("node_network_receive_bytes_total", &labels, Model::Bytes(2e6));
        set.add("node_network_transmit_bytes_total", &labels, Model::Bytes(1e6));
        set.add("node_network_receive_packets_total", &labels, Model::Requests(900.0));
        set.add("node_network_transmit_packets_total", &labels, Model::Requests(700.0));
        set.add("node_network_receive_drop_total", &labels, Model::Errors);
        set.add("node_network_transmit_drop_total", &labels, ZERO);
        set.add("node_network_receive_errs_total", &labels, ZERO);
        set.add("node_network_transmit_errs_total", &labels, ZERO);
        set.add("node_network_up", &labels, ONE);
        set.add("node_network_mtu_bytes", &labels, Model::Fixed(&[1500.0, 9001.0]));
    }
}

fn kernel(set: &mut Set) {
    let load = Model::Gauge { unit: Unit::Hundredths, home: 1.8, wobble: 0.06, activity: 0.95, most: 64.0 };
    let few = |home: f32| Model::Gauge { unit: Unit::Ones, home, wobble: 0.15, activity: 0.7, most: 60_000.0 };
    set.add("node_load1", &[], load);
    set.add("node_load5", &[], load);
    set.add("node_load15", &[], load);
    set.add("node_boot_time_seconds", &[], Model::Created);
    set.add("node_context_switches_total", &[], Model::Requests(60_000.0));
    set.add("node_intr_total", &[], Model::Requests(40_000.0));
    set.add("node_forks_total", &[], Model::Requests(4.0));
    set.add("node_procs_running", &[], few(3.0));
    set.add("node_procs_blocked", &[], ZERO);
    set.add("node_filefd_allocated", &[], few(4_000.0));
    set.add("node_sockstat_TCP_inuse", &[], few(60.0));
    set.add("node_sockstat_TCP_tw", &[], few(20.0));
    set.add("node_nf_conntrack_entries", &[], few(900.0));
    set.add("node_nf_conntrack_entries_limit", &[], Model::Fixed(&[262_144.0]));
    set.add("node_vmstat_pgfault", &[], Model::Requests(9_000.0));
    set.add("node_vmstat_pgmajfault", &[], Model::Bursts(1.0));
    set.add("node_vmstat_oom_kill", &[], ZERO);
    set.add("node_vmstat_pgpgin", &[], Model::Bursts(4_000.0));
    set.add("node_vmstat_pgpgout", &[], Model::Requests(5_000.0));
    for (name, rate) in [
        ("node_netstat_Tcp_ActiveOpens", 12.0),
        ("node_netstat_Tcp_PassiveOpens", 9.0),
        ("node_netstat_Tcp_InSegs", 1_500.0),
        ("node_netstat_Tcp_OutSegs", 1_700.0),
        ("node_netstat_Udp_InDatagrams", 25.0),
    ] {
        set.add(name, &[], Model::Requests(rate));
    }
    set.add("node_netstat_Tcp_RetransSegs", &[], Model::Bursts(2.0));
    set.add("node_netstat_Udp_NoPorts", &[], Model::Errors);
    set.add("node_pressure_cpu_waiting_seconds_total", &[], Model::Nanos(0.02));
    set.add("node_pressure_io_waiting_seconds_total", &[], Model::Nanos(0.01));
    set.add("node_timex_offset_seconds", &[], Model::Real(0.000_02));
    set.add("node_timex_frequency_adjustment_ratio", &[], Model::Real(1.0));
    set.add("instance:node_cpu_utilisation:rate5m", &[], Model::Real(0.3));
    set.add("instance:node_load1_per_cpu:ratio", &[], Model::Real(0.4));
    set.add("node_timex_sync_status", &[], ONE);
}

fn exporter(set: &mut Set) {
    let collectors = ["cpu", "filesystem", "meminfo", "netdev"];
    set.add_each("node_scrape_collector_success", "collector", &collectors, ONE);
    set.add(
        "node_uname_info",
        &[
            ("domainname", "(none)"),
            ("machine", "x86_64"),
            ("nodename", "kubernetes-worker"),
            ("release", "6.1.0-18-cloud-amd64"),
            ("sysname", "Linux"),
        ],
        ONE,
    );
    set.add("node_exporter_build_info", &[("goversion", "go1.22.3"), ("version", "1.8.1")], ONE);
    set.add("process_cpu_seconds_total", &[], Model::Ticks(0.01));
    set.add("go_memstats_gc_cpu_fraction", &[], Model::Real(0.000_1));
    set.add("process_open_fds", &[], Model::Fixed(&[10.0, 11.0]));
    set.add("process_start_time_seconds", &[], Model::Created);
}
