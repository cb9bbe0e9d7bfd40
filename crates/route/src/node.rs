//! One storage node: what is sent to it, what it lacks, and the two tasks that look after it.
//!
//! 1. Live rows go to it while it is there ([`Node::send`]), within its share of memory and for a bounded time.
//! 2. What it did not take becomes a hint ([`Node::hint`]), if hints are kept.
//! 3. The *reporter* says what it lacks, a few times in each lease, and finds out whether it is there.
//! 4. The *drainer* hands hints over while it is there, beside the live rows.
//! 5. Its port may change ([`Node::move_to`]): it stays the same node.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use head::Head;
use model::TimeRange;
use parking_lot::{Mutex, RwLock};
use storage_api::{BoxFuture, InsertError, InsertReport, Inserted, Missing, ReportTurn, ShardSet};
use tokio::{sync::Notify, time::timeout};

use crate::{
    NodeName,
    debt::Debt,
    deliver::deliver,
    founding::Founding,
    health::Health,
    hints::{
        drain::{AsyncSend, DrainError, drain_oldest},
        log::HintLog,
    },
    link::NodeLink,
    numbers::Numbers,
    options::Options,
    outgoing::Outgoing,
    passed::Passed,
    stats::NodeCounters,
};

/// Tells reports of this process from those of others of the same insert.
static LIFE: LazyLock<u64> = LazyLock::new(|| crate::hints::random_identity() as u64);
/// How many reports were made.
static TURNS: AtomicU64 = AtomicU64::new(1);

/// Reports in each lease.
const REPORTS_PER_LEASE: u32 = 4;
/// How long a drain that failed rests.
const DRAIN_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Node {
    reached: RwLock<Reached>,
    head: Arc<Head>,
    options: Options,
    numbers: Numbers,
    health: Health,
    debt: Debt,
    hints: Option<Arc<HintLog>>,
    /// The node remembers this insert: it does not count itself complete without its word.
    is_known: AtomicBool,
    /// An earlier process of this insert had to do with it, or it has answered this one: it may count itself complete on some word of before.
    was_heard_of: AtomicBool,
    /// Who it was when it answered last.
    known_as: Mutex<u128>,
    insert: u128,
    /// What the node is told that it owns, and of which map.
    owned: Mutex<Owned>,
    passed: Arc<Passed>,
    /// Bytes of rows that are on their way.
    sending_bytes: AtomicU64,
    sending_bytes_max: u64,
    /// Something is there to be drained, or the node came back.
    wake_drainer: Notify,
    leaving: AtomicBool,
    /// What was counted.
    pub counters: NodeCounters,
}

/// Where it is, and the way there.
struct Reached {
    name: NodeName,
    link: Arc<dyn NodeLink>,
}

/// What a node is told that it owns.
#[derive(Clone)]
pub struct Owned {
    /// Of which map; 0 for none.
    pub map_version: u64,
    /// Its place in the map, as [`Passed`] names it; empty if it has none.
    pub place: String,
    /// Of these it gets all rows.
    pub shards: ShardSet,
    /// Of the first map.
    pub founding: Option<Arc<Founding>>,
    /// What it was passed over for by changes before this one it is told.
    pub untold_from: u64,
}

impl Node {
    /// A node with its hints, if hints are kept.
    pub fn new(
        name: NodeName,
        link: Arc<dyn NodeLink>,
        head: Arc<Head>,
        options: Options,
        hints: Option<Arc<HintLog>>,
        passed: Arc<Passed>,
        insert: u128,
    ) -> Self {
        let pending = hints.as_ref().is_some_and(|hints| hints.is_pending());
        // What they hold is found out by reading them; until then it may be anything.
        let missing = pending.then(|| Missing { shards: ShardSet::all(), range: TimeRange::ALL });
        // What cannot be read is found out again at the first report.
        let read = hints.as_ref().map_or(Ok(None), |hints| hints.known());
        let was_heard_of = AtomicBool::new(!matches!(read, Ok(None)));
        let known = read.unwrap_or(None);
        let place = String::new();
        Self {
            reached: RwLock::new(Reached { name, link }),
            head,
            numbers: Numbers::default(),
            health: Health::default(),
            debt: Debt::new(missing, options.lease),
            is_known: AtomicBool::new(known.is_some_and(|known| known.remembers)),
            was_heard_of,
            known_as: Mutex::new(known.map_or(0, |known| known.name)),
            hints,
            insert,
            owned: Mutex::new(Owned {
                map_version: 0,
                place,
                shards: ShardSet::empty(),
                founding: None,
                untold_from: 0,
            }),
            passed,
            sending_bytes: AtomicU64::new(0),
            sending_bytes_max: options.sending_bytes_max / 2,
            wake_drainer: Notify::new(),
            leaving: AtomicBool::new(false),
            counters: NodeCounters::default(),
            options,
        }
    }

    /// Its name.
    pub fn name(&self) -> NodeName {
        self.reached.read().name.clone()
    }

    /// It is at another port from now on. What is under way there is waited for; it is the same node.
    pub fn move_to(&self, name: NodeName, link: Arc<dyn NodeLink>) {
        *self.reached.write() = Reached { name, link };
        self.report_soon();
    }

