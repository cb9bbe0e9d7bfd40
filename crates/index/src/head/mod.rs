//! The index of the head: the keys of its series and how to find them, changed and searched at the same time.
//!
//! 1. It is the twin of the index of a part: families, origins, bounds, terms with postings; see [`crate::key_parts`] and [`state`].
//! 2. One lock guards it, held for some hundred series at a time by writers and for some thousand values or slots at a time by readers. Patterns
//!    run on copies of values while nothing is locked.
//! 3. Between two moments of holding the lock a search keeps numbers of terms, origins and families. They mean the same until it ends ([`ids`]).
//!    What it found is cut down to the origins that were there when it began, so that it never joins halves of different moments: a series
//!    that is there all the time is found, one that comes or goes meanwhile is found or not, and what is found did match.

mod ids;
mod labels;
mod order;
mod posting;
mod search;
mod slab;
mod sorted;
mod state;
mod terms;

use std::hash::{BuildHasher, RandomState};

use model::{SeriesKey, Tenant};
use parking_lot::{RwLock, RwLockReadGuard};
use roaring::RoaringBitmap;

use crate::{CompiledSelector, KeyNumbers};
use ids::{Search, Searches};
use posting::PostingMemory;
pub use state::NewSeries;
use state::{Slot, State};

/// Series that are inserted or removed while the lock is held: a tenth of a millisecond.
const SERIES_PER_LOCK: usize = 256;
/// Slots, values or postings that are looked at while the lock is held.
const READS_PER_LOCK: usize = 8_192;

/// Keys and index of the head's series, in slots that their owner chooses.
#[derive(Debug)]
pub struct HeadIndex {
    /// Nobody outside can know it, so nobody can make two keys with one hash.
    seed: u64,
    state: RwLock<State>,
    searches: Searches,
}

impl Default for HeadIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadIndex {
    /// An index without series.
    pub fn new() -> Self {
        Self::with(PostingMemory::default())
    }

    /// One that knows the key of each slot and finds nothing, which takes less time and memory.
    pub fn of_keys() -> Self {
        Self::with(PostingMemory::of_counts())
    }

    fn with(memory: PostingMemory) -> Self {
        let seed = RandomState::new().hash_one("head index");
        Self { seed, state: RwLock::new(State::new(seed, memory)), searches: Searches::default() }
    }

    /// Adds a series in a free slot.
    pub fn insert(&self, slot: u32, key: &SeriesKey) {
        self.insert_many([(slot, key)]);
    }

    /// Does what adding a series needs and no lock. `before` may be the one in front of it, with which it may have labels in common.
    pub fn prepare<'a>(&self, key: &'a SeriesKey, before: Option<&NewSeries<'_>>) -> NewSeries<'a> {
        NewSeries::new(key, self.seed, before)
    }

    /// Adds series in free slots. Each is found by searches that begin after it is in; when this returns, all are.
    pub fn insert_many<'a>(&self, series: impl IntoIterator<Item = (u32, &'a SeriesKey)>) {
        let mut series = series.into_iter();
        let mut batch: Vec<(u32, NewSeries<'a>)> = Vec::new();
        loop {
            batch.clear();
            for (slot, key) in series.by_ref().take(SERIES_PER_LOCK) {
                let new = self.prepare(key, batch.last().map(|(_, before)| before));
                batch.push((slot, new));
            }
            if batch.is_empty() {
                return;
            }
            self.insert_prepared(&batch);
        }
    }

    /// As [`insert_many`](Self::insert_many), for series that were [prepared](Self::prepare).
    pub fn insert_prepared(&self, series: &[(u32, NewSeries<'_>)]) {
        for batch in series.chunks(SERIES_PER_LOCK) {
            let mut state = self.state.write();
            state.advance(&self.searches);
            batch.iter().for_each(|(slot, new)| state.insert(*slot, new));
        }
    }

    /// Removes the series in these slots; free ones are skipped.
    pub fn remove_many(&self, slots: &RoaringBitmap) {
        let mut slots = slots.iter().peekable();
        while slots.peek().is_some() {
            let mut state = self.state.write();
            state.advance(&self.searches);
            slots.by_ref().take(SERIES_PER_LOCK).for_each(|slot| state.remove(slot));
        }
    }

    /// How many series there are.
    pub fn series_count(&self) -> usize {
        self.state.read().series
    }

    /// How many series a tenant has.
    pub fn series_count_of(&self, tenant: Tenant) -> u64 {
        self.state.read().tenants.get(&tenant).map_or(0, |of_tenant| of_tenant.slots.len())
    }

    /// The tenants that have series, sorted.
    pub fn tenants(&self) -> Vec<Tenant> {
        let mut tenants: Vec<Tenant> = self.state.read().tenants.keys().copied().collect();
        tenants.sort_unstable();
        tenants
    }

    /// Puts the key of a slot in the place of `out`, whose memory is reused; false if the slot is free.
    pub fn key(&self, slot: u32, out: &mut SeriesKey) -> bool {
        let mut bytes = std::mem::take(out).into_bytes();
        let found = self.state.read().key(slot, &mut bytes);
        if found {
            *out = SeriesKey::from_trusted(bytes);
        }
        found
    }

    /// Adds the numbers of the keys of these slots to `out`, where nothing stands for a free slot. They mean the same as long as the series is there.
    pub fn key_numbers(&self, slots: &[u32], out: &mut Vec<Option<KeyNumbers>>) {
        for slots in slots.chunks(READS_PER_LOCK) {
            let state = self.state.read();
            out.extend(slots.iter().map(|slot| state.slot(*slot).map(Slot::numbers)));
        }
    }

    /// Those of the slots that are taken, in the order of their keys, without making the keys.
    pub fn in_key_order(&self, slots: &RoaringBitmap) -> Vec<u32> {
        order::in_key_order(self, slots)
    }

    /// The slots of a tenant's series that are selected.
    pub fn search(&self, tenant: Tenant, selector: &CompiledSelector) -> RoaringBitmap {
        search::search(self, tenant, selector)
    }

    /// The label names of a tenant's series, or of those of them that are `within`, sorted.
    pub fn label_names(&self, tenant: Tenant, within: Option<&RoaringBitmap>) -> Vec<String> {
        labels::names(self, tenant, within)
    }

    /// The values that a label has in a tenant's series, or in those of them that are `within`, sorted, at most `limit`.
    pub fn label_values(
        &self,
        tenant: Tenant,
        name: &str,
        within: Option<&RoaringBitmap>,
        limit: usize,
    ) -> Vec<String> {
        labels::values(self, tenant, name, within, limit)
    }

    /// Tells of each label pair how many of a tenant's series, or of those of them that are `within`, have it; by name and value.
    pub fn cardinality(&self, tenant: Tenant, within: Option<&RoaringBitmap>, visit: &mut dyn FnMut(&str, &str, u64)) {
        labels::cardinality(self, tenant, within, visit);
    }

    /// Bytes of memory in use for keys, terms and postings.
    pub fn bytes(&self) -> usize {
        self.state.read().bytes()
    }

    /// Begins a search: from now on numbers keep their meaning until the answer is dropped.
    fn begin_search(&self) -> (Search<'_>, RwLockReadGuard<'_, State>) {
        let state = self.state.read();
        (self.searches.begin(state.parity), state)
    }
}
