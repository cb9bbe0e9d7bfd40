//! What gathering is told, and what it counts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::RwLock;
use tokio::runtime::Handle;

use crate::Members;

/// How answers are put together.
#[derive(Debug, Clone, Default)]
pub struct GatherOptions {
    /// `-search.skipSlowReplicas`: as soon as the nodes that answered have everything, the others are not waited for.
    pub skip_slow: bool,
    /// `-dedup.minScrapeInterval`: of each interval one sample stays; 0 for all.
    pub dedup_interval_ms: i64,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct GatherStats {
    /// Questions of all kinds.
    pub requests: AtomicU64,
    /// Those whose answer lacked a node.
    pub partial: AtomicU64,
    /// Those without an answer because nodes were missing.
    pub refused: AtomicU64,
    /// Nodes that did not answer, over all questions.
    pub missing: AtomicU64,
}

/// Many storage nodes as one.
pub struct Gather {
    members: RwLock<Arc<Members>>,
    pub(crate) options: GatherOptions,
    pub(crate) runtime: Handle,
    pub(crate) stats: GatherStats,
    /// For versions of what could not be asked: no two are equal.
    never_again: AtomicU64,
}

impl Gather {
    /// Must be called inside the runtime that is to do the work.
    pub fn new(members: Members, options: GatherOptions) -> Self {
        Self {
            members: RwLock::new(Arc::new(members)),
            options,
            runtime: Handle::current(),
            stats: GatherStats::default(),
            never_again: AtomicU64::new(1),
        }
    }

    /// Asks these nodes from now on.
    pub fn replace(&self, members: Members) {
        *self.members.write() = Arc::new(members);
    }

    /// The nodes that are asked.
    pub fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members.read())
    }

    /// What was counted.
    pub fn stats(&self) -> &GatherStats {
        &self.stats
    }

    /// Whether copies of one sample that several nodes have count once.
    pub(crate) fn collapses(&self, members: &Members) -> bool {
        members.copies() > 1 || self.options.dedup_interval_ms > 0
    }

    pub(crate) fn unique(&self) -> u64 {
        self.never_again.fetch_add(1, Relaxed)
    }
}
