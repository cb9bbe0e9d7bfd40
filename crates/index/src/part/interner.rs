//! Label pairs as numbers, in the order in which they are first seen.

use std::collections::HashMap;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Names and terms (pairs of name and value) of the index that is being built.
#[derive(Debug)]
pub(super) struct Interner {
    seed: u64,
    names: Vec<Box<[u8]>>,
    name_table: HashMap<Box<[u8]>, u32>,
    /// The values of all terms, one behind the other.
    text: Vec<u8>,
    /// Where the value of each term ends.
    ends: Vec<u64>,
    /// The name of each term.
    term_names: Vec<u32>,
    /// Terms with some bits of their hash.
    table: HashTable<(u32, u32)>,
}

impl Interner {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            names: Vec::new(),
            name_table: HashMap::new(),
            text: Vec::new(),
            ends: Vec::new(),
            term_names: Vec::new(),
            table: HashTable::new(),
        }
    }

    /// The number of a label name.
    pub(super) fn name(&mut self, text: &[u8]) -> u32 {
        if let Some(name) = self.name_table.get(text) {
            return *name;
        }
        let name = self.names.len() as u32;
        self.names.push(text.into());
        self.name_table.insert(text.into(), name);
        name
    }

    /// The number of a label pair.
    pub(super) fn term(&mut self, name: u32, value: &[u8]) -> u32 {
        // A table indexes by low bits and tells apart by high ones, so both must be good ones: the 32 are stretched to 64.
        let tag = (xxh3_64_with_seed(value, self.seed ^ u64::from(name)) >> 32) as u32;
        let spread = |tag: u32| u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let same =
            |(term, have): &(u32, u32)| *have == tag && self.name_of(*term) == name && self.value(*term) == value;
        if let Some((term, _)) = self.table.find(spread(tag), same) {
            return *term;
        }
        let term = u32::try_from(self.ends.len()).expect("BUG: more than 2^32 terms in a part");
        self.text.extend_from_slice(value);
        self.ends.push(self.text.len() as u64);
        self.term_names.push(name);
        self.table.insert_unique(spread(tag), (term, tag), |(_, tag)| spread(*tag));
        term
    }

    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    pub(super) fn terms(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn name_text(&self, name: u32) -> &[u8] {
        &self.names[name as usize]
    }

    pub(super) fn name_of(&self, term: u32) -> u32 {
        self.term_names[term as usize]
    }

    pub(super) fn value(&self, term: u32) -> &[u8] {
        let at = term as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.text[start..self.ends[at] as usize]
    }

    /// Gives the table away, which nobody needs any more.
    pub(super) fn freeze(&mut self) {
        self.table = HashTable::new();
    }

    pub(super) fn bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.len() * 2 + 64).sum();
        names
            + self.text.capacity()
            + self.ends.capacity() * 8
            + self.term_names.capacity() * 4
            + self.table.capacity() * 9
    }
}
