//! What a storage node keeps of the reports of inserts: whether it may call itself complete (see `route`).
//!
//! 1. The names of inserts are kept on disk, because a node that forgot one would take itself for complete while that one still holds rows for it.
//! 2. So is who the node is and what it has lost, because an insert may have known it with data that are gone.
//! 3. Whatever changes is published before an answer rests on it. Who waits for an answer may give up meanwhile: the writing goes on, nothing else is written
//!    beside it, and what counts is what is surely in the file, never that somebody has begun to write it.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use disk::{Disk, publish_file};
use model::{SHARDS, TimeRange};
use parking_lot::Mutex;
use route::{Complete, Holdings, Standing};
use storage_api::{BoxFuture, InsertError, InsertReport, ReportAnswer, ShardSet, TakeReports};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard},
    task::spawn_blocking,
};

use crate::cluster;

/// The file with the names of inserts, one a line, in hexadecimal digits.
const INSERTS: &str = "inserts";
/// The file that says who the node is.
const NODE: &str = "node";
/// So much fits in each of them.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Whether the node takes no rows.
pub type IsReadOnly = dyn Fn() -> bool + Send + Sync;

/// See the module.
pub struct Reports {
    standing: Mutex<Standing>,
    holdings: Arc<Mutex<Holdings>>,
    /// What the file of inserts says.
    in_file: Arc<Mutex<InFile>>,
    /// Some insert has reported in this life: until then nobody could have said that the data of this node are gone, or that rows went past it while it was away
    /// and remembered nobody.
    was_heard_of: AtomicBool,
    /// The folder was no storage's before this process.
    is_new: bool,
    /// Files are published one after the other. Whoever writes holds it until it is done, also when nobody waits for that any more.
    publishing: Arc<AsyncMutex<()>>,
    began: Instant,
    disk: Arc<dyn Disk>,
    is_read_only: Box<IsReadOnly>,
}

/// What the file of inserts says. While it is written, and after that has failed, it may be the old file or the new one.
#[derive(Debug, Default)]
struct InFile {
    surely: BTreeSet<u128>,
    maybe: BTreeSet<u128>,
}

impl InFile {
    /// A file of these is being written.
    fn begin(&mut self, names: &BTreeSet<u128>) {
        self.surely.retain(|name| names.contains(name));
        self.maybe.extend(names);
    }

    /// It is written.
    fn end(&mut self, names: BTreeSet<u128>) {
        (self.surely, self.maybe) = (names.clone(), names);
    }

    /// Whether the file says of an insert what is known of it.
    fn says(&self, name: u128, is_remembered: bool) -> bool {
        if is_remembered { self.surely.contains(&name) } else { !self.maybe.contains(&name) }
    }
}

/// An insert that is remembered.
pub struct RememberedInsert {
    /// Its name.
    pub name: u128,
    /// Whether its word holds.
    pub is_there: bool,
    /// Whether it keeps rows for this node.
    pub keeps_hints: bool,
}

impl Reports {
    /// Reads what was known before.
    pub fn open(disk: Arc<dyn Disk>, is_read_only: Box<IsReadOnly>) -> Result<Self, String> {
        let failed = |why: &dyn std::fmt::Display| format!("cannot read the names of inserts in {INSERTS:?}: {why}");
        let text = read(&*disk, INSERTS)?;
        let text = text.unwrap_or_default();
        let names = text.lines().map(|line| u128::from_str_radix(line, 16)).collect::<Result<Vec<_>, _>>();
        let names = names.map_err(|why| failed(&why))?;
        let told = read(&*disk, NODE)?;
        let is_new = told.is_none();
        let holdings = match told {
            Some(text) => Holdings::parse(&text).map_err(|why| format!("cannot read {NODE:?}: {why}"))?,
            None => {
                // The standard library keys its hash tables with the system's randomness.
                let half = || u128::from(RandomState::new().hash_one(()));
                let holdings = Holdings::new((half() << 64 | half()).max(1));
                let text = holdings.to_text();
                publish_file(&*disk, Path::new(NODE), text.as_bytes())
                    .map_err(|why| format!("cannot write {NODE:?}: {why}"))?;
                holdings
            }
        };
        let standing = Standing::new(cluster::epoch(), &names);
        let mut in_file = InFile::default();
        in_file.end(names.into_iter().collect());
        Ok(Self {
            standing: Mutex::new(standing),
            holdings: Arc::new(Mutex::new(holdings)),
            in_file: Arc::new(Mutex::new(in_file)),
            was_heard_of: AtomicBool::new(false),
            is_new,
            publishing: Arc::default(),
            began: Instant::now(),
            disk,
            is_read_only,
        })
    }

