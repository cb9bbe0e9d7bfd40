//! The doors beside HTTP: addresses where Graphite, Influx and OpenTSDB send lines, and the flags of all doors.

use std::sync::Arc;

use basalt_http::{Handler, Listener, MetricsSource, Request, Response, ServerOptions, StatusCode, Stop, plain};
use decode::{influx::InfluxStyle, otlp::OtlpStyle, zabbix::ZabbixStyle};
use model::Tenant;
use receive::{Door, DoorOptions, Entrance, LineListener, LineProtocol, Receiver};
use tokio::task::JoinHandle;

use crate::{
    flags::{Flags, UsageError},
    listeners::check_flag,
};

/// Addresses that are listened on, if they are not empty.
#[derive(Debug, Clone)]
pub struct DoorAddresses {
    lines: Vec<(LineProtocol, DoorAddress)>,
    opentsdb_http: Option<DoorAddress>,
    tcp6: bool,
}

/// An address of a door.
#[derive(Debug, Clone)]
struct DoorAddress {
    flag: &'static str,
    address: String,
    /// Whether connections begin with a head of the proxy protocol.
    behind_proxy: bool,
}

/// Addresses that are bound.
#[derive(Debug)]
pub struct BoundDoors {
    lines: Vec<LineListener>,
    opentsdb_http: Option<Listener>,
}

impl DoorAddresses {
    /// Reads the flags.
    pub fn from_flags(flags: &Flags) -> Self {
        let door = |address, behind_proxy| {
            let door = DoorAddress {
                flag: address,
                address: flags.text(address).to_string(),
                behind_proxy: flags.switch(behind_proxy),
            };
            (!door.address.is_empty()).then_some(door)
        };
        let lines = [
            (LineProtocol::Graphite, door("graphiteListenAddr", "graphiteListenAddr.useProxyProtocol")),
            (LineProtocol::Influx, door("influxListenAddr", "influxListenAddr.useProxyProtocol")),
            (LineProtocol::OpenTsdb, door("opentsdbListenAddr", "opentsdbListenAddr.useProxyProtocol")),
        ];
        Self {
            lines: lines.into_iter().filter_map(|(protocol, door)| Some((protocol, door?))).collect(),
            opentsdb_http: door("opentsdbHTTPListenAddr", "opentsdbHTTPListenAddr.useProxyProtocol"),
            tcp6: flags.switch("enableTCP6"),
        }
    }

    /// Checks that they can be addresses.
    pub fn check(&self) -> Result<(), UsageError> {
        let mut doors = self.lines.iter().map(|(_, door)| door).chain(&self.opentsdb_http);
        doors.try_for_each(|door| check_flag(door.flag, &door.address))
    }

    /// Binds them. Must be called inside a runtime.
    pub async fn bind(&self) -> Result<BoundDoors, String> {
        let bind = async |door: &DoorAddress| {
            let listener = Listener::bind(&door.address, self.tcp6).await.map_err(|why| why.to_string())?;
            Ok::<_, String>(listener.behind_proxy(door.behind_proxy))
        };
        let mut bound = BoundDoors { lines: Vec::new(), opentsdb_http: None };
        for (protocol, door) in &self.lines {
            bound.lines.push(LineListener::bind(*protocol, bind(door).await?).await?);
        }
        if let Some(door) = &self.opentsdb_http {
            bound.opentsdb_http = Some(bind(door).await?.named("opentsdbhttp"));
        }
        Ok(bound)
    }
}

