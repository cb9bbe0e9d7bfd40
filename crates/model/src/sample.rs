//! Samples and the order of several values at one timestamp.

use std::cmp::Ordering;

/// The bits of the NaN by which Prometheus marks that a series has ended.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// One value at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Milliseconds since 1970.
    pub time: i64,
    /// The value; every bit pattern is kept as it came.
    pub value: f64,
}

/// What the values of a series are. The number is part of every format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ValueKind {
    /// IEEE 754 doubles.
    Float = 0,
}

impl ValueKind {
    /// The kind with this number, if this version knows it.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Float),
            _ => None,
        }
    }
}

/// Whether the value is the stale marker, and not just any NaN.
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// The order of different values at one timestamp: numbers ascending, then NaN, the stale marker last. Values that compare equal as numbers
/// (`-0.0` and `0.0`) and NaNs of different payload are ordered by their bits, so that only equal bits are `Equal`.
#[inline]
pub fn sort_order_at_equal_time(a: f64, b: f64) -> Ordering {
    fn class(value: f64) -> u8 {
        if is_stale(value) { 2 } else { u8::from(value.is_nan()) }
    }
    match (class(a), class(b)) {
        (0, 0) => a.total_cmp(&b),
        (x, y) if x == y => a.to_bits().cmp(&b.to_bits()),
        (x, y) => x.cmp(&y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_then_nan_then_stale() {
        let stale = f64::from_bits(STALE_NAN_BITS);
        let mut values = [stale, f64::NAN, 1.0, f64::NEG_INFINITY, 0.0, -0.0, f64::INFINITY];
        values.sort_by(|a, b| sort_order_at_equal_time(*a, *b));
        let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        let want = [f64::NEG_INFINITY, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN, stale];
        assert_eq!(bits, want.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
    }
}
