//! Of which virtual shards there are series.
//!
//! 1. There are two sets. A new series enters both, once its slot is taken.
//! 2. When series were evicted, the set that is not shown is made anew: it is emptied, then every series that has a slot enters it, then it is the one
//!    that is shown. A series that comes meanwhile either has its slot already, or enters it behind the emptying.
//!
//! So the set that is shown never lacks a shard, and has shards without series only until the next eviction.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use model::{SHARDS, SeriesId};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct HeldShards {
    sets: [[AtomicU64; SHARDS / 64]; 2],
    shown: AtomicUsize,
}

impl HeldShards {
    /// A series has taken its slot.
    pub(crate) fn enter(&self, id: SeriesId) {
        self.sets.iter().for_each(|set| enter(set, id));
    }

    /// Makes the set anew of all series that have slots. Called by one thread at a time.
    pub(crate) fn renew(&self, ids: impl Iterator<Item = SeriesId>) {
        let other = 1 - self.shown.load(SeqCst);
        let set = &self.sets[other];
        set.iter().for_each(|word| word.store(0, SeqCst));
        ids.for_each(|id| enter(set, id));
        self.shown.store(other, SeqCst);
    }

    /// A bit for each shard.
    pub(crate) fn words(&self) -> [u64; SHARDS / 64] {
        let set = &self.sets[self.shown.load(SeqCst)];
        std::array::from_fn(|at| set[at].load(SeqCst))
    }
}

fn enter(set: &[AtomicU64; SHARDS / 64], id: SeriesId) {
    let shard = id.shard();
    let (word, bit) = (&set[usize::from(shard) / 64], 1 << (shard % 64));
    if word.load(SeqCst) & bit == 0 {
        word.fetch_or(bit, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_come_with_series_and_go_with_evictions() {
        let held = HeldShards::default();
        let (low, high) = (SeriesId(0), SeriesId(u128::MAX));
        held.enter(low);
        held.enter(high);
        assert_eq!((held.words()[0], held.words()[15]), (1, 1 << 63));
        held.renew([high].into_iter());
        assert_eq!((held.words()[0], held.words()[15]), (0, 1 << 63));
        held.enter(low);
        held.renew([low].into_iter());
        assert_eq!((held.words()[0], held.words()[15]), (1, 0));
    }
}
