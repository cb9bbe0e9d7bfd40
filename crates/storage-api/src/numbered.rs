//! Rows of series that both sides know already: what one node hands to another.
//!
//! 1. A taker has its own numbers for the series that it holds in memory. They hold as long as its process runs, and a number that was freed may
//!    later stand for another series.
//! 2. A row names its series by such a number, else by its canonical id, else, when the taker said that it does not know the id, by its key.
//! 3. The batch carries a check over the ids of all rows named by number, in their order. Where it is not what the taker's own numbers come to, nothing is
//!    stored, and the sender names its rows by id again.

use model::{Sample, SeriesId, Tenant, ValueKind};

use tasks::together;

use crate::{
    BoxFuture,
    insert::{InsertError, Inserted, MetricMetadata},
};

/// Takes rows by number, id or key of their series.
pub trait InsertNumbered: Send + Sync {
    /// Stores a batch; resolves as [`crate::Insert::insert`] does.
    fn insert_numbered<'a>(&'a self, batch: NumberedBatch<'a>) -> BoxFuture<'a, Result<NumberedOutcome, InsertError>>;

    /// Stores batches that came together, each as if it had come alone; a store makes them durable together.
    fn insert_together<'a>(
        &'a self,
        batches: Vec<NumberedBatch<'a>>,
    ) -> BoxFuture<'a, Vec<Result<NumberedOutcome, InsertError>>> {
        Box::pin(together(batches.into_iter().map(|batch| self.insert_numbered(batch)).collect()))
    }
}

/// Rows for one tenant.
#[derive(Debug, Clone, Copy)]
pub struct NumberedBatch<'a> {
    /// Whose rows they are. Keys hold it as well, and must agree.
    pub tenant: Tenant,
    /// The rows, each with a run of `samples`; the runs follow one another without gaps.
    pub rows: &'a [NumberedRow<'a>],
    /// The samples of all rows.
    pub samples: &'a [Sample],
    /// [`check_of`] over the ids of the rows named by number.
    pub check: u64,
    /// What senders tell about metrics.
    pub metadata: &'a [MetricMetadata<'a>],
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct NumberedRow<'a> {
    /// Its series.
    pub series: SeriesName<'a>,
    /// End of its samples in [`NumberedBatch::samples`]; they start where those of the row before end.
    pub samples_end: u32,
    /// What the values are.
    pub kind: ValueKind,
}

/// How a row names its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesName<'a> {
    /// By the taker's number for it.
    Number(u32),
    /// By its canonical id.
    Id(SeriesId),
    /// By the bytes of its canonical key.
    Key(&'a [u8]),
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberedOutcome {
    /// A number stands for another series than the sender means: nothing is stored.
    Stale,
    /// All rows but those of `unknown` are stored or refused.
    Taken {
        /// What became of their samples.
        inserted: Inserted,
        /// Places of rows whose id the taker does not know; nothing of them is stored.
        unknown: Vec<u32>,
        /// For each row named by id or key, in their order, the number to use from now on; [`NO_NUMBER`] for none.
        numbers: Vec<u32>,
    },
}

/// In [`NumberedOutcome::Taken`]: the series has no number.
pub const NO_NUMBER: u32 = u32::MAX;

/// The check over ids of rows named by number, in their order. A node that restarts gives the same series other numbers: the same set in another order has
/// another check.
pub fn check_of(ids: impl Iterator<Item = SeriesId>) -> u64 {
    ids.fold(0, check_with)
}

/// The check with one more id.
#[inline]
pub fn check_with(check: u64, id: SeriesId) -> u64 {
    // Ids are hashes already; the odd factor makes each of them count by its place.
    check.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(id.0 as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_depends_on_series_and_order() {
        let check = |ids: &[u128]| check_of(ids.iter().map(|id| SeriesId(*id)));
        let checks = [check(&[1, 2, 3]), check(&[2, 1, 3]), check(&[1, 2]), check(&[1, 2, 4]), check(&[3, 2, 1])];
        assert!(checks.iter().enumerate().all(|(at, one)| !checks[at + 1..].contains(one)));
        assert_eq!(check(&[1, 2]), check_with(check(&[1]), SeriesId(2)));
    }
}
