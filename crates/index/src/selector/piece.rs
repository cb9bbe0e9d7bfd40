//! Some values side by side, to be matched at one go.
//!
//! A substring search over many values at once runs at the speed of memory; over one value after the other most of its time is its start.

use super::Pattern;

/// Bytes after which a piece is given to the pattern; small enough to stay in the nearest caches.
const PIECE_BYTES: usize = 16 << 10;

/// Values one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    text: Vec<u8>,
    ends: Vec<usize>,
    /// How many first bytes each value has in common with the one before; [`UNKNOWN`] until it matters.
    shared: Vec<usize>,
}

const UNKNOWN: usize = usize::MAX;

impl Piece {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.shared.clear();
    }

    /// Whether it is time to match.
    pub(crate) fn is_full(&self) -> bool {
        self.text.len() >= PIECE_BYTES
    }

    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) {
        self.text.extend_from_slice(value);
        self.ends.push(self.text.len());
        self.shared.push(UNKNOWN);
    }

    /// Adds values that stand one behind the other, with where each ends.
    pub(crate) fn push_many(&mut self, text: &[u8], ends: impl Iterator<Item = usize>) {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        self.ends.extend(ends.map(|end| start + end));
        self.shared.resize(self.ends.len(), UNKNOWN);
    }

    /// Adds a value that shares its first bytes with the one before; `None` if that is shorter.
    #[inline]
    pub(crate) fn push_front_coded(&mut self, shared: usize, suffix: &[u8]) -> Option<()> {
        let start = self.start(self.ends.len().checked_sub(1)?);
        let past = start.checked_add(shared).filter(|past| *past <= self.text.len())?;
        self.text.extend_from_within(start..past);
        self.text.extend_from_slice(suffix);
        self.ends.push(self.text.len());
        self.shared.push(shared);
        Some(())
    }

    /// The value that was pushed at this place.
    pub(crate) fn value(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)?;
        Some(&self.text[self.start(at)..end])
    }

    fn start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.ends[at - 1] }
    }

    /// The values in the order in which they were pushed.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| &self.text[std::mem::replace(&mut start, *end)..*end])
    }

    /// Tells which values match, in order.
    pub(crate) fn matches(&self, pattern: &Pattern, mut found: impl FnMut(usize)) {
        if let Some(dense) = pattern.dense() {
            let (mut trail, mut before) = (dense.begin(), &[][..]);
            for (at, (value, shared)) in self.values().zip(&self.shared).enumerate() {
                let shared = if *shared == UNKNOWN { common(before, value) } else { *shared };
                if dense.matches_next(&mut trail, shared, value) {
                    found(at);
                }
                before = value;
            }
            return;
        }
        let Some(inner) = pattern.inner() else {
            let all = self.values().enumerate();
            return all.filter(|(_, value)| pattern.matches(value)).for_each(|(at, _)| found(at));
        };
        let (mut from, mut at) = (0, 0);
        while let Some(hit) = inner.find(&self.text[from..]) {
            let hit = from + hit;
            while self.ends[at] <= hit {
                at += 1;
            }
            let (start, end) = (self.start(at), self.ends[at]);
            if hit + inner.needle().len() > end {
                // It reaches into the next value and so means nothing; the next hit may begin one byte later.
                from = hit + 1;
                continue;
            }
            let value = &self.text[start..end];
            if value.starts_with(pattern.prefix()) && pattern.decides(value) {
                found(at);
            }
            from = end;
        }
    }
}

/// How many first bytes are the same.
fn common(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let whole = words.take_while(|(x, y)| x == y).count() * 8;
    whole + a[whole..].iter().zip(&b[whole..]).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_automaton_remembers_no_more_than_is_shared() {
        let values =
            ["", "a", "ab", "abc", "abd", "abdx", "b", "bab", "x", "xab", "xabc", "xabcabcabcabc", "xac", "ab"];
        for text in ["a.*", ".*c", "ab[cd]+", "[ax].*b.?", "(ab|x)+c*", "a?b?", "[^a]*"] {
            let hir = crate::selector::re2::parse(text).expect("a good pattern");
            let pattern = Pattern::new(&hir).expect("a pattern that fits");
            let mut piece = Piece::default();
            values.iter().for_each(|value| piece.push(value.as_bytes()));
            let mut found = Vec::new();
            piece.matches(&pattern, |at| found.push(values[at]));
            let want: Vec<&str> = values.into_iter().filter(|value| pattern.matches(value.as_bytes())).collect();
            assert_eq!(found, want, "{text}");
        }
    }

    #[test]
    fn hits_across_values_are_none() {
        let hir = crate::selector::re2::parse("x?.*abc.*").expect("a good pattern");
        let pattern = Pattern::new(&hir).expect("a pattern that fits");
        assert!(pattern.inner().is_some());
        let mut piece = Piece::default();
        for value in ["xab", "cab", "cabc", "abc", "", "ababc", "ab", "c", "abcabc"] {
            piece.push(value.as_bytes());
        }
        piece.push_front_coded(3, b"d").expect("long enough");
        assert!(piece.push_front_coded(5, b"d").is_none());
        let mut found = Vec::new();
        piece.matches(&pattern, |at| found.push(at));
        assert_eq!(found, [2, 3, 5, 8, 9]);
    }
}
