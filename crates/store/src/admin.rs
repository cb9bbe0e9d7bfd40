//! The store as its operator sees it.

use model::{Tenant, TimeRange};
use part::SearchesStats;
use storage_api::{
    Admin, AdminError, BoxFuture, CacheStats, Cardinality, CardinalityRequest, Completeness, DeleteRequest,
    MetadataEntry, SelectError, StoreStats,
};

use crate::{Store, cardinality, counters::get, error::StoreError, inner::Inner, select, snapshots};

fn failed(error: impl std::fmt::Display) -> AdminError {
    AdminError::Failed(error.to_string())
}

impl Admin for Store {
    fn flush<'a>(&'a self) -> BoxFuture<'a, Result<(), AdminError>> {
        self.blocking(|inner| inner.flush().map_err(failed))
    }

    fn merge<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), AdminError>> {
        let prefix = prefix.to_string();
        self.blocking(move |inner| inner.merge_partitions(&prefix).map(drop).map_err(failed))
    }

    fn create_snapshot<'a>(&'a self) -> BoxFuture<'a, Result<String, AdminError>> {
        self.blocking(|inner| inner.create_snapshot().map_err(failed))
    }

    fn list_snapshots(&self) -> Result<Vec<String>, AdminError> {
        snapshots::list(&*self.inner.disk).map_err(failed)
    }

    fn delete_snapshot(&self, name: &str) -> Result<(), AdminError> {
        let _turn = self.inner.snapshots.lock();
        match snapshots::delete(&*self.inner.disk, name) {
            Ok(true) => Ok(()),
            Ok(false) => Err(AdminError::NotFound(format!("there is no snapshot {name:?}"))),
            Err(error) => Err(failed(error)),
        }
    }

    fn check_delete<'a>(&'a self, request: DeleteRequest) -> BoxFuture<'a, Result<(), AdminError>> {
        self.blocking(move |inner| inner.check_delete(&request).map(drop))
    }

    fn delete_series<'a>(&'a self, request: DeleteRequest) -> BoxFuture<'a, Result<u64, AdminError>> {
        Box::pin(async move {
            let (series, ticket) = self.blocking(move |inner| inner.delete(&request)).await?;
            ticket.await.map_err(failed)?;
            Ok(series)
        })
    }

    fn tenants<'a>(&'a self, range: TimeRange) -> BoxFuture<'a, Result<Vec<Tenant>, AdminError>> {
        self.blocking(move |inner| select::tenants(inner, range).map_err(failed))
    }

    fn metadata<'a>(
        &'a self,
        tenant: Tenant,
        metric: Option<&'a str>,
        limit: usize,
        _: &'a Completeness,
    ) -> BoxFuture<'a, Result<Vec<MetadataEntry>, AdminError>> {
        Box::pin(async move { Ok(self.inner.metadata.list(tenant, metric, limit)) })
    }

    fn cardinality<'a>(&'a self, request: CardinalityRequest) -> BoxFuture<'a, Result<Cardinality, AdminError>> {
        self.blocking(move |inner| cardinality::count(inner, &request).map_err(not_counted))
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
}

/// Series that an operator asked for could not be counted: too many, or wrongly named, are his affair.
pub fn not_counted(error: SelectError) -> AdminError {
    match error {
        SelectError::TooManySeries { .. } | SelectError::BadMatcher(_) => AdminError::Invalid(error.to_string()),
        other => failed(other),
    }
}

impl Inner {
    fn create_snapshot(&self) -> Result<String, StoreError> {
        let mut number = self.snapshots.lock();
        self.flush()?;
        *number += 1;
        let name = snapshots::name(self.clock.now_ms(), *number);
        // While the parts cannot be replaced, their files can be linked.
        let published = self.published.lock();
        let mut manifest = self.manifest(&published);
        // The snapshot has no log: it holds all that was flushed.
        (manifest.wal_floor, manifest.floor_seq) = (0, 0);
        snapshots::create(&*self.disk, &name, &manifest)?;
        Ok(name)
    }

    fn encodings_stats(&self) -> CacheStats {
        let (requests, misses) = self.head.encodings_asked_and_missed();
        let bytes = self.head.bytes().encodings as u64;
        CacheStats { entries: self.head.encodings() as u64, bytes, requests, misses }
    }

    fn searches_stats(&self) -> CacheStats {
        let SearchesStats { entries, bytes, requests, misses } = self.searches.stats();
        CacheStats { entries: entries as u64, bytes: bytes as u64, requests, misses }
    }

    /// Counters and gauges.
    pub fn stats(&self) -> StoreStats {
        let state = self.shared.get();
        let now = self.clock.now_ms();
        let metas = || state.parts.iter().map(|part| part.meta());
        let counters = &self.counters;
        StoreStats {
            rows_inserted: get(&counters.rows_inserted),
            refused: counters.refused(),
            series_created: self.head.series_created(),
            series_active: self.head.series_count() as u64,
            keys_received: get(&counters.keys_received),
            encodings: self.encodings_stats(),
            searches: self.searches_stats(),
            head_samples: state.generations.iter().map(|generation| generation.rows.rows() as u64).sum(),
            head_bytes: self.head_bytes(),
            part_samples: metas().map(|meta| meta.samples).sum(),
            part_series: metas().map(|meta| u64::from(meta.series)).sum(),
            parts: state.parts.len() as u64,
            columns_bytes: metas().map(|meta| meta.columns_bytes).sum(),
            index_bytes: metas().map(|meta| meta.index_bytes).sum(),
            log_bytes: self.wal.bytes(),
            log_commits: self.wal.stats().commits,
            flushes: get(&counters.flushes),
            merges: get(&counters.merges),
            merges_active: get(&counters.merges_active),
            merged_samples: get(&counters.merged_samples),
            deduplicated: get(&counters.deduplicated),
            quarantined_parts: get(&counters.quarantined_parts),
            damaged_records: get(&counters.damaged_records),
            read_only: self.read_only.reason().is_some(),
            free_disk_bytes: get(&self.free_bytes),
            tombstones: state.tombstones.len() as u64,
            hourly_series: self.hourly.current(now),
            daily_series: self.daily.current(now),
        }
    }
}
