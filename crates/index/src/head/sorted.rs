//! The values of a label in order, while values come and go.
//!
//! Numbers of terms stand in chunks of some hundreds, sorted by their text, which is elsewhere. A value is found by a binary search over the
//! first of each chunk and then in one chunk; it moves some hundreds of numbers when it comes or goes.

/// A chunk that grows longer is cut in two.
const CHUNK_MAX: usize = 512;
/// A chunk that gets shorter is joined with the one before, if both fit.
const CHUNK_MIN: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Sorted {
    chunks: Vec<Vec<u32>>,
    len: usize,
}

impl Sorted {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Chunk and place of the first term whose text is not less than `text`.
    pub(super) fn seek<'a>(&self, text: &[u8], text_of: &impl Fn(u32) -> &'a [u8]) -> (usize, usize) {
        let chunk = self.chunks.partition_point(|chunk| text_of(chunk[0]) <= text).saturating_sub(1);
        let place = self.chunks.get(chunk).map_or(0, |terms| terms.partition_point(|term| text_of(*term) < text));
        (chunk, place)
    }

    /// Adds a term whose text is not there yet.
    pub(super) fn insert<'a>(&mut self, term: u32, text: &[u8], text_of: &impl Fn(u32) -> &'a [u8]) {
        let (at, place) = self.seek(text, text_of);
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
        }
        let chunk = &mut self.chunks[at];
        chunk.insert(place, term);
        self.len += 1;
        if chunk.len() > CHUNK_MAX {
            // Values often come in ascending order; then the chunks behind stay full.
            let keep = if place + 1 == chunk.len() { CHUNK_MAX } else { CHUNK_MAX / 2 };
            let rest = chunk.split_off(keep);
            chunk.shrink_to_fit();
            self.chunks.insert(at + 1, rest);
        }
    }

    /// Removes a term.
    pub(super) fn remove<'a>(&mut self, term: u32, text: &[u8], text_of: &impl Fn(u32) -> &'a [u8]) {
        let (at, place) = self.seek(text, text_of);
        let removed = self.chunks[at].remove(place);
        assert_eq!(removed, term, "BUG: a value stands in the wrong place");
        self.len -= 1;
        if self.chunks[at].is_empty() {
            self.chunks.remove(at);
        } else if at > 0 && self.chunks[at].len() < CHUNK_MIN && self.chunks[at - 1].len() + CHUNK_MIN <= CHUNK_MAX {
            let rest = self.chunks.remove(at);
            self.chunks[at - 1].extend(rest);
        }
    }

    /// The terms from a place on that [`Sorted::seek`] found.
    pub(super) fn from(&self, (chunk, place): (usize, usize)) -> impl Iterator<Item = u32> + '_ {
        let first = self.chunks.get(chunk).map_or(&[][..], |terms| &terms[place..]);
        let rest = self.chunks.iter().skip(chunk + 1).flatten();
        first.iter().chain(rest).copied()
    }

    pub(super) fn bytes(&self) -> usize {
        let numbers: usize = self.chunks.iter().map(Vec::capacity).sum();
        numbers * size_of::<u32>() + self.chunks.capacity() * size_of::<Vec<u32>>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn values_come_and_go_in_order() {
        let texts: Vec<String> = (0..4000u32).map(|i| format!("{:x}", i.wrapping_mul(2_654_435_761))).collect();
        let text_of = |term: u32| texts[term as usize].as_bytes();
        let (mut sorted, mut model) = (Sorted::default(), BTreeMap::new());
        let check = |sorted: &Sorted, model: &BTreeMap<&[u8], u32>| {
            assert_eq!(sorted.len(), model.len());
            for start in ["", "5", "abc", "zz"] {
                let want = model.range(start.as_bytes()..).map(|(_, term)| *term);
                assert!(sorted.from(sorted.seek(start.as_bytes(), &text_of)).eq(want));
            }
        };
        for round in 0..3 {
            for term in 0..4000 {
                sorted.insert(term, text_of(term), &text_of);
                model.insert(text_of(term), term);
            }
            check(&sorted, &model);
            for term in (0..4000).filter(|term| round == 2 || term % (round + 2) > 0) {
                sorted.remove(term, text_of(term), &text_of);
                model.remove(text_of(term));
            }
            check(&sorted, &model);
            for (_, term) in std::mem::take(&mut model) {
                sorted.remove(term, text_of(term), &text_of);
            }
            check(&sorted, &model);
        }
        assert!(sorted.chunks.is_empty());
    }
}
