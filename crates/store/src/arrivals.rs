//! When rows came in last, for each day.
//!
//! A backfill, or a sender that is late for hours, writes into days that have long been over. Each flush adds a part to them, and if each of these parts were a
//! reason to write the day in its dense form, the whole day would be rewritten with every flush. So the dense form waits until nothing has come for a while.
//! What is known here ends with the process: after a start every day counts as written at the start.

use std::collections::BTreeMap;

use model::TimeRange;
use parking_lot::Mutex;

use crate::{options::DAY_MS, partition::Partition};

/// Days and the time at which their last rows came in.
#[derive(Debug)]
pub struct Arrivals {
    opened_ms: i64,
    days: Mutex<BTreeMap<i64, i64>>,
}

impl Arrivals {
    /// Of a store that was opened at this time.
    pub fn since(opened_ms: i64) -> Self {
        Self { opened_ms, days: Mutex::default() }
    }

    /// Rows of this range came in. A range over several partitions says nothing about any of them: its part is split first, and then noted.
    pub fn note(&self, range: TimeRange, now: i64) {
        if Partition::of_range(range, now).is_some() {
            let mut days = self.days.lock();
            let (first, last) = (range.min.div_euclid(DAY_MS), range.max.div_euclid(DAY_MS));
            days.extend((first..=last).map(|day| (day, now)));
        }
    }

    /// When the last rows of a partition came in.
    pub fn last(&self, partition: Partition) -> i64 {
        let (first, end) = (partition.start.div_euclid(DAY_MS), partition.end.div_euclid(DAY_MS));
        self.days.lock().range(first..end).map(|(_, last)| *last).fold(self.opened_ms, i64::max)
    }

    /// Forgets days that no retention asks for any more.
    pub fn forget_before(&self, oldest: i64) {
        let mut days = self.days.lock();
        let kept = days.split_off(&oldest.div_euclid(DAY_MS));
        *days = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_knows_its_last_rows() {
        let day = |day: i64| Partition { start: day * DAY_MS, end: (day + 1) * DAY_MS };
        let now = 20_010 * DAY_MS;
        let arrivals = Arrivals::since(now);
        assert_eq!(arrivals.last(day(20_000)), now);
        arrivals.note(TimeRange::new(20_000 * DAY_MS, 20_000 * DAY_MS + 5), now + 7);
        assert_eq!((arrivals.last(day(20_000)), arrivals.last(day(20_001))), (now + 7, now));
        // A part of several partitions.
        arrivals.note(TimeRange::new(20_000 * DAY_MS, 20_001 * DAY_MS), now + 9);
        assert_eq!(arrivals.last(day(20_000)), now + 7);
        // When days have become a month, the latest of them counts.
        let month = Partition { start: 19_990 * DAY_MS, end: 20_020 * DAY_MS };
        assert_eq!(arrivals.last(month), now + 7);
        arrivals.forget_before(20_001 * DAY_MS);
        assert_eq!(arrivals.last(day(20_000)), now);
    }
}
