//! Which door a path leads to.

use basalt_http::{Request, StatusCode};
use model::{Tenant, TenantParseError};

use crate::{rejection::Rejection, stats::Kind};

macro_rules! doors {
    ($($(#[$doc:meta])* $name:ident = $path:literal by $protocol:literal counts $kind:ident,)*) => {
        /// A way in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Door {
            $($(#[$doc])* $name,)*
        }

        impl Door {
            /// All doors, in the order of their numbers.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The path, as `/metrics` shows it.
            pub(crate) fn path(self) -> &'static str {
                match self {
                    $(Self::$name => $path,)*
                }
            }

            /// The protocol, as `/metrics` shows it.
            pub(crate) fn protocol(self) -> &'static str {
                match self {
                    $(Self::$name => $protocol,)*
                }
            }

            /// What its rows are counted as.
            pub(crate) fn kind(self) -> Kind {
                match self {
                    $(Self::$name => Kind::$kind,)*
                }
            }
        }
    };
}

doors! {
    /// Prometheus remote write, both versions.
    RemoteWrite = "/api/v1/write" by "promremotewrite" counts RemoteWrite,
    /// JSON lines, as exports give them.
    ImportJson = "/api/v1/import" by "vmimport" counts ImportJson,
    /// Comma-separated values.
    ImportCsv = "/api/v1/import/csv" by "csvimport" counts Csv,
    /// Blocks, as native exports give them.
    ImportNative = "/api/v1/import/native" by "nativeimport" counts Native,
    /// Text exposition, and what clients of a push gateway send.
    ImportPrometheus = "/api/v1/import/prometheus" by "prometheusimport" counts Prometheus,
    /// Influx line protocol.
    InfluxWrite = "/influx/write" by "influx" counts Influx,
    /// What Influx clients ask before they write.
    InfluxQuery = "/influx/query" by "influx" counts Influx,
    /// Whether Influx is well.
    InfluxHealth = "/influx/health" by "influx" counts Influx,
    /// OpenTSDB's puts in JSON.
    OpenTsdbPut = "/opentsdb/api/put" by "opentsdbhttp" counts OpenTsdbHttp,
    /// OpenTelemetry metrics in protobuf.
    OpenTelemetry = "/opentelemetry/v1/metrics" by "opentelemetry" counts OpenTelemetry,
    /// Datadog's series, version 1.
    DatadogSeries1 = "/datadog/api/v1/series" by "datadog" counts DatadogV1,
    /// Datadog's series, version 2.
    DatadogSeries2 = "/datadog/api/v2/series" by "datadog" counts DatadogV2,
    /// Datadog's sketches, which become summaries.
    DatadogSketches = "/datadog/api/beta/sketches" by "datadog" counts DatadogSketches,
    /// Whether a Datadog key is good.
    DatadogValidate = "/datadog/api/v1/validate" by "datadog" counts DatadogV1,
    /// Datadog's checks, which are no samples.
    DatadogCheckRun = "/datadog/api/v1/check_run" by "datadog" counts DatadogV1,
    /// What Datadog's agents tell about their host.
    DatadogIntake = "/datadog/intake" by "datadog" counts DatadogV1,
    /// What Datadog's agents tell about metrics.
    DatadogMetadata = "/datadog/api/v1/metadata" by "datadog" counts DatadogV1,
    /// Events of New Relic's agent.
    NewRelicEvents = "/newrelic/infra/v2/metrics/events/bulk" by "newrelic" counts NewRelic,
    /// What New Relic's agent tells about its host.
    NewRelicInventory = "/newrelic/inventory/deltas" by "newrelic" counts NewRelic,
    /// Whether New Relic is there.
    NewRelicCheck = "/newrelic" by "newrelic" counts NewRelic,
    /// Lines of the Zabbix connector.
    ZabbixHistory = "/zabbixconnector/api/v1/history" by "zabbixconnector" counts Zabbix,
}

/// A door, and whose samples come through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrance {
    /// The door.
    pub door: Door,
    /// Whose samples; `None` leaves it to the headers `AccountID` and `ProjectID`.
    pub tenant: Option<Tenant>,
}

/// The same once the headers were read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entered {
    pub(crate) door: Door,
    pub(crate) tenant: Tenant,
}

impl Entrance {
    /// Whose samples a request brings, if its headers can be read.
    pub fn whose(self, request: &Request) -> Option<Tenant> {
        self.enter(request).ok().map(|entered| entered.tenant)
    }

    /// Whose samples a request brings.
    pub(crate) fn enter(self, request: &Request) -> Result<Entered, Rejection> {
        let tenant = match self.tenant {
            Some(tenant) => tenant,
            None => Tenant::new(number_header(request, "AccountID")?, number_header(request, "ProjectID")?),
        };
        Ok(Entered { door: self.door, tenant })
    }
}

fn number_header(request: &Request, name: &'static str) -> Result<u32, Rejection> {
    let Some(value) = request.headers().get(name) else {
        return Ok(0);
    };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong = || format!("cannot parse header {name}: want a whole number of 32 bits");
    number.ok_or_else(|| Rejection::new(StatusCode::BAD_REQUEST, wrong()))
}

