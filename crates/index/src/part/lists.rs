//! The lists of (origin, bound) that families have: their series in key order.
//!
//! Origins never descend in a list. Long lists are cut in blocks that say with which origin they begin, so that one origin is found without
//! reading the others.

use std::ops::Range;

use disk::Corrupt;
use roaring::RoaringBitmap;

use super::file::IndexFile;
use super::layout::{ENTRIES_PER_BLOCK, LIST_BLOCK_BYTES, Section};
use crate::varint::{Reader, fixed_u32};

/// Two numbers of 32 bits.
const ENTRY_BYTES_MAX: usize = 10;

/// One entry: a series of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) origin: u32,
    /// Place among the values of `le`, plus one; 0 for a series without `le`.
    pub(super) bound: u32,
}

/// A list, found but not read.
#[derive(Debug, Clone)]
pub(super) struct List {
    /// How many entries it has.
    pub(super) len: u32,
    has_bounds: bool,
    /// Where the block directory stands, for lists of several blocks.
    directory: usize,
    /// The first origin of the only block.
    first_origin: u32,
    /// Where the blocks stand.
    body: Range<usize>,
}

impl List {
    pub(super) fn open(file: &IndexFile, list: u32) -> Result<Self, Corrupt> {
        if list >= file.counts.lists {
            return Err(file.corrupt(Section::Lists, 0, "a list is referred to that is not there"));
        }
        let (offset, bytes) = file.between(Section::Lists, Section::ListOffsets, list as usize)?;
        let mut reader = Reader::new(bytes);
        let mut read = || {
            let head = reader.number()?;
            let len = u32::try_from(head >> 1).ok().filter(|len| *len > 0)?;
            let directory = offset + bytes.len() - reader.rest().len();
            let blocks = len.div_ceil(ENTRIES_PER_BLOCK) as usize;
            let first_origin = if blocks == 1 {
                reader.number_u32()?
            } else {
                reader.bytes(blocks * LIST_BLOCK_BYTES)?;
                0
            };
            let end = offset + bytes.len();
            Some(Self { len, has_bounds: head & 1 == 1, directory, first_origin, body: end - reader.rest().len()..end })
        };
        read().ok_or_else(|| file.corrupt(Section::Lists, offset, "the head of a list makes no sense"))
    }

    pub(super) fn has_bounds(&self) -> bool {
        self.has_bounds
    }

    fn blocks(&self) -> u32 {
        self.len.div_ceil(ENTRIES_PER_BLOCK)
    }

    /// First origin and place of a block.
    fn block(&self, file: &IndexFile, block: u32) -> Result<(u32, usize), Corrupt> {
        if self.blocks() == 1 {
            return Ok((self.first_origin, self.body.start));
        }
        let at = self.directory + block as usize * LIST_BLOCK_BYTES;
        let bytes = file.bytes(Section::Lists, at..at + LIST_BLOCK_BYTES)?;
        match (fixed_u32(bytes, 0), fixed_u32(bytes, 1)) {
            (Some(origin), Some(place)) => Ok((origin, self.body.start.saturating_add(place as usize))),
            _ => Err(file.corrupt(Section::Lists, at, "a block entry is cut off")),
        }
    }

    /// Tells of the entries from the block on that holds `from`, in order, until `visit` answers false.
    pub(super) fn each_from(
        &self,
        file: &IndexFile,
        from: u32,
        mut visit: impl FnMut(u32, Entry) -> bool,
    ) -> Result<(), Corrupt> {
        for block in from / ENTRIES_PER_BLOCK..self.blocks() {
            if !self.each_of_block(file, block, &mut visit)? {
                break;
            }
        }
        Ok(())
    }

    /// Tells of the entries of a block; whether `visit` always answered true.
    fn each_of_block(
        &self,
        file: &IndexFile,
        block: u32,
        visit: impl FnMut(u32, Entry) -> bool,
    ) -> Result<bool, Corrupt> {
        let (first, place) = self.block(file, block)?;
        let end = self.body.end.min(place.saturating_add(ENTRIES_PER_BLOCK as usize * ENTRY_BYTES_MAX));
        let bytes = file.bytes(Section::Lists, place..end)?;
        let start = block * ENTRIES_PER_BLOCK;
        let positions = start..(start + ENTRIES_PER_BLOCK).min(self.len);
        let read = self.decode_block(first, positions, bytes, visit);
        read.ok_or_else(|| file.corrupt(Section::Lists, place, "a list makes no sense"))
    }

