//! The Prometheus HTTP API and VictoriaMetrics' extras around it.
//!
//! 1. [`Endpoint::find`] knows an endpoint by its path, and whose data it is asked about.
//! 2. Arguments are read ([`args`], [`time`], [`selector`]) and checked before any work is done.
//! 3. Queries go to the engine ([`evaluate`]); their answers look as the rival's whose dialect was asked for ([`answer`], [`error`]).
//! 4. Work on the store blocks, so it runs on a blocking thread, behind a gate that lets a bounded number of queries work at once ([`work`]). When
//!    the client leaves, the query is cancelled.
//! 5. Short answers are built whole. Long ones and exports stream in bounded memory; one that fails in the middle breaks the connection, so that no
//!    client takes it for complete. All are packed as the client accepts it ([`packing`]).
//!
//! Architecture invariant: the only place where JSON goes out; knows nothing of who stands behind `Select` and `Admin`.

pub mod fuzz;
pub mod selector;
pub mod time;

mod admin;
mod answer;
mod args;
mod asker;
mod cardinality;
mod counting;
mod csv;
mod endpoint;
mod error;
mod evaluate;
mod export;
mod export_native;
mod federate;
mod json;
mod labels;
mod language;
mod memory_note;
mod metrics;
mod names;
mod names_stats;
mod names_usage;
mod number;
mod options;
mod packing;
mod pages;
mod prometheus_args;
mod raw;
mod remote_read;
mod status;
mod varint;
mod work;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use basalt_http::{Counter, Gate, HeaderValue, MetricsSource, Params, Request, Response, StatusCode, header};
use model::Clock;
use query::Engine;
use storage_api::{Admin, Select};

pub use counting::Counting;
pub use endpoint::{Endpoint, Entrance};
pub use error::ApiError;
pub use names_stats::NamesStats;
pub use options::{Keys, Options, QueryOptions};

use crate::{asker::Asker, metrics::EndpointStats, packing::Packing};

/// Queries that wait at the gate.
const WAITING_MAX: usize = 1000;

/// Answers requests out of a store.
#[derive(Clone)]
pub struct Server {
    engine: Arc<Engine>,
    select: Arc<dyn Select>,
    admin: Arc<dyn Admin>,
    clock: Arc<dyn Clock>,
    sources: Vec<Arc<dyn MetricsSource>>,
    options: Options,
    gate: Arc<Gate>,
    stats: Arc<[EndpointStats]>,
    slow_queries: Arc<Counter>,
    forced_merges: Arc<AtomicU64>,
    started_ms: i64,
}

impl Server {
    /// A server in front of an engine and the store behind it; `/metrics` shows the `sources` as well.
    pub fn new(
        engine: Arc<Engine>,
        select: Arc<dyn Select>,
        admin: Arc<dyn Admin>,
        clock: Arc<dyn Clock>,
        sources: Vec<Arc<dyn MetricsSource>>,
        options: Options,
    ) -> Self {
        let gate = Arc::new(Gate::new(options.concurrent_max, WAITING_MAX, options.queue_wait_max));
        let stats = Endpoint::ALL.iter().map(|_| EndpointStats::default()).collect();
        let started_ms = clock.now_ms();
        let (slow_queries, forced_merges) = (Arc::default(), Arc::default());
        Self { engine, select, admin, clock, sources, options, gate, stats, slow_queries, forced_merges, started_ms }
    }

    /// A server of something else, with the limits, lists and counters of this one.
    #[must_use]
    pub fn over(&self, select: Arc<dyn Select>) -> Self {
        Self { engine: Arc::new(self.engine.over(Arc::clone(&select))), select, ..self.clone() }
    }

