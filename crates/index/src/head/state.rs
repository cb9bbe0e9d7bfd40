//! What the head knows of its series, all under one lock.
//!
//! 1. A slot names family, origin and bound of its series ([`crate::key_parts`]); that is its key in 12 bytes.
//! 2. Families and origins are found by a keyed 128-bit hash of their bytes in the key; a new origin becomes a tuple of terms.
//! 3. Families and origins know their slots, terms know their origins. What loses its last slot is removed, with all that only it used.

use hashbrown::{HashMap, HashTable};
use model::{BUCKET_BOUND, METRIC_NAME, SeriesKey, Tenant};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::ids::{Ids, Searches};
use super::posting::{Posting, PostingMemory};
use super::slab::Slab;
use super::terms::Terms;
use crate::KeyNumbers;
use crate::key_parts::{KeyParts, bound_suffix, origin_labels, put_family, put_text};

/// Stands for "none" where a number is expected.
pub(super) const NONE: u32 = u32::MAX;
const SLOTS_PER_PAGE: usize = 4096;

/// What stands in a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// [`NONE`] if the slot is free.
    pub(super) family: u32,
    pub(super) origin: u32,
    /// The term of the bound, or [`NONE`].
    pub(super) bound: u32,
}

impl Slot {
    pub(super) fn numbers(self) -> KeyNumbers {
        let bound = (self.bound != NONE).then_some(self.bound);
        KeyNumbers { family: self.family, origin: self.origin, bound }
    }
}

const FREE: Slot = Slot { family: NONE, origin: NONE, bound: NONE };

/// Metric of a tenant.
#[derive(Debug, Default)]
pub(super) struct Family {
    hash: [u64; 2],
    pub(super) tenant: Tenant,
    /// The term of the metric name, or [`NONE`].
    pub(super) metric: u32,
    pub(super) slots: Posting,
}

/// Labels that series have in common.
#[derive(Debug, Default)]
pub(super) struct Origin {
    hash: [u64; 2],
    cell: u32,
    len: u32,
    pub(super) slots: Posting,
}

/// What a tenant has.
#[derive(Debug, Default)]
pub(super) struct TenantState {
    pub(super) families: RoaringBitmap,
    pub(super) slots: RoaringBitmap,
}

/// A series that is about to be inserted, with what can be computed without the lock.
#[derive(Debug, Clone, Copy)]
pub struct NewSeries<'a> {
    parts: KeyParts<'a>,
    family_hash: [u64; 2],
    origin_hash: [u64; 2],
}

impl<'a> NewSeries<'a> {
    /// Takes a key apart and hashes the parts; `before` may have the same.
    pub(super) fn new(key: &'a SeriesKey, seed: u64, before: Option<&NewSeries<'_>>) -> Self {
        let parts = KeyParts::of(key);
        let hash = |bytes: &[u8]| {
            let hash = xxh3_128_with_seed(bytes, seed);
            [hash as u64, (hash >> 64) as u64]
        };
        let family_hash = match before {
            Some(before) if before.parts.family == parts.family => before.family_hash,
            _ => hash(parts.family),
        };
        let origin_hash = match before {
            Some(before) if before.parts.origin == parts.origin => before.origin_hash,
            _ => hash(parts.origin),
        };
        Self { parts, family_hash, origin_hash }
    }

    /// Whether it was made of this key.
    pub fn is_of(&self, key: &SeriesKey) -> bool {
        self.parts == KeyParts::of(key)
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) parity: usize,
    pub(super) terms: Terms,
    pub(super) memory: PostingMemory,
    slots: Vec<Box<[Slot]>>,
    pub(super) series: usize,
    families: Vec<Family>,
    family_ids: Ids,
    family_table: HashTable<u32>,
    origins: Vec<Origin>,
    pub(super) origin_ids: Ids,
    origin_table: HashTable<u32>,
    tuples: Slab<u32>,
    pub(super) live_origins: RoaringBitmap,
    /// What keys with each bound end with, by term; parsing the number again for each key would take longer than the rest of the key.
    bound_suffixes: HashMap<u32, Box<[u8]>>,
    pub(super) tenants: HashMap<Tenant, TenantState>,
}

impl State {
    pub(super) fn new(seed: u64, memory: PostingMemory) -> Self {
        Self {
            parity: 0,
            terms: Terms::new(seed),
            memory,
            slots: Vec::new(),
            series: 0,
            families: Vec::new(),
            family_ids: Ids::default(),
            family_table: HashTable::new(),
            origins: Vec::new(),
            origin_ids: Ids::default(),
            origin_table: HashTable::new(),
            tuples: Slab::default(),
            live_origins: RoaringBitmap::new(),
            bound_suffixes: HashMap::new(),
            tenants: HashMap::new(),
        }
    }

