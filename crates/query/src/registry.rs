//! The queries that run now.
//!
//! 1. A query is entered when it begins and leaves when its [`Entry`] is dropped, however it ends.
//! 2. Whoever knows its number can cancel it; the query sees that at its next look at the budget.
//! 3. A tenant sees and cancels its own ones only.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use model::Tenant;
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
    tenant: Tenant,
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
            tenant: query.tenant,
            text: query.text.clone(),
            span: query.span,
            remote_addr: query.remote_addr.clone(),
            begin: Instant::now(),
            cancel: query.cancel.clone(),
        };
        self.running.lock().insert(id, running);
        Entry { registry: Arc::clone(self), id }
    }

    /// The queries of a tenant, or of all, the longest running first.
    pub fn list(&self, of: Option<Tenant>) -> Vec<ActiveQuery> {
        let active = |(id, running): (&u64, &Running)| ActiveQuery {
            id: *id,
            text: running.text.clone(),
            span: running.span,
            remote_addr: running.remote_addr.clone(),
            elapsed: running.begin.elapsed(),
        };
        self.running.lock().iter().filter(|(_, running)| running.is_of(of)).map(active).collect()
    }

    /// Cancels a query; false if there is none of this number and tenant.
    pub fn cancel(&self, id: u64, of: Option<Tenant>) -> bool {
        let running = self.running.lock();
        let found = running.get(&id).filter(|running| running.is_of(of));
        if let Some(running) = found {
            running.cancel.cancel();
        }
        found.is_some()
    }
}

impl Running {
    fn is_of(&self, tenant: Option<Tenant>) -> bool {
        tenant.is_none_or(|tenant| tenant == self.tenant)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.running.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;

    #[test]
    fn a_tenant_sees_and_cancels_its_own_queries() {
        let registry = Arc::new(Registry::default());
        let query = |account, text| {
            let span = Span::Instant { time: 0, step: 1 };
            Query::new(Tenant::new(account, 0), text, Dialect::MetricsQl, span)
        };
        let (own, other) = (query(7, "own"), query(8, "other"));
        let (_own, _other) = (registry.enter(&own), registry.enter(&other));
        let texts = |of| registry.list(of).into_iter().map(|active| active.text).collect::<Vec<_>>();
        assert_eq!(texts(Some(own.tenant)), ["own"]);
        assert_eq!(texts(None), ["own", "other"]);
        let id = registry.list(Some(other.tenant))[0].id;
        assert!(!registry.cancel(id, Some(own.tenant)) && !other.cancel.is_cancelled());
        assert!(registry.cancel(id, Some(other.tenant)) && other.cancel.is_cancelled());
        let id = registry.list(Some(own.tenant))[0].id;
        assert!(registry.cancel(id, None) && own.cancel.is_cancelled(), "the operator may");
    }
}