    /// Answers a request at an endpoint.
    pub async fn serve(&self, entrance: Entrance, mut request: Request) -> Response {
        let began = Instant::now();
        let (peer, endpoint) = (request.peer, entrance.endpoint);
        let packing = self.packing(&request);
        let mut params = request.params().await;
        if let (true, Ok(params)) = (self.options.deny_tracing, &mut params) {
            params.remove("trace");
        }
        let dialect =
            params.as_ref().map_or(self.options.queries.dialect, |params| self.dialect_of_errors(&entrance, params));
        let outcome = match params {
            Ok(params) => self.check_and_dispatch(entrance, request, &params).await,
            Err(error) => Err(error.into()),
        };
        let stats = &self.stats[endpoint as usize];
        stats.count(began.elapsed(), outcome.is_err());
        let mut response = outcome.unwrap_or_else(|error| {
            if error.is_ours() {
                log::warn!("cannot answer {} for {peer}: {error}", endpoint.path());
            }
            error.into_response(dialect)
        });
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(endpoint.methods()));
        }
        packing.pack(response).await
    }

    fn packing(&self, request: &Request) -> Packing {
        let header = request.header(header::ACCEPT_ENCODING).filter(|_| self.options.compress);
        Packing::accepted(header)
    }

    async fn check_and_dispatch(
        &self,
        entrance: Entrance,
        request: Request,
        params: &Params,
    ) -> Result<Response, ApiError> {
        let endpoint = entrance.endpoint;
        endpoint.check_method(request.method())?;
        if entrance.of_all_tenants && endpoint.is_of_one_tenant() {
            let why = format!("{} is of one tenant: want /select/<account>:<project>/…", endpoint.path());
            return Err(ApiError::bad_request(why));
        }
        self.check_key(endpoint, params)?;
        let asker = self.asker(&entrance, &request, params)?;
        let label = entrance.label.unwrap_or_default();
        self.dispatch(&asker, &label, params, request).await
    }

    async fn dispatch(
        &self,
        asker: &Asker,
        label: &str,
        params: &Params,
        request: Request,
    ) -> Result<Response, ApiError> {
        let (endpoint, tenant, dialect) = (asker.endpoint, asker.tenant, asker.dialect);
        match endpoint {
            Endpoint::Index | Endpoint::Health | Endpoint::Healthy | Endpoint::Ready | Endpoint::Robots => {
                Ok(pages::fixed(endpoint, self.options.version))
            }
            Endpoint::BuildInfo => Ok(self.build_info(dialect)),
            Endpoint::RuntimeInfo => Ok(self.runtime_info(asker.now_ms)),
            Endpoint::StatusFlags => Ok(self.status_flags()),
            Endpoint::Flags => Ok(pages::flags(&self.options.flags)),
            Endpoint::Metrics => self.metrics().await,
            Endpoint::Query => self.instant(asker, params).await,
            Endpoint::QueryRange => self.range_query(asker, params).await,
            Endpoint::FormatQuery => self.format_query(asker, params),
            Endpoint::ParseQuery => self.parse_query(asker, params),
            Endpoint::PrettifyQuery => self.prettify_query(params),
            Endpoint::ExpandWithExprs => self.expand_with_exprs(params),
            Endpoint::ActiveQueries => Ok(self.active_queries(asker)),
            Endpoint::TopQueries => self.top_queries(asker, params),
            Endpoint::CancelQuery => self.cancel_query(asker, params),
            Endpoint::ResetCache => Ok(self.reset_cache()),
            Endpoint::NamesStats => self.metric_names_stats(tenant, params).await,
            Endpoint::ResetNamesStats => self.reset_metric_names_stats().await,
            Endpoint::RemoteRead => self.remote_read(asker, request).await,
            Endpoint::Federate => self.federate(asker, params).await,
            Endpoint::Export => self.export(asker, params).await,
            Endpoint::ExportCsv => self.export_csv(asker, params).await,
            Endpoint::ExportNative => self.export_native(asker, params).await,
            Endpoint::Series => self.series(asker, params).await,
            Endpoint::LabelNames => self.label_names(asker, params).await,
            Endpoint::LabelValues => self.label_values(asker, label, params).await,
            Endpoint::SeriesCount => self.series_count(tenant).await,
            Endpoint::StatusTsdb => self.status_tsdb(tenant, params).await,
            Endpoint::StatusConfig
            | Endpoint::QueryExemplars
            | Endpoint::Rules
            | Endpoint::Alerts
            | Endpoint::Notifiers => Ok(status::nothing(endpoint)),
            Endpoint::Metadata => self.metadata(tenant, params).await,
            Endpoint::DeleteSeries => self.delete_series(tenant, params).await,
            Endpoint::SnapshotCreate => self.snapshot_create().await,
            Endpoint::SnapshotCreatePrometheus => self.snapshot_create_prometheus().await,
            Endpoint::SnapshotList => self.snapshot_list().await,
            Endpoint::SnapshotDelete => self.snapshot_delete(params).await,
            Endpoint::SnapshotDeleteAll => self.snapshot_delete_all().await,
            Endpoint::ForceFlush => self.force_flush().await,
            Endpoint::ForceMerge => self.force_merge(params).await,
        }
    }
}
