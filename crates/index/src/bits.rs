//! A dense set of numbers below a known end, for the moments in which most of them are looked at.

use std::ops::Range;

use roaring::RoaringBitmap;

/// A bit per number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// The empty set of numbers below `end`.
    pub(crate) fn new(end: u32) -> Self {
        Self { words: vec![0; (end as usize).div_ceil(64)] }
    }

    /// The members of `set` below `end`.
    pub(crate) fn of(set: &RoaringBitmap, end: u32) -> Self {
        let mut bits = Self::new(end);
        let mut members = set.iter();
        while let Some(range) = members.next_range() {
            if *range.start() >= end {
                break;
            }
            bits.insert_range(*range.start()..(*range.end()).min(end - 1) + 1);
        }
        bits
    }

    #[inline]
    pub(crate) fn insert(&mut self, number: u32) {
        self.words[number as usize / 64] |= 1 << (number % 64);
    }

    pub(crate) fn insert_range(&mut self, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        let (first, last) = (range.start as usize / 64, (range.end - 1) as usize / 64);
        let head = u64::MAX << (range.start % 64);
        let tail = u64::MAX >> (63 - (range.end - 1) % 64);
        if first == last {
            self.words[first] |= head & tail;
            return;
        }
        self.words[first] |= head;
        self.words[first + 1..last].fill(u64::MAX);
        self.words[last] |= tail;
    }

    /// Whether `number` is in the set; those behind the end are not.
    #[inline]
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.words.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// The members in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros();
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(at as u32 * 64 + bit)
            })
        })
    }

    /// The same set, compressed.
    pub(crate) fn to_bitmap(&self) -> RoaringBitmap {
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        RoaringBitmap::from_lsb0_bytes(0, &bytes)
    }
}

/// How many ranges are kept as such before a bit per number is cheaper.
const RANGES_MAX: usize = 2_048;

/// Collects ranges in ascending order or in any other, and makes a bitmap of them.
#[derive(Debug)]
pub(crate) struct Collector {
    end: u32,
    ranges: Vec<Range<u32>>,
    bits: Option<Bits>,
    /// What was added as a whole.
    bitmap: RoaringBitmap,
}

impl Collector {
    /// For numbers below `end`.
    pub(crate) fn new(end: u32) -> Self {
        Self { end, ranges: Vec::new(), bits: None, bitmap: RoaringBitmap::new() }
    }

    /// The end that it was made for.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    #[inline]
    pub(crate) fn add(&mut self, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        if let Some(bits) = &mut self.bits {
            bits.insert_range(range);
            return;
        }
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
        // Below a few thousand numbers the bits are no longer than the ranges.
        if self.ranges.len() > RANGES_MAX {
            let mut bits = Bits::new(self.end);
            self.ranges.drain(..).for_each(|range| bits.insert_range(range));
            self.bits = Some(bits);
        }
    }

    /// Adds many numbers at once; those that are not below the end are left out when this finishes.
    pub(crate) fn add_bitmap(&mut self, bitmap: &RoaringBitmap) {
        self.bitmap |= bitmap;
    }

    pub(crate) fn finish(self) -> RoaringBitmap {
        let mut bitmap = self.bitmap;
        if bitmap.max().is_some_and(|max| max >= self.end) {
            bitmap.remove_range(self.end..);
        }
        if let Some(bits) = self.bits {
            return bitmap | bits.to_bitmap();
        }
        for range in self.ranges {
            if range.len() == 1 {
                bitmap.insert(range.start);
            } else {
                bitmap.insert_range(range);
            }
        }
        bitmap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_across_words() {
        for (start, end) in [(0, 1), (0, 64), (3, 61), (63, 65), (64, 128), (1, 200), (5, 5)] {
            let mut bits = Bits::new(200);
            bits.insert_range(start..end);
            assert_eq!(bits.iter().collect::<Vec<_>>(), (start..end).collect::<Vec<_>>());
            assert_eq!(bits.to_bitmap(), (start..end).collect());
            assert!(!bits.contains(end) && !bits.contains(4_000_000_000));
        }
        let set: RoaringBitmap = [1, 63, 64, 65, 130, 199, 200, 1 << 20].into_iter().collect();
        assert_eq!(Bits::of(&set, 200).iter().collect::<Vec<_>>(), [1, 63, 64, 65, 130, 199]);
    }

    #[test]
    fn a_collector_changes_its_form_and_not_its_answer() {
        for count in [10u32, 10_000] {
            let mut collector = Collector::new(count * 3);
            (0..count).for_each(|i| collector.add(i * 3..i * 3 + 2));
            collector.add_bitmap(&[2, 5, count * 3, u32::MAX].into_iter().collect());
            assert_eq!(collector.finish(), (0..count * 3).filter(|i| i % 3 != 2 || *i < 6).collect());
        }
    }
}
