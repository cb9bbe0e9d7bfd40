//! A set of numbers that is usually tiny: one number in place, a few in a cell of a slab, many in a bitmap.

use std::ops::Range;

use roaring::RoaringBitmap;

use super::slab::{Slab, width_of};

/// More are kept as a bitmap.
const FEW_MAX: usize = 64;
/// A bitmap with so few left becomes a cell again; less than [`FEW_MAX`], so that a set at the border does not go to and fro.
const FEW_AGAIN: u64 = 32;
/// What a number takes in a bitmap, with room to grow, and what the bitmap takes itself. The library does not tell.
const BITMAP_MEMBER_BYTES: usize = 3;
const BITMAP_BYTES: usize = 96;

#[derive(Debug, Default)]
pub(super) enum Posting {
    #[default]
    Empty,
    One(u32),
    Few {
        cell: u32,
        len: u8,
    },
    Many(Box<RoaringBitmap>),
    /// So many, of which nobody asks which.
    Counted(u32),
}

/// Where postings of one index keep what does not fit in place.
#[derive(Debug, Default)]
pub(super) struct PostingMemory {
    cells: Slab<u32>,
    bitmap_bytes: usize,
    /// Sets only know how many numbers they have.
    counts_only: bool,
}

impl PostingMemory {
    /// Where sets only know how many numbers they have.
    pub(super) fn of_counts() -> Self {
        Self { counts_only: true, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.cells.bytes() + self.bitmap_bytes
    }
}

impl Posting {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Few { len, .. } => u64::from(*len),
            Self::Many(bitmap) => bitmap.len(),
            Self::Counted(count) => u64::from(*count),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Adds a number that is not in the set.
    pub(super) fn insert(&mut self, number: u32, memory: &mut PostingMemory) {
        match self {
            Self::Empty if memory.counts_only => *self = Self::Counted(1),
            Self::Empty => *self = Self::One(number),
            Self::One(one) => {
                let pair = [number.min(*one), number.max(*one)];
                *self = Self::Few { cell: memory.cells.add(&pair), len: 2 };
            }
            Self::Few { cell, len } => {
                let mut numbers = [0; FEW_MAX + 1];
                let old_len = usize::from(*len);
                let old = memory.cells.get(*cell, old_len);
                let at = old.partition_point(|have| *have < number);
                debug_assert_ne!(old.get(at), Some(&number), "BUG: a number stands twice");
                if old_len < width_of(old_len) {
                    // The cell has room; its class stays the same.
                    let cell_now = memory.cells.get_mut(*cell, old_len + 1);
                    cell_now.copy_within(at..old_len, at + 1);
                    cell_now[at] = number;
                    *len += 1;
                    return;
                }
                numbers[..at].copy_from_slice(&old[..at]);
                numbers[at] = number;
                numbers[at + 1..=old_len].copy_from_slice(&old[at..]);
                memory.cells.remove(*cell, old_len);
                let numbers = &numbers[..=old_len];
                if numbers.len() <= FEW_MAX {
                    *self = Self::Few { cell: memory.cells.add(numbers), len: numbers.len() as u8 };
                } else {
                    memory.bitmap_bytes += BITMAP_BYTES + numbers.len() * BITMAP_MEMBER_BYTES;
                    *self = Self::Many(Box::new(numbers.iter().copied().collect()));
                }
            }
            Self::Many(bitmap) => {
                memory.bitmap_bytes += BITMAP_MEMBER_BYTES;
                bitmap.insert(number);
            }
            Self::Counted(count) => *count += 1,
        }
    }

    /// Takes a number out of the set.
    pub(super) fn remove(&mut self, number: u32, memory: &mut PostingMemory) {
        match self {
            Self::Empty => {}
            Self::One(one) => {
                if *one == number {
                    *self = Self::Empty;
                }
            }
            Self::Few { cell, len } => {
                let old = memory.cells.get(*cell, usize::from(*len));
                let Ok(at) = old.binary_search(&number) else { return };
                let mut numbers = [0; FEW_MAX];
                let left = usize::from(*len) - 1;
                numbers[..at].copy_from_slice(&old[..at]);
                numbers[at..left].copy_from_slice(&old[at + 1..]);
                memory.cells.remove(*cell, left + 1);
                *self = match &numbers[..left] {
                    [one] => Self::One(*one),
                    numbers => Self::Few { cell: memory.cells.add(numbers), len: left as u8 },
                };
            }
            Self::Many(bitmap) => {
                if bitmap.remove(number) {
                    memory.bitmap_bytes -= BITMAP_MEMBER_BYTES;
                }
                if bitmap.len() <= FEW_AGAIN {
                    memory.bitmap_bytes -= BITMAP_BYTES + bitmap.len() as usize * BITMAP_MEMBER_BYTES;
                    let numbers: Vec<u32> = bitmap.iter().collect();
                    *self = Self::Few { cell: memory.cells.add(&numbers), len: numbers.len() as u8 };
                }
            }
            Self::Counted(1) => *self = Self::Empty,
            Self::Counted(count) => *count -= 1,
        }
    }

    /// The bitmap, if the set is one.
    pub(super) fn bitmap(&self) -> Option<&RoaringBitmap> {
        match self {
            Self::Many(bitmap) => Some(bitmap),
            _ => None,
        }
    }

    /// Tells of ranges of members from `from` on, in order, until about `limit` members were told; where to go on, if there are more.
    pub(super) fn each_range(
        &self,
        memory: &PostingMemory,
        from: u32,
        limit: usize,
        mut visit: impl FnMut(Range<u32>),
    ) -> Option<u32> {
        match self {
            Self::Empty | Self::Counted(_) => None,
            Self::One(one) => {
                if *one >= from {
                    visit(*one..*one + 1);
                }
                None
            }
            Self::Few { cell, len } => {
                let numbers = memory.cells.get(*cell, usize::from(*len));
                numbers.iter().filter(|number| **number >= from).for_each(|number| visit(*number..*number + 1));
                None
            }
            Self::Many(bitmap) => {
                // The members of most bitmaps are scattered; asking the library for ranges of them is slower than finding these here.
                let mut members = bitmap.range(from..);
                let mut range = members.next().map(|first| first..first + 1)?;
                for number in members.by_ref().take(limit) {
                    if number != range.end {
                        visit(std::mem::replace(&mut range, number..number));
                    }
                    range.end = number + 1;
                }
                visit(range);
                members.next()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sets_of_all_sizes() {
        let mut memory = PostingMemory::default();
        let mut posting = Posting::default();
        let mut model = BTreeSet::new();
        let mut random = 1u32;
        for step in 0..6000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = random >> 22;
            // First it mostly grows, then it mostly shrinks.
            if model.contains(&number) && (step > 3000 || random & 4 == 0) {
                model.remove(&number);
                posting.remove(number, &mut memory);
            } else if step < 3000 && model.insert(number) {
                posting.insert(number, &mut memory);
            }
            assert_eq!(posting.len(), model.len() as u64);
            if step % 50 == 0 {
                let (mut told, mut from) = (Vec::new(), Some(0));
                while let Some(start) = from {
                    from = posting.each_range(&memory, start, 100, |range| told.extend(range));
                }
                assert!(told.iter().eq(&model), "step {step}");
            }
        }
        for number in model {
            posting.remove(number, &mut memory);
        }
        assert!(posting.is_empty());
        assert_eq!(memory.bitmap_bytes, 0);
    }
}
