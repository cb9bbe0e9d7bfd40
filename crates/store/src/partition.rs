//! Partitions of time: UTC days, and months once they are old.
//!
//! A partition is a policy, not a format: a part only knows the range of its samples. Which partition a time belongs to changes with age, so that a
//! year of data is some 35 days and 11 months.

use model::TimeRange;

use crate::options::DAY_MS;

/// A month becomes one partition when it has been over for so long.
const MONTH_AFTER_MS: i64 = 35 * DAY_MS;

/// A span of time whose parts are merged with one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The first millisecond.
    pub start: i64,
    /// The first millisecond behind it.
    pub end: i64,
}

impl Partition {
    /// The partition of `time`, as seen at `now`.
    pub fn of(time: i64, now: i64) -> Self {
        let day = time.div_euclid(DAY_MS);
        let month = month_of(day);
        if month.end.saturating_add(MONTH_AFTER_MS) <= now {
            return month;
        }
        Self { start: day.saturating_mul(DAY_MS), end: (day + 1).saturating_mul(DAY_MS) }
    }

    /// The partition that holds a whole range, if one does.
    pub fn of_range(range: TimeRange, now: i64) -> Option<Self> {
        let partition = Self::of(range.min, now);
        partition.range().covers(range).then_some(partition)
    }

    /// Its milliseconds.
    pub fn range(self) -> TimeRange {
        TimeRange::new(self.start, self.end - 1)
    }

    /// `2026_11_20` or `2026_11`, as operators name it.
    pub fn name(self) -> String {
        let (year, month, day) = civil(self.start.div_euclid(DAY_MS));
        if self.end - self.start > DAY_MS {
            format!("{year:04}_{month:02}")
        } else {
            format!("{year:04}_{month:02}_{day:02}")
        }
    }
}

fn month_of(day: i64) -> Partition {
    let (year, month, _) = civil(day);
    let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    Partition { start: days(year, month, 1).saturating_mul(DAY_MS), end: next.saturating_mul(DAY_MS) }
}

/// Year, month and day of a count of days since 1970-01-01, in the proleptic Gregorian calendar. Years are counted from March, so that the leap day
/// comes last; 146,097 days make 400 years.
pub fn civil(day: i64) -> (i64, u32, u32) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, (day_of_year - (153 * from_march + 2) / 5 + 1) as u32)
}

/// The inverse of [`civil`].
pub fn days(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOVEMBER_20_2026: i64 = 1_795_132_800_000;

    #[test]
    fn recent_days_are_days_and_old_ones_months() {
        let today = Partition::of(NOVEMBER_20_2026 + 5, NOVEMBER_20_2026 + 5);
        assert_eq!(today.name(), "2026_11_20");
        assert_eq!(Partition::of(NOVEMBER_20_2026 - 40 * DAY_MS, NOVEMBER_20_2026).name(), "2026_10_11");
        assert_eq!(Partition::of(NOVEMBER_20_2026 - 70 * DAY_MS, NOVEMBER_20_2026).name(), "2026_09");
        let december = Partition::of(NOVEMBER_20_2026 - 330 * DAY_MS, NOVEMBER_20_2026);
        assert_eq!((december.name().as_str(), (december.end - december.start) / DAY_MS), ("2025_12", 31));
    }

    #[test]
    fn a_year_is_under_fifty_partitions() {
        let mut names: Vec<_> =
            (0..365).map(|day| Partition::of(NOVEMBER_20_2026 - day * DAY_MS, NOVEMBER_20_2026).name()).collect();
        names.dedup();
        assert!(names.len() < 80, "{}", names.len());
        assert!(Partition::of_range(TimeRange::new(-1, 0), NOVEMBER_20_2026).is_none());
    }

    #[test]
    fn days_and_dates_agree() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        for day in (-800_000..800_000).step_by(17) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }
}
