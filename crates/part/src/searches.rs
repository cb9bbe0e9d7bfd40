//! Remembered searches of all parts of a store, in bounded memory.
//!
//! 1. A part never changes, so what a selector means on it holds as long as the part lives.
//! 2. Results stand in two tables. New and used ones go into the young table; when it holds half of the memory it becomes the old one, and
//!    what was in the old one is gone. So what is used stays, what is not goes after at most two turns, and nothing is ever sorted.
//! 3. The results of a part go when the part does: it is not asked again, and in a store that merges all the time most of the memory would be held for nothing.
//! 4. A result that would take more than a sixteenth of the memory is not remembered: it would push out too many others.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use model::Tenant;
use parking_lot::Mutex;
use roaring::RoaringBitmap;

/// What a remembered result takes besides its postings.
const ENTRY_BYTES: usize = 128;
/// A result takes at most this share of the memory.
const RESULT_SHARE: usize = 16;

/// Tenant and fingerprint of the selector.
type Question = (Tenant, u128);

/// Results of searches, shared by parts with different numbers.
pub struct Searches {
    bytes_max: usize,
    turns: Mutex<Turns>,
    requests: AtomicU64,
    misses: AtomicU64,
}

/// What is remembered, and how often something was looked for since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchesStats {
    /// Results.
    pub entries: usize,
    /// Bytes that they take, and those of the turn before at most.
    pub bytes: usize,
    /// How often a result was looked for.
    pub requests: u64,
    /// How often it was not there.
    pub misses: u64,
}

#[derive(Default)]
struct Turns {
    young: Table,
    old: Table,
}

/// Results by part.
#[derive(Default)]
struct Table {
    parts: HashMap<u64, HashMap<Question, Arc<RoaringBitmap>>>,
    bytes: usize,
}

impl Table {
    fn entries(&self) -> usize {
        self.parts.values().map(HashMap::len).sum()
    }

    fn get(&self, part: u64, question: &Question) -> Option<&Arc<RoaringBitmap>> {
        self.parts.get(&part)?.get(question)
    }

    fn take(&mut self, part: u64, question: &Question) -> Option<Arc<RoaringBitmap>> {
        let found = self.parts.get_mut(&part)?.remove(question)?;
        self.bytes -= bytes(&found);
        Some(found)
    }

    fn put(&mut self, part: u64, question: Question, found: Arc<RoaringBitmap>) {
        let more = bytes(&found);
        if self.parts.entry(part).or_default().insert(question, found).is_none() {
            self.bytes += more;
        }
    }

    fn forget(&mut self, part: u64) {
        let results = self.parts.remove(&part).unwrap_or_default();
        self.bytes -= results.values().map(|found| bytes(found)).sum::<usize>();
    }
}

impl Searches {
    /// Remembers results up to so many bytes in all.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, turns: Mutex::default(), requests: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// What there is to say about it.
    pub fn stats(&self) -> SearchesStats {
        let turns = self.turns.lock();
        SearchesStats {
            entries: turns.young.entries() + turns.old.entries(),
            bytes: turns.young.bytes + turns.old.bytes,
            requests: self.requests.load(Relaxed),
            misses: self.misses.load(Relaxed),
        }
    }

    pub(crate) fn get(&self, part: u64, tenant: Tenant, fingerprint: u128) -> Option<Arc<RoaringBitmap>> {
        let question = (tenant, fingerprint);
        self.requests.fetch_add(1, Relaxed);
        let mut turns = self.turns.lock();
        if let Some(found) = turns.young.get(part, &question) {
            return Some(Arc::clone(found));
        }
        let Some(found) = turns.old.take(part, &question) else {
            self.misses.fetch_add(1, Relaxed);
            return None;
        };
        self.put(&mut turns, part, question, Arc::clone(&found));
        Some(found)
    }

    pub(crate) fn remember(&self, part: u64, tenant: Tenant, fingerprint: u128, found: &Arc<RoaringBitmap>) {
        if bytes(found) <= self.bytes_max / RESULT_SHARE {
            self.put(&mut self.turns.lock(), part, (tenant, fingerprint), Arc::clone(found));
        }
    }

    /// Forgets the results of a part that is gone.
    pub(crate) fn forget(&self, part: u64) {
        let mut turns = self.turns.lock();
        turns.young.forget(part);
        turns.old.forget(part);
    }

    fn put(&self, turns: &mut Turns, part: u64, question: Question, found: Arc<RoaringBitmap>) {
        if turns.young.bytes + bytes(&found) > self.bytes_max / 2 {
            turns.old = mem::take(&mut turns.young);
        }
        turns.young.put(part, question, found);
    }
}

fn bytes(found: &RoaringBitmap) -> usize {
    ENTRY_BYTES + found.serialized_size()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_memory_is_bounded() {
        let searches = Searches::new(1 << 16);
        let found = Arc::new(RoaringBitmap::from_iter(0..100));
        for i in 0..10_000 {
            searches.remember(i, Tenant::DEFAULT, 7, &found);
            assert!(searches.get(0, Tenant::DEFAULT, 7).is_some(), "used each time, gone after {i} others");
            let turns = searches.turns.lock();
            let tables = [&turns.young, &turns.old];
            let results = || tables.iter().flat_map(|table| table.parts.values()).flat_map(HashMap::values);
            let held: usize = results().map(|found| bytes(found)).sum();
            assert_eq!(tables.map(|table| table.bytes).iter().sum::<usize>(), held);
            assert_eq!(tables.map(Table::entries).iter().sum::<usize>(), results().count());
            assert!(results().count() * bytes(&found) <= 1 << 16);
        }
        assert!(searches.get(1, Tenant::DEFAULT, 7).is_none(), "never used, still there");
        assert!(searches.get(0, Tenant::DEFAULT, 8).is_none(), "another selector");
        assert!(searches.get(0, Tenant::new(1, 0), 7).is_none(), "another tenant");
        let stats = searches.stats();
        assert_eq!((stats.requests, stats.misses), (10_003, 3));
        assert!(stats.entries > 1 && stats.bytes <= 1 << 16, "{stats:?}");
    }

    #[test]
    fn nothing_is_left_of_a_part_that_is_gone() {
        let searches = Searches::new(1 << 12);
        let found = Arc::new(RoaringBitmap::from_iter(0..10));
        // Some of it in the young table, some in the old one.
        for fingerprint in 0..12 {
            searches.remember(1, Tenant::DEFAULT, fingerprint, &found);
            searches.remember(2, Tenant::DEFAULT, fingerprint, &found);
        }
        searches.forget(1);
        assert!((0..12).all(|fingerprint| searches.get(1, Tenant::DEFAULT, fingerprint).is_none()));
        assert!(searches.get(2, Tenant::DEFAULT, 11).is_some(), "another part's");
        searches.forget(2);
        let stats = searches.stats();
        assert_eq!((stats.entries, stats.bytes), (0, 0));
    }

    #[test]
    fn a_huge_result_is_not_remembered() {
        let searches = Searches::new(1 << 12);
        searches.remember(1, Tenant::DEFAULT, 7, &Arc::new((0..10_000).step_by(2).collect()));
        assert!(searches.get(1, Tenant::DEFAULT, 7).is_none());
    }
}
