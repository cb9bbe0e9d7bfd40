//! Summaries against their definition, their bytes and their merges.

use super::*;
use crate::testdata::{SHAPES, any_float, column};
use proptest::prelude::*;

/// The summary by definition, without the sum.
fn naive(values: &[f64]) -> Summary {
    let clean = values.iter().all(|value| !value.is_nan());
    let least = values.iter().copied().min_by(f64::total_cmp).unwrap();
    let greatest = values.iter().copied().max_by(f64::total_cmp).unwrap();
    let resets = values.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
    Summary {
        count: values.len() as u64,
        first: values[0],
        last: values[values.len() - 1],
        min: if clean { least } else { f64::NAN },
        max: if clean { greatest } else { f64::NAN },
        resets: if clean { resets } else { 0 },
        sum: Sum::ZERO,
        clean,
    }
}

fn check(values: &[f64]) -> Summary {
    let summary = summarize(values);
    assert_eq!(Summary { sum: Sum::ZERO, ..summary }, naive(values));
    check_sum(values, &summary);
    check_bytes(&summary);
    summary
}

/// Against a sum of exact decimals, or of floats in ascending magnitude.
fn check_sum(values: &[f64], summary: &Summary) {
    if !summary.clean {
        assert_eq!(summary.sum, Sum::ZERO);
        return;
    }
    match summary.sum {
        Sum::Decimal { mantissa, digits } => {
            let scale = Scale::new(digits).unwrap();
            let exact: i128 = values
                .iter()
                .map(|&value| if value == 0.0 { 0 } else { i128::from(scale.mantissa(value).unwrap()) })
                .sum();
            assert_eq!(mantissa, exact);
        }
        Sum::Float { high, low } => {
            let plain: f64 = values.iter().sum();
            if plain.is_finite() && high.is_finite() {
                let magnitude: f64 = values.iter().map(|value| value.abs()).sum();
                assert!((high + low - plain).abs() <= magnitude * 1e-12, "{high} {low} {plain}");
            } else {
                assert_eq!(low, 0.0);
            }
        }
    }
}

fn check_bytes(summary: &Summary) -> usize {
    let mut bytes = vec![9];
    summary.write(&mut bytes);
    let mut reader = Reader::new(&bytes[1..]);
    assert_eq!(Summary::read(&mut reader), Ok(*summary), "{:?}", &bytes[1..]);
    assert!(reader.is_empty());
    for cut in 1..bytes.len() {
        assert!(Summary::read(&mut Reader::new(&bytes[1..cut])).is_err());
    }
    bytes.len() - 1
}

#[test]
fn constants_and_counters_are_small() {
    assert!(check_bytes(&check(&[5.0; 1440])) <= 4);
    assert!(check_bytes(&check(&[0.25; 1440])) <= 5);
    let counter: Vec<f64> = (0..1440).map(|i| f64::from(1_000_000 + i * 37)).collect();
    assert!(check_bytes(&check(&counter)) <= 14);
    assert!(check_bytes(&check(&[f64::from_bits(crate::STALE_NAN_BITS); 3])) <= 10);
}

#[test]
fn compensation_keeps_what_rounding_loses() {
    let values = [1e100, 1.0, -1e100, std::f64::consts::PI];
    let summary = check(&values);
    assert_eq!(summary.sum.to_f64(), 1.0 + std::f64::consts::PI);
    let tenths: Vec<f64> = (0..8192).map(|_| 0.1).collect();
    assert_eq!(check(&tenths).sum, Sum::Decimal { mantissa: 8192, digits: 1 });
}

#[test]
fn infinities_are_clean_but_have_no_low_part() {
    let summary = check(&[1.0, f64::INFINITY]);
    assert_eq!(summary.sum, Sum::Float { high: f64::INFINITY, low: 0.0 });
    assert!(check(&[f64::NEG_INFINITY, f64::INFINITY]).sum.to_f64().is_nan());
    let mut merged = check(&[1.5]);
    merged.merge(&summary);
    assert_eq!(merged.sum, Sum::Float { high: f64::INFINITY, low: 0.0 });
}

#[test]
fn the_border_between_two_blocks_may_be_a_reset() {
    let mut left = check(&[5.0, 7.0]);
    left.merge(&check(&[1.0, 2.0]));
    assert_eq!(left.resets, 1);
    assert_eq!(left, check(&[5.0, 7.0, 1.0, 2.0]));
}

#[test]
fn sums_meet_at_the_finer_scale_or_as_floats() {
    let cents = Sum::Decimal { mantissa: 150, digits: 2 };
    let whole = Sum::Decimal { mantissa: 3, digits: -1 };
    assert_eq!(cents.plus(whole), Sum::Decimal { mantissa: 3150, digits: 2 });
    let huge = Sum::Decimal { mantissa: 1 << 120, digits: -22 };
    assert!(matches!(huge.plus(cents), Sum::Float { .. }));
    let exact = Sum::Decimal { mantissa: (1 << 60) + 1, digits: 0 }.plus(Sum::Float { high: 0.5, low: 0.0 });
    assert_eq!(exact.plus(Sum::Float { high: -(1_i64 << 60) as f64, low: 0.0 }).to_f64(), 1.5);
}

proptest! {
    #[test]
    fn summaries_are_what_the_values_say(values in proptest::collection::vec(any_float(), 1..300)) {
        check(&values);
    }

    #[test]
    fn columns_are_what_their_values_say(shape in 0..SHAPES, seed: u64, count in 1_usize..3000) {
        check(&column(shape, seed, count));
    }

    #[test]
    fn merging_is_summarizing_both(shape in 0..SHAPES, seed: u64, left in 1_usize..500, right in 1_usize..500) {
        let values = column(shape, seed, left + right);
        let whole = summarize(&values);
        let mut merged = summarize(&values[..left]);
        merged.merge(&summarize(&values[left..]));
        prop_assert_eq!(Summary { sum: Sum::ZERO, ..merged }, Summary { sum: Sum::ZERO, ..whole });
        check_sum(&values, &merged);
        check_bytes(&merged);
    }

    #[test]
    fn any_summary_is_written_and_read(
        values in proptest::array::uniform4(any_float()), count in 1_u64.., resets: u64,
        mantissa: i128, digits in -22_i8..=22, low in any_float(), decimal: bool, clean: bool,
    ) {
        let [first, last, min, max] = values;
        let sum = if decimal { Sum::Decimal { mantissa, digits } } else { Sum::Float { high: last, low } };
        let mut summary = Summary { count, first, last, min, max, resets, sum, clean };
        if !clean {
            summary.forget();
        }
        check_bytes(&summary);
        if clean {
            check_bytes(&Summary { last: first, min: first, max: first, ..summary });
        }
    }
}
