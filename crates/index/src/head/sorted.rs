//! The values of a label in order, while values come and go.
//!
//! 1. Values stand in chunks of some kilobytes, sorted, with the numbers of their terms. A value is found by a binary search over the first of
//!    each chunk and then in one chunk; what stands behind it in its chunk moves when it comes or goes.
//! 2. The texts are copies: terms have theirs elsewhere, where they stay while others move. The second copy makes a scan go through memory
//!    from front to back; without it each of a million values costs two trips to memory, which together take longer than matching them.

use crate::selector::Piece;

/// A chunk that grows longer is cut in two.
const CHUNK_LEN_MAX: usize = 256;
/// So is one with more text, if it has two values.
const CHUNK_BYTES_MAX: usize = 16 << 10;
/// A chunk that gets shorter is joined with the one before, if both fit.
const CHUNK_LEN_MIN: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Sorted {
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Debug, Default)]
struct Chunk {
    terms: Vec<u32>,
    text: Vec<u8>,
    ends: Vec<u32>,
}

/// A place among the values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    chunk: usize,
    at: usize,
}

impl Chunk {
    fn start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.ends[at - 1] as usize }
    }

    fn value(&self, at: usize) -> &[u8] {
        &self.text[self.start(at)..self.ends[at] as usize]
    }

    /// The first value that is not less than `text`.
    fn seek(&self, text: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.terms.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.value(middle) < text {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn insert(&mut self, at: usize, term: u32, text: &[u8]) {
        let start = self.start(at);
        let old_len = self.text.len();
        self.text.extend_from_slice(text);
        self.text.copy_within(start..old_len, start + text.len());
        self.text[start..start + text.len()].copy_from_slice(text);
        self.terms.insert(at, term);
        self.ends.insert(at, start as u32);
        self.ends[at..].iter_mut().for_each(|end| *end += text.len() as u32);
    }

    fn remove(&mut self, at: usize) -> u32 {
        let (start, end) = (self.start(at), self.ends[at] as usize);
        self.text.drain(start..end);
        self.ends.remove(at);
        self.ends[at..].iter_mut().for_each(|later| *later -= (end - start) as u32);
        self.terms.remove(at)
    }

    fn split_off(&mut self, at: usize) -> Self {
        let start = self.start(at);
        let mut ends = self.ends.split_off(at);
        ends.iter_mut().for_each(|end| *end -= start as u32);
        let rest = Self { terms: self.terms.split_off(at), text: self.text.split_off(start), ends };
        self.terms.shrink_to_fit();
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        rest
    }

    fn append(&mut self, rest: &Self) {
        let start = self.text.len() as u32;
        self.terms.extend_from_slice(&rest.terms);
        self.text.extend_from_slice(&rest.text);
        self.ends.extend(rest.ends.iter().map(|end| end + start));
    }

    fn is_too_long(&self) -> bool {
        self.terms.len() > CHUNK_LEN_MAX || (self.text.len() > CHUNK_BYTES_MAX && self.terms.len() > 1)
    }
}

impl Sorted {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The first value that is not less than `text`.
    pub(super) fn seek(&self, text: &[u8]) -> Place {
        let chunk = self.chunks.partition_point(|chunk| chunk.value(0) <= text).saturating_sub(1);
        Place { chunk, at: self.chunks.get(chunk).map_or(0, |values| values.seek(text)) }
    }

    /// Adds a term whose text is not there yet.
    pub(super) fn insert(&mut self, term: u32, text: &[u8]) {
        let Place { chunk: place, at } = self.seek(text);
        if self.chunks.is_empty() {
            self.chunks.push(Chunk::default());
        }
        let chunk = &mut self.chunks[place];
        chunk.insert(at, term, text);
        self.len += 1;
        if chunk.is_too_long() {
            // Values often come in ascending order; then the chunks behind stay full.
            let len = chunk.terms.len();
            let rest = chunk.split_off(if at + 1 == len { len - 1 } else { len / 2 });
            self.chunks.insert(place + 1, rest);
        }
    }

    /// Removes a term.
    pub(super) fn remove(&mut self, term: u32, text: &[u8]) {
        let Place { chunk: place, at } = self.seek(text);
        let chunk = &mut self.chunks[place];
        assert_eq!(chunk.remove(at), term, "BUG: a value stands in the wrong place");
        self.len -= 1;
        if chunk.terms.is_empty() {
            self.chunks.remove(place);
        } else if place > 0 && chunk.terms.len() < CHUNK_LEN_MIN {
            let [before, chunk] = &mut self.chunks[place - 1..=place] else { return };
            let len = before.terms.len() + chunk.terms.len();
            let bytes = before.text.len() + chunk.text.len();
            if len + CHUNK_LEN_MIN <= CHUNK_LEN_MAX && bytes <= CHUNK_BYTES_MAX {
                before.append(chunk);
                self.chunks.remove(place);
            }
        }
    }

    /// The terms and values from a place on.
    pub(super) fn from(&self, place: Place) -> impl Iterator<Item = (u32, &[u8])> {
        let first = place.at;
        let chunks = self.chunks.iter().skip(place.chunk).enumerate();
        chunks.flat_map(move |(nth, chunk)| {
            let first = if nth == 0 { first } else { 0 };
            (first..chunk.terms.len()).map(|at| (chunk.terms[at], chunk.value(at)))
        })
    }

    /// Copies values from a place on, as long as they begin with `prefix`, until the piece is full or there are no more.
    pub(super) fn copy(&self, place: Place, prefix: &[u8], piece: &mut Piece, terms: &mut Vec<u32>) {
        let mut first = place.at;
        for chunk in self.chunks.iter().skip(place.chunk) {
            if piece.is_full() {
                return;
            }
            let all = chunk.terms.len();
            let past = if first < all && chunk.value(all - 1).starts_with(prefix) {
                all
            } else {
                (first..all).find(|at| !chunk.value(*at).starts_with(prefix)).unwrap_or(all)
            };
            let start = chunk.start(first);
            piece.push_many(
                &chunk.text[start..chunk.start(past)],
                chunk.ends[first..past].iter().map(|end| *end as usize - start),
            );
            terms.extend_from_slice(&chunk.terms[first..past]);
            if past < all {
                return;
            }
            first = 0;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let chunk_bytes = |chunk: &Chunk| (chunk.terms.capacity() + chunk.ends.capacity()) * 4 + chunk.text.capacity();
        self.chunks.iter().map(chunk_bytes).sum::<usize>() + self.chunks.capacity() * size_of::<Chunk>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn values_come_and_go_in_order() {
        let pad = |i: u32| "x".repeat(if i.is_multiple_of(97) { 3_000 } else { i as usize % 5 });
        let texts: Vec<String> =
            (0..4000u32).map(|i| format!("{:x}{}", i.wrapping_mul(2_654_435_761), pad(i))).collect();
        let text_of = |term: u32| texts[term as usize].as_bytes();
        let (mut sorted, mut model) = (Sorted::default(), BTreeMap::new());
        let check = |sorted: &Sorted, model: &BTreeMap<&[u8], u32>| {
            assert_eq!(sorted.len(), model.len());
            assert!(!sorted.chunks.iter().any(Chunk::is_too_long));
            for start in ["", "5", "abc", "zz"] {
                let want = model.range(start.as_bytes()..).map(|(text, term)| (*term, *text));
                assert!(sorted.from(sorted.seek(start.as_bytes())).eq(want));
                let (mut piece, mut terms, mut from) = (Piece::default(), Vec::new(), start.as_bytes().to_vec());
                let mut copied: Vec<(u32, Vec<u8>)> = Vec::new();
                loop {
                    piece.clear();
                    terms.clear();
                    sorted.copy(sorted.seek(&from), start.as_bytes(), &mut piece, &mut terms);
                    copied.extend(terms.iter().copied().zip(piece.values().map(<[u8]>::to_vec)));
                    let Some((_, last)) = copied.last().filter(|_| !terms.is_empty()) else { break };
                    from.clone_from(last);
                    from.push(0);
                }
                let want = model.iter().filter(|(text, _)| text.starts_with(start.as_bytes()));
                assert!(copied.iter().map(|(term, text)| (*term, text.as_slice())).eq(want.map(|(x, y)| (*y, *x))));
            }
        };
        for round in 0..3 {
            for term in 0..4000 {
                sorted.insert(term, text_of(term));
                model.insert(text_of(term), term);
            }
            check(&sorted, &model);
            for term in (0..4000).filter(|term| round == 2 || term % (round + 2) > 0) {
                sorted.remove(term, text_of(term));
                model.remove(text_of(term));
            }
            check(&sorted, &model);
            for (text, term) in std::mem::take(&mut model) {
                sorted.remove(term, text);
            }
            check(&sorted, &model);
        }
        assert!(sorted.chunks.is_empty());
    }
}