    /// Whether the folder was no storage's before this process.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Of which shards this node has all that was acknowledged with a time in the range.
    pub fn complete(&self, range: TimeRange) -> ShardSet {
        if !self.was_heard_of.load(Relaxed) {
            return ShardSet::empty();
        }
        let now = self.began.elapsed();
        let lacking = self.holdings.lock().may_lack();
        let standing = self.standing.lock();
        let mut shards = ShardSet::empty();
        for shard in 0..SHARDS as u16 {
            match standing.complete(now, shard) {
                Complete::Yes => shards.insert(shard),
                Complete::Except(missing) if !missing.overlaps(range) => shards.insert(shard),
                Complete::Except(_) | Complete::Unknown => {}
            }
        }
        shards.without(&lacking)
    }

    /// The inserts that this node waits for the word of.
    pub fn remembered(&self) -> Vec<u128> {
        self.standing.lock().remembered()
    }

    /// Whether an insert keeps rows for this node, or may, or what it lost is not back, or it is filled up.
    pub fn is_catching_up(&self) -> bool {
        self.standing.lock().is_catching_up(self.began.elapsed()) || self.is_filled_up()
    }

    /// Whether the node gets back what it lost, or waits for that.
    fn is_filled_up(&self) -> bool {
        !self.lacking().is_empty() || self.holdings.lock().is_wanted()
    }

    /// Shards that should be here and were lost.
    pub fn lacking(&self) -> ShardSet {
        let owned = self.standing.lock().owned();
        self.holdings.lock().lacks().and(&owned)
    }

    /// The shards that inserts send here.
    pub fn owned(&self) -> ShardSet {
        self.standing.lock().owned()
    }

    /// The inserts whose word is waited for.
    pub fn inserts(&self) -> Vec<RememberedInsert> {
        let inserts = self.standing.lock().inserts(self.began.elapsed());
        let seen = |(name, is_there, keeps_hints)| RememberedInsert { name, is_there, keeps_hints };
        inserts.into_iter().map(seen).collect()
    }

    /// What this node has lost and gets back.
    pub fn holdings(&self) -> Holdings {
        self.holdings.lock().clone()
    }

    /// Changes what is known of it, durably.
    pub async fn change(&self, change: impl FnOnce(&mut Holdings)) -> Result<(), String> {
        let turn = Arc::clone(&self.publishing).lock_owned().await;
        let mut changed = self.holdings();
        change(&mut changed);
        let holdings = Arc::clone(&self.holdings);
        self.publish(turn, NODE, changed.to_text(), move || *holdings.lock() = changed).await
    }

    /// Something was found damaged when the folder was opened.
    pub fn was_damaged(&self) -> Result<(), String> {
        let mut holdings = self.holdings.lock();
        let mut changed = holdings.clone();
        changed.damage();
        publish_file(&*self.disk, Path::new(NODE), changed.to_text().as_bytes())
            .map_err(|why| format!("cannot write {NODE:?}: {why}"))?;
        *holdings = changed;
        Ok(())
    }

    /// Forgets an insert that will not come back; false if none of this name is known. One whose word holds is not forgotten.
    pub async fn forget(&self, name: u128) -> Result<bool, String> {
        let known = self.inserts().into_iter().find(|insert| insert.name == name);
        match known {
            None => return Ok(false),
            Some(known) if known.is_there => return Err(format!("insert {name:032x} is there")),
            Some(_) => {}
        }
        self.standing.lock().forget(name);
        log::warn!("insert {name:032x} is forgotten: what it kept for this node is given up");
        self.keep(name).await?;
        Ok(true)
    }

    /// Sees to it that the file says of an insert what is known of it: at once, if it does already.
    async fn keep(&self, name: u128) -> Result<(), String> {
        let is_kept = || {
            let is_remembered = self.standing.lock().remembers(name);
            self.in_file.lock().says(name, is_remembered)
        };
        if is_kept() {
            return Ok(());
        }
        let turn = Arc::clone(&self.publishing).lock_owned().await;
        if is_kept() {
            // Somebody else's turn has kept this one too.
            return Ok(());
        }
        let names: BTreeSet<u128> = {
            // Who is remembered from here on finds that the file does not surely say so.
            let mut in_file = self.in_file.lock();
            let names = self.standing.lock().remembered().into_iter().collect();
            in_file.begin(&names);
            names
        };
        let text = names.iter().map(|name| format!("{name:032x}\n")).collect();
        let in_file = Arc::clone(&self.in_file);
        self.publish(turn, INSERTS, text, move || in_file.lock().end(names)).await
    }

    /// Writes a file, and does what is to be done when it is written.
    async fn publish(
        &self,
        turn: OwnedMutexGuard<()>,
        file: &'static str,
        text: String,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<(), String> {
        let disk = Arc::clone(&self.disk);
        let writing = spawn_blocking(move || {
            let written = publish_file(&*disk, Path::new(file), text.as_bytes());
            if written.is_ok() {
                then();
            }
            drop(turn);
            written
        });
        let failed = |why: &dyn std::fmt::Display| format!("cannot write {file:?}: {why}");
        writing.await.map_err(|why| failed(&why))?.map_err(|why| failed(&why))
    }

    /// An insert may have known this node with data that are gone.
    async fn compare(&self, report: &InsertReport) -> Result<(), String> {
        if !self.holdings.lock().is_news(report.knows) {
            return Ok(());
        }
        log::error!(
            "insert {:032x} knew this node with data that are gone; it counts as incomplete until it is filled up: POST /internal/refill?from=…",
            report.insert
        );
        self.change(|holdings| holdings.lose(report.knows)).await
    }
}

fn read(disk: &dyn Disk, file: &str) -> Result<Option<String>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("cannot read {file:?}: {why}");
    let path = Path::new(file);
    if !disk.exists(path).map_err(|why| failed(&why))? {
        return Ok(None);
    }
    let bytes = disk.read(path, FILE_BYTES_MAX).map_err(|why| failed(&why))?;
    String::from_utf8(bytes).map(Some).map_err(|why| failed(&why))
}

