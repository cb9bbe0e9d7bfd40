//! The way of a batch to the storage nodes.
//!
//! 1. The batch waits for room among the rows that are on their way ([`room`](crate::room)).
//! 2. It is split by shard and node ([`split`]); slots stay pinned in the head until all is over.
//! 3. All owners get their rows at once. Rows never go to a node that does not own them.
//! 4. With strict acknowledgement each of them must have them. With best effort each shard needs one owner that has them; what the others lack becomes
//!    durable hints before the batch is acknowledged.
//! 5. A new list of nodes makes a new plan for the batches that come in from then on; those under way go on with theirs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use head::{Head, HeadOptions, Pin, ResolveScratch};
use model::SHARDS;
use parking_lot::{Mutex, RwLock};
use storage_api::{Batch, BoxFuture, Insert, InsertError, Inserted, Refusals, ShardSet};
use tasks::together;
use tokio::{
    sync::{Mutex as AsyncMutex, SemaphorePermit},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    NodeList, NodeName, NodesError, Replication,
    founding::Founding,
    hints::{HintStore, log::HintLog, random_identity},
    link::Connect,
    map::ShardMap,
    node::{Node, Owned},
    options::{Acknowledge, Options},
    outgoing::Outgoing,
    passed::{Passed, places},
    room::Room,
    split::{Split, split},
    stats::{NodeStats, RouterStats},
    whose::{Former, Whose},
};

/// So many sets of buffers are kept for batches.
const SCRATCH_MAX: usize = 64;
/// How often it is looked at what can be forgotten, and which nodes can go.
const UPKEEP: Duration = Duration::from_secs(10);
/// How often it is looked at whether batches of an old plan are over.
const PLAN_POLL: Duration = Duration::from_millis(20);
/// How long nodes are waited for to take the last report.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub struct Router {
    head: Arc<Head>,
    connect: Arc<dyn Connect>,
    hints: Option<Arc<HintStore>>,
    passed: Arc<Passed>,
    /// Who this insert is for its nodes.
    identity: u128,
    options: Options,
    plan: RwLock<Option<Arc<Plan>>>,
    running: Mutex<BTreeMap<NodeName, Running>>,
    changing: AsyncMutex<()>,
    room: Room,
    scratch: Mutex<Vec<ResolveScratch>>,
    unavailable: AtomicU64,
}

/// A map with its nodes.
pub(crate) struct Plan {
    pub(crate) map: ShardMap,
    nodes: Vec<Arc<Node>>,
    /// Of the first map.
    founding: Option<Arc<Founding>>,
    /// The number of the change to this map.
    change: u64,
}

impl Plan {
    /// Where a node is in the map.
    fn place_of(&self, node: &Arc<Node>) -> Option<usize> {
        self.nodes.iter().position(|other| Arc::ptr_eq(other, node))
    }
}

struct Running {
    node: Arc<Node>,
    reporter: JoinHandle<()>,
    drainer: JoinHandle<()>,
}

impl Router {
    /// A router without nodes; nothing is taken until it has some. `secret` keys the hash of label bytes.
    pub fn new(
        secret: [u8; 32],
        connect: Arc<dyn Connect>,
        hints: Option<HintStore>,
        options: Options,
    ) -> Result<Self, String> {
        let passed = Arc::new(Passed::open(hints.as_ref().map(HintStore::disk))?);
        // Nobody needs to know one that keeps no hints again.
        let identity = hints.as_ref().map_or_else(random_identity, HintStore::identity);
        Ok(Self {
            passed,
            identity,
            head: Arc::new(Head::new(&HeadOptions {
                secret,
                encodings_max: options.encodings_max,
                is_searched: false,
            })),
            connect,
            hints: hints.map(Arc::new),
            plan: RwLock::default(),
            running: Mutex::default(),
            changing: AsyncMutex::default(),
            room: Room::new(&options),
            scratch: Mutex::default(),
            unavailable: AtomicU64::new(0),
            options,
        })
    }

