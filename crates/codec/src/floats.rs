//! Integers as floats, and divided or multiplied by a power of ten.
//!
//! 1. Before AVX-512 no processor turns `i64` into `f64` in lanes, so [`to_float`] puts the halves together by hand, in
//!    six steps; with it that is one. Registers of 256 bits are used there too: wider ones slow the clock of the whole
//!    core down.
//! 2. A division takes eight cycles for four numbers, and here all are divided by the same power. Its reciprocal gives a
//!    quotient that is at most two units of the last place off; what it is wrong by is known exactly from a fused
//!    multiplication. Corrected by that, and rounded once, it has the bits that a division gives: it is 2^-52 units off
//!    before it is rounded, and no quotient lies so close to where rounding changes. For a float and 10^k that distance is
//!    a multiple of 2^-(2 + floor(log2 5^k)) units, and never zero: 2^-50 for k = 21. 10^22 is left to the division.

use crate::wide::wide;

/// Up to this power a quotient is right after one correction.
#[cfg(target_arch = "x86_64")]
const CORRECTED_POWER_MAX: f64 = 1e21;

/// An `i64` as the nearest float, in steps that AVX2 has: the halves become floats by their position in a mantissa,
/// and only their sum is rounded.
#[inline(always)]
const fn to_float(number: i64) -> f64 {
    const LOW: u64 = 0x4330_0000_0000_0000;
    const HIGH: u64 = 0x4530_0000_8000_0000;
    const BOTH: f64 = f64::from_bits(0x4530_0000_8010_0000);
    let low = f64::from_bits(number as u64 & 0xffff_ffff | LOW);
    let high = f64::from_bits(number as u64 >> 32 ^ HIGH);
    (high - BOTH) + low
}

/// Appends the floats of numbers.
pub(crate) fn floats(numbers: &[i64], out: &mut Vec<f64>) {
    #[cfg(target_arch = "x86_64")]
    if crate::wide::has_avx512() {
        #[expect(unsafe_code, reason = "calling the AVX-512 build needs the feature check just above")]
        // SAFETY: `has_avx512` saw every feature that the callee enables on this processor.
        return unsafe { x86::floats(numbers, out) };
    }
    floats_in_steps(numbers, out);
}

/// Appends the numbers divided by a power of ten from 10 to 10^22, each rounded as a division rounds it.
pub(crate) fn quotients(numbers: &[i64], power: f64, out: &mut Vec<f64>) {
    #[cfg(target_arch = "x86_64")]
    if power <= CORRECTED_POWER_MAX && crate::wide::has_avx512() {
        #[expect(unsafe_code, reason = "calling the AVX-512 build needs the feature check just above")]
        // SAFETY: `has_avx512` saw every feature that the callee enables on this processor.
        return unsafe { x86::quotients(numbers, power, out) };
    }
    quotients_in_steps(numbers, power, out);
}

