//! What dashboards ask for, as requests over the generated traffic.

use form_urlencoded::Serializer;

/// Instant queries, label values and series move by the scrape interval.
const STEP_S: i64 = 15;
const HOUR_S: i64 = 3_600;
/// Label values and series are asked for as of the last hours, as Grafana asks for the range that it shows.
const LABELS_LENGTH_S: i64 = 3 * HOUR_S;

/// One request of a dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// How the table calls it.
    pub name: &'static str,
    /// The expression; for label values and series the selector.
    pub text: &'static str,
    /// What is asked about it.
    pub kind: Kind,
}

/// What is asked about an expression or a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its values at one moment.
    Instant,
    /// Its values at each step of a range.
    Range {
        /// From the first to the last moment.
        length_s: i64,
        /// Between two moments.
        step_s: i64,
    },
    /// The values of this label among what it selects.
    LabelValues(&'static str),
    /// The labels of all series that it selects.
    Series,
}

/// Whether a server may answer from former answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// It may.
    Used,
    /// Everything is evaluated.
    Unused,
}

/// The dashboard set.
pub const DASHBOARD: [Query; 14] = [
    instant("nodes", "kube_node_info"),
    range("nodes over 3000 s", "kube_node_info", 3_000, 15),
    range(
        "CPU requests of running pods, joined",
        "sum(kube_pod_status_phase{phase=\"Running\"} * on (pod) group_left(namespace, resource) \
         sum(kube_pod_container_resource_requests{resource=\"cpu\"}) by (pod)) by (resource)",
        39_000,
        15,
    ),
    instant("GPU use, mean of a day", "avg_over_time(DCGM_FI_DEV_GPU_UTIL[24h])"),
    instant("memory by node, sum of a day", "sum by (node) (sum_over_time(container_memory_working_set_bytes[24h]))"),
    range("CPU by node", "sum by (node) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))", 6 * HOUR_S, 60),
    range(
        "p99 of requests by namespace",
        "histogram_quantile(0.99, sum by (le, namespace) (rate(istio_request_duration_milliseconds_bucket[5m])))",
        3 * HOUR_S,
        60,
    ),
    range("memory by pod", "sum by (pod) (container_memory_working_set_bytes)", 3 * HOUR_S, 15),
    range("busiest pods", "topk(10, sum by (pod) (rate(container_cpu_usage_seconds_total[5m])))", 3 * HOUR_S, 60),
    instant(
        "count by regular expressions",
        "count({__name__=~\"container_.+\",pod=~\".*(api|gateway|store|server|web).*\"})",
    ),
    instant("count by name", "count by (__name__) ({__name__!=\"\"})"),
    Query { name: "label values, all", text: "", kind: Kind::LabelValues("pod") },
    Query { name: "label values of a metric", text: "kube_pod_info", kind: Kind::LabelValues("namespace") },
    Query { name: "series", text: "kube_pod_info", kind: Kind::Series },
];

const fn instant(name: &'static str, text: &'static str) -> Query {
    Query { name, text, kind: Kind::Instant }
}

const fn range(name: &'static str, text: &'static str, length_s: i64, step_s: i64) -> Query {
    Query { name, text, kind: Kind::Range { length_s, step_s } }
}

impl Query {
    /// The request's path and arguments as of `end_s`, moved `shift` steps into the past.
    pub fn path(&self, end_s: i64, shift: u32, cache: Cache) -> String {
        let end_s = end_s - i64::from(shift) * self.step_s();
        let mut arguments = Serializer::new(String::new());
        if cache == Cache::Unused {
            arguments.append_pair("nocache", "1");
        }
        let mut from_to = |length_s: i64| {
            arguments.append_pair("start", &(end_s - length_s).to_string()).append_pair("end", &end_s.to_string());
        };
        let path = match self.kind {
            Kind::Instant => {
                arguments.append_pair("query", self.text).append_pair("time", &end_s.to_string());
                "/api/v1/query".to_owned()
            }
            Kind::Range { length_s, step_s } => {
                from_to(length_s);
                arguments.append_pair("query", self.text).append_pair("step", &step_s.to_string());
                "/api/v1/query_range".to_owned()
            }
            Kind::LabelValues(label) => {
                from_to(LABELS_LENGTH_S);
                if !self.text.is_empty() {
                    arguments.append_pair("match[]", self.text);
                }
                format!("/api/v1/label/{label}/values")
            }
            Kind::Series => {
                from_to(LABELS_LENGTH_S);
                arguments.append_pair("match[]", self.text);
                "/api/v1/series".to_owned()
            }
        };
        format!("{path}?{}", arguments.finish())
    }

    /// Whether former answers can help: those of ranges are kept.
    pub fn is_range(&self) -> bool {
        matches!(self.kind, Kind::Range { .. })
    }

    /// By how much two requests of a measurement are apart.
    pub fn step_s(&self) -> i64 {
        match self.kind {
            Kind::Range { step_s, .. } => step_s,
            Kind::Instant | Kind::LabelValues(_) | Kind::Series => STEP_S,
        }
    }

    /// How far apart the values of two servers may be, relative to the larger one.
    ///
    /// Sums are taken in different orders. VictoriaMetrics keeps twelve digits of a sample; of a small difference of large
    /// counters half of them remain.
    pub fn tolerance(&self) -> f64 {
        if self.text.contains("rate(") { 1e-6 } else { 1e-9 }
    }

    /// The request in words.
    pub fn description(&self) -> String {
        let Self { text, kind, .. } = self;
        match kind {
            Kind::Instant => format!("`{text}`, instant"),
            Kind::Range { length_s, step_s } => format!("`{text}` over {length_s} s at {step_s} s"),
            Kind::LabelValues(label) if text.is_empty() => format!("values of `{label}`"),
            Kind::LabelValues(label) => format!("values of `{label}` for `{text}`"),
            Kind::Series => format!("series of `{text}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_move_by_their_step() {
        let query = range("", "a+b", 100, 60);
        assert_eq!(
            query.path(1_000, 2, Cache::Unused),
            "/api/v1/query_range?nocache=1&start=780&end=880&query=a%2Bb&step=60"
        );
        assert_eq!(instant("", "up").path(1_000, 1, Cache::Used), "/api/v1/query?query=up&time=985");
        let values = Query { name: "", text: "", kind: Kind::LabelValues("pod") };
        assert_eq!(values.path(20_000, 0, Cache::Unused), "/api/v1/label/pod/values?nocache=1&start=9200&end=20000");
    }

    #[test]
    fn every_name_stands_once() {
        let names: std::collections::BTreeSet<&str> = DASHBOARD.iter().map(|query| query.name).collect();
        assert_eq!(names.len(), DASHBOARD.len());
    }
}
