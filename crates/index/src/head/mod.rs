//! The index of the head.

use std::collections::{BTreeMap, BTreeSet};

use model::{SeriesKey, Tenant};
use parking_lot::RwLock;
use roaring::RoaringBitmap;

use crate::CompiledSelector;

/// Keys and index of the head's series.
#[derive(Debug, Default)]
pub struct HeadIndex {
    keys: RwLock<BTreeMap<u32, SeriesKey>>,
}

impl HeadIndex {
    /// An index without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series in a free slot.
    pub fn insert(&self, slot: u32, key: &SeriesKey) {
        self.insert_many([(slot, key)]);
    }

    /// Adds series in free slots.
    pub fn insert_many<'a>(&self, series: impl IntoIterator<Item = (u32, &'a SeriesKey)>) {
        let mut keys = self.keys.write();
        for (slot, key) in series {
            let before = keys.insert(slot, key.clone());
            assert!(before.is_none(), "BUG: slot {slot} is taken");
        }
    }

    /// Removes the series in these slots; free ones are skipped.
    pub fn remove_many(&self, slots: &RoaringBitmap) {
        self.keys.write().retain(|slot, _| !slots.contains(*slot));
    }

    /// How many series there are.
    pub fn series_count(&self) -> usize {
        self.keys.read().len()
    }

    /// The tenants that have series, sorted.
    pub fn tenants(&self) -> Vec<Tenant> {
        self.keys.read().values().map(SeriesKey::tenant).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Puts the key of a slot in the place of `out`; false if the slot is free.
    pub fn key(&self, slot: u32, out: &mut SeriesKey) -> bool {
        match self.keys.read().get(&slot) {
            Some(key) => {
                out.clone_from(key);
                true
            }
            None => false,
        }
    }

    /// Those of the slots that are taken, in the order of their keys.
    pub fn in_key_order(&self, slots: &RoaringBitmap) -> Vec<u32> {
        let keys = self.keys.read();
        let mut taken: Vec<(&SeriesKey, u32)> =
            slots.iter().filter_map(|slot| keys.get(&slot).map(|key| (key, slot))).collect();
        taken.sort_unstable();
        taken.into_iter().map(|(_, slot)| slot).collect()
    }

    /// The slots of a tenant's series that are selected.
    pub fn search(&self, tenant: Tenant, selector: &CompiledSelector) -> RoaringBitmap {
        let keys = self.keys.read();
        let selected = |key: &SeriesKey| key.tenant() == tenant && selector.matches(key);
        keys.iter().filter(|(_, key)| selected(key)).map(|(slot, _)| *slot).collect()
    }

    /// The label names of a tenant's series, or of those of them that are `within`, sorted.
    pub fn label_names(&self, tenant: Tenant, within: Option<&RoaringBitmap>) -> Vec<String> {
        let mut names = BTreeSet::new();
        self.cardinality(tenant, within, &mut |name, _, _| {
            names.insert(name.to_string());
        });
        names.into_iter().collect()
    }

    /// The values of a label, sorted, at most `limit`.
    pub fn label_values(
        &self,
        tenant: Tenant,
        name: &str,
        within: Option<&RoaringBitmap>,
        limit: usize,
    ) -> Vec<String> {
        let mut values = Vec::new();
        self.cardinality(tenant, within, &mut |have, value, _| {
            if have == name && values.len() < limit {
                values.push(value.to_string());
            }
        });
        values
    }

    /// Tells of each label pair how many series have it, in order of name and value.
    pub fn cardinality(&self, tenant: Tenant, within: Option<&RoaringBitmap>, visit: &mut dyn FnMut(&str, &str, u64)) {
        let mut counts = BTreeMap::new();
        let keys = self.keys.read();
        for (slot, key) in keys.iter() {
            if key.tenant() == tenant && within.is_none_or(|within| within.contains(*slot)) {
                for (name, value) in key.labels() {
                    *counts.entry((name, value)).or_insert(0) += 1;
                }
            }
        }
        counts.iter().for_each(|((name, value), count)| visit(name, value, *count));
    }

    /// Bytes of memory in use.
    pub fn bytes(&self) -> usize {
        self.keys.read().values().map(|key| key.as_bytes().len() + 32).sum()
    }
}
