//! Whole blocks through every effort, ranges, and what must be refused.

use super::*;
use crate::testdata::{SHAPES, any_float, bits, column};
use proptest::prelude::*;
use std::ops::Range;

const EFFORTS: [Effort; 3] = [Effort::Flush, Effort::Merge, Effort::Cold];

fn check(
    values: &[f64],
    efforts: &[Effort],
    ranges: &[Range<usize>],
    scratch: &mut Scratch,
) -> Vec<(ValueCodec, usize)> {
    let mut forms = Vec::new();
    for &effort in efforts {
        let mut bytes = vec![0xaa];
        let encoded = encode_values(values, effort, scratch, &mut bytes);
        let bytes = &bytes[1..];
        assert_eq!(ValueCodec::of(bytes), Some(encoded.codec));
        assert!(!is_above(bytes));
        assert_eq!(encoded.summary, crate::summary::summarize_with(values, scratch).sum_of(encoded));
        let mut back = vec![1.0];
        decode_values(bytes, values.len(), scratch, &mut back).unwrap();
        assert_eq!(bits(&back[1..]), bits(values), "{effort:?} {:?}", encoded.codec);
        for range in ranges {
            let mut part = Vec::new();
            decode_value_range(bytes, values.len(), range.clone(), scratch, &mut part).unwrap();
            assert_eq!(bits(&part), bits(&values[range.clone()]), "{range:?} {:?}", encoded.codec);
        }
        forms.push((encoded.codec, bytes.len()));
    }
    forms
}

impl Summary {
    /// The same with the sum of `encoded`: a constant's is a product, which may be rounded otherwise.
    fn sum_of(self, encoded: Encoded) -> Self {
        let (sum, other) = (self.sum.to_f64(), encoded.summary.sum.to_f64());
        let close = sum.to_bits() == other.to_bits()
            || sum.is_nan() && other.is_nan()
            || (sum - other).abs() <= sum.abs() * 1e-15;
        assert!(encoded.codec == ValueCodec::Constant || self.sum == encoded.summary.sum, "{self:?} {encoded:?}");
        assert!(close, "{self:?} {encoded:?}");
        Self { sum: encoded.summary.sum, ..self }
    }
}

fn check_above(values: &[f64], lower: &[f64]) -> Option<[usize; 3]> {
    let mut scratch = Scratch::new();
    let mut sizes = [0; 3];
    for (size, effort) in sizes.iter_mut().zip(EFFORTS) {
        let mut bytes = Vec::new();
        let encoded = encode_values_above(values, lower, effort, &mut scratch, &mut bytes)?;
        assert!(is_above(&bytes));
        assert_eq!(ValueCodec::of(&bytes), Some(encoded.codec));
        let mut back = Vec::new();
        decode_values_above(&bytes, lower, &mut scratch, &mut back).unwrap();
        assert_eq!(bits(&back), bits(values));
        assert!(decode_values(&bytes, values.len(), &mut scratch, &mut Vec::new()).is_err());
        assert_eq!(encoded.summary, crate::summarize(values));
        *size = bytes.len();
    }
    Some(sizes)
}

#[test]
fn shapes_take_their_codecs() {
    let mut scratch = Scratch::new();
    let mut form = |shape, effort: Effort| check(&column(shape, 1, 4000), &[effort], &[], &mut scratch)[0];
    assert_eq!(form(0, Effort::Cold), (ValueCodec::Constant, 4));
    assert_eq!(form(1, Effort::Flush).0, ValueCodec::Decimal);
    assert_eq!(form(2, Effort::Flush).0, ValueCodec::Decimal);
    assert_eq!(form(3, Effort::Flush).0, ValueCodec::FloatBits);
    assert_eq!(form(6, Effort::Flush).0, ValueCodec::Decimal);
    assert_eq!(form(7, Effort::Flush).0, ValueCodec::Decimal);
}

#[test]
fn one_stale_marker_costs_a_few_bytes() {
    let mut scratch = Scratch::new();
    let mut values = column(1, 5, 1440);
    let clean = check(&values, &[Effort::Flush], &[], &mut scratch)[0].1;
    values[1439] = f64::from_bits(crate::STALE_NAN_BITS);
    let ended = check(&values, &[Effort::Flush], &[], &mut scratch)[0].1;
    assert!(ended <= clean + 6, "{clean} {ended}");
}

#[test]
fn every_size_round_trips() {
    let mut scratch = Scratch::new();
    for shape in 0..SHAPES {
        for count in (1..=40).chain([255, 256, 257, 511, 2047, 2048, 2049, 4096, 8191, 8192]) {
            let values = column(shape, count as u64, count);
            let middle = count / 2;
            check(
                &values,
                &[Effort::Flush, Effort::Merge],
                &[0..count, middle..middle, middle..count, 0..middle],
                &mut scratch,
            );
        }
    }
}

