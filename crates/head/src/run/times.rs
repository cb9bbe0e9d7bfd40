//! The time columns of a run: each different one stands once, found by its content.
//!
//! All series of a scrape target have the same times, so there are some thousands of columns for a million series, and they are kept ready to
//! read: 4 bytes a time, as offsets from the run's first, or 8 bytes where a run spans more than 49 days.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use model::TimeRange;

/// No run has as many columns: their numbers are written in three bytes.
pub(super) const COLUMNS_MAX: usize = 1 << (8 * super::COLUMN_BYTES);

#[derive(Debug)]
pub(super) struct TimeColumns {
    /// Where each column starts, and where the last one ends.
    starts: Vec<u32>,
    times: Times,
}

#[derive(Debug)]
enum Times {
    Offsets { base: i64, offsets: Vec<u32> },
    Whole(Vec<i64>),
}

impl TimeColumns {
    fn new(range: TimeRange) -> Self {
        let narrow = range.max.checked_sub(range.min).is_some_and(|span| span <= i64::from(u32::MAX));
        let times =
            if narrow { Times::Offsets { base: range.min, offsets: Vec::new() } } else { Times::Whole(Vec::new()) };
        Self { starts: vec![0], times }
    }

    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many times a column has.
    #[inline]
    pub(super) fn len(&self, column: u32) -> usize {
        (self.starts[column as usize + 1] - self.starts[column as usize]) as usize
    }

    #[inline]
    fn span(&self, column: u32) -> std::ops::Range<usize> {
        self.starts[column as usize] as usize..self.starts[column as usize + 1] as usize
    }

    /// Adds a column to `out`.
    #[inline]
    pub(super) fn read(&self, column: u32, out: &mut Vec<i64>) {
        let span = self.span(column);
        match &self.times {
            Times::Offsets { base, offsets } => {
                out.extend(offsets[span].iter().map(|offset| base + i64::from(*offset)));
            }
            Times::Whole(times) => out.extend_from_slice(&times[span]),
        }
    }

    #[inline]
    fn is(&self, column: u32, times: &[i64]) -> bool {
        let span = self.span(column);
        span.len() == times.len()
            && match &self.times {
                Times::Offsets { base, offsets } => {
                    offsets[span].iter().zip(times).all(|(offset, time)| base + i64::from(*offset) == *time)
                }
                Times::Whole(have) => have[span] == *times,
            }
    }

    fn push(&mut self, times: &[i64]) -> u32 {
        let end = match &mut self.times {
            Times::Offsets { base, offsets } => {
                let offset = |time: &i64| u32::try_from(time - *base).expect("BUG: a time outside its run's range");
                offsets.extend(times.iter().map(offset));
                offsets.len()
            }
            Times::Whole(have) => {
                have.extend_from_slice(times);
                have.len()
            }
        };
        self.starts.push(u32::try_from(end).expect("BUG: a run with too many times"));
        assert!(self.count() <= COLUMNS_MAX, "BUG: a run with too many time columns");
        self.count() as u32 - 1
    }

    pub(super) fn bytes(&self) -> usize {
        let times = match &self.times {
            Times::Offsets { offsets, .. } => offsets.capacity() * 4,
            Times::Whole(times) => times.capacity() * 8,
        };
        self.starts.capacity() * 4 + times
    }
}

/// Collects columns.
#[derive(Debug)]
pub(super) struct TimeColumnsWriter {
    columns: TimeColumns,
    /// The hash is seeded by the process: nobody outside can make all columns meet in one place.
    by_content: HashTable<(u64, u32)>,
    hasher: DefaultHashBuilder,
}

impl TimeColumnsWriter {
    /// For times inside `range`.
    pub(super) fn new(range: TimeRange) -> Self {
        Self { columns: TimeColumns::new(range), by_content: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// The number of the column with these times, trying `guess` first.
    #[inline]
    pub(super) fn number(&mut self, times: &[i64], guess: Option<u32>) -> u32 {
        match guess {
            Some(guess) if self.columns.is(guess, times) => guess,
            _ => self.find_or_add(times),
        }
    }

    fn find_or_add(&mut self, times: &[i64]) -> u32 {
        let hash = self.hasher.hash_one(times);
        if let Some((_, column)) = self.by_content.find(hash, |(_, column)| self.columns.is(*column, times)) {
            return *column;
        }
        let number = self.columns.push(times);
        self.by_content.insert_unique(hash, (hash, number), |(hash, _)| *hash);
        number
    }

    pub(super) fn finish(mut self) -> TimeColumns {
        self.columns.starts.shrink_to_fit();
        match &mut self.columns.times {
            Times::Offsets { offsets, .. } => offsets.shrink_to_fit(),
            Times::Whole(times) => times.shrink_to_fit(),
        }
        self.columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: TimeRange, columns: &[&[i64]]) {
        let mut writer = TimeColumnsWriter::new(range);
        let numbers: Vec<u32> = columns.iter().map(|times| writer.number(times, None)).collect();
        let again: Vec<u32> =
            columns.iter().zip(&numbers).map(|(times, number)| writer.number(times, Some(*number))).collect();
        assert_eq!(numbers, again);
        let written = writer.finish();
        for (times, number) in columns.iter().zip(&numbers) {
            let mut back = Vec::new();
            written.read(*number, &mut back);
            assert_eq!(back, *times);
            assert_eq!(written.len(*number), times.len());
        }
    }

    #[test]
    fn equal_columns_stand_once_and_come_back() {
        check(TimeRange::new(-5, 100), &[&[-5, 100], &[0], &[-5, 100], &[-5], &[0, 0, 0]]);
        check(TimeRange::ALL, &[&[i64::MIN, i64::MAX, 0], &[7]]);
        let mut writer = TimeColumnsWriter::new(TimeRange::new(0, 9));
        assert_eq!(
            [writer.number(&[1, 2], None), writer.number(&[1], Some(0)), writer.number(&[1, 2], Some(1))],
            [0, 1, 0]
        );
    }

    #[test]
    fn thousands_of_columns_are_found_again() {
        let mut writer = TimeColumnsWriter::new(TimeRange::new(0, 10_000));
        for round in 0..2 {
            for time in 0..5_000 {
                assert_eq!(writer.number(&[time, time + 1], None), time as u32, "round {round}");
            }
        }
    }
}