impl BoundDoors {
    /// What `/metrics` shows of them.
    pub fn sources(&self) -> impl Iterator<Item = Arc<dyn MetricsSource>> + '_ {
        let lines = self.lines.iter().map(LineListener::stats);
        lines.chain(self.opentsdb_http.iter().map(Listener::stats)).map(|stats| stats as Arc<dyn MetricsSource>)
    }

    /// Lets samples in until it is time to stop.
    pub fn open(self, receiver: &Arc<Receiver>, options: &ServerOptions, stop: &Stop) -> Vec<JoinHandle<()>> {
        let http = Arc::new(OpenTsdbHttp(Arc::clone(receiver)));
        let mut serving = Vec::new();
        for lines in self.lines {
            lines.announce();
            let (receiver, http) = (Arc::clone(receiver), Arc::clone(&http));
            serving.push(tokio::spawn(lines.serve(receiver, http, options.clone(), stop.clone())));
        }
        if let Some(listener) = self.opentsdb_http {
            log::info!("started HTTP OpenTSDB server at \"{}\"", listener.address());
            serving.push(tokio::spawn(basalt_http::serve(listener, options.clone(), http, stop.clone())));
        }
        serving
    }
}

/// What OpenTSDB's own addresses understand of HTTP.
struct OpenTsdbHttp(Arc<Receiver>);

impl Handler for OpenTsdbHttp {
    async fn handle(&self, request: Request) -> Response {
        match Door::find(request.path()) {
            Some(Ok(Entrance { door: Door::OpenTsdbPut, .. })) => {
                let entrance = Entrance { door: Door::OpenTsdbPut, tenant: Some(Tenant::DEFAULT) };
                self.0.receive(entrance, request).await
            }
            _ => plain(StatusCode::BAD_REQUEST, format!("unsupported path requested: {:?}", request.path())),
        }
    }
}

/// What the flags tell single doors.
pub fn options(flags: &Flags) -> DoorOptions {
    let trim = |flag| i64::try_from(flags.duration(flag).as_millis()).unwrap_or(i64::MAX);
    DoorOptions {
        line_bytes_max: flags.bytes("import.maxLineLen") as usize,
        csv_trim_ms: trim("csvTrimTimestamp"),
        graphite_trim_ms: trim("graphiteTrimTimestamp"),
        opentsdb_trim_ms: trim("opentsdbTrimTimestamp"),
        opentsdb_http_trim_ms: trim("opentsdbhttpTrimTimestamp"),
        opentsdb_http_bytes_max: body_bytes(flags, "opentsdbhttp.maxInsertRequestSize"),
        influx: InfluxStyle {
            separator: flags.text("influxMeasurementFieldSeparator").to_string(),
            skip_single_field: flags.switch("influxSkipSingleField"),
            skip_measurement: flags.switch("influxSkipMeasurement"),
            database_label: flags.text("influxDBLabel").to_string(),
            trim_ms: trim("influxTrimTimestamp"),
        },
        influx_line_bytes_max: flags.bytes("influx.maxLineSize") as usize,
        influx_databases: flags.list("influx.databaseNames").into_iter().filter(|name| !name.is_empty()).collect(),
        opentelemetry: OtlpStyle {
            prometheus_naming: flags.switch("opentelemetry.usePrometheusNaming"),
            promote_resource_attributes: flags.switch("opentelemetry.promoteAllResourceAttributes"),
        },
        opentelemetry_bytes_max: body_bytes(flags, "opentelemetry.maxRequestSize"),
        datadog_sanitize: flags.switch("datadog.sanitizeMetricName"),
        datadog_bytes_max: body_bytes(flags, "datadog.maxInsertRequestSize"),
        newrelic_bytes_max: body_bytes(flags, "newrelic.maxInsertRequestSize"),
        zabbix: ZabbixStyle {
            groups_value: flags.text("zabbixconnector.addGroupsValue").to_string(),
            empty_tags_value: flags.text("zabbixconnector.addEmptyTagsValue").to_string(),
            duplicate_tags_separator: flags.text("zabbixconnector.addDuplicateTagsSeparator").to_string(),
        },
    }
}

/// Offsets in a body have 32 bits.
fn body_bytes(flags: &Flags, flag: &'static str) -> usize {
    flags.bytes(flag).min(1 << 31) as usize
}
