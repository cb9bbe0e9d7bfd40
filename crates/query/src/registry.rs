//! The queries that run now.
//!
//! 1. A query is entered when it begins and leaves when its [`Entry`] is dropped, however it ends.
//! 2. Whoever knows its number can cancel it; the query sees that at its next look at the budget.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use storage_api::Cancel;

use crate::api::{ActiveQuery, Query, Span};

/// All queries that run.
#[derive(Debug, Default)]
pub struct Registry {
    next: AtomicU64,
    running: Mutex<BTreeMap<u64, Running>>,
}

#[derive(Debug)]
struct Running {
    text: String,
    span: Span,
    remote_addr: String,
    begin: Instant,
    cancel: Cancel,
}

/// Keeps a query in the registry.
pub struct Entry {
    registry: Arc<Registry>,
    id: u64,
}

impl Registry {
    /// Enters a query.
    pub fn enter(self: &Arc<Self>, query: &Query) -> Entry {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let running = Running {
            text: query.text.clone(),
            span: query.span,
            remote_addr: query.remote_addr.clone(),
            begin: Instant::now(),
            cancel: query.cancel.clone(),
        };
        self.running.lock().insert(id, running);
        Entry { registry: Arc::clone(self), id }
    }

    /// The queries, the longest running first.
    pub fn list(&self) -> Vec<ActiveQuery> {
        let active = |(id, running): (&u64, &Running)| ActiveQuery {
            id: *id,
            text: running.text.clone(),
            span: running.span,
            remote_addr: running.remote_addr.clone(),
            elapsed: running.begin.elapsed(),
        };
        self.running.lock().iter().map(active).collect()
    }

    /// Cancels a query; false if there is none of this number.
    pub fn cancel(&self, id: u64) -> bool {
        let running = self.running.lock();
        let found = running.get(&id);
        if let Some(running) = found {
            running.cancel.cancel();
        }
        found.is_some()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.running.lock().remove(&self.id);
    }
}
