//! What an operator asks of another node.

use std::time::Duration;

use model::{Tenant, TimeRange};
use storage_api::{Cardinality, CardinalityRequest, Completeness, DeleteRequest, MetadataEntry};

use super::Node;
use crate::{
    RpcError,
    wire::{
        messages::{MetadataList, MetadataQuestion, Nothing, Number, RangeMessage, Tenants, Texts},
        path, requests,
    },
};

/// Flushes, merges, snapshots and deletes may take long.
const WORK_TIME_MAX: Duration = Duration::from_secs(3600);

impl Node {
    /// Moves everything in the node's memory into parts.
    pub async fn flush(&self) -> Result<(), RpcError> {
        self.ask_nothing(path::FLUSH, WORK_TIME_MAX).await
    }

    /// Merges the node's partitions whose names start with `prefix`.
    pub async fn merge(&self, prefix: &str) -> Result<(), RpcError> {
        self.hello().await?;
        let question = Texts { texts: vec![prefix.to_string()], ..Texts::default() };
        self.call::<_, Texts>(path::MERGE, &question, WORK_TIME_MAX).await.map(drop)
    }

    /// Makes a snapshot on the node and gives its name.
    pub async fn create_snapshot(&self) -> Result<String, RpcError> {
        let answer = self.snapshots(path::SNAPSHOT_CREATE, None).await?;
        answer.into_iter().next().ok_or_else(|| RpcError::Wrong(format!("{}: a snapshot without a name", self.address)))
    }

    /// Names of the node's snapshots.
    pub async fn list_snapshots(&self) -> Result<Vec<String>, RpcError> {
        self.snapshots(path::SNAPSHOT_LIST, None).await
    }

    /// Removes a snapshot of the node.
    pub async fn delete_snapshot(&self, name: &str) -> Result<(), RpcError> {
        self.snapshots(path::SNAPSHOT_DELETE, Some(name)).await.map(drop)
    }

    async fn snapshots(&self, path: &'static str, name: Option<&str>) -> Result<Vec<String>, RpcError> {
        self.hello().await?;
        let question = Texts { texts: name.into_iter().map(str::to_string).collect(), ..Texts::default() };
        let answer: Texts = self.call(path, &question, WORK_TIME_MAX).await?;
        Ok(answer.texts)
    }

    /// Whether the node would do a delete now.
    pub async fn check_delete(&self, request: &DeleteRequest) -> Result<(), RpcError> {
        self.hello().await?;
        let question = requests::delete_message(request);
        self.call::<_, Nothing>(path::CHECK_DELETE, &question, self.options.call_time_max).await.map(drop)
    }

    /// Hides what the node stored before the call; gives the number of series hit.
    pub async fn delete_series(&self, request: &DeleteRequest) -> Result<u64, RpcError> {
        self.hello().await?;
        let question = requests::delete_message(request);
        let answer: Number = self.call(path::DELETE_SERIES, &question, WORK_TIME_MAX).await?;
        Ok(answer.number)
    }

    /// Tenants with samples in the range.
    pub async fn tenants(&self, range: TimeRange) -> Result<Vec<Tenant>, RpcError> {
        self.hello().await?;
        let question: RangeMessage = requests::range_message(range);
        let answer: Tenants = self.call(path::TENANTS, &question, self.options.call_time_max).await?;
        Ok(answer.tenants.iter().map(|tenant| Tenant::new(tenant.account, tenant.project)).collect())
    }

    /// What the node knows about metrics.
    pub async fn metadata(
        &self,
        tenant: Tenant,
        metric: Option<&str>,
        limit: usize,
        completeness: &Completeness,
    ) -> Result<Vec<MetadataEntry>, RpcError> {
        self.hello().await?;
        let question = MetadataQuestion {
            tenant: Some(requests::tenant_message(tenant)),
            metric: metric.map(str::to_string),
            limit: limit as u64,
            may_lack: completeness.may_lack(),
        };
        let answer: MetadataList = self.call(path::METADATA, &question, self.options.call_time_max).await?;
        if answer.lacks {
            completeness.lack();
        }
        Ok(answer.entries.into_iter().map(requests::metadata_entry).collect())
    }

    /// The node's statistics.
    pub async fn cardinality(&self, request: &CardinalityRequest) -> Result<Cardinality, RpcError> {
        let answer = self.ask_cardinality(&requests::cardinality_message(request)).await?;
        Ok(requests::cardinality(answer))
    }
}
