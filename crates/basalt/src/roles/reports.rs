//! What a storage node keeps of the reports of inserts: whether it may call itself complete (see `route`).
//!
//! 1. The names of inserts are kept on disk, because a node that forgot one would take itself for complete while that one still holds rows for it.
//! 2. So is who the node is and what it has lost, because an insert may have known it with data that are gone.
//! 3. Whatever changes is published before an answer rests on it.

use std::{
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
use storage_api::{Admin, BoxFuture, InsertError, InsertReport, ReportAnswer, ShardSet, TakeReports};
use tokio::{sync::Mutex as AsyncMutex, task::spawn_blocking};

use crate::cluster;

/// The file with the names of inserts, one a line, in hexadecimal digits.
const INSERTS: &str = "inserts";
/// The file that says who the node is.
const NODE: &str = "node";
/// So much fits in each of them.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// See the module.
pub struct Reports {
    standing: Mutex<Standing>,
    holdings: Mutex<Holdings>,
    /// Some insert has reported, now or in an earlier life: until then nobody could have said that the data of this node are gone.
    was_heard_of: AtomicBool,
    /// Files are published one after the other.
    publishing: AsyncMutex<()>,
    began: Instant,
    disk: Arc<dyn Disk>,
    admin: Arc<dyn Admin>,
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
    pub fn open(disk: Arc<dyn Disk>, admin: Arc<dyn Admin>) -> Result<Self, String> {
        let failed = |why: &dyn std::fmt::Display| format!("cannot read the names of inserts in {INSERTS:?}: {why}");
        let text = read(&*disk, INSERTS)?;
        let was_heard_of = AtomicBool::new(text.is_some());
        let text = text.unwrap_or_default();
        let names = text.lines().map(|line| u128::from_str_radix(line, 16)).collect::<Result<Vec<_>, _>>();
        let names = names.map_err(|why| failed(&why))?;
        let holdings = match read(&*disk, NODE)? {
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
        Ok(Self {
            standing: Mutex::new(standing),
            holdings: Mutex::new(holdings),
            was_heard_of,
            publishing: AsyncMutex::default(),
            began: Instant::now(),
            disk,
            admin,
        })
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

    /// Whether an insert keeps rows for this node, or may, or what it lost is not back.
    pub fn is_catching_up(&self) -> bool {
        self.standing.lock().is_catching_up(self.began.elapsed()) || !self.lacking().is_empty()
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
        let _turn = self.publishing.lock().await;
        let mut changed = self.holdings();
        change(&mut changed);
        self.publish(NODE, changed.to_text()).await?;
        *self.holdings.lock() = changed;
        Ok(())
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
        let _turn = self.publishing.lock().await;
        self.standing.lock().forget(name);
        log::warn!("insert {name:032x} is forgotten: what it kept for this node is given up");
        self.publish_inserts().await?;
        Ok(true)
    }

    async fn publish_inserts(&self) -> Result<(), String> {
        let names = self.standing.lock().remembered();
        self.publish(INSERTS, names.iter().map(|name| format!("{name:032x}\n")).collect()).await
    }

    async fn publish(&self, file: &'static str, text: String) -> Result<(), String> {
        let disk = Arc::clone(&self.disk);
        let writing = spawn_blocking(move || publish_file(&*disk, Path::new(file), text.as_bytes()));
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
            let read_only = self.admin.stats().read_only.then(|| "the storage is in read-only mode".to_string());
            let (answer, changed) = self.standing.lock().take(self.began.elapsed(), report, read_only);
            self.was_heard_of.store(true, Relaxed);
            if changed {
                let _turn = self.publishing.lock().await;
                self.publish_inserts().await.map_err(failed)?;
            }
            Ok(ReportAnswer { node: self.holdings.lock().node(), ..answer })
        })
    }
}
