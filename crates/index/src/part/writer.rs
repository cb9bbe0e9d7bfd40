//! Takes the keys of a part in ascending order and keeps of them what the index will need.
//!
//! 1. A key is taken apart into family, origin and bound ([`crate::key_parts`]).
//! 2. The origin is looked up by a keyed 128-bit hash. Most series find theirs: it came with another metric before.
//! 3. A new origin is parsed; its labels become numbers ([`super::interner`]), tried first against those of the origin before it.
//! 4. The series of a family are a list of (origin, bound). Families whose lists are equal share one, as all metrics of a container do.
//!
//! 5. Series of a source that has numbers for families, origins and bounds need no key once their numbers are known ([`KeyNumbers`]).
//!
//! What is left per series is its id and, where lists differ, a byte or two; so a million series are built in some tens of megabytes.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use model::{BUCKET_BOUND, METRIC_NAME, SeriesId, SeriesKey, Tenant};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::emit;
use super::interner::Interner;
use super::layout::ID_BYTES;
use crate::key_numbers::{KeyNumbers, KnownNumbers};
use crate::key_parts::{KeyParts, origin_labels};
use crate::varint;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexSummary {
    /// Bytes given out.
    pub bytes: u64,
    /// Series in the index.
    pub series: u32,
    /// Distinct sets of labels without metric name and `le`.
    pub origins: u32,
    /// Distinct label pairs.
    pub terms: u32,
}

/// Makes the index of a part.
#[derive(Debug)]
pub struct IndexWriter {
    pub(super) ids: Vec<u8>,
    pub(super) interner: Interner,
    pub(super) metric_name: u32,
    pub(super) bound_name: u32,
    pub(super) origins: Origins,
    pub(super) families: Vec<Family>,
    pub(super) lists: Lists,
    list: OpenList,
    /// By source.
    known: Vec<KnownNumbers>,
    /// Where the series that was added last was put.
    placed: Option<KeyNumbers>,
    /// The last key that was seen, not always that of the last series.
    last_key: Vec<u8>,
    last_family_len: usize,
    last_origin_end: usize,
    last_origin: u32,
    last_bound: (Vec<u8>, u32),
}

/// The series of one metric of one tenant.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) tenant: Tenant,
    /// The term of the metric name.
    pub(super) metric: Option<u32>,
    pub(super) first_series: u32,
    pub(super) list: u32,
}

impl Default for IndexWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl IndexWriter {
    /// A writer of no series yet.
    pub fn new() -> Self {
        let seed = RandomState::new().hash_one("origins");
        let mut interner = Interner::new(seed);
        let metric_name = interner.name(METRIC_NAME.as_bytes());
        let bound_name = interner.name(BUCKET_BOUND.as_bytes());
        Self {
            ids: Vec::new(),
            interner,
            metric_name,
            bound_name,
            origins: Origins { seed, ..Origins::default() },
            families: Vec::new(),
            lists: Lists { seed, ..Lists::default() },
            list: OpenList::default(),
            known: Vec::new(),
            placed: None,
            last_key: Vec::new(),
            last_family_len: 0,
            last_origin_end: 0,
            last_origin: 0,
            last_bound: (Vec::new(), 0),
        }
    }

    /// Adds the next series: number 0, 1, 2, …, in ascending order of keys.
    pub fn add(&mut self, key: &SeriesKey) {
        self.add_with_id(key, SeriesId::of(key));
    }

    /// Adds the next series if it is clear without its key where it belongs: numbers with all its pieces came from this source with a key before,
    /// and the last key was of its family. Says where it was put, in numbers of this index.
    #[inline]
    pub fn add_numbered(&mut self, source: usize, numbers: KeyNumbers, id: SeriesId) -> Option<KeyNumbers> {
        let placed = self.known.get(source)?.get(numbers)?;
        if placed.family as usize + 1 != self.families.len() {
            return None;
        }
        assert!(self.placed != Some(placed), "BUG: a series comes twice");
        self.put(placed, id);
        Some(placed)
    }

