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
//! 6. What an insert has sent past the node before it gave it a shard (`storage_api::PassedOver`) is elsewhere, also where the node owned the shard before and was away
//!    while another map gave it to others: it has everything only from now on.
//! 7. While an insert sends a shard past the node that others send it, the node has everything of it at no time: until that insert sends it too, or is forgotten. An insert that
//!    leaves because the node is in its list no more goes on without a word, so it is kept in mind (`bypassed_by`): until it is back, or an operator has it forgotten.
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
    /// The last change of its map by which each insert has sent something past the node before.
    noted: BTreeMap<u128, u64>,
    /// Inserts that have the node in their list no more.
    bypassed_by: BTreeSet<u128>,
    /// What each insert said last in this life.
    said: BTreeMap<u128, ShardSet>,
}

impl Default for Ownership {
    fn default() -> Self {
        Self {
            maps: BTreeSet::new(),
            tokens: vec![0; SHARDS],
            lost: ShardSet::empty(),
            founding: 0,
            is_alone: false,
            since: vec![NEVER; SHARDS],
            noted: BTreeMap::new(),
            bypassed_by: BTreeSet::new(),
            said: BTreeMap::new(),
        }
    }
}

/// No range begins behind it.
const NEVER: i64 = i64::MAX;
/// Rows go past the node while it owns the shard.
const NOT_NOW: i64 = NEVER - 1;
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

