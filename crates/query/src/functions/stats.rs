//! Statistics of numbers: quantiles, medians, deviations.

use crate::frame::Row;

/// The quantile of numbers that ascend, NaN first, between two of them in proportion to the distance from them.
pub(super) fn quantile_sorted(phi: f64, sorted: &[f64]) -> f64 {
    if sorted.is_empty() || phi.is_nan() {
        return f64::NAN;
    }
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    let rank = phi * (sorted.len() - 1) as f64;
    let weight = rank - rank.floor();
    let lower = rank as usize;
    let upper = (lower + 1).min(sorted.len() - 1);
    sorted[lower] * (1.0 - weight) + sorted[upper] * weight
}

/// Sorts in ascending order, NaN first.
pub(super) fn sort(values: &mut [f64]) {
    values.sort_unstable_by(|a, b| b.is_nan().cmp(&a.is_nan()).then_with(|| a.total_cmp(b)));
}

/// The quantile of numbers in any order; they are sorted.
pub(super) fn quantile(phi: f64, values: &mut [f64]) -> f64 {
    sort(values);
    quantile_sorted(phi, values)
}

/// The number in the middle; the numbers are sorted.
pub(super) fn median(values: &mut [f64]) -> f64 {
    quantile(0.5, values)
}

/// The median of the distances from the median; the numbers are replaced.
pub(super) fn median_deviation(values: &mut [f64]) -> f64 {
    let median = median(values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    self::median(values)
}

/// The mean; NaN of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// Mean and variance, after Welford; NaN of nothing.
pub(super) fn mean_and_variance(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut mean, mut squares, mut count) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let distance = value - mean;
        mean += distance / count;
        squares += distance * (value - mean);
    }
    if count == 0.0 { (f64::NAN, f64::NAN) } else { (mean, squares / count) }
}

/// The number that is there most often, of several the smallest; NaN of nothing. The numbers are sorted.
pub(super) fn mode(values: &mut [f64]) -> f64 {
    sort(values);
    let mut mode = (f64::NAN, 0);
    for run in values.chunk_by(|a, b| a == b) {
        if run.len() > mode.1 {
            mode = (run[0], run.len());
        }
    }
    mode.0
}

/// So many points are gathered at once, so that a row's memory is walked in runs.
const TILE_POINTS: usize = 32;

/// Calls `visit` for every point with the samples that the rows have there, in the order of the rows.
pub(super) fn for_each_point(
    rows: &[Row],
    points: usize,
    is_sample: impl Fn(f64) -> bool,
    mut visit: impl FnMut(usize, &mut Vec<f64>),
) {
    let mut columns: Vec<Vec<f64>> = vec![Vec::with_capacity(rows.len()); TILE_POINTS.min(points)];
    for start in (0..points).step_by(TILE_POINTS) {
        let end = points.min(start + TILE_POINTS);
        columns.iter_mut().for_each(Vec::clear);
        for row in rows {
            let (first, held) = row.values.over(start..end);
            for (column, value) in columns[first..].iter_mut().zip(held) {
                if is_sample(*value) {
                    column.push(*value);
                }
            }
        }
        for (at, column) in (start..end).zip(&mut columns) {
            visit(at, column);
        }
    }
}

/// Memory that [`for_each_point`] holds.
pub(super) fn tile_bytes(rows: usize, points: usize) -> usize {
    8 * rows * TILE_POINTS.min(points)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::labels::Labels;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let sorted = [f64::NAN, 0.0, 1.0];
        assert!(quantile_sorted(0.2, &sorted).is_nan());
        assert!((quantile_sorted(0.8, &sorted) - 0.6).abs() < 1e-12);
        assert_eq!(quantile_sorted(-0.1, &sorted), f64::NEG_INFINITY);
        assert_eq!(quantile_sorted(1.1, &sorted), f64::INFINITY);
        assert!(quantile_sorted(0.5, &[]).is_nan());
    }

    #[test]
    fn the_mode_is_the_smallest_of_the_most_frequent() {
        assert_eq!(mode(&mut [3.0, 1.0, 3.0, 1.0, 2.0]), 1.0);
        assert_eq!(mode(&mut [3.0, 1.0, 3.0]), 3.0);
        assert!(mode(&mut []).is_nan());
    }

    proptest! {
        #[test]
        fn a_quantile_has_its_share_below_it(mut values in prop::collection::vec(-1e6..1e6, 1..50), phi in 0.0..=1.0) {
            let quantile = quantile(phi, &mut values);
            let below = values.iter().filter(|value| **value < quantile).count() as f64;
            let above = values.iter().filter(|value| **value > quantile).count() as f64;
            let gaps = (values.len() - 1) as f64;
            prop_assert!(below <= (phi * gaps).ceil() && above <= ((1.0 - phi) * gaps).ceil());
        }

        #[test]
        fn every_point_is_visited_with_its_samples(
            rows in (1usize..70).prop_flat_map(|points| prop::collection::vec(prop::collection::vec(prop::option::of(0..9), points), 0..5)),
        ) {
            let points = rows.first().map_or(0, Vec::len);
            let rows: Vec<Row> = rows
                .into_iter()
                .map(|values| Row {
                    labels: Labels::default(),
                    values: values.into_iter().map(|value| value.map_or(f64::NAN, f64::from)).collect(),
                    drop_name: false,
                })
                .collect();
            let mut next = 0;
            for_each_point(&rows, points, |value| !value.is_nan(), |at, values| {
                assert_eq!(at, next);
                next += 1;
                let want: Vec<f64> = rows.iter().map(|row| row.values[at]).filter(|value| !value.is_nan()).collect();
                assert_eq!(values, &want);
            });
            prop_assert_eq!(next, points);
        }
    }
}
