//! Exact decimals: floats as integer mantissas of one power of ten, and back to the same bits.
//!
//! 1. `value = mantissa / 10^digits`, or `mantissa · 10^-digits` for negative digits. Powers of ten up to 10^22 and
//!    mantissas up to 2^53 are floats themselves, so one IEEE division or multiplication rounds once: it gives the float
//!    nearest to the decimal number, the one that a parser of the exporter's text made. Every value is verified to the
//!    bit when it is encoded.
//! 2. A few values say how many digits the block has; then all are converted and those that do not come back are
//!    *odd*: NaN, stale markers, infinities, -0, numbers that are no short decimals. If more digits would save many of
//!    them, the conversion is repeated.
//! 3. With too many odd values the block is no decimal at all, and its order-preserving bit patterns take the
//!    mantissas' place.

use crate::floats::{floats, products, quotients};
use crate::wide::wide;

/// The most digits behind the point, and the most zeros before it: the powers that a float holds exactly.
pub(crate) const DIGITS_MAX: i8 = 22;
/// The most and the fewest values looked at to find the digits, and how many values stand for one.
const PROBES_MAX: usize = 32;
const PROBES_MIN: usize = 8;
const PROBES_SHARE: usize = 16;
/// Digits that are tried before anything cleverer.
const DIGITS_USUAL: i8 = 4;
/// Probes that are no decimals, or have more digits than the rest, up to one in this many are left to the patches.
const ODD_PROBES_SHARE: usize = 10;
/// Raw odd values above one in this many make the block no decimal.
const ODD_SHARE: usize = 16;
/// Values with more digits above one in this many repeat the conversion with them.
const MORE_DIGITS_SHARE: usize = 64;
/// How often the digits are corrected.
const ROUNDS_MAX: usize = 4;
/// Values converted between two looks at the failures.
const CHUNK: usize = 256;

const POWERS: [f64; 1 + DIGITS_MAX as usize] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Mantissas of fractions are sought below this; above it the neighbours of a float are further than 1 apart.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;
/// Floats from here on have no fraction and do not fit an `i64`.
const I64_LIMIT: f64 = 9_223_372_036_854_775_808.0;
/// Added to a float below 2^51 it leaves the rounded integer in the low bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
const ROUNDER_LIMIT: f64 = 2_251_799_813_685_248.0;

/// The power of ten that a block's mantissas are multiples of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Scale {
    digits: i8,
}

impl Scale {
    /// Whole numbers.
    pub(crate) const INTEGERS: Self = Self { digits: 0 };

    /// So many digits behind the point; fails where the power would not be exact.
    pub(crate) fn new(digits: i8) -> Option<Self> {
        (-DIGITS_MAX..=DIGITS_MAX).contains(&digits).then_some(Self { digits })
    }

    /// Digits behind the point, negative for zeros before it.
    pub(crate) const fn digits(self) -> i8 {
        self.digits
    }

    /// The power that divides or multiplies.
    #[inline(always)]
    pub(crate) const fn power(self) -> f64 {
        POWERS[self.digits.unsigned_abs() as usize]
    }

    /// The float of a mantissa.
    #[inline(always)]
    pub(crate) fn value(self, mantissa: i64) -> f64 {
        if self.digits >= 0 { mantissa as f64 / self.power() } else { mantissa as f64 * self.power() }
    }

    /// The mantissa of a float that comes back to the bit.
    pub(crate) fn mantissa(self, value: f64) -> Option<i64> {
        let scaled = if self.digits >= 0 { value * self.power() } else { value / self.power() };
        let limit = if self.digits <= 0 { I64_LIMIT } else { MANTISSA_MAX };
        if scaled.is_nan() || scaled.abs() >= limit {
            return None;
        }
        let mantissa = round(scaled);
        (self.value(mantissa).to_bits() == value.to_bits()).then_some(mantissa)
    }
}

/// The nearest integer of a number below 2^63.
#[inline(always)]
fn round(scaled: f64) -> i64 {
    if scaled.abs() < ROUNDER_LIMIT { ((scaled + ROUNDER) - ROUNDER) as i64 } else { scaled.round_ties_even() as i64 }
}

/// The least digits at which a value is an exact decimal.
fn digits_of(value: f64) -> Option<i8> {
    if Scale::INTEGERS.mantissa(value).is_some() {
        return Some(0);
    }
    if value.is_nan() || value.is_infinite() || value == 0.0 {
        return None;
    }
    let at = |digits: i8| Scale { digits }.mantissa(value).map(|_| digits);
    if value.abs() >= I64_LIMIT {
        return (1..=DIGITS_MAX).rev().find_map(|zeros| at(-zeros));
    }
    if let Some(digits) = (1..=DIGITS_USUAL).find_map(at) {
        return Some(digits);
    }
    let most = (1..=DIGITS_MAX).take_while(|&digits| value.abs() * POWERS[digits as usize] < MANTISSA_MAX).last()?;
    // Whatever is a decimal of few digits is one of many too, so two looks refuse what is none. The second is there
    // because close to 2^53 the product may round to the wrong side.
    if at(most).is_none() && (most == 1 || at(most - 1).is_none()) {
        return None;
    }
    (1 + DIGITS_USUAL..=most).find_map(at)
}

