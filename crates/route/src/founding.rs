//! Whether the nodes of an insert's first map began with it.
//!
//! 1. Each node says with its answers who it is and how it began. When all nodes of the map have said so, and all of them began empty with this map, they have had
//!    all rows of their shards since the beginning: the insert vouches for that by a number, which follows from the map and the names of all nodes.
//! 2. A node that was vouched for keeps the number and says it. One that is empty beside nodes with another number, as after the loss of a disk, came later.
//! 3. Where one node was a single node before and all others are empty, it alone had everything.
//! 4. Nobody is vouched for by an insert that has known nodes which are not in the map: what they have nobody else may have.

use std::{collections::BTreeMap, sync::Weak};

use parking_lot::Mutex;
use storage_api::Origin;
use xxhash_rust::xxh3::xxh3_64;

use crate::node::Node;

/// Numbers below stand for other origins.
const NUMBER_MIN: u64 = 3;

/// See the module.
pub struct Founding {
    map_version: u64,
    nodes: Vec<Weak<Node>>,
    /// Who the node at each place is, and how it began.
    heard: Mutex<BTreeMap<String, (u128, Origin)>>,
}

impl Founding {
    /// Nobody has said anything yet.
    pub fn new(map_version: u64, nodes: Vec<Weak<Node>>) -> Self {
        Self { map_version, nodes, heard: Mutex::default() }
    }

    /// A node answered a report that named a map.
    pub fn heard(&self, map_version: u64, place: &str, node: u128, origin: Origin) {
        if map_version != self.map_version {
            return;
        }
        let before = self.heard.lock().insert(place.to_string(), (node, origin));
        if before.is_none() && self.heard.lock().len() == self.nodes.len() {
            // They need not wait for their next turn.
            self.nodes.iter().filter_map(Weak::upgrade).for_each(|node| node.report_soon());
        }
    }

    /// What the insert vouches for to a node; 0 if it cannot.
    pub fn number_for(&self, place: &str) -> u64 {
        let heard = self.heard.lock();
        if heard.len() < self.nodes.len() {
            return 0;
        }
        let mut bytes = self.map_version.to_le_bytes().to_vec();
        heard.values().for_each(|(node, _)| bytes.extend(node.to_le_bytes()));
        let all = xxh3_64(&bytes).max(NUMBER_MIN);
        let began_here = |origin: Origin| origin == Origin::Young || origin == Origin::Founded(all);
        if heard.values().all(|(_, origin)| began_here(*origin)) {
            return all;
        }
        let mut others = heard.iter().filter(|(_, (_, origin))| *origin != Origin::Young);
        match (others.next(), others.next()) {
            // Another number than that of all, so that the empty ones are never taken for its peers.
            (Some((alone, (_, Origin::Alone))), None) if alone == place => (!all).max(NUMBER_MIN),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [&str; 2] = ["/a", "/b"];

    fn numbers(nodes: [u128; 2], origins: [Origin; 2]) -> [u64; 2] {
        let founding = Founding::new(7, PLACES.map(|_| Weak::new()).into());
        founding.heard(7, PLACES[0], nodes[0], origins[0]);
        founding.heard(8, PLACES[1], nodes[1], Origin::Young);
        assert_eq!(founding.number_for(PLACES[0]), 0, "the other has said nothing of this map");
        founding.heard(7, PLACES[1], nodes[1], origins[1]);
        [0, 1].map(|node| founding.number_for(PLACES[node]))
    }

    #[test]
    fn nodes_that_begin_together_are_vouched_for_also_by_another_insert() {
        let [number, other] = numbers([1, 2], [Origin::Young; 2]);
        assert!(number >= NUMBER_MIN && number == other);
        assert_eq!(numbers([1, 2], [Origin::Founded(number), Origin::Young]), [number; 2], "one was away then");
        assert_eq!(numbers([1, 2], [Origin::Founded(number); 2]), [number; 2]);
        assert_eq!(numbers([1, 3], [Origin::Founded(number), Origin::Young]), [0; 2], "it has lost its disk");
        assert_eq!(numbers([1, 2], [Origin::Later, Origin::Young]), [0; 2], "it was added, or replaces another");
    }

    #[test]
    fn a_node_that_was_single_is_vouched_for_alone() {
        let [alone, empty] = numbers([1, 2], [Origin::Alone, Origin::Young]);
        assert!(alone >= NUMBER_MIN && empty == 0);
        assert_eq!(numbers([1, 2], [Origin::Founded(alone), Origin::Young]), [0; 2]);
        assert_eq!(numbers([1, 2], [Origin::Alone, Origin::Alone]), [0; 2], "each lacks what the other has");
    }
}
