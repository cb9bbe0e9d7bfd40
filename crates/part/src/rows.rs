//! Samples of one series side by side: order, duplicates, dedup intervals.

use model::{Columns, sort_order_at_equal_time};

/// Sorts rows by time, at equal times by the order of values, and drops rows that are equal to the bit. Gives the number of rows dropped.
/// Rows that ascend strictly, which is the common case, are only looked at.
pub fn sort_rows(rows: &mut Columns) -> usize {
    let ascends = rows.times.windows(2).all(|pair| pair[0] < pair[1]);
    if ascends {
        return 0;
    }
    let mut pairs: Vec<(i64, f64)> = rows.times.iter().copied().zip(rows.values.iter().copied()).collect();
    // A stable sort finds the ascending runs that its input is made of and merges them.
    pairs.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| sort_order_at_equal_time(a.1, b.1)));
    let before = pairs.len();
    pairs.dedup_by(|a, b| a.0 == b.0 && a.1.to_bits() == b.1.to_bits());
    rows.clear();
    for (time, value) in &pairs {
        rows.push(*time, *value);
    }
    before - pairs.len()
}

/// Keeps one row per interval of sorted rows: the last time, at it the last in the order of numbers; NaN or stale only if the interval holds nothing
/// else at that time. Intervals end at multiples of `interval_ms`, which belong to the interval before them. Gives the number of rows dropped.
pub fn deduplicate(rows: &mut Columns, interval_ms: i64) -> usize {
    if interval_ms <= 0 || rows.len() < 2 {
        return 0;
    }
    let interval_of = |time: i64| (time - 1).div_euclid(interval_ms);
    let before = rows.len();
    let mut kept = 0;
    let mut start = 0;
    while start < before {
        let interval = interval_of(rows.times[start]);
        let mut end = start + 1;
        while end < before && interval_of(rows.times[end]) == interval {
            end += 1;
        }
        let chosen = choose(&rows.times[start..end], &rows.values[start..end]) + start;
        rows.times[kept] = rows.times[chosen];
        rows.values[kept] = rows.values[chosen];
        kept += 1;
        start = end;
    }
    rows.times.truncate(kept);
    rows.values.truncate(kept);
    before - kept
}

/// Of sorted rows: the largest number at the last time; what stands last if there is no number at that time.
fn choose(times: &[i64], values: &[f64]) -> usize {
    let last = times.len() - 1;
    let same_time = (0..times.len()).rev().take_while(|row| times[*row] == times[last]);
    same_time.into_iter().find(|row| !values[*row].is_nan()).unwrap_or(last)
}

/// Keeps one row per timestamp of sorted rows, by the rule of [`deduplicate`].
pub fn one_per_timestamp(rows: &mut Columns) -> usize {
    deduplicate(rows, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(pairs: &[(i64, f64)]) -> Columns {
        Columns { times: pairs.iter().map(|p| p.0).collect(), values: pairs.iter().map(|p| p.1).collect() }
    }

    #[test]
    fn equal_rows_collapse_and_different_ones_stay_in_order() {
        let mut all = rows(&[(3, 1.0), (1, 2.0), (3, f64::NAN), (3, 1.0), (3, 0.5), (1, 2.0)]);
        assert_eq!(sort_rows(&mut all), 2);
        assert_eq!(all.times, [1, 3, 3, 3]);
        assert_eq!(all.values[..3], [2.0, 0.5, 1.0]);
        assert!(all.values[3].is_nan());
    }

    #[test]
    fn one_row_stays_per_interval() {
        let mut all = rows(&[(10, 1.0), (11, 2.0), (20, 3.0), (20, 4.0), (20, f64::NAN), (21, 5.0), (30, f64::NAN)]);
        assert_eq!(deduplicate(&mut all, 10), 4);
        assert_eq!(all.times, [10, 20, 30]);
        assert_eq!(all.values[..2], [1.0, 4.0]);
        assert!(all.values[2].is_nan());
    }
}