#[test]
fn cold_blocks_use_pco_where_it_is_smaller() {
    let mut scratch = Scratch::new();
    // Multiples of an odd float: no decimals, but pco finds the multiplier.
    let mut random = crate::testdata::noise(3);
    let values: Vec<f64> = (0..4000).map(|_| (random() % 1000) as f64 * std::f64::consts::PI).collect();
    let forms = check(&values, &EFFORTS, &[100..300, 3999..4000], &mut scratch);
    assert_eq!(forms[2].0, ValueCodec::FloatPco);
    // Few distinct values far from each other.
    let values: Vec<f64> = (0..4000).map(|_| [1.0, 7e7, 3e9, 1e12][random() as usize % 4]).collect();
    let forms = check(&values, &EFFORTS, &[100..300, 0..0], &mut scratch);
    assert_eq!(forms[2].0, ValueCodec::DecimalPco);
}

#[test]
fn buckets_are_smaller_above_the_next_lower_one() {
    let mut random = crate::testdata::noise(8);
    let (mut low, mut high) = (0.0, 0.0);
    let pairs: Vec<(f64, f64)> = (0..3000)
        .map(|_| {
            let add = (random() % 200) as f64;
            low += add;
            high += add + f64::from(random().is_multiple_of(20));
            (low, high)
        })
        .collect();
    let (lower, values): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let mut scratch = Scratch::new();
    let plain = check(&values, &EFFORTS, &[], &mut scratch);
    let above = check_above(&values, &lower).unwrap();
    for (plain, above) in plain.iter().zip(above) {
        assert!(above * 2 < plain.1, "{above} {}", plain.1);
    }
    assert!(check_above(&values, &values).unwrap()[0] <= 4);
}

#[test]
fn inexact_buckets_are_not_taken_apart() {
    for odd in [0.5, -0.0, f64::NAN, 9_007_199_254_740_992.0, f64::from_bits(crate::STALE_NAN_BITS), f64::INFINITY] {
        assert_eq!(check_above(&[1.0, odd], &[1.0, 1.0]), None);
        assert_eq!(check_above(&[1.0, 1.0], &[1.0, odd]), None);
    }
    assert!(
        check_above(&[-5.0, 9_007_199_254_740_991.0], &[9_007_199_254_740_991.0, -9_007_199_254_740_991.0]).is_some()
    );
}

#[test]
fn warm_buffers_do_not_grow() {
    let mut scratch = Scratch::new();
    let columns: Vec<Vec<f64>> = (0..SHAPES).map(|shape| column(shape, 7, 8192)).collect();
    let mut capacities = Vec::new();
    for _ in 0..2 {
        for values in &columns {
            check(values, &[Effort::Flush, Effort::Merge], &[], &mut scratch);
        }
        capacities.push((scratch.mantissas.capacity(), scratch.odd.capacity(), scratch.trial.capacity()));
    }
    assert_eq!(capacities[0], capacities[1]);
}

#[test]
fn damage_is_refused() {
    let mut scratch = Scratch::new();
    let mut bytes = Vec::new();
    encode_values(&column(1, 2, 1000), Effort::Merge, &mut scratch, &mut bytes);
    let mut out = vec![1.0];
    for cut in 0..bytes.len() {
        assert!(decode_values(&bytes[..cut], 1000, &mut scratch, &mut out).is_err());
    }
    assert!(decode_values(&bytes, 8193, &mut scratch, &mut out).is_err());
    assert!(decode_values(&[1, 0, 0], 1, &mut scratch, &mut out).is_err());
    assert!(decode_values_above(&bytes, &[0.0; 1000], &mut scratch, &mut out).is_err());
    bytes.push(0);
    assert!(decode_values(&bytes, 1000, &mut scratch, &mut out).is_err());
    assert_eq!(out, [1.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_floats_round_trip(values in proptest::collection::vec(any_float(), 1..400), cut in 0.0..1.0_f64) {
        let at = (values.len() as f64 * cut) as usize;
        check(&values, &EFFORTS, &[at..values.len(), 0..at], &mut Scratch::new());
    }

    #[test]
    fn columns_with_strangers_round_trip(
        shape in 0..SHAPES, seed: u64, count in 1_usize..=8192,
        strangers in proptest::collection::vec((any_float(), any::<proptest::sample::Index>()), 0..40),
        cut in 0.0..1.0_f64,
    ) {
        let mut values = column(shape, seed, count);
        for (stranger, at) in strangers {
            values[at.index(count)] = stranger;
        }
        let at = (count as f64 * cut) as usize;
        check(&values, &[Effort::Flush, Effort::Merge], &[at..(at + 100).min(count), at..count], &mut Scratch::new());
    }

    #[test]
    fn any_integers_add_back(pairs in proptest::collection::vec((any::<i64>(), any::<i64>(), 10_u32..64), 1..300)) {
        let (lower, values): (Vec<f64>, Vec<f64>) =
            pairs.iter().map(|&(lower, value, shift)| ((lower >> shift) as f64, (value >> shift) as f64)).unzip();
        let exact = |values: &[f64]| values.iter().all(|value| value.abs() < 9_007_199_254_740_992.0);
        prop_assert_eq!(check_above(&values, &lower).is_some(), exact(&values) && exact(&lower));
    }
}
