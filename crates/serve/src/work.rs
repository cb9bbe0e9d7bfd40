//! Work on the store, on threads that may block.
//!
//! A query takes a place at the gate, holds it until its thread is done, and is cancelled when the future that waits for it is dropped, which
//! happens when the client leaves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use basalt_http::{Permit, StatusCode};
use query::QueryError;
use storage_api::{Admin, BoxFuture, Budget, Cancel, Select, SelectError, SelectRequest, SeriesStream};
use tokio::{runtime::Handle, task::spawn_blocking};

use crate::{Server, error::ApiError};

/// Cancels a query when dropped.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(Cancel);

impl CancelOnDrop {
    pub(crate) fn new(cancel: Cancel) -> Self {
        Self(cancel)
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A query that may work.
#[derive(Debug)]
pub(crate) struct Query {
    /// Held until the work is done.
    pub(crate) permit: Permit,
    /// Held until the answer is sent.
    pub(crate) guard: CancelOnDrop,
    /// What it may cost.
    pub(crate) budget: Budget,
}

impl Server {
    /// Waits for a place at the gate, until the deadline at most.
    pub(crate) async fn enter(&self, deadline: Option<Instant>) -> Result<Permit, ApiError> {
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        match tokio::time::timeout(left, self.gate.enter()).await {
            Ok(entered) => Ok(entered?),
            Err(_) => Err(QueryError::Timeout("the query ran out of time while it waited for its turn".into()).into()),
        }
    }

    /// Waits for a place at the gate.
    pub(crate) async fn begin(&self, series_max: u64, time_max: Duration) -> Result<Query, ApiError> {
        let permit = self.gate.enter().await?;
        let deadline = Instant::now().checked_add(time_max);
        let budget = Budget { series_max, deadline, ..Budget::default() };
        Ok(Query { permit, guard: CancelOnDrop(budget.cancel.clone()), budget })
    }

    /// Does all work of a query on a blocking thread.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        query: Query,
        work: impl FnOnce(&dyn Select, &Handle, Budget) -> Result<T, SelectError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let Query { permit, guard, budget } = query;
        let select = Arc::clone(&self.select);
        let runtime = Handle::current();
        let working = spawn_blocking(move || {
            let outcome = work(&*select, &runtime, budget);
            drop(permit);
            outcome
        });
        let outcome = working.await;
        drop(guard);
        Ok(outcome.map_err(|_| panicked())??)
    }

    /// Finds the series of a request; the place at the gate and the guard are handed back for the reading of them.
    pub(crate) async fn find(
        &self,
        query: Query,
        request: SelectRequest,
    ) -> Result<(Box<dyn SeriesStream>, Permit, CancelOnDrop), ApiError> {
        let Query { permit, guard, .. } = query;
        Ok((self.find_series(request).await?, permit, guard))
    }

    /// Finds series for one who holds a place at the gate.
    pub(crate) async fn find_series(&self, request: SelectRequest) -> Result<Box<dyn SeriesStream>, ApiError> {
        let select = Arc::clone(&self.select);
        let runtime = Handle::current();
        let working = spawn_blocking(move || runtime.block_on(select.select(request)));
        Ok(working.await.map_err(|_| panicked())??)
    }

    /// Does an operator's work on a blocking thread.
    pub(crate) async fn operate<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a dyn Admin) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    ) -> Result<T, ApiError>
    where
        ApiError: From<E>,
    {
        let admin = Arc::clone(&self.admin);
        let runtime = Handle::current();
        let working = spawn_blocking(move || runtime.block_on(work(&*admin)));
        Ok(working.await.map_err(|_| panicked())??)
    }
}

/// Waits for work that has so much time; timers are coarser than clocks, so the clock has the last word.
pub(crate) async fn within<T>(time_max: Duration, work: impl Future<Output = T>) -> Result<T, TooSlow> {
    let began = Instant::now();
    let done = tokio::time::timeout(time_max, work).await.map_err(|_| TooSlow)?;
    if began.elapsed() <= time_max { Ok(done) } else { Err(TooSlow) }
}

/// Work took longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSlow;

pub(crate) fn panicked() -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the work for this request ended in a panic; see the log")
}
