//! Rows of one series as two columns.

/// Times and values side by side, in order of arrival.
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

    /// The rows, one after another.
    pub fn iter(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        self.times.iter().copied().zip(self.values.iter().copied())
    }

    /// Turns the rows from `start` on around.
    pub(crate) fn reverse_from(&mut self, start: usize) {
        self.times[start..].reverse();
        self.values[start..].reverse();
    }
}
