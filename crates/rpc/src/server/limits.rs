//! What others may ask of this node: no more than its own flags allow, whatever theirs allow.
//!
//! So many questions are worked on at once. A place is held only while work is done here, and given back while an answer waits for its reader: two askers who
//! wait for each other's nodes hold nobody up.

use std::{sync::Arc, time::Duration};

use storage_api::{Budget, NamesRequest, SelectError};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Limits of what others ask.
#[derive(Debug, Clone, Copy)]
pub struct NodeLimits {
    /// `-search.maxUniqueTimeseries`: series that one selector may mean.
    pub series_max: u64,
    /// `-search.maxTagKeys`: label names of an answer.
    pub label_names_max: usize,
    /// `-search.maxTagValues`: values of a label of an answer.
    pub label_values_max: usize,
    /// `-search.maxDeleteSeries`: series of a delete.
    pub deletes_max: u64,
    /// `-search.maxConcurrentRequests`: questions that are worked on at once.
    pub at_once: usize,
    /// `-search.maxQueueDuration`: how long a question waits for that.
    pub wait_max: Duration,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            series_max: u64::MAX,
            label_names_max: usize::MAX,
            label_values_max: usize::MAX,
            deletes_max: u64::MAX,
            at_once: Semaphore::MAX_PERMITS,
            wait_max: Duration::MAX,
        }
    }
}

impl NodeLimits {
    pub(super) fn bound(&self, budget: &mut Budget) {
        budget.series_max = budget.series_max.min(self.series_max);
    }

    pub(super) fn bound_names(&self, request: &mut NamesRequest, names_max: usize) {
        self.bound(&mut request.budget);
        request.limit = request.limit.min(names_max);
    }
}

/// Where questions get their places.
#[derive(Debug)]
pub(super) struct Places {
    places: Arc<Semaphore>,
    limits: NodeLimits,
}

impl Places {
    pub(super) fn new(limits: NodeLimits) -> Self {
        Self { places: Arc::new(Semaphore::new(limits.at_once)), limits }
    }

    /// Waits for a place.
    pub(super) async fn place(&self) -> Result<Place, SelectError> {
        let NodeLimits { at_once, wait_max, .. } = self.limits;
        let places = Arc::clone(&self.places);
        match timeout(wait_max, Arc::clone(&places).acquire_owned()).await {
            Ok(held) => Ok(Place { places, held: held.ok() }),
            Err(_) => Err(SelectError::Unavailable(format!(
                "a question waited {wait_max:?} since -search.maxConcurrentRequests={at_once} others were worked on; -search.maxQueueDuration allows no more"
            ))),
        }
    }
}

/// A place, as long as it lives.
pub(super) struct Place {
    places: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Waits for something else, and then for a place again. Blocks the thread.
    pub(super) fn leave_for<T>(&mut self, runtime: &Handle, wait: impl FnOnce() -> T) -> T {
        self.held = None;
        let done = wait();
        self.held = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(held) => Some(held),
            Err(_) => runtime.block_on(Arc::clone(&self.places).acquire_owned()).ok(),
        };
        done
    }
}
