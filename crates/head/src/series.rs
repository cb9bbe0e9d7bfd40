//! The series of the head: from canonical key to slot and back.
//!
//! 1. A series is found by its id in one of [`SHARDS`] maps with a lock each; the key decides when ids are equal. Two keys with one id get two
//!    slots.
//! 2. A new series gets a slot and enters the index while its shard is locked: when anybody can find it here, queries can too.
//! 3. A series that was not written in the present or the previous epoch and has no rows in memory can be evicted. Its slot is freed in the same
//!    atomic word in which writers say that they are there (see [`slots`](crate::slots)), then it leaves map and index.

use hashbrown::HashTable;
use index::{HeadIndex, NewSeries};
use model::{SeriesId, SeriesKey, ValueKind};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use storage_api::Refusal;

use crate::{held::HeldShards, slots::Slots};

/// Locks over the map from id to slot.
const SHARDS: usize = 64;

/// Decides whether a series that the head does not have may enter it.
pub trait NewSeriesGate: Sync {
    /// Asked once for each new series, before it gets a slot. A refusal is not remembered: the next row of the series asks again.
    fn admit(&self, id: SeriesId, key: &SeriesKey) -> Result<(), Refusal>;
}

/// Lets every series in.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitAll;

impl NewSeriesGate for AdmitAll {
    fn admit(&self, _: SeriesId, _: &SeriesKey) -> Result<(), Refusal> {
        Ok(())
    }
}

/// What came of asking for a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Known(u32),
    Created(u32),
    Refused(Refusal),
    /// There is no slot left.
    Full,
}

/// All series, by id and by slot.
#[derive(Debug)]
pub(crate) struct SeriesMap {
    shards: Box<[Mutex<HashTable<u32>>]>,
    /// Held by whoever locks all shards: to wait here is to wait once.
    many: Mutex<()>,
    slots: Slots,
    index: HeadIndex,
    held: HeldShards,
}

