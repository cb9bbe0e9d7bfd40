//! Which shards of a node an insert has sent past it.
//!
//! 1. A node that does not own a shard by one of an insert's maps lacks what was acknowledged by that map, also when a later map gives it the shard: it was
//!    *passed over*. It may have been away all that time, so the insert remembers it for the node.
//! 2. Each change of the map has a number. Where it gives a node a shard that the node did not have by the map before, the node was passed over for that
//!    shard; a node that was not in the map before, for all of its shards. Only the insert's very first map passes nobody over.
//! 3. Reports name what their node was passed over for, with the number of the change, until the node has answered one: then it has noted it. What the last change gives
//!    it is named when no batch goes by the map before any more.
//! 4. A map none of whose nodes was ever there passed nobody over, as a list that was mistyped: what counts is the map before it.
//! 5. It is one small file beside the hints, written before a map counts. An insert that keeps no hints remembers it for as long as it runs.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

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
    /// Who changes the state holds it while the file is written; who reads it does not wait for the disk.
    writing: Mutex<()>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// Of the last change; 0 before the first map.
    number: u64,
    /// By place ([`places`]).
    nodes: BTreeMap<String, Sent>,
    /// What the nodes of the last map before it, of which any was ever there, were sent all along.
    before: BTreeMap<String, ShardSet>,
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
        Ok(Self { disk, state: Mutex::new(state), writing: Mutex::default() })
    }

    /// Whether any node of the last map is one of these.
    pub fn had_any<'a>(&self, mut nodes: impl Iterator<Item = &'a NodeName>) -> bool {
        let state = self.state.lock();
        nodes.any(|node| [node.to_string(), place_alone(node)].iter().any(|place| state.nodes.contains_key(place)))
    }

    /// Whether the node with this number in a map gets less by it than by the last one.
    pub fn loses(&self, map: &ShardMap, number: usize) -> bool {
        let node = &map.nodes()[number];
        let state = self.state.lock();
        let sent = [node.to_string(), place_alone(node)].into_iter().find_map(|place| state.nodes.get(&place));
        sent.is_some_and(|sent| !sent.owned.without(&map.shards_of(number)).is_empty())
    }

    /// Another map is to count; gives the number of the change. `was_used` is whether any node of the map before was ever there.
    pub fn go_over(&self, map: &ShardMap, was_used: bool) -> Result<u64, String> {
        let _turn = self.writing.lock();
        let state = self.state.lock().clone();
        let before = if was_used { state.nodes.iter().map(all_along).collect() } else { state.before.clone() };
        let is_first = before.is_empty();
        let places = places(map.nodes());
        // Nodes remember numbers of an insert whose file was removed: they must not come again.
        let number = if state.number == 0 { milliseconds() } else { state.number + 1 };
        let mut next = State { number, nodes: BTreeMap::new(), before };
        for (number, place) in places.into_iter().enumerate() {
            let owned = map.shards_of(number);
            // What is not told yet is told further on, and what it was sent all along it was sent by the map before too.
            let mut passed =
                state.nodes.get(&place).filter(|_| was_used).map(|sent| sent.passed.clone()).unwrap_or_default();
            let mut had = next.before.get(&place).cloned().unwrap_or_else(ShardSet::empty);
            passed.iter().for_each(|passed| had.unite(&passed.shards));
            passed.iter_mut().for_each(|passed| passed.shards = passed.shards.and(&owned));
            if !is_first {
                passed.push(PassedOver { change: next.number, shards: owned.without(&had) });
            }
            next.nodes.insert(place, Sent { owned, passed: joined(passed) });
        }
        if next.nodes == state.nodes {
            // Nothing has changed since an earlier process.
            (next.number, next.before) = (state.number, state.before);
        } else {
            self.keep(&next)?;
        }
        let number = next.number;
        *self.state.lock() = next;
        Ok(number)
    }

    /// What the node at a place was passed over for and has not heard yet, by changes before this one.
    pub fn of(&self, place: &str, before: u64) -> Vec<PassedOver> {
        let state = self.state.lock();
        let passed = state.nodes.get(place).into_iter().flat_map(|sent| &sent.passed);
        passed.filter(|passed| passed.change < before).cloned().collect()
    }

    /// The node at a place has noted that.
    pub fn noted(&self, place: &str, heard: &[PassedOver]) -> Result<(), String> {
        if heard.is_empty() {
            return Ok(());
        }
        let _turn = self.writing.lock();
        let mut next = self.state.lock().clone();
        let Some(sent) = next.nodes.get_mut(place) else { return Ok(()) };
        for passed in &mut sent.passed {
            let of_it = heard.iter().filter(|heard| heard.change == passed.change);
            of_it.for_each(|heard| passed.shards = passed.shards.without(&heard.shards));
        }
        sent.passed.retain(|passed| !passed.shards.is_empty());
        self.keep(&next)?;
        *self.state.lock() = next;
        Ok(())
    }

    fn keep(&self, state: &State) -> Result<(), String> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let written = disk::publish_file(&**disk, Path::new(FILE), state.text().as_bytes());
        written.map_err(|why| format!("cannot keep which nodes the shard map has in {FILE:?}: {why}"))
    }
}

