//! The label names and values of the head, each once.
//!
//! 1. A term is a pair of name and value; its text lies in a slab, its number is found by a hash of both.
//! 2. A term leads to its members: origins for most labels, families for the metric name. The bounds of buckets only count their series.
//! 3. A term without members is removed, a name without terms too; what churns leaves nothing behind.

use hashbrown::{HashMap, HashTable};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::ids::Ids;
use super::posting::{Posting, PostingMemory};
use super::slab::Slab;
use super::sorted::Sorted;
use crate::key_parts::put_text;

#[derive(Debug)]
pub(super) struct Term {
    cell: u32,
    len: u32,
    pub(super) name: u32,
    hash: u32,
    /// Its members; for bounds only their count stands in `uses`.
    pub(super) members: Posting,
    uses: u32,
}

#[derive(Debug, Default)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    /// As it stands in keys, with its closing zero.
    pub(super) key_text: Box<[u8]>,
    pub(super) sorted: Sorted,
    /// The origins that have any value of it.
    pub(super) present: RoaringBitmap,
}

#[derive(Debug)]
pub(super) struct Terms {
    seed: u64,
    pub(super) ids: Ids,
    pub(super) name_ids: Ids,
    terms: Vec<Term>,
    names: Vec<Name>,
    name_table: HashMap<Box<str>, u32>,
    table: HashTable<u32>,
    text: Slab<u8>,
}

/// The text of a term. A function of two fields, so that others can be changed while it is in use.
fn text_of<'a>(terms: &[Term], text: &'a Slab<u8>, term: u32) -> &'a [u8] {
    let term = &terms[term as usize];
    text.get(term.cell, term.len as usize)
}

fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Terms {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            ids: Ids::default(),
            name_ids: Ids::default(),
            terms: Vec::new(),
            names: Vec::new(),
            name_table: HashMap::new(),
            table: HashTable::new(),
            text: Slab::default(),
        }
    }

    pub(super) fn find_name(&self, text: &str) -> Option<u32> {
        self.name_table.get(text).copied()
    }

    /// A name that is in use.
    pub(super) fn name(&self, name: u32) -> &Name {
        &self.names[name as usize]
    }

    /// All names with their numbers, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, u32)> {
        self.name_table.iter().map(|(text, name)| (&**text, *name))
    }

    /// Whether this number means a term, and one of this name: it may have been removed since the caller learnt of it.
    pub(super) fn is_live(&self, term: u32) -> bool {
        self.terms.get(term as usize).is_some_and(|term| term.len > 0)
    }

    pub(super) fn term(&self, term: u32) -> &Term {
        &self.terms[term as usize]
    }

    #[inline]
    pub(super) fn text(&self, term: u32) -> &[u8] {
        text_of(&self.terms, &self.text, term)
    }

    /// The terms of a name from the first on whose value is not less than `value`, in order, with their values.
    pub(super) fn from<'s>(&'s self, name: u32, value: &[u8]) -> impl Iterator<Item = (u32, &'s [u8])> + use<'s> {
        let sorted = &self.names[name as usize].sorted;
        sorted.from(sorted.seek(value))
    }

    fn hash(&self, name: u32, value: &[u8]) -> u32 {
        (xxh3_64_with_seed(value, self.seed ^ u64::from(name)) >> 32) as u32
    }

    pub(super) fn find(&self, name: u32, value: &[u8]) -> Option<u32> {
        let hash = self.hash(name, value);
        self.find_hashed(name, value, hash)
    }

    fn find_hashed(&self, name: u32, value: &[u8], hash: u32) -> Option<u32> {
        let same = |term: &u32| {
            let have = &self.terms[*term as usize];
            have.hash == hash && have.name == name && text_of(&self.terms, &self.text, *term) == value
        };
        self.table.find(spread(hash), same).copied()
    }

    /// The term of a name and a value that is not empty.
    pub(super) fn find_or_add(&mut self, name: &str, value: &[u8]) -> u32 {
        let name = self.find_name(name).unwrap_or_else(|| self.add_name(name));
        let hash = self.hash(name, value);
        self.find_hashed(name, value, hash).unwrap_or_else(|| self.add(name, value, hash))
    }

    fn add_name(&mut self, text: &str) -> u32 {
        let name = self.name_ids.take();
        if self.names.len() <= name as usize {
            self.names.push(Name::default());
        }
        let mut key_text = Vec::with_capacity(text.len() + 1);
        put_text(&mut key_text, text.as_bytes());
        self.names[name as usize] = Name {
            text: text.into(),
            key_text: key_text.into(),
            sorted: Sorted::default(),
            present: RoaringBitmap::new(),
        };
        self.name_table.insert(text.into(), name);
        name
    }

    fn add(&mut self, name: u32, value: &[u8], hash: u32) -> u32 {
        assert!(!value.is_empty(), "BUG: an empty value is no label");
        let id = self.ids.take();
        let cell = self.text.add(value);
        let term = Term { cell, len: value.len() as u32, name, hash, members: Posting::Empty, uses: 0 };
        match self.terms.get_mut(id as usize) {
            Some(slot) => *slot = term,
            None => self.terms.push(term),
        }
        let Self { terms, table, names, .. } = self;
        table.insert_unique(spread(hash), id, |term| spread(terms[*term as usize].hash));
        names[name as usize].sorted.insert(id, value);
        id
    }

    /// Adds an origin to a term.
    pub(super) fn add_origin(&mut self, term: u32, origin: u32, memory: &mut PostingMemory) {
        let term = &mut self.terms[term as usize];
        term.members.insert(origin, memory);
        self.names[term.name as usize].present.insert(origin);
    }

    /// Takes an origin from a term, which may vanish with it.
    pub(super) fn remove_origin(&mut self, term: u32, origin: u32, memory: &mut PostingMemory, parity: usize) {
        let have = &mut self.terms[term as usize];
        have.members.remove(origin, memory);
        self.names[have.name as usize].present.remove(origin);
        if have.members.is_empty() {
            self.remove(term, parity);
        }
    }

    /// Adds a family to the term of a metric name.
    pub(super) fn add_family(&mut self, term: u32, family: u32, memory: &mut PostingMemory) {
        self.terms[term as usize].members.insert(family, memory);
    }

    /// Takes a family from the term of a metric name, which may vanish with it.
    pub(super) fn remove_family(&mut self, term: u32, family: u32, memory: &mut PostingMemory, parity: usize) {
        let have = &mut self.terms[term as usize];
        have.members.remove(family, memory);
        if have.members.is_empty() {
            self.remove(term, parity);
        }
    }

    /// Counts a series with this bound; how many there are now.
    pub(super) fn add_use(&mut self, term: u32) -> u32 {
        let uses = &mut self.terms[term as usize].uses;
        *uses += 1;
        *uses
    }

    /// Counts a series with this bound no more; how many there are now.
    pub(super) fn remove_use(&mut self, term: u32, parity: usize) -> u32 {
        let uses = &mut self.terms[term as usize].uses;
        *uses -= 1;
        let left = *uses;
        if left == 0 {
            self.remove(term, parity);
        }
        left
    }

    fn remove(&mut self, id: u32, parity: usize) {
        let Self { terms, text, table, names, .. } = self;
        let Term { cell, len, name, hash, .. } = terms[id as usize];
        let sorted = &mut names[name as usize].sorted;
        sorted.remove(id, text_of(terms, text, id));
        let is_last = sorted.len() == 0;
        match table.find_entry(spread(hash), |term| *term == id) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => panic!("BUG: a term is not in its table"),
        }
        text.remove(cell, len as usize);
        terms[id as usize].len = 0;
        self.ids.give_back(id, parity);
        if is_last {
            let Name { text, .. } = std::mem::take(&mut names[name as usize]);
            self.name_table.remove(&text);
            self.name_ids.give_back(name, parity);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let names: usize = self
            .names
            .iter()
            .map(|name| 2 * name.text.len() + 160 + name.sorted.bytes() + name.present.serialized_size())
            .sum();
        names
            + self.terms.capacity() * size_of::<Term>()
            + self.table.capacity() * 5
            + self.text.bytes()
            + self.ids.bytes()
            + self.name_ids.bytes()
    }
}
