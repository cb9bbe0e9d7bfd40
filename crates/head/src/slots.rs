//! Slots: the numbers by which the head and the log name series while they are in memory.
//!
//! 1. A slot's word holds the epoch in which its series was last written, or says that the slot is freed. Both change in one atomic step, so that a
//!    writer who finds the series and an eviction that takes it away cannot both succeed: see [`Slots::enter`] and [`Slots::free`].
//! 2. Freed slots stay in quarantine until nobody can hold their number any more and the log allows it; then the smallest is given out first.

use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use model::{SeriesId, ValueKind};
use parking_lot::Mutex;

use crate::{SLOTS_MAX, chunked::Chunked, epochs::Epochs, prefetch::prefetch};

const CHUNK_BITS: u32 = 14;
/// In a slot's word: it belongs to no series.
const FREED: u32 = 1 << 31;

#[derive(Debug)]
pub(crate) struct Slots {
    words: Chunked<AtomicU32, CHUNK_BITS>,
    ids: Chunked<[AtomicU64; 2], CHUNK_BITS>,
    kinds: Chunked<AtomicU8, CHUNK_BITS>,
    /// Slots from here on were never used.
    fresh: AtomicU32,
    pool: Mutex<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    /// Free to be given out, the smallest last.
    free: Vec<u32>,
    /// Freed, with the epoch in which that was finished.
    quarantine: Vec<(u32, Vec<u32>)>,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self {
            words: Chunked::new(SLOTS_MAX),
            ids: Chunked::new(SLOTS_MAX),
            kinds: Chunked::new(SLOTS_MAX),
            fresh: AtomicU32::new(0),
            pool: Mutex::default(),
        }
    }

    /// Marks the series in the slot as written in this epoch, so that it is not evicted; false if the slot is freed.
    #[inline]
    pub(crate) fn enter(&self, slot: u32, epoch: u32) -> bool {
        match self.words.get(slot as usize) {
            Some(word) => word.load(Acquire) == epoch || mark(word, epoch),
            None => false,
        }
    }

    /// Whether the slot was ever given out.
    #[inline]
    pub(crate) fn is_given_out(&self, slot: u32) -> bool {
        slot < self.fresh.load(Acquire)
    }

    /// Asks for the memory of the slot's word.
    #[inline]
    pub(crate) fn prefetch(&self, slot: u32) {
        if let Some(word) = self.words.get(slot as usize) {
            prefetch(word);
        }
    }

    /// Takes a slot for a series. `None` when all are taken.
    pub(crate) fn take(&self, id: SeriesId, kind: ValueKind, epoch: u32) -> Option<u32> {
        let mut pool = self.pool.lock();
        let slot = match pool.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = self.fresh.load(Relaxed);
                if slot as usize >= SLOTS_MAX {
                    return None;
                }
                slot
            }
        };
        let [low, high] = self.ids.make(slot as usize);
        low.store(id.0 as u64, Relaxed);
        high.store((id.0 >> 64) as u64, Relaxed);
        self.kinds.make(slot as usize).store(kind as u8, Relaxed);
        self.words.make(slot as usize).store(epoch, Release);
        self.fresh.fetch_max(slot + 1, Release);
        Some(slot)
    }

    /// The id of the series in the slot, or of the one that was there last.
    pub(crate) fn id(&self, slot: u32) -> SeriesId {
        let [low, high] = self.ids.get(slot as usize).expect("BUG: a slot that was never given out");
        SeriesId(u128::from(high.load(Relaxed)) << 64 | u128::from(low.load(Relaxed)))
    }

    pub(crate) fn kind(&self, slot: u32) -> ValueKind {
        let number = self.kinds.get(slot as usize).expect("BUG: a slot that was never given out").load(Relaxed);
        ValueKind::from_number(number).expect("BUG: a value kind without a number")
    }

    /// The epoch in which the series in the slot was last written; `None` if the slot is freed.
    fn written(&self, slot: u32) -> Option<u32> {
        let word = self.words.get(slot as usize)?.load(Acquire);
        (word & FREED == 0).then_some(word)
    }

    pub(crate) fn is_freed(&self, slot: u32) -> bool {
        self.written(slot).is_none()
    }

    /// Slots whose series was not written in this epoch or later, ascending.
    pub(crate) fn idle_before(&self, epoch: u32) -> impl Iterator<Item = u32> + '_ {
        (0..self.fresh.load(Acquire)).filter(move |slot| self.written(*slot).is_some_and(|written| written < epoch))
    }

    /// Frees the slot unless its series was written in this epoch or later.
    pub(crate) fn free(&self, slot: u32, epoch: u32) -> bool {
        let word = self.words.get(slot as usize).expect("BUG: a slot that was never given out");
        let free = |word| (word & FREED == 0 && word < epoch).then_some(FREED);
        word.fetch_update(AcqRel, Acquire, free).is_ok()
    }

    /// Keeps freed slots until nobody can know their numbers any more.
    pub(crate) fn quarantine(&self, slots: Vec<u32>, epochs: &Epochs) {
        if !slots.is_empty() {
            self.pool.lock().quarantine.push((epochs.now(), slots));
        }
    }

    /// Lets slots out of quarantine: those that no guard can have seen and that `may_reuse`. Returns how many. Called by one thread at a time.
    ///
    /// New series wait for the pool, so it is only locked for what takes as long as going through a list: a million slots are sorted outside.
    pub(crate) fn release(&self, epochs: &Epochs, may_reuse: impl Fn(u32) -> bool) -> usize {
        // Guards that begin from now on cannot see these slots any more; the older ones are asked for.
        let oldest = epochs.oldest();
        let mut quarantine = std::mem::take(&mut self.pool.lock().quarantine);
        let mut released = Vec::new();
        for (_, slots) in quarantine.iter_mut().filter(|(freed, _)| *freed < oldest) {
            slots.retain(|slot| {
                let stays = !may_reuse(*slot);
                if !stays {
                    released.push(*slot);
                }
                stays
            });
        }
        quarantine.retain(|(_, slots)| !slots.is_empty());
        released.sort_unstable_by(|a, b| b.cmp(a));
        let mut pool = self.pool.lock();
        quarantine.append(&mut pool.quarantine);
        pool.quarantine = quarantine;
        // Two descending runs, which a stable sort finds and merges.
        pool.free.extend_from_slice(&released);
        pool.free.sort_by(|a, b| b.cmp(a));
        released.len()
    }

    /// How many slots hold a series or are in quarantine.
    pub(crate) fn taken(&self) -> usize {
        self.fresh.load(Acquire) as usize - self.pool.lock().free.len()
    }

    /// How many slots are in quarantine.
    pub(crate) fn in_quarantine(&self) -> usize {
        self.pool.lock().quarantine.iter().map(|(_, slots)| slots.len()).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        let pool = self.pool.lock();
        let numbers: usize = pool.quarantine.iter().map(|(_, slots)| slots.capacity()).sum();
        self.words.bytes() + self.ids.bytes() + self.kinds.bytes() + (pool.free.capacity() + numbers) * 4
    }
}

