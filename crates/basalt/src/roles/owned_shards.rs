//! Takes what reports of inserts say of ownership, and tells of it what is kept.
//!
//! 1. A report that changes something is answered when that is in the file. Who waits for an answer may give up meanwhile: the writing goes on, and what it
//!    wrote counts.
//! 2. What other nodes hear is what is in the file, never more. A report that was overtaken by a later one of its insert says nothing.
//! 3. What is copied from another node fills a shard up only if the node was asked for it after the shard was gained: each offer has its time ([`OwnedShards::asking`]),
//!    and what is gained later begins no sooner than that, whatever the clock says.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use disk::Disk;
use model::TimeRange;
use parking_lot::Mutex;
use route::Holdings;
use storage_api::{BoxFuture, InsertError, InsertReport, ReportAnswer, ReportTurn, ShardSet, ShardWord, TakeReports};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard},
    task::spawn_blocking,
};

use super::{
    ownership::{ALWAYS, FILE, Now, Ownership, publish},
    reports::Reports,
};

/// How many things were found damaged since the start of the process.
pub type Damages = dyn Fn() -> u64 + Send + Sync;

/// The latest time of a sample that any node may have taken until now.
pub type Until = dyn Fn() -> i64 + Send + Sync;

/// What is kept of ownership, and the tokens in it.
struct Told {
    kept: Ownership,
    owned: Vec<(u64, ShardSet)>,
}

impl Told {
    fn new(kept: &Ownership) -> Arc<Self> {
        Arc::new(Self { kept: kept.clone(), owned: kept.owned() })
    }
}

/// The last report of each insert, so that one that comes too late, by a connection that was given up, takes nothing back that a later one said.
#[derive(Debug, Default)]
struct Turns(Mutex<HashMap<u128, ReportTurn>>);

/// So many inserts are kept in mind; those that keep no hints have another number in each process.
const TURNS_MAX: usize = 1024;

impl Turns {
    /// Whether nothing later of the insert was taken.
    fn take(&self, report: &InsertReport) -> bool {
        let mut turns = self.0.lock();
        if turns.get(&report.insert).is_some_and(|last| report.turn.is_before(*last)) {
            return false;
        }
        if turns.len() >= TURNS_MAX {
            turns.clear();
        }
        turns.insert(report.insert, report.turn);
        true
    }
}

/// Takes reports, for what they say of ownership, before somebody else does for the rest.
pub struct OwnedShards {
    ownership: Arc<Mutex<Ownership>>,
    /// What every answer tells of it: only what is kept.
    told: Arc<Mutex<Arc<Told>>>,
    until: Box<Until>,
    /// When somebody was asked last for what is to be copied.
    asked: AtomicI64,
    /// How much was damaged since the start of the process, and how much of that the tokens account for.
    damages: Box<Damages>,
    damages_known: Arc<AtomicU64>,
    /// Files are published one after the other. Whoever writes holds it until it is done, also when nobody waits for that any more.
    publishing: Arc<AsyncMutex<()>>,
    disk: Arc<dyn Disk>,
    reports: Arc<Reports>,
    turns: Turns,
}

impl OwnedShards {
    /// Reads what was kept. `is_empty` is whether there are no samples.
    pub fn open(
        disk: Arc<dyn Disk>,
        reports: Arc<Reports>,
        is_empty: bool,
        damages: Box<Damages>,
        until: Box<Until>,
    ) -> Result<Self, String> {
        let mut ownership = Ownership::open(&*disk, is_empty, reports.is_new(), until())?;
        let known = damages();
        if known > 0 {
            ownership.differ();
            publish(&*disk, &ownership)?;
            reports.was_damaged()?;
        }
        let (told, damages_known) = (Arc::new(Mutex::new(Told::new(&ownership))), Arc::new(AtomicU64::new(known)));
        let (ownership, publishing) = (Arc::new(Mutex::new(ownership)), Arc::default());
        let asked = AtomicI64::new(reports.holdings().asked_until());
        Ok(Self {
            ownership,
            told,
            until,
            asked,
            damages,
            damages_known,
            publishing,
            disk,
            reports,
            turns: Turns::default(),
        })
    }