    /// Goes over to another list of nodes; says whether anything changed. Resolves when no batch goes by the old list any more. On an error the old
    /// list stays.
    pub async fn set_nodes(&self, list: &NodeList, replication: &Replication) -> Result<bool, String> {
        let _turn = self.changing.lock().await;
        let map = ShardMap::new(list, replication).map_err(|NodesError(why)| why)?;
        let old = self.plan.read().clone();
        if old.as_ref().is_some_and(|old| old.map.version() == map.version() && old.map.nodes() == map.nodes()) {
            return Ok(false);
        }
        let former = self.former();
        let whose = Whose::of(&map, &former)?;
        let was_used = match &old {
            Some(old) => old.nodes.iter().any(|node| node.is_known()),
            None => self.passed.had_any(former.iter().filter(|node| node.is_heard_of).map(|node| &node.name)),
        };
        // Who has this insert's word of before, and is in the list no more, hears of that.
        whose.others().filter(|_| old.is_none()).try_for_each(|name| self.node(name, name).map(drop))?;
        let nodes = map.nodes().iter().map(|name| self.node(name, whose.was(name))).collect::<Result<Vec<_>, _>>()?;
        // A node that is added takes part when it is there; until then its shards stay where they are. One that loses shards, and may not remember this insert since
        // that said good-bye, would answer for them on the word of other inserts. They are waited for here, as nobody keeps nodes that are in no map.
        let needs_word = |number: usize| old.is_some() || self.passed.loses(&map, number);
        let unheard = nodes.iter().enumerate().filter(|(number, node)| !node.is_known() && needs_word(*number));
        let unheard: Vec<&Arc<Node>> = unheard.map(|(_, node)| node).collect();
        together(unheard.iter().map(|node| node.heard(node.restate())).collect()).await;
        if let Some(node) = unheard.iter().find(|node| !node.is_known()) {
            return Err(format!("storage node {} has not answered yet, and has to know of this list", node.name()));
        }
        let is_first = (old.is_none() || !was_used) && whose.knows_no_others();
        let change = self.passed.go_over(&map, was_used)?;
        let founding = match &old {
            Some(old) if old.change == change => old.founding.clone(),
            _ if !is_first => None,
            _ => Some(Arc::new(Founding::new(map.version(), nodes.iter().map(Arc::downgrade).collect()))),
        };
        let plan = Arc::new(Plan { map, nodes, founding, change });
        // A node owns a shard completely only while all batches under way are sent to it. One that loses shards has to know before others get their rows.
        let losing = self.tell_owned(&plan, old.as_deref());
        together(losing.iter().map(|(node, version)| node.heard(*version)).collect()).await;
        *self.plan.write() = Some(Arc::clone(&plan));
        if let Some(old) = old {
            while Arc::strong_count(&old) > 1 {
                sleep(PLAN_POLL).await;
            }
            self.tell_owned(&plan, None);
        }
        log::info!("shard map {:016x}: {} storage nodes", plan.map.version(), plan.nodes.len());
        Ok(true)
    }

    /// Tells all nodes what they own; gives those that lose shards, and what they have to hear.
    fn tell_owned(&self, plan: &Plan, old: Option<&Plan>) -> Vec<(Arc<Node>, u64)> {
        let owned = |plan: &Plan, node: &Arc<Node>| {
            plan.place_of(node).map_or_else(ShardSet::empty, |place| plan.map.shards_of(place))
        };
        let places = places(plan.map.nodes());
        // While batches go by the old map nodes are still passed over for what they get by the new one.
        let untold_from = if old.is_some() { plan.change } else { plan.change + 1 };
        let mut losing = Vec::new();
        for Running { node, .. } in self.running.lock().values() {
            let place = plan.place_of(node).map_or_else(String::new, |place| places[place].clone());
            let mut shards = owned(plan, node);
            if let Some(old) = old {
                // What it is not told yet that it was passed over for is not its own yet, if the node was in the old map too.
                let untold = self.passed.of(&place, u64::MAX).into_iter().filter(|passed| passed.change >= untold_from);
                shards = untold.fold(shards.and(&owned(old, node)), |shards, passed| shards.without(&passed.shards));
            }
            let (map_version, founding) = (plan.map.version(), plan.founding.clone());
            let version = node.own(Owned { map_version, place, shards, founding, untold_from });
            losing.extend(version.map(|version| (Arc::clone(node), version)));
        }
        losing
    }