impl SeriesMap {
    pub(crate) fn new(index: HeadIndex) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            many: Mutex::default(),
            slots: Slots::new(),
            index,
            held: HeldShards::default(),
        }
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(crate) fn index(&self) -> &HeadIndex {
        &self.index
    }

    /// Of which virtual shards there are series, a bit for each.
    pub(crate) fn held(&self) -> &HeldShards {
        &self.held
    }

    fn shard(&self, id: SeriesId) -> &Mutex<HashTable<u32>> {
        &self.shards[shard_of(id)]
    }

    fn take_slot(&self, id: SeriesId, kind: ValueKind, epoch: u32) -> Option<u32> {
        let slot = self.slots.take(id, kind, epoch)?;
        self.held.enter(id);
        Some(slot)
    }

    /// The slot of a series, which is marked as written; a new one enters if the gate lets it. `scratch` is overwritten.
    pub(crate) fn find_or_create(
        &self,
        id: SeriesId,
        key: &SeriesKey,
        kind: ValueKind,
        epoch: u32,
        gate: &dyn NewSeriesGate,
        scratch: &mut SeriesKey,
    ) -> Found {
        let mut shard = self.shard(id).lock();
        let is_it = |slot: &u32| self.slots.id(*slot) == id && self.index.key(*slot, scratch) && *scratch == *key;
        if let Some(slot) = shard.find(spread(id), is_it).copied() {
            // Freeing happens under the same lock, together with removal.
            assert!(self.slots.enter(slot, epoch), "BUG: a freed slot is still in the map");
            return Found::Known(slot);
        }
        if let Err(reason) = gate.admit(id, key) {
            return Found::Refused(reason);
        }
        let Some(slot) = self.take_slot(id, kind, epoch) else { return Found::Full };
        self.index.insert(slot, key);
        shard.insert_unique(spread(id), slot, |slot| spread(self.slots.id(*slot)));
        Found::Created(slot)
    }

    /// Adds the slots of many series to `out`, as [`find_or_create`](Self::find_or_create) gives them for one. Says how many were new, or that there are no
    /// slots left. It is for threads that replay a log side by side: what can be done without a lock is done before, then all shards are locked once, for at
    /// every series the threads would wait for each other.
    pub(crate) fn find_or_create_many(
        &self,
        series: &[(SeriesId, SeriesKey)],
        kind: ValueKind,
        epoch: u32,
        out: &mut Vec<u32>,
    ) -> Option<usize> {
        let prepared = self.prepare_unknown(series);
        let _turn = self.many.lock();
        // Everybody else holds one lock at a time, so all in their order cannot lock each other out.
        let mut shards: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        let mut scratch = SeriesKey::default();
        let mut new: Vec<(u32, NewSeries<'_>)> = Vec::with_capacity(series.len());
        let mut is_full = false;
        for ((id, key), prepared) in series.iter().zip(prepared) {
            let is_it = |slot: &u32| self.slots.id(*slot) == *id && self.is_key(*slot, key, &new, &mut scratch);
            let shard = &mut shards[shard_of(*id)];
            if let Some(slot) = shard.find(spread(*id), is_it).copied() {
                assert!(self.slots.enter(slot, epoch), "BUG: a freed slot is still in the map");
                out.push(slot);
                continue;
            }
            let Some(slot) = self.take_slot(*id, kind, epoch) else {
                is_full = true;
                break;
            };
            shard.insert_unique(spread(*id), slot, |slot| spread(self.slots.id(*slot)));
            new.push((slot, prepared.unwrap_or_else(|| self.index.prepare(key, None))));
            out.push(slot);
        }
        self.index.insert_prepared(&new);
        (!is_full).then_some(new.len())
    }

    /// Prepares for the index those of the series that the map does not seem to have.
    fn prepare_unknown<'a>(&self, series: &'a [(SeriesId, SeriesKey)]) -> Vec<Option<NewSeries<'a>>> {
        let mut prepared: Vec<Option<NewSeries<'a>>> = Vec::with_capacity(series.len());
        for (id, key) in series {
            let is_known = self.shard(*id).lock().find(spread(*id), |slot| self.slots.id(*slot) == *id).is_some();
            let before = prepared.last().and_then(Option::as_ref);
            let new = (!is_known).then(|| self.index.prepare(key, before));
            prepared.push(new);
        }
        prepared
    }

    /// Whether a slot holds the series of this key; those of `new` are not in the index yet.
    fn is_key(&self, slot: u32, key: &SeriesKey, new: &[(u32, NewSeries<'_>)], scratch: &mut SeriesKey) -> bool {
        match new.iter().find(|(have, _)| *have == slot) {
            Some((_, have)) => have.is_of(key),
            None => self.index.key(slot, scratch) && *scratch == *key,
        }
    }

    /// The slot of the only series with this id, which is marked as written. Two keys with one id are told apart by their keys alone.
    pub(crate) fn find_one(&self, id: SeriesId, epoch: u32) -> Option<u32> {
        let shard = self.shard(id).lock();
        let mut found = shard.iter_hash(spread(id)).filter(|slot| self.slots.id(**slot) == id);
        let slot = *found.next()?;
        if found.next().is_some() {
            return None;
        }
        assert!(self.slots.enter(slot, epoch), "BUG: a freed slot is still in the map");
        Some(slot)
    }

    /// Evicts all series that were not written in `epoch` or later and whose slot is not `in_use`. Returns the freed slots; they are not given
    /// out before [`Slots::release`] says so.
    pub(crate) fn evict(&self, epoch: u32, in_use: impl Fn(u32) -> bool) -> Vec<u32> {
        let idle = self.slots.idle_before(epoch).filter(|slot| !in_use(*slot));
        let freed: Vec<u32> = idle.filter(|slot| self.evict_one(*slot, epoch)).collect();
        if !freed.is_empty() {
            let gone = RoaringBitmap::from_sorted_iter(freed.iter().copied()).expect("BUG: slots out of order");
            self.index.remove_many(&gone);
            self.held.renew(self.slots.idle_before(u32::MAX).map(|slot| self.slots.id(slot)));
        }
        freed
    }

    fn evict_one(&self, slot: u32, epoch: u32) -> bool {
        let id = self.slots.id(slot);
        let mut shard = self.shard(id).lock();
        if !self.slots.free(slot, epoch) {
            return false;
        }
        let entry = shard.find_entry(spread(id), |have| *have == slot);
        entry.expect("BUG: a series that the map does not know").remove();
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Memory taken, that of the index left out.
    pub(crate) fn bytes(&self) -> usize {
        let maps: usize = self.shards.iter().map(|shard| shard.lock().allocation_size()).sum();
        maps + self.slots.bytes()
    }
}

fn shard_of(id: SeriesId) -> usize {
    id.0 as usize % SHARDS
}

/// The bits of an id that a map goes by: those that chose the shard are left out, and so are the top ones, which on a node of a cluster are
/// those of its virtual shards.
fn spread(id: SeriesId) -> u64 {
    (id.0 >> 16) as u64
}

#[cfg(test)]
mod tests {
    use index::CompiledSelector;
    use model::{KeyBuilder, Selector, Tenant};

    use super::*;

    fn key(name: &str) -> SeriesKey {
        let mut labels = KeyBuilder::new();
        labels.push("__name__", name);
        labels.build(Tenant::DEFAULT).expect("a series key")
    }

    fn find(map: &SeriesMap, id: u128, name: &str, epoch: u32) -> Found {
        let mut scratch = SeriesKey::default();
        map.find_or_create(SeriesId(id), &key(name), ValueKind::Float, epoch, &AdmitAll, &mut scratch)
    }

    #[test]
    fn equal_ids_with_different_keys_are_kept_apart() {
        let map = SeriesMap::new(HeadIndex::new());
        assert_eq!([find(&map, 7, "a", 2), find(&map, 7, "b", 2)], [Found::Created(0), Found::Created(1)]);
        assert_eq!([find(&map, 7, "a", 2), find(&map, 7, "b", 2)], [Found::Known(0), Found::Known(1)]);
        assert!(find(&map, 7, "b", 9) == Found::Known(1) && map.evict(9, |_| false) == [0]);
        assert_eq!([find(&map, 7, "b", 9), find(&map, 7, "a", 9)], [Found::Known(1), Found::Created(2)]);
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn many_series_at_once_get_what_each_would_get_alone() {
        let map = SeriesMap::new(HeadIndex::new());
        find(&map, 5, "known", 2);
        // Twice the same series, one id with two keys, one that is there.
        let series = [(7, "a"), (8, "c"), (7, "a"), (7, "b"), (5, "known"), (8, "c")];
        let series = series.map(|(id, name)| (SeriesId(id), key(name)));
        let mut slots = vec![99];
        assert_eq!(map.find_or_create_many(&series, ValueKind::Float, 2, &mut slots), Some(3));
        assert_eq!(slots, [99, 1, 2, 1, 3, 0, 2]);
        assert_eq!(
            [find(&map, 7, "b", 2), find(&map, 8, "c", 2), find(&map, 9, "c", 2)],
            [3, 2, 4].map(|slot| match slot {
                4 => Found::Created(4),
                known => Found::Known(known),
            })
        );
        assert_eq!((map.len(), map.index().series_count()), (5, 5));
    }

    #[test]
    fn a_series_is_searchable_until_it_is_evicted() {
        let map = SeriesMap::new(HeadIndex::new());
        let all = CompiledSelector::compile(&Selector { any_of: vec![Vec::new()] }).expect("a selector");
        let search = || map.index().search(Tenant::DEFAULT, &all).into_iter().collect::<Vec<_>>();
        find(&map, 1, "a", 2);
        find(&map, 2, "b", 2);
        assert_eq!(search(), [0, 1]);
        assert_eq!(map.evict(3, |slot| slot == 1), [0]);
        assert_eq!(search(), [1]);
        assert!(map.slots().is_freed(0) && !map.slots().is_freed(1));
    }

    #[test]
    fn the_gate_keeps_series_out() {
        struct Closed;
        impl NewSeriesGate for Closed {
            fn admit(&self, _: SeriesId, _: &SeriesKey) -> Result<(), Refusal> {
                Err(Refusal::HourlySeries)
            }
        }
        let map = SeriesMap::new(HeadIndex::new());
        find(&map, 1, "a", 2);
        let ask = |name, id| {
            map.find_or_create(SeriesId(id), &key(name), ValueKind::Float, 2, &Closed, &mut SeriesKey::default())
        };
        assert_eq!([ask("a", 1), ask("b", 2)], [Found::Known(0), Found::Refused(Refusal::HourlySeries)]);
        assert_eq!((map.len(), map.slots().taken()), (1, 1));
    }
}
