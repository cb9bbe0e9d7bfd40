//! Which endpoint a path leads to.

use basalt_http::{Method, StatusCode, percent_decoded};
use model::{Tenant, TenantParseError};
use query::Dialect;

use crate::error::ApiError;

/// What stands before paths of both dialects, and the dialect that it means; `None` leaves it to the request and the flag.
const PREFIXES: &[(&str, Option<Dialect>)] = &[("prometheus", None), ("promql", Some(Dialect::PromQl))];
/// Paths that ask for data of one tenant, beside those under `/api/v1/`.
const OF_DATA: &[Endpoint] = &[Endpoint::Federate, Endpoint::PrettifyQuery, Endpoint::ExpandWithExprs];

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident = $path:literal,)*) => {
        /// Something that can be asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Endpoint {
            $($(#[$doc])* $name,)*
        }

        impl Endpoint {
            /// All endpoints, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The path, as `/metrics` shows it.
            pub fn path(self) -> &'static str {
                match self {
                    $(Self::$name => $path,)*
                }
            }
        }
    };
}

endpoints! {
    /// What there is.
    Index = "/",
    /// Whether the process lives.
    Health = "/health",
    /// The same for Prometheus tools.
    Healthy = "/-/healthy",
    /// Whether it can work.
    Ready = "/-/ready",
    /// Robots stay out.
    Robots = "/robots.txt",
    /// Version of the API for Grafana.
    BuildInfo = "/api/v1/status/buildinfo",
    /// The flags.
    Flags = "/flags",
    /// Counters of the process.
    Metrics = "/metrics",
    /// Evaluates an expression once.
    Query = "/api/v1/query",
    /// Evaluates an expression over a range.
    QueryRange = "/api/v1/query_range",
    /// Prints an expression in its usual form.
    FormatQuery = "/api/v1/format_query",
    /// The tree of an expression.
    ParseQuery = "/api/v1/parse_query",
    /// Prints an expression over several lines.
    PrettifyQuery = "/prettify-query",
    /// Prints an expression without its templates.
    ExpandWithExprs = "/expand-with-exprs",
    /// Samples for other Prometheus.
    RemoteRead = "/api/v1/read",
    /// The newest samples, to be scraped.
    Federate = "/federate",
    /// Samples as JSON lines.
    Export = "/api/v1/export",
    /// Samples as CSV.
    ExportCsv = "/api/v1/export/csv",
    /// Samples in blocks, as VictoriaMetrics exchanges them.
    ExportNative = "/api/v1/export/native",
    /// Series.
    Series = "/api/v1/series",
    /// Label names.
    LabelNames = "/api/v1/labels",
    /// Values of a label.
    LabelValues = "/api/v1/label/{}/values",
    /// How many series there are.
    SeriesCount = "/api/v1/series/count",
    /// How series spread over metrics and labels.
    StatusTsdb = "/api/v1/status/tsdb",
    /// How often each metric is asked for.
    NamesStats = "/api/v1/status/metric_names_stats",
    /// Counts that anew.
    ResetNamesStats = "/api/v1/admin/status/metric_names_stats/reset",
    /// What runs now.
    ActiveQueries = "/api/v1/status/active_queries",
    /// What ran most.
    TopQueries = "/api/v1/status/top_queries",
    /// Ends a query.
    CancelQuery = "/api/v1/admin/cancel",
    /// What kind of process this is.
    RuntimeInfo = "/api/v1/status/runtimeinfo",
    /// The flags as JSON.
    StatusFlags = "/api/v1/status/flags",
    /// The configuration file, of which there is none.
    StatusConfig = "/api/v1/status/config",
    /// Exemplars, which are not kept.
    QueryExemplars = "/api/v1/query_exemplars",
    /// Rules, which others evaluate.
    Rules = "/api/v1/rules",
    /// Alerts, which others raise.
    Alerts = "/api/v1/alerts",
    /// Those who are told about alerts.
    Notifiers = "/api/v1/notifiers",
    /// What is known about metrics.
    Metadata = "/api/v1/metadata",
    /// Deletes series.
    DeleteSeries = "/api/v1/admin/tsdb/delete_series",
    /// Makes a snapshot.
    SnapshotCreate = "/snapshot/create",
    /// Makes a snapshot, as Prometheus answers it.
    SnapshotCreatePrometheus = "/api/v1/admin/tsdb/snapshot",
    /// Names the snapshots.
    SnapshotList = "/snapshot/list",
    /// Removes a snapshot.
    SnapshotDelete = "/snapshot/delete",
    /// Removes all snapshots.
    SnapshotDeleteAll = "/snapshot/delete_all",
    /// Moves memory into parts.
    ForceFlush = "/internal/force_flush",
    /// Merges parts.
    ForceMerge = "/internal/force_merge",
    /// Forgets cached results.
    ResetCache = "/internal/resetRollupResultCache",
}