    /// What the node says of its shards over a range.
    pub fn word(&self, range: TimeRange) -> ShardWord {
        match (self.damages)() > self.damages_known.load(Relaxed) {
            // Until it is kept what that means.
            true => ShardWord::unknown(),
            false => {
                let told = Arc::clone(&self.told.lock());
                let complete = self.reports.complete(range).and(&told.kept.whole_since(range.min));
                ShardWord { complete, owned: told.owned.clone(), ..ShardWord::unknown() }
            }
        }
    }

    /// Shards that the node owns and does not have from the beginning.
    pub fn late(&self) -> ShardSet {
        let told = Arc::clone(&self.told.lock());
        let owned = told.owned.iter().fold(ShardSet::empty(), |all, (_, shards)| all.or(shards));
        owned.without(&told.kept.whole_since(ALWAYS))
    }

    /// Shards that the node owns and that some insert sends past it: what is copied of them is not all.
    pub fn gone_past(&self) -> ShardSet {
        self.told.lock().kept.gone_past()
    }

    /// All was copied that an address offered, which has everything of it.
    pub async fn fill_from(&self, address: &str) -> Result<(), String> {
        let turn = Arc::clone(&self.publishing).lock_owned().await;
        let mut next = self.ownership.lock().clone();
        if let Some(source) = self.reports.holdings().source(address) {
            next.fill(&source.shards, source.until);
        }
        self.keep(turn, next, 0).await
    }

    /// What this node lacks will not come back: of those shards it has everything from now on only.
    pub async fn give_up(&self) -> Result<(), String> {
        let turn = Arc::clone(&self.publishing).lock_owned().await;
        let given_up = self.reports.holdings();
        let mut next = self.ownership.lock().clone();
        next.give_up(&given_up.may_lack(), self.until());
        self.keep(turn, next, 0).await?;
        let mut is_same = true;
        let give_up = |holdings: &mut Holdings| {
            is_same = *holdings == given_up;
            if is_same {
                holdings.give_up();
            }
        };
        self.reports.change(give_up).await?;
        if is_same { Ok(()) } else { Err("something more was lost meanwhile".into()) }
    }

    /// An insert will not come back; false if none of this name goes past the node.
    pub async fn forget(&self, insert: u128) -> Result<bool, String> {
        let turn = Arc::clone(&self.publishing).lock_owned().await;
        let mut next = self.ownership.lock().clone();
        let is_known = next.forget(insert, self.until());
        if is_known {
            log::warn!("insert {insert:032x} has this node in its list no more, and is forgotten");
            self.keep(turn, next, 0).await?;
        }
        Ok(is_known)
    }

    /// The inserts that have this node in their list no more, and may go on.
    pub fn bypassed_by(&self) -> Vec<u128> {
        self.told.lock().kept.bypassed_by().collect()
    }

    /// Publishes what is to be kept, with so much of the damage accounted for, then tells it; also when nobody waits for that any more: an insert that gave up
    /// asks again, and finds that it is kept.
    async fn keep(&self, turn: OwnedMutexGuard<()>, next: Ownership, damages: u64) -> Result<(), String> {
        let (disk, told, ownership) = (Arc::clone(&self.disk), Arc::clone(&self.told), Arc::clone(&self.ownership));
        let damages_known = Arc::clone(&self.damages_known);
        let writing = spawn_blocking(move || {
            publish(&*disk, &next)?;
            *told.lock() = Told::new(&next);
            *ownership.lock() = next;
            damages_known.fetch_max(damages, Relaxed);
            drop(turn);
            Ok(())
        });
        writing.await.unwrap_or_else(|why| Err(format!("writing {FILE:?} ended badly: {why}")))
    }

