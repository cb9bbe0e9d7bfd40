//! Float samples → the payload of a record.
//!
//! 1. The number of samples and the time of the first.
//! 2. A column of tags, a byte a sample: five bits say how the value differs from the slot's base value
//!    ([`super::value`]), three how slot and time follow those of the sample before.
//! 3. The bytes that the tags announce: slot, time, value of each sample.
//! 4. Eight zero bytes, so that a reader can always load eight at once.
//!
//! Tags stand apart from what they announce because then a decoder knows the next lengths before it has read the
//! present bytes.

use super::value;
use crate::SLOTS_MAX;
use crate::slots::Bases;
use codec::bytes::zigzag;

/// A record holds no more samples.
pub const SAMPLES_PER_RECORD_MAX: usize = 1 << 14;

/// Count and first time.
pub(super) const HEAD_BYTES: usize = 12;
/// The zeros at the end.
pub(super) const PAD_BYTES: usize = 8;
/// The slot's difference in 5, the time's in 10, the value in 8.
const SAMPLE_BYTES_MAX: usize = 23;

const _: () = assert!(
    HEAD_BYTES + SAMPLES_PER_RECORD_MAX * (1 + SAMPLE_BYTES_MAX) + PAD_BYTES <= super::frame::PAYLOAD_BYTES_MAX
);

/// How slot and time follow the sample before: the upper three bits of a tag.
pub(super) mod step {
    /// The next slot at the same time.
    pub(in super::super) const NEXT: u8 = 0;
    /// The next slot, and the time's difference.
    pub(in super::super) const NEXT_TIME: u8 = 1;
    /// The slot's difference to the next, at the same time.
    pub(in super::super) const SLOT: u8 = 2;
    /// The slot's difference to the next, and the time's difference.
    pub(in super::super) const SLOT_TIME: u8 = 3;
    /// The same slot, and the time's difference.
    pub(in super::super) const TIME: u8 = 4;
    /// The same slot, as much later as the last time that was different.
    pub(in super::super) const AGAIN: u8 = 5;
}

/// Encodes float samples; keeps its buffer.
#[derive(Default)]
pub(crate) struct FloatsEncoder {
    payload: Vec<u8>,
}

impl FloatsEncoder {
    /// The payload for these samples; `None` if `bases` lacks the slot of one.
    pub(crate) fn encode(
        &mut self,
        slots: &[u32],
        times: &[i64],
        values: &[f64],
        mut bases: Bases<'_>,
    ) -> Option<&[u8]> {
        let count = slots.len();
        assert!((1..=SAMPLES_PER_RECORD_MAX).contains(&count), "BUG: {count} samples for a record");
        assert!(times.len() == count && values.len() == count, "BUG: columns of different length");
        let bytes_max = HEAD_BYTES + count * (1 + SAMPLE_BYTES_MAX) + PAD_BYTES;
        if self.payload.len() < bytes_max {
            self.payload.resize(bytes_max, 0);
        }
        let (head, rest) = self.payload.split_at_mut(HEAD_BYTES);
        head[..4].copy_from_slice(&(count as u32).to_le_bytes());
        head[4..].copy_from_slice(&times[0].to_le_bytes());
        let (tags, data) = rest.split_at_mut(count);

        let mut at = 0;
        let mut slot_next = 0_u32;
        let mut time_last = times[0];
        let mut time_step = 0_i64;
        for (((&slot, &time), &value), tag) in slots.iter().zip(times).zip(values).zip(tags) {
            let base = bases.get(slot)?;
            let step = if slot == slot_next && time == time_last {
                step::NEXT
            } else {
                let moved = time.wrapping_sub(time_last);
                let step = step_of(slot, slot_next, moved, time_step);
                if matches!(step, step::SLOT | step::SLOT_TIME) {
                    at += put(data, at, zigzag(i64::from(slot) - i64::from(slot_next)));
                }
                if matches!(step, step::NEXT_TIME | step::SLOT_TIME | step::TIME) {
                    at += put(data, at, zigzag(moved));
                    time_step = moved;
                }
                step
            };
            let (code, bytes, bits) = value::encode(base, value.to_bits());
            data[at..at + 8].copy_from_slice(&bits.to_le_bytes());
            at += bytes;
            *tag = step << 5 | code;
            slot_next = slot + 1;
            time_last = time;
        }
        data[at..at + PAD_BYTES].fill(0);
        Some(&self.payload[..HEAD_BYTES + count + at + PAD_BYTES])
    }
}

fn step_of(slot: u32, slot_next: u32, moved: i64, time_step: i64) -> u8 {
    const { assert!(SLOTS_MAX < u32::MAX) };
    let same_slot = slot.wrapping_add(1) == slot_next;
    match (slot == slot_next, same_slot, moved == 0) {
        (true, _, true) => step::NEXT,
        (true, _, false) => step::NEXT_TIME,
        (_, true, _) if moved == time_step => step::AGAIN,
        (_, true, _) => step::TIME,
        (_, _, true) => step::SLOT,
        _ => step::SLOT_TIME,
    }
}

/// Writes a varint at `at`; says how many bytes it took.
fn put(data: &mut [u8], at: usize, number: u64) -> usize {
    let mut left = number;
    let mut bytes = 0;
    while left >= 0x80 {
        data[at + bytes] = left as u8 | 0x80;
        left >>= 7;
        bytes += 1;
    }
    data[at + bytes] = left as u8;
    bytes + 1
}
