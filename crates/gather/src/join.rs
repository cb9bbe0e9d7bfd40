//! What several nodes have of one series.
//!
//! 1. Samples are joined by time; at equal times they stand in the one order of values.
//! 2. Where copies collapse (there is more than one replica, or samples are deduplicated), equal values at equal times are one sample. Else all stay.
//! 3. Deduplication keeps one sample per interval `(k · interval, (k + 1) · interval]`: the last time in it, at that time the largest number; a NaN or a stale
//!    marker only if there is nothing else at that time. If only one sample per timestamp is wanted, that is deduplication by a millisecond.
//! 4. An interval is judged as a whole, also where the range that was asked for cuts it.

use std::{cmp::Ordering, sync::Arc};

use model::{TimeRange, sort_order_at_equal_time};
use storage_api::SeriesData;

/// How samples of one series are joined.
#[derive(Debug, Clone, Copy)]
pub struct Joining {
    /// Equal values at equal times are one.
    pub collapse: bool,
    /// Only the last value at a time stays.
    pub one_per_timestamp: bool,
    /// Only one sample of each interval stays; 0 for all.
    pub dedup_interval_ms: i64,
    /// What was asked for.
    pub range: TimeRange,
}

impl Joining {
    /// Whether the samples of a single source may stay as they are.
    pub fn keeps_single(self) -> bool {
        self.dedup_interval_ms <= 0
    }

    /// Joins the samples of `sources`, none of which holds heads, into `out`.
    pub fn join(self, sources: &[SeriesData], out: &mut SeriesData) {
        let mut rows: Vec<(i64, f64)> =
            sources.iter().flat_map(|source| source.times.iter().copied().zip(source.values.iter().copied())).collect();
        // Each source is sorted already, which a stable sort makes use of.
        rows.sort_by(order);
        if self.collapse {
            rows.dedup_by(|next, one| order(next, one) == Ordering::Equal);
        }
        dedup(&mut rows, self.dedup_interval_ms.max(i64::from(self.one_per_timestamp)));
        rows.retain(|row| self.range.contains(row.0));
        out.kind = sources.iter().find_map(|source| source.kind);
        out.heads.clear();
        out.values.clear();
        out.values.extend(rows.iter().map(|row| row.1));
        out.times = Arc::new(rows.iter().map(|row| row.0).collect());
    }

    /// From when on nodes are asked for samples, of which those before `from` are not wanted: whole intervals.
    pub fn samples_asked_from(self, from: i64) -> i64 {
        match self.dedup_interval_ms {
            interval if interval > 0 && from > i64::MIN => {
                interval_of(from, interval).saturating_mul(interval).saturating_add(1)
            }
            _ => from,
        }
    }

    /// What nodes are asked for: whole intervals.
    pub fn range_asked(self) -> TimeRange {
        let (range, interval) = (self.range, self.dedup_interval_ms);
        if interval <= 0 || range.is_empty() {
            return range;
        }
        let start = |time: i64| interval_of(time, interval).saturating_mul(interval).saturating_add(1);
        TimeRange::new(start(range.min), start(range.max).saturating_add(interval - 1))
    }
}

fn interval_of(time: i64, interval: i64) -> i64 {
    time.saturating_sub(1).div_euclid(interval)
}

/// Of each interval of sorted rows one stays.
fn dedup(rows: &mut Vec<(i64, f64)>, interval: i64) {
    if interval <= 0 {
        return;
    }
    let (mut kept, mut start) = (0, 0);
    while start < rows.len() {
        let number = interval_of(rows[start].0, interval);
        let others = rows[start..].iter().take_while(|row| interval_of(row.0, interval) == number);
        let end = start + others.count();
        rows[kept] = best(&rows[start..end]);
        kept += 1;
        start = end;
    }
    rows.truncate(kept);
}

/// The last time, at it the largest number, else whatever there is.
fn best(rows: &[(i64, f64)]) -> (i64, f64) {
    let last = rows[rows.len() - 1];
    let at_last = rows.iter().rev().take_while(|row| row.0 == last.0);
    at_last.copied().find(|row| !row.1.is_nan()).unwrap_or(last)
}