/// Finds the scale of a block. On success `mantissas` holds one number for each value, odd values repeating their
/// neighbour, and `odd` the positions of these.
pub(crate) fn find(values: &[f64], mantissas: &mut Vec<i64>, odd: &mut Vec<u16>) -> Option<Scale> {
    mantissas.resize(values.len(), 0);
    odd.clear();
    // Most columns are integers, and to try is cheaper than to ask.
    let head = values.len().min(CHUNK);
    let mut scale =
        if convert_integers(&values[..head], &mut mantissas[..head]) == 0 { Scale::INTEGERS } else { probe(values)? };
    for _ in 0..ROUNDS_MAX {
        convert(values, scale, mantissas, odd);
        if odd.is_empty() {
            return Some(scale);
        }
        let mut more = 0;
        let mut raw = 0;
        let mut digits = scale.digits;
        for &position in odd.iter() {
            let value = values[usize::from(position)];
            if value.is_nan() || value.is_infinite() || value == 0.0 {
                continue;
            }
            raw += 1;
            if let Some(needed) = digits_of(value).filter(|&needed| needed > scale.digits) {
                more += 1;
                digits = digits.max(needed);
            }
        }
        if more * MORE_DIGITS_SHARE <= values.len() || digits == scale.digits {
            let enough = raw * ODD_SHARE <= values.len() + ODD_SHARE && odd.len() < values.len();
            fill_odd(mantissas, odd);
            return enough.then_some(scale);
        }
        scale = Scale { digits };
    }
    None
}

/// The digits that nearly all of some evenly spread values get along with.
fn probe(values: &[f64]) -> Option<Scale> {
    let step = values.len().div_ceil((values.len() / PROBES_SHARE).clamp(PROBES_MIN, PROBES_MAX));
    let mut counts = [0_usize; 2 * DIGITS_MAX as usize + 1];
    let (mut decimals, mut others) = (0, 0);
    // Zeros are decimals of any scale and say nothing.
    for &value in values.iter().step_by(step).filter(|&&value| value != 0.0) {
        match digits_of(value) {
            Some(digits) => {
                counts[(digits + DIGITS_MAX) as usize] += 1;
                decimals += 1;
            }
            None if value.is_nan() || value.is_infinite() => {}
            None => others += 1,
        }
        if others > 1 + PROBES_MAX / ODD_PROBES_SHARE {
            return None;
        }
    }
    if others * ODD_PROBES_SHARE > decimals + others {
        return None;
    }
    let left_out_max = decimals / ODD_PROBES_SHARE / 2;
    let mut left_out = 0;
    for index in (0..counts.len()).rev() {
        left_out += counts[index];
        if left_out > left_out_max {
            return Scale::new(index as i8 - DIGITS_MAX);
        }
    }
    Some(Scale::INTEGERS)
}

fn convert(values: &[f64], scale: Scale, mantissas: &mut Vec<i64>, odd: &mut Vec<u16>) {
    mantissas.resize(values.len(), 0);
    odd.clear();
    for (chunk, (values, mantissas)) in values.chunks(CHUNK).zip(mantissas.chunks_mut(CHUNK)).enumerate() {
        let failed = match scale.digits {
            0 => convert_integers(values, mantissas),
            1.. => convert_fractions(values, scale.power(), mantissas),
            ..0 => values.len(),
        };
        if failed == 0 {
            continue;
        }
        for (index, (&value, mantissa)) in values.iter().zip(mantissas).enumerate() {
            match scale.mantissa(value) {
                Some(exact) => *mantissa = exact,
                None => odd.push((chunk * CHUNK + index) as u16),
            }
        }
    }
}

fn fill_odd(mantissas: &mut [i64], odd: &[u16]) {
    let first_good =
        (0..mantissas.len()).find(|&index| odd.get(index).is_none_or(|&position| usize::from(position) != index));
    let mut filler = first_good.map_or(0, |index| mantissas[index]);
    for &position in odd {
        let position = usize::from(position);
        if position > first_good.unwrap_or(0) {
            filler = mantissas[position - 1];
        }
        mantissas[position] = filler;
    }
}

