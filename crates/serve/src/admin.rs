//! What an operator asks for: deletes, snapshots, forced work, metadata.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use basalt_http::{Params, Response, StatusCode, empty, json, plain};
use model::{Tenant, TimeRange};
use storage_api::{AdminError, DeleteRequest, MetadataEntry};

use crate::{Server, args, error::ApiError, json::Json, labels::opening, work};

/// Entries of `/api/v1/metadata`.
const METADATA_MAX: usize = 1_000_000;

impl Server {
    pub(crate) async fn delete_series(&self, tenant: Tenant, params: &Params) -> Result<Response, ApiError> {
        let start = self.time(params, "start")?.unwrap_or(i64::MIN);
        let end = self.time(params, "end")?.unwrap_or(i64::MAX);
        let request = DeleteRequest {
            tenant,
            selector: args::selector(params)?,
            range: TimeRange::new(start, end),
            series_max: self.options.delete_series_max,
        };
        let deleting = self.operate(move |admin| admin.delete_series(request));
        let hit = work::within(self.options.delete_time_max, deleting).await.map_err(|_| {
            let why = format!("the delete took longer than {:?}, and goes on by itself", self.options.delete_time_max);
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, why)
        })??;
        let matches: Vec<&str> = params.all("match[]").collect();
        log::info!("deleted {hit} series of tenant {tenant} for {matches:?}");
        Ok(empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn snapshot_create(&self) -> Result<Response, ApiError> {
        let name = self.operate(|admin| admin.create_snapshot()).await?;
        let shown = ok_with("snapshot", |out| {
            out.text(&name);
        });
        Ok(json(StatusCode::OK, shown))
    }

    pub(crate) async fn snapshot_create_prometheus(&self) -> Result<Response, ApiError> {
        let name = self.operate(|admin| admin.create_snapshot()).await?;
        let mut body = Json::default();
        body.raw("{\"status\":\"success\",\"data\":{\"name\":").text(&name).raw("}}");
        Ok(json(StatusCode::OK, body.into_bytes()))
    }

    pub(crate) async fn snapshot_list(&self) -> Result<Response, ApiError> {
        let names = self.operate(|admin| Box::pin(async move { admin.list_snapshots() })).await?;
        let shown = ok_with("snapshots", |out| {
            out.texts(&names);
        });
        Ok(json(StatusCode::OK, shown))
    }

    pub(crate) async fn snapshot_delete(&self, params: &Params) -> Result<Response, ApiError> {
        let name =
            params.get("snapshot").ok_or_else(|| ApiError::bad_request("missing argument snapshot"))?.to_string();
        self.operate(move |admin| Box::pin(async move { admin.delete_snapshot(&name) })).await?;
        Ok(json(StatusCode::OK, "{\"status\":\"ok\"}"))
    }

    pub(crate) async fn snapshot_delete_all(&self) -> Result<Response, ApiError> {
        let deleting = self.operate(|admin| {
            Box::pin(async move {
                for name in admin.list_snapshots()? {
                    match admin.delete_snapshot(&name) {
                        // Somebody else was faster.
                        Ok(()) | Err(AdminError::NotFound(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })
        });
        deleting.await?;
        Ok(json(StatusCode::OK, "{\"status\":\"ok\"}"))
    }

    pub(crate) async fn force_flush(&self) -> Result<Response, ApiError> {
        self.operate(|admin| admin.flush()).await?;
        Ok(plain(StatusCode::OK, ""))
    }

    /// Answers at once and merges in the background, as VictoriaMetrics does; with `wait=1` answers when it is done.
    pub(crate) async fn force_merge(&self, params: &Params) -> Result<Response, ApiError> {
        let prefix = params.get("partition_prefix").unwrap_or("").to_string();
        let admin = Arc::clone(&self.admin);
        let runtime = tokio::runtime::Handle::current();
        let running = Running::begin(&self.forced_merges);
        let merging = tokio::task::spawn_blocking(move || {
            let _running = running;
            log::info!("forced merge of partitions {prefix:?} has begun");
            match runtime.block_on(admin.merge(&prefix)) {
                Ok(()) => log::info!("forced merge of partitions {prefix:?} is done"),
                Err(error) => {
                    log::error!("forced merge of partitions {prefix:?} failed: {error}");
                    return Err(error);
                }
            }
            Ok(())
        });
        if params.switch("wait") {
            let panicked = |_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the merge ended in a panic");
            merging.await.map_err(panicked)??;
        }
        Ok(plain(StatusCode::OK, ""))
    }

    pub(crate) async fn metadata(&self, tenant: Tenant, params: &Params) -> Result<Response, ApiError> {
        let limit = args::limit(params, METADATA_MAX)?;
        let per_metric = params.number("limit_per_metric")?.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        let metric = params.get("metric").map(str::to_string);
        let completeness = self.completeness(params);
        let told = completeness.clone();
        let asking = self.operate(move |admin| {
            Box::pin(async move { admin.metadata(tenant, metric.as_deref(), limit, &told).await })
        });
        let entries = asking.await?;
        let mut body = Json::default();
        body.raw(opening(self.options.has_nodes, &completeness)).raw("{");
        let families = entries.chunk_by(|one, next| one.metric == next.metric).take(limit);
        for (index, family) in families.enumerate() {
            body.raw(if index > 0 { "," } else { "" }).text(&family[0].metric).raw(":");
            let shown = usize::try_from(per_metric).unwrap_or(usize::MAX).min(family.len());
            body.list(&family[..shown], metadata_entry);
        }
        body.raw("}}");
        Ok(json(StatusCode::OK, body.into_bytes()))
    }
}

fn metadata_entry(out: &mut Json, entry: &MetadataEntry) {
    out.raw("{\"type\":").text(&entry.kind).raw(",\"unit\":").text(&entry.unit);
    out.raw(",\"help\":").text(&entry.help).raw("}");
}

fn ok_with(name: &str, value: impl FnOnce(&mut Json)) -> Vec<u8> {
    let mut body = Json::default();
    body.raw("{\"status\":\"ok\",").text(name).raw(":");
    value(&mut body);
    body.raw("}");
    body.into_bytes()
}

/// Counts what runs.
struct Running(Arc<AtomicU64>);

impl Running {
    fn begin(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