/// Everything is there from now on. A clock may go back.
fn begin_anew(since: &mut i64, from: i64) {
    *since = if *since >= NOT_NOW { from } else { from.max(*since) };
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
                "noted" => drop(all.noted.insert(name(words.next()?)?, number(words.next()?)?)),
                "bypassed" => drop(all.bypassed_by.insert(name(words.next()?)?)),
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
        for (insert, change) in &self.noted {
            text += &format!("noted {insert:032x} {change:016x}\n");
        }
        for insert in &self.bypassed_by {
            text += &format!("bypassed {insert:032x}\n");
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
        if !self.bypassed_by.is_empty() {
            return whole;
        }
        let owned = (0..SHARDS).filter(|shard| self.tokens[*shard] != 0);
        owned.filter(|shard| self.since[*shard] <= from).for_each(|shard| whole.insert(shard as u16));
        whole
    }

    /// Shards that the node owns and that some insert sends past it.
    pub fn gone_past(&self) -> ShardSet {
        let mut past = ShardSet::empty();
        let is_past = |shard: &usize| self.tokens[*shard] != 0 && self.since[*shard] == NOT_NOW;
        (0..SHARDS).filter(is_past).for_each(|shard| past.insert(shard as u16));
        past
    }

    /// What the node lacks of these shards will not come back: no other node is like it from now on, and it has everything from `from` on.
    pub fn give_up(&mut self, shards: &ShardSet, from: i64) {
        if shards.is_empty() {
            return;
        }
        self.differ();
        let given_up = self.since.iter_mut().enumerate().filter(|(shard, _)| shards.has(*shard as u16));
        given_up.for_each(|(_, since)| begin_anew(since, from));
    }

    /// An insert will not come back.
    pub fn forget(&mut self, insert: u128, from: i64) -> bool {
        let is_known = self.bypassed_by.remove(&insert);
        if is_known {
            self.since.iter_mut().for_each(|since| begin_anew(since, from));
        }
        is_known
    }

    /// The inserts that have the node in their list no more.
    pub fn bypassed_by(&self) -> impl Iterator<Item = u128> + '_ {
        self.bypassed_by.iter().copied()
    }

    /// Shards were copied from nodes that have everything of them, and were asked at a time: what began here since then they may lack.
    pub fn fill(&mut self, shards: &ShardSet, asked: i64) {
        let asked = asked.min(NOT_NOW);
        let is_filled = |shard: usize, since: i64| shards.has(shard as u16) && since < asked;
        let filled = self.since.iter_mut().enumerate().filter(|(shard, since)| is_filled(*shard, **since));
        filled.for_each(|(_, since)| *since = ALWAYS);
    }

    /// The latest time from which on the node has everything of some shard that it owns.
    pub fn latest(&self) -> i64 {
        let owned = (0..SHARDS).filter(|shard| self.tokens[*shard] != 0).map(|shard| self.since[shard]);
        owned.filter(|since| *since < NOT_NOW).max().unwrap_or(ALWAYS)
    }

    /// How the node began, for an insert with this map.
    pub fn origin(&self, map_version: u64, is_whole: bool) -> Origin {
        let other_maps = self.maps.iter().any(|map| *map != map_version) || !self.noted.is_empty();
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

    /// Takes what a report says. `remembered` are the inserts that the node remembers. True if something has to be kept.
    pub fn take(&mut self, report: &InsertReport, remembered: &[u128], now: &Now) -> bool {
        let mut known = remembered.to_vec();
        known.push(report.insert);
        let kept = |all: &Self| Self { said: BTreeMap::new(), ..all.clone() };
        let before = kept(self);
        self.said.retain(|insert, _| known.contains(insert));
        // An insert that has no map yet says nothing of any shard.
        if report.map_version != 0 {
            self.said.insert(report.insert, report.owned.clone());
        }
        if self.maps.len() >= MAPS_MAX || self.noted.len() >= MAPS_MAX {
            self.maps.clear();
            self.noted.clear();
            self.lost = ShardSet::all();
            self.tokens.fill(0);
        }
        // One for all shards, since every token goes over the wire with its shards.
        let unlike = cluster::epoch();
        let is_new_map = report.map_version != 0 && self.maps.insert(report.map_version);
        let is_first_map = self.maps.len() <= 1 && self.founding == 0;
        // What it said before was noted, and the answer to that was lost.
        let noted = self.noted.get(&report.insert).copied().unwrap_or(0);
        let passed: Vec<&PassedOver> = report.passed.iter().filter(|passed| passed.change > noted).collect();
        if let Some(last) = passed.iter().map(|passed| passed.change).max() {
            self.noted.insert(report.insert, last);
        }
        if report.map_version != 0 && !report.owned.is_empty() {
            self.bypassed_by.remove(&report.insert);
        } else if report.map_version != 0
            && report.leaving
            && remembered.contains(&report.insert)
            && self.bypassed_by.len() < MAPS_MAX
        {
            self.bypassed_by.insert(report.insert);
        }
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
            let is_passed = |passed: &&&PassedOver| passed.shards.has(shard) && report.owned.has(shard);
            for passed in passed.iter().filter(is_passed) {
                *token = token.wrapping_add(event(report, passed)).max(1);
                begin_anew(&mut self.since[usize::from(shard)], now.until);
            }
            if self.tokens[usize::from(shard)] != 0 && report.map_version != 0 && !report.owned.has(shard) {
                self.since[usize::from(shard)] = NOT_NOW;
            }
        }
        self.found(report, now);
        self.lose(&known);
        self.resume(&known, now);
        before != kept(self)
    }

    fn have_all_spoken(&self, known: &[u128]) -> bool {
        !self.said.is_empty() && known.iter().all(|insert| self.said.contains_key(insert))
    }

    /// Where all inserts send a shard to the node that some sent past it, it has everything from now on.
    fn resume(&mut self, known: &[u128], now: &Now) {
        if !self.have_all_spoken(known) {
            return;
        }
        let said = &self.said;
        let is_sent = |shard: usize| said.values().all(|owned| owned.has(shard as u16));
        let resumed = self.since.iter_mut().enumerate().filter(|(shard, since)| **since == NOT_NOW && is_sent(*shard));
        resumed.for_each(|(_, since)| begin_anew(since, now.until));
    }

    /// Takes away the tokens of what no insert names any more.
    fn lose(&mut self, known: &[u128]) {
        if !self.have_all_spoken(known) {
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

fn name(word: &str) -> Option<u128> {
    u128::from_str_radix(word, 16).ok()
}

fn number(word: &str) -> Option<u64> {
    u64::from_str_radix(word, 16).ok()
}

fn set<'a>(words: impl Iterator<Item = &'a str>) -> Option<ShardSet> {
    let words: Vec<u64> = words.map(number).collect::<Option<_>>()?;
    Some(ShardSet::from_words(words.try_into().ok()?))
}

#[cfg(test)]
mod tests;