    /// Begins the next epoch, if the searches of the one before have ended.
    pub(super) fn advance(&mut self, searches: &Searches) {
        let other = 1 - self.parity;
        if searches.is_quiet(other) {
            let terms = &mut self.terms;
            for ids in [&mut terms.ids, &mut terms.name_ids, &mut self.family_ids, &mut self.origin_ids] {
                ids.release(other);
            }
            self.parity = other;
        }
    }

    /// All slots that were ever taken are below this.
    pub(super) fn slots_end(&self) -> u32 {
        (self.slots.len() * SLOTS_PER_PAGE) as u32
    }

    /// What stands in a slot, if it is taken.
    #[inline]
    pub(super) fn slot(&self, slot: u32) -> Option<Slot> {
        let page = self.slots.get(slot as usize / SLOTS_PER_PAGE)?;
        let found = page[slot as usize % SLOTS_PER_PAGE];
        (found.family != NONE).then_some(found)
    }

    pub(super) fn family(&self, family: u32) -> &Family {
        &self.families[family as usize]
    }

    pub(super) fn origin(&self, origin: u32) -> &Origin {
        &self.origins[origin as usize]
    }

    /// What keys with a bound end with; none if the bound was removed.
    pub(super) fn bound_suffix(&self, bound: u32) -> Option<&[u8]> {
        self.bound_suffixes.get(&bound).map(|suffix| &**suffix)
    }

    /// The terms of an origin by ascending name; none if it was removed.
    pub(super) fn tuple(&self, origin: u32) -> &[u32] {
        match &self.origins[origin as usize] {
            Origin { len: 0, .. } => &[],
            origin => self.tuples.get(origin.cell, origin.len as usize),
        }
    }

    pub(super) fn insert(&mut self, slot: u32, new: &NewSeries<'_>) {
        let family = self.find_or_add_family(new);
        let origin = self.find_or_add_origin(new);
        let bound = match new.parts.bound() {
            None => NONE,
            Some(text) => {
                let term = self.terms.find_or_add(BUCKET_BOUND, &text);
                if self.terms.add_use(term) == 1 {
                    let text = std::str::from_utf8(&text).expect("BUG: a bound is UTF-8");
                    self.bound_suffixes.insert(term, bound_suffix(text).into());
                }
                term
            }
        };
        let page = slot as usize / SLOTS_PER_PAGE;
        while self.slots.len() <= page {
            self.slots.push(vec![FREE; SLOTS_PER_PAGE].into());
        }
        let place = &mut self.slots[page][slot as usize % SLOTS_PER_PAGE];
        assert_eq!(place.family, NONE, "BUG: slot {slot} is taken");
        *place = Slot { family, origin, bound };
        self.families[family as usize].slots.insert(slot, &mut self.memory);
        self.origins[origin as usize].slots.insert(slot, &mut self.memory);
        self.tenants.entry(new.parts.tenant()).or_default().slots.insert(slot);
        self.series += 1;
    }

    fn find_or_add_family(&mut self, new: &NewSeries<'_>) -> u32 {
        let hash = new.family_hash;
        if let Some(family) = self.family_table.find(hash[0], |at| self.families[*at as usize].hash == hash) {
            return *family;
        }
        let id = self.family_ids.take();
        let (tenant, metric) = (new.parts.tenant(), new.parts.metric());
        let metric = if metric.is_empty() { NONE } else { self.terms.find_or_add(METRIC_NAME, &metric) };
        if metric != NONE {
            self.terms.add_family(metric, id, &mut self.memory);
        }
        put(&mut self.families, id, Family { hash, tenant, metric, slots: Posting::Empty });
        self.family_table.insert_unique(hash[0], id, |at| self.families[*at as usize].hash[0]);
        self.tenants.entry(tenant).or_default().families.insert(id);
        id
    }

    fn find_or_add_origin(&mut self, new: &NewSeries<'_>) -> u32 {
        let hash = new.origin_hash;
        if let Some(origin) = self.origin_table.find(hash[0], |at| self.origins[*at as usize].hash == hash) {
            return *origin;
        }
        let id = self.origin_ids.take();
        let mut tuple = Vec::with_capacity(16);
        for (name, value) in origin_labels(new.parts.origin) {
            let name = std::str::from_utf8(&name).expect("BUG: a label name is UTF-8");
            let term = self.terms.find_or_add(name, &value);
            self.terms.add_origin(term, id, &mut self.memory);
            tuple.push(term);
        }
        // An origin without labels has no tuple.
        let cell = if tuple.is_empty() { NONE } else { self.tuples.add(&tuple) };
        let origin = Origin { hash, cell, len: tuple.len() as u32, slots: Posting::Empty };
        put(&mut self.origins, id, origin);
        self.origin_table.insert_unique(hash[0], id, |at| self.origins[*at as usize].hash[0]);
        self.live_origins.insert(id);
        id
    }

