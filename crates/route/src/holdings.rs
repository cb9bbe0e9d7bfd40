//! Who a storage node is, what it has lost, and how far it is filled up again.
//!
//! 1. A node has a name of its own, a random number that lies beside its data. Inserts remember it. When one of them knew the node under another name, the data of
//!    that time are gone: the node *lacks* all shards.
//! 2. A node that lacks shards is filled up from others, its *sources*: each offers the parts of a snapshot for some shards, and part by part they are copied. A shard
//!    of which all parts are copied lacks nothing any more.
//! 3. Where something was damaged and set aside, nobody knows of which shards it was. The node answers for none alone until it has been filled up with all of them; but it is
//!    not behind: what is deleted is deleted here too.
//! 4. All of it is one small file, which is published before anything rests on it.

use std::{collections::BTreeSet, fmt::Write};

use model::SHARDS;
use storage_api::ShardSet;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    node: u128,
    /// Who the node was in lives whose data are gone, or copied.
    former: BTreeSet<u128>,
    lacking: ShardSet,
    /// Something was damaged since all was here.
    damaged: bool,
    /// Addresses of nodes to copy from; none while nobody wants it to be filled up.
    pub from: Vec<String>,
    /// What is copied counts as if it had arrived then.
    pub arrival: u64,
    sources: Vec<Source>,
}

/// A node that is copied from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub address: String,
    /// What it made a snapshot of.
    pub snapshot: String,
    /// The shards that are copied from there.
    pub shards: ShardSet,
    /// Parts that are still to be copied.
    pub parts: Vec<u64>,
}

impl Holdings {
    /// A node that never lost anything.
    pub fn new(node: u128) -> Self {
        let (former, lacking) = (BTreeSet::new(), ShardSet::empty());
        Self { node, former, lacking, damaged: false, from: Vec::new(), arrival: 0, sources: Vec::new() }
    }

    /// Who the node is.
    pub fn node(&self) -> u128 {
        self.node
    }

    /// Whether somebody who knew the node under this name has reason to miss what it held.
    pub fn is_news(&self, knew: u128) -> bool {
        knew != 0 && knew != self.node && !self.former.contains(&knew)
    }

    /// The node was `former` once, and holds nothing of that time.
    pub fn lose(&mut self, former: u128) {
        self.former.insert(former);
        // What was copied already is copied again: who knows what has changed since.
        self.lack_all();
    }

    /// Whether rows of a shard are lacking.
    pub fn lacks(&self) -> &ShardSet {
        &self.lacking
    }

    /// Something was damaged and set aside.
    pub fn damage(&mut self) {
        self.damaged = true;
        if !self.from.is_empty() {
            // What was copied already may be what is damaged.
            self.lack_all();
        }
    }

    fn lack_all(&mut self) {
        self.lacking = ShardSet::all();
        self.sources.clear();
    }

    /// Shards of which rows may not be here.
    pub fn may_lack(&self) -> ShardSet {
        if self.damaged { ShardSet::all() } else { self.lacking.clone() }
    }

    /// It is to be filled up from these addresses: what is lacking and what came late, which others held before; all of it, if neither is known.
    pub fn begin(&mut self, from: Vec<String>, arrival: u64, late: &ShardSet) {
        if self.from.is_empty() {
            self.arrival = arrival;
        }
        self.lacking.unite(late);
        if self.lacking.is_empty() || (self.damaged && self.from.is_empty()) {
            self.lack_all();
        }
        self.sources.retain(|source| from.contains(&source.address));
        self.from = from;
    }

    /// A node has offered shards, of which those count that nobody else copies already.
    pub fn offered(&mut self, offer: Source) {
        self.sources.retain(|source| source.address != offer.address);
        let taken = self.sources.iter().fold(ShardSet::empty(), |all, source| all.or(&source.shards));
        self.sources.push(Source { shards: offer.shards.without(&taken), ..offer });
    }

