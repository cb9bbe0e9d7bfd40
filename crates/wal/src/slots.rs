//! Which slots the active segment defines, and with which base values.
//!
//! 1. Per slot stand the segment that defined it last, as its generation (a count of the segments of this process),
//!    and the base value there. Twelve bytes a slot, in chunks that are made when a slot in them is first defined.
//! 2. Writers hold the segment's buffer lock and store the base before the generation; readers take no lock and load
//!    the generation before the base. A slot is defined at most once in a segment, so the base that is read belongs
//!    to the generation that was read.
//! 3. A slot that its owner frees is marked for that generation. Its number must not come back in the same segment,
//!    whose samples would then belong to two series; to log one is a bug that is found here.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Slot numbers are below this.
pub const SLOTS_MAX: u32 = 1 << 28;

const CHUNK_SLOTS: usize = 1 << 16;
const CHUNKS: usize = SLOTS_MAX as usize / CHUNK_SLOTS;
/// Beside the generation: the slot was freed while this segment was active.
const FREED: u32 = 1 << 31;

/// Counts the segments that this process opened, from 1.
pub(crate) type Generation = u32;

/// The state of all slots.
pub(crate) struct SlotStates {
    chunks: Box<[OnceLock<Chunk>]>,
}

struct Chunk {
    generations: Box<[AtomicU32]>,
    bases: Box<[AtomicU64]>,
}

impl Chunk {
    fn new() -> Chunk {
        Chunk {
            generations: (0..CHUNK_SLOTS).map(|_| AtomicU32::new(0)).collect(),
            bases: (0..CHUNK_SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl SlotStates {
    /// No slot is defined.
    pub(crate) fn new() -> SlotStates {
        SlotStates { chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect() }
    }

    /// Looks up base values in the segment of `generation`.
    pub(crate) fn bases(&self, generation: Generation) -> Bases<'_> {
        Bases { states: self, generation, at: usize::MAX, chunk: None }
    }

    /// Whether the segment of `generation` defines `slot`. Says "BUG" if the slot was freed while it was active.
    pub(crate) fn is_defined(&self, slot: u32, generation: Generation) -> bool {
        let state = self.state(slot);
        assert!(state != generation | FREED, "BUG: slot {slot} was freed and used again in one log segment");
        state == generation
    }

    /// Defines `slot` in the segment of `generation`. Called with that segment's buffer locked.
    pub(crate) fn define(&self, slot: u32, generation: Generation, base: u64) {
        assert!(slot < SLOTS_MAX && generation < FREED, "BUG: slot {slot}, generation {generation}");
        let chunk = self.chunks[slot as usize / CHUNK_SLOTS].get_or_init(Chunk::new);
        let at = slot as usize % CHUNK_SLOTS;
        chunk.bases[at].store(base, Ordering::Relaxed);
        chunk.generations[at].store(generation, Ordering::Release);
    }

    /// Marks that `slot` was freed, if the segment of `generation` defines it.
    pub(crate) fn free(&self, slot: u32, generation: Generation) {
        if self.state(slot) == generation
            && let Some(chunk) = self.chunk(slot)
        {
            chunk.generations[slot as usize % CHUNK_SLOTS].store(generation | FREED, Ordering::Release);
        }
    }

    /// Whether the number of a freed slot may be given to another series while the segment of `generation` is active.
    pub(crate) fn is_reusable(&self, slot: u32, generation: Generation) -> bool {
        self.state(slot) & !FREED != generation
    }

    fn chunk(&self, slot: u32) -> Option<&Chunk> {
        self.chunks.get(slot as usize / CHUNK_SLOTS)?.get()
    }

    fn state(&self, slot: u32) -> u32 {
        self.chunk(slot).map_or(0, |chunk| chunk.generations[slot as usize % CHUNK_SLOTS].load(Ordering::Acquire))
    }
}

/// Reads base values in one segment; remembers the chunk, because neighbours follow each other.
pub(crate) struct Bases<'a> {
    states: &'a SlotStates,
    generation: Generation,
    at: usize,
    chunk: Option<&'a Chunk>,
}

impl Bases<'_> {
    /// The base value's bits, if the segment defines the slot.
    #[inline(always)]
    pub(crate) fn get(&mut self, slot: u32) -> Option<u64> {
        let at = slot as usize / CHUNK_SLOTS;
        if at != self.at {
            self.chunk = self.states.chunk(slot);
            // A chunk that is missing now may be there next time.
            self.at = if self.chunk.is_some() { at } else { usize::MAX };
        }
        let chunk = self.chunk?;
        let at = slot as usize % CHUNK_SLOTS;
        let defined = chunk.generations[at].load(Ordering::Acquire) == self.generation;
        defined.then(|| chunk.bases[at].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_defined_in_its_segment_only() {
        let states = SlotStates::new();
        for slot in [0, 1, 65_535, 65_536, SLOTS_MAX - 1] {
            assert_eq!(states.bases(1).get(slot), None);
            states.define(slot, 1, u64::from(slot) + 10);
            assert_eq!(states.bases(1).get(slot), Some(u64::from(slot) + 10));
            assert_eq!(states.bases(2).get(slot), None);
        }
        assert!(!states.is_defined(2, 1));
        assert_eq!(states.bases(1).get(u32::MAX), None);
    }

    #[test]
    fn a_chunk_that_appears_later_is_seen() {
        let states = SlotStates::new();
        let mut bases = states.bases(1);
        assert_eq!(bases.get(9), None);
        states.define(9, 1, 5);
        assert_eq!(bases.get(9), Some(5));
    }

    #[test]
    fn a_freed_number_returns_with_the_next_segment() {
        let states = SlotStates::new();
        assert!(states.is_reusable(7, 1));
        states.define(7, 1, 0);
        assert!(!states.is_reusable(7, 1));
        states.free(7, 1);
        assert!(!states.is_reusable(7, 1));
        assert!(states.is_reusable(7, 2));
        assert!(!states.is_defined(7, 2));
        let misuse = std::panic::catch_unwind(|| states.is_defined(7, 1));
        assert!(misuse.is_err(), "use after free in one segment is a bug");
    }
}
