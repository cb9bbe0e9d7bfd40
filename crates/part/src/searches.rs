//! Remembered searches of all parts of a store, in bounded memory.
//!
//! 1. A part never changes, so what a selector means on it holds as long as the part lives.
//! 2. Results stand in two tables. New and used ones go into the young table; when it holds half of the memory it becomes the old one, and
//!    what was in the old one is gone. So what is used stays, what is not goes after at most two turns, and nothing is ever sorted.
//! 3. A result that would take more than a sixteenth of the memory is not remembered: it would push out too many others.

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

/// Part, tenant and fingerprint of the selector.
type Key = (u64, Tenant, u128);

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
    young: HashMap<Key, Arc<RoaringBitmap>>,
    young_bytes: usize,
    old: HashMap<Key, Arc<RoaringBitmap>>,
    old_bytes: usize,
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
            entries: turns.young.len() + turns.old.len(),
            bytes: turns.young_bytes + turns.old_bytes,
            requests: self.requests.load(Relaxed),
            misses: self.misses.load(Relaxed),
        }
    }

    pub(crate) fn get(&self, part: u64, tenant: Tenant, fingerprint: u128) -> Option<Arc<RoaringBitmap>> {
        let key = (part, tenant, fingerprint);
        self.requests.fetch_add(1, Relaxed);
        let mut turns = self.turns.lock();
        if let Some(found) = turns.young.get(&key) {
            return Some(Arc::clone(found));
        }
        let Some(found) = turns.old.remove(&key) else {
            self.misses.fetch_add(1, Relaxed);
            return None;
        };
        turns.old_bytes -= bytes(&found);
        self.put(&mut turns, key, Arc::clone(&found));
        Some(found)
    }

    pub(crate) fn remember(&self, part: u64, tenant: Tenant, fingerprint: u128, found: &Arc<RoaringBitmap>) {
        if bytes(found) <= self.bytes_max / RESULT_SHARE {
            self.put(&mut self.turns.lock(), (part, tenant, fingerprint), Arc::clone(found));
        }
    }

    fn put(&self, turns: &mut Turns, key: Key, found: Arc<RoaringBitmap>) {
        let more = bytes(&found);
        if turns.young_bytes + more > self.bytes_max / 2 {
            turns.old = mem::take(&mut turns.young);
            turns.old_bytes = mem::take(&mut turns.young_bytes);
        }
        if turns.young.insert(key, found).is_none() {
            turns.young_bytes += more;
        }
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
            let held: usize = turns.young.values().chain(turns.old.values()).map(|found| bytes(found)).sum();
            assert_eq!(turns.young_bytes + turns.old_bytes, held);
            assert!((turns.young.len() + turns.old.len()) * bytes(&found) <= 1 << 16);
        }
        assert!(searches.get(1, Tenant::DEFAULT, 7).is_none(), "never used, still there");
        assert!(searches.get(0, Tenant::DEFAULT, 8).is_none(), "another selector");
        assert!(searches.get(0, Tenant::new(1, 0), 7).is_none(), "another tenant");
        let stats = searches.stats();
        assert_eq!((stats.requests, stats.misses), (10_003, 3));
        assert!(stats.entries > 1 && stats.bytes <= 1 << 16, "{stats:?}");
    }

    #[test]
    fn a_huge_result_is_not_remembered() {
        let searches = Searches::new(1 << 12);
        searches.remember(1, Tenant::DEFAULT, 7, &Arc::new((0..10_000).step_by(2).collect()));
        assert!(searches.get(1, Tenant::DEFAULT, 7).is_none());
    }
}