    /// Most reports change nothing and are not waited for.
    async fn note(&self, report: &InsertReport) -> Result<(), InsertError> {
        let known = self.reports.remembered();
        let damages = (self.damages)();
        let is_damaged = damages > self.damages_known.load(Relaxed);
        let holdings = self.reports.holdings();
        let now =
            Now { node: holdings.node(), is_whole: holdings.may_lack().is_empty() && !is_damaged, until: self.until() };
        {
            let mut ownership = self.ownership.lock();
            let mut next = ownership.clone();
            if !next.take(report, &known, &now) && !is_damaged {
                *ownership = next;
                return Ok(());
            }
        }
        let turn = Arc::clone(&self.publishing).lock_owned().await;
        let mut next = self.ownership.lock().clone();
        if !next.take(report, &known, &now) && !is_damaged {
            // Somebody else's turn has kept it.
            *self.ownership.lock() = next;
            return Ok(());
        }
        if is_damaged {
            next.differ();
            log::error!(
                "something was damaged and set aside: this node counts as incomplete until it is filled up: POST /internal/refill?from=…"
            );
            self.reports.change(Holdings::damage).await.map_err(InsertError::NotDurable)?;
        }
        self.keep(turn, next, damages).await.map_err(InsertError::NotDurable)
    }

    /// No sample that was taken until now has a later time, and nothing was asked for later.
    fn until(&self) -> i64 {
        (self.until)().max(self.asked.load(Relaxed))
    }

    /// Another node is about to be asked: it may lack what this one begins to own from then on.
    pub fn asking(&self) -> i64 {
        let latest = self.told.lock().kept.latest();
        let now = self.until().max(latest.saturating_add(1));
        self.asked.fetch_max(now, Relaxed);
        now
    }
}

