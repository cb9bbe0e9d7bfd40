//! From hash to entry number: an open-addressing table of cache lines.
//!
//! 1. A bucket is one cache line: 12 entry numbers, a tag byte of the hash for each, and how many entries that belong here had to go further.
//! 2. A full bucket spills into the next one; a search goes on only past buckets that say that something went further.
//! 3. The table is divided into [`SEGMENTS`] by hash, each of which grows alone, by a quarter: no growth moves more than a 256th of all, so
//!    nobody waits long for it, and the table is never much bigger than it must be.
//!
//! A search reads one line of the table and, but for one tag in twenty that fits by chance, one entry. It is taken in two steps with memory
//! asked for in between; see the module above.

use crate::prefetch::prefetch;

use super::hash::RowHash;

const SEGMENTS: usize = 256;
const BUCKET_ENTRIES: usize = 12;
/// A segment grows when more than this part (in eighths) of its places is taken.
const LOAD_MAX_EIGHTHS: usize = 6;
const BUCKETS_MIN: usize = 2;
/// A place without an entry. Tags are never this.
const NO_TAG: u8 = 0;

#[derive(Debug, Clone)]
#[repr(C, align(64))]
struct Bucket {
    numbers: [u32; BUCKET_ENTRIES],
    tags: [u8; BUCKET_ENTRIES],
    /// How many entries that belong into this bucket or passed it stand further on.
    spilled: u32,
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    const EMPTY: Self = Self { numbers: [0; BUCKET_ENTRIES], tags: [NO_TAG; BUCKET_ENTRIES], spilled: 0 };

    /// The places with this tag, as bits.
    #[inline]
    fn places(&self, tag: u8) -> u32 {
        let mut bits = 0;
        for (place, have) in self.tags.iter().enumerate() {
            bits |= u32::from(*have == tag) << place;
        }
        bits
    }
}

#[derive(Debug, Clone)]
struct Segment {
    buckets: Vec<Bucket>,
    entries: usize,
}

/// Entry numbers by hash.
#[derive(Debug)]
pub(super) struct Table {
    segments: Vec<Segment>,
}

/// Where a search begins.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Home {
    segment: usize,
    bucket: usize,
    tag: u8,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { segments: vec![Segment { buckets: vec![Bucket::EMPTY; BUCKETS_MIN], entries: 0 }; SEGMENTS] }
    }

    /// Where the search for a hash begins; asks for its memory.
    #[inline]
    pub(super) fn home(&self, hash: RowHash) -> Home {
        let home = self.locate(hash);
        prefetch(&self.segments[home.segment].buckets[home.bucket]);
        home
    }

    #[inline]
    fn locate(&self, hash: RowHash) -> Home {
        let [low, high] = hash.halves();
        let segment = (low >> 56) as usize;
        let buckets = self.segments[segment].buckets.len();
        Home { segment, bucket: place(high, buckets), tag: ((low >> 48) as u8).max(NO_TAG + 1) }
    }

    /// The entries that may be the wanted one, most likely the first.
    #[inline]
    pub(super) fn candidates(&self, home: Home) -> Candidates<'_> {
        let buckets = self.segments[home.segment].buckets.as_slice();
        let places = buckets[home.bucket].places(home.tag);
        Candidates { buckets, at: home.bucket, left: buckets.len() - 1, tag: home.tag, places }
    }

    /// Adds an entry that is not there. `hash_of` tells the hash of any entry.
    pub(super) fn insert(&mut self, hash: RowHash, number: u32, hash_of: impl Fn(u32) -> RowHash) {
        let number_of_segment = self.locate(hash).segment;
        let segment = &mut self.segments[number_of_segment];
        if (segment.entries + 1) * 8 > segment.buckets.len() * BUCKET_ENTRIES * LOAD_MAX_EIGHTHS {
            segment.grow(hash_of);
        }
        let home = self.locate(hash);
        self.segments[home.segment].put(home, number);
    }

    /// Takes an entry out; returns whether it was there.
    pub(super) fn remove(&mut self, hash: RowHash, number: u32) -> bool {
        let home = self.locate(hash);
        self.segments[home.segment].take(home, number)
    }

    pub(super) fn bytes(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| segment.buckets.capacity() * size_of::<Bucket>() + size_of::<Segment>())
            .sum()
    }
}

