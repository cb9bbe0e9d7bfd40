//! Version numbers of time ranges, by which an answer in a cache is known to be still right.
//!
//! Time is cut into hours. Every append raises the numbers of the hours that it writes into; deletes and expiry raise one number for all. The version
//! of a range is the sum over its hours: it never falls, and it rises whenever one of them does.

use std::collections::BTreeMap;

use model::TimeRange;
use parking_lot::Mutex;

use crate::options::HOUR_MS;

/// When a batch touches more hours than this, the number for all is raised instead.
const HOURS_MAX: i64 = 64;

/// The numbers.
#[derive(Debug, Default)]
pub struct Versions(Mutex<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    all: u64,
    hours: BTreeMap<i64, u64>,
}

impl Versions {
    /// Rows were written into the range.
    pub fn written(&self, range: TimeRange) {
        if range.is_empty() {
            return;
        }
        let (first, last) = (range.min.div_euclid(HOUR_MS), range.max.div_euclid(HOUR_MS));
        let mut numbers = self.0.lock();
        if last - first >= HOURS_MAX {
            numbers.all += 1;
            return;
        }
        for hour in first..=last {
            *numbers.hours.entry(hour).or_default() += 1;
        }
    }

    /// Anything may have changed.
    pub fn all_changed(&self) {
        self.0.lock().all += 1;
    }

    /// Hours before `time` are answered no more.
    pub fn forget_before(&self, time: i64) {
        let mut numbers = self.0.lock();
        let kept = numbers.hours.split_off(&time.div_euclid(HOUR_MS));
        // The sum over a range must not fall.
        numbers.all += numbers.hours.values().sum::<u64>();
        numbers.hours = kept;
    }

    /// The version of a range.
    pub fn of(&self, range: TimeRange) -> u64 {
        let numbers = self.0.lock();
        if range.is_empty() {
            return numbers.all;
        }
        let hours = range.min.div_euclid(HOUR_MS)..=range.max.div_euclid(HOUR_MS);
        numbers.all + numbers.hours.range(hours).map(|(_, number)| number).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ranges_that_were_touched_change() {
        let versions = Versions::default();
        let (one, two) = (TimeRange::new(0, HOUR_MS - 1), TimeRange::new(HOUR_MS, 2 * HOUR_MS));
        let before = (versions.of(one), versions.of(two));
        versions.written(TimeRange::new(HOUR_MS, HOUR_MS));
        assert_eq!(versions.of(one), before.0);
        assert_ne!(versions.of(two), before.1);
        let before = versions.of(one);
        versions.all_changed();
        assert_ne!(versions.of(one), before);
    }
}
