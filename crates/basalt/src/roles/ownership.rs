//! Since when a storage node owns its shards.
//!
//! 1. A shard that a report of an insert names for the first time gets a *token*: a number made of the shard's map. Every other map that is heard of while the
//!    node owns the shard changes the token. So two nodes have equal tokens for a shard if they became its owners by one map and have heard of the same
//!    maps since: one that was away while another map was in force has heard of fewer. A map that gives the shard to others, while some insert still sends it
//!    here, changes the token into one that no other node has: what is written by that map is not here.
//! 2. A shard is lost when every insert that the node knows has reported in this life and none names it. If it comes back, its token is a number that no other
//!    node has: what was written meanwhile is not here.
//! 3. Tokens are kept on disk, since a node that forgot them would differ from its peers. What is not there yet is written before a report is answered.
//!
//! 4. A folder that held samples before any insert was heard of, or that was opened as a single node, has more than its peers: all its shards count as lost
//!    before. One in which something was damaged and set aside has less: its tokens become numbers that no other node has.
//!
//! Two nodes with equal tokens, both of which lack nothing (see `route`), have the same rows of a shard.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use disk::{Disk, publish_file};
use model::{SHARDS, TimeRange};
use parking_lot::Mutex;
use route::Holdings;
use storage_api::{BoxFuture, InsertError, InsertReport, ReportAnswer, ShardSet, ShardWord, TakeReports};
use tokio::{sync::Mutex as AsyncMutex, task::spawn_blocking};

use super::reports::Reports;
use crate::cluster;

/// The file: a line `maps` with the versions of maps, a line `lost` with the shards that were lost, and a line for each token with its shards.
pub const FILE: &str = "owned_shards";
/// All of that fits: every shard may have a token of its own.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// A node that heard of more maps than this begins anew, with tokens that nobody shares.
const MAPS_MAX: usize = 4_096;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    maps: BTreeSet<u64>,
    /// By shard; 0 for those that the node does not own.
    tokens: Vec<u64>,
    lost: ShardSet,
    /// What each insert said last in this life.
    said: BTreeMap<u128, ShardSet>,
}

impl Default for Ownership {
    fn default() -> Self {
        let (maps, said) = (BTreeSet::new(), BTreeMap::new());
        Self { maps, tokens: vec![0; SHARDS], lost: ShardSet::empty(), said }
    }
}

/// Mixes a number well.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Ownership {
    /// Reads what was kept. `is_empty` is whether there are no samples.
    pub fn open(disk: &dyn Disk, is_empty: bool) -> Result<Self, String> {
        let failed =
            |why: &dyn std::fmt::Display| format!("cannot read since when shards are owned in {FILE:?}: {why}");
        let path = Path::new(FILE);
        if !disk.exists(path).map_err(|why| failed(&why))? {
            let lost = if is_empty { ShardSet::empty() } else { ShardSet::all() };
            return Ok(Self { lost, ..Self::default() });
        }
        let text = disk.read(path, FILE_BYTES_MAX).map_err(|why| failed(&why))?;
        let text = String::from_utf8(text).map_err(|why| failed(&why))?;
        Self::parse(&text).ok_or_else(|| failed(&"it is damaged"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut all = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            match words.next()? {
                "maps" => all.maps = words.map(number).collect::<Option<_>>()?,
                "lost" => all.lost = set(words)?,
                token => {
                    let (token, shards) = (number(token)?, set(words)?);
                    let of_it = (0..SHARDS as u16).filter(|shard| shards.has(*shard));
                    of_it.for_each(|shard| all.tokens[usize::from(shard)] = token);
                }
            }
        }
        Some(all)
    }

    /// What is kept on disk.
    pub fn text(&self) -> String {
        let words = |numbers: &[u64]| numbers.iter().map(|number| format!(" {number:016x}")).collect::<String>();
        let maps: Vec<u64> = self.maps.iter().copied().collect();
        let mut text = format!("maps{}\nlost{}\n", words(&maps), words(self.lost.words()));
        for (token, shards) in self.owned() {
            text += &format!("{token:016x}{}\n", words(shards.words()));
        }
        text
    }

    /// The node has lost rows: no other node is like it from now on.
    pub fn differ(&mut self) {
        let unlike = cluster::epoch();
        self.lost = ShardSet::all();
        self.tokens.iter_mut().filter(|token| **token != 0).for_each(|token| *token = unlike);
    }

    /// The shards that the node owns, by token.
    pub fn owned(&self) -> Vec<(u64, ShardSet)> {
        let mut by_token: BTreeMap<u64, ShardSet> = BTreeMap::new();
        for (shard, token) in self.tokens.iter().enumerate().filter(|(_, token)| **token != 0) {
            by_token.entry(*token).or_insert_with(ShardSet::empty).insert(shard as u16);
        }
        by_token.into_iter().collect()
    }

    /// Takes what a report says. `known` are the inserts that the node remembers. True if something has to be kept.
    pub fn take(&mut self, report: &InsertReport, known: &[u128]) -> bool {
        let before = (self.maps.len(), self.tokens.clone(), self.lost.clone());
        self.said.retain(|insert, _| known.contains(insert));
        if known.contains(&report.insert) {
            self.said.insert(report.insert, report.owned.clone());
        }
        if self.maps.len() >= MAPS_MAX {
            self.maps.clear();
            self.lost = ShardSet::all();
            self.tokens.fill(0);
        }
        // One for all shards, since every token goes over the wire with its shards.
        let unlike = cluster::epoch();
        // An insert that has no map yet sends nothing to anybody.
        let is_new_map = report.map_version != 0 && self.maps.insert(report.map_version);
        for shard in 0..SHARDS as u16 {
            let token = &mut self.tokens[usize::from(shard)];
            match (*token, report.owned.has(shard)) {
                (0, true) if self.lost.has(shard) => *token = unlike,
                (0, true) => *token = mixed(report.map_version).max(1),
                (0, false) => {}
                (_, true) if is_new_map => *token = token.wrapping_add(mixed(!report.map_version)).max(1),
                (_, false) if is_new_map => *token = unlike,
                _ => {}
            }
        }
        self.lose(known);
        before != (self.maps.len(), self.tokens.clone(), self.lost.clone())
    }

    /// Takes away the tokens of what no insert names any more.
    fn lose(&mut self, known: &[u128]) {
        if self.said.is_empty() || !known.iter().all(|insert| self.said.contains_key(insert)) {
            return;
        }
        let mut named = ShardSet::empty();
        self.said.values().for_each(|owned| named.unite(owned));
        for shard in (0..SHARDS as u16).filter(|shard| !named.has(*shard)) {
            if std::mem::take(&mut self.tokens[usize::from(shard)]) != 0 {
                self.lost.insert(shard);
            }
        }
    }
}

