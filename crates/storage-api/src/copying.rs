//! What one store holds of some shards, handed to another one that has lost it.
//!
//! 1. The giver has a snapshot, whose parts nobody changes ([`crate::Admin::create_snapshot`]). Part by part it copies what belongs to the shards, block
//!    by block as they stand, without decoding a value ([`GiveShards`]).
//! 2. The taker puts the copies into parts of its own ([`TakeCopies`]). They count as if they had arrived when the copying began, so that what was deleted
//!    since then stays deleted.

use crate::{AdminError, ShardSet};

/// Gives copies.
pub trait GiveShards: Send + Sync {
    /// The numbers of a snapshot's parts.
    fn snapshot_parts(&self, snapshot: &str) -> Result<Vec<u64>, AdminError>;

    /// Gives `take` what a part of a snapshot holds of the shards, in pieces. Blocks the thread.
    fn copy_part(
        &self,
        snapshot: &str,
        part: u64,
        shards: &ShardSet,
        take: &mut dyn FnMut(CopyPiece<'_>) -> Result<(), AdminError>,
    ) -> Result<(), AdminError>;
}

/// A piece of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyPiece<'a> {
    /// A part begins: the bytes of its index come first, then those of its columns.
    Begin {
        /// How many of the index.
        index_bytes: u64,
        /// How many of the columns.
        columns_bytes: u64,
    },
    /// The next of its bytes.
    Bytes(&'a [u8]),
}

/// Takes copies.
pub trait TakeCopies: Send + Sync {
    /// What arrives now counts as later than this.
    fn arrival(&self) -> u64;

    /// Begins to take the copy of a part, as if it had come at `arrival`.
    fn take_copy(&self, arrival: u64) -> Box<dyn TakeCopy>;
}

/// A copy on its way in. Dropped before its end it leaves nothing behind that counts.
pub trait TakeCopy: Send {
    /// Takes the next piece. Blocks the thread.
    fn take(&mut self, piece: CopyPiece<'_>) -> Result<(), AdminError>;

    /// There are no more pieces: what came is durable and seen by queries. Gives how many samples that are. Blocks the thread.
    fn finish(self: Box<Self>) -> Result<u64, AdminError>;
}
