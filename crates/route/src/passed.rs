//! Which shards of a node an insert has sent past it.
//!
//! 1. A node that does not own a shard by one of an insert's maps lacks what was acknowledged by that map, also when a later map gives it the shard: it was
//!    *passed over*. It may have been away all that time, so the insert remembers it for the node.
//! 2. Each change of the map has a number. Where it gives a node a shard that the node did not have by the map before, the node was passed over for that
//!    shard; a node that was not in the map before, for all of its shards. Only the insert's very first map passes nobody over.
//! 3. Reports name what their node was passed over for, with the number of the change, until the node has answered one: then it has noted it.
//! 4. It is one small file beside the hints, written before a map counts. An insert that keeps no hints remembers it for as long as it runs.

use std::{collections::BTreeMap, fmt::Write, path::Path, sync::Arc};

use disk::Disk;
use parking_lot::Mutex;
use storage_api::{PassedOver, ShardSet};

use crate::{NodeName, hints::names, map::ShardMap};

/// The file, see `docs/formats/hints.md`.
const FILE: &str = "map";
/// Lists of more nodes than this fit.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// What is not told yet of more changes than this counts as one change.
const CHANGES_MAX: usize = 16;

/// See the module.
pub struct Passed {
    disk: Option<Arc<dyn Disk>>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// Of the last change; 0 before the first map.
    number: u64,
    nodes: BTreeMap<String, Sent>,
}

/// What a node gets by the map, and what it was passed over for before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    owned: ShardSet,
    passed: Vec<PassedOver>,
}

impl Passed {
    /// Reads what an earlier process kept.
    pub fn open(disk: Option<Arc<dyn Disk>>) -> Result<Self, String> {
        let state = disk.as_deref().map_or_else(|| Ok(State::default()), read)?;
        Ok(Self { disk, state: Mutex::new(state) })
    }

    /// Another map is to count. `had_others` is whether an earlier program, which kept nothing of it, had one.
    pub fn go_over(&self, map: &ShardMap, had_others: bool) -> Result<(), String> {
        let mut state = self.state.lock();
        let is_first = state.number == 0 && !had_others;
        let mut next = State { number: state.number + 1, nodes: BTreeMap::new() };
        for (place, name) in map.nodes().iter().enumerate() {
            let owned = map.shards_of(place);
            let before = state.nodes.get(&name.to_string());
            let had = before.map_or_else(ShardSet::empty, |before| before.owned.clone());
            let mut passed = before.map(|before| before.passed.clone()).unwrap_or_default();
            passed.iter_mut().for_each(|passed| passed.shards = passed.shards.and(&owned));
            if !is_first {
                passed.push(PassedOver { change: next.number, shards: owned.without(&had) });
            }
            next.nodes.insert(name.to_string(), Sent { owned, passed: joined(passed) });
        }
        if next.nodes != state.nodes {
            self.keep(&next)?;
            *state = next;
        }
        Ok(())
    }

    /// What a node was passed over for and has not heard yet.
    pub fn of(&self, node: &NodeName) -> Vec<PassedOver> {
        self.state.lock().nodes.get(&node.to_string()).map(|sent| sent.passed.clone()).unwrap_or_default()
    }

    /// A node has noted that.
    pub fn noted(&self, node: &NodeName, heard: &[PassedOver]) -> Result<(), String> {
        if heard.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock();
        let mut next = state.clone();
        let Some(sent) = next.nodes.get_mut(&node.to_string()) else { return Ok(()) };
        for passed in &mut sent.passed {
            let of_it = heard.iter().filter(|heard| heard.change == passed.change);
            of_it.for_each(|heard| passed.shards = passed.shards.without(&heard.shards));
        }
        sent.passed.retain(|passed| !passed.shards.is_empty());
        self.keep(&next)?;
        *state = next;
        Ok(())
    }

    fn keep(&self, state: &State) -> Result<(), String> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let written = disk::publish_file(&**disk, Path::new(FILE), state.text().as_bytes());
        written.map_err(|why| format!("cannot keep which nodes the shard map has in {FILE:?}: {why}"))
    }
}

/// Without changes that passed nothing over; the oldest as one where there are too many.
fn joined(mut passed: Vec<PassedOver>) -> Vec<PassedOver> {
    passed.retain(|passed| !passed.shards.is_empty());
    while passed.len() > CHANGES_MAX {
        let oldest = passed.remove(0);
        passed[0].shards.unite(&oldest.shards);
    }
    passed
}

