//! Ingest sequence numbers: the order in which appends arrived.

/// The closed range of sequence numbers of some rows; empty when `min > max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqRange {
    /// The oldest.
    pub min: u64,
    /// The newest.
    pub max: u64,
}

impl SeqRange {
    /// Of no rows.
    pub const EMPTY: Self = Self { min: u64::MAX, max: 0 };

    /// The smallest range that holds both.
    #[must_use]
    pub fn cover(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}