/// The order-preserving integer of a float's bits: -NaN < -Inf < … < -0 < 0 < … < Inf < NaN.
#[inline(always)]
pub(crate) const fn key(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// Undoes [`key`].
#[inline(always)]
pub(crate) const fn from_key(key: i64) -> f64 {
    f64::from_bits((key ^ ((key >> 63) as u64 >> 1) as i64) as u64)
}

/// Whether a number cannot be rounded by adding [`ROUNDER`]. As integers, because a NaN is above every limit then: it
/// would come back with its bits and look like a success.
#[inline(always)]
const fn too_wide(number: f64) -> bool {
    number.abs().to_bits() as i64 >= ROUNDER_LIMIT.to_bits() as i64
}

/// Appends the floats of mantissas.
pub(crate) fn to_values(mantissas: &[i64], scale: Scale, values: &mut Vec<f64>) {
    match scale.digits {
        0 => floats(mantissas, values),
        1.. => quotients(mantissas, scale.power(), values),
        _ => products(mantissas, scale.power(), values),
    }
}

wide! {
    fn convert_integers(values: &[f64], mantissas: &mut [i64]) -> usize {
        let mut failed = 0_u64;
        for (&value, mantissa) in values.iter().zip(mantissas) {
            let rounded = value + ROUNDER;
            *mantissa = (rounded.to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64);
            let back = rounded - ROUNDER;
            failed += u64::from((back.to_bits() != value.to_bits()) | too_wide(value));
        }
        failed as usize
    }

    fn convert_fractions(values: &[f64], power: f64, mantissas: &mut [i64]) -> usize {
        let mut failed = 0_u64;
        for (&value, mantissa) in values.iter().zip(mantissas) {
            let scaled = value * power;
            let rounded = scaled + ROUNDER;
            *mantissa = (rounded.to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64);
            let back = (rounded - ROUNDER) / power;
            failed += u64::from((back.to_bits() != value.to_bits()) | too_wide(scaled));
        }
        failed as usize
    }

    /// The keys of floats.
    pub(crate) fn to_keys(values: &[f64], keys: &mut [i64]) {
        for (&value, slot) in values.iter().zip(keys) {
            *slot = key(value);
        }
    }

    /// Appends the floats of keys.
    pub(crate) fn from_keys(keys: &[i64], values: &mut Vec<f64>) {
        values.extend(keys.iter().map(|&key| from_key(key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(values: &[f64]) -> Option<(i8, Vec<u16>)> {
        let (mut mantissas, mut odd) = (Vec::new(), Vec::new());
        let scale = find(values, &mut mantissas, &mut odd)?;
        let mut back = Vec::new();
        to_values(&mantissas, scale, &mut back);
        for (index, (value, back)) in values.iter().zip(&back).enumerate() {
            assert!(odd.contains(&(index as u16)) || value.to_bits() == back.to_bits(), "{value} {back}");
        }
        Some((scale.digits(), odd))
    }

    #[test]
    fn finds_digits_and_leaves_out_the_odd() {
        assert_eq!(found(&[1.0, 2.0, -3.0]), Some((0, vec![])));
        assert_eq!(found(&[1.5, 2.25, 0.1]), Some((2, vec![])));
        assert_eq!(found(&[1e300; 4]), None);
        assert_eq!(found(&[std::f64::consts::PI, 2.0_f64.sqrt()]), None);
        assert_eq!(found(&[9.007_199_254_740_993e15, 4e18, -9.223_372_036_854_774e18]), Some((0, vec![])));
        assert_eq!(found(&[2e19, 1.8e20]).unwrap().1, Vec::<u16>::new());
        assert_eq!(found(&[18_446_744_073_709_551_615.0; 3]).map(|found| found.1), Some(vec![]));
        let stale = f64::from_bits(0x7ff0_0000_0000_0002);
        let mut values = vec![0.25; 100];
        values[0] = stale;
        values[50] = -0.0;
        values[99] = f64::INFINITY;
        assert_eq!(found(&values), Some((2, vec![0, 50, 99])));
        assert_eq!(found(&[f64::NAN, stale]), None);
    }

    #[test]
    fn rare_digits_behind_the_probes_are_found() {
        let mut values: Vec<f64> = (0..5000).map(|i| f64::from(i % 7)).collect();
        for index in (1..5000).step_by(10) {
            values[index] += 0.125;
        }
        assert_eq!(found(&values), Some((3, vec![])));
        let mut values = vec![5.0; 5000];
        values[77] = 0.123_456;
        assert_eq!(found(&values), Some((0, vec![77])));
    }

    proptest! {
        #[test]
        fn decimal_texts_are_decimals(mantissa in -999_999_999_999_999_i64..=999_999_999_999_999, digits in 0_i8..15) {
            let value: f64 = format!("{mantissa}e-{digits}").parse().unwrap();
            prop_assume!(mantissa != 0);
            let needed = digits_of(value).unwrap();
            prop_assert!(needed <= digits);
            prop_assert_eq!(Scale { digits }.mantissa(value), Some(mantissa));
        }

        #[test]
        fn keys_preserve_order_and_bits(left: u64, right: u64) {
            let (left, right) = (f64::from_bits(left), f64::from_bits(right));
            prop_assert_eq!(from_key(key(left)).to_bits(), left.to_bits());
            prop_assert_eq!(key(left).cmp(&key(right)), left.total_cmp(&right));
        }

        #[test]
        fn whatever_is_found_comes_back(bits in proptest::collection::vec(any::<u64>(), 1..50), digits in 0_u32..6) {
            let mut values: Vec<f64> = bits.iter().map(|&bits| (bits as i32) as f64 / 10_f64.powi(digits as i32)).collect();
            found(&values);
            values[0] = f64::from_bits(bits[0]);
            found(&values);
        }
    }
}
