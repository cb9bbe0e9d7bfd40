//! What is asked of sets of shards here.

use model::{SHARDS, SeriesId};
use storage_api::ShardSet;

/// Whether a shard is in a set.
pub fn holds(set: &ShardSet, shard: u16) -> bool {
    set.contains(SeriesId(u128::from(shard) << (u128::BITS - SHARDS.ilog2())))
}

/// All shards.
pub fn all() -> ShardSet {
    let mut set = ShardSet::empty();
    (0..SHARDS as u16).for_each(|shard| set.insert(shard));
    set
}

/// Adds all shards of `more`.
pub fn unite(set: &mut ShardSet, more: &ShardSet) {
    (0..SHARDS as u16).filter(|shard| holds(more, *shard)).for_each(|shard| set.insert(shard));
}

/// The shards that are in both sets.
pub fn common(one: &ShardSet, other: &ShardSet) -> ShardSet {
    let mut set = ShardSet::empty();
    (0..SHARDS as u16).filter(|shard| holds(one, *shard) && holds(other, *shard)).for_each(|shard| set.insert(shard));
    set
}

/// How many shards are in a set.
#[cfg(test)]
pub fn count(set: &ShardSet) -> usize {
    (0..SHARDS as u16).filter(|shard| holds(set, *shard)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_into_them() {
        let mut set = ShardSet::empty();
        set.insert(7);
        let mut other = ShardSet::empty();
        other.insert(1023);
        unite(&mut set, &other);
        assert_eq!([0, 7, 1023].map(|shard| holds(&set, shard)), [false, true, true]);
        assert_eq!((count(&set), count(&all()), count(&common(&set, &other))), (2, SHARDS, 1));
    }
}