/// A node with what it was sent since it is in the list.
fn all_along((place, sent): (&String, &Sent)) -> (String, ShardSet) {
    let untold = sent.passed.iter().fold(ShardSet::empty(), |all, passed| all.or(&passed.shards));
    (place.clone(), sent.owned.without(&untold))
}

fn milliseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_millis() as u64)
}

fn place_alone(node: &NodeName) -> String {
    format!("{}/{}", node.group, node.host())
}

/// Where each node is: its host, as one node may be reached at another port later; with the port where a host has several.
pub fn places(nodes: &[NodeName]) -> Vec<String> {
    let is_alone = |node: &NodeName| nodes.iter().filter(|other| other.host() == node.host()).count() == 1;
    let place = |node: &NodeName| if is_alone(node) { place_alone(node) } else { node.to_string() };
    nodes.iter().map(place).collect()
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
        for (name, shards) in &self.before {
            let _ = writeln!(text, "before {} {shards:x}", names::dir_of(name));
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
                ["before", name, shards] => {
                    state.before.insert(names::node_of(name)?, ShardSet::parse(shards)?);
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

    fn go_over(passed: &Passed, map: &ShardMap) -> u64 {
        passed.go_over(map, true).expect("it is kept")
    }

    fn place(map: &ShardMap, node: usize) -> String {
        places(map.nodes()).swap_remove(node)
    }

    fn changes(passed: &Passed, map: &ShardMap, node: usize) -> Vec<(u64, u32)> {
        let all = passed.of(&place(map, node), u64::MAX);
        all.iter().map(|passed| (passed.change, passed.shards.len())).collect()
    }

    #[test]
    fn who_was_not_in_a_map_was_passed_over_until_it_is_told() {
        let disk = SimDisk::new(1);
        let (all, fewer) = (map(&["a", "b", "c"]), map(&["b", "c"]));
        let passed = open(&disk);
        let first = go_over(&passed, &all);
        assert!((0..3).all(|node| !passed.loses(&all, node)) && (0..2).all(|node| !passed.loses(&fewer, node)));
        let more = map(&["a:5", "b:5", "c:5", "d:5"]);
        assert_eq!([0, 1, 2, 3].map(|node| passed.loses(&more, node)), [true, true, true, false]);
        assert!((0..3).all(|node| changes(&passed, &all, node).is_empty()));
        assert_eq!(go_over(&passed, &fewer), first + 1);
        let gained = changes(&passed, &fewer, 0);
        assert_eq!(gained, [(first + 1, fewer.shards_of(0).without(&all.shards_of(1)).len())]);
        assert!(passed.of(&place(&fewer, 0), first + 1).is_empty(), "batches may go by the map before");
        // The next process goes back to the first list; ports do not count.
        let disk = disk.kill();
        let passed = open(&disk);
        let all = map(&["a:5", "b:5", "c:5"]);
        assert_eq!(go_over(&passed, &all), first + 2);
        assert_eq!(
            changes(&passed, &all, 0),
            [(first + 2, all.shards_of(0).len())],
            "it had all of them before, and not now"
        );
        assert_eq!(changes(&passed, &all, 1), [], "what it was passed over for it has no more");
        let heard = passed.of(&place(&all, 0), u64::MAX);
        passed.noted(&place(&all, 0), &heard).expect("it is kept");
        let passed = open(&disk.kill());
        assert_eq!(go_over(&passed, &all), first + 2, "nothing has changed");
        assert_eq!(changes(&passed, &all, 0), []);
        assert_eq!(State::parse("node a"), None);
        assert_eq!(State::parse("passed a 1 00"), None);
    }

    #[test]
    fn what_was_passed_over_again_since_is_not_noted_by_the_word_of_before() {
        let (all, fewer) = (map(&["a", "b"]), map(&["b"]));
        let passed = Passed::open(None).expect("nothing to read");
        let first = go_over(&passed, &all);
        for map in [&fewer, &all] {
            go_over(&passed, map);
        }
        let heard = passed.of(&place(&all, 0), u64::MAX);
        for map in [&fewer, &all] {
            go_over(&passed, map);
        }
        passed.noted(&place(&all, 0), &heard).expect("nothing to write");
        assert_eq!(changes(&passed, &all, 0), [(first + 4, all.shards_of(0).len())]);
    }

    #[test]
    fn nodes_of_one_host_are_told_apart_by_their_ports() {
        let passed = Passed::open(None).expect("nothing to read");
        let all = map(&["h:1", "h:2", "h:3"]);
        let first = go_over(&passed, &all);
        for map in [&map(&["h:2", "h:3"]), &all] {
            go_over(&passed, map);
        }
        assert_eq!(changes(&passed, &all, 0), [(first + 2, all.shards_of(0).len())]);
    }

    #[test]
    fn what_waits_long_counts_as_one_change() {
        let passed = Passed::open(None).expect("nothing to read");
        let maps = [map(&["a", "b"]), map(&["a", "b", "c"])];
        for round in 0..90 {
            go_over(&passed, &maps[round % 2]);
        }
        let waiting = passed.of(&place(&maps[1], 0), u64::MAX);
        assert!(waiting.len() <= CHANGES_MAX && waiting.iter().all(|passed| !passed.shards.is_empty()));
    }

    #[test]
    fn a_map_that_cannot_be_kept_does_not_count_and_one_that_nobody_had_passes_nobody_over() {
        let disk = SimDisk::new(1);
        let passed = open(&disk);
        disk.inject(Fault::on(Op::Rename).path(FILE).probability(1.0));
        assert!(passed.go_over(&map(&["a"]), true).is_err() && *passed.state.lock() == State::default());
        disk.clear_faults();
        go_over(&passed, &map(&["mistyped"]));
        passed.go_over(&map(&["a", "b"]), false).expect("it is kept");
        assert!((0..2).all(|node| changes(&passed, &map(&["a", "b"]), node).is_empty()));
        // Later too: what was passed over before is so still.
        let (fewer, all) = (map(&["b"]), map(&["a", "b"]));
        let before = [go_over(&passed, &fewer), go_over(&passed, &all)];
        let disk = disk.kill();
        let passed = open(&disk);
        let [b, c] = ["b", "c"].map(|name| NodeName::parse(name, 9).expect("a name"));
        assert!(passed.had_any([&b].into_iter()) && !passed.had_any([&c].into_iter()));
        go_over(&passed, &map(&["mistyped"]));
        assert!(!passed.had_any([&b].into_iter()));
        passed.go_over(&all, false).expect("it is kept");
        let number = before[1] + 2;
        assert_eq!(changes(&passed, &all, 0), [(number, all.shards_of(0).len())]);
        assert_eq!(changes(&passed, &all, 1), []);
        let state = passed.state.lock().clone();
        assert_eq!(State::parse(&state.text()).map(|read| read.before), Some(state.before));
    }
}
