//! A store that refuses to be asked about what lies outside its retention (`-denyQueriesOutsideRetention`), instead of answering what is there: so that
//! who asks a store of days for a year learns that he has to ask another one.

use std::sync::Arc;

use model::{Clock, Tenant, TimeRange};
use storage_api::{
    BoxFuture, NamesRequest, Select, SelectError, SelectRequest, SeriesStream, ShardSet, ValuesRequest, Version,
};

/// See the module.
pub struct RetentionGuard {
    select: Arc<dyn Select>,
    clock: Arc<dyn Clock>,
    retention_ms: i64,
}

impl RetentionGuard {
    /// Stands before a store that keeps samples for so long.
    pub fn new(select: Arc<dyn Select>, clock: Arc<dyn Clock>, retention_ms: i64) -> Self {
        Self { select, clock, retention_ms }
    }

    fn check(&self, range: TimeRange) -> Result<(), SelectError> {
        let oldest = self.clock.now_ms().saturating_sub(self.retention_ms);
        if range.min > oldest {
            return Ok(());
        }
        let shown =
            |ms| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string());
        Err(SelectError::Unavailable(format!(
            "the request reaches from {} to {}, but -retentionPeriod keeps what is newer than {}; -denyQueriesOutsideRetention refuses such requests",
            shown(range.min),
            shown(range.max),
            shown(oldest)
        )))
    }
}

impl Select for RetentionGuard {
    fn select<'a>(&'a self, request: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        match self.check(request.range) {
            Ok(()) => self.select.select(request),
            Err(refused) => Box::pin(async { Err(refused) }),
        }
    }

    fn label_names<'a>(&'a self, request: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        match self.check(request.range) {
            Ok(()) => self.select.label_names(request),
            Err(refused) => Box::pin(async { Err(refused) }),
        }
    }

    fn label_values<'a>(&'a self, request: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        match self.check(request.names.range) {
            Ok(()) => self.select.label_values(request),
            Err(refused) => Box::pin(async { Err(refused) }),
        }
    }

    fn series_count<'a>(&'a self, tenant: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        self.select.series_count(tenant)
    }

    fn shards(&self, range: TimeRange) -> ShardSet {
        self.select.shards(range)
    }

    fn takes_sub_plans(&self) -> bool {
        self.select.takes_sub_plans()
    }

    fn versions(&self, tenant: Tenant, ranges: &[TimeRange]) -> Vec<Version> {
        self.select.versions(tenant, ranges)
    }
}
