//! The shard map: which nodes hold the series of each virtual shard.
//!
//! 1. It is computed from the list of nodes and the replication factors alone, so that every process with the same list has the same map. Ports do not
//!    count: inserts and selects reach the same node at different ones.
//! 2. The score of a shard and a node is the rank that the shard has in the node's own order of all shards; a hash of both makes the order and tells equal
//!    ranks apart. Every node has as many shards of each rank as every other, so that chance gives none of them many more than its share.
//! 3. Each shard goes to as many groups as `-globalReplicationFactor` says. The score of a group is the best of its nodes, which gives a group with twice as
//!    many nodes twice as many shards.
//! 4. Inside a group each of its shards goes to as many nodes as the group's replication factor says.
//! 5. The version is a hash of all owners: two maps are the same exactly if their versions are, and a map that comes back has its old version back.

use std::fmt;

use model::{SHARDS, SeriesId};
use storage_api::ShardSet;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::{
    assign::{Place, assign},
    nodes::{NodeList, NodeName, NodesError, Replication},
};

/// Scores and versions of this map are made with it; another one would move every series.
const SEED: u64 = 0x6261_7361_6c74_0001;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct ShardMap {
    nodes: Vec<NodeName>,
    /// The owners of all shards, one shard behind the other: places in `nodes`.
    owners: Vec<u16>,
    /// Where those of each shard begin, and the end. Every row looks here, so both are as small as can be.
    starts: Vec<u32>,
    /// How many shards each node has.
    shares: Vec<usize>,
    version: u64,
}

impl ShardMap {
    /// The map of these nodes.
    pub fn new(list: &NodeList, replication: &Replication) -> Result<Self, NodesError> {
        replication.check(list)?;
        let nodes = list.nodes().to_vec();
        let identities = list.identities();
        let names: Vec<u64> = identities.iter().map(|node| xxh3_64_with_seed(node.as_bytes(), SEED)).collect();
        let scores: Vec<Vec<u64>> = names.iter().map(|name| scores(*name)).collect();
        let score = |shard: u16, node: usize| scores[node][usize::from(shard)];
        let groups: Vec<(&str, Vec<usize>)> = list.groups().into_iter().collect();

        let shards: Vec<u16> = (0..SHARDS as u16).collect();
        let weights: Vec<Place> = groups
            .iter()
            .map(|(group, nodes)| Place {
                weight: nodes.len(),
                rounding: rounding(xxh3_64_with_seed(group.as_bytes(), SEED)),
            })
            .collect();
        let best = |shard: u16, group: usize| {
            let scores = groups[group].1.iter().map(|node| score(shard, *node));
            scores.max().expect("BUG: a group without nodes")
        };
        let groups_of = assign(&shards, &weights, replication.groups(), best);

        let mut owners = vec![Vec::new(); SHARDS];
        for (number, (group, members)) in groups.iter().enumerate() {
            let here: Vec<u16> = shards
                .iter()
                .copied()
                .filter(|shard| groups_of[usize::from(*shard)].contains(&(number as u16)))
                .collect();
            let places =
                members.iter().map(|node| Place { weight: 1, rounding: rounding(names[*node]) }).collect::<Vec<_>>();
            let held = assign(&here, &places, replication.in_group(group), |shard, place| score(shard, members[place]));
            for (shard, places) in here.iter().zip(held) {
                owners[usize::from(*shard)].extend(places.into_iter().map(|place| members[usize::from(place)] as u16));
            }
        }
        let version = version(&identities, &owners);
        let mut shares = vec![0; nodes.len()];
        owners.iter().flatten().for_each(|owner| shares[usize::from(*owner)] += 1);
        let mut starts = vec![0];
        starts.extend(owners.iter().scan(0, |end, owners| {
            *end += owners.len() as u32;
            Some(*end)
        }));
        Ok(Self { nodes, owners: owners.concat(), starts, shares, version })
    }

    /// The nodes; owners are places in this list.
    pub fn nodes(&self) -> &[NodeName] {
        &self.nodes
    }