/// Stands for all tenants where a path names one.
const ALL_TENANTS: &str = "multitenant";

/// An endpoint, and whose data is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Whose data; `None` leaves it to the headers.
    pub tenant: Option<Tenant>,
    /// Whether the path is one of those that a tenant is named in.
    pub is_of_tenants: bool,
    /// Whether the data of all tenants are meant, which filters may choose from.
    pub of_all_tenants: bool,
    /// Whose meaning queries have; `None` leaves it to the request and the flag.
    pub dialect: Option<Dialect>,
    /// The label in the path, if there is one.
    pub label: Option<String>,
}

impl Endpoint {
    /// The entrance that a path names; `None` if it names none. The error is about the tenant in it.
    pub fn find(path: &str) -> Option<Result<Entrance, TenantParseError>> {
        for role in ["/select/", "/delete/"] {
            if let Some(rest) = path.strip_prefix(role) {
                let (tenant, rest) = match dialect_prefix(rest) {
                    Some(_) => (None, rest),
                    None => rest.split_once('/').map(|(tenant, rest)| (Some(tenant), rest))?,
                };
                let (dialect, rest) = dialect_prefix(rest)?;
                let (endpoint, label) = Self::of_data(rest)?;
                let of_all_tenants = tenant == Some(ALL_TENANTS) && role == "/select/";
                let tenant = match of_all_tenants {
                    true => Ok(Some(Tenant::DEFAULT)),
                    false => tenant.map(str::parse).transpose(),
                };
                return Some(tenant.map(|tenant| Entrance {
                    endpoint,
                    tenant,
                    is_of_tenants: true,
                    of_all_tenants,
                    dialect,
                    label,
                }));
            }
        }
        let (dialect, bare) = path.strip_prefix('/').and_then(dialect_prefix).unwrap_or((None, path));
        let bare = if bare.len() > 1 { bare.trim_end_matches('/') } else { bare };
        let of_process = || Self::ALL.iter().find(|endpoint| endpoint.path() == bare).map(|found| (*found, None));
        let (endpoint, label) = Self::of_data(bare).or_else(of_process)?;
        let tenant = Some(Tenant::DEFAULT);
        Some(Ok(Entrance { endpoint, tenant, is_of_tenants: false, of_all_tenants: false, dialect, label }))
    }

    /// Endpoints that ask for data of one tenant.
    fn of_data(path: &str) -> Option<(Self, Option<String>)> {
        if let Some(label) = path.strip_prefix("/api/v1/label/").and_then(|rest| rest.strip_suffix("/values")) {
            let label = percent_decoded(label)?;
            return (!label.is_empty() && !label.contains('/')).then_some((Self::LabelValues, Some(label)));
        }
        let is_of_data = |endpoint: &&Self| endpoint.path().starts_with("/api/v1/") || OF_DATA.contains(endpoint);
        let data = Self::ALL.iter().filter(is_of_data);
        data.into_iter().find(|endpoint| endpoint.path() == path).map(|found| (*found, None))
    }

    /// Whether it cannot be asked of all tenants together.
    pub(crate) fn is_of_one_tenant(self) -> bool {
        matches!(self, Self::DeleteSeries | Self::Metadata | Self::StatusTsdb | Self::NamesStats)
    }

    /// Deleting, cancelling and remote read want POST, everything else takes GET as well.
    pub(crate) fn methods(self) -> &'static str {
        match self {
            Self::DeleteSeries | Self::CancelQuery | Self::RemoteRead => "POST",
            _ => "GET, HEAD, POST",
        }
    }

    pub(crate) fn check_method(self, method: &Method) -> Result<(), ApiError> {
        if self.methods().split(", ").any(|allowed| allowed == method.as_str()) {
            return Ok(());
        }
        let why = format!("{} does not take {method}", self.path());
        Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, why))
    }
}

