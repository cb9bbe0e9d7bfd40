//! What the exporters expose: metric names, labels and the law of each series.
//!
//! A [`Set`] is the fixed group of series that an exporter shows about one kind of subject (a node, a container, a
//! GPU, …). Names, labels and label values are those of the real exporters, so that real dashboards find their series.

mod cadvisor;
mod dcgm;
mod istio;
mod kube_state;
mod node_exporter;

use crate::value::Model;
use crate::world::Field;

pub(crate) const ZERO: Model = Model::Fixed(&[0.0]);
pub(crate) const ONE: Model = Model::Fixed(&[1.0]);

/// One series of a set: its name, its own labels, its law.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) labels: Vec<(&'static str, &'static str)>,
    pub(crate) model: Model,
}

/// The series an exporter shows about one subject.
#[derive(Debug)]
pub(crate) struct Set {
    /// Labels with the same value everywhere.
    pub(crate) fixed: Vec<(&'static str, &'static str)>,
    /// Labels that depend on the subject.
    pub(crate) fields: Vec<(&'static str, Field)>,
    pub(crate) series: Vec<Series>,
    /// Whether the set goes on when a scrape fails, as `up` does.
    pub(crate) is_about_scrape: bool,
    /// Whether the subject is a pod, which churn replaces.
    pub(crate) is_of_pod: bool,
}

impl Set {
    fn new(fixed: &[(&'static str, &'static str)], fields: &[(&'static str, Field)]) -> Self {
        Self {
            fixed: fixed.to_vec(),
            fields: fields.to_vec(),
            series: Vec::new(),
            is_about_scrape: false,
            is_of_pod: false,
        }
    }

    /// The same target labels for another group of series.
    fn of_pod(mut self) -> Self {
        self.is_of_pod = true;
        self
    }

    fn add(&mut self, name: &'static str, labels: &[(&'static str, &'static str)], model: Model) {
        self.series.push(Series { name, labels: labels.to_vec(), model });
    }

    /// One series for each value of a label.
    fn add_each(&mut self, name: &'static str, label: &'static str, values: &[&'static str], model: Model) {
        for &value in values {
            self.add(name, &[(label, value)], model);
        }
    }

    /// The five series that Prometheus writes about each scrape itself.
    fn about_scrape(mut self) -> Self {
        self.is_about_scrape = true;
        self.add("up", &[], ONE);
        self.add("scrape_duration_seconds", &[], Model::Took(0.02));
        self.add("scrape_samples_scraped", &[], Model::Fixed(&[171.0, 183.0, 204.0, 118.0]));
        self.add("scrape_samples_post_metric_relabeling", &[], Model::Mirror(1));
        self.add("scrape_series_added", &[], ZERO);
        self
    }
}

/// The numbers of the sets in [`Catalog::sets`].
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) sets: Vec<Set>,
    pub(crate) node_exporter: Target,
    pub(crate) cadvisor: Target,
    pub(crate) kube_state: Target,
    pub(crate) dcgm: Target,
    pub(crate) istio: Target,
}

/// The sets of one kind of target: once about the scrape, once about its node, and for each pod, GPU or peer.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) about_scrape: u16,
    pub(crate) of_node: Option<u16>,
    pub(crate) of_each: Vec<u16>,
}

impl Catalog {
    pub(crate) fn new() -> Self {
        let mut sets = Vec::new();
        let mut put = |set: Set| {
            sets.push(set);
            (sets.len() - 1) as u16
        };
        Self {
            node_exporter: Target {
                about_scrape: put(node_exporter::about_scrape()),
                of_node: Some(put(node_exporter::node())),
                of_each: Vec::new(),
            },
            cadvisor: Target {
                about_scrape: put(cadvisor::about_scrape()),
                of_node: None,
                of_each: vec![put(cadvisor::container()), put(cadvisor::pod_network())],
            },
            kube_state: Target {
                about_scrape: put(kube_state::about_scrape()),
                of_node: Some(put(kube_state::node())),
                of_each: vec![put(kube_state::pod())],
            },
            dcgm: Target { about_scrape: put(dcgm::about_scrape()), of_node: None, of_each: vec![put(dcgm::gpu())] },
            istio: Target {
                about_scrape: put(istio::about_scrape()),
                of_node: Some(put(istio::proxy())),
                of_each: vec![put(istio::peer())],
            },
            sets,
        }
    }
}
