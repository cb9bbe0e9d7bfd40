//! Series as a Kubernetes cluster has them: 12 labels, about 430 bytes of them, most shared inside of a target.

use model::{KeyBuilder, SeriesKey, Tenant};

/// A generator that needs no crate and gives the same series everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from_digit(self.below(16) as u32, 16).expect("a digit")).collect()
    }
}

/// Takes the labels of a series.
pub type Add<'a> = &'a mut dyn FnMut(&[(&str, &str)]);

const CONTAINER_METRICS: usize = 45;
const POD_METRICS: usize = 14;
const NODE_METRICS: usize = 120;
const BOUNDS: [&str; 12] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

/// At least `count` series of one cluster, unsorted, all different; calls `add` with the labels of each.
pub fn series(count: usize, seed: u64, add: Add<'_>) {
    let mut random = Random(seed);
    let mut made = 0;
    let mut node_number = 0;
    while made < count {
        node_number += 1;
        made += node(node_number, &mut random, add);
    }
}

fn node(number: usize, random: &mut Random, add: Add<'_>) -> usize {
    let mut made = 0;
    let node = format!("ip-10-{}-{}-{}.eu-central-1.compute.internal", number / 250, number % 250, random.below(250));
    let instance = format!("10.{}.{}.7:10250", number / 250, number % 250);
    for metric in 0..NODE_METRICS {
        let name = format!("node_{}_total", ["cpu_seconds", "network_bytes", "disk_io", "memory_pages"][metric % 4]);
        let device = format!("device-{}", metric / 4);
        add(&[
            ("__name__", &name),
            ("cluster", "production-eu-central-1"),
            ("container", "node-exporter"),
            ("device", &device),
            ("endpoint", "http-metrics"),
            ("instance", &instance),
            ("job", "kubernetes-node-exporter"),
            ("namespace", "monitoring-system"),
            ("node", &node),
            ("prometheus", "monitoring-system/kube-prometheus-stack-prometheus"),
            ("service", "kube-prometheus-stack-prometheus-node-exporter"),
            ("region", "eu-central-1"),
        ]);
        made += 1;
    }
    for _ in 0..12 {
        made += pod(&node, &instance, random, add);
    }
    made
}

fn pod(node: &str, instance: &str, random: &mut Random, add: Add<'_>) -> usize {
    let mut made = 0;
    let app = random.below(200);
    let namespace = format!("team-{}-production", app % 40);
    let pod = format!("service-{app}-deployment-{}-{}", random.hex(10), random.hex(5));
    let uid = format!("{}-{}-{}-{}", random.hex(8), random.hex(4), random.hex(4), random.hex(12));
    let container = format!("service-{app}");
    let image = format!("registry.example.com/production/service-{app}@sha256:{:064x}", app * 7919);
    let id = format!("/kubepods.slice/kubepods-burstable.slice/pod{uid}/{}", random.hex(32));
    for metric in 0..CONTAINER_METRICS {
        add(&[
            ("__name__", &format!("container_metric_number_{metric}_bytes")),
            ("cluster", "production-eu-central-1"),
            ("container", &container),
            ("id", &id),
            ("image", &image),
            ("instance", instance),
            ("job", "kubelet"),
            ("metrics_path", "/metrics/cadvisor"),
            ("namespace", &namespace),
            ("node", node),
            ("pod", &pod),
            ("service", "kube-prometheus-stack-kubelet"),
        ]);
    }
    for metric in 0..POD_METRICS {
        add(&[
            ("__name__", &format!("kube_pod_status_number_{metric}")),
            ("cluster", "production-eu-central-1"),
            ("endpoint", "http"),
            ("instance", "10.0.12.99:8080"),
            ("job", "kube-state-metrics"),
            ("namespace", &namespace),
            ("pod", &pod),
            ("uid", &uid),
            ("service", "kube-prometheus-stack-kube-state-metrics"),
            ("prometheus", "monitoring-system/kube-prometheus-stack-prometheus"),
            ("node", node),
            ("phase", ["Running", "Pending", "Failed"][metric % 3]),
        ]);
    }
    made += CONTAINER_METRICS + POD_METRICS;
    for peer in 0..2 {
        let peer = format!("service-{}", (app + 1 + peer) % 200);
        for bound in BOUNDS {
            add(&[
                ("__name__", "istio_request_duration_milliseconds_bucket"),
                ("cluster", "production-eu-central-1"),
                ("destination_service", &format!("{peer}.team.svc.cluster.local")),
                ("instance", instance),
                ("job", "istio-proxies"),
                ("namespace", &namespace),
                ("pod", &pod),
                ("reporter", "destination"),
                ("response_code", "200"),
                ("source_workload", &container),
                ("connection_security_policy", "mutual_tls"),
                ("le", bound),
            ]);
            made += 1;
        }
    }
    made
}

/// The same as keys, in the order in which targets are scraped.
pub fn keys(count: usize, seed: u64) -> Vec<SeriesKey> {
    let mut builder = KeyBuilder::new();
    let mut keys = Vec::with_capacity(count);
    series(count, seed, &mut |labels| {
        if keys.len() < count {
            builder.clear();
            labels.iter().for_each(|(name, value)| builder.push(name, value));
            keys.push(builder.build(Tenant::DEFAULT).expect("good labels"));
        }
    });
    keys
}