fn read(disk: &dyn Disk) -> Result<State, String> {
    let failed = |why: &dyn std::fmt::Display| format!("cannot read which nodes the shard map had in {FILE:?}: {why}");
    let path = Path::new(FILE);
    if !disk.exists(path).map_err(|why| failed(&why))? {
        return Ok(State::default());
    }
    let bytes = disk.read(path, FILE_BYTES_MAX).map_err(|why| failed(&why))?;
    let text = String::from_utf8(bytes).map_err(|why| failed(&why))?;
    State::parse(&text).ok_or_else(|| failed(&"it is damaged"))
}

impl State {
    fn text(&self) -> String {
        let mut text = format!("changes {}\n", self.number);
        // Writing to a text cannot fail.
        for (name, Sent { owned, passed }) in &self.nodes {
            let name = names::dir_of(name);
            let _ = writeln!(text, "node {name} {owned:x}");
            for PassedOver { change, shards } in passed {
                let _ = writeln!(text, "passed {name} {change} {shards:x}");
            }
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut state = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["changes", number] => state.number = number.parse().ok()?,
                ["node", name, owned] => {
                    let sent = Sent { owned: ShardSet::parse(owned)?, passed: Vec::new() };
                    state.nodes.insert(names::node_of(name)?, sent);
                }
                ["passed", name, change, shards] => {
                    let passed = PassedOver { change: change.parse().ok()?, shards: ShardSet::parse(shards)? };
                    state.nodes.get_mut(&names::node_of(name)?)?.passed.push(passed);
                }
                _ => return None,
            }
        }
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use testkit::{Fault, Op, SimDisk};

    use super::*;
    use crate::{NodeList, Replication};

    fn map(nodes: &[&str]) -> ShardMap {
        let names = nodes.iter().map(|name| NodeName::parse(name, 1).expect("a name")).collect();
        let list = NodeList::new(names).expect("a list");
        ShardMap::new(&list, &Replication::copies(1)).expect("a map")
    }

    fn open(disk: &SimDisk) -> Passed {
        Passed::open(Some(Arc::new(disk.clone()))).expect("it is read")
    }

    fn changes(passed: &Passed, map: &ShardMap, node: usize) -> Vec<(u64, u32)> {
        passed.of(&map.nodes()[node]).iter().map(|passed| (passed.change, passed.shards.len())).collect()
    }

    #[test]
    fn who_was_not_in_a_map_was_passed_over_until_it_is_told() {
        let disk = SimDisk::new(1);
        let (all, fewer) = (map(&["a", "b", "c"]), map(&["b", "c"]));
        let passed = open(&disk);
        passed.go_over(&all, false).expect("it is kept");
        assert!((0..3).all(|node| changes(&passed, &all, node).is_empty()));
        passed.go_over(&fewer, false).expect("it is kept");
        let gained = changes(&passed, &fewer, 0);
        assert_eq!(gained, [(2, fewer.shards_of(0).without(&all.shards_of(1)).len())]);
        // The next process goes back to the first list.
        let disk = disk.kill();
        let passed = open(&disk);
        passed.go_over(&all, false).expect("it is kept");
        assert_eq!(changes(&passed, &all, 0), [(3, all.shards_of(0).len())], "it had all of them before, and not now");
        assert_eq!(changes(&passed, &all, 1), [], "what it was passed over for it has no more");
        let heard = passed.of(&all.nodes()[0]);
        passed.noted(&all.nodes()[0], &heard).expect("it is kept");
        let disk = disk.kill();
        let passed = open(&disk);
        passed.go_over(&all, false).expect("it is kept");
        assert_eq!(changes(&passed, &all, 0), []);
        assert_eq!(State::parse("node a"), None);
        assert_eq!(State::parse("passed a 1 00"), None);
    }

    #[test]
    fn what_was_passed_over_again_since_is_not_noted_by_the_word_of_before() {
        let (all, fewer) = (map(&["a", "b"]), map(&["b"]));
        let passed = Passed::open(None).expect("nothing to read");
        [&all, &fewer, &all].iter().for_each(|map| passed.go_over(map, false).expect("nothing to write"));
        let heard = passed.of(&all.nodes()[0]);
        [&fewer, &all].iter().for_each(|map| passed.go_over(map, false).expect("nothing to write"));
        passed.noted(&all.nodes()[0], &heard).expect("nothing to write");
        assert_eq!(changes(&passed, &all, 0), [(5, all.shards_of(0).len())]);
    }

    #[test]
    fn a_map_that_cannot_be_kept_does_not_count() {
        let disk = SimDisk::new(1);
        let passed = open(&disk);
        disk.inject(Fault::on(Op::Rename).path(FILE).probability(1.0));
        assert!(passed.go_over(&map(&["a"]), false).is_err() && *passed.state.lock() == State::default());
        disk.clear_faults();
        passed.go_over(&map(&["a"]), true).expect("it is kept");
        assert_eq!(changes(&passed, &map(&["a"]), 0), [(1, 1024)], "an earlier program had another one");
    }
}