impl TakeReports for Reports {
    fn take_report<'a>(&'a self, report: &'a InsertReport) -> BoxFuture<'a, Result<ReportAnswer, InsertError>> {
        Box::pin(async move {
            let failed = |why: String| InsertError::NotDurable(format!("cannot remember an insert: {why}"));
            self.compare(report).await.map_err(failed)?;
            let read_only = (self.is_read_only)().then(|| "the storage is in read-only mode".to_string());
            let answer = self.standing.lock().take(self.began.elapsed(), report, read_only);
            self.was_heard_of.store(true, Relaxed);
            // An insert that is answered may acknowledge what this node lacks: a file that lacks the insert would make the next process complete without its word.
            self.keep(report.insert).await.map_err(failed)?;
            Ok(ReportAnswer { node: self.holdings.lock().node(), ..answer })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use storage_api::Missing;
    use testkit::{Op, SimDisk};

    use super::*;

    fn report(insert: u128) -> InsertReport {
        let (lease, missing, owned) = (Duration::from_secs(2), Missing::nothing(), ShardSet::all());
        InsertReport {
            turn: storage_api::ReportTurn::default(),
            insert,
            knows: 0,
            token: 0,
            lease,
            map_version: 1,
            owned,
            founding: 0,
            passed: Vec::new(),
            missing,
            leaving: false,
        }
    }

    fn open(disk: &SimDisk) -> Arc<Reports> {
        Arc::new(Reports::open(Arc::new(disk.clone()), Box::new(|| false)).expect("a node"))
    }

    fn in_file(disk: &SimDisk) -> Vec<u128> {
        let text = String::from_utf8(disk.contents(INSERTS)).expect("a text");
        text.lines().map(|line| u128::from_str_radix(line, 16).expect("a name")).collect()
    }

    #[tokio::test]
    async fn an_insert_is_not_answered_before_the_file_names_it_however_often_it_asks() {
        let disk = SimDisk::new(1);
        let node = open(&disk);
        node.take_report(&report(1)).await.expect("it is remembered");
        disk.inject(testkit::Fault::on(Op::Rename).path(INSERTS).probability(1.0));
        for _ in 0..3 {
            assert!(node.take_report(&report(2)).await.is_err(), "the file cannot be written");
            node.take_report(&report(1)).await.expect("the file names this one");
            assert_eq!(in_file(&disk), [1]);
        }
        disk.clear_faults();
        node.take_report(&report(2)).await.expect("it is remembered");
        assert_eq!(in_file(&disk), [1, 2]);
        let next = open(&disk.kill());
        assert_eq!(next.remembered(), [1, 2]);
    }

    #[tokio::test]
    async fn an_insert_that_gives_up_waiting_is_not_answered_before_the_file_names_it() {
        let disk = SimDisk::new(1);
        let node = open(&disk);
        let (entered, is_entered) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let may_go_on = Mutex::new(may_go_on);
        disk.on_operation(move |op, _| {
            if op == Op::Rename {
                // Once for each writing; the test may be over.
                let _ = entered.send(());
                let _ = may_go_on.lock().recv();
            }
        });
        let asked = Arc::clone(&node);
        let first = tokio::spawn(async move { asked.take_report(&report(1)).await });
        tokio::task::spawn_blocking(move || is_entered.recv()).await.expect("a thread").expect("it writes");
        first.abort();
        let asked = Arc::clone(&node);
        let second = tokio::spawn(async move { asked.take_report(&report(1)).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!second.is_finished(), "the file does not name it yet");
        drop(go_on);
        second.await.expect("no panic").expect("it is remembered");
        assert_eq!(in_file(&disk), [1]);
    }

    #[tokio::test]
    async fn a_good_bye_that_could_not_be_kept_is_kept_with_the_next_word() {
        let disk = SimDisk::new(1);
        let node = open(&disk);
        let token = node.take_report(&report(1)).await.expect("it is remembered").token;
        disk.inject(testkit::Fault::on(Op::Rename).path(INSERTS).probability(1.0));
        let leaves = InsertReport { token, leaving: true, ..report(1) };
        assert!(node.take_report(&leaves).await.is_err());
        disk.clear_faults();
        node.take_report(&InsertReport { leaving: true, ..report(1) }).await.expect("it is forgotten");
        assert_eq!(in_file(&disk), []);
    }
}
