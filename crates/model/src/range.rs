//! Ranges of time.

/// A closed range of milliseconds since 1970; empty when `min > max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// The first millisecond inside.
    pub min: i64,
    /// The last millisecond inside.
    pub max: i64,
}

impl TimeRange {
    /// Everything.
    pub const ALL: Self = Self { min: i64::MIN, max: i64::MAX };
    /// Nothing; the neutral element of [`TimeRange::cover`].
    pub const EMPTY: Self = Self { min: i64::MAX, max: i64::MIN };

    /// The closed range from `min` to `max`.
    pub fn new(min: i64, max: i64) -> Self {
        Self { min, max }
    }

    /// Whether no millisecond lies inside.
    pub fn is_empty(self) -> bool {
        self.min > self.max
    }

    /// Whether `time` lies inside.
    pub fn contains(self, time: i64) -> bool {
        self.min <= time && time <= self.max
    }

    /// Whether all of `other` lies inside.
    pub fn covers(self, other: Self) -> bool {
        other.is_empty() || (self.min <= other.min && other.max <= self.max)
    }

    /// Whether the two share a millisecond.
    pub fn overlaps(self, other: Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.min <= other.max && other.min <= self.max
    }

    /// What lies in both.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn cover(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// Widens the range so that it holds `time`.
    pub fn include(&mut self, time: i64) {
        self.min = self.min.min(time);
        self.max = self.max.max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_ranges_touch_nothing() {
        let day = TimeRange::new(0, 86_399_999);
        assert!(!TimeRange::EMPTY.overlaps(day) && !day.overlaps(TimeRange::EMPTY));
        assert!(day.covers(TimeRange::EMPTY));
        assert_eq!(TimeRange::EMPTY.cover(day), day);
        assert!(day.intersect(TimeRange::new(86_400_000, 90_000_000)).is_empty());
    }
}
