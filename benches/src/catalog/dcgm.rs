//! NVIDIA's DCGM exporter: one target a GPU node, a block of series for each GPU.

use super::{Set, ZERO};
use crate::value::{Model, Unit};
use crate::world::Field;

fn target() -> Set {
    Set::new(
        &[
            ("endpoint", "gpu-metrics"),
            ("job", "nvidia-dcgm-exporter"),
            ("namespace", "gpu-operator"),
            ("prometheus_replica", "prometheus-k8s-0"),
        ],
        &[
            ("cluster", Field::Cluster),
            ("instance", Field::NodeInstance(9400)),
            ("pod", Field::DaemonPod("nvidia-dcgm-exporter")),
        ],
    )
}

pub(super) fn about_scrape() -> Set {
    let mut set = target();
    set.fixed.extend([("container", "nvidia-dcgm-exporter"), ("service", "nvidia-dcgm-exporter")]);
    set.about_scrape()
}

pub(super) fn gpu() -> Set {
    let mut set = target().of_pod();
    set.fixed.push(("modelName", "NVIDIA A100-SXM4-80GB"));
    set.fields.extend([
        ("Hostname", Field::Node),
        ("UUID", Field::GpuUuid),
        ("device", Field::GpuDevice),
        ("exported_namespace", Field::Namespace),
        ("exported_pod", Field::Pod),
        ("gpu", Field::GpuIndex),
        ("node", Field::Node),
    ]);
    let gauge = |unit: Unit, home: f32, wobble: f32, activity: f32, most: f32| Model::Gauge {
        unit,
        home,
        wobble,
        activity,
        most,
    };
    set.add("DCGM_FI_DEV_GPU_UTIL", &[], gauge(Unit::Ones, 70.0, 0.06, 0.6, 100.0));
    set.add("DCGM_FI_DEV_MEM_COPY_UTIL", &[], gauge(Unit::Ones, 35.0, 0.06, 0.6, 100.0));
    set.add("DCGM_FI_DEV_FB_USED", &[], gauge(Unit::Ones, 40_000.0, 0.002, 0.1, 80_000.0));
    set.add("DCGM_FI_DEV_POWER_USAGE", &[], gauge(Unit::Thousandths, 260.0, 0.04, 0.98, 420.0));
    set.add("DCGM_FI_DEV_GPU_TEMP", &[], gauge(Unit::Ones, 55.0, 0.02, 0.3, 90.0));
    set.add("DCGM_FI_DEV_SM_CLOCK", &[], Model::Seldom(&[1_410.0, 1_275.0, 210.0]));
    set.add("DCGM_FI_DEV_MEM_CLOCK", &[], Model::Fixed(&[1_593.0]));
    set.add("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", &[], Model::Bytes(3e6));
    set.add("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", &[], ZERO);
    set.add("DCGM_FI_DEV_XID_ERRORS", &[], ZERO);
    set.add("DCGM_FI_DEV_ENC_UTIL", &[], ZERO);
    set.add("DCGM_FI_DEV_DEC_UTIL", &[], ZERO);
    set.add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", &[], Model::Real(0.6));
    set.add("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", &[], Model::Real(0.3));
    set.add("DCGM_FI_PROF_PCIE_TX_BYTES", &[], Model::Bytes(1e9));
    set.add("DCGM_FI_PROF_NVLINK_TX_BYTES", &[], Model::Bytes(4e9));
    set
}