/// The dialect that a first part of a path means, and the path behind it.
fn dialect_prefix(path: &str) -> Option<(Option<Dialect>, &str)> {
    PREFIXES.iter().find_map(|(prefix, dialect)| {
        let rest = path.strip_prefix(prefix).filter(|rest| rest.starts_with('/'))?;
        Some((*dialect, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str) -> Option<(Endpoint, String, Option<String>)> {
        let entrance = Endpoint::find(path)?.ok()?;
        let tenant = entrance.tenant.map_or("by headers".to_string(), |tenant| tenant.to_string());
        Some((entrance.endpoint, tenant, entrance.label))
    }

    #[test]
    fn paths_exist_bare_under_prometheus_and_per_tenant() {
        for path in ["/api/v1/export", "/prometheus/api/v1/export", "/select/0/prometheus/api/v1/export"] {
            assert_eq!(find(path), Some((Endpoint::Export, "0:0".to_string(), None)), "{path}");
        }
        let label = Some("a/b".to_string());
        assert_eq!(
            find("/select/1:2/prometheus/api/v1/label/x%2dy/values"),
            Some((Endpoint::LabelValues, "1:2".into(), Some("x-y".into())))
        );
        assert_ne!(find("/api/v1/label/a/b/values").and_then(|found| found.2), label);
        assert_eq!(
            find("/delete/3/prometheus/api/v1/admin/tsdb/delete_series").map(|found| found.0),
            Some(Endpoint::DeleteSeries)
        );
        assert_eq!(find("/health").map(|found| found.0), Some(Endpoint::Health));
        assert_eq!(find("/").map(|found| found.0), Some(Endpoint::Index));
        assert_eq!(find("/select/prometheus/api/v1/query").map(|found| found.1), Some("by headers".to_string()));
        assert_eq!(find("/select/7/prometheus/federate").map(|found| found.0), Some(Endpoint::Federate));
        for path in
            ["", "/x", "/select/0/prometheus/health", "/select/0/export", "/api/v1/label//values", "/prometheusx"]
        {
            assert_eq!(find(path), None, "{path}");
        }
        assert!(Endpoint::find("/select/x/prometheus/api/v1/export").is_some_and(|found| found.is_err()));
    }

    #[test]
    fn a_path_may_mean_all_tenants() {
        let of_all = |path: &str| Endpoint::find(path).map(|found| found.map(|found| found.of_all_tenants));
        assert_eq!(of_all("/select/multitenant/prometheus/api/v1/query"), Some(Ok(true)));
        assert_eq!(of_all("/select/multitenant/promql/api/v1/series"), Some(Ok(true)));
        assert_eq!(of_all("/select/0/prometheus/api/v1/query"), Some(Ok(false)));
        assert!(of_all("/delete/multitenant/prometheus/api/v1/admin/tsdb/delete_series").is_some_and(|of| of.is_err()));
        let of_one = Endpoint::ALL.iter().filter(|endpoint| endpoint.is_of_one_tenant());
        assert!(of_one.clone().any(|endpoint| *endpoint == Endpoint::DeleteSeries));
        assert!(!of_one.clone().any(|endpoint| *endpoint == Endpoint::Query));
    }

    #[test]
    fn a_path_may_name_the_dialect() {
        let dialect = |path: &str| Endpoint::find(path)?.ok()?.dialect;
        for path in ["/promql/api/v1/query", "/select/3/promql/api/v1/query", "/select/promql/api/v1/query"] {
            assert_eq!(dialect(path), Some(Dialect::PromQl), "{path}");
        }
        assert_eq!(dialect("/select/3/prometheus/api/v1/query"), None);
    }

    #[test]
    fn every_endpoint_is_found_by_its_path() {
        for (number, endpoint) in Endpoint::ALL.iter().enumerate() {
            assert_eq!(*endpoint as usize, number);
            let found = find(&endpoint.path().replace("{}", "job")).map(|found| found.0);
            assert_eq!(found, Some(*endpoint));
        }
    }
}
