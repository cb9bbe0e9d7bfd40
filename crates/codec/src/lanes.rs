//! Kernels that compilers do not vectorise by themselves, by hand for AVX2 or AVX-512 and in portable form.
//!
//! 1. [`prefix_sum`]: the sums inside a row of four come from two shifted additions; only the row totals hang together,
//!    one addition for four numbers. Measured 0.25 against 0.65 ns a number. [`prefix_sum_twice`] sums these sums in the
//!    same pass.
//! 2. [`expand`]: spreads stored numbers over the set bits of a bitmap, four bits at a time by a permutation from a
//!    table. Measured 0.15 against 1.7 ns a number.
//! 3. [`stretch`]: products of 64 bits are eight steps before AVX-512, which has them.

use crate::VECTOR_SAMPLES;
use crate::bitpack::Vector;
use crate::bytes::unzigzag;
use crate::wide::wide;

const LANES: usize = 4;

/// Running sums of a vector of residuals.
pub(crate) type Sums = [i64; VECTOR_SAMPLES];

/// Sums residuals from `start` on: out[i] = start + Σ (base + residual[0..=i]), the residuals as they are or zigzag.
pub(crate) fn prefix_sum(residuals: &Vector, folded: bool, base: i64, start: i64, sums: &mut Sums) {
    #[cfg(target_arch = "x86_64")]
    if crate::wide::has_avx2() {
        #[expect(unsafe_code, reason = "calling the AVX2 build needs the feature check just above")]
        // SAFETY: `has_avx2` saw every feature that the callees enable on this processor.
        return unsafe {
            if folded {
                x86::prefix_sum::<true>(residuals, base, start, sums);
            } else {
                x86::prefix_sum::<false>(residuals, base, start, sums);
            }
        };
    }
    if folded {
        portable_prefix_sum(residuals, start, sums, |residual| unzigzag(residual).wrapping_add(base));
    } else {
        portable_prefix_sum(residuals, start, sums, |residual| (residual as i64).wrapping_add(base));
    }
}

/// The sums of the sums: out[i] = start + Σ s[0..=i], s[i] = slope + Σ (base + residual[0..=i]).
pub(crate) fn prefix_sum_twice(residuals: &Vector, folded: bool, base: i64, slope: i64, start: i64, sums: &mut Sums) {
    #[cfg(target_arch = "x86_64")]
    if crate::wide::has_avx2() {
        #[expect(unsafe_code, reason = "calling the AVX2 build needs the feature check just above")]
        // SAFETY: `has_avx2` saw every feature that the callees enable on this processor.
        return unsafe {
            if folded {
                x86::prefix_sum_twice::<true>(residuals, base, slope, start, sums);
            } else {
                x86::prefix_sum_twice::<false>(residuals, base, slope, start, sums);
            }
        };
    }
    let mut slopes = [0; VECTOR_SAMPLES];
    prefix_sum(residuals, folded, base, slope, &mut slopes);
    portable_prefix_sum(&slopes.map(i64::cast_unsigned), start, sums, |slope| slope as i64);
}

/// numbers[i] becomes start + (i + 1) · slope + factor · numbers[i].
pub(crate) fn stretch(numbers: &mut Sums, factor: i64, slope: i64, start: i64) {
    #[cfg(target_arch = "x86_64")]
    if crate::wide::has_avx512() {
        #[expect(unsafe_code, reason = "calling the AVX-512 build needs the feature check just above")]
        // SAFETY: `has_avx512` saw every feature that the callee enables on this processor.
        return unsafe { x86::stretch(numbers, factor, slope, start) };
    }
    stretch_in_steps(numbers, factor, slope, start);
}

wide! {
    fn stretch_in_steps(numbers: &mut Sums, factor: i64, slope: i64, start: i64) {
        let mut line = start;
        for number in numbers {
            line = line.wrapping_add(slope);
            *number = line.wrapping_add(number.wrapping_mul(factor));
        }
    }
}

/// out[i] is the next of `numbers` where bit i of the bitmap is set, else 0. The bitmap has at least `count` bits.
pub(crate) fn expand(bitmap: &[u8], count: usize, numbers: &Vector, out: &mut Vector) {
    assert!(count <= VECTOR_SAMPLES && count.div_ceil(8) <= bitmap.len(), "a bitmap has a bit for each number");
    #[cfg(target_arch = "x86_64")]
    if crate::wide::has_avx2() {
        #[expect(unsafe_code, reason = "calling the AVX2 build needs the feature check just above")]
        // SAFETY: `has_avx2` saw every feature that the callee enables on this processor.
        return unsafe { x86::expand(bitmap, count, numbers, out) };
    }
    portable_expand(bitmap, count, numbers, out);
}

fn portable_prefix_sum(residuals: &Vector, start: i64, sums: &mut Sums, residual: impl Fn(u64) -> i64) {
    let mut sum = start;
    for (out, &folded) in sums.iter_mut().zip(residuals) {
        sum = sum.wrapping_add(residual(folded));
        *out = sum;
    }
}