impl TakeReports for OwnedShards {
    fn take_report<'a>(&'a self, report: &'a InsertReport) -> BoxFuture<'a, Result<ReportAnswer, InsertError>> {
        Box::pin(async move {
            if !self.turns.take(report) {
                return Err(InsertError::Invalid("the report was overtaken by a later one".into()));
            }
            self.note(report).await?;
            let answer = self.reports.take_report(report).await?;
            // What the report said of data that are gone counts already.
            let is_whole = self.reports.holdings().may_lack().is_empty();
            let origin = self.ownership.lock().origin(report.map_version, is_whole);
            Ok(ReportAnswer { origin, ..answer })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use storage_api::Missing;
    use testkit::{Op, SimDisk};

    use super::*;

    /// The first of an insert that sends all shards here.
    fn report() -> InsertReport {
        InsertReport {
            turn: ReportTurn::default(),
            insert: 1,
            knows: 0,
            token: 0,
            lease: Duration::from_secs(60),
            map_version: 10,
            owned: ShardSet::all(),
            founding: 0,
            passed: Vec::new(),
            missing: Missing::nothing(),
            leaving: false,
        }
    }

    #[tokio::test]
    async fn what_was_written_counts_also_when_nobody_waited_for_it() {
        let disk = SimDisk::new(1);
        let reports = Reports::open(Arc::new(disk.clone()), Box::new(|| false)).expect("a node");
        let (damages, until) = (Box::new(|| 0), Box::new(|| 1_000));
        let owned = OwnedShards::open(Arc::new(disk.clone()), Arc::new(reports), true, damages, until);
        let owned = Arc::new(owned.expect("a node"));
        let (entered, is_entered) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let may_go_on = Mutex::new(may_go_on);
        disk.on_operation(move |op, path| {
            if op == Op::Rename && path.to_string_lossy().contains(FILE) {
                // The test may be over.
                let _ = entered.send(());
                let _ = may_go_on.lock().recv();
            }
        });
        let report = report();
        let (asked, said) = (Arc::clone(&owned), report.clone());
        let first = tokio::spawn(async move { asked.take_report(&said).await });
        let waits = move || is_entered.recv().map(|()| is_entered);
        let is_entered = tokio::task::spawn_blocking(waits).await.expect("a thread").expect("it writes");
        first.abort();
        assert!(first.await.is_err_and(|why| why.is_cancelled()) && owned.word(TimeRange::ALL).owned.is_empty());
        // The next one is answered without anything being written again.
        go_on.send(()).expect("it waits");
        drop(go_on);
        owned.take_report(&report).await.expect("it is answered");
        assert!(is_entered.try_recv().is_err(), "nothing is written twice");
        assert!(!owned.word(TimeRange::ALL).owned.is_empty());
    }

    #[tokio::test]
    async fn an_offer_of_before_a_gain_fills_nothing_also_when_nobody_waited_for_the_gain() {
        let disk = SimDisk::new(1);
        let reports = Reports::open(Arc::new(disk.clone()), Box::new(|| false)).map(Arc::new).expect("a node");
        let now = Arc::new(std::sync::atomic::AtomicI64::new(1_000));
        let clock = Arc::clone(&now);
        let until = Box::new(move || clock.load(Relaxed));
        let opened = OwnedShards::open(Arc::new(disk.clone()), Arc::clone(&reports), true, Box::new(|| 0), until);
        let owned = Arc::new(opened.expect("a node"));
        let report = report();
        owned.take_report(&report).await.expect("it is answered");
        // Another node is asked, and answers while a report is kept that nobody waits for. The clock goes back meanwhile.
        now.store(1_500, Relaxed);
        let until = owned.asking();
        now.store(1_400, Relaxed);
        let (entered, is_entered) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let may_go_on = Mutex::new(may_go_on);
        disk.on_operation(move |op, path| {
            if op == Op::Rename && path.to_string_lossy().contains(FILE) {
                // The test may be over.
                let _ = entered.send(());
                let _ = may_go_on.lock().recv();
            }
        });
        let passed = vec![storage_api::PassedOver { change: 5, shards: ShardSet::all() }];
        let (asked, said) = (Arc::clone(&owned), InsertReport { passed, ..report });
        let gaining = tokio::spawn(async move { asked.take_report(&said).await });
        let waits = move || is_entered.recv().map(|()| is_entered);
        let is_entered = tokio::task::spawn_blocking(waits).await.expect("a thread").expect("it writes");
        let (address, snapshot) = ("a".to_string(), "snap".to_string());
        let offer = route::Source { address, snapshot, shards: ShardSet::all(), parts: Vec::new(), until };
        let take = |holdings: &mut Holdings| {
            holdings.begin(vec!["a".to_string()], 1);
            assert!(holdings.offered(offer));
        };
        reports.change(take).await.expect("it is kept");
        gaining.abort();
        go_on.send(()).expect("it waits");
        drop((go_on, is_entered));
        owned.fill_from("a").await.expect("it is kept");
        assert_eq!(owned.late(), ShardSet::all(), "what was offered is of before");
        let until = owned.asking();
        let again = |holdings: &mut Holdings| {
            let (address, snapshot) = ("a".to_string(), "snap".to_string());
            holdings.offered(route::Source { address, snapshot, shards: ShardSet::all(), parts: Vec::new(), until });
        };
        reports.change(again).await.expect("it is kept");
        owned.fill_from("a").await.expect("it is kept");
        assert!(owned.late().is_empty());
    }
    #[tokio::test]
    async fn a_report_that_was_overtaken_says_nothing() {
        let disk = SimDisk::new(1);
        let reports = Arc::new(Reports::open(Arc::new(disk.clone()), Box::new(|| false)).expect("a node"));
        let (damages, until) = (Box::new(|| 0), Box::new(|| 1_000));
        let owned = OwnedShards::open(Arc::new(disk), Arc::clone(&reports), true, damages, until).expect("a node");
        let report = |life, number, token| InsertReport { turn: ReportTurn { life, number }, token, ..report() };
        let mut token = 0;
        for number in 1..4 {
            token = owned.take_report(&report(7, number, token)).await.expect("it is answered").token;
        }
        assert!(!reports.is_catching_up());
        let late = owned.take_report(&report(7, 1, 0)).await;
        assert!(matches!(late, Err(InsertError::Invalid(why)) if why.contains("overtaken")));
        assert!(!reports.is_catching_up(), "the lease holds");
        owned.take_report(&report(8, 1, 0)).await.expect("another process of the insert begins anew");
        assert!(reports.is_catching_up(), "it does not know what the one before said");
    }
}
