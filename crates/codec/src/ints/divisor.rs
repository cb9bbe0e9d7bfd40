//! The common divisor of a block's differences, and exact division by it.
//!
//! 1. Byte counters and memory gauges move in steps of 512 or 4096, prices in steps of 25: dividing them out saves
//!    twelve bits a number where it applies and costs two bytes.
//! 2. The divisor of a few differences is nearly always 1 already; only where it is not, all are checked. The check and
//!    the division multiply with the inverse modulo 2^64 instead of dividing: a number is a multiple of an odd g
//!    exactly if its product with the inverse is not above the largest quotient.

use crate::wide::wide;

/// Differences looked at before the whole block is.
const PROBES: usize = 32;

/// A divisor prepared for exact division.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Divisor {
    shift: u32,
    odd_inverse: u64,
}

impl Divisor {
    /// Prepares a divisor, which must not be 0.
    pub(crate) fn new(divisor: u64) -> Self {
        assert_ne!(divisor, 0, "nothing is divided by zero");
        let shift = divisor.trailing_zeros();
        Self { shift, odd_inverse: inverse(divisor >> shift) }
    }

    /// The quotient q with q · divisor ≡ `multiple` modulo 2^64, for a multiple of the divisor's power of two.
    #[inline(always)]
    pub(crate) const fn divide(self, multiple: i64) -> i64 {
        (multiple >> self.shift).wrapping_mul(self.odd_inverse as i64)
    }
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration: each step doubles the bits that are right.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd.wrapping_mul(3) ^ 2;
    let mut step = 0;
    while step < 4 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

/// The greatest common divisor of all differences of neighbours; 1 where there is nothing to gain.
pub(crate) fn common_divisor(numbers: &[i64]) -> u64 {
    let mut divisor = 0;
    for pair in numbers.windows(2).filter(|pair| pair[0] != pair[1]).take(PROBES) {
        divisor = gcd(divisor, pair[1].wrapping_sub(pair[0]).unsigned_abs());
        if divisor == 1 {
            return 1;
        }
    }
    // Each round that finds a stranger at least halves the divisor, so there are at most 64 rounds.
    while divisor > 1 {
        match first_stranger(numbers, divisor) {
            None => return divisor,
            Some(difference) => divisor = gcd(divisor, difference.unsigned_abs()),
        }
    }
    1
}

fn first_stranger(numbers: &[i64], divisor: u64) -> Option<i64> {
    let shift = divisor.trailing_zeros();
    let odd = divisor >> shift;
    let at = find_stranger(numbers, (1 << shift) - 1, inverse(odd), u64::MAX / odd)?;
    Some(numbers[at + 1].wrapping_sub(numbers[at]))
}

wide! {
    fn find_stranger(numbers: &[i64], low_mask: u64, odd_inverse: u64, quotient_max: u64) -> Option<usize> {
        numbers.windows(2).position(|pair| {
            let difference = pair[1].wrapping_sub(pair[0]).unsigned_abs();
            (difference & low_mask) != 0 || difference.wrapping_mul(odd_inverse) > quotient_max
        })
    }
}

/// Stein's algorithm: shifts and differences only.
const fn gcd(left: u64, right: u64) -> u64 {
    if left == 0 || right == 0 {
        return left | right;
    }
    let shift = (left | right).trailing_zeros();
    let mut left = left >> left.trailing_zeros();
    let mut right = right;
    while right != 0 {
        right >>= right.trailing_zeros();
        if left > right {
            (left, right) = (right, left);
        }
        right -= left;
    }
    left << shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_divisor_behind_the_probes() {
        let mut numbers: Vec<i64> = (0..1000).map(|i| 7 + i * i * 4096 * 25).collect();
        assert_eq!(common_divisor(&numbers), 4096 * 25);
        numbers[900] += 50;
        assert_eq!(common_divisor(&numbers), 50);
        numbers[990] += 1;
        assert_eq!(common_divisor(&numbers), 1);
        assert_eq!(common_divisor(&[5; 9]), 1);
        assert_eq!(common_divisor(&[i64::MIN, i64::MAX, i64::MIN]), 1);
        assert_eq!(common_divisor(&[0, i64::MIN, 0]), 1 << 63);
    }

    proptest! {
        #[test]
        fn every_difference_is_divided_exactly(divisor in 1_u64..1 << 40, quotients in proptest::collection::vec(-1000_i64..1000, 2..300)) {
            let numbers: Vec<i64> = quotients.iter().map(|q| q * divisor as i64).collect();
            let found = common_divisor(&numbers);
            let naive = numbers.windows(2).fold(0, |all, pair| gcd(all, (pair[1] - pair[0]).unsigned_abs())).max(1);
            prop_assert_eq!(found, naive);
            let prepared = Divisor::new(found);
            for pair in numbers.windows(2) {
                let difference = pair[1] - pair[0];
                prop_assert_eq!(prepared.divide(difference), difference / found as i64);
            }
        }
    }
}
