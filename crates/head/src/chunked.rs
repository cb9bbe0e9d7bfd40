//! A table by number that grows without moving and is read without a lock.
//!
//! 1. A directory of fixed length holds chunks of `1 << BITS` elements, each made when it is first written to.
//! 2. A chunk never moves and is never freed before the table, so a reader needs no lock: one acquiring load for the chunk, one access in it.
//! 3. Elements are atomics (or records of atomics) whose default value means "nothing here".

use std::sync::OnceLock;

/// A table of `T` by number.
#[derive(Debug)]
pub(crate) struct Chunked<T, const BITS: u32> {
    chunks: Box<[OnceLock<Box<[T]>>]>,
}

impl<T: Default, const BITS: u32> Chunked<T, BITS> {
    /// Elements of a chunk.
    pub(crate) const CHUNK: usize = 1 << BITS;

    /// A table for numbers below `len_max`, which must be whole chunks. Takes 24 bytes for each possible chunk at once.
    pub(crate) fn new(len_max: usize) -> Self {
        assert!(len_max.is_multiple_of(Self::CHUNK), "BUG: a chunked table ends inside a chunk");
        Self { chunks: (0..len_max >> BITS).map(|_| OnceLock::new()).collect() }
    }

    /// The element, if its chunk was ever written to.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at >> BITS)?.get().map(|chunk| &chunk[at & (Self::CHUNK - 1)])
    }

    /// The element; its chunk is made if it is not there.
    #[inline]
    pub(crate) fn make(&self, at: usize) -> &T {
        &self.make_chunk(at >> BITS)[at & (Self::CHUNK - 1)]
    }

    /// The element; its chunk is what `chunk` gives if it is not there.
    #[inline]
    pub(crate) fn make_with(&self, at: usize, chunk: impl FnOnce() -> Box<[T]>) -> &T {
        &self.make_chunk_with(at >> BITS, chunk)[at & (Self::CHUNK - 1)]
    }

    /// A whole chunk; made if it is not there.
    #[inline]
    fn make_chunk(&self, number: usize) -> &[T] {
        self.make_chunk_with(number, Self::fresh)
    }

    /// A whole chunk; what `chunk` gives, which must be of full length, if it is not there.
    #[inline]
    pub(crate) fn make_chunk_with(&self, number: usize, chunk: impl FnOnce() -> Box<[T]>) -> &[T] {
        self.chunks[number].get_or_init(chunk)
    }

    /// A chunk of elements with nothing in them.
    #[cold]
    pub(crate) fn fresh() -> Box<[T]> {
        (0..Self::CHUNK).map(|_| T::default()).collect()
    }

    /// Takes all chunks out.
    pub(crate) fn take_chunks(&mut self) -> impl Iterator<Item = Box<[T]>> + '_ {
        self.chunks.iter_mut().filter_map(OnceLock::take)
    }

    /// The chunks that exist, with the number of their first element.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (usize, &[T])> {
        self.chunks.iter().enumerate().filter_map(|(number, chunk)| Some((number << BITS, &**chunk.get()?)))
    }

    /// Memory taken.
    pub(crate) fn bytes(&self) -> usize {
        let made = self.chunks.iter().filter(|chunk| chunk.get().is_some()).count();
        size_of_val(&*self.chunks) + made * Self::CHUNK * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    #[test]
    fn only_chunks_that_were_written_exist() {
        let table = Chunked::<AtomicU32, 4>::new(64);
        table.make(33).store(7, Relaxed);
        assert_eq!(table.get(33).map(|cell| cell.load(Relaxed)), Some(7));
        assert_eq!(table.get(47).map(|cell| cell.load(Relaxed)), Some(0));
        assert!(table.get(31).is_none() && table.get(64).is_none() && table.get(usize::MAX).is_none());
        assert_eq!(table.chunks().map(|(start, chunk)| (start, chunk.len())).collect::<Vec<_>>(), [(32, 16)]);
        assert_eq!(table.bytes(), 4 * size_of::<OnceLock<Box<[AtomicU32]>>>() + 16 * 4);
    }
}
