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

use storage_api::ShardSet;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    node: u128,
    /// Who the node was in lives whose data are gone, or copied.
    former: BTreeSet<u128>,
    lacking: ShardSet,
    /// What is copied although it is not known to be lost: what came late.
    wanted: ShardSet,
    /// What was lacking before somebody asked for everything.
    before: Option<ShardSet>,
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
    /// When it was asked for, as a time that no sample had until then: it may lack what the node began to own from then on.
    pub until: i64,
}

impl Holdings {
    /// A node that never lost anything.
    pub fn new(node: u128) -> Self {
        let (former, lacking, wanted) = (BTreeSet::new(), ShardSet::empty(), ShardSet::empty());
        let (from, sources) = (Vec::new(), Vec::new());
        Self { node, former, lacking, wanted, before: None, damaged: false, from, arrival: 0, sources }
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
        self.before = None;
        self.sources.clear();
    }

    /// Shards of which rows may not be here.
    pub fn may_lack(&self) -> ShardSet {
        if self.damaged { ShardSet::all() } else { self.lacking.clone() }
    }

    /// It is to be filled up from these addresses.
    pub fn begin(&mut self, from: Vec<String>, arrival: u64) {
        if self.from.is_empty() {
            self.arrival = arrival;
            self.sources.clear();
        }
        if self.damaged && self.from.is_empty() {
            self.lack_all();
        }
        self.sources.retain(|source| from.contains(&source.address));
        self.from = from;
    }

    /// What came late, and others held before, is to be copied too.
    pub fn want(&mut self, late: &ShardSet) {
        self.wanted.unite(late);
    }

    /// What is copied although it is not known to be lost.
    pub fn wants(&self) -> &ShardSet {
        &self.wanted
    }

    /// Somebody has reason to think that the node lacks everything, before it is filled up.
    pub fn doubt(&mut self) {
        let before = self.before.take().unwrap_or_else(|| self.lacking.clone());
        self.lack_all();
        self.before = Some(before);
    }

    /// It is not to be filled up any more; gives what was copied from. What it lacked before and was not copied it lacks still.
    pub fn stop(&mut self) -> Vec<Source> {
        if let Some(before) = self.before.take() {
            self.lacking = self.lacking.and(&before);
        }
        self.wanted = ShardSet::empty();
        (self.from, self.arrival) = (Vec::new(), 0);
        std::mem::take(&mut self.sources)
    }

    /// What somebody thought counts, also if it is not filled up.
    pub fn keep_doubt(&mut self) {
        self.before = None;
    }

    /// What it lacks will not come back.
    pub fn give_up(&mut self) {
        self.stop();
        (self.lacking, self.damaged) = (ShardSet::empty(), false);
    }

    /// Whether it is to be filled up.
    pub fn is_wanted(&self) -> bool {
        !self.from.is_empty()
    }

    /// What is to be copied, of these.
    pub fn to_copy(&self, owned: &ShardSet) -> ShardSet {
        self.lacking.or(&self.wanted).and(owned)
    }

    /// A node has offered shards, of which those count that nobody else copies already. False if nobody wants them any more.
    pub fn offered(&mut self, offer: Source) -> bool {
        if !self.from.contains(&offer.address) {
            return false;
        }
        self.sources.retain(|source| source.address != offer.address);
        let taken = self.sources.iter().fold(ShardSet::empty(), |all, source| all.or(&source.shards));
        self.sources.push(Source { shards: offer.shards.without(&taken), ..offer });
        true
    }

    /// When the last of what is copied was asked for.
    pub fn asked_until(&self) -> i64 {
        self.sources.iter().map(|source| source.until).max().unwrap_or(i64::MIN)
    }

