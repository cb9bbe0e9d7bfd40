//! Packs a vector of up to 256 numbers of one width into four interleaved bit lanes.
//!
//! ```text
//! number i stands in lane i % 4, row i / 4; a lane is a stream of 64-bit words, lowest bits first
//!
//!   word 0 of lane 0 | word 0 of lane 1 | word 0 of lane 2 | word 0 of lane 3 | word 1 of lane 0 | …
//! ```
//!
//! 1. Four lanes fill one 256-bit register, so a row is one shift and one mask for four numbers, and the order of
//!    the numbers is kept: no transpose is needed before a prefix sum.
//! 2. A full vector of width w takes exactly 32·w bytes. A shorter one has fewer rows; the last word of every lane is
//!    then cut to the bytes in use, so that a block of 16 samples does not pay for 256.
//! 3. Unpacking always makes whole rows. The widths that metrics have (1 to 32 bits) are unrolled with constant
//!    shifts, wider ones share one loop: 0.1 against 0.6 ns a number.

use crate::VECTOR_SAMPLES;
use crate::wide::wide;

/// Lanes of one row.
const LANES: usize = 4;
/// Rows of a full vector.
const ROWS: usize = VECTOR_SAMPLES / LANES;
/// Bytes of a row of words.
const ROW_LEN: usize = 8 * LANES;
/// Up to this width there is a loop for each.
const UNROLLED_MAX: usize = 32;
/// The widest number.
pub(crate) const WIDTH_MAX: usize = 64;
/// Words of the widest full lane, and one more so that a row may always look at the next word.
const WORDS: usize = WIDTH_MAX + 1;

/// One word of each lane.
type Row = [u64; LANES];
/// The same in bytes.
type PackedRow = [u8; ROW_LEN];
/// One vector of numbers.
pub(crate) type Vector = [u64; VECTOR_SAMPLES];

const _: () = assert!(ROWS == 64, "a full lane of width w must take exactly w words");

/// Words on their way between bytes and numbers.
#[derive(Debug)]
pub(crate) struct Words {
    rows: [Row; WORDS],
    padded: [PackedRow; WORDS],
}

impl Default for Words {
    fn default() -> Self {
        Self { rows: [[0; LANES]; WORDS], padded: [[0; ROW_LEN]; WORDS] }
    }
}

/// Bits of one lane that holds its share of `count` numbers.
const fn lane_bits(count: usize, width: usize) -> usize {
    count.div_ceil(LANES) * width
}

/// How many bytes `count` numbers of `width` bits take.
pub(crate) const fn packed_len(count: usize, width: usize) -> usize {
    let bits = lane_bits(count, width);
    LANES * (8 * (bits / 64) + (bits % 64).div_ceil(8))
}