wide! {
    fn quotients_in_steps(numbers: &[i64], power: f64, out: &mut Vec<f64>) {
        out.extend(numbers.iter().map(|&number| to_float(number) / power));
    }

    fn floats_in_steps(numbers: &[i64], out: &mut Vec<f64>) {
        out.extend(numbers.iter().map(|&number| to_float(number)));
    }

    /// Appends the numbers multiplied by a power.
    pub(crate) fn products(numbers: &[i64], power: f64, out: &mut Vec<f64>) {
        out.extend(numbers.iter().map(|&number| to_float(number) * power));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256d, _mm256_cvtepi64_pd, _mm256_fmadd_pd, _mm256_fnmadd_pd, _mm256_loadu_si256, _mm256_mul_pd,
        _mm256_set1_pd, _mm256_storeu_pd,
    };
    use std::mem::MaybeUninit;

    const LANES: usize = 4;

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
    pub(super) fn floats(numbers: &[i64], out: &mut Vec<f64>) {
        append(numbers, out, |row| row, |number| number as f64);
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
    pub(super) fn quotients(numbers: &[i64], power: f64, out: &mut Vec<f64>) {
        let powers = _mm256_set1_pd(power);
        let reciprocals = _mm256_set1_pd(1.0 / power);
        let divide = |numbers: __m256d| {
            let near = _mm256_mul_pd(numbers, reciprocals);
            _mm256_fmadd_pd(_mm256_fnmadd_pd(near, powers, numbers), reciprocals, near)
        };
        append(numbers, out, divide, |number| number as f64 / power);
    }

    /// Appends what `of_row` makes of four numbers at a time, and `of_one` of those that are left.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
    #[inline]
    fn append(numbers: &[i64], out: &mut Vec<f64>, of_row: impl Fn(__m256d) -> __m256d, of_one: impl Fn(i64) -> f64) {
        out.reserve(numbers.len());
        let (rows, rest) = numbers.as_chunks::<LANES>();
        let (slots, slots_rest) = out.spare_capacity_mut()[..numbers.len()].as_chunks_mut::<LANES>();
        for (slots, row) in slots.iter_mut().zip(rows) {
            store(slots, of_row(load(row)));
        }
        for (slot, number) in slots_rest.iter_mut().zip(rest) {
            slot.write(of_one(*number));
        }
        #[expect(unsafe_code, reason = "the floats are made in place")]
        // SAFETY: both loops together wrote every one of these slots.
        unsafe {
            out.set_len(out.len() + numbers.len());
        }
    }

    #[expect(unsafe_code, reason = "vector loads take pointers")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
    #[inline]
    fn load(row: &[i64; LANES]) -> __m256d {
        // SAFETY: the row is 32 bytes, and the load asks for no alignment.
        _mm256_cvtepi64_pd(unsafe { _mm256_loadu_si256(row.as_ptr().cast()) })
    }

    #[expect(unsafe_code, reason = "vector stores take pointers")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
    #[inline]
    fn store(slots: &mut [MaybeUninit<f64>; LANES], row: __m256d) {
        // SAFETY: the slots are 32 bytes, and the store asks for no alignment.
        unsafe { _mm256_storeu_pd(slots.as_mut_ptr().cast(), row) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(numbers: &[i64], expected: impl Fn(i64) -> f64, of: impl Fn(&[i64], &mut Vec<f64>)) {
        let mut found = vec![0.5];
        of(numbers, &mut found);
        assert_eq!(found.len(), numbers.len() + 1);
        for (number, found) in numbers.iter().zip(&found[1..]) {
            assert_eq!(found.to_bits(), expected(*number).to_bits(), "{number}");
        }
    }

    /// Floats whose quotients by 10^digits lie as close as can be to where rounding changes: X · 2^e = (an odd number) · 5^digits ± 1.
    fn hardest(digits: u32) -> Vec<i64> {
        let five = 5_i128.pow(digits);
        let logarithm = five.ilog2();
        let mut found = Vec::new();
        for exponent in [logarithm + 1, logarithm + 2] {
            let half = (five + 1) / 2;
            let inverse = (0..exponent).fold(1, |product, _| product * half % five);
            for remainder in [inverse, five - inverse] {
                let first = (1_i128 << 52) + (remainder - (1 << 52)).rem_euclid(five);
                let all = (first..1 << 53).step_by(five as usize);
                let near_end = (1_i128 << 53) - 1 - ((1_i128 << 53) - 1 - remainder).rem_euclid(five);
                found.extend(all.take(500).chain([near_end]).filter(|mantissa| *mantissa >= 1 << 52));
            }
        }
        found.into_iter().flat_map(|mantissa| [mantissa as i64, -(mantissa as i64)]).collect()
    }

    #[test]
    fn quotients_next_to_a_change_of_rounding_are_right() {
        for digits in 1..=22 {
            let (power, numbers) = (10_f64.powi(digits as i32), hardest(digits));
            check(&numbers, |number| number as f64 / power, |numbers, out| quotients(numbers, power, out));
        }
        assert!(hardest(1).len() > 1000 && !hardest(21).is_empty());
    }

    proptest! {
        #[test]
        fn every_build_gives_the_bits_of_plain_arithmetic(seed: u64, digits in 1_i32..=22, width in 0_u32..64) {
            let power = 10_f64.powi(digits);
            let mut random = crate::testdata::noise(seed);
            let mut numbers: Vec<i64> = (0..2000).map(|_| random() as i64 >> width).collect();
            numbers.extend((0..63).flat_map(|bit| [(1_i64 << bit) - 1, 1 << bit, -(1 << bit)]));
            numbers.extend([0, i64::MIN, i64::MAX]);
            check(&numbers, |number| number as f64, floats);
            check(&numbers, |number| number as f64, floats_in_steps);
            check(&numbers, |number| number as f64 * power, |numbers, out| products(numbers, power, out));
            check(&numbers, |number| number as f64 / power, |numbers, out| quotients(numbers, power, out));
            check(&numbers, |number| number as f64 / power, |numbers, out| quotients_in_steps(numbers, power, out));
        }
    }
}
