//! Rows of another node.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use storage_api::{NumberedOutcome, Refusal, ReportAnswer};
use tonic::Status;

use super::{Service, decode, encode, wrong};
use crate::{
    error::{insert_status, wrong_status},
    wire::{
        messages::{InsertReply, ReportMessage, ReportReply},
        requests, rows,
    },
};

impl Service {
    /// Stores a batch. Answers when the rows are as durable as this node was told to make them.
    pub(super) async fn insert(&self, message: &[u8]) -> Result<Bytes, Status> {
        let Some(insert) = &self.insert else {
            return Err(wrong_status(&format!(
                "a node of role {} takes no rows; want the -vminsertAddr of a storage or the -clusternativeListenAddr of an insert",
                self.role.name()
            )));
        };
        let _turn = self.inserts.acquire().await.map_err(|_| Status::unavailable("the node is closing"))?;
        let broken = |why| Status::invalid_argument(format!("cannot read the rows: {why}"));
        let decoded = rows::read(message).map_err(broken)?;
        let outcome = insert.insert_numbered(decoded.batch()).await.map_err(|error| insert_status(&error))?;
        let NumberedOutcome::Taken { inserted, unknown, numbers } = outcome else {
            return Ok(encode(&InsertReply { stale: true, ..InsertReply::default() }));
        };
        self.rows_received.fetch_add(inserted.samples, Ordering::Relaxed);
        let refused = match inserted.refused.total() {
            0 => Vec::new(),
            _ => Refusal::ALL.iter().map(|reason| inserted.refused.get(*reason)).collect(),
        };
        let (samples, dropped) = (inserted.samples, inserted.dropped);
        Ok(encode(&InsertReply { stale: false, samples, dropped, refused, unknown, numbers }))
    }

    /// Takes what an insert says of rows that this node lacks.
    pub(super) async fn report(&self, question: &[u8]) -> Result<Bytes, Status> {
        let Some(reports) = &self.reports else {
            return Err(wrong_status(&format!("a node of role {} takes no reports", self.role.name())));
        };
        let report = requests::report(&decode::<ReportMessage>(question)?).map_err(wrong)?;
        let answer = reports.take_report(&report).await.map_err(|error| insert_status(&error))?;
        let ReportAnswer { node, origin, token, read_only } = answer;
        let (node_low, node_high) = (node as u64, (node >> 64) as u64);
        Ok(encode(&ReportReply { token, read_only, node_low, node_high, origin: origin.number() }))
    }
}