    fn link(&self) -> Arc<dyn NodeLink> {
        Arc::clone(&self.reached.read().link)
    }

    /// Whether it is there, and whether it takes rows.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Its numbers for series.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Its hints, if hints are kept.
    pub fn hints(&self) -> Option<&Arc<HintLog>> {
        self.hints.as_ref()
    }

    /// Whether it lacks anything, as far as this insert knows.
    pub fn is_catching_up(&self) -> bool {
        self.debt.is_owing()
    }

    /// Bytes of rows that are on their way.
    pub fn sending_bytes(&self) -> u64 {
        self.sending_bytes.load(Relaxed)
    }

    /// What it is told that it owns from now on; gives the version to be waited for ([`Self::heard`]) if it loses shards by that, or may: what an earlier
    /// process told it last is not known for sure.
    pub fn own(&self, next: Owned) -> Option<u64> {
        let mut owned = self.owned.lock();
        let is_first = owned.map_version == 0;
        let loses = !owned.shards.without(&next.shards).is_empty() || is_first && self.was_heard_of.load(Relaxed);
        *owned = next;
        drop(owned);
        let version = self.debt.restate();
        loses.then_some(version)
    }

    /// Says again what is said to it; gives the version to be waited for.
    pub fn restate(&self) -> u64 {
        self.debt.restate()
    }

    /// Waits until the node knows what it is told, or counts itself complete on no earlier word.
    pub async fn heard(&self, version: u64) {
        self.debt.known(version).await;
    }

    /// Whether the node, which is in the map no more, has nothing more to hear and to get. One that has shards of before, and does not remember this insert, would
    /// answer for them when it is back.
    pub fn may_go(&self) -> bool {
        let is_told = self.debt.is_confirmed() || !self.was_heard_of.load(Relaxed);
        is_told && !self.keeps_hints()
    }

    /// Whether rows are kept for it.
    pub fn keeps_hints(&self) -> bool {
        self.hints.as_ref().is_some_and(|hints| hints.is_pending())
    }

    /// The next report does not wait for its turn.
    pub fn report_soon(&self) {
        self.debt.wanted.notify_one();
    }

    /// Sends rows; resolves when the node has them durably. The slots must be held by a pin of the head.
    pub async fn send(&self, out: &Outgoing) -> Result<Inserted, InsertError> {
        self.health.check()?;
        let _sending = self.enter(out.bytes() as u64)?;
        let link = self.link();
        let delivering = deliver(&*link, &self.numbers, &self.head, out);
        let outcome = timeout(self.options.answer_max, delivering).await.unwrap_or_else(|_| {
            Err(InsertError::NotDurable(format!("no answer within {:?}", self.options.answer_max)))
        });
        match &outcome {
            Ok(_) => {
                self.counters.rows_sent.fetch_add(out.samples.len() as u64, Relaxed);
                self.counters.bytes_sent.fetch_add(out.bytes() as u64, Relaxed);
            }
            Err(error) => {
                self.counters.errors.fetch_add(1, Relaxed);
                if self.health.failed(error) {
                    log::warn!("storage node {} is away: {error}", self.name());
                }
            }
        }
        outcome
    }