/// Spreads 64 bits over so many places.
#[inline]
fn place(bits: u64, places: usize) -> usize {
    ((u128::from(bits) * places as u128) >> 64) as usize
}

impl Segment {
    fn grow(&mut self, hash_of: impl Fn(u32) -> RowHash) {
        let count = self.buckets.len() + self.buckets.len().div_ceil(4);
        let old = std::mem::replace(&mut self.buckets, vec![Bucket::EMPTY; count]);
        self.entries = 0;
        let numbers = old.iter().flat_map(|bucket| bucket.numbers.iter().zip(&bucket.tags));
        for (number, tag) in numbers.filter(|(_, tag)| **tag != NO_TAG) {
            let [_, high] = hash_of(*number).halves();
            self.put(Home { segment: 0, bucket: place(high, count), tag: *tag }, *number);
        }
    }

    fn put(&mut self, home: Home, number: u32) {
        let mut at = home.bucket;
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(place) = bucket.tags.iter().position(|tag| *tag == NO_TAG) {
                (bucket.tags[place], bucket.numbers[place]) = (home.tag, number);
                self.entries += 1;
                return;
            }
            // Ends: the load limit leaves free places.
            bucket.spilled += 1;
            at = (at + 1) % self.buckets.len();
        }
    }

    fn take(&mut self, home: Home, number: u32) -> bool {
        let mut at = home.bucket;
        let mut passed = 0;
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(place) =
                (0..BUCKET_ENTRIES).find(|i| bucket.tags[*i] == home.tag && bucket.numbers[*i] == number)
            {
                bucket.tags[place] = NO_TAG;
                break;
            }
            if bucket.spilled == 0 || passed == self.buckets.len() {
                return false;
            }
            passed += 1;
            at = (at + 1) % self.buckets.len();
        }
        self.entries -= 1;
        for i in 0..passed {
            let bucket = (home.bucket + i) % self.buckets.len();
            self.buckets[bucket].spilled -= 1;
        }
        true
    }
}

/// The numbers of the entries whose tag fits.
#[derive(Debug)]
pub(super) struct Candidates<'a> {
    buckets: &'a [Bucket],
    at: usize,
    /// Buckets that have not been looked at.
    left: usize,
    tag: u8,
    places: u32,
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        while self.places == 0 {
            // Everything may have been passed once, so the way round is counted.
            if self.buckets[self.at].spilled == 0 || self.left == 0 {
                return None;
            }
            self.left -= 1;
            self.at = (self.at + 1) % self.buckets.len();
            self.places = self.buckets[self.at].places(self.tag);
        }
        let place = self.places.trailing_zeros() as usize;
        self.places &= self.places - 1;
        Some(self.buckets[self.at].numbers[place])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hashes that meet in few buckets and have few tags.
    fn crowded(number: u32) -> RowHash {
        let number = u128::from(number);
        RowHash((number % 5) << (64 + 60) | (number % 3) << 48 | number << 8 | 1)
    }

    proptest! {
        #[test]
        fn finds_what_is_there_and_nothing_else(steps in prop::collection::vec((any::<bool>(), 0..200_u32), 1..600)) {
            let mut table = Table::new();
            let mut there = std::collections::BTreeSet::new();
            for (add, number) in steps {
                if add && there.insert(number) {
                    table.insert(crowded(number), number, crowded);
                } else if !add {
                    prop_assert_eq!(table.remove(crowded(number), number), there.remove(&number));
                }
            }
            for number in 0..200 {
                let found = table.candidates(table.home(crowded(number))).filter(|found| *found == number).count();
                prop_assert_eq!(found, usize::from(there.contains(&number)));
            }
            let left: usize = table.segments.iter().map(|segment| segment.entries).sum();
            prop_assert_eq!(left, there.len());
        }
    }

    #[test]
    fn a_million_entries_take_little() {
        let hash =
            |number: u32| RowHash(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) | 1);
        let mut table = Table::new();
        (0..1_000_000).for_each(|number| table.insert(hash(number), number, hash));
        assert!((0..1_000_000).all(|number| table.candidates(table.home(hash(number))).any(|found| found == number)));
        assert!(table.bytes() < 10_000_000, "{} bytes", table.bytes());
    }
}
