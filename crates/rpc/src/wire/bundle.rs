//! Batches of rows of several senders in one call, and what became of each.
//!
//! ```text
//! | batches varint | then each: length varint | batch as in [`rows`](super::rows) |
//! ```

use bytes::Bytes;
use codec::bytes::{Malformed, Reader, put_len_prefixed, put_varint};
use prost::Message;

use super::messages::InsertReply;
use crate::MESSAGE_BYTES_MAX;

/// No call has more batches.
pub const BATCHES_MAX: usize = 64;

/// What became of all batches, in their order.
#[derive(Clone, PartialEq, Message)]
pub struct BundleReply {
    #[prost(message, repeated, tag = "1")]
    pub batches: Vec<BatchReply>,
}

/// What became of one batch.
#[derive(Clone, PartialEq, Message)]
pub struct BatchReply {
    /// What became of it, if it was taken.
    #[prost(message, optional, tag = "1")]
    pub taken: Option<InsertReply>,
    /// The details of the status that it would have got alone.
    #[prost(bytes = "bytes", tag = "2")]
    pub failure: Bytes,
}

/// Puts batches into one message.
pub fn write(batches: &[Bytes]) -> Bytes {
    let bytes: usize = batches.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(bytes + 10 * (batches.len() + 1));
    put_varint(&mut out, batches.len() as u64);
    batches.iter().for_each(|batch| put_len_prefixed(&mut out, batch));
    out.into()
}

/// The batches of a message.
pub fn read(bytes: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let mut reader = Reader::new(bytes);
    let count = reader.varint_max(BATCHES_MAX as u64, "count of batches")?;
    let batches = (0..count).map(|_| reader.len_prefixed(MESSAGE_BYTES_MAX)).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(batches)
}