    /// The nodes that hold the series of a shard, the first one first.
    pub fn owners(&self, shard: u16) -> &[u16] {
        let shard = usize::from(shard);
        &self.owners[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }

    /// The nodes that hold a series.
    pub fn owners_of(&self, id: SeriesId) -> &[u16] {
        self.owners(id.shard())
    }

    /// How many shards each node holds, in the order of the nodes.
    pub fn shares(&self) -> &[usize] {
        &self.shares
    }

    /// The shards that a node holds.
    pub fn shards_of(&self, node: usize) -> ShardSet {
        let mut shards = ShardSet::empty();
        let held = (0..SHARDS as u16).filter(|shard| self.owners(*shard).contains(&(node as u16)));
        held.for_each(|shard| shards.insert(shard));
        shards
    }

    /// How many nodes hold each shard, over all shards.
    pub fn holders(&self) -> usize {
        self.owners.len()
    }

    /// Equal for equal maps, and for no others.
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl fmt::Debug for ShardMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardMap({:016x}, {} nodes, {} holders)", self.version, self.nodes.len(), self.holders())
    }
}

/// The scores of all shards at a node: above by rank, below by hash.
fn scores(name: u64) -> Vec<u64> {
    const RANK_BITS: u32 = SHARDS.trailing_zeros();
    let hashes: Vec<u64> = (0..SHARDS as u16).map(|shard| xxh3_64_with_seed(&shard.to_le_bytes(), name)).collect();
    let mut order: Vec<usize> = (0..SHARDS).collect();
    order.sort_unstable_by_key(|shard| (hashes[*shard], *shard));
    let mut scores = vec![0; SHARDS];
    for (rank, shard) in order.into_iter().enumerate() {
        scores[shard] = (rank as u64) << (u64::BITS - RANK_BITS) | hashes[shard] >> RANK_BITS;
    }
    scores
}

/// See [`Place::rounding`].
fn rounding(name: u64) -> u16 {
    (name >> 48) as u16
}

