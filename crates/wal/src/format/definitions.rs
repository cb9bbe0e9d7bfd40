//! Definitions: which series a slot is in this segment, and its base value.
//!
//! 1. A batch has columns: slots as differences to the one before plus one, base values as eight planes of bytes (first
//!    values are mostly small integers, whose planes are zeros), keys as edits ([`super::keys`]).
//! 2. The columns are compressed together with zstd at its fastest level. The length before compression stands in
//!    front, so that a reader knows what to make room for and can refuse too much.
//! 3. Bigger batches compress better, smaller ones lose fewer series to damage; a batch is closed when either named
//!    limit is reached.

use codec::bytes::{Malformed, Reader, put_len_prefixed, put_zigzag};
use zstd::bulk::{Compressor, Decompressor};

use super::decode::Definition;
use super::frame::PAYLOAD_BYTES_MAX;
use super::keys::{KEY_BYTES_MAX, KeysDecoder, KeysEncoder};
use crate::SLOTS_MAX;

/// A record defines no more slots.
pub const DEFINITIONS_PER_RECORD_MAX: usize = 4096;
/// A batch is closed when its keys have taken this many bytes.
const KEYS_BYTES_SOFT: usize = 2 << 20;
/// The columns of a batch are never longer.
const RAW_BYTES_MAX: usize = 4 << 20;
/// Readers get this many bytes of keys, or one key, at once.
const ARENA_BYTES_SOFT: usize = 128 << 10;
/// Fastest of zstd's usual levels.
const LEVEL: i32 = 1;

const SLOT_BYTES_MAX: usize = 5;
const BASE_BYTES: usize = 8;
const COLUMN_LENGTHS_BYTES: usize = 4 * 10;
const KEY_EDITS_BYTES_MAX: usize = 1 + 255 * 9;

const _: () = assert!(
    KEYS_BYTES_SOFT
        + KEY_BYTES_MAX
        + KEY_EDITS_BYTES_MAX
        + DEFINITIONS_PER_RECORD_MAX * (SLOT_BYTES_MAX + BASE_BYTES)
        + COLUMN_LENGTHS_BYTES
        <= RAW_BYTES_MAX
);
// zstd adds little to what it cannot compress.
const _: () = assert!(RAW_BYTES_MAX + RAW_BYTES_MAX / 128 + 1024 <= PAYLOAD_BYTES_MAX);

/// Collects a batch of definitions and makes its payload; keeps its buffers.
pub(crate) struct DefinitionsEncoder {
    zstd: Compressor<'static>,
    slots: Vec<u32>,
    bases: Vec<u64>,
    keys: KeysEncoder,
    raw: Vec<u8>,
    payload: Vec<u8>,
}

impl DefinitionsEncoder {
    /// An empty batch.
    pub(crate) fn new() -> Self {
        Self {
            zstd: Compressor::new(LEVEL).expect("BUG: zstd knows level 1"),
            slots: Vec::new(),
            bases: Vec::new(),
            keys: KeysEncoder::default(),
            raw: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Starts a new batch.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.bases.clear();
        self.keys.clear();
    }

    /// Whether the batch takes no further definition.
    pub(crate) fn is_full(&self) -> bool {
        self.slots.len() == DEFINITIONS_PER_RECORD_MAX || self.keys.bytes() >= KEYS_BYTES_SOFT
    }

    /// Adds a definition.
    pub(crate) fn push(&mut self, slot: u32, base: u64, key: &[u8]) {
        assert!(!self.is_full() && slot < SLOTS_MAX && key.len() <= KEY_BYTES_MAX, "BUG: slot {slot} does not fit");
        self.slots.push(slot);
        self.bases.push(base);
        self.keys.push(key);
    }

    /// Whether the batch holds no definition.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The slots and base values of the batch.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (u32, u64)> {
        self.slots.iter().copied().zip(self.bases.iter().copied())
    }