    /// What is copied from an address.
    pub fn source(&self, address: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.address == address)
    }

    /// Shards that nobody has offered yet, of those that should be here.
    pub fn unoffered(&self, owned: &ShardSet) -> ShardSet {
        self.sources.iter().fold(self.to_copy(owned), |left, source| left.without(&source.shards))
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
                self.wanted = self.wanted.without(&source.shards);
            }
        }
    }

    /// All that should be here is copied, if no more is wanted meanwhile.
    pub fn end(&mut self, owned: &ShardSet) {
        if !self.to_copy(owned).is_empty() {
            return;
        }
        self.damaged = false;
        self.before = None;
        self.stop();
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let mut text = format!("node {:032x}\n", self.node);
        // Writing to a text cannot fail.
        for former in &self.former {
            let _ = writeln!(text, "former {former:032x}");
        }
        if !self.lacking.is_empty() {
            let _ = writeln!(text, "lacking {:x}", self.lacking);
        }
        if !self.wanted.is_empty() {
            let _ = writeln!(text, "wanted {:x}", self.wanted);
        }
        if let Some(before) = &self.before {
            let _ = writeln!(text, "before {before:x}");
        }
        if self.damaged {
            text.push_str("damaged since all was here\n");
        }
        if !self.from.is_empty() {
            let _ = writeln!(text, "arrival {}\nfrom {}", self.arrival, self.from.join(" "));
        }
        for Source { address, snapshot, shards, parts, until } in &self.sources {
            let parts: Vec<String> = parts.iter().map(u64::to_string).collect();
            let _ = writeln!(text, "source {address} {snapshot} {shards:x} {} {until}", parts.join(","));
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
            "lacking" => self.lacking = ShardSet::parse(rest)?,
            "wanted" => self.wanted = ShardSet::parse(rest)?,
            "before" => self.before = Some(ShardSet::parse(rest)?),
            "damaged" => self.damaged = true,
            "arrival" => self.arrival = rest.parse().ok()?,
            "from" => self.from = rest.split(' ').map(str::to_string).collect(),
            "source" => {
                let mut fields = rest.split(' ');
                let mut next = || fields.next().map(str::to_string);
                let (address, snapshot, shards) = (next()?, next()?, ShardSet::parse(&next()?)?);
                let parts = next()?
                    .split(',')
                    .filter(|part| !part.is_empty())
                    .map(|part| part.parse().ok())
                    .collect::<Option<_>>()?;
                // Programs before did not keep it.
                let until = next().map_or(Some(i64::MIN), |time| time.parse().ok())?;
                self.sources.push(Source { address, snapshot, shards, parts, until });
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use model::SHARDS;

    use super::*;

    fn shards(numbers: std::ops::Range<u16>) -> ShardSet {
        let mut set = ShardSet::empty();
        numbers.for_each(|shard| set.insert(shard));
        set
    }

    fn offer(address: &str, set: ShardSet, parts: &[u64]) -> Source {
        Source { address: address.into(), snapshot: "snap".into(), shards: set, parts: parts.into(), until: 7 }
    }

    #[test]
    fn a_node_that_was_somebody_else_lacks_all_until_it_is_copied() {
        let mut node = Holdings::new(7);
        assert!(!node.is_news(0) && !node.is_news(7) && node.is_news(5));
        assert!(node.lacks().is_empty());
        node.lose(5);
        assert!(!node.is_news(5) && node.lacks().len() as usize == SHARDS);
        node.begin(vec!["a".into(), "b".into()], 44);
        let owned = shards(0..600);
        assert!(node.offered(offer("a", shards(0..400), &[1, 2])));
        assert_eq!(node.unoffered(&owned), shards(400..600));
        assert!(node.offered(offer("b", shards(300..600), &[9])));
        assert_eq!(node.source("b").map(|source| source.shards.clone()), Some(shards(400..600)), "none twice");
        node.copied("a", 1);
        assert_eq!(Holdings::parse(&node.to_text()), Ok(node.clone()));
        let old = Holdings::parse(&node.to_text().replace(" 7\n", "\n")).expect("what an earlier program wrote");
        assert_eq!((old.asked_until(), node.asked_until(), old.parts_left()), (i64::MIN, 7, node.parts_left()));
        node.copied("a", 2);
        node.settle("a", true);
        assert_eq!((node.lacks().and(&owned), node.parts_left()), (shards(400..600), 1));
        node.settle("b", false);
        assert_eq!(node.unoffered(&owned), shards(400..600));
        node.begin(vec!["c".into()], 99);
        assert_eq!(node.arrival, 44, "what came before is older than what is deleted meanwhile");
        assert!(node.offered(offer("c", shards(400..600), &[])));
        node.settle("c", true);
        node.end(&ShardSet::all());
        assert!(node.lacks().and(&owned).is_empty() && !node.is_news(5));
        assert_eq!(Holdings::parse(&node.to_text()), Ok(node));
    }

    #[test]
    fn what_came_late_is_copied_and_not_missed() {
        let mut node = Holdings::new(7);
        node.begin(vec!["a".into()], 44);
        node.want(&shards(3..9));
        assert!(node.is_wanted() && node.may_lack().is_empty() && node.to_copy(&shards(0..5)) == shards(3..5));
        assert_eq!(Holdings::parse(&node.to_text()), Ok(node.clone()));
        assert!(node.offered(offer("a", shards(3..5), &[])));
        node.settle("a", true);
        assert!(node.to_copy(&shards(0..5)).is_empty());
        node.end(&shards(0..7));
        assert!(node.is_wanted(), "more is wanted meanwhile");
        node.end(&shards(0..5));
        assert_eq!(node, Holdings::new(7));
    }

    #[test]
    fn who_stops_has_what_was_there_and_what_was_copied() {
        let mut node = Holdings { lacking: shards(3..9), ..Holdings::new(7) };
        node.doubt();
        node.doubt();
        node.begin(vec!["a".into()], 44);
        node.want(&shards(700..701));
        assert_eq!((node.lacks(), node.to_copy(&shards(0..5))), (&ShardSet::all(), shards(0..5)));
        assert_eq!(Holdings::parse(&node.to_text()), Ok(node.clone()));
        assert!(node.offered(offer("a", shards(0..5), &[])));
        node.settle("a", true);
        assert!(node.offered(offer("a", shards(5..6), &[1])));
        assert_eq!(node.stop(), [offer("a", shards(5..6), &[1])]);
        assert_eq!(node, Holdings { lacking: shards(5..9), ..Holdings::new(7) });
        assert!(!node.offered(offer("a", shards(5..6), &[1])), "it came too late");
        node.damage();
        node.give_up();
        assert_eq!(node, Holdings::new(7), "nobody has it");
        node.doubt();
        node.keep_doubt();
        node.stop();
        assert_eq!(node.lacks(), &ShardSet::all(), "somebody thought so");
        node.give_up();
        node.doubt();
        node.lose(5);
        node.stop();
        assert_eq!(node.lacks(), &ShardSet::all(), "it was lost since");
    }

    #[test]
    fn what_was_damaged_is_whole_again_when_all_was_copied_since() {
        let mut node = Holdings::new(7);
        node.damage();
        assert!(node.lacks().is_empty() && node.may_lack() == ShardSet::all(), "it is not behind, and not whole");
        assert_eq!(Holdings::parse(&node.to_text()), Ok(node.clone()));
        node.begin(vec!["a".into()], 44);
        assert!(node.offered(offer("a", ShardSet::all(), &[1])));
        node.copied("a", 1);
        node.damage();
        assert!(node.source("a").is_none() && node.lacks() == &ShardSet::all(), "the copy may be what was damaged");
        assert!(node.offered(offer("a", ShardSet::all(), &[])));
        node.settle("a", true);
        assert_eq!(node.may_lack(), ShardSet::all());
        node.end(&ShardSet::all());
        assert!(node.may_lack().is_empty());
        // One shard that was lost, and damage after that.
        let mut node = Holdings { lacking: shards(3..4), ..node };
        node.damage();
        node.begin(vec!["a".into()], 45);
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