fn portable_expand(bitmap: &[u8], count: usize, numbers: &Vector, out: &mut Vector) {
    let mut next = 0;
    for (index, slot) in out[..count].iter_mut().enumerate() {
        let bit = u64::from(bitmap[index / 8] >> (index % 8) & 1);
        // A mask instead of a branch: which bits are set cannot be predicted.
        *slot = numbers[next % VECTOR_SAMPLES] & 0_u64.wrapping_sub(bit);
        next += bit as usize;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_blend_epi32, _mm256_loadu_si256, _mm256_mullo_epi64,
        _mm256_permute4x64_epi64, _mm256_permutevar8x32_epi32, _mm256_set1_epi64x, _mm256_setzero_si256,
        _mm256_slli_si256, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_sub_epi64, _mm256_xor_si256,
    };

    use super::{LANES, Sums};
    use crate::VECTOR_SAMPLES;
    use crate::bitpack::Vector;

    #[expect(unsafe_code, reason = "vector loads take pointers")]
    #[target_feature(enable = "avx2")]
    fn load<T: Copy>(row: &[T; LANES]) -> __m256i {
        const { assert!(size_of::<T>() == 8) };
        // SAFETY: the row is 32 bytes, and the load asks for no alignment.
        unsafe { _mm256_loadu_si256(row.as_ptr().cast()) }
    }

    #[expect(unsafe_code, reason = "vector stores take pointers")]
    #[target_feature(enable = "avx2")]
    fn store(row: &mut [u64; LANES], value: __m256i) {
        // SAFETY: the row is 32 bytes, and the store asks for no alignment.
        unsafe { _mm256_storeu_si256(row.as_mut_ptr().cast(), value) }
    }

    #[expect(unsafe_code, reason = "vector stores take pointers")]
    #[target_feature(enable = "avx2")]
    fn store_signed(row: &mut [i64; LANES], value: __m256i) {
        // SAFETY: the row is 32 bytes, and the store asks for no alignment.
        unsafe { _mm256_storeu_si256(row.as_mut_ptr().cast(), value) }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn prefix_sum<const FOLDED: bool>(residuals: &Vector, base: i64, start: i64, sums: &mut Sums) {
        let base = _mm256_set1_epi64x(base);
        let mut carry = _mm256_set1_epi64x(start);
        for (out, row) in sums.as_chunks_mut::<LANES>().0.iter_mut().zip(residuals.as_chunks::<LANES>().0) {
            let row = sum_row(_mm256_add_epi64(unfold::<FOLDED>(load(row)), base));
            store_signed(out, _mm256_add_epi64(row, carry));
            carry = _mm256_add_epi64(carry, last_lane(row));
        }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn prefix_sum_twice<const FOLDED: bool>(
        residuals: &Vector,
        base: i64,
        slope: i64,
        start: i64,
        sums: &mut Sums,
    ) {
        let base = _mm256_set1_epi64x(base);
        let mut slope = _mm256_set1_epi64x(slope);
        let mut carry = _mm256_set1_epi64x(start);
        for (out, row) in sums.as_chunks_mut::<LANES>().0.iter_mut().zip(residuals.as_chunks::<LANES>().0) {
            let slopes = sum_row(_mm256_add_epi64(unfold::<FOLDED>(load(row)), base));
            let row = sum_row(_mm256_add_epi64(slopes, slope));
            slope = _mm256_add_epi64(slope, last_lane(slopes));
            store_signed(out, _mm256_add_epi64(row, carry));
            carry = _mm256_add_epi64(carry, last_lane(row));
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
    pub(super) fn stretch(numbers: &mut Sums, factor: i64, slope: i64, start: i64) {
        let factor = _mm256_set1_epi64x(factor);
        let ahead: [i64; LANES] = std::array::from_fn(|lane| slope.wrapping_mul(lane as i64 + 1).wrapping_add(start));
        let (mut line, step) = (load(&ahead), _mm256_set1_epi64x(slope.wrapping_mul(LANES as i64)));
        for row in numbers.as_chunks_mut::<LANES>().0 {
            store_signed(row, _mm256_add_epi64(_mm256_mullo_epi64(load(row), factor), line));
            line = _mm256_add_epi64(line, step);
        }
    }

    /// Signed numbers from zigzag ones.
    #[target_feature(enable = "avx2")]
    fn unfold<const FOLDED: bool>(row: __m256i) -> __m256i {
        if !FOLDED {
            return row;
        }
        let sign = _mm256_sub_epi64(_mm256_setzero_si256(), _mm256_and_si256(row, _mm256_set1_epi64x(1)));
        _mm256_xor_si256(_mm256_srli_epi64::<1>(row), sign)
    }

    /// The running sums of four numbers: (a, b, c, d) becomes (a, a+b, c, c+d), then a+b is added to the upper half.
    #[target_feature(enable = "avx2")]
    fn sum_row(row: __m256i) -> __m256i {
        let row = _mm256_add_epi64(row, _mm256_slli_si256::<8>(row));
        let lower = _mm256_permute4x64_epi64::<0b01_01_01_01>(row);
        _mm256_add_epi64(row, _mm256_blend_epi32::<0b1111_0000>(_mm256_setzero_si256(), lower))
    }

    /// The last number of a row, four times.
    #[target_feature(enable = "avx2")]
    fn last_lane(row: __m256i) -> __m256i {
        _mm256_permute4x64_epi64::<0b11_11_11_11>(row)
    }

    /// For every four bits, which 32-bit half of the stored numbers goes where.
    static HALVES: [[i32; 8]; 16] = {
        let mut halves = [[0; 8]; 16];
        let mut bits = 0;
        while bits < 16 {
            let (mut lane, mut next) = (0, 0);
            while lane < LANES {
                if bits >> lane & 1 == 1 {
                    halves[bits][2 * lane] = 2 * next;
                    halves[bits][2 * lane + 1] = 2 * next + 1;
                    next += 1;
                }
                lane += 1;
            }
            bits += 1;
        }
        halves
    };

    /// For every four bits, all ones in the lanes that are set.
    static MASKS: [[u64; LANES]; 16] = {
        let mut masks = [[0; LANES]; 16];
        let mut bits = 0;
        while bits < 16 {
            let mut lane = 0;
            while lane < LANES {
                masks[bits][lane] = if bits >> lane & 1 == 1 { u64::MAX } else { 0 };
                lane += 1;
            }
            bits += 1;
        }
        masks
    };

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn expand(bitmap: &[u8], count: usize, numbers: &Vector, out: &mut Vector) {
        let mut next = 0;
        for (index, out) in out.as_chunks_mut::<LANES>().0[..count.div_ceil(LANES)].iter_mut().enumerate() {
            let bits = usize::from(bitmap[index / 2] >> (index % 2 * LANES)) & 15;
            let stored = four_from(numbers, next);
            let spread = _mm256_permutevar8x32_epi32(stored, load_halves(&HALVES[bits]));
            store(out, _mm256_and_si256(spread, load(&MASKS[bits])));
            next += bits.count_ones() as usize;
        }
    }

    #[expect(unsafe_code, reason = "vector loads take pointers")]
    #[target_feature(enable = "avx2")]
    fn load_halves(halves: &[i32; 8]) -> __m256i {
        // SAFETY: the array is 32 bytes, and the load asks for no alignment.
        unsafe { _mm256_loadu_si256(halves.as_ptr().cast()) }
    }

    /// Four numbers from `next` on, or the last four: nobody looks at those behind the bits that are left.
    #[target_feature(enable = "avx2")]
    fn four_from(numbers: &Vector, next: usize) -> __m256i {
        match numbers[next.min(VECTOR_SAMPLES)..].first_chunk::<LANES>() {
            Some(row) => load(row),
            None => {
                let mut row = [0; LANES];
                for (slot, number) in row.iter_mut().zip(&numbers[next.min(VECTOR_SAMPLES)..]) {
                    *slot = *number;
                }
                load(&row)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_builds_agree(seed: u64, base: i64, start: i64, width in 0_u32..64, count in 1_usize..=VECTOR_SAMPLES, density: u8) {
            let mut random = crate::testdata::noise(seed);
            let numbers: Vector = std::array::from_fn(|_| random() >> width);
            for folded in [false, true] {
                let mut sums = [0; VECTOR_SAMPLES];
                prefix_sum(&numbers, folded, base, start, &mut sums);
                let mut expected = [0; VECTOR_SAMPLES];
                let residual = |number| (if folded { unzigzag(number) } else { number as i64 }).wrapping_add(base);
                portable_prefix_sum(&numbers, start, &mut expected, residual);
                prop_assert_eq!(sums, expected);
                // `expected` are slopes from here on.
                prefix_sum_twice(&numbers, folded, base, start, start ^ base, &mut sums);
                let slopes = expected.map(i64::cast_unsigned);
                portable_prefix_sum(&slopes, start ^ base, &mut expected, |slope| slope as i64);
                prop_assert_eq!(sums, expected);
                let factor = base | 1;
                stretch(&mut sums, factor, base, start);
                stretch_in_steps(&mut expected, factor, base, start);
                prop_assert_eq!(sums, expected);
            }
            let bitmap: Vec<u8> = (0..count.div_ceil(8)).map(|_| (0..8).fold(0, |bits, _| bits << 1 | u8::from(random() as u8 <= density))).collect();
            let (mut spread, mut expected) = ([7; VECTOR_SAMPLES], [9; VECTOR_SAMPLES]);
            expand(&bitmap, count, &numbers, &mut spread);
            portable_expand(&bitmap, count, &numbers, &mut expected);
            prop_assert_eq!(&spread[..count], &expected[..count]);
        }
    }
}