    /// Makes the payload of the batch.
    pub(crate) fn finish(&mut self) {
        let slots = &mut self.payload;
        slots.clear();
        let mut next = 0_i64;
        for slot in &self.slots {
            put_zigzag(slots, i64::from(*slot) - next);
            next = i64::from(*slot) + 1;
        }
        self.raw.clear();
        put_len_prefixed(&mut self.raw, slots);
        for plane in 0..BASE_BYTES {
            self.raw.extend(self.bases.iter().map(|base| (base >> (8 * plane)) as u8));
        }
        put_len_prefixed(&mut self.raw, &self.keys.edits);
        put_len_prefixed(&mut self.raw, &self.keys.inserts);
        assert!(self.raw.len() <= RAW_BYTES_MAX, "BUG: definitions of {} bytes", self.raw.len());

        self.payload.clear();
        self.payload.extend_from_slice(&(self.slots.len() as u32).to_le_bytes());
        self.payload.extend_from_slice(&(self.raw.len() as u32).to_le_bytes());
        let head_bytes = self.payload.len();
        self.payload.resize(head_bytes + zstd::zstd_safe::compress_bound(self.raw.len()), 0);
        let compressed = self
            .zstd
            .compress_to_buffer(&self.raw, &mut self.payload[head_bytes..])
            .expect("BUG: the buffer has the size that zstd asked for");
        self.payload.truncate(head_bytes + compressed);
    }

    /// What [`DefinitionsEncoder::finish`] made.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// Where a reader's own numbers for series come from: gets keys, appends a number for each.
pub(crate) type Define<'a> = dyn FnMut(&mut dyn Iterator<Item = &[u8]>, &mut Vec<u32>) + 'a;

/// Reads batches of definitions; keeps its buffers.
pub(crate) struct DefinitionsDecoder {
    zstd: Decompressor<'static>,
    raw: Vec<u8>,
    arena: Arena,
}

impl DefinitionsDecoder {
    /// A decoder with empty buffers.
    pub(crate) fn new() -> Self {
        let zstd = Decompressor::new().expect("BUG: zstd needs no dictionary");
        Self { zstd, raw: Vec::new(), arena: Arena::default() }
    }

    /// Appends the definitions in `payload` to `out`. After an error those before the damage have been appended.
    pub(crate) fn decode(
        &mut self,
        payload: &[u8],
        define: &mut Define<'_>,
        out: &mut Vec<(u32, Definition)>,
    ) -> Result<(), Malformed> {
        let count = self.decompress(payload)?;
        let mut raw = Reader::new(&self.raw);
        let mut slots = Reader::new(raw.len_prefixed(RAW_BYTES_MAX)?);
        let bases = raw.bytes(count * BASE_BYTES)?;
        let edits = raw.len_prefixed(RAW_BYTES_MAX)?;
        let mut keys = KeysDecoder::new(edits, raw.len_prefixed(RAW_BYTES_MAX)?);
        raw.finish()?;

        self.arena.clear();
        let mut slot_next = 0_i64;
        let mut done = 0;
        while done < count {
            self.arena.fill(&mut keys, count - done)?;
            for target in self.arena.ask(define) {
                let slot = slot_next.saturating_add(slots.zigzag()?);
                slot_next = slot.saturating_add(1);
                let slot = u32::try_from(slot).ok().filter(|slot| *slot < SLOTS_MAX);
                let slot = slot.ok_or_else(|| slots.malformed("slot"))?;
                out.push((slot, Definition { base: base_at(bases, count, done), target: *target }));
                done += 1;
            }
        }
        slots.finish()?;
        keys.finish()
    }

    /// Fills `raw`; says how many definitions it holds.
    fn decompress(&mut self, payload: &[u8]) -> Result<usize, Malformed> {
        let mut head = Reader::new(payload);
        let count = head.u32()? as usize;
        let raw_bytes = head.u32()? as usize;
        if count == 0 || count > DEFINITIONS_PER_RECORD_MAX || raw_bytes > RAW_BYTES_MAX {
            return Err(Malformed { what: "size of definitions", offset: 0 });
        }
        self.raw.clear();
        self.raw.reserve(raw_bytes);
        match self.zstd.decompress_to_buffer(head.rest(), &mut self.raw) {
            Ok(bytes) if bytes == raw_bytes => Ok(count),
            _ => Err(head.malformed("compressed definitions")),
        }
    }
}

/// Some keys at once: enough for the reader to look them up together, few enough for the processor's cache.
#[derive(Default)]
struct Arena {
    /// The last key of the batch before, then the keys.
    bytes: Vec<u8>,
    /// Where the first key begins.
    keys_at: usize,
    /// Where each key ends.
    ends: Vec<usize>,
    targets: Vec<u32>,
}

impl Arena {
    fn clear(&mut self) {
        self.bytes.clear();
        self.keys_at = 0;
        self.ends.clear();
    }

