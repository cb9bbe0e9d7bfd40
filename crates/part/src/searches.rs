//! Remembered searches of all parts of a store, in bounded memory.
//!
//! 1. A part never changes, so what a selector means on it holds as long as the part lives.
//! 2. Results stand in two tables. New and used ones go into the young table; when it holds half of the memory it becomes the old one, and
//!    what was in the old one is gone. So what is used stays, what is not goes after at most two turns, and nothing is ever sorted.
//! 3. A result that would take more than a sixteenth of the memory is not remembered: it would push out too many others.

use std::{collections::HashMap, mem, sync::Arc};

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
}

#[derive(Default)]
struct Turns {
    young: HashMap<Key, Arc<RoaringBitmap>>,
    young_bytes: usize,
    old: HashMap<Key, Arc<RoaringBitmap>>,
}

impl Searches {
    /// Remembers results up to so many bytes in all.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, turns: Mutex::default() }
    }

    pub(crate) fn get(&self, part: u64, tenant: Tenant, fingerprint: u128) -> Option<Arc<RoaringBitmap>> {
        let key = (part, tenant, fingerprint);
        let mut turns = self.turns.lock();
        if let Some(found) = turns.young.get(&key) {
            return Some(Arc::clone(found));
        }
        let found = turns.old.remove(&key)?;
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
            turns.young_bytes = 0;
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
            assert!((turns.young.len() + turns.old.len()) * bytes(&found) <= 1 << 16);
        }
        assert!(searches.get(1, Tenant::DEFAULT, 7).is_none(), "never used, still there");
        assert!(searches.get(0, Tenant::DEFAULT, 8).is_none(), "another selector");
        assert!(searches.get(0, Tenant::new(1, 0), 7).is_none(), "another tenant");
    }

    #[test]
    fn a_huge_result_is_not_remembered() {
        let searches = Searches::new(1 << 12);
        searches.remember(1, Tenant::DEFAULT, 7, &Arc::new((0..10_000).step_by(2).collect()));
        assert!(searches.get(1, Tenant::DEFAULT, 7).is_none());
    }
}
