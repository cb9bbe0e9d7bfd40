//! The Prometheus HTTP API and VictoriaMetrics' extras around it.
//!
//! 1. [`Endpoint::find`] knows an endpoint by its path, and whose data it is asked about.
//! 2. Arguments are read ([`args`], [`time`], [`selector`]) and checked before any work is done.
//! 3. Work on the store blocks, so it runs on a blocking thread, behind a gate that lets a bounded number of queries work at once ([`work`]). When
//!    the client leaves, the query is cancelled.
//! 4. Short answers are built whole. Exports stream in bounded memory; one that fails in the middle breaks the connection, so that no client
//!    takes it for complete.
//!
//! Architecture invariant: the only place where JSON goes out; knows nothing of who stands behind `Select` and `Admin`.

pub mod fuzz;
pub mod selector;
pub mod time;

mod admin;
mod args;
mod cardinality;
mod endpoint;
mod error;
mod export;
mod json;
mod labels;
mod metrics;
mod pages;
mod work;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use basalt_http::{Gate, MetricsSource, Request, Response};
use model::Clock;
use storage_api::{Admin, Select};

pub use endpoint::{Endpoint, Entrance};
pub use error::ApiError;

use crate::metrics::EndpointStats;

/// Queries that wait at the gate.
const WAITING_MAX: usize = 1000;

/// Bounds, keys and what there is to show.
#[derive(Debug, Clone)]
pub struct Options {
    /// Queries and exports at once.
    pub concurrent_max: usize,
    /// How long one waits for its turn.
    pub queue_wait_max: Duration,
    /// Series of an export.
    pub export_series_max: u64,
    /// Time of an export.
    pub export_time_max: Duration,
    /// Series of an answer of `/api/v1/series`.
    pub series_max: u64,
    /// Series that label names and values are collected from.
    pub labels_series_max: u64,
    /// Time of requests for series, label names and values.
    pub labels_time_max: Duration,
    /// Label names in an answer.
    pub label_names_max: usize,
    /// Label values in an answer.
    pub label_values_max: usize,
    /// Series that `/api/v1/status/tsdb` looks at.
    pub status_series_max: u64,
    /// The largest `topN` there.
    pub status_top_max: usize,
    /// Series of a delete.
    pub delete_series_max: u64,
    /// Time of a delete.
    pub delete_time_max: Duration,
    /// What `authKey` must be, by what it protects.
    pub keys: Keys,
    /// Every flag with its value, and whether it was given.
    pub flags: Vec<(&'static str, String, bool)>,
    /// The program's name and version.
    pub version: &'static str,
    /// The data folder as the operator knows it, a label of some metrics.
    pub data_path: String,
    /// `-storage.minFreeDiskSpaceBytes`, for `/metrics`.
    pub free_disk_bytes_min: u64,
    /// `-storage.maxHourlySeries`, for `/metrics`.
    pub hourly_series_max: u64,
    /// `-storage.maxDailySeries`, for `/metrics`.
    pub daily_series_max: u64,
}

/// What `authKey` must be; empty lets everybody in.
#[derive(Clone, Default)]
pub struct Keys {
    /// For deleting series.
    pub delete: String,
    /// For snapshots.
    pub snapshot: String,
    /// For forced merges.
    pub force_merge: String,
    /// For forced flushes.
    pub force_flush: String,
    /// For `/metrics`.
    pub metrics: String,
    /// For `/flags`.
    pub flags: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(secret)")
    }
}

/// Answers requests out of a store.
pub struct Server {
    select: Arc<dyn Select>,
    admin: Arc<dyn Admin>,
    clock: Arc<dyn Clock>,
    sources: Vec<Arc<dyn MetricsSource>>,
    options: Options,
    gate: Gate,
    stats: Vec<EndpointStats>,
    forced_merges: Arc<AtomicU64>,
}

impl Server {
    /// A server in front of a store; `/metrics` shows the `sources` as well.
    pub fn new(
        select: Arc<dyn Select>,
        admin: Arc<dyn Admin>,
        clock: Arc<dyn Clock>,
        sources: Vec<Arc<dyn MetricsSource>>,
        options: Options,
    ) -> Self {
        let gate = Gate::new(options.concurrent_max, WAITING_MAX, options.queue_wait_max);
        let stats = Endpoint::ALL.iter().map(|_| EndpointStats::default()).collect();
        Self { select, admin, clock, sources, options, gate, stats, forced_merges: Arc::default() }
    }

    /// Answers a request at an endpoint.
    pub async fn serve(&self, entrance: Entrance, request: Request) -> Response {
        let began = Instant::now();
        let (peer, endpoint) = (request.peer, entrance.endpoint);
        let outcome = self.dispatch(entrance, request).await;
        let stats = &self.stats[endpoint as usize];
        stats.count(began.elapsed(), outcome.is_err());
        outcome.unwrap_or_else(|error| {
            if error.is_ours() {
                log::warn!("cannot answer {} for {peer}: {error}", endpoint.path());
            }
            error.into_response()
        })
    }

    async fn dispatch(
        &self,
        Entrance { endpoint, tenant, label }: Entrance,
        mut request: Request,
    ) -> Result<Response, ApiError> {
        endpoint.check_method(request.method())?;
        let params = request.params().await?;
        self.check_key(endpoint, &params)?;
        match endpoint {
            Endpoint::Index | Endpoint::Health | Endpoint::Healthy | Endpoint::Ready | Endpoint::Robots => {
                Ok(pages::fixed(endpoint, self.options.version))
            }
            Endpoint::BuildInfo => Ok(pages::build_info()),
            Endpoint::Flags => Ok(pages::flags(&self.options.flags)),
            Endpoint::Metrics => self.metrics().await,
            Endpoint::Export => self.export(tenant, &params).await,
            Endpoint::Series => self.series(tenant, &params).await,
            Endpoint::LabelNames => self.label_names(tenant, &params).await,
            Endpoint::LabelValues => self.label_values(tenant, label.unwrap_or_default(), &params).await,
            Endpoint::SeriesCount => self.series_count(tenant).await,
            Endpoint::StatusTsdb => self.status_tsdb(tenant, &params).await,
            Endpoint::Metadata => self.metadata(tenant, &params).await,
            Endpoint::DeleteSeries => self.delete_series(tenant, &params).await,
            Endpoint::SnapshotCreate => self.snapshot_create().await,
            Endpoint::SnapshotCreatePrometheus => self.snapshot_create_prometheus().await,
            Endpoint::SnapshotList => self.snapshot_list().await,
            Endpoint::SnapshotDelete => self.snapshot_delete(&params).await,
            Endpoint::SnapshotDeleteAll => self.snapshot_delete_all().await,
            Endpoint::ForceFlush => self.force_flush().await,
            Endpoint::ForceMerge => self.force_merge(&params).await,
        }
    }
}