    fn enter(&self, bytes: u64) -> Result<Sending<'_>, InsertError> {
        let before = self.sending_bytes.fetch_add(bytes, Relaxed);
        let sending = Sending { node: self, bytes };
        // A request that is larger than the bound goes alone.
        if before > 0 && before + bytes > self.sending_bytes_max {
            let why = format!("{before} bytes are on their way to {}, {} may", self.name(), self.sending_bytes_max);
            return Err(InsertError::Overloaded(why));
        }
        Ok(sending)
    }

    /// Keeps rows for the node; resolves when they are durable here and may be acknowledged although the node lacks them.
    pub async fn hint(&self, out: &Outgoing, held: &ShardSet) -> Result<(), String> {
        let Some(hints) = &self.hints else { return Err("no hints are kept".into()) };
        if !self.is_known.load(Relaxed) {
            // It would take itself for complete when it is back.
            return Err(format!("storage node {} has never answered this insert", self.name()));
        }
        let writing = hints.begin().map_err(|why| why.to_string())?;
        let version = self.debt.owe(held, out.range());
        let tickets = writing.write(&self.head, out).map_err(|why| why.to_string())?;
        for ticket in tickets.into_iter().flatten() {
            writing.durable(ticket).await.map_err(|why| why.to_string())?;
        }
        drop(writing);
        self.counters.rows_hinted.fetch_add(out.samples.len() as u64, Relaxed);
        self.wake_drainer.notify_one();
        self.debt.known(version).await;
        Ok(())
    }

    /// Reports until it is told to leave. Its last word is the last report.
    pub async fn run_reporter(&self) {
        loop {
            let is_last = self.leaving.load(Relaxed);
            self.report(is_last).await;
            if is_last {
                return;
            }
            if self.debt.gives_first_lease(self.options.lease) {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(self.options.lease / REPORTS_PER_LEASE) => {}
                () = self.debt.wanted.notified() => {}
            }
        }
    }

    async fn report(&self, is_last: bool) {
        let statement = self.debt.state(self.options.lease);
        let Owned { map_version, place, shards, founding, untold_from } = self.owned.lock().clone();
        let passed = self.passed.of(&place, untold_from);
        let report = InsertReport {
            insert: self.insert,
            turn: ReportTurn { life: *LIFE, number: TURNS.fetch_add(1, Relaxed) },
            knows: *self.known_as.lock(),
            token: statement.token,
            lease: self.options.lease,
            map_version,
            owned: shards,
            passed,
            founding: founding.as_ref().map_or(0, |founding| founding.number_for(&place)),
            missing: statement.missing,
            // Who keeps no hints acknowledges nothing that the node lacks, and need not be remembered.
            leaving: is_last || self.hints.is_none(),
        };
        let link = self.link();
        let answer = timeout(self.options.answer_max.min(self.options.lease), link.take_report(&report)).await;
        match answer.unwrap_or_else(|_| Err(InsertError::NotDurable("no answer to a report".into()))) {
            Ok(answer) => {
                self.was_heard_of.store(true, Relaxed);
                // Who waits for the answer looks then whether the node knows this insert.
                if !report.leaving {
                    self.note_known(answer.node);
                }
                self.debt.confirm(statement.version, answer.token);
                if let Err(why) = self.passed.noted(&place, &report.passed) {
                    log::error!("storage node {} is told again what it was passed over for: {why}", self.name());
                }
                if let Some(founding) = founding {
                    founding.heard(map_version, &place, answer.node, answer.origin);
                }
                if self.health.answered(answer.read_only) {
                    log::info!("storage node {} is back", self.name());
                }
                self.wake_drainer.notify_one();
            }
            Err(error) => {
                if self.health.unanswered(&error.to_string()) {
                    log::warn!("storage node {} is away: {error}", self.name());
                }
                // No sooner than that, however much is wanted.
                tokio::time::sleep(self.options.lease / REPORTS_PER_LEASE).await;
            }
        }
    }

    /// The node remembers this insert from now on. That has to be durable before anything rests on it in a later process.
    fn note_known(&self, known_as: u128) {
        let Some(hints) = &self.hints else { return };
        if self.is_known.load(Relaxed) && *self.known_as.lock() == known_as {
            return;
        }
        match hints.set_known(known_as) {
            Ok(()) => {
                *self.known_as.lock() = known_as;
                self.is_known.store(true, Relaxed);
            }
            Err(why) => log::error!("cannot note that storage node {} knows this insert: {why}", self.name()),
        }
    }

    /// The name that it has of its own, as it said last; 0 if it never did.
    pub fn known_as(&self) -> u128 {
        *self.known_as.lock()
    }

    /// Whether it has answered a report of this insert, now or in an earlier life.
    pub fn is_known(&self) -> bool {
        self.hints.is_none() || self.is_known.load(Relaxed)
    }

    /// Hands hints over for as long as the process runs.
    pub async fn run_drainer(&self) {
        let Some(hints) = &self.hints else { return };
        loop {
            if self.health.check().is_err() || hints.if_empty(|| self.debt.settle()) {
                self.wake_drainer.notified().await;
                continue;
            }
            match drain_oldest(hints, &self.head, &self.options.hints, self).await {
                Ok(Some(drained)) => {
                    self.counters.drained(&drained);
                    log::info!("storage node {} has {} samples that were kept for it", self.name(), drained.samples);
                }
                // Somebody writes the first one.
                Ok(None) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(DrainError::Node(error)) => {
                    log::warn!("hints for storage node {} stay for now: {error}", self.name());
                    tokio::time::sleep(DRAIN_PAUSE).await;
                }
                Err(DrainError::Disk(why)) => {
                    self.counters.drain_errors.fetch_add(1, Relaxed);
                    log::error!("hints for storage node {} cannot be handed over: {why}", self.name());
                    tokio::time::sleep(DRAIN_PAUSE * 10).await;
                }
            }
        }
    }

    /// Makes the next report the last one; false if there is to be none, because the node is away and would not hear it.
    pub fn leave(&self) -> bool {
        if let Some(hints) = &self.hints {
            if !self.health.is_reachable() {
                return false;
            }
            // Whether the node still remembers this insert is in doubt from here on, unless it lacks something.
            if !self.debt.is_owing() && hints.set_unsure().is_err() {
                return false;
            }
        }
        self.leaving.store(true, Relaxed);
        self.debt.wanted.notify_one();
        true
    }
}

impl AsyncSend for Node {
    fn send<'a>(&'a self, out: &'a Outgoing) -> BoxFuture<'a, Result<Inserted, InsertError>> {
        Box::pin(self.send(out))
    }

    fn sent(&self) -> u64 {
        self.counters.rows_sent.load(Relaxed)
    }
}

struct Sending<'a> {
    node: &'a Node,
    bytes: u64,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.node.sending_bytes.fetch_sub(self.bytes, Relaxed);
    }
}