    /// The nodes that this insert has had to do with, in its earlier processes too.
    fn former(&self) -> Vec<Former> {
        let running = self.running.lock();
        let logs = self.hints.as_ref().map(|hints| hints.logs()).unwrap_or_default();
        let of_log = |log: &Arc<HintLog>| {
            let has_it = |running: &&Running| running.node.hints().is_some_and(|other| Arc::ptr_eq(other, log));
            let name = running.values().find(has_it).map(|running| running.node.name());
            let known = log.known();
            Some(Former {
                name: name.or_else(|| NodeName::parse(log.node(), 0).ok())?,
                node: known.as_ref().map_or(0, |known| known.map_or(0, |known| known.name)),
                // What cannot be read may say so.
                is_heard_of: !known.is_ok_and(|known| known.is_none()),
                is_pending: log.is_pending(),
            })
        };
        let without_log = running.values().filter(|running| running.node.hints().is_none()).map(|running| {
            let (name, node) = (running.node.name(), running.node.known_as());
            Former { name, node, is_heard_of: false, is_pending: false }
        });
        logs.iter().filter_map(of_log).chain(without_log).collect()
    }

    /// The node of this name, which `was` named otherwise before if its port has changed; one that is new starts its tasks.
    fn node(&self, name: &NodeName, was: &NodeName) -> Result<Arc<Node>, String> {
        let mut all = self.running.lock();
        if let Some(running) = all.get(name) {
            return Ok(Arc::clone(&running.node));
        }
        let link = self.connect.link(name)?;
        if let Some(running) = all.remove(was) {
            log::info!("storage node {was} is at {name} now");
            running.node.move_to(name.clone(), link);
            let node = Arc::clone(&running.node);
            all.insert(name.clone(), running);
            return Ok(node);
        }
        let log = self.hints.as_ref().map(|hints| hints.log(was)).transpose()?;
        let (head, passed) = (Arc::clone(&self.head), Arc::clone(&self.passed));
        let node = Node::new(name.clone(), link, head, self.options.clone(), log, passed, self.identity);
        let node = Arc::new(node);
        let (reporting, draining) = (Arc::clone(&node), Arc::clone(&node));
        let running = Running {
            node: Arc::clone(&node),
            reporter: tokio::spawn(async move { reporting.run_reporter().await }),
            drainer: tokio::spawn(async move { draining.run_drainer().await }),
        };
        all.insert(name.clone(), running);
        Ok(node)
    }

    /// Looks after series and nodes for as long as the process runs.
    pub async fn run_upkeep(self: Arc<Self>) {
        let mut idle = Duration::ZERO;
        loop {
            sleep(UPKEEP).await;
            idle += UPKEEP;
            self.let_nodes_go().await;
            let is_full = self.head.bytes().total() as u64 > self.options.series_bytes_max;
            if idle >= self.options.series_idle_max || is_full {
                idle = Duration::ZERO;
                let router = Arc::clone(&self);
                let forgotten = tokio::task::spawn_blocking(move || router.forget_idle_series()).await;
                if forgotten.is_err() {
                    log::error!("forgetting idle series ended badly");
                }
            }
        }
    }

    /// Forgets series that were not written lately.
    pub fn forget_idle_series(&self) {
        let nodes: Vec<Arc<Node>> = self.running.lock().values().map(|running| Arc::clone(&running.node)).collect();
        let logs = self.hints.as_ref().map(|hints| hints.logs()).unwrap_or_default();
        self.head.advance_epoch();
        let forget = |slots: &[u32]| {
            nodes.iter().for_each(|node| node.numbers().forget(slots));
            logs.iter().for_each(|log| log.forget_slots(slots));
        };
        self.head.evict(|_| false, forget, |slot| logs.iter().all(|log| log.reusable(slot)));
    }

    /// Says good-bye to nodes that are in the list no more, know that and lack nothing.
    async fn let_nodes_go(&self) {
        let _turn = self.changing.lock().await;
        let gone: Vec<Running> = {
            let plan = self.plan.read().clone();
            let in_list = |node: &Arc<Node>| plan.as_ref().is_some_and(|plan| plan.place_of(node).is_some());
            let mut running = self.running.lock();
            let goes = |node: &Arc<Node>| !in_list(node) && node.may_go();
            let names: Vec<NodeName> =
                running.iter().filter(|(_, running)| goes(&running.node)).map(|(name, _)| name.clone()).collect();
            names.iter().filter_map(|name| running.remove(name)).collect()
        };
        for running in gone {
            log::info!("storage node {} is in the list no more", running.node.name());
            leave(running).await;
        }
    }