/// How many things were found damaged since the start of the process.
pub type Damages = dyn Fn() -> u64 + Send + Sync;

/// Takes reports, for what they say of ownership, before somebody else does for the rest.
pub struct OwnedShards {
    ownership: Mutex<Ownership>,
    /// What every answer tells of it.
    told: Mutex<Arc<[(u64, ShardSet)]>>,
    /// How much was damaged since the start of the process, and how much of that the tokens account for.
    damages: Box<Damages>,
    damages_known: AtomicU64,
    /// Files are published one after the other. Whoever writes holds it until it is done, also when nobody waits for that any more.
    publishing: Arc<AsyncMutex<()>>,
    disk: Arc<dyn Disk>,
    reports: Arc<Reports>,
}

impl OwnedShards {
    /// Reads what was kept. `is_empty` is whether there are no samples.
    pub fn open(
        disk: Arc<dyn Disk>,
        reports: Arc<Reports>,
        is_empty: bool,
        damages: Box<Damages>,
    ) -> Result<Self, String> {
        let mut ownership = Ownership::open(&*disk, is_empty)?;
        let known = damages();
        if known > 0 {
            ownership.differ();
            publish(&*disk, &ownership)?;
            reports.was_damaged()?;
        }
        let (told, damages_known) = (Mutex::new(ownership.owned().into()), AtomicU64::new(known));
        let (ownership, publishing) = (Mutex::new(ownership), Arc::default());
        Ok(Self { ownership, told, damages, damages_known, publishing, disk, reports })
    }

    /// What the node says of its shards over a range.
    pub fn word(&self, range: TimeRange) -> ShardWord {
        match (self.damages)() > self.damages_known.load(Relaxed) {
            // Until it is kept what that means.
            true => ShardWord::unknown(),
            false => ShardWord {
                complete: self.reports.complete(range),
                owned: self.told.lock().to_vec(),
                ..ShardWord::unknown()
            },
        }
    }

    /// Most reports change nothing and are not waited for.
    async fn note(&self, report: &InsertReport) -> Result<(), InsertError> {
        let mut known = self.reports.remembered();
        known.push(report.insert);
        let damages = (self.damages)();
        let is_damaged = damages > self.damages_known.load(Relaxed);
        {
            let mut ownership = self.ownership.lock();
            let mut next = ownership.clone();
            if !next.take(report, &known) && !is_damaged {
                *ownership = next;
                return Ok(());
            }
        }
        let turn = Arc::clone(&self.publishing).lock_owned().await;
        let mut next = self.ownership.lock().clone();
        next.take(report, &known);
        if is_damaged {
            next.differ();
        }
        let (kept, disk) = (next.clone(), Arc::clone(&self.disk));
        let writing = spawn_blocking(move || {
            let written = publish(&*disk, &kept);
            written.map(|()| turn)
        });
        let written = writing.await.unwrap_or_else(|why| Err(format!("writing {FILE:?} ended badly: {why}")));
        let _turn = written.map_err(InsertError::NotDurable)?;
        if is_damaged {
            log::error!(
                "something was damaged and set aside: this node counts as incomplete until it is filled up: POST /internal/refill?from=…"
            );
            self.reports.change(Holdings::damage).await.map_err(InsertError::NotDurable)?;
        }
        *self.told.lock() = next.owned().into();
        *self.ownership.lock() = next;
        self.damages_known.fetch_max(damages, Relaxed);
        Ok(())
    }
}

