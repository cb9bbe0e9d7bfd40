//! Which node of a list is which of those that an insert has had to do with.
//!
//! 1. A node of the same name is the same node.
//! 2. Ports may change, and a node stays what it was: where a host had one node and has one, they are the same. What was kept for it is handed over at the other port.
//! 3. Where a host has or had several nodes nobody can tell which one is at another port. A list that would leave behind what is kept for a node that may be one of its
//!    nodes is refused: that one would take itself for complete.

use std::collections::BTreeMap;

use crate::{NodeName, map::ShardMap};

/// A node that the insert has had to do with, in an earlier process or in this one.
#[derive(Debug, Clone)]
pub struct Former {
    /// Its name in the list.
    pub name: NodeName,
    /// The name that it has of its own; 0 if that is not known.
    pub node: u128,
    /// Whether it has ever answered.
    pub is_heard_of: bool,
    /// Whether rows are kept for it.
    pub is_pending: bool,
}

/// See the module.
pub struct Whose<'a> {
    map: &'a ShardMap,
    former: &'a [Former],
    /// The nodes of the map whose port has changed, and their names of before.
    moved: BTreeMap<&'a NodeName, &'a NodeName>,
}

impl<'a> Whose<'a> {
    /// Compares the nodes of a map with those of before. The error names two that may be the same.
    pub fn of(map: &'a ShardMap, former: &'a [Former]) -> Result<Self, String> {
        let mut whose = Self { map, former, moved: BTreeMap::new() };
        for name in map.nodes() {
            let mut here = former.iter().filter(|node| node.name.is_same_host(name));
            let alone = map.nodes().iter().filter(|other| other.is_same_host(name)).count() == 1;
            match (here.next(), here.next()) {
                (Some(only), None) if alone && only.name != *name => drop(whose.moved.insert(name, &only.name)),
                _ => {}
            }
        }
        for left in former.iter().filter(|node| node.is_pending && !whose.has(&node.name)) {
            if let Some(name) = map.nodes().iter().find(|name| whose.may_be(left, name)) {
                let left = &left.name;
                return Err(format!(
                    "what is kept for storage node {left} may be for {name}, which is on its host: have {left} in the list until it has its hints (or remove their folder)"
                ));
            }
        }
        Ok(whose)
    }

    /// The name that a node of the map had before.
    pub fn was(&self, name: &'a NodeName) -> &'a NodeName {
        self.moved.get(name).copied().unwrap_or(name)
    }

    /// The nodes that are heard of and in the list no more.
    pub fn others(&self) -> impl Iterator<Item = &'a NodeName> {
        let is_other = |node: &&Former| {
            node.is_heard_of && !self.has(&node.name) && !self.map.nodes().iter().any(|name| self.may_be(node, name))
        };
        self.former.iter().filter(is_other).map(|node| &node.name)
    }

    /// Whether all nodes that were ever heard of are in the map.
    pub fn knows_no_others(&self) -> bool {
        self.former.iter().all(|node| !node.is_heard_of || self.has(&node.name))
    }

    /// Whether the map has a node that was once named so.
    fn has(&self, was: &NodeName) -> bool {
        self.map.nodes().iter().any(|name| self.was(name) == was)
    }

    /// Whether a node of before may be one of the map's.
    fn may_be(&self, node: &Former, name: &NodeName) -> bool {
        let known_as = self.former.iter().find(|other| other.name == *self.was(name)).map_or(0, |other| other.node);
        node.name.is_same_host(name) && (node.node == 0 || known_as == 0 || node.node == known_as)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeList, Replication};

    fn name(text: &str) -> NodeName {
        NodeName::parse(text, 1).expect("a name")
    }

    fn former(text: &str, node: u128, is_pending: bool) -> Former {
        Former { name: name(text), node, is_heard_of: true, is_pending }
    }

    /// What the nodes of a list were, and who is an other.
    fn whose(list: &[&str], former: &[Former]) -> Result<(Vec<String>, Vec<String>), String> {
        let list = NodeList::new(list.iter().map(|text| name(text)).collect()).expect("a list");
        let map = ShardMap::new(&list, &Replication::copies(1)).expect("a map");
        let whose = Whose::of(&map, former)?;
        let text = |names: Vec<&NodeName>| names.iter().map(ToString::to_string).collect();
        Ok((text(map.nodes().iter().map(|name| whose.was(name)).collect()), text(whose.others().collect())))
    }

    #[test]
    fn a_node_that_is_alone_on_its_host_is_the_one_of_before() {
        let before = [former("a:1", 7, true), former("g/b:1", 8, false)];
        let (was, others) = whose(&["a:2", "b:2", "g/b:3"], &before).expect("nobody else is there");
        assert_eq!((was, others), (vec!["a:1".into(), "b:2".into(), "g/b:1".into()], vec![]));
        let (was, others) = whose(&["b:2"], &before).expect("they are of other hosts, or groups");
        assert_eq!((was, others), (vec!["b:2".into()], vec!["a:1".into(), "g/b:1".into()]));
    }

    #[test]
    fn what_is_kept_for_a_node_that_may_be_in_the_list_is_not_left_behind() {
        let before = [former("a:1", 7, false), former("a:2", 8, true)];
        for list in [&["a:1", "a:3"][..], &["a:3"]] {
            let refused = whose(list, &before).expect_err("it may be that one");
            assert!(refused.contains("a:2") && refused.contains("a:3"), "{refused}");
        }
        assert_eq!(whose(&["a:1"], &before).map(|(_, others)| others), Ok(vec!["a:2".into()]), "it is another one");
        let unsaid = [former("a:1", 0, false), former("a:2", 8, true)];
        assert!(whose(&["a:1"], &unsaid).is_err(), "nobody knows");
        let empty = [former("a:1", 7, false), former("a:2", 8, false)];
        let (was, others) = whose(&["a:1", "a:3"], &empty).expect("nothing is kept");
        assert_eq!((was, others), (vec!["a:1".into(), "a:3".into()], vec![]), "it may be the second one");
    }
}
