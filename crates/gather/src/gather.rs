//! What gathering is told, and what it counts.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use rpc::RpcError;
use storage_api::SelectError;
use tokio::runtime::Handle;

use crate::{Members, assign::Assignment, coverage::Coverage, rounds::GivingUp};

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
    /// Rounds of questions for series.
    pub rounds: AtomicU64,
    /// Questions for series in which a slow node was given up, as the others had everything.
    pub given_up: AtomicU64,
    /// Questions for series that came with a sub-plan.
    pub sub_plans: AtomicU64,
    /// Those of them to which partial results came.
    pub partial_results: AtomicU64,
    /// Bytes of series and partial results that came.
    pub bytes: AtomicU64,
    /// Nodes that broke off in the middle of an answer and for which others stood in.
    pub stood_in: AtomicU64,
}

/// Many storage nodes as one.
pub struct Gather {
    members: RwLock<Arc<Members>>,
    pub(crate) options: GatherOptions,
    pub(crate) runtime: Handle,
    pub(crate) stats: Arc<GatherStats>,
    pub(crate) giving_up: GivingUp,
    /// Who was asked for what the last time, by the version of the list of nodes.
    asked: Mutex<Option<(u64, Arc<Assignment>)>>,
    /// For versions of what could not be asked: no two are equal.
    never_again: AtomicU64,
    /// When the log was told last that a node does not answer, and how often that was so since, by its address.
    told: Mutex<HashMap<String, (Option<Instant>, u64)>>,
}

/// The log is told of a node that does not answer this often at most: it is so for each of hundreds of questions in a second.
const TOLD_AGAIN: Duration = Duration::from_secs(5);

impl Gather {
    /// Must be called inside the runtime that is to do the work.
    pub fn new(members: Members, options: GatherOptions) -> Self {
        Self {
            members: RwLock::new(Arc::new(members)),
            options,
            runtime: Handle::current(),
            stats: Arc::default(),
            giving_up: GivingUp::default(),
            asked: Mutex::default(),
            // Another gathering node may keep what this one said in an earlier life.
            never_again: AtomicU64::new(RandomState::new().hash_one(std::process::id())),
            told: Mutex::default(),
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
        members.copies().are_several() || self.options.dedup_interval_ms > 0
    }

    pub(crate) fn unique(&self) -> u64 {
        self.never_again.fetch_add(1, Relaxed)
    }

    /// Who was asked for what the last time.
    pub(crate) fn remembered(&self, members: &Members) -> Option<Arc<Assignment>> {
        let asked = self.asked.lock();
        asked.as_ref().filter(|(version, _)| *version == members.version()).map(|(_, asked)| Arc::clone(asked))
    }

    /// Who will be asked for what the next time.
    pub(crate) fn remember(&self, members: &Members, assignment: Assignment) {
        *self.asked.lock() = Some((members.version(), Arc::new(assignment)));
    }

    /// Counts and tells that a node did not answer.
    pub(crate) fn is_away(&self, members: &Members, node: usize, error: &RpcError) {
        self.stats.missing.fetch_add(1, Relaxed);
        let (address, now) = (members.nodes()[node].address(), Instant::now());
        let mut told = self.told.lock();
        let (last, held_back) = told.entry(address.to_string()).or_insert((None, 0));
        if last.is_some_and(|last| now.duration_since(last) < TOLD_AGAIN) {
            *held_back += 1;
            return;
        }
        log::warn!("storage node {address} is missing in an answer: {error} ({held_back} such lines held back)");
        (*last, *held_back) = (Some(now), 0);
    }

    /// Counts what came of an answer.
    pub(crate) fn count(&self, checked: &Result<(), SelectError>, coverage: &Coverage) {
        match checked {
            Err(_) => self.stats.refused.fetch_add(1, Relaxed),
            Ok(()) => self.stats.partial.fetch_add(u64::from(coverage.is_partial()), Relaxed),
        };
    }
}