impl TakeReports for OwnedShards {
    fn take_report<'a>(&'a self, report: &'a InsertReport) -> BoxFuture<'a, Result<ReportAnswer, InsertError>> {
        Box::pin(async move {
            self.note(report).await?;
            self.reports.take_report(report).await
        })
    }
}

fn publish(disk: &dyn Disk, ownership: &Ownership) -> Result<(), String> {
    let written = publish_file(disk, Path::new(FILE), ownership.text().as_bytes());
    written.map_err(|why| format!("cannot keep since when shards are owned in {FILE:?}: {why}"))
}

/// Whoever writes into the folder without inserts makes it unlike its peers.
pub fn forget(disk: &dyn Disk) -> Result<(), String> {
    let failed = |why: disk::Error| format!("cannot remove {FILE:?}: {why}");
    let path = Path::new(FILE);
    if disk.exists(path).map_err(failed)? { disk.remove_file(path).map_err(failed) } else { Ok(()) }
}

fn number(word: &str) -> Option<u64> {
    u64::from_str_radix(word, 16).ok()
}

fn set<'a>(words: impl Iterator<Item = &'a str>) -> Option<ShardSet> {
    let words: Vec<u64> = words.map(number).collect::<Option<_>>()?;
    Some(ShardSet::from_words(words.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use storage_api::Missing;

    use super::*;

    fn report(insert: u128, map_version: u64, shards: &[u16]) -> InsertReport {
        let mut owned = ShardSet::empty();
        shards.iter().for_each(|shard| owned.insert(*shard));
        let (lease, missing) = (Duration::from_secs(2), Missing::nothing());
        InsertReport { insert, knows: 0, token: 0, lease, map_version, owned, missing, leaving: false }
    }

    #[test]
    fn nodes_that_heard_the_same_have_equal_tokens() {
        let (mut one, mut other, mut late) = (Ownership::default(), Ownership::default(), Ownership::default());
        assert!(one.take(&report(1, 10, &[3, 4]), &[1]) && other.take(&report(1, 10, &[3, 5]), &[1]));
        assert!(!one.take(&report(1, 10, &[3, 4]), &[1]), "nothing new");
        assert_eq!(one.tokens[3], other.tokens[3]);
        assert!(late.take(&report(1, 11, &[4]), &[1]) && one.take(&report(1, 11, &[3, 4]), &[1]));
        assert_ne!(one.tokens[4], late.tokens[4], "one owned it before");
        assert_ne!(one.tokens[3], other.tokens[3], "the other was away while a map was in force");
        other.take(&report(1, 11, &[3, 5]), &[1]);
        assert_eq!(one.tokens[3], other.tokens[3]);
        assert_eq!(Ownership::parse(&one.text()), Some(Ownership { said: BTreeMap::new(), ..one }));
    }

    #[test]
    fn who_was_passed_over_by_a_map_is_unlike_those_who_were_not() {
        let (mut kept, mut passed_over) = (Ownership::default(), Ownership::default());
        for node in [&mut kept, &mut passed_over] {
            node.take(&report(1, 10, &[3]), &[1, 2]);
            node.take(&report(2, 10, &[3]), &[1, 2]);
        }
        assert_eq!(kept.tokens[3], passed_over.tokens[3]);
        kept.take(&report(1, 11, &[3]), &[1, 2]);
        passed_over.take(&report(1, 0, &[]), &[1, 2]);
        assert!(passed_over.maps.len() == 1 && passed_over.tokens[3] != 0, "it has no map yet");
        passed_over.take(&report(1, 11, &[]), &[1, 2]);
        assert!(passed_over.tokens[3] != 0, "the other insert sends it here as before");
        // Back to the map of before: rows that came by the other one are on one of them only.
        kept.take(&report(1, 10, &[3]), &[1, 2]);
        passed_over.take(&report(1, 10, &[3]), &[1, 2]);
        assert_ne!(kept.tokens[3], passed_over.tokens[3]);
    }

    #[test]
    fn what_is_lost_comes_back_with_a_token_of_its_own() {
        let mut one = Ownership::default();
        one.take(&report(1, 10, &[3]), &[1, 2]);
        let token = one.tokens[3];
        one.take(&report(1, 11, &[]), &[1, 2]);
        assert!(one.tokens[3] != token && one.tokens[3] != 0, "the other insert may still send it");
        one.take(&report(2, 11, &[]), &[1, 2]);
        assert_eq!(one.tokens[3], 0);
        one.take(&report(1, 10, &[3]), &[1, 2]);
        assert!(one.tokens[3] != 0 && one.tokens[3] != token);
        let (token, mut other) = (one.tokens[3], one.clone());
        other.differ();
        assert!(other.tokens[3] != token && other.tokens[4] == 0, "damage makes it unlike any other");
        other.take(&report(1, 12, &[4]), &[1, 2]);
        assert_ne!(other.tokens[4], mixed(12), "what comes back was damaged too");
        assert_eq!(Ownership::parse("maps zz"), None);
        assert_eq!(Ownership::parse("1 2"), None);
    }
}