fn order(one: &(i64, f64), other: &(i64, f64)) -> Ordering {
    one.0.cmp(&other.0).then_with(|| sort_order_at_equal_time(one.1, other.1))
}

#[cfg(test)]
mod tests {
    use model::STALE_NAN_BITS;
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Joining =
        Joining { collapse: false, one_per_timestamp: false, dedup_interval_ms: 0, range: TimeRange::ALL };

    fn data(rows: &[(i64, f64)]) -> SeriesData {
        let times = Arc::new(rows.iter().map(|row| row.0).collect());
        SeriesData { times, values: rows.iter().map(|row| row.1).collect(), ..SeriesData::default() }
    }

    fn joined(joining: Joining, sources: &[&[(i64, f64)]]) -> Vec<(i64, u64)> {
        let sources: Vec<SeriesData> = sources.iter().map(|rows| data(rows)).collect();
        let mut out = SeriesData::default();
        joining.join(&sources, &mut out);
        out.times.iter().copied().zip(out.values.iter().map(|value| value.to_bits())).collect()
    }

    fn bits(rows: &[(i64, f64)]) -> Vec<(i64, u64)> {
        rows.iter().map(|row| (row.0, row.1.to_bits())).collect()
    }

    #[test]
    fn copies_collapse_only_where_there_are_replicas() {
        let (one, other) = (&[(1, 1.0), (3, 3.0)][..], &[(1, 1.0), (2, 2.0), (3, 4.0)][..]);
        let both = [(1, 1.0), (1, 1.0), (2, 2.0), (3, 3.0), (3, 4.0)];
        assert_eq!(joined(PLAIN, &[one, other]), bits(&both));
        let collapse = Joining { collapse: true, ..PLAIN };
        assert_eq!(joined(collapse, &[one, other]), bits(&[(1, 1.0), (2, 2.0), (3, 3.0), (3, 4.0)]));
        let single = Joining { one_per_timestamp: true, ..collapse };
        assert_eq!(joined(single, &[one, other]), bits(&[(1, 1.0), (2, 2.0), (3, 4.0)]));
    }

    #[test]
    fn of_an_interval_the_last_time_stays_and_at_it_the_largest_number() {
        let stale = f64::from_bits(STALE_NAN_BITS);
        let dedup = Joining { collapse: true, dedup_interval_ms: 10, ..PLAIN };
        let rows = [(1, 9.0), (10, 1.0), (10, 5.0), (10, f64::NAN), (10, stale), (11, 2.0), (35, stale)];
        assert_eq!(joined(dedup, &[&rows]), bits(&[(10, 5.0), (11, 2.0), (35, stale)]));
        assert_eq!(
            joined(dedup, &[&[(-10, 1.0), (-9, 2.0), (0, 3.0), (1, 4.0)]]),
            bits(&[(-10, 1.0), (0, 3.0), (1, 4.0)])
        );
        let cut = Joining { range: TimeRange::new(3, 12), ..dedup };
        assert_eq!(cut.range_asked(), TimeRange::new(1, 20));
        assert_eq!(joined(cut, &[&[(9, 1.0), (12, 2.0), (15, 3.0)]]), bits(&[(9, 1.0)]));
    }

    proptest! {
        #[test]
        fn replicas_of_which_each_lacks_something_come_to_the_whole(
            rows in prop::collection::btree_map(0_i64..60, 0_u8..4, 0..40),
            holds in prop::collection::vec(0_u8..3, 60),
        ) {
            let whole: Vec<(i64, f64)> = rows.iter().map(|(time, value)| (*time, f64::from(*value))).collect();
            let part = |not: u8| whole.iter().copied().filter(|row| holds[row.0 as usize] != not).collect::<Vec<_>>();
            let (one, other) = (part(0), part(1));
            let collapse = Joining { collapse: true, ..PLAIN };
            prop_assert_eq!(joined(collapse, &[&one, &other]), bits(&whole));
        }
    }
}
