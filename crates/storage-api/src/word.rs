//! What a node says of the shards that it has.
//!
//! 1. A node *holds* a shard over a range of time if it may have samples of it there.
//! 2. It is *complete* for a shard over a range if it has all that was acknowledged since it became an owner of the shard.
//! 3. Since when it is one its *token* says: two nodes whose tokens for a shard are equal became its owners together and have heard of the same maps since.
//!    What one of them has the other has too, if both are complete. A node that is no owner has no token.
//!
//! A node says so before it reads anything for an answer: what is acknowledged later need not be in it.

use crate::select::ShardSet;

/// What a node says of its shards over a range of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardWord {
    /// Shards of which it may have samples.
    pub holds: ShardSet,
    /// Shards of which it lacks nothing.
    pub complete: ShardSet,
    /// Shards that it owns, by token. No shard stands in two.
    pub owned: Vec<(u64, ShardSet)>,
}

impl ShardWord {
    /// The word of a node that knows nothing of shards: it may have everything, and may lack anything.
    pub fn unknown() -> Self {
        Self { holds: ShardSet::all(), complete: ShardSet::empty(), owned: Vec::new() }
    }

    /// The shards for which another node has the same token.
    pub fn owned_alike(&self, other: &Self) -> ShardSet {
        let mut alike = ShardSet::empty();
        for (token, shards) in &self.owned {
            let theirs = other.owned.iter().filter(|(their, _)| their == token && *token != 0);
            theirs.for_each(|(_, others)| alike.unite(&shards.and(others)));
        }
        alike
    }

    /// The shards that it owns.
    pub fn owns(&self) -> ShardSet {
        let mut all = ShardSet::empty();
        self.owned.iter().filter(|(token, _)| *token != 0).for_each(|(_, shards)| all.unite(shards));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_own_alike_what_has_equal_tokens() {
        let word = |owned: &[(u64, u16)]| {
            let one = |(token, shard): &(u64, u16)| {
                let mut set = ShardSet::empty();
                set.insert(*shard);
                (*token, set)
            };
            ShardWord { owned: owned.iter().map(one).collect(), ..ShardWord::unknown() }
        };
        let (one, other) = (word(&[(9, 3), (8, 4), (0, 5)]), word(&[(9, 3), (9, 4), (0, 5)]));
        let alike = one.owned_alike(&other);
        assert_eq!((alike.len(), alike.has(3), one.owns().len()), (1, true, 2));
    }
}
