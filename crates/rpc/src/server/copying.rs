//! Copies of what this node holds, for one that has lost it.
//!
//! 1. An offer is a snapshot with the numbers of its parts, and the shards of which this node has all that was acknowledged.
//! 2. A part's copy is made and read by a thread that may block, and waits where the network takes no more.

use std::sync::Arc;

use bytes::Bytes;
use model::TimeRange;
use storage_api::{AdminError, Cancel, CopyPiece, GiveShards};
use tokio::task::spawn_blocking;
use tonic::Status;

use super::{
    Service, decode, encode,
    packets::{Packets, packets},
    wrong,
};
use crate::{
    error::{admin_status, wrong_status},
    wire::{
        copy,
        messages::{CopyMessage, OfferMessage},
        requests,
    },
};

impl Service {
    fn give(&self) -> Result<&Arc<dyn GiveShards>, Status> {
        let role = self.role.name();
        self.give.as_ref().ok_or_else(|| wrong_status(&format!("a node of role {role} has no data to copy")))
    }

    /// Makes a snapshot for another node.
    pub(super) async fn offer(&self) -> Result<Bytes, Status> {
        let give = Arc::clone(self.give()?);
        // Asked for before the snapshot is made: what was acknowledged before is in it, what comes later the other node gets itself.
        let complete = self.complete(TimeRange::ALL);
        let snapshot = self.operating(|admin| admin.create_snapshot()).await?;
        let name = snapshot.clone();
        let parts = spawn_blocking(move || give.snapshot_parts(&name)).await;
        let parts = parts.map_err(|why| Status::internal(format!("the work ended badly: {why}")))?;
        let parts = parts.map_err(|error| admin_status(&error))?;
        Ok(encode(&OfferMessage { snapshot, parts, complete }))
    }

    /// Streams what a part of a snapshot holds of some shards.
    pub(super) fn copy_part(&self, question: &[u8]) -> Result<Packets, Status> {
        let give = Arc::clone(self.give()?);
        let CopyMessage { snapshot, part, shards } = decode(question)?;
        let shards = requests::shards(&shards).map_err(wrong)?;
        let (mut out, packets) = packets(Cancel::default());
        spawn_blocking(move || {
            let gone = |_| AdminError::Unavailable("nobody takes the copy any more".into());
            let mut take = |piece: CopyPiece<'_>| out.send(copy::write(piece)).map_err(gone);
            let copied = give.copy_part(&snapshot, part, &shards, &mut take);
            out.end(copied.map(|()| copy::end()).map_err(|error| admin_status(&error)));
        });
        Ok(packets)
    }
}
