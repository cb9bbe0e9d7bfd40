//! Rows of another node.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use codec::bytes::Malformed;
use storage_api::{InsertError, InsertNumbered, NumberedOutcome, Refusal, ReportAnswer};
use tokio::sync::SemaphorePermit;
use tonic::Status;

use super::{INSERTS_MAX, Service, decode, encode, wrong};
use crate::{
    error::{insert_status, wrong_status},
    wire::{
        bundle::{self, BATCHES_MAX, BatchReply, BundleReply},
        messages::{InsertReply, ReportMessage, ReportReply},
        requests, rows,
    },
};

impl Service {
    /// Stores a batch. Answers when the rows are as durable as this node was told to make them.
    pub(super) async fn insert(&self, message: &[u8]) -> Result<Bytes, Status> {
        let insert = self.taker()?;
        let _turn = self.turns(1).await?;
        tasks::begin(message.len()).await;
        let decoded = rows::read(message).map_err(broken)?;
        let outcome = insert.insert_numbered(decoded.batch()).await;
        self.insert_reply(outcome).map(|reply| encode(&reply)).map_err(|error| insert_status(&error))
    }

    /// Stores batches of several senders together, and says of each what became of it.
    pub(super) async fn insert_bundle(&self, message: &[u8]) -> Result<Bytes, Status> {
        let insert = self.taker()?;
        let messages = bundle::read(message).map_err(broken)?;
        let _turns = self.turns(messages.len()).await?;
        tasks::begin(message.len()).await;
        let decoded = messages.into_iter().map(rows::read).collect::<Result<Vec<_>, _>>().map_err(broken)?;
        let outcomes = insert.insert_together(decoded.iter().map(|decoded| decoded.batch()).collect()).await;
        let batch = |outcome| match self.insert_reply(outcome) {
            Ok(taken) => BatchReply { taken: Some(taken), failure: Bytes::new() },
            Err(error) => BatchReply { taken: None, failure: Bytes::copy_from_slice(insert_status(&error).details()) },
        };
        Ok(encode(&BundleReply { batches: outcomes.into_iter().map(batch).collect() }))
    }

    fn taker(&self) -> Result<&Arc<dyn InsertNumbered>, Status> {
        self.insert.as_ref().ok_or_else(|| {
            wrong_status(&format!(
                "a node of role {} takes no rows; want the -vminsertAddr of a storage or the -clusternativeListenAddr of an insert",
                self.role.name()
            ))
        })
    }

    /// The right to work on so many batches.
    async fn turns(&self, batches: usize) -> Result<SemaphorePermit<'_>, Status> {
        const { assert!(BATCHES_MAX <= INSERTS_MAX, "or a bundle would wait forever") };
        let closing = |_| Status::unavailable("the node is closing");
        self.inserts.acquire_many(batches as u32).await.map_err(closing)
    }

    fn insert_reply(&self, outcome: Result<NumberedOutcome, InsertError>) -> Result<InsertReply, InsertError> {
        let NumberedOutcome::Taken { inserted, unknown, numbers } = outcome? else {
            return Ok(InsertReply { stale: true, ..InsertReply::default() });
        };
        self.rows_received.fetch_add(inserted.samples, Ordering::Relaxed);
        let refused = match inserted.refused.total() {
            0 => Vec::new(),
            _ => Refusal::ALL.iter().map(|reason| inserted.refused.get(*reason)).collect(),
        };
        let (samples, dropped) = (inserted.samples, inserted.dropped);
        Ok(InsertReply { stale: false, samples, dropped, refused, unknown, numbers })
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

fn broken(why: Malformed) -> Status {
    Status::invalid_argument(format!("cannot read the rows: {why}"))
}