/// Raises the epoch in a slot's word; false if the slot is freed.
#[cold]
fn mark(word: &AtomicU32, epoch: u32) -> bool {
    let raise = |word| (word & FREED == 0).then_some(std::cmp::max(word, epoch));
    word.fetch_update(AcqRel, Acquire, raise).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: ValueKind = ValueKind::Float;

    #[test]
    fn a_freed_slot_waits_for_guards_and_for_the_log() {
        let (slots, epochs) = (Slots::new(), Epochs::new());
        let now = epochs.now();
        let [a, b] = [1, 2].map(|id| slots.take(SeriesId(id), KIND, now).expect("a slot"));
        assert!(slots.enter(b, now + 2));
        assert_eq!(slots.idle_before(now + 1).collect::<Vec<_>>(), [a]);
        let guard = epochs.guard();
        assert!(slots.free(a, now + 1) && !slots.free(a, now + 1) && !slots.free(b, now + 1));
        assert!(!slots.enter(a, now + 3) && slots.is_freed(a));
        slots.quarantine(vec![a], &epochs);
        epochs.advance();
        assert_eq!(slots.release(&epochs, |_| true), 0, "a guard may have seen it");
        drop(guard);
        assert_eq!(slots.release(&epochs, |_| false), 0, "the log may still name it");
        assert_eq!((slots.in_quarantine(), slots.taken()), (1, 2));
        assert_eq!(slots.release(&epochs, |_| true), 1);
        assert_eq!(slots.take(SeriesId(3), KIND, 9), Some(a));
        assert_eq!((slots.id(a), slots.kind(a)), (SeriesId(3), KIND));
        assert!(slots.enter(a, 9));
    }

    #[test]
    fn an_older_writer_does_not_turn_the_epoch_back() {
        let slots = Slots::new();
        let slot = slots.take(SeriesId(1), KIND, 5).expect("a slot");
        assert!(slots.enter(slot, 9) && slots.enter(slot, 6));
        assert!(!slots.free(slot, 9) && slots.free(slot, 10));
    }
}
