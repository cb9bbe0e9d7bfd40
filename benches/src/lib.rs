//! One seeded generator of Kubernetes-shaped metrics for every measurement of the project.
//!
//! ```
//! use traffic::{Shape, Traffic};
//!
//! let mut traffic = Traffic::new(Shape { series: 2_000, ..Shape::default() });
//! traffic.scrape(0, |sample| assert!((sample.series as usize) < 2_000));
//! let mut bytes = 0;
//! traffic.requests(0..3, |body| bytes += body.len());
//! assert!(bytes > 2_000_000);
//! ```
//!
//! What comes out is a remote write stream as an ordinary Kubernetes cluster sends it: [`Traffic`] walks scrape by scrape
//! over node-exporter, cadvisor, kube-state-metrics, DCGM and Istio targets with their real metric names and labels;
//! [`Shape`] says how many series, how regular the scrapes, how much churn, how many gaps, how much lateness. Equal
//! shapes give equal bytes on every machine. The shapes were calibrated against VictoriaMetrics before anything of
//! Basalt was measured (docs/benchmarks.md) and stay as they are: a test pins their bytes.
//!
//! In reading order: [`shape`] the knobs, `world` names of things, `catalog` the exporters' metrics, `value` the law of
//! each series, `layout` series and labels, `traffic` the walk, `requests` and `body` the bytes; then the tools that
//! measurements share.

pub mod calibration;
pub mod client;
pub mod cluster;
pub mod document;
pub mod flags;
pub mod machine;
pub mod paired;
pub mod queries;
pub mod recording;
pub mod replay;
pub mod server;
pub mod shape;

mod body;
mod catalog;
mod figures;
mod label;
mod layout;
mod noise;
mod requests;
mod traffic;
mod value;
mod world;

pub use body::compress;
pub use requests::{LATE_SCRAPES_MAX, Request};
pub use shape::{Churn, Shape};
pub use traffic::{STALE_MARKER_BITS, Sample, Traffic};
pub use value::Class;
