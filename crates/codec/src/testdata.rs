//! Values for tests: every class of float, and columns as metrics have them.

use proptest::prelude::*;

/// A stream of well-mixed bits.
pub(crate) fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// One float of any class.
pub(crate) fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (any::<i64>(), 0_u32..64).prop_map(|(number, shift)| (number >> shift) as f64),
        (any::<i32>(), -10_i32..10).prop_map(|(number, digits)| f64::from(number) / 10_f64.powi(digits)),
        (any::<u64>(), 52_u32..64).prop_map(|(bits, shift)| f64::from_bits(bits >> shift)),
        any::<u64>().prop_map(|bits| f64::from_bits(bits | 0x7ff0_0000_0000_0000)),
        prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(f64::NAN),
            Just(f64::from_bits(crate::STALE_NAN_BITS)),
            Just(f64::from_bits(0x7ff8_0000_0000_0001)),
            Just(f64::MIN_POSITIVE),
            Just(f64::MAX),
            Just(u64::MAX as f64),
            Just(i64::MIN as f64),
            Just(9_007_199_254_740_993.0),
        ],
    ]
}

/// The shapes of [`column`].
pub(crate) const SHAPES: u8 = 10;

/// A column of one shape.
pub(crate) fn column(shape: u8, seed: u64, count: usize) -> Vec<f64> {
    let mut random = noise(seed);
    let mut total = (random() % 100_000) as f64;
    let mut values: Vec<f64> = (0..count)
        .map(|index| {
            let bits = random();
            let small = (bits % 100) as f64;
            match shape {
                0 => 42.5,
                1 | 8 => {
                    total = if bits % 1999 == 7 { 0.0 } else { total + small };
                    total
                }
                2 => (bits % 1_000_000) as f64 / 100.0,
                3 => f64::from_bits(bits >> 2 | 0x3ff0_0000_0000_0000),
                4 => {
                    total += if bits % 50 == 3 { (bits >> 20) as f64 } else { 0.0 };
                    total
                }
                5 => ((index as f64 / 100.0).sin() * 1e6 + small).round() * 4096.0,
                6 => {
                    total += (bits >> 32) as f64;
                    total / 1e9
                }
                7 => 1e22 * (bits % 1000) as f64,
                _ => (bits % 17) as f64 * 0.25 + 1e-3,
            }
        })
        .collect();
    if shape >= 8 {
        for _ in 0..count.div_ceil(100) {
            let at = random() as usize % count;
            values[at] = [f64::from_bits(crate::STALE_NAN_BITS), -0.0, f64::INFINITY, 1e-300][random() as usize % 4];
        }
    }
    values
}

/// The bits of all floats, for comparing what floats would call different.
pub(crate) fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}