    /// `None` if the block makes no sense.
    #[inline]
    fn decode_block(
        &self,
        first: u32,
        positions: Range<u32>,
        bytes: &[u8],
        mut visit: impl FnMut(u32, Entry) -> bool,
    ) -> Option<bool> {
        let mut reader = Reader::new(bytes);
        let mut origin = first;
        for position in positions.clone() {
            if position > positions.start {
                origin = origin.checked_add(reader.number_u32()?)?;
            }
            let bound = if self.has_bounds { reader.number_u32()? } else { 0 };
            if !visit(position, Entry { origin, bound }) {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Tells of the entries whose origin is wanted. Blocks that hold none of them are not read.
    pub(super) fn each_wanted(
        &self,
        file: &IndexFile,
        wanted: &RoaringBitmap,
        mut visit: impl FnMut(u32, Entry),
    ) -> Result<(), Corrupt> {
        let mut wanted = wanted.iter();
        let Some(mut next) = wanted.next() else { return Ok(()) };
        let mut block = 0;
        let mut done = false;
        while block < self.blocks() && !done {
            block = self.seek_block(file, next, block)?;
            self.each_of_block(file, block, |position, entry| {
                while next < entry.origin {
                    match wanted.next() {
                        Some(greater) => next = greater,
                        None => done = true,
                    }
                    if done {
                        return false;
                    }
                }
                if entry.origin == next {
                    visit(position, entry);
                }
                true
            })?;
            block += 1;
        }
        Ok(())
    }

    /// The last block from `from` on that begins with an origin below `origin`, because entries of that one may begin at its end; `from` if there
    /// is none. The blocks that are skipped are few or many, so the steps grow.
    fn seek_block(&self, file: &IndexFile, origin: u32, from: u32) -> Result<u32, Corrupt> {
        let (mut low, mut high, mut step) = (from, self.blocks(), 1);
        while low + step < high {
            if self.block(file, low + step)?.0 >= origin {
                high = low + step;
                break;
            }
            low += step;
            step *= 2;
        }
        // Block `low` may be the answer, block `high` is not.
        while low + 1 < high {
            let middle = low.midpoint(high);
            if self.block(file, middle)?.0 < origin {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// Walks a list entry by entry.
#[derive(Debug)]
pub(super) struct ListCursor {
    list: List,
    /// The entry that comes next and where it stands.
    position: u32,
    place: usize,
    origin: u32,
}

impl ListCursor {
    /// Before entry `position`.
    pub(super) fn new(file: &IndexFile, list: u32, position: u32) -> Result<Self, Corrupt> {
        let list = List::open(file, list)?;
        if position >= list.len {
            return Err(file.corrupt(Section::Lists, list.directory, "a list is shorter than its family"));
        }
        let block = position / ENTRIES_PER_BLOCK;
        let (origin, place) = list.block(file, block)?;
        let mut cursor = Self { list, position: block * ENTRIES_PER_BLOCK, place, origin };
        while cursor.position < position {
            cursor.next(file)?;
        }
        Ok(cursor)
    }

    /// The next entry; there must be one.
    pub(super) fn next(&mut self, file: &IndexFile) -> Result<Entry, Corrupt> {
        let bad = || file.corrupt(Section::Lists, self.place, "a list makes no sense");
        if self.position >= self.list.len {
            return Err(bad());
        }
        let end = self.list.body.end.min(self.place + ENTRY_BYTES_MAX);
        let bytes = file.bytes(Section::Lists, self.place..end)?;
        let mut reader = Reader::new(bytes);
        if self.position.is_multiple_of(ENTRIES_PER_BLOCK) {
            self.origin = self.list.block(file, self.position / ENTRIES_PER_BLOCK)?.0;
        } else {
            let step = reader.number_u32().ok_or_else(bad)?;
            self.origin = self.origin.checked_add(step).ok_or_else(bad)?;
        }
        let bound = if self.list.has_bounds { reader.number_u32().ok_or_else(bad)? } else { 0 };
        self.place = end - reader.rest().len();
        self.position += 1;
        Ok(Entry { origin: self.origin, bound })
    }
}
