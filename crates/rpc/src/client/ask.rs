//! Questions to another node: series, names, values.

use std::time::{Duration, Instant};

use model::{Tenant, TimeRange};
use storage_api::{Budget, NamesRequest, SelectRequest, ShardSet, ShardWord, ValuesRequest, Version};

use super::{Node, RemoteStream};
use crate::{
    RpcError,
    wire::{
        messages::{
            CardinalityQuestion, Nothing, Number, RangesMessage, TenantMessage, Texts, VersionsMessage, WordMessage,
        },
        path, requests,
        word::word,
    },
};

/// A query without a deadline ends after this time.
const QUERY_TIME_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Names or values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Sorted.
    pub texts: Vec<String>,
    /// Of which shards the node has all that was acknowledged in the range that was asked for.
    pub complete: ShardSet,
}

impl Node {
    /// The series that the node has for a request, as a stream.
    pub async fn select(&self, request: &SelectRequest) -> Result<RemoteStream, RpcError> {
        self.hello().await?;
        let question = requests::select_message(request);
        self.open(&question, &request.budget, time_left(&request.budget)).await
    }

    /// What the node says of its shards.
    pub async fn shards(&self, range: TimeRange) -> Result<ShardWord, RpcError> {
        self.hello().await?;
        let question = requests::range_message(range);
        let answer: WordMessage = self.call(path::SHARDS, &question, self.options.call_time_max).await?;
        word(Some(&answer)).map_err(|why| RpcError::Wrong(format!("{}: its answer has {why}", self.address)))
    }

    /// Label names.
    pub async fn label_names(&self, request: &NamesRequest) -> Result<Found, RpcError> {
        self.texts(path::LABEL_NAMES, request, "").await
    }

    /// Values of a label.
    pub async fn label_values(&self, request: &ValuesRequest) -> Result<Found, RpcError> {
        self.texts(path::LABEL_VALUES, &request.names, &request.label).await
    }

    async fn texts(&self, path: &'static str, request: &NamesRequest, label: &str) -> Result<Found, RpcError> {
        self.hello().await?;
        let question = requests::names_message(request, label);
        let answer: Texts = self.call(path, &question, time_left(&request.budget)).await?;
        if answer.lacks {
            request.budget.completeness.lack();
        }
        let odd = |why| RpcError::Wrong(format!("{}: its answer has {why}", self.address));
        let complete = requests::shards(&answer.complete).map_err(odd)?;
        Ok(Found { texts: answer.texts, complete })
    }

    /// How many series a tenant has there.
    pub async fn series_count(&self, tenant: Tenant) -> Result<u64, RpcError> {
        self.hello().await?;
        let question: TenantMessage = requests::tenant_message(tenant);
        let answer: Number = self.call(path::SERIES_COUNT, &question, self.options.call_time_max).await?;
        Ok(answer.number)
    }

    /// The versions of ranges there.
    pub async fn versions(&self, tenant: Tenant, ranges: &[TimeRange]) -> Result<Vec<Version>, RpcError> {
        self.hello().await?;
        let question = RangesMessage {
            tenant: Some(requests::tenant_message(tenant)),
            ranges: ranges.iter().map(|range| requests::range_message(*range)).collect(),
        };
        let answer: VersionsMessage = self.call(path::VERSIONS, &question, self.options.call_time_max).await?;
        if answer.versions.len() != ranges.len() {
            let why = format!("{} versions for {} ranges", answer.versions.len(), ranges.len());
            return Err(RpcError::Wrong(format!("{}: its answer has {why}", self.address)));
        }
        Ok(answer.versions.into_iter().map(Version).collect())
    }

    pub(super) async fn ask_nothing(&self, path: &'static str, time_max: Duration) -> Result<(), RpcError> {
        self.hello().await?;
        self.call::<Nothing, Nothing>(path, &Nothing {}, time_max).await.map(drop)
    }

    pub(super) async fn ask_cardinality(
        &self,
        question: &CardinalityQuestion,
    ) -> Result<crate::wire::messages::CardinalityMessage, RpcError> {
        self.hello().await?;
        self.call(path::CARDINALITY, question, self.options.call_time_max).await
    }
}

fn time_left(budget: &Budget) -> Duration {
    let left = budget.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    left.unwrap_or(QUERY_TIME_MAX).min(QUERY_TIME_MAX)
}
