//! Since when a storage node owns its shards.
//!
//! 1. A shard that a report of an insert names for the first time gets a *token*: a number made of the shard's map. Every other map that is heard of while the
//!    node owns the shard changes the token. So two nodes have equal tokens for a shard if they became its owners by one map and have heard of the same
//!    maps since: one that was away while another map was in force has heard of fewer. A map that gives the shard to others, while some insert still sends it
//!    here, changes the token into one that no other node has: what is written by that map is not here.
//! 2. A shard is lost when every insert that the node knows has reported in this life and none names it. If it comes back, its token is a number that no other
//!    node has: what was written meanwhile is not here.
//! 3. Tokens are kept on disk, since a node that forgot them would differ from its peers. What is not there yet is written before a report is answered.
//! 4. What was there before a node owned a shard is elsewhere, so it says that it has everything of the shard only of ranges of time behind all samples that
//!    could be taken then. It has everything from the beginning where an insert vouches that all nodes began together (see `storage_api::Origin`), and
//!    where the shard was copied from a node that has. The first map of a node gives tokens that no other has until somebody has vouched.
//! 5. A folder that held samples before any insert was heard of, or that was opened as a single node, has more than its peers: all its shards count as lost
//!    before. One in which something was damaged and set aside has less: its tokens become numbers that no other node has.
//!
//! 6. What an insert has sent past the node before it gave it a shard (`storage_api::PassedOver`) is elsewhere, also where the node owned the shard before and was away
//!    while another map gave it to others: it has everything only from now on. The insert's change of the map counts like another map that was heard of.
//!
//! Two nodes with equal tokens, both of which lack nothing (see `route`), have the same rows of a shard.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use disk::{Disk, publish_file};
use model::SHARDS;
use storage_api::{InsertReport, Origin, PassedOver, ShardSet};

use crate::cluster;

/// The file, see `docs/formats/folder.md`.
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
    /// What an insert vouched for; 0 if none did.
    founding: u64,
    /// The folder was a single node's, with samples, before any insert was heard of.
    is_alone: bool,
    /// By shard, from when on the node has everything of it; for those that it does not own it does not count.
    since: Vec<i64>,
    /// What each insert said last in this life.
    said: BTreeMap<u128, ShardSet>,
}

impl Default for Ownership {
    fn default() -> Self {
        let (maps, said) = (BTreeSet::new(), BTreeMap::new());
        let (tokens, since, lost) = (vec![0; SHARDS], vec![NEVER; SHARDS], ShardSet::empty());
        Self { maps, tokens, lost, founding: 0, is_alone: false, since, said }
    }
}

/// No range begins behind it.
const NEVER: i64 = i64::MAX;
/// Every range begins behind it.
pub const ALWAYS: i64 = i64::MIN;

/// What a node is when it takes a report.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Its name.
    pub node: u128,
    /// Nothing of what it held is lost or damaged.
    pub is_whole: bool,
    /// No sample that was taken until now, here or elsewhere, has a later time.
    pub until: i64,
}

/// Stands for a change of an insert's map.
fn event(report: &InsertReport, passed: &PassedOver) -> u64 {
    mixed(report.insert as u64 ^ mixed((report.insert >> 64) as u64 ^ mixed(passed.change)))
}