/// A hash of what the map says, in an order that does not depend on ports.
fn version(identities: &[String], owners: &[Vec<u16>]) -> u64 {
    let mut order: Vec<usize> = (0..identities.len()).collect();
    order.sort_unstable_by_key(|place| &identities[*place]);
    let mut rank = vec![0_u16; order.len()];
    let mut bytes = SEED.to_le_bytes().to_vec();
    for (number, place) in order.into_iter().enumerate() {
        rank[place] = number as u16;
        bytes.extend_from_slice(identities[place].as_bytes());
        bytes.push(b',');
    }
    for owners in owners {
        bytes.push(owners.len() as u8);
        owners.iter().for_each(|owner| bytes.extend_from_slice(&rank[usize::from(*owner)].to_le_bytes()));
    }
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes(count: usize, seed: u64) -> Vec<NodeName> {
        (0..count).map(|n| NodeName::parse(&format!("node-{seed}-{n}"), 8400).expect("a name")).collect()
    }

    fn map(nodes: Vec<NodeName>, copies: usize) -> ShardMap {
        let list = NodeList::new(nodes).expect("a list");
        ShardMap::new(&list, &Replication::copies(copies)).expect("a map")
    }

    /// Copies that are at nodes which did not have them.
    fn moved(before: &ShardMap, after: &ShardMap) -> usize {
        let names = |map: &ShardMap, shard| -> Vec<NodeName> {
            map.owners(shard).iter().map(|owner| map.nodes()[usize::from(*owner)].clone()).collect()
        };
        let shards = 0..SHARDS as u16;
        let new = |shard| {
            let before = names(before, shard);
            names(after, shard).iter().filter(|node| !before.contains(node)).count()
        };
        shards.map(new).sum()
    }

    fn load(map: &ShardMap) -> Vec<usize> {
        let mut load = vec![0; map.nodes().len()];
        (0..SHARDS as u16).flat_map(|shard| map.owners(shard)).for_each(|owner| load[usize::from(*owner)] += 1);
        load
    }

    #[test]
    fn the_map_is_pinned() {
        // Every process of a cluster, of every later version too, has to come to the same owners.
        let map = map(nodes(5, 0), 2);
        let some = [0, 1, 2, 511, 1023].map(|shard| map.owners(shard));
        assert_eq!(
            format!("{map:?} {some:?}"),
            "ShardMap(6774af1b901e23a4, 5 nodes, 2048 holders) [[3, 0], [3, 4], [3, 4], [1, 2], [1, 4]]"
        );
    }

    #[test]
    fn on_average_a_node_moves_its_share() {
        for (count, copies, percent) in
            [(2, 1, 103), (3, 2, 102), (5, 1, 103), (9, 2, 103), (15, 3, 103), (30, 3, 110), (30, 1, 130)]
        {
            const LISTS: usize = 20;
            let moves = |seed| moved(&map(nodes(count - 1, seed), copies), &map(nodes(count, seed), copies));
            let all: usize = (0..LISTS as u64).map(moves).sum();
            let shares = LISTS * SHARDS * copies;
            assert!(
                all * count * 100 <= shares * percent,
                "{count} nodes, {copies} copies: {} %",
                all * count * 100 / shares
            );
        }
    }

    #[test]
    fn groups_hold_copies_of_their_own() {
        let names = "g0/a,g0/b,g0/c,g1/d,g1/e,g2/f".split(',').map(|name| NodeName::parse(name, 1).expect("a name"));
        let list = NodeList::new(names.collect()).expect("a list");
        let replication = Replication::parse(&["g0:2,g1:2,g2:1".to_string()], 2).expect("factors");
        let map = ShardMap::new(&list, &replication).expect("a map");
        for shard in 0..SHARDS as u16 {
            let mut groups: Vec<&str> =
                map.owners(shard).iter().map(|owner| map.nodes()[usize::from(*owner)].group.as_str()).collect();
            groups.sort_unstable();
            assert!(
                matches!(groups[..], ["g0", "g0", "g1", "g1"] | ["g0", "g0", "g2"] | ["g1", "g1", "g2"]),
                "{groups:?}"
            );
        }
        let all = ShardMap::new(&list, &Replication::parse(&[], 3).expect("factors")).expect("a map");
        assert_eq!(all.holders(), 3 * SHARDS);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn shards_are_spread_evenly(count in 1_usize..40, copies in 1_usize..4, seed in 0_u64..1000) {
            prop_assume!(copies <= count);
            let map = map(nodes(count, seed), copies);
            let load = load(&map);
            prop_assert_eq!(load.iter().sum::<usize>(), SHARDS * copies);
            let share = SHARDS * copies / count;
            prop_assert!(*load.iter().max().expect("a node") <= share + share / 10 + 2, "{:?}", load);
            for shard in 0..SHARDS as u16 {
                let mut owners = map.owners(shard).to_vec();
                owners.sort_unstable();
                owners.dedup();
                prop_assert_eq!(owners.len(), copies);
            }
            prop_assert_eq!(map.shards_of(0).len() as usize, load[0]);
        }

        #[test]
        fn a_node_that_comes_or_goes_moves_its_share(count in 2_usize..40, copies in 1_usize..4, seed in 0_u64..1000) {
            prop_assume!(copies < count);
            let (few, many) = (map(nodes(count - 1, seed), copies), map(nodes(count, seed), copies));
            prop_assert_ne!(few.version(), many.version());
            let share = SHARDS * copies / count;
            let (come, gone) = (moved(&few, &many), moved(&many, &few));
            prop_assert!(come >= share * 8 / 10 && come <= share * 3 / 2 + 8, "{} moved, the share is {}", come, share);
            prop_assert!(gone <= share * 3 / 2 + 8, "{} moved, the share is {}", gone, share);
        }

        #[test]
        fn the_order_of_the_list_does_not_matter(count in 1_usize..12, seed in 0_u64..1000) {
            let mut turned = nodes(count, seed);
            turned.reverse();
            prop_assert!(map(nodes(count, seed), 1) == map(turned, 1));
        }

        #[test]
        fn the_ports_do_not_matter(count in 1_u16..12, first in 1_u16..60_000) {
            let at = |first: u16| {
                let local = (0..count).map(move |n| format!("127.0.0.1:{}", first + n * 10));
                let hosts = (0..count).map(move |n| format!("host-{n}:{first}"));
                map(local.chain(hosts).map(|name| NodeName::parse(&name, 1).expect("a name")).collect(), 1)
            };
            let (insert, select) = (at(first), at(9_990));
            prop_assert_eq!(insert.version(), select.version());
            let host = |map: &ShardMap, shard| map.nodes()[usize::from(map.owners(shard)[0])].address.rsplit_once(':').map(|name| name.0.to_string());
            for shard in 0..SHARDS as u16 {
                prop_assert_eq!(host(&insert, shard), host(&select, shard));
            }
        }
    }
}
