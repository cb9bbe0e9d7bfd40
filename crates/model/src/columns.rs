//! Rows of one series as two columns.

use crate::TimeRange;

/// Times and values side by side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    /// Milliseconds since 1970.
    pub times: Vec<i64>,
    /// The values, bit for bit as they came.
    pub values: Vec<f64>,
}

impl Columns {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        debug_assert_eq!(self.times.len(), self.values.len(), "BUG: columns of different length");
        self.times.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
    }

    /// Adds a row.
    #[inline]
    pub fn push(&mut self, time: i64, value: f64) {
        self.times.push(time);
        self.values.push(value);
    }

    /// Adds the rows of `other`.
    pub fn append(&mut self, other: &Self) {
        self.times.extend_from_slice(&other.times);
        self.values.extend_from_slice(&other.values);
    }

    /// The rows, one after another.
    pub fn iter(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        self.times.iter().copied().zip(self.values.iter().copied())
    }

    /// Turns the rows from `start` on around.
    pub fn reverse_from(&mut self, start: usize) {
        self.times[start..].reverse();
        self.values[start..].reverse();
    }

    /// Of the rows from `start` on, keeps those of which `keep(time)` is true.
    pub fn retain_from(&mut self, start: usize, mut keep: impl FnMut(i64) -> bool) {
        let mut kept = start;
        for row in start..self.times.len() {
            if keep(self.times[row]) {
                self.times[kept] = self.times[row];
                self.values[kept] = self.values[row];
                kept += 1;
            }
        }
        self.times.truncate(kept);
        self.values.truncate(kept);
    }

    /// Of sorted rows, keeps those inside `range`.
    pub fn clip(&mut self, range: TimeRange) {
        debug_assert!(self.times.is_sorted(), "BUG: only sorted rows can be clipped");
        let inside = match (self.times.first(), self.times.last()) {
            (Some(first), Some(last)) => range.contains(*first) && range.contains(*last),
            _ => true,
        };
        if !inside {
            self.retain_from(0, |time| range.contains(time));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_together() {
        let mut rows = Columns { times: vec![1, 2, 3, 4], values: vec![0.1, 0.2, 0.3, 0.4] };
        rows.clip(TimeRange::new(2, 9));
        rows.retain_from(1, |time| time != 3);
        assert_eq!(rows.iter().collect::<Vec<_>>(), [(2, 0.2), (4, 0.4)]);
        rows.reverse_from(0);
        assert_eq!(rows.iter().collect::<Vec<_>>(), [(4, 0.4), (2, 0.2)]);
    }
}