    /// Says good-bye to all nodes. Nothing may be inserted any more.
    pub async fn close(&self) {
        let plan = self.plan.write().take();
        if let Some(plan) = plan {
            // A change may have been cut short.
            self.tell_owned(&plan, None);
        }
        let running = std::mem::take(&mut *self.running.lock());
        together(running.into_values().map(leave).collect()).await;
    }

    /// Numbers for `/metrics`.
    pub fn stats(&self) -> RouterStats {
        let nodes: Vec<Arc<Node>> = self.running.lock().values().map(|running| Arc::clone(&running.node)).collect();
        let plan = self.plan.read().clone();
        let in_list = |node: &Arc<Node>| plan.as_ref().is_some_and(|plan| plan.place_of(node).is_some());
        RouterStats {
            // A node that was taken out of the list and is only waited for is no news.
            nodes: nodes
                .iter()
                .filter(|node| in_list(node) || node.keeps_hints())
                .map(|node| node_stats(node))
                .collect(),
            map_version: plan.as_ref().map_or(0, |plan| plan.map.version()),
            series: self.head.series_count() as u64,
            series_bytes: (self.head.bytes().total() + nodes.iter().map(|node| node.numbers().bytes()).sum::<usize>())
                as u64,
            series_created: self.head.series_created(),
            overloaded: self.room.refused(),
            unavailable: self.unavailable.load(Relaxed),
        }
    }

    /// Whether there is a list of nodes.
    pub fn is_ready(&self) -> bool {
        self.plan.read().is_some()
    }

    fn split(&self, batch: &Batch<'_>, plan: &Plan) -> Result<Split, InsertError> {
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let outcome = split(batch, &plan.map, &self.head, &mut scratch);
        let mut pool = self.scratch.lock();
        if pool.len() < SCRATCH_MAX {
            pool.push(scratch);
        }
        outcome
    }

    /// Room for the copies of so many rows and samples.
    pub(crate) async fn room(&self, rows: usize, samples: usize) -> Result<SemaphorePermit<'_>, InsertError> {
        // The plan may be another one when there is room.
        let copies = self.plan()?.map.holders().div_ceil(SHARDS);
        self.room.take((copies * Outgoing::bytes_of(rows, samples)) as u64).await
    }

    /// The plan of batches that come in now.
    pub(crate) fn plan(&self) -> Result<Arc<Plan>, InsertError> {
        let plan = self.plan.read().clone();
        plan.ok_or_else(|| InsertError::NotDurable("there is no list of storage nodes yet".into()))
    }

    /// Holds slots for as long as it lives.
    pub(crate) fn pin(&self) -> Pin {
        self.head.pin()
    }

    /// What series rows belong to.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    async fn route(&self, batch: &Batch<'_>) -> Result<Inserted, InsertError> {
        let _room = self.room(batch.series.len(), batch.samples.len()).await?;
        let plan = self.plan()?;
        let _pin = self.pin();
        let split = self.split(batch, &plan)?;
        self.spread(&plan, &split).await
    }

    /// Sends a batch that has room to the nodes, and waits until it may be acknowledged. Its slots must be held by a pin.
    pub(crate) async fn spread(&self, plan: &Plan, split: &Split) -> Result<Inserted, InsertError> {
        let places: Vec<usize> = (0..split.nodes.len()).filter(|place| !split.nodes[*place].is_empty()).collect();
        let sends = places.iter().map(|place| plan.nodes[*place].send(&split.nodes[*place])).collect();
        let outcomes: Vec<_> = places.iter().copied().zip(together(sends).await).collect();
        self.judge(plan, split, &outcomes)?;
        self.hint(plan, split, &outcomes).await?;
        Ok(count(split, &outcomes))
    }

    /// Whether enough copies are durable.
    fn judge(&self, plan: &Plan, split: &Split, outcomes: &[Sent]) -> Result<(), InsertError> {
        if outcomes.iter().all(|(_, outcome)| outcome.is_ok()) {
            return Ok(());
        }
        let mut failed = vec![None; plan.nodes.len()];
        for (place, outcome) in outcomes {
            match outcome {
                Ok(_) => {}
                Err(error @ InsertError::Invalid(_)) => return Err(error.clone()),
                Err(error) => failed[*place] = Some(error),
            }
        }
        let strict = self.options.acknowledge == Acknowledge::Strict || self.hints.is_none();
        for shard in (0..SHARDS as u16).filter(|shard| split.shards.has(*shard)) {
            let mut missing = plan.map.owners(shard).iter().filter(|owner| failed[usize::from(**owner)].is_some());
            let copies = plan.map.owners(shard).len();
            let lacking = missing.clone().count();
            if lacking == copies || strict && lacking > 0 {
                let place = usize::from(*missing.next().expect("BUG: nothing is missing"));
                self.unavailable.fetch_add(1, Relaxed);
                let error = failed[place].expect("BUG: a node that did not fail is missing");
                return Err(named(&plan.nodes[place].name(), error));
            }
        }
        Ok(())
    }

    /// Keeps what nodes lack.
    async fn hint(&self, plan: &Plan, split: &Split, outcomes: &[Sent]) -> Result<(), InsertError> {
        let failed = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).map(|(place, _)| *place);
        let hints = failed.map(|place| plan.nodes[place].hint(&split.nodes[place], &split.shards)).collect();
        for outcome in together(hints).await {
            outcome.map_err(|why| {
                self.unavailable.fetch_add(1, Relaxed);
                InsertError::NotDurable(why)
            })?;
        }
        Ok(())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        for running in self.running.get_mut().values() {
            running.reporter.abort();
            running.drainer.abort();
        }
    }
}