/// What begins the path behind `/insert/` where headers name the tenant.
const BY_HEADERS: &[&str] = &[
    "prometheus",
    "api",
    "write",
    "influx",
    "opentsdb",
    "opentelemetry",
    "datadog",
    "newrelic",
    "zabbixconnector",
    "graphite",
];

/// Where the paths of push-gateway clients branch off.
pub(crate) const IMPORT_PROMETHEUS: &str = "/api/v1/import/prometheus";

impl Door {
    /// The entrance that a path names; `None` if it names none. The error is about the tenant in it.
    pub fn find(path: &str) -> Option<Result<Entrance, TenantParseError>> {
        if let Some(rest) = path.strip_prefix("/insert/") {
            // The slash before what is left belongs to the door's path.
            let whole = &path["/insert".len()..];
            let first = rest.split('/').next().unwrap_or_default();
            let (tenant, bare) = if BY_HEADERS.contains(&first) {
                (None, whole)
            } else {
                let (tenant, _) = rest.split_once('/')?;
                (Some(tenant), &rest[tenant.len()..])
            };
            let door = match bare.strip_prefix("/prometheus") {
                // `/insert/0/prometheus/` is what VictoriaMetrics' documentation tells Prometheus users to write to.
                Some("" | "/") => Self::RemoteWrite,
                Some(rest) => Self::bare(rest)?,
                None => Self::bare(bare)?,
            };
            return Some(tenant.map(str::parse).transpose().map(|tenant| Entrance { door, tenant }));
        }
        let door = Self::bare(path.strip_prefix("/prometheus").unwrap_or(path))?;
        Some(Ok(Entrance { door, tenant: Some(Tenant::DEFAULT) }))
    }

    fn bare(path: &str) -> Option<Self> {
        match path {
            "/api/v1/write" | "/api/v1/push" => Some(Self::RemoteWrite),
            "/api/v1/import" => Some(Self::ImportJson),
            "/api/v1/import/csv" => Some(Self::ImportCsv),
            "/api/v1/import/native" => Some(Self::ImportNative),
            "/write" | "/api/v2/write" | "/influx/write" | "/influx/api/v2/write" => Some(Self::InfluxWrite),
            "/query" | "/influx/query" => Some(Self::InfluxQuery),
            "/influx/health" => Some(Self::InfluxHealth),
            "/api/put" | "/opentsdb/api/put" => Some(Self::OpenTsdbPut),
            "/opentelemetry/v1/metrics" | "/opentelemetry/api/v1/push" => Some(Self::OpenTelemetry),
            path if path.starts_with("/datadog/") || path.starts_with("/newrelic") => Self::of_agent(path),
            "/zabbixconnector/api/v1/history" => Some(Self::ZabbixHistory),
            path => {
                let rest = path.strip_prefix(IMPORT_PROMETHEUS)?;
                (rest.is_empty() || rest.starts_with("/metrics/job")).then_some(Self::ImportPrometheus)
            }
        }
    }
}

impl Door {
    /// Agents put slashes where none are needed.
    fn of_agent(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let agents = Self::ALL.iter().filter(|door| matches!(door.protocol(), "datadog" | "newrelic"));
        agents.copied().find(|door| door.path() == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_write_has_many_paths() {
        let whose = |entrance: Entrance| entrance.tenant.map_or("by headers".to_string(), |tenant| tenant.to_string());
        let tenant = |path: &str| Door::find(path).map(|found| found.map(whose));
        for path in [
            "/api/v1/write",
            "/api/v1/push",
            "/prometheus/api/v1/write",
            "/insert/0/prometheus",
            "/insert/0/prometheus/",
        ] {
            assert_eq!(tenant(path), Some(Ok("0:0".to_string())), "{path}");
        }
        assert_eq!(tenant("/insert/7:9/prometheus/api/v1/write"), Some(Ok("7:9".to_string())));
        for path in
            ["/insert/prometheus", "/insert/prometheus/api/v1/write", "/insert/influx/write", "/insert/api/v1/push"]
        {
            assert_eq!(tenant(path), Some(Ok("by headers".to_string())), "{path}");
        }
        assert!(tenant("/insert/x/prometheus/api/v1/write").is_some_and(|found| found.is_err()));
        for path in ["/", "/api/v1/export", "/insert/0", "/insert/0/", "/api/v1/write/x", "/api/v1/import/prometheus/x"]
        {
            assert_eq!(tenant(path), None, "{path}");
        }
    }

    #[test]
    fn every_door_is_found_bare_and_under_prefixes() {
        for door in Door::ALL {
            for path in [door.path().to_string(), format!("/prometheus{}", door.path())] {
                assert_eq!(
                    Door::find(&path),
                    Some(Ok(Entrance { door: *door, tenant: Some(Tenant::DEFAULT) })),
                    "{path}"
                );
            }
            let tenant = Tenant::new(3, 4);
            for prefix in ["/insert/3:4", "/insert/3:4/prometheus"] {
                let path = format!("{prefix}{}", door.path());
                assert_eq!(Door::find(&path), Some(Ok(Entrance { door: *door, tenant: Some(tenant) })), "{path}");
            }
        }
    }
}
