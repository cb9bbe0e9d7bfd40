//! The entries: one for each encoding that is remembered, in the order in which they were first seen.
//!
//! An entry is 24 bytes: the hash, what it means, and a link: the number of the entry that followed last time together with a mark of when the
//! entry was last used. The link changes under a read lock, in one atomic word. Entries stand in chunks that never move.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::{hash::RowHash, meaning::Meaning};
use crate::prefetch::prefetch;

const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;
const NUMBER_BITS: u32 = 27;
/// No entry; also the highest number that a link can hold.
pub(super) const NO_ENTRY: u32 = (1 << NUMBER_BITS) - 1;
/// So many entries can be numbered.
pub(super) const ENTRIES_MAX: usize = NO_ENTRY as usize;
/// Ages are told apart up to here.
pub(super) const AGES: u32 = 1 << (u32::BITS - NUMBER_BITS);

/// What is remembered of one encoding.
#[derive(Debug)]
pub(super) struct Entry {
    hash: [u64; 2],
    meaning: Meaning,
    link: AtomicU32,
}

impl Entry {
    /// What the entry means, if it is that of `hash`.
    #[inline]
    pub(super) fn meaning_of(&self, hash: RowHash) -> Option<Meaning> {
        (self.hash == hash.halves()).then_some(self.meaning)
    }

    pub(super) fn hash(&self) -> RowHash {
        RowHash(u128::from(self.hash[1]) << 64 | u128::from(self.hash[0]))
    }

    pub(super) fn meaning(&self) -> Meaning {
        self.meaning
    }

    pub(super) fn is_free(&self) -> bool {
        self.meaning == Meaning::NOTHING
    }

    /// The entry that followed last time, or [`NO_ENTRY`].
    #[inline]
    pub(super) fn next(&self) -> u32 {
        self.link.load(Relaxed) & NO_ENTRY
    }

    /// Marks the entry as used. Threads may overwrite one another's word: what is lost is a guess, or a mark of the same age.
    #[inline]
    pub(super) fn touch(&self, age: u32) {
        let link = self.link.load(Relaxed);
        if link >> NUMBER_BITS != age {
            self.link.store(link & NO_ENTRY | age << NUMBER_BITS, Relaxed);
        }
    }

    /// Notes which entry followed.
    #[inline]
    pub(super) fn set_next(&self, next: u32) {
        let link = self.link.load(Relaxed);
        if link & NO_ENTRY != next {
            self.link.store(link & !NO_ENTRY | next, Relaxed);
        }
    }

    /// How many ages ago the entry was used, as far as that can be told.
    pub(super) fn idle(&self, age: u32) -> u32 {
        age.wrapping_sub(self.link.load(Relaxed) >> NUMBER_BITS) % AGES
    }
}

/// All entries by number.
#[derive(Debug, Default)]
pub(super) struct Entries {
    chunks: Vec<Box<[Entry]>>,
    len: usize,
    /// Numbers that can be used again, the smallest last.
    free: Vec<u32>,
}

impl Entries {
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Entry> {
        let chunk = self.chunks.get(number as usize >> CHUNK_BITS)?;
        Some(&chunk[number as usize & (CHUNK - 1)])
    }

    /// Asks for the memory of an entry.
    #[inline]
    pub(super) fn prefetch(&self, number: u32) {
        if let Some(entry) = self.get(number) {
            // One in four reaches into a second cache line.
            prefetch(entry);
            prefetch(&entry.link);
        }
    }

    #[inline]
    fn get_mut(&mut self, number: u32) -> &mut Entry {
        &mut self.chunks[number as usize >> CHUNK_BITS][number as usize & (CHUNK - 1)]
    }

    /// Numbers that are or were in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Entries in use.
    pub(super) fn used(&self) -> usize {
        self.len - self.free.len()
    }

    /// Adds an entry and returns its number.
    pub(super) fn add(&mut self, hash: RowHash, meaning: Meaning, age: u32) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| self.grow());
        let link = AtomicU32::new(NO_ENTRY | age << NUMBER_BITS);
        *self.get_mut(number) = Entry { hash: hash.halves(), meaning, link };
        number
    }

    fn grow(&mut self) -> u32 {
        assert!(self.len < ENTRIES_MAX, "BUG: too many encodings");
        if self.len.is_multiple_of(CHUNK) {
            let unused = || Entry { hash: [0; 2], meaning: Meaning::NOTHING, link: AtomicU32::new(NO_ENTRY) };
            self.chunks.push((0..CHUNK).map(|_| unused()).collect());
        }
        self.len += 1;
        self.len as u32 - 1
    }

    /// Gives an entry another meaning, and marks it as used.
    pub(super) fn renew(&mut self, number: u32, meaning: Meaning, age: u32) {
        let entry = self.get_mut(number);
        entry.meaning = meaning;
        entry.touch(age);
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, number: u32) {
        let entry = self.get_mut(number);
        debug_assert!(!entry.is_free(), "BUG: an entry is forgotten twice");
        // No row hashes to zero, so nobody who follows an old link takes it for his own.
        *entry = Entry { hash: [0; 2], meaning: Meaning::NOTHING, link: AtomicU32::new(NO_ENTRY) };
        self.free.push(number);
    }

    /// Brings free numbers into an order in which neighbours are given out together.
    pub(super) fn sort_free(&mut self) {
        // What was freed last ascends and stands behind what was in order: a stable sort finds both and merges them in a few milliseconds.
        self.free.sort_by(|a, b| b.cmp(a));
    }

    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Entry>() + self.free.capacity() * 4
    }
}

const _: () = assert!(size_of::<Entry>() == 24);