impl Insert for Router {
    fn insert<'a>(&'a self, batch: Batch<'a>) -> BoxFuture<'a, Result<Inserted, InsertError>> {
        Box::pin(async move { self.route(&batch).await })
    }
}

/// What came of sending to the node at a place of the map.
type Sent = (usize, Result<Inserted, InsertError>);

/// What became of a batch that is acknowledged. Nodes count what they refuse, each its copy: a sample that all copies' nodes refused counts once.
fn count(split: &Split, outcomes: &[Sent]) -> Inserted {
    let mut refused = Refusals::default();
    let mut copies = 0;
    for (place, outcome) in outcomes {
        if let Ok(inserted) = outcome {
            refused.merge(&inserted.refused);
            copies += split.nodes[*place].samples.len() as u64;
        }
    }
    let mut counted = split.inserted;
    for (reason, samples) in refused.iter() {
        // Rounded up: what one copy's node refused and the other's took is not counted as taken.
        let share =
            (u128::from(samples) * u128::from(split.inserted.samples)).div_ceil(u128::from(copies.max(1))) as u64;
        let share = share.min(counted.samples);
        counted.refused.add(reason, share);
        counted.samples -= share;
    }
    counted
}

fn named(node: &NodeName, error: &InsertError) -> InsertError {
    let why = |why: &str| format!("storage node {node}: {why}");
    match error {
        InsertError::ReadOnly(text) => InsertError::ReadOnly(why(text)),
        InsertError::Overloaded(text) => InsertError::Overloaded(why(text)),
        InsertError::Invalid(text) => InsertError::Invalid(why(text)),
        InsertError::NotDurable(text) => InsertError::NotDurable(why(text)),
        InsertError::Closed => InsertError::NotDurable(why("it is closing")),
    }
}

/// Says the last word to a node and ends its tasks.
async fn leave(running: Running) {
    running.drainer.abort();
    // A drain that was under way has given back what it held before the last word is said.
    let _ = running.drainer.await;
    if !running.node.leave() {
        running.reporter.abort();
        return;
    }
    if timeout(LEAVE_MAX, running.reporter).await.is_err() {
        log::warn!(
            "storage node {} did not hear that this insert stops; it counts as catching up",
            running.node.name()
        );
    }
}

fn node_stats(node: &Node) -> NodeStats {
    let counters = &node.counters;
    NodeStats {
        name: node.name().to_string(),
        is_reachable: node.health().is_reachable(),
        is_read_only: node.health().is_read_only(),
        is_catching_up: node.is_catching_up(),
        rows_sent: counters.rows_sent.load(Relaxed),
        bytes_sent: counters.bytes_sent.load(Relaxed),
        sending_bytes: node.sending_bytes(),
        errors: counters.errors.load(Relaxed),
        rows_hinted: counters.rows_hinted.load(Relaxed),
        rows_drained: counters.rows_drained.load(Relaxed),
        rows_refused: counters.rows_refused.load(Relaxed),
        hint_bytes: node.hints().map_or(0, |hints| hints.bytes()),
        damaged: counters.damaged.load(Relaxed),
        drain_errors: counters.drain_errors.load(Relaxed),
    }
}