    /// As [`IndexWriter::add_with_id`], for a series that has these numbers in a source; what they mean is known from now on.
    pub fn add_and_learn(&mut self, source: usize, numbers: KeyNumbers, key: &SeriesKey, id: SeriesId) -> KeyNumbers {
        let placed = self.add_with_id(key, id);
        while self.known.len() <= source {
            self.known.push(KnownNumbers::default());
        }
        self.known[source].learn(numbers, placed);
        placed
    }

    /// As [`IndexWriter::add`] for a key whose id is known, which saves hashing the key. Says where it was put, in numbers of this index.
    pub fn add_with_id(&mut self, key: &SeriesKey, id: SeriesId) -> KeyNumbers {
        let bytes = key.as_bytes();
        assert!(bytes > self.last_key.as_slice(), "BUG: keys must ascend: {key:?}");
        let parts = KeyParts::of(key);
        let new_family = self.last_key.get(..self.last_family_len) != Some(parts.family) || self.families.is_empty();
        if new_family {
            self.begin_family(&parts);
        }
        if self.last_key.get(self.last_family_len..self.last_origin_end) != Some(parts.origin) || new_family {
            self.last_origin = self.origins.find_or_add(parts.origin, &mut self.interner);
        }
        let bound = parts.bound().map(|text| self.bound(&text));
        self.last_key.clear();
        self.last_key.extend_from_slice(bytes);
        self.last_family_len = parts.family.len();
        self.last_origin_end = parts.family.len() + parts.origin.len();
        let placed = KeyNumbers { family: self.families.len() as u32 - 1, origin: self.last_origin, bound };
        self.put(placed, id);
        placed
    }

    #[inline]
    fn put(&mut self, placed: KeyNumbers, id: SeriesId) {
        assert!(self.series() < u32::MAX, "BUG: more series than numbers");
        self.list.push(placed.origin, placed.bound);
        self.ids.extend_from_slice(&id.0.to_le_bytes());
        self.placed = Some(placed);
    }

    fn begin_family(&mut self, parts: &KeyParts<'_>) {
        self.end_family();
        let metric = parts.metric();
        let metric = (!metric.is_empty()).then(|| self.interner.term(self.metric_name, &metric));
        let first_series = self.series();
        self.families.push(Family { tenant: parts.tenant(), metric, first_series, list: 0 });
    }

    fn end_family(&mut self) {
        if let Some(family) = self.families.last_mut() {
            family.list = self.lists.find_or_add(&mut self.list);
        }
    }

    fn bound(&mut self, text: &[u8]) -> u32 {
        if self.last_bound.0 != text {
            self.last_bound.1 = self.interner.term(self.bound_name, text);
            self.last_bound.0.clear();
            self.last_bound.0.extend_from_slice(text);
        }
        self.last_bound.1
    }

    /// How many series were added.
    pub fn series(&self) -> u32 {
        (self.ids.len() / ID_BYTES) as u32
    }

    /// Bytes of memory in use.
    pub fn bytes(&self) -> usize {
        self.ids.capacity()
            + self.interner.bytes()
            + self.origins.bytes()
            + self.families.capacity() * size_of::<Family>()
            + self.lists.bytes()
            + self.list.bytes.capacity()
            + self.known.iter().map(KnownNumbers::bytes).sum::<usize>()
    }

    /// Gives out the index piece by piece.
    pub fn finish(
        mut self,
        out: &mut dyn FnMut(&[u8]) -> Result<(), disk::Error>,
    ) -> Result<IndexSummary, disk::Error> {
        self.end_family();
        emit::emit(self, out)
    }
}

/// The distinct origins, as tuples of terms.
#[derive(Debug, Default)]
pub(super) struct Origins {
    seed: u64,
    hashes: Vec<u128>,
    table: HashTable<u32>,
    terms: Vec<u32>,
    ends: Vec<u32>,
}

impl Origins {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The terms of an origin by ascending name.
    pub(super) fn terms(&self, origin: u32) -> &[u32] {
        let at = origin as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.terms[start..self.ends[at] as usize]
    }

    /// Gives the table away, which nobody needs any more, and puts other numbers in the place of terms.
    pub(super) fn renumber(&mut self, number_of_term: &[u32]) {
        self.table = HashTable::new();
        self.hashes = Vec::new();
        self.terms.iter_mut().for_each(|term| *term = number_of_term[*term as usize]);
    }

