//! Series keys as differences to the key before.
//!
//! 1. Neighbours share most labels: the next series of a scrape differs in the metric's name, or in the pod. A key is
//!    written as edits of the one before: copy some bytes, leave some out, insert some.
//! 2. A copy runs as far as the keys are equal. Where they part, both are advanced to the end of their text (a zero
//!    byte in canonical keys), where the next copy begins. So one changed label costs one edit wherever it stands, and
//!    finding it takes time by the edits, not by the labels.
//! 3. Edits and inserted bytes stand in columns of their own, which compresses better.
//!
//! Any bytes come back as they were; that keys consist of texts is only what makes it small.

use codec::bytes::{Malformed, Reader, put_varint};

/// No key is longer.
pub const KEY_BYTES_MAX: usize = model::MAX_KEY_BYTES;

/// Writes keys as edits.
#[derive(Default)]
pub(super) struct KeysEncoder {
    /// Per key the number of edits, per edit the bytes to copy, to leave out and to insert.
    pub edits: Vec<u8>,
    /// The inserted bytes.
    pub inserts: Vec<u8>,
    previous: Vec<u8>,
}

impl KeysEncoder {
    /// Starts a batch.
    pub fn clear(&mut self) {
        self.edits.clear();
        self.inserts.clear();
        self.previous.clear();
    }

    /// Adds a key.
    pub fn push(&mut self, key: &[u8]) {
        let counter_at = self.edits.len();
        self.edits.push(0);
        let mut edits = 0_u64;
        let (mut old, mut new) = (&self.previous[..], key);
        while !(old.is_empty() && new.is_empty()) {
            let copied = common_prefix(old, new);
            (old, new) = (&old[copied..], &new[copied..]);
            // The last edit takes all that is left, so that keys of any form have few edits.
            let is_last = old.is_empty() || new.is_empty() || edits + 1 == EDITS_MAX;
            let left_out = if is_last { old.len() } else { text_len(old) };
            let inserted = if is_last { new.len() } else { text_len(new) };
            put_varint(&mut self.edits, copied as u64);
            put_varint(&mut self.edits, left_out as u64);
            put_varint(&mut self.edits, inserted as u64);
            self.inserts.extend_from_slice(&new[..inserted]);
            (old, new) = (&old[left_out..], &new[inserted..]);
            edits += 1;
        }
        self.edits[counter_at] = edits as u8;
        self.previous.clear();
        self.previous.extend_from_slice(key);
    }

    /// The bytes written so far.
    pub fn bytes(&self) -> usize {
        self.edits.len() + self.inserts.len()
    }
}

/// A key has no more edits; it fits into one byte.
const EDITS_MAX: u64 = 255;

/// How many bytes at the beginning are equal.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let mut equal = 0;
    for (x, y) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        let differing = word(x) ^ word(y);
        if differing != 0 {
            return equal + differing.trailing_zeros() as usize / 8;
        }
        equal += 8;
    }
    equal + a[equal..].iter().zip(&b[equal..]).take_while(|(x, y)| x == y).count()
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("BUG: eight bytes"))
}

/// How many bytes the text at the beginning still has, its closing zero not counted.
fn text_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len())
}

/// Reads keys from edits.
pub(super) struct KeysDecoder<'a> {
    edits: Reader<'a>,
    inserts: Reader<'a>,
}

impl<'a> KeysDecoder<'a> {
    /// Starts at the first key of these columns.
    pub fn new(edits: &'a [u8], inserts: &'a [u8]) -> Self {
        Self { edits: Reader::new(edits), inserts: Reader::new(inserts) }
    }

    /// Appends the next key to `arena`, in which the one before stands at `previous`.
    pub fn next(&mut self, arena: &mut Vec<u8>, previous: std::ops::Range<usize>) -> Result<(), Malformed> {
        let start = arena.len();
        let mut from = previous.start;
        for _ in 0..self.edits.u8()? {
            let copied = self.length()?;
            let left_out = self.length()?;
            let inserted = self.length()?;
            if copied + left_out > previous.end - from {
                return Err(self.edits.malformed("edit behind the end of a key"));
            }
            if arena.len() - start + copied + inserted > KEY_BYTES_MAX {
                return Err(self.edits.malformed("length of a key"));
            }
            arena.extend_from_within(from..from + copied);
            arena.extend_from_slice(self.inserts.bytes(inserted)?);
            from += copied + left_out;
        }
        Ok(())
    }

    /// Refuses bytes behind the last key.
    pub fn finish(&self) -> Result<(), Malformed> {
        self.edits.finish()?;
        self.inserts.finish()
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        self.edits.varint_max(KEY_BYTES_MAX as u64, "length in an edit").map(|length| length as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(keys: &[Vec<u8>]) -> KeysEncoder {
        let mut encoder = KeysEncoder::default();
        keys.iter().for_each(|key| encoder.push(key));
        let mut decoder = KeysDecoder::new(&encoder.edits, &encoder.inserts);
        let mut arena = Vec::new();
        let mut previous = 0..0;
        for key in keys {
            let start = arena.len();
            decoder.next(&mut arena, previous).expect("the encoder's own edits");
            assert_eq!(&arena[start..], &key[..]);
            previous = start..arena.len();
        }
        assert_eq!(decoder.finish(), Ok(()));
        encoder
    }

    #[test]
    fn one_changed_label_is_one_edit() {
        let keys = [b"\0\0m\0pod\0a-1\0zone\0x\0".to_vec(), b"\0\0m\0pod\0a-22\0zone\0x\0".to_vec()];
        let encoder = check(&keys);
        assert_eq!(encoder.inserts, [&keys[0][..], b"22"].concat());
    }

    #[test]
    fn keys_without_end_or_texts_come_back() {
        check(&[vec![], vec![], vec![0], vec![], vec![0, 0, 0, 1], vec![1, 0, 0, 0, 0]]);
        let stripes: Vec<u8> = (0..3000).map(|i| u8::from(i % 2 == 0)).collect();
        let other: Vec<u8> = (0..3000).map(|i| 2 * u8::from(i % 2 == 0)).collect();
        check(&[stripes, other]);
    }

    proptest! {
        #[test]
        fn any_keys_come_back(keys in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..40), 0..20)) {
            check(&keys);
        }

        #[test]
        fn any_columns_are_survived(edits: Vec<u8>, inserts: Vec<u8>) {
            let mut decoder = KeysDecoder::new(&edits, &inserts);
            let mut arena = Vec::new();
            let mut previous = 0..0;
            loop {
                let start = arena.len();
                if decoder.next(&mut arena, previous).is_err() {
                    break;
                }
                previous = start..arena.len();
            }
        }
    }
}
