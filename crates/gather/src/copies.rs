//! How the copies of series are spread over the nodes.
//!
//! Each series is in so many groups of nodes, and in each of them on so many nodes. While fewer nodes of a group are away than have each of its series, the
//! group has all that it was sent. So nothing can be missing while fewer groups than each series is in lack that many.

use model::SHARDS;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copies {
    groups: Vec<CopyGroup>,
    groups_of_series: usize,
    holders: u64,
}

/// Nodes that share series among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyGroup {
    /// Places of the nodes in the list.
    pub nodes: Vec<usize>,
    /// How many of them have each series that the group has.
    pub copies: usize,
}

impl Copies {
    /// Each series is in so many of the groups. `holders` counts the nodes of each shard, over all shards.
    pub fn new(groups: Vec<CopyGroup>, groups_of_series: usize, holders: usize) -> Self {
        Self { groups, groups_of_series: groups_of_series.max(1), holders: holders.max(1) as u64 }
    }

    /// Whether some series is on several nodes.
    pub fn are_several(&self) -> bool {
        self.holders > SHARDS as u64
    }

    /// What was counted once for each copy. Exact where all shards have equally many.
    pub fn count_once(&self, counted: u64) -> u64 {
        u64::try_from((u128::from(counted) * SHARDS as u128).div_ceil(u128::from(self.holders))).unwrap_or(u64::MAX)
    }

    /// Whether others have all that the nodes have that are away.
    pub fn spare(&self, is_away: impl Fn(usize) -> bool) -> bool {
        let lacks = |group: &&CopyGroup| group.nodes.iter().filter(|node| is_away(**node)).count() >= group.copies;
        self.groups.iter().filter(lacks).count() < self.groups_of_series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(nodes: std::ops::Range<usize>, copies: usize) -> CopyGroup {
        CopyGroup { nodes: nodes.collect(), copies }
    }

    #[test]
    fn nodes_may_be_away_while_others_have_their_copies() {
        let spare = |copies: &Copies, away: &[usize]| copies.spare(|node| away.contains(&node));
        let one = Copies::new(vec![group(0..3, 2)], 1, 2 * SHARDS);
        assert!(spare(&one, &[]) && spare(&one, &[1]) && !spare(&one, &[0, 2]));
        let two = Copies::new(vec![group(0..3, 1), group(3..6, 1)], 2, 2 * SHARDS);
        assert!(spare(&two, &[0, 1, 2]) && spare(&two, &[3, 5]), "the other group has everything");
        assert!(!spare(&two, &[0, 3]));
        let either = Copies::new(vec![group(0..2, 2), group(2..5, 2)], 1, 2 * SHARDS);
        assert!(spare(&either, &[0, 4]) && !spare(&either, &[0, 1]), "a series is in one group, with its copies");
    }

    #[test]
    fn what_is_counted_is_counted_once() {
        let copies = |holders| Copies::new(Vec::new(), 1, holders);
        let counts = |holders, counted| copies(holders).count_once(counted);
        assert_eq!((counts(SHARDS, 7), counts(2 * SHARDS, 7), counts(3 * SHARDS, 9)), (7, 4, 3));
        assert_eq!(counts(SHARDS * 3 / 2, 1500), 1000, "half of the shards have two copies");
        assert_eq!(counts(SHARDS, u64::MAX), u64::MAX);
        assert!(!copies(SHARDS).are_several() && copies(SHARDS + 1).are_several());
    }
}