    /// Frees a slot; nothing happens if it is free.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(Slot { family, origin, bound }) = self.slot(slot) else { return };
        self.slots[slot as usize / SLOTS_PER_PAGE][slot as usize % SLOTS_PER_PAGE] = FREE;
        self.series -= 1;
        if bound != NONE && self.terms.remove_use(bound, self.parity) == 0 {
            self.bound_suffixes.remove(&bound);
        }
        let slots = &mut self.origins[origin as usize].slots;
        slots.remove(slot, &mut self.memory);
        if slots.is_empty() {
            self.remove_origin(origin);
        }
        let Family { tenant, slots, .. } = &mut self.families[family as usize];
        slots.remove(slot, &mut self.memory);
        let (tenant, is_empty) = (*tenant, slots.is_empty());
        let tenant_state = self.tenants.get_mut(&tenant).expect("BUG: a series of an unknown tenant");
        tenant_state.slots.remove(slot);
        if tenant_state.slots.is_empty() {
            self.tenants.remove(&tenant);
        } else if is_empty {
            tenant_state.families.remove(family);
        }
        if is_empty {
            self.remove_family(family);
        }
    }

    fn remove_origin(&mut self, origin: u32) {
        let Origin { hash, cell, len, .. } = std::mem::take(&mut self.origins[origin as usize]);
        if len > 0 {
            let tuple = self.tuples.get(cell, len as usize);
            for term in tuple {
                self.terms.remove_origin(*term, origin, &mut self.memory, self.parity);
            }
            self.tuples.remove(cell, len as usize);
        }
        take_entry(&mut self.origin_table, hash[0], origin);
        self.live_origins.remove(origin);
        self.origin_ids.give_back(origin, self.parity);
    }

    fn remove_family(&mut self, family: u32) {
        let none = Family { metric: NONE, ..Family::default() };
        let Family { hash, metric, .. } = std::mem::replace(&mut self.families[family as usize], none);
        if metric != NONE {
            self.terms.remove_family(metric, family, &mut self.memory, self.parity);
        }
        take_entry(&mut self.family_table, hash[0], family);
        self.family_ids.give_back(family, self.parity);
    }

    /// Puts the canonical key of a slot in the place of `out`; false if the slot is free.
    pub(super) fn key(&self, slot: u32, out: &mut Vec<u8>) -> bool {
        let Some(Slot { family, origin, bound }) = self.slot(slot) else { return false };
        out.clear();
        let family = self.family(family);
        let metric = if family.metric == NONE { &[][..] } else { self.terms.text(family.metric) };
        put_family(out, family.tenant, metric);
        for term in self.tuple(origin) {
            out.extend_from_slice(&self.terms.name(self.terms.term(*term).name).key_text);
            put_text(out, self.terms.text(*term));
        }
        if bound != NONE {
            out.extend_from_slice(&self.bound_suffixes[&bound]);
        }
        true
    }

    pub(super) fn bytes(&self) -> usize {
        let tenants: usize = self
            .tenants
            .values()
            .map(|tenant| 64 + tenant.families.serialized_size() + tenant.slots.serialized_size())
            .sum();
        self.terms.bytes()
            + self.memory.bytes()
            + self.slots.len() * SLOTS_PER_PAGE * size_of::<Slot>()
            + self.families.capacity() * size_of::<Family>()
            + self.origins.capacity() * size_of::<Origin>()
            + (self.family_table.capacity() + self.origin_table.capacity()) * 5
            + self.tuples.bytes()
            + self.live_origins.serialized_size()
            + self.bound_suffixes.len() * 64
            + self.family_ids.bytes()
            + self.origin_ids.bytes()
            + tenants
    }
}

fn put<T>(items: &mut Vec<T>, id: u32, item: T) {
    match items.get_mut(id as usize) {
        Some(slot) => *slot = item,
        None => items.push(item),
    }
}

fn take_entry(table: &mut HashTable<u32>, hash: u64, id: u32) {
    match table.find_entry(hash, |have| *have == id) {
        Ok(entry) => drop(entry.remove()),
        Err(_) => panic!("BUG: {id} is not in its table"),
    }
}
