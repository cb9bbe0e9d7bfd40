//! The Kubernetes estate behind the targets: what its clusters, nodes, pods and devices are called.
//!
//! Everything is a pure function of the seed and a number, so that nothing is stored. A pod that is replaced gets new
//! names *of the same length*: labels can then be rewritten where they stand.

use crate::noise::{Dice, hash};

/// Pods on each node.
pub(crate) const PODS_PER_NODE: u32 = 5;
/// GPUs on each GPU node.
pub(crate) const GPUS_PER_NODE: u32 = 8;
/// Nodes of one cluster.
const NODES_PER_CLUSTER: u32 = 100;

const NAMESPACES: [&str; 8] =
    ["checkout", "payments", "inventory", "search", "recommendation", "ml-training", "ml-serving", "platform-services"];

const WORKLOADS: [&str; 16] = [
    "frontend-web",
    "cart-api",
    "order-processor",
    "payment-gateway",
    "fraud-scoring",
    "catalog-indexer",
    "price-calculator",
    "session-store",
    "email-dispatcher",
    "image-resizer",
    "feature-store",
    "model-server",
    "batch-scheduler",
    "event-router",
    "audit-collector",
    "ledger-writer",
];

const WORKLOADS_PER_NAMESPACE: u32 = (WORKLOADS.len() / NAMESPACES.len()) as u32;

/// Kubernetes' alphabet for generated name suffixes: no vowels, nothing that looks alike.
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Whom a block of series is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) node: u32,
    /// Number over all nodes.
    pub(crate) pod: u32,
    /// GPU or peer.
    pub(crate) item: u32,
}

/// A label value that depends on the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// `prod-eu-central-01`
    Cluster,
    /// `ip-10-112-134-201.eu-central-1.compute.internal`
    Node,
    /// The node's address with this port.
    NodeInstance(u16),
    /// The pod's address with this port.
    PodInstance(u16),
    /// The pod of a daemon set on the subject's node.
    DaemonPod(&'static str),
    /// Of the subject's pod.
    Namespace,
    /// `cart-api-6d9c8b7f5x-k2p9v`
    Pod,
    /// The pod's unique id.
    Uid,
    /// The pod's only container, named for its workload.
    Container,
    /// The container's image.
    Image,
    /// The container's control group, as cadvisor names it.
    ContainerGroup,
    /// The pod's control group.
    PodGroup,
    /// `3`
    GpuIndex,
    /// `nvidia3`
    GpuDevice,
    /// `GPU-` and a unique id
    GpuUuid,
    /// The workload that calls the subject's pod.
    PeerWorkload,
    /// Its namespace.
    PeerNamespace,
}

impl Field {
    /// Whether the value changes when the pod is replaced.
    #[cfg(test)]
    pub(crate) fn is_of_pod(self) -> bool {
        matches!(self, Self::PodInstance(_) | Self::Pod | Self::Uid | Self::ContainerGroup | Self::PodGroup)
    }

    /// Appends the value for one subject, whose pod has been replaced `generation` times.
    pub(crate) fn write(self, seed: u64, subject: Subject, generation: u32, out: &mut Vec<u8>) {
        let Subject { node, pod, item } = subject;
        let life = hash(seed ^ u64::from(pod), u64::from(generation));
        match self {
            Self::Cluster => {
                out.extend_from_slice(b"prod-eu-central-");
                decimal(node / NODES_PER_CLUSTER + 1, 2, out);
            }
            Self::Node => {
                out.extend_from_slice(b"ip-10-");
                address(node, b'-', out);
                out.extend_from_slice(b".eu-central-1.compute.internal");
            }
            Self::NodeInstance(port) => {
                node_ip(node, out);
                out.push(b':');
                decimal(u32::from(port), 1, out);
            }
            Self::PodInstance(port) => {
                out.extend_from_slice(b"10.");
                address((life >> 32) as u32 % ADDRESSES, b'.', out);
                out.push(b':');
                decimal(u32::from(port), 1, out);
            }
            Self::DaemonPod(prefix) => {
                out.extend_from_slice(prefix.as_bytes());
                out.push(b'-');
                suffix(hash(seed ^ prefix.len() as u64, u64::from(node)), 5, out);
            }
            Self::Namespace => out.extend_from_slice(namespace(seed, pod).as_bytes()),
            Self::Pod => {
                replica_set(seed, pod, life, out);
                out.push(b'-');
                suffix(life.rotate_left(23), 5, out);
            }
            Self::Uid => uuid(life, b'-', out),
            Self::Container => out.extend_from_slice(workload(seed, pod).as_bytes()),
            Self::Image => {
                out.extend_from_slice(b"registry.example.net/");
                out.extend_from_slice(namespace(seed, pod).as_bytes());
                out.push(b'/');
                out.extend_from_slice(workload(seed, pod).as_bytes());
                out.extend_from_slice(b":v1.");
                decimal(10 + workload_number(seed, pod), 2, out);
            }
            Self::ContainerGroup => {
                pod_group(life, out);
                out.extend_from_slice(b"/cri-containerd-");
                hex(life, 32, out);
                out.extend_from_slice(b".scope");
            }
            Self::PodGroup => pod_group(life, out),
            Self::GpuIndex => decimal(item, 1, out),
            Self::GpuDevice => {
                out.extend_from_slice(b"nvidia");
                decimal(item, 1, out);
            }
            Self::GpuUuid => {
                out.extend_from_slice(b"GPU-");
                uuid(hash(seed ^ 0x6770_7500, u64::from(node * GPUS_PER_NODE + item)), b'-', out);
            }
            Self::PeerWorkload => out.extend_from_slice(WORKLOADS[peer(seed, pod, item)].as_bytes()),
            Self::PeerNamespace => {
                let number = peer(seed, pod, item);
                out.extend_from_slice(NAMESPACES[number / WORKLOADS_PER_NAMESPACE as usize].as_bytes());
            }
        }
    }
}

