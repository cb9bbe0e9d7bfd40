//! Mutations of valid inputs.
//!
//! A reader of outside bytes breaks where lengths, counts and offsets are believed, so most of the
//! mutations move whole blocks or put extreme numbers in place, in the widths and the varint form
//! that the formats of the project use.

use std::ops::Range;

use crate::Rng;

/// Mutations that are stacked on one input at most.
const MAX_STACKED: u64 = 6;
/// No input grows over this.
const MAX_INPUT_BYTES: usize = 1 << 20;
/// Blocks that are moved, removed or doubled are mostly small, and never longer.
const MAX_BLOCK_BYTES: usize = 4096;

const INTERESTING: [u64; 24] = [
    0,
    1,
    2,
    7,
    8,
    15,
    16,
    63,
    64,
    127,
    128,
    255,
    256,
    1023,
    4096,
    i16::MAX as u64,
    u16::MAX as u64,
    1 << 24,
    i32::MAX as u64,
    u32::MAX as u64,
    1 << 40,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];

/// How many kinds of mutations there are.
const MUTATIONS: u64 = 11;

/// Makes `input` a mutation of one of `known`, or of nothing if there are none.
pub fn mutate(known: &[Vec<u8>], input: &mut Vec<u8>, rng: &mut Rng) {
    input.clear();
    if !known.is_empty() {
        input.extend_from_slice(&known[rng.index(known.len())]);
    }
    for _ in 0..=rng.below(MAX_STACKED) {
        if input.is_empty() {
            let len = rng.index(32);
            input.extend(rng.bytes(len));
        } else {
            apply(rng.below(MUTATIONS), input, known, rng);
        }
        input.truncate(MAX_INPUT_BYTES);
    }
}

/// Applies one kind of mutation to an input that is not empty.
fn apply(kind: u64, input: &mut Vec<u8>, known: &[Vec<u8>], rng: &mut Rng) {
    match kind {
        0 => flip_bit(input, rng),
        1 => set_byte(input, rng),
        2 => truncate(input, rng),
        3 => put_number(input, rng),
        4 => shift_number(input, rng),
        5 => put_varint(input, rng),
        6 => remove_block(input, rng),
        7 => double_block(input, rng),
        8 => move_block(input, rng),
        9 => fill_block(input, rng),
        10 => splice(input, known, rng),
        _ => panic!("BUG: there is no mutation {kind}"),
    }
}

fn block(len: usize, rng: &mut Rng) -> Range<usize> {
    let start = rng.index(len);
    let longest = (len - start).min(MAX_BLOCK_BYTES);
    let longest = if rng.chance(0.7) { longest.min(32) } else { longest };
    start..start + 1 + rng.index(longest)
}

fn flip_bit(input: &mut [u8], rng: &mut Rng) {
    let at = rng.index(input.len());
    input[at] ^= 1 << rng.below(8);
}

fn set_byte(input: &mut [u8], rng: &mut Rng) {
    let at = rng.index(input.len());
    input[at] = if rng.chance(0.5) { *rng.pick(&INTERESTING) as u8 } else { rng.next_u64() as u8 };
}

fn truncate(input: &mut Vec<u8>, rng: &mut Rng) {
    let len = rng.index(input.len());
    // Near the end as often as anywhere: a missing last byte is the commonest damage.
    let near = input.len() - 1 - rng.index(input.len().min(16));
    input.truncate(if rng.chance(0.5) { near } else { len });
}

fn put_number(input: &mut [u8], rng: &mut Rng) {
    let number = *rng.pick(&INTERESTING);
    write_number(input, rng, |_| number);
}

fn shift_number(input: &mut [u8], rng: &mut Rng) {
    let by = rng.below(35).wrapping_sub(17);
    write_number(input, rng, |number| number.wrapping_add(by));
}

/// Changes the number at a random place, in a random width and byte order.
fn write_number(input: &mut [u8], rng: &mut Rng, change: impl Fn(u64) -> u64) {
    let width = (*rng.pick(&[1, 2, 4, 8])).min(input.len());
    let start = rng.index(input.len() - width + 1);
    let place = &mut input[start..start + width];
    let big_endian = rng.chance(0.5);
    if big_endian {
        place.reverse();
    }
    let mut bytes = [0; 8];
    bytes[..width].copy_from_slice(place);
    let changed = change(u64::from_le_bytes(bytes)).to_le_bytes();
    place.copy_from_slice(&changed[..width]);
    if big_endian {
        place.reverse();
    }
}

/// Puts a varint over or between what is there: an extreme one, or one with too many bytes.
fn put_varint(input: &mut Vec<u8>, rng: &mut Rng) {
    let varint = if rng.chance(0.2) {
        let mut endless = vec![0xFF; 1 + rng.index(16)];
        endless.push(rng.below(128) as u8);
        endless
    } else {
        let number = *rng.pick(&INTERESTING);
        encode_varint(number.wrapping_add(rng.below(3)).wrapping_sub(1))
    };
    let at = rng.index(input.len());
    let over = if rng.chance(0.5) { varint.len().min(input.len() - at) } else { 0 };
    input.splice(at..at + over, varint);
}

fn encode_varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn remove_block(input: &mut Vec<u8>, rng: &mut Rng) {
    let block = block(input.len(), rng);
    input.drain(block);
}

fn double_block(input: &mut Vec<u8>, rng: &mut Rng) {
    let copy = input[block(input.len(), rng)].to_vec();
    let at = rng.index(input.len() + 1);
    input.splice(at..at, copy);
}

fn move_block(input: &mut Vec<u8>, rng: &mut Rng) {
    let moved: Vec<u8> = input.drain(block(input.len(), rng)).collect();
    let at = rng.index(input.len() + 1);
    input.splice(at..at, moved);
}

fn fill_block(input: &mut [u8], rng: &mut Rng) {
    let with = *rng.pick(&[0, 0xFF, 0x80]);
    let block = block(input.len(), rng);
    input[block].fill(with);
}

/// Puts the end of another input behind the beginning of this one.
fn splice(input: &mut Vec<u8>, known: &[Vec<u8>], rng: &mut Rng) {
    let Some(other) = known.get(rng.index(known.len().max(1))) else { return };
    input.truncate(rng.index(input.len() + 1));
    input.extend_from_slice(&other[rng.index(other.len() + 1)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_works_on_every_length() {
        let mut rng = Rng::new(3);
        for kind in 0..MUTATIONS {
            for len in 1..40 {
                let known = [rng.bytes(len), rng.bytes(3), Vec::new()];
                let mut input = known[0].clone();
                apply(kind, &mut input, &known, &mut rng);
                apply(kind, &mut vec![7], &[], &mut rng);
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let known = [b"the quick brown fox".to_vec(), b"jumps".to_vec()];
        let inputs = |seed| {
            let mut rng = Rng::new(seed);
            let mut input = Vec::new();
            let mut next = || {
                mutate(&known, &mut input, &mut rng);
                input.clone()
            };
            (0..100).map(|_| next()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(9), inputs(9));
        assert_ne!(inputs(9), inputs(10));
        let mut rng = Rng::new(1);
        mutate(&[], &mut Vec::new(), &mut rng);
    }
}