    /// Whether any of these shards are being copied.
    pub fn copies_any(&self, shards: &ShardSet) -> bool {
        self.sources.iter().any(|source| !source.shards.and(shards).is_empty())
    }

    /// What was offered of these shards does not count any more.
    pub fn unoffer(&mut self, shards: &ShardSet) {
        self.sources.iter_mut().for_each(|source| source.shards = source.shards.without(shards));
    }

    /// What is copied from an address.
    pub fn source(&self, address: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.address == address)
    }

    /// Shards that nobody has offered yet, of those that should be here.
    pub fn unoffered(&self, owned: &ShardSet) -> ShardSet {
        self.sources.iter().fold(self.lacking.and(owned), |left, source| left.without(&source.shards))
    }

    /// Parts that are still to be copied.
    pub fn parts_left(&self) -> usize {
        self.sources.iter().map(|source| source.parts.len()).sum()
    }

    /// A part is copied.
    pub fn copied(&mut self, address: &str, part: u64) {
        for source in self.sources.iter_mut().filter(|source| source.address == address) {
            source.parts.retain(|left| *left != part);
        }
    }

    /// Everything that an address offered is copied, or (`is_whole` false) cannot be had any more.
    pub fn settle(&mut self, address: &str, is_whole: bool) {
        if let Some(at) = self.sources.iter().position(|source| source.address == address) {
            let source = self.sources.remove(at);
            if is_whole {
                self.lacking = self.lacking.without(&source.shards);
            }
        }
    }

    /// All that should be here is copied.
    pub fn end(&mut self) {
        self.damaged = false;
        (self.from, self.arrival) = (Vec::new(), 0);
        self.sources.clear();
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let mut text = format!("node {:032x}\n", self.node);
        // Writing to a text cannot fail.
        for former in &self.former {
            let _ = writeln!(text, "former {former:032x}");
        }
        if !self.lacking.is_empty() {
            let _ = writeln!(text, "lacking {}", words(&self.lacking));
        }
        if self.damaged {
            text.push_str("damaged since all was here\n");
        }
        if !self.from.is_empty() {
            let _ = writeln!(text, "arrival {}\nfrom {}", self.arrival, self.from.join(" "));
        }
        for Source { address, snapshot, shards, parts } in &self.sources {
            let parts: Vec<String> = parts.iter().map(u64::to_string).collect();
            let _ = writeln!(text, "source {address} {snapshot} {} {}", words(shards), parts.join(","));
        }
        text
    }

    /// Reads the text of the file; the error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut holdings = Self::new(0);
        for line in text.lines() {
            holdings.read(line).ok_or_else(|| format!("cannot read {line:?}"))?;
        }
        if holdings.node == 0 { Err("it does not say who the node is".into()) } else { Ok(holdings) }
    }

    fn read(&mut self, line: &str) -> Option<()> {
        let (what, rest) = line.split_once(' ')?;
        match what {
            "node" => self.node = u128::from_str_radix(rest, 16).ok()?,
            "former" => {
                self.former.insert(u128::from_str_radix(rest, 16).ok()?);
            }
            "lacking" => self.lacking = read_words(rest)?,
            "damaged" => self.damaged = true,
            "arrival" => self.arrival = rest.parse().ok()?,
            "from" => self.from = rest.split(' ').map(str::to_string).collect(),
            "source" => {
                let mut fields = rest.split(' ');
                let mut next = || fields.next().map(str::to_string);
                let (address, snapshot, shards) = (next()?, next()?, read_words(&next()?)?);
                let parts = next()?
                    .split(',')
                    .filter(|part| !part.is_empty())
                    .map(|part| part.parse().ok())
                    .collect::<Option<_>>()?;
                self.sources.push(Source { address, snapshot, shards, parts });
            }
            _ => return None,
        }
        Some(())
    }
}

