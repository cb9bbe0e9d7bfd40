//! What is asked of sets of shards here.

use model::{SHARDS, SeriesId};
use storage_api::ShardSet;

/// Whether a shard is in a set.
pub fn holds(set: &ShardSet, shard: u16) -> bool {
    set.contains(SeriesId(u128::from(shard) << (u128::BITS - SHARDS.ilog2())))
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
        set = set.or(&other);
        assert_eq!([0, 7, 1023].map(|shard| holds(&set, shard)), [false, true, true]);
        assert_eq!((set.len(), ShardSet::all().len() as usize, set.and(&other).len()), (2, SHARDS, 1));
        assert!(set.without(&ShardSet::all()).is_empty() && set.without(&other).len() == 1);
    }
}
