//! The numbers by which one storage node knows the series of the head.
//!
//! They stand by slot of the head, in chunks that are made when a slot in them is first learned. A number may be out of date at any time: the node notices,
//! and it is learned anew.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use head::SLOTS_MAX;
use storage_api::NO_NUMBER;

const CHUNK_SLOTS: usize = 1 << 14;
const CHUNKS: usize = SLOTS_MAX / CHUNK_SLOTS;

type Chunk = Box<[AtomicU32]>;

/// See the module.
#[derive(Debug)]
pub struct Numbers(Box<[OnceLock<Chunk>]>);

impl Default for Numbers {
    fn default() -> Self {
        Self((0..CHUNKS).map(|_| OnceLock::new()).collect())
    }
}

impl Numbers {
    /// The node's number for the series in a slot, if it is known.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<u32> {
        let chunk = self.0.get(slot as usize / CHUNK_SLOTS)?.get()?;
        let number = chunk[slot as usize % CHUNK_SLOTS].load(Relaxed);
        (number != NO_NUMBER).then_some(number)
    }

    /// Notes the node's number; [`NO_NUMBER`] forgets it.
    pub fn set(&self, slot: u32, number: u32) {
        let chunk = &self.0[slot as usize / CHUNK_SLOTS];
        if number == NO_NUMBER && chunk.get().is_none() {
            return;
        }
        let chunk = chunk.get_or_init(|| (0..CHUNK_SLOTS).map(|_| AtomicU32::new(NO_NUMBER)).collect());
        chunk[slot as usize % CHUNK_SLOTS].store(number, Relaxed);
    }

    /// Forgets the numbers of slots that were freed.
    pub fn forget(&self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.set(*slot, NO_NUMBER));
    }

    /// Memory taken.
    pub fn bytes(&self) -> usize {
        self.0.iter().filter(|chunk| chunk.get().is_some()).count() * CHUNK_SLOTS * size_of::<AtomicU32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_learned_and_forgotten() {
        let numbers = Numbers::default();
        assert_eq!((numbers.get(7), numbers.bytes()), (None, 0));
        numbers.forget(&[7]);
        assert_eq!(numbers.bytes(), 0);
        numbers.set(7, 0);
        numbers.set(SLOTS_MAX as u32 - 1, 9);
        assert_eq!(
            [7, 8, SLOTS_MAX as u32 - 1, u32::MAX].map(|slot| numbers.get(slot)),
            [Some(0), None, Some(9), None]
        );
        numbers.forget(&[7]);
        assert_eq!(numbers.get(7), None);
    }
}