    fn find_or_add(&mut self, origin: &[u8], interner: &mut Interner) -> u32 {
        let hash = xxh3_128_with_seed(origin, self.seed);
        let hashes = &self.hashes;
        if let Some(found) = self.table.find(hash as u64, |at| hashes[*at as usize] == hash) {
            return *found;
        }
        let new = u32::try_from(self.ends.len()).expect("BUG: more origins than series");
        self.hashes.push(hash);
        let hashes = &self.hashes;
        self.table.insert_unique(hash as u64, new, |at| hashes[*at as usize] as u64);
        let start = self.terms.len();
        let mut hint = if new == 0 { start } else { start - self.terms(new - 1).len() };
        for (name, value) in origin_labels(origin) {
            // The origin before usually has the same names, and often the same values.
            while hint < start && interner.name_text(interner.name_of(self.terms[hint])) < &*name {
                hint += 1;
            }
            let before = (hint < start).then(|| self.terms[hint]);
            let term = match before.filter(|term| interner.name_text(interner.name_of(*term)) == &*name) {
                Some(term) if interner.value(term) == &*value => term,
                Some(term) => interner.term(interner.name_of(term), &value),
                None => {
                    let name = interner.name(&name);
                    interner.term(name, &value)
                }
            };
            self.terms.push(term);
        }
        self.ends.push(u32::try_from(self.terms.len()).expect("BUG: more than 2^32 labels in a part"));
        new
    }

    fn bytes(&self) -> usize {
        let table = self.table.capacity() * (size_of::<u32>() + 1);
        table + self.hashes.capacity() * size_of::<u128>() + (self.terms.capacity() + self.ends.capacity()) * 4
    }
}

/// The list of the family that is being added.
#[derive(Debug, Default)]
struct OpenList {
    /// Per entry: the distance from the entry before and whether a bound follows, then the bound.
    bytes: Vec<u8>,
    last_origin: u32,
    len: u32,
}

impl OpenList {
    #[inline]
    fn push(&mut self, origin: u32, bound: Option<u32>) {
        let step = varint::zigzag(i64::from(origin) - i64::from(self.last_origin));
        varint::put(&mut self.bytes, step << 1 | u64::from(bound.is_some()));
        if let Some(bound) = bound {
            varint::put(&mut self.bytes, u64::from(bound));
        }
        self.last_origin = origin;
        self.len += 1;
    }
}

/// The distinct lists of (origin, bound).
#[derive(Debug, Default)]
pub(super) struct Lists {
    seed: u64,
    bytes: Vec<u8>,
    /// Where each ends in `bytes`, and how many entries it has.
    ends: Vec<(u64, u32)>,
    table: HashTable<(u32, u64)>,
}

impl Lists {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn span(&self, list: u32) -> &[u8] {
        let at = list as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1].0 as usize };
        &self.bytes[start..self.ends[at].0 as usize]
    }

    /// The entries of a list: origins and the terms of bounds, in key order.
    pub(super) fn entries(&self, list: u32) -> impl Iterator<Item = (u32, Option<u32>)> + '_ {
        let mut reader = varint::Reader::new(self.span(list));
        let mut origin = 0i64;
        std::iter::from_fn(move || {
            let head = reader.number()?;
            origin += varint::unzigzag(head >> 1);
            let bound = if head & 1 == 1 { reader.number_u32() } else { None };
            Some((origin as u32, bound))
        })
    }

    /// Closes the open list; it is empty afterwards.
    fn find_or_add(&mut self, open: &mut OpenList) -> u32 {
        let hash = xxh3_64_with_seed(&open.bytes, self.seed);
        let same = |(list, have): &(u32, u64)| *have == hash && self.span(*list) == open.bytes;
        let list = match self.table.find(hash, same) {
            Some((list, _)) => *list,
            None => {
                let list = self.ends.len() as u32;
                self.bytes.extend_from_slice(&open.bytes);
                self.ends.push((self.bytes.len() as u64, open.len));
                self.table.insert_unique(hash, (list, hash), |(_, hash)| *hash);
                list
            }
        };
        open.bytes.clear();
        open.last_origin = 0;
        open.len = 0;
        list
    }

    fn bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 16 + self.table.capacity() * 17
    }
}
