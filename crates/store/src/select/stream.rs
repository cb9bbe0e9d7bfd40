//! Hands out the list of series in chunks.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use storage_api::{SelectError, SeriesChunk, SeriesStream};

use super::{chunk::Chunk, plan::Plan};

/// So many series are handed out at once: enough that taking them costs nothing, few enough that workers end together.
pub const CHUNK_SERIES: usize = 64;

/// The series of one answer.
pub struct Stream {
    plan: Arc<Plan>,
    next: AtomicUsize,
}

impl Stream {
    /// All series of a plan.
    pub fn new(plan: Plan) -> Self {
        Self { plan: Arc::new(plan), next: AtomicUsize::new(0) }
    }
}

impl SeriesStream for Stream {
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        self.plan.request.budget.check()?;
        let start = self.next.fetch_add(CHUNK_SERIES, Ordering::Relaxed);
        let end = self.plan.union.ids.len().min(start.saturating_add(CHUNK_SERIES));
        if start >= end {
            return Ok(None);
        }
        Ok(Some(Box::new(Chunk::new(Arc::clone(&self.plan), start..end))))
    }

    fn series_total(&self) -> Option<u64> {
        Some(self.plan.union.ids.len() as u64)
    }
}
