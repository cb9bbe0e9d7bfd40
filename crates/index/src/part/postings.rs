//! Posting lists of a part: ascending origins, each list in the smallest of four forms.

use roaring::RoaringBitmap;

use super::layout::posting::{DELTAS, ONE, RANGE, ROARING};
use crate::varint::{self, Reader};

/// Shorter lists are never smaller as bitmaps.
const BITMAP_ORIGINS_MIN: usize = 16;

/// Appends a list of ascending origins; there is at least one.
pub(super) fn put_posting(out: &mut Vec<u8>, origins: &[u32]) {
    let (first, last) = match origins {
        [] => panic!("BUG: a term without origins"),
        [one] => return varint::put(out, u64::from(*one) << 2 | ONE),
        [first, .., last] => (*first, *last),
    };
    let count = origins.len() as u64;
    if u64::from(last - first) + 1 == count {
        varint::put(out, u64::from(first) << 2 | RANGE);
        return varint::put(out, count);
    }
    let steps = || origins.windows(2).map(|pair| u64::from(pair[1] - pair[0]));
    let count_bytes = varint::len(count);
    let deltas_bytes = varint::len(u64::from(first)) + steps().map(varint::len).sum::<usize>();
    if origins.len() >= BITMAP_ORIGINS_MIN {
        let mut bitmap: RoaringBitmap = origins.iter().copied().collect();
        bitmap.optimize();
        let bitmap_bytes = bitmap.serialized_size();
        if bitmap_bytes < deltas_bytes {
            varint::put(out, ((count_bytes + bitmap_bytes) as u64) << 2 | ROARING);
            varint::put(out, count);
            bitmap.serialize_into(&mut *out).expect("BUG: memory refuses bytes");
            return;
        }
    }
    varint::put(out, ((count_bytes + deltas_bytes) as u64) << 2 | DELTAS);
    varint::put(out, count);
    varint::put(out, u64::from(first));
    steps().for_each(|step| varint::put(out, step));
}

/// A posting list where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posting<'a> {
    form: Form<'a>,
    /// Origins in it, as it says itself.
    pub(super) count: u32,
}

#[derive(Debug, Clone, Copy)]
enum Form<'a> {
    Range(u32),
    Deltas(&'a [u8]),
    Roaring(&'a [u8]),
}

impl<'a> Posting<'a> {
    /// Takes a list from the front of `reader`; `None` if it makes no sense.
    pub(super) fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let head = reader.number()?;
        let rest = head >> 2;
        match head & 3 {
            ONE => Some(Self { form: Form::Range(u32::try_from(rest).ok()?), count: 1 }),
            RANGE => Some(Self { form: Form::Range(u32::try_from(rest).ok()?), count: reader.number_u32()? }),
            form => {
                let mut inner = Reader::new(reader.bytes(usize::try_from(rest).ok()?)?);
                let count = inner.number_u32()?;
                let form = if form == DELTAS { Form::Deltas(inner.rest()) } else { Form::Roaring(inner.rest()) };
                Some(Self { form, count })
            }
        }
    }

    /// Tells of ranges of origins in ascending order. `None` if a list makes no sense or names an origin that is not below `end`; what was told
    /// before stays inside `end` too.
    pub(super) fn each_range(&self, end: u32, mut visit: impl FnMut(std::ops::Range<u32>)) -> Option<()> {
        match self.form {
            Form::Range(first) => {
                let past = first.checked_add(self.count).filter(|past| *past <= end)?;
                visit(first..past);
            }
            Form::Deltas(bytes) => {
                let mut reader = Reader::new(bytes);
                let mut origin = 0u32;
                for _ in 0..self.count {
                    origin = origin.checked_add(reader.number_u32()?).filter(|origin| *origin < end)?;
                    visit(origin..origin + 1);
                }
            }
            Form::Roaring(bytes) => {
                let bitmap = read_bitmap(bytes, end)?;
                let mut ranges = bitmap.iter();
                while let Some(range) = ranges.next_range() {
                    visit(*range.start()..*range.end() + 1);
                }
            }
        }
        Some(())
    }

    /// The list as a bitmap.
    pub(super) fn to_bitmap(self, end: u32) -> Option<RoaringBitmap> {
        if let Form::Roaring(bytes) = self.form {
            return read_bitmap(bytes, end);
        }
        let mut bitmap = RoaringBitmap::new();
        self.each_range(end, |range| {
            if range.len() == 1 {
                bitmap.insert(range.start);
            } else {
                bitmap.insert_range(range);
            }
        })?;
        Some(bitmap)
    }
}

fn read_bitmap(bytes: &[u8], end: u32) -> Option<RoaringBitmap> {
    let bitmap = RoaringBitmap::deserialize_from(bytes).ok()?;
    bitmap.max().is_none_or(|last| last < end).then_some(bitmap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_comes_back() {
        let lists: [Vec<u32>; 8] = [
            vec![0],
            vec![77],
            (5..900).collect(),
            vec![1, 2, 90],
            (0..1000).filter(|i| i % 3 == 0).collect(),
            (0..100_000).filter(|i| i % 1000 > 7).collect(),
            (0..100_000).step_by(777).collect(),
            vec![0, 99_999],
        ];
        let mut bytes = Vec::new();
        lists.iter().for_each(|list| put_posting(&mut bytes, list));
        let mut reader = Reader::new(&bytes);
        for list in &lists {
            let posting = Posting::take(&mut reader).expect("a list");
            assert_eq!(posting.count as usize, list.len());
            assert_eq!(posting.to_bitmap(100_000), Some(list.iter().copied().collect()));
            let mut told = Vec::new();
            posting.each_range(100_000, |range| told.extend(range)).expect("a good list");
            assert_eq!(&told, list);
            assert!(posting.to_bitmap(*list.last().expect("not empty")).is_none(), "an origin behind the end");
        }
        assert!(reader.is_empty());
    }
}