/// Appends the first `count` numbers, each of which must fit `width` bits.
pub(crate) fn pack(numbers: &Vector, count: usize, width: usize, words: &mut Words, out: &mut Vec<u8>) {
    debug_assert!((1..=VECTOR_SAMPLES).contains(&count) && width <= WIDTH_MAX);
    debug_assert!(width == WIDTH_MAX || numbers[..count].iter().all(|&number| number >> width == 0));
    if width == 0 {
        return;
    }
    let rows = count.div_ceil(LANES);
    pack_rows(numbers, count, rows, width, &mut words.rows);
    let bits = rows * width;
    let (full, rest_bytes) = (bits / 64, (bits % 64).div_ceil(8));
    for row in &words.rows[..full] {
        for word in row {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    if rest_bytes > 0 {
        for word in &words.rows[full] {
            out.extend_from_slice(&word.to_le_bytes()[..rest_bytes]);
        }
    }
}

/// Undoes [`pack`]; `bytes` must be exactly [`packed_len`] long. What follows the last number is unspecified.
pub(crate) fn unpack(bytes: &[u8], count: usize, width: usize, words: &mut Words, numbers: &mut Vector) {
    assert_eq!(bytes.len(), packed_len(count, width), "the caller cuts the packed bytes");
    let rows = count.div_ceil(LANES);
    if width == 0 {
        numbers.fill(0);
    } else if rows == ROWS && unpack_full(bytes.as_chunks().0, width, numbers) {
        // Straight from the input, as most vectors are.
    } else {
        pad(bytes, rows * width, &mut words.padded);
        if rows < ROWS / 2 || !unpack_full(&words.padded[..width], width, numbers) {
            unpack_any(&words.padded, rows, width, numbers);
        }
    }
}

/// Completes the last word of every lane, whose lanes are `lane_bits` long.
fn pad(bytes: &[u8], lane_bits: usize, padded: &mut [PackedRow; WORDS]) {
    let full = lane_bits / 64;
    let (whole, rest) = bytes.split_at(full * ROW_LEN);
    padded[..full].copy_from_slice(whole.as_chunks().0);
    padded[full] = [0; ROW_LEN];
    if !rest.is_empty() {
        let rest_bytes = rest.len() / LANES;
        for (word, cut) in padded[full].chunks_exact_mut(8).zip(rest.chunks_exact(rest_bytes)) {
            word[..rest_bytes].copy_from_slice(cut);
        }
    }
}

#[inline(always)]
fn row_from(bytes: &PackedRow) -> Row {
    let mut row = [0; LANES];
    for (word, bytes) in row.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    row
}

wide! {
    fn pack_rows(numbers: &Vector, count: usize, rows: usize, width: usize, words: &mut [Row; WORDS]) {
        for row in &mut words[..(rows * width).div_ceil(64)] {
            *row = [0; LANES];
        }
        let mut bit = 0;
        for (index, row) in numbers.as_chunks::<LANES>().0.iter().take(rows).enumerate() {
            let mut row = *row;
            // Behind the last number a row may hold leftovers of an earlier vector.
            if index * LANES + LANES > count {
                row[count - index * LANES..].fill(0);
            }
            let (word, shift) = (bit / 64, bit % 64);
            for (lane, number) in row.iter().enumerate() {
                words[word][lane] |= number << shift;
            }
            if shift + width > 64 {
                for (lane, number) in row.iter().enumerate() {
                    words[word + 1][lane] = number >> (64 - shift);
                }
            }
            bit += width;
        }
    }
}

/// Unpacks a full vector if its width is unrolled for this processor. On x86-64 that is compiled for AVX2 alone: without
/// it it gains little, and it is half of this crate's code.
fn unpack_full(words: &[PackedRow], width: usize, numbers: &mut Vector) -> bool {
    if width > UNROLLED_MAX {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    if crate::wide::has_avx2() {
        #[expect(unsafe_code, reason = "calling the AVX2 build needs the feature check just above")]
        // SAFETY: `has_avx2` saw every feature that the callee enables on this processor.
        unsafe {
            unpack_avx2(words, width, numbers);
        }
        return true;
    }
    #[cfg(not(target_arch = "x86_64"))]
    unpack_by_width(words, width, numbers);
    cfg!(not(target_arch = "x86_64"))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn unpack_avx2(words: &[PackedRow], width: usize, numbers: &mut Vector) {
    unpack_by_width(words, width, numbers);
}

#[inline(always)]
fn unpack_by_width(words: &[PackedRow], width: usize, numbers: &mut Vector) {
    macro_rules! unrolled {
        ($($constant:literal)*) => {
            match width {
                $($constant => unpack_unrolled::<$constant>(words, numbers),)*
                _ => unreachable!("the caller keeps to the widths that are unrolled"),
            }
        };
    }
    unrolled!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

wide! {
    // The loop for every width and any number of rows.
    fn unpack_any(words: &[PackedRow; WORDS], rows: usize, width: usize, numbers: &mut Vector) {
        let mask = u64::MAX >> (64 - width);
        let mut bit = 0;
        for row in numbers.as_chunks_mut::<LANES>().0.iter_mut().take(rows) {
            let (word, shift) = (bit / 64, bit % 64);
            let (low, high) = (row_from(&words[word]), row_from(&words[word + 1]));
            for (number, (low, high)) in row.iter_mut().zip(low.into_iter().zip(high)) {
                // Two shifts, because one by 64 bits is no shift at all for the hardware.
                *number = ((low >> shift) | ((high << 1) << (63 - shift))) & mask;
            }
            bit += width;
        }
    }
}

/// All 64 rows with shifts known to the compiler.
#[inline(always)]
fn unpack_unrolled<const WIDTH: usize>(words: &[PackedRow], numbers: &mut Vector) {
    let words: &[PackedRow; WIDTH] = words.first_chunk().expect("a full vector has as many words as bits");
    let rows = numbers.as_chunks_mut::<LANES>().0;
    let mask = const { u64::MAX >> (64 - WIDTH) };
    macro_rules! each {
        ($($row:literal)*) => {
            $({
                let (word, shift) = (const { $row * WIDTH / 64 }, const { $row * WIDTH % 64 });
                let mut row = row_from(&words[word]);
                for lane in &mut row {
                    *lane >>= shift;
                }
                if shift + WIDTH > 64 {
                    for (lane, next) in row.iter_mut().zip(row_from(&words[word + 1])) {
                        *lane |= next << (64 - shift);
                    }
                }
                if shift + WIDTH != 64 {
                    for lane in &mut row {
                        *lane &= mask;
                    }
                }
                rows[$row] = row;
            })*
        };
    }
    each!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
          32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(numbers: &[u64], width: usize) {
        let mut vector = [u64::MAX; VECTOR_SAMPLES];
        vector[..numbers.len()].copy_from_slice(numbers);
        let mut words = Words::default();
        words.rows.fill([u64::MAX; LANES]);
        let mut bytes = Vec::new();
        pack(&vector, numbers.len(), width, &mut words, &mut bytes);
        assert_eq!(bytes.len(), packed_len(numbers.len(), width));
        let mut back = [0; VECTOR_SAMPLES];
        words.padded.fill([u8::MAX; ROW_LEN]);
        unpack(&bytes, numbers.len(), width, &mut words, &mut back);
        assert_eq!(&back[..numbers.len()], numbers, "width {width}");
    }

    #[test]
    fn every_width_and_count_round_trips() {
        let mut state = 1_u64;
        for width in 0..=WIDTH_MAX {
            for count in [1, 2, 3, 4, 5, 63, 64, 100, 127, 128, 129, 200, 253, 255, 256] {
                let numbers: Vec<u64> = (0..count)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let mixed = state ^ (state >> 29);
                        if width == 0 { 0 } else { mixed >> (64 - width) }
                    })
                    .collect();
                round_trip(&numbers, width);
            }
        }
    }

    #[test]
    fn full_vectors_have_no_slack() {
        for width in 0..=WIDTH_MAX {
            assert_eq!(packed_len(VECTOR_SAMPLES, width), 32 * width);
        }
        assert_eq!(packed_len(16, 7), 16);
    }

    proptest! {
        #[test]
        fn arbitrary_numbers_round_trip(width in 1_usize..=64, numbers in proptest::collection::vec(any::<u64>(), 1..=256)) {
            let cut: Vec<u64> = numbers.iter().map(|number| number >> (64 - width)).collect();
            round_trip(&cut, width);
        }
    }
}