/// Mixes a number well.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Ownership {
    /// Reads what was kept. `is_empty` is whether there are no samples, `is_new` whether the folder was no storage's before.
    pub fn open(disk: &dyn Disk, is_empty: bool, is_new: bool, until: i64) -> Result<Self, String> {
        let failed =
            |why: &dyn std::fmt::Display| format!("cannot read since when shards are owned in {FILE:?}: {why}");
        let path = Path::new(FILE);
        if !disk.exists(path).map_err(|why| failed(&why))? {
            let lost = if is_empty { ShardSet::empty() } else { ShardSet::all() };
            let new = Self { lost, is_alone: is_new && !is_empty, ..Self::default() };
            // The next process must not take a storage for a single node.
            return publish(disk, &new).map(|()| new);
        }
        let text = disk.read(path, FILE_BYTES_MAX).map_err(|why| failed(&why))?;
        let text = String::from_utf8(text).map_err(|why| failed(&why))?;
        let mut kept = Self::parse(&text).ok_or_else(|| failed(&"it is damaged"))?;
        // Programs before did not keep it.
        let unsaid: Vec<usize> =
            (0..SHARDS).filter(|shard| kept.tokens[*shard] != 0 && kept.since[*shard] == NEVER).collect();
        unsaid.iter().for_each(|shard| kept.since[*shard] = until);
        if !unsaid.is_empty() {
            publish(disk, &kept)?;
        }
        Ok(kept)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut all = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            match words.next()? {
                "maps" => all.maps = words.map(number).collect::<Option<_>>()?,
                "lost" => all.lost = set(words)?,
                "founding" => all.founding = number(words.next()?)?,
                "alone" => all.is_alone = true,
                "since" => {
                    let (since, shards) = (number(words.next()?)? as i64, set(words)?);
                    let of_it = (0..SHARDS as u16).filter(|shard| shards.has(*shard));
                    of_it.for_each(|shard| all.since[usize::from(shard)] = since);
                }
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
        if self.founding != 0 {
            text += &format!("founding {:016x}\n", self.founding);
        }
        if self.is_alone {
            text += "alone\n";
        }
        let mut by_since: BTreeMap<i64, ShardSet> = BTreeMap::new();
        for (shard, since) in self.since.iter().enumerate().filter(|(shard, _)| self.tokens[*shard] != 0) {
            by_since.entry(*since).or_insert_with(ShardSet::empty).insert(shard as u16);
        }
        for (since, shards) in by_since {
            text += &format!("since {:016x}{}\n", since as u64, words(shards.words()));
        }
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

    /// Shards that the node owns and did not own before, or not all the time.
    pub fn gained(&self, before: &Self) -> ShardSet {
        let mut gained = ShardSet::empty();
        let is_newer = |shard: usize| before.tokens[shard] == 0 || self.since[shard] > before.since[shard];
        let is_gained = |shard: &usize| self.tokens[*shard] != 0 && is_newer(*shard);
        (0..SHARDS).filter(is_gained).for_each(|shard| gained.insert(shard as u16));
        gained
    }

    /// The shards that the node owns, by token.
    pub fn owned(&self) -> Vec<(u64, ShardSet)> {
        let mut by_token: BTreeMap<u64, ShardSet> = BTreeMap::new();
        for (shard, token) in self.tokens.iter().enumerate().filter(|(_, token)| **token != 0) {
            by_token.entry(*token).or_insert_with(ShardSet::empty).insert(shard as u16);
        }
        by_token.into_iter().collect()
    }

    /// Shards of which the node has everything with a time from `from` on, but for what its inserts know that it lacks.
    pub fn whole_since(&self, from: i64) -> ShardSet {
        let mut whole = ShardSet::empty();
        let owned = (0..SHARDS).filter(|shard| self.tokens[*shard] != 0);
        owned.filter(|shard| self.since[*shard] <= from).for_each(|shard| whole.insert(shard as u16));
        whole
    }

    /// What the node lacks of these shards will not come back: it has everything from `from` on.
    pub fn begin_anew(&mut self, shards: &ShardSet, from: i64) {
        let anew = (0..SHARDS as u16).filter(|shard| shards.has(*shard));
        anew.for_each(|shard| self.since[usize::from(shard)] = from);
    }

    /// Shards were copied from nodes that have everything of them.
    pub fn fill(&mut self, shards: &ShardSet) {
        let filled = (0..SHARDS as u16).filter(|shard| shards.has(*shard));
        filled.for_each(|shard| self.since[usize::from(shard)] = ALWAYS);
    }

    /// How the node began, for an insert with this map.
    pub fn origin(&self, map_version: u64, is_whole: bool) -> Origin {
        let other_maps = self.maps.iter().any(|map| *map != map_version);
        match self.founding {
            0 if other_maps || !is_whole => Origin::Later,
            0 if self.is_alone => Origin::Alone,
            0 if self.lost.is_empty() => Origin::Young,
            0 => Origin::Later,
            number => Origin::Founded(number),
        }
    }

    /// Believes an insert that vouches for the node, if it may mean this node as it is.
    fn found(&mut self, report: &InsertReport, now: &Now) {
        let origin = self.origin(report.map_version, now.is_whole);
        let is_meant = report.knows == now.node || report.knows == 0;
        if report.founding == 0 || !is_meant || !matches!(origin, Origin::Young | Origin::Alone) {
            return;
        }
        self.founding = report.founding;
        for (token, since) in self.tokens.iter_mut().zip(&mut self.since).filter(|(token, _)| **token != 0) {
            *since = ALWAYS;
            if origin == Origin::Young {
                *token = mixed(report.founding).max(1);
            }
        }
    }

    /// Takes what a report says. `known` are the inserts that the node remembers. True if something has to be kept.
    pub fn take(&mut self, report: &InsertReport, known: &[u128], now: &Now) -> bool {
        let kept = |all: &Self| (all.maps.len(), all.tokens.clone(), all.lost.clone(), all.founding, all.since.clone());
        let before = kept(self);
        self.said.retain(|insert, _| known.contains(insert));
        // An insert that has no map yet says nothing of any shard.
        if known.contains(&report.insert) && report.map_version != 0 {
            self.said.insert(report.insert, report.owned.clone());
        }
        if self.maps.len() >= MAPS_MAX {
            self.maps.clear();
            self.lost = ShardSet::all();
            self.tokens.fill(0);
        }
        // One for all shards, since every token goes over the wire with its shards.
        let unlike = cluster::epoch();
        let is_new_map = report.map_version != 0 && self.maps.insert(report.map_version);
        let is_first_map = self.maps.len() <= 1 && self.founding == 0;
        // One that said so before was not answered.
        let passed: Vec<(u64, &ShardSet)> =
            report.passed.iter().map(|passed| (event(report, passed), &passed.shards)).collect();
        let passed: Vec<_> = passed.into_iter().filter(|(event, _)| self.maps.insert(*event)).collect();
        for shard in 0..SHARDS as u16 {
            if self.tokens[usize::from(shard)] == 0 && report.owned.has(shard) {
                self.since[usize::from(shard)] = now.until;
            }
            let token = &mut self.tokens[usize::from(shard)];
            match (*token, report.owned.has(shard)) {
                (0, true) if is_first_map || self.lost.has(shard) => *token = unlike,
                (0, true) => *token = mixed(report.map_version).max(1),
                (0, false) => {}
                (_, true) if is_new_map => *token = token.wrapping_add(mixed(!report.map_version)).max(1),
                (_, false) if is_new_map => *token = unlike,
                _ => {}
            }
            let is_passed = |shards: &ShardSet| shards.has(shard) && report.owned.has(shard);
            for (event, _) in passed.iter().filter(|(_, shards)| is_passed(shards)) {
                self.since[usize::from(shard)] = now.until;
                *token = token.wrapping_add(mixed(*event)).max(1);
            }
        }
        self.found(report, now);
        self.lose(known);
        before != kept(self)
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

/// Keeps it.
pub fn publish(disk: &dyn Disk, ownership: &Ownership) -> Result<(), String> {
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

    const NOW: Now = Now { node: 5, is_whole: true, until: 1_000 };

    fn set(shards: &[u16]) -> ShardSet {
        let mut set = ShardSet::empty();
        shards.iter().for_each(|shard| set.insert(*shard));
        set
    }

    fn report(insert: u128, map_version: u64, shards: &[u16]) -> InsertReport {
        let owned = set(shards);
        let (lease, missing) = (Duration::from_secs(2), Missing::nothing());
        InsertReport {
            insert,
            knows: 0,
            token: 0,
            lease,
            map_version,
            owned,
            founding: 0,
            passed: Vec::new(),
            missing,
            leaving: false,
        }
    }

    #[test]
    fn nodes_that_heard_the_same_have_equal_tokens() {
        let (mut one, mut other, mut late) = (Ownership::default(), Ownership::default(), Ownership::default());
        let vouched = |shards: &[u16]| InsertReport { founding: 77, ..report(1, 10, shards) };
        assert!(one.take(&vouched(&[3, 4]), &[1], &NOW) && other.take(&vouched(&[3, 5]), &[1], &NOW));
        assert!(!one.take(&report(1, 10, &[3, 4]), &[1], &NOW), "nothing new");
        assert_eq!(one.tokens[3], other.tokens[3]);
        assert!(late.take(&report(1, 11, &[4]), &[1], &NOW) && one.take(&report(1, 11, &[3, 4]), &[1], &NOW));
        assert_ne!(one.tokens[4], late.tokens[4], "one owned it before");
        assert_ne!(one.tokens[3], other.tokens[3], "the other was away while a map was in force");
        other.take(&report(1, 11, &[3, 5]), &[1], &NOW);
        assert_eq!(one.tokens[3], other.tokens[3]);
        assert_eq!(Ownership::parse(&one.text()), Some(Ownership { said: BTreeMap::new(), ..one }));
    }

    #[test]
    fn a_node_has_everything_from_the_beginning_only_where_somebody_vouches() {
        let [mut first, mut emptied] = [Ownership::default(), Ownership::default()];
        assert_eq!(first.origin(10, true), Origin::Young);
        first.take(&report(1, 10, &[3]), &[1], &NOW);
        assert!(!first.whole_since(ALWAYS).has(3) && !first.whole_since(999).has(3) && first.whole_since(1_000).has(3));
        assert!(!first.whole_since(i64::MAX).has(4), "it does not own it");
        let vouched = InsertReport { founding: 77, knows: NOW.node, ..report(1, 10, &[3]) };
        for no in [InsertReport { knows: 9, ..vouched.clone() }, report(1, 10, &[3])] {
            assert!(!first.take(&no, &[1], &NOW), "another node is meant, or none");
        }
        assert!(!first.take(&vouched, &[1], &Now { is_whole: false, ..NOW }), "it has lost something");
        assert!(first.take(&vouched, &[1], &NOW) && first.whole_since(ALWAYS).has(3));
        assert_eq!(first.origin(10, true), Origin::Founded(77));
        // What it gets by another map was elsewhere before.
        first.take(&report(1, 11, &[3, 4]), &[1], &Now { until: 2_000, ..NOW });
        assert!(
            first.whole_since(ALWAYS).has(3) && !first.whole_since(1_999).has(4) && first.whole_since(2_000).has(4)
        );
        assert_eq!(Ownership::parse(&first.text()), Some(Ownership { said: BTreeMap::new(), ..first.clone() }));
        first.fill(&first.whole_since(2_000));
        assert!(first.whole_since(ALWAYS).has(4), "it was copied");

        let mut other = Ownership::default();
        other.take(&report(1, 10, &[3]), &[1], &NOW);
        emptied.take(&report(1, 10, &[3]), &[1], &NOW);
        assert_ne!(emptied.tokens[3], other.tokens[3], "nobody has vouched that they began together");
        emptied.take(&report(1, 11, &[3]), &[1], &NOW);
        assert_eq!(emptied.origin(11, true), Origin::Later);
        assert!(!emptied.take(&InsertReport { founding: 78, ..report(1, 11, &[3]) }, &[1], &NOW));
    }

    #[test]
    fn a_node_that_was_passed_over_has_everything_only_from_then_on() {
        let passed = |insert, shards: &[u16]| {
            let report = report(insert, 10, shards);
            InsertReport { passed: vec![PassedOver { change: 3, shards: report.owned.clone() }], ..report }
        };
        let [mut one, mut other, mut peer] = [Ownership::default(), Ownership::default(), Ownership::default()];
        for node in [&mut one, &mut other, &mut peer] {
            node.take(&InsertReport { founding: 77, ..report(1, 10, &[3, 4]) }, &[1], &NOW);
        }
        // A map that gave the shard to others was in force while it was away.
        let later = Now { until: 2_000, ..NOW };
        assert!(one.take(&InsertReport { owned: set(&[3, 4]), ..passed(1, &[3, 9]) }, &[1], &later));
        assert!(!one.whole_since(1_999).has(3) && one.whole_since(2_000).has(3) && one.whole_since(ALWAYS).has(4));
        assert!(one.tokens[3] != peer.tokens[3] && one.tokens[4] == peer.tokens[4] && one.tokens[9] == 0);
        let again = InsertReport { owned: set(&[3, 4]), ..passed(1, &[3]) };
        assert!(!one.take(&again, &[1], &Now { until: 3_000, ..NOW }), "the answer to it was lost");
        assert_eq!(Ownership::parse(&one.text()), Some(Ownership { said: BTreeMap::new(), ..one.clone() }));
        // Two that were passed over by the same changes of two inserts, whichever is heard first.
        one.take(&passed(2, &[3]), &[1], &later);
        for insert in [2, 1] {
            other.take(&passed(insert, &[3]), &[1], &later);
        }
        assert_eq!(one.tokens[3], other.tokens[3]);
        // One that begins by such a map did not begin with the others.
        let mut young = Ownership::default();
        young.take(&passed(2, &[3]), &[1], &NOW);
        assert_eq!(young.origin(10, true), Origin::Later);
        young.take(&InsertReport { founding: 77, ..report(1, 10, &[3]) }, &[1], &NOW);
        assert!(!young.whole_since(ALWAYS).has(3));
    }

    #[test]
    fn an_insert_that_has_no_map_yet_takes_nothing_away() {
        let mut node = Ownership::default();
        node.take(&InsertReport { founding: 77, ..report(1, 10, &[3]) }, &[1], &NOW);
        // The first one has said good-bye; the next one has just begun.
        assert!(!node.take(&report(2, 0, &[]), &[2], &NOW));
        node.take(&report(2, 10, &[3]), &[2], &NOW);
        assert!(node.whole_since(ALWAYS).has(3) && node.tokens[3] == mixed(77));
    }

    #[test]
    fn the_folder_of_a_single_node_has_everything_where_it_is_alone() {
        let disk = testkit::SimDisk::new(1);
        let mut alone = Ownership::open(&disk, false, true, 0).expect("a folder");
        let reread = Ownership::open(&disk, false, false, 0).expect("a folder");
        assert!(reread == alone, "the next process takes it for the same");
        assert_eq!(alone.origin(10, true), Origin::Alone);
        alone.take(&InsertReport { founding: 77, ..report(1, 10, &[3]) }, &[1], &NOW);
        assert!(alone.whole_since(ALWAYS).has(3) && alone.tokens[3] != mixed(77), "nobody is like it");
        let storage = Ownership::open(&testkit::SimDisk::new(1), false, false, 0).expect("a folder");
        assert_eq!(storage.origin(10, true), Origin::Later, "it was a storage before it was a single node");
    }

    #[test]
    fn what_an_earlier_program_kept_is_read_as_late() {
        let mut old = Ownership::default();
        old.take(&report(1, 10, &[3]), &[1], &NOW);
        let text: String =
            old.text().lines().filter(|line| !line.starts_with("since")).map(|line| format!("{line}\n")).collect();
        let disk = testkit::SimDisk::new(1);
        disk.plant(FILE, text.as_bytes());
        let mut read = Ownership::open(&disk, false, false, 500).expect("it is read");
        assert!(read.whole_since(500).has(3) && !read.whole_since(499).has(3));
        assert_eq!(read.origin(10, true), Origin::Young, "it can be vouched for");
        read.take(&InsertReport { founding: 77, ..report(1, 10, &[3]) }, &[1], &NOW);
        assert!(read.whole_since(ALWAYS).has(3));
    }

    #[test]
    fn who_was_passed_over_by_a_map_is_unlike_those_who_were_not() {
        let (mut kept, mut passed_over) = (Ownership::default(), Ownership::default());
        for node in [&mut kept, &mut passed_over] {
            node.take(&InsertReport { founding: 77, ..report(1, 10, &[3]) }, &[1, 2], &NOW);
            node.take(&report(2, 10, &[3]), &[1, 2], &NOW);
        }
        assert_eq!(kept.tokens[3], passed_over.tokens[3]);
        kept.take(&report(1, 11, &[3]), &[1, 2], &NOW);
        passed_over.take(&report(1, 0, &[]), &[1, 2], &NOW);
        assert!(passed_over.maps.len() == 1 && passed_over.tokens[3] != 0, "it has no map yet");
        passed_over.take(&report(1, 11, &[]), &[1, 2], &NOW);
        assert!(passed_over.tokens[3] != 0, "the other insert sends it here as before");
        // Back to the map of before: rows that came by the other one are on one of them only.
        kept.take(&report(1, 10, &[3]), &[1, 2], &NOW);
        passed_over.take(&report(1, 10, &[3]), &[1, 2], &NOW);
        assert_ne!(kept.tokens[3], passed_over.tokens[3]);
    }

    #[test]
    fn what_is_lost_comes_back_with_a_token_of_its_own() {
        let mut one = Ownership::default();
        one.take(&report(1, 10, &[3]), &[1, 2], &NOW);
        let token = one.tokens[3];
        one.take(&report(1, 11, &[]), &[1, 2], &NOW);
        assert!(one.tokens[3] != token && one.tokens[3] != 0, "the other insert may still send it");
        one.take(&report(2, 11, &[]), &[1, 2], &NOW);
        assert_eq!(one.tokens[3], 0);
        one.take(&report(1, 10, &[3]), &[1, 2], &NOW);
        assert!(one.tokens[3] != 0 && one.tokens[3] != token);
        let (token, mut other) = (one.tokens[3], one.clone());
        other.differ();
        assert!(other.tokens[3] != token && other.tokens[4] == 0, "damage makes it unlike any other");
        other.take(&report(1, 12, &[4]), &[1, 2], &NOW);
        assert_ne!(other.tokens[4], mixed(12), "what comes back was damaged too");
        assert_eq!(Ownership::parse("maps zz"), None);
        assert_eq!(Ownership::parse("1 2"), None);
    }
}