    /// Replaces the keys by the next ones, at most `count`.
    fn fill(&mut self, keys: &mut KeysDecoder<'_>, count: usize) -> Result<(), Malformed> {
        let last_at = self.ends.iter().rev().nth(1).copied().unwrap_or(self.keys_at);
        self.bytes.copy_within(last_at.., 0);
        self.bytes.truncate(self.bytes.len() - last_at);
        self.keys_at = self.bytes.len();
        self.ends.clear();
        let mut previous = 0..self.keys_at;
        while self.ends.len() < count && self.bytes.len() - self.keys_at < ARENA_BYTES_SOFT {
            let start = self.bytes.len();
            keys.next(&mut self.bytes, previous)?;
            previous = start..self.bytes.len();
            self.ends.push(previous.end);
        }
        Ok(())
    }

    /// The reader's own numbers for the keys.
    fn ask(&mut self, define: &mut Define<'_>) -> &[u32] {
        self.targets.clear();
        let bytes = &self.bytes;
        let mut start = self.keys_at;
        let mut keys = self.ends.iter().map(|end| {
            let key = &bytes[start..*end];
            start = *end;
            key
        });
        define(&mut keys, &mut self.targets);
        let (asked, answered) = (self.ends.len(), self.targets.len());
        assert!(asked == answered, "BUG: {asked} keys were given, {answered} slots came back");
        &self.targets
    }
}

/// Puts the bytes of a base value together again.
fn base_at(planes: &[u8], count: usize, at: usize) -> u64 {
    (0..BASE_BYTES).fold(0, |base, plane| base | u64::from(planes[plane * count + at]) << (8 * plane))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Series = (u32, u64, Vec<u8>);

    fn encode(series: &[Series]) -> Vec<u8> {
        let mut encoder = DefinitionsEncoder::new();
        series.iter().for_each(|(slot, base, key)| encoder.push(*slot, *base, key));
        encoder.finish();
        encoder.payload().to_vec()
    }

    fn decode(payload: &[u8]) -> Result<Vec<Series>, Malformed> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut out = Vec::new();
        let mut define = |batch: &mut dyn Iterator<Item = &[u8]>, targets: &mut Vec<u32>| {
            for key in batch {
                targets.push(keys.len() as u32);
                keys.push(key.to_vec());
            }
        };
        DefinitionsDecoder::new().decode(payload, &mut define, &mut out)?;
        Ok(out.iter().map(|(slot, found)| (*slot, found.base, keys[found.target as usize].clone())).collect())
    }

    #[test]
    fn long_keys_are_given_in_several_batches() {
        let long = |byte: u8, bytes: usize| vec![byte; bytes];
        let series = vec![
            (9, 1, long(1, 100_000)),
            (10, 2, long(1, 100_001)),
            (3, 3, long(2, KEY_BYTES_MAX)),
            (SLOTS_MAX - 1, u64::MAX, long(2, 5)),
        ];
        assert_eq!(decode(&encode(&series)), Ok(series));
    }

    #[test]
    fn a_batch_is_full_by_number_or_by_bytes() {
        let mut encoder = DefinitionsEncoder::new();
        (0..DEFINITIONS_PER_RECORD_MAX as u32).for_each(|slot| encoder.push(slot, 0, b"key"));
        assert!(encoder.is_full());
        encoder.clear();
        let mut slot = 0;
        while !encoder.is_full() {
            encoder.push(slot, 0, &vec![slot as u8 + 1; KEY_BYTES_MAX]);
            slot += 1;
        }
        encoder.finish();
        assert!(slot == 2 && encoder.payload().len() <= PAYLOAD_BYTES_MAX);
    }

    #[test]
    fn damage_is_refused() {
        let payload = encode(&[(1, 5, b"a\0b\0".to_vec()), (2, 6, b"a\0c\0".to_vec())]);
        for cut in 0..payload.len() {
            assert!(decode(&payload[..cut]).is_err(), "cut at {cut}");
        }
        let mut too_many = payload;
        too_many[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decode(&too_many).is_err());
    }

    proptest! {
        #[test]
        fn batches_come_back(series in proptest::collection::vec(
            (0..SLOTS_MAX, any::<u64>(), proptest::collection::vec(any::<u8>(), 0..30)), 1..40,
        )) {
            prop_assert_eq!(decode(&encode(&series)), Ok(series));
        }
    }
}
