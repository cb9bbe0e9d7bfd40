//! A value as its difference to the slot's base value, in the fewest whole bytes.
//!
//! 1. Equal bits: no byte.
//! 2. Both are integers below 2^53: the difference, its sign folded into the lowest bit.
//! 3. Else the bits that differ, either without the low bytes that are equal (integers of wildly different size,
//!    short fractions) or without the high bytes that are equal (measurements close to each other).
//!
//! The code of a value, five bits, says which of them it is and how many bytes there are. Decoding one is a masked
//! eight-byte load and no branch that depends on the data.

use codec::bytes::{unzigzag, zigzag};

/// Codes are below this.
pub(super) const CODES: usize = 32;
/// Codes 1 to 7: an integer difference in as many bytes. Code 0: equal bits.
const INTEGER_BYTES_MAX: u8 = 7;
/// Codes 8 to 15: the upper bytes that differ, `code - UPPER` of them.
const UPPER: u8 = 7;
/// Codes 16 to 22: the lower bytes that differ, `code - LOWER` of them.
const LOWER: u8 = 15;
/// Codes from here on are free.
const FREE: u8 = 23;

/// From here on not every integer is a float.
const EXACT: u64 = 1 << 53;

/// How a code is decoded; for free codes `bytes` is [`FREE_BYTES`].
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// How many bytes stand in the data.
    pub bytes: u8,
    /// How far the difference of bits is shifted up.
    pub shift: u8,
    /// Whether it is a difference of integers.
    pub integer: bool,
    /// The bits of an eight-byte load that belong to the value.
    pub mask: u64,
}

/// What stands for the bytes of a free code.
pub(super) const FREE_BYTES: u8 = u8::MAX;

pub(super) const FORMS: [Form; CODES] = {
    let free = Form { bytes: FREE_BYTES, shift: 0, integer: false, mask: 0 };
    let mut forms = [free; CODES];
    let mut code = 0;
    while code < FREE {
        let (bytes, shift) = match code {
            0..=INTEGER_BYTES_MAX => (code, 0),
            8..=LOWER => (code - UPPER, 64 - 8 * (code - UPPER)),
            _ => (code - LOWER, 0),
        };
        let mask = if bytes == 0 { 0 } else { u64::MAX >> (64 - 8 * bytes) };
        forms[code as usize] = Form { bytes, shift, integer: code >= 1 && code <= INTEGER_BYTES_MAX, mask };
        code += 1;
    }
    forms
};

/// The code, the number of bytes and the bytes of the value `bits` for a slot of this base.
#[inline(always)]
pub(super) fn encode(base: u64, bits: u64) -> (u8, usize, u64) {
    let differing = base ^ bits;
    if differing == 0 {
        return (0, 0, 0);
    }
    let (integer, of_value) = exact_integer(bits);
    let (base_integer, of_base) = exact_integer(base);
    let lower = 8 - differing.leading_zeros() as usize / 8;
    let upper = 8 - differing.trailing_zeros() as usize / 8;
    let least = lower.min(upper);
    if of_value & of_base {
        let folded = zigzag(integer - base_integer);
        let bytes = 8 - folded.leading_zeros() as usize / 8;
        if bytes <= least {
            return (bytes as u8, bytes, folded);
        }
    }
    if upper == least {
        (UPPER + upper as u8, upper, differing >> (64 - 8 * upper))
    } else {
        (LOWER + lower as u8, lower, differing)
    }
}

/// The value's bits, from what stands in the data.
#[inline(always)]
pub(super) fn decode(base: u64, form: Form, data: u64) -> u64 {
    let difference = unzigzag(data);
    let sum = (f64::from_bits(base) as i64).wrapping_add(difference) as f64;
    let flipped = base ^ (data << form.shift);
    if form.integer { sum.to_bits() } else { flipped }
}

/// The integer that these bits are, and whether they are one that floats count exactly; `-0.0` is none.
#[inline(always)]
fn exact_integer(bits: u64) -> (i64, bool) {
    let integer = f64::from_bits(bits) as i64;
    (integer, (integer as f64).to_bits() == bits && integer.unsigned_abs() < EXACT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_for(base: f64, value: f64) -> usize {
        let (code, bytes, data) = encode(base.to_bits(), value.to_bits());
        let form = FORMS[usize::from(code)];
        assert_eq!(usize::from(form.bytes), bytes, "code {code}");
        assert_eq!(decode(base.to_bits(), form, data & form.mask), value.to_bits(), "base {base} value {value}");
        bytes
    }

    #[test]
    fn the_smallest_form_wins() {
        let stale = f64::from_bits(model::STALE_NAN_BITS);
        for (base, value, bytes) in [
            (1.0, 1.0, 0),
            (stale, stale, 0),
            (100.0, 101.0, 1),
            (100.0, 36.0, 1),
            (100.0, 300.0, 2),
            (1e15, 1e15 - 40_000.0, 3),
            (0.0, 4_194_304.0, 2),
            (0.5, 0.25, 2),
            (0.1, 0.1 + f64::EPSILON / 8.0, 1),
            (0.0, -0.0, 1),
            (-9_007_199_254_740_991.0, 4_503_599_627_370_497.0, 7),
            (-5.0, 5.0, 1),
            (1.0, 0.1, 7),
            (-1.0, 0.1, 8),
        ] {
            assert_eq!(bytes_for(base, value), bytes, "base {base} value {value}");
        }
    }

    proptest! {
        #[test]
        fn every_pair_of_bit_patterns_comes_back(base: u64, value: u64) {
            bytes_for(f64::from_bits(base), f64::from_bits(value));
        }

        #[test]
        fn every_pair_of_integers_comes_back(base: i64, value: i64, shift in 0_u32..64) {
            bytes_for((base >> shift) as f64, (value >> shift) as f64);
        }
    }
}