/// A workload lives in one namespace.
fn namespace(seed: u64, pod: u32) -> &'static str {
    NAMESPACES[(workload_number(seed, pod) / WORKLOADS_PER_NAMESPACE) as usize]
}

fn workload(seed: u64, pod: u32) -> &'static str {
    WORKLOADS[workload_number(seed, pod) as usize]
}

/// Nodes come in pools that two namespaces share, so that a node's pods are of few namespaces.
fn workload_number(seed: u64, pod: u32) -> u32 {
    let mut pool = Dice::new(seed, u64::from(pod / PODS_PER_NODE) | 1 << 41);
    let namespaces = [pool.below(NAMESPACES.len() as u32), pool.below(NAMESPACES.len() as u32)];
    let mut own = Dice::new(seed, u64::from(pod) | 1 << 40);
    let namespace = namespaces[own.below(2) as usize];
    namespace * WORKLOADS_PER_NAMESPACE + own.below(WORKLOADS_PER_NAMESPACE)
}

/// The peers of one pod are all different.
fn peer(seed: u64, pod: u32, item: u32) -> usize {
    (workload_number(seed, pod) as usize + 1 + item as usize) % WORKLOADS.len()
}

fn replica_set(seed: u64, pod: u32, life: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(workload(seed, pod).as_bytes());
    out.push(b'-');
    suffix(life, 10, out);
}

fn pod_group(life: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod");
    uuid(life, b'_', out);
    out.extend_from_slice(b".slice");
}

/// Addresses have three digits in each part, so that they are equally long.
const ADDRESS_PART_MIN: u32 = 100;
const ADDRESS_PARTS: u32 = 150;
const ADDRESSES: u32 = ADDRESS_PARTS * ADDRESS_PARTS * ADDRESS_PARTS;

fn address(number: u32, between: u8, out: &mut Vec<u8>) {
    for (i, part) in [number / ADDRESS_PARTS / ADDRESS_PARTS, number / ADDRESS_PARTS, number].into_iter().enumerate() {
        if i > 0 {
            out.push(between);
        }
        decimal(ADDRESS_PART_MIN + part % ADDRESS_PARTS, 1, out);
    }
}

fn node_ip(node: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"10.");
    address(node, b'.', out);
}

/// Decimal digits, at least `width`.
pub(crate) fn decimal(number: u32, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 10];
    let mut at = digits.len();
    let mut rest = number;
    while rest > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width)..]);
}

fn suffix(word: u64, length: u32, out: &mut Vec<u8>) {
    let mut rest = word;
    for _ in 0..length {
        out.push(SUFFIX_ALPHABET[(rest % SUFFIX_ALPHABET.len() as u64) as usize]);
        rest /= SUFFIX_ALPHABET.len() as u64;
    }
}

fn hex(word: u64, length: usize, out: &mut Vec<u8>) {
    let mut dice = Dice::new(word, 16);
    let mut rest = 0;
    for i in 0..length {
        if i % 16 == 0 {
            rest = dice.word();
        }
        out.push(HEX[(rest & 15) as usize]);
        rest >>= 4;
    }
}

fn uuid(word: u64, between: u8, out: &mut Vec<u8>) {
    let mut digits = Vec::with_capacity(32);
    hex(word, 32, &mut digits);
    for (i, part) in [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().enumerate() {
        if i > 0 {
            out.push(between);
        }
        out.extend_from_slice(&digits[part]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(field: Field, subject: Subject, generation: u32) -> String {
        let mut out = Vec::new();
        field.write(5, subject, generation, &mut out);
        String::from_utf8(out).expect("names are ASCII")
    }

    const POD: Subject = Subject { node: 140, pod: 702, item: 3 };

    #[test]
    fn names_look_like_kubernetes() {
        assert_eq!(text(Field::Cluster, POD, 0), "prod-eu-central-02");
        assert_eq!(text(Field::Node, POD, 0), "ip-10-100-100-240.eu-central-1.compute.internal");
        assert_eq!(text(Field::NodeInstance(9100), POD, 0), "10.100.100.240:9100");
        assert_eq!(text(Field::GpuDevice, POD, 0), "nvidia3");
        assert!(text(Field::Pod, POD, 0).starts_with(&text(Field::Container, POD, 0)));
        assert_eq!(text(Field::Uid, POD, 0).len(), 36);
    }

    #[test]
    fn a_replaced_pod_has_other_names_of_the_same_length() {
        let fields = [Field::Pod, Field::Uid, Field::PodInstance(15020), Field::ContainerGroup];
        for field in fields {
            assert!(field.is_of_pod());
            for generation in 1..50 {
                let (before, after) = (text(field, POD, generation - 1), text(field, POD, generation));
                assert_ne!(before, after, "{field:?}");
                assert_eq!(before.len(), after.len(), "{field:?}");
            }
        }
        assert_eq!(text(Field::Container, POD, 0), text(Field::Container, POD, 1));
    }
}