fn words(shards: &ShardSet) -> String {
    shards.words().iter().map(|word| format!("{word:016x}")).collect()
}

fn read_words(text: &str) -> Option<ShardSet> {
    let mut words = [0; SHARDS / 64];
    if text.len() != words.len() * 16 {
        return None;
    }
    for (at, word) in words.iter_mut().enumerate() {
        *word = u64::from_str_radix(text.get(at * 16..at * 16 + 16)?, 16).ok()?;
    }
    Some(ShardSet::from_words(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(numbers: std::ops::Range<u16>) -> ShardSet {
        let mut set = ShardSet::empty();
        numbers.for_each(|shard| set.insert(shard));
        set
    }

    fn offer(address: &str, set: ShardSet, parts: &[u64]) -> Source {
        Source { address: address.into(), snapshot: "snap".into(), shards: set, parts: parts.into() }
    }

    #[test]
    fn a_node_that_was_somebody_else_lacks_all_until_it_is_copied() {
        let mut node = Holdings::new(7);
        assert!(!node.is_news(0) && !node.is_news(7) && node.is_news(5));
        assert!(node.lacks().is_empty());
        node.lose(5);
        assert!(!node.is_news(5) && node.lacks().len() as usize == SHARDS);
        node.begin(vec!["a".into(), "b".into()], 44, &ShardSet::empty());
        let owned = shards(0..600);
        node.offered(offer("a", shards(0..400), &[1, 2]));
        assert_eq!(node.unoffered(&owned), shards(400..600));
        node.offered(offer("b", shards(300..600), &[9]));
        assert_eq!(node.source("b").map(|source| source.shards.clone()), Some(shards(400..600)), "none twice");
        node.copied("a", 1);
        assert_eq!(Holdings::parse(&node.to_text()), Ok(node.clone()));
        node.copied("a", 2);
        node.settle("a", true);
        assert_eq!((node.lacks().and(&owned), node.parts_left()), (shards(400..600), 1));
        node.settle("b", false);
        assert_eq!(node.unoffered(&owned), shards(400..600));
        node.begin(vec!["c".into()], 99, &ShardSet::empty());
        assert_eq!(node.arrival, 44, "what came before is older than what is deleted meanwhile");
        node.offered(offer("c", shards(400..600), &[]));
        node.settle("c", true);
        node.end();
        assert!(node.lacks().and(&owned).is_empty() && !node.is_news(5));
        assert_eq!(Holdings::parse(&node.to_text()), Ok(node));
    }

    #[test]
    fn what_was_damaged_is_whole_again_when_all_was_copied_since() {
        let mut node = Holdings::new(7);
        node.damage();
        assert!(node.lacks().is_empty() && node.may_lack() == ShardSet::all(), "it is not behind, and not whole");
        assert_eq!(Holdings::parse(&node.to_text()), Ok(node.clone()));
        node.begin(vec!["a".into()], 44, &ShardSet::empty());
        node.offered(offer("a", ShardSet::all(), &[1]));
        node.copied("a", 1);
        node.damage();
        assert!(node.source("a").is_none() && node.lacks() == &ShardSet::all(), "the copy may be what was damaged");
        node.offered(offer("a", ShardSet::all(), &[]));
        node.settle("a", true);
        assert_eq!(node.may_lack(), ShardSet::all());
        node.end();
        assert!(node.may_lack().is_empty());
        // One shard that was lost, and damage after that.
        let mut node = Holdings { lacking: shards(3..4), ..node };
        node.damage();
        node.begin(vec!["a".into()], 45, &ShardSet::empty());
        assert_eq!(node.lacks(), &ShardSet::all());
        assert_eq!(Holdings::parse(&node.to_text()), Ok(node));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for wrong in ["", "node x", "node 1\nlacking 00", "node 1\nwhat is this", "node 1\nsource a b"] {
            assert!(Holdings::parse(wrong).is_err(), "{wrong}");
        }
    }
}
