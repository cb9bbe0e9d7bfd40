//! Sums that keep what rounding would lose.
//!
//! 1. Decimals add as integer mantissas in 128 bits: 2^64 blocks of 2^63 fit, and the result does not depend on order.
//! 2. Floats add in eight lanes (value i in lane i % 8, so that the additions overlap), each with the exact error of
//!    every addition collected beside it; the lanes are joined in order. The pair is as good as twice the precision.
//! 3. Two decimals of different scales meet at the finer one; where that does not fit 128 bits, they go on as floats.

use crate::decimal::{DIGITS_MAX, Scale};
use crate::wide::wide;

const LANES: usize = 8;

/// A sum of values.
#[derive(Debug, Clone, Copy)]
pub enum Sum {
    /// Exactly mantissa / 10^digits, or mantissa · 10^-digits.
    Decimal {
        /// The sum of the mantissas.
        mantissa: i128,
        /// Digits behind the point, negative for zeros before it.
        digits: i8,
    },
    /// High plus low, low being what rounding took from high.
    Float {
        /// The rounded sum.
        high: f64,
        /// What is missing in it; 0 if the sum is not finite.
        low: f64,
    },
}

/// Sums are equal if they are written alike.
impl PartialEq for Sum {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Decimal { mantissa, digits }, Self::Decimal { mantissa: others, digits: other_digits }) => {
                mantissa == others && digits == other_digits
            }
            (Self::Float { high, low }, Self::Float { high: other_high, low: other_low }) => {
                high.to_bits() == other_high.to_bits() && low.to_bits() == other_low.to_bits()
            }
            _ => false,
        }
    }
}

impl Eq for Sum {}

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self::Float { high: 0.0, low: 0.0 };

    /// The nearest float.
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Decimal { mantissa, digits } => scaled(mantissa, digits),
            Self::Float { high, low } => high + low,
        }
    }

    /// This sum and another.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Decimal { mantissa, digits }, Self::Decimal { mantissa: others, digits: other_digits }) => {
                let finer = digits.max(other_digits);
                let sum = refined(mantissa, finer - digits)
                    .zip(refined(others, finer - other_digits))
                    .and_then(|(left, right)| left.checked_add(right));
                match sum {
                    Some(mantissa) => Self::Decimal { mantissa, digits: finer },
                    None => add_pairs(self.pair(), other.pair()),
                }
            }
            _ => add_pairs(self.pair(), other.pair()),
        }
    }

    /// So many times this sum, which is that of one value.
    pub(crate) fn times(self, count: u64) -> Self {
        match self {
            Self::Decimal { mantissa, digits } => Self::Decimal { mantissa: mantissa * i128::from(count), digits },
            Self::Float { high, .. } => {
                let product = high * count as f64;
                let error = high.mul_add(count as f64, -product);
                Self::Float { high: product, low: if product.is_finite() { error } else { 0.0 } }
            }
        }
    }

    fn pair(self) -> (f64, f64) {
        match self {
            Self::Float { high, low } => (high, low),
            Self::Decimal { mantissa, digits } => {
                let high = scaled(mantissa, digits);
                // What the conversion to a float and the scaling cut off, as well as one float can say it.
                let whole = mantissa as f64;
                let lost = mantissa.wrapping_sub(whole as i128) as f64;
                let power = Scale::new(digits).map_or(1.0, Scale::power);
                let low = if digits >= 0 {
                    ((-high).mul_add(power, whole) + lost) / power
                } else {
                    whole.mul_add(power, -high) + lost * power
                };
                (high, if low.is_finite() { low } else { 0.0 })
            }
        }
    }

    /// The exact sum of mantissas, without those at the positions in `left_out`.
    pub(crate) fn of_mantissas(mantissas: &[i64], left_out: &[u16], digits: i8) -> Self {
        let all = add_mantissas(mantissas);
        let extra: i128 = left_out.iter().map(|&position| i128::from(mantissas[usize::from(position)])).sum();
        Self::Decimal { mantissa: all - extra, digits }
    }

    /// The compensated sum of floats.
    pub(crate) fn of_floats(values: &[f64]) -> Self {
        let (highs, lows) = add_lanes(values);
        highs.into_iter().zip(lows).fold(Self::ZERO, |sum, pair| add_pairs(sum.pair(), pair))
    }
}

fn scaled(mantissa: i128, digits: i8) -> f64 {
    let power = Scale::new(digits).map_or(1.0, Scale::power);
    if digits >= 0 { mantissa as f64 / power } else { mantissa as f64 * power }
}

/// A mantissa with more digits behind the point.
fn refined(mantissa: i128, more_digits: i8) -> Option<i128> {
    debug_assert!((0..=2 * DIGITS_MAX).contains(&more_digits), "scales have at most 22 digits");
    mantissa.checked_mul(10_i128.checked_pow(more_digits as u32)?)
}

/// The rounded sum of two floats and its exact error.
#[inline(always)]
const fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let of_right = sum - left;
    (sum, (left - (sum - of_right)) + (right - of_right))
}

fn add_pairs((high, low): (f64, f64), (other_high, other_low): (f64, f64)) -> Sum {
    let (sum, error) = two_sum(high, other_high);
    let (high, low) = two_sum(sum, error + (low + other_low));
    if sum.is_finite() && high.is_finite() { Sum::Float { high, low } } else { Sum::Float { high: sum, low: 0.0 } }
}

wide! {
    // Upper and lower halves are added apart, because 64-bit sums of whole mantissas could overflow.
    fn add_mantissas(mantissas: &[i64]) -> i128 {
        assert!(mantissas.len() <= crate::MAX_BLOCK_SAMPLES, "half sums of a block fit 64 bits");
        let (mut low, mut high) = (0_u64, 0_u64);
        for &mantissa in mantissas {
            // Shifted into the unsigned, since AVX2 has no arithmetic shift of 64 bits.
            let biased = mantissa as u64 ^ 1 << 63;
            low += biased & 0xffff_ffff;
            high += biased >> 32;
        }
        (i128::from(high) << 32) + i128::from(low) - ((mantissas.len() as i128) << 63)
    }

    fn add_lanes(values: &[f64]) -> ([f64; LANES], [f64; LANES]) {
        let mut highs = [0.0; LANES];
        let mut lows = [0.0; LANES];
        let (rows, rest) = values.as_chunks::<LANES>();
        for row in rows {
            for lane in 0..LANES {
                let (sum, error) = two_sum(highs[lane], row[lane]);
                highs[lane] = sum;
                lows[lane] += error;
            }
        }
        for (lane, &value) in rest.iter().enumerate() {
            let (sum, error) = two_sum(highs[lane], value);
            highs[lane] = sum;
            lows[lane] += error;
        }
        for (high, low) in highs.iter().zip(&mut lows) {
            if !high.is_finite() {
                *low = 0.0;
            }
        }
        (highs, lows)
    }
}
