//! Rows and reports to another node.

use std::sync::atomic::Ordering::Relaxed;

use storage_api::{
    BoxFuture, InsertError, InsertNumbered, InsertReport, Inserted, NumberedBatch, NumberedOutcome, Origin, Refusal,
    ReportAnswer, TakeReports,
};

use super::Node;
use crate::{
    RpcError,
    wire::{messages::ReportReply, path, requests, rows},
};

impl InsertNumbered for Node {
    fn insert_numbered<'a>(&'a self, batch: NumberedBatch<'a>) -> BoxFuture<'a, Result<NumberedOutcome, InsertError>> {
        Box::pin(async move { self.send(&batch).await.map_err(InsertError::from) })
    }
}

impl TakeReports for Node {
    fn take_report<'a>(&'a self, report: &'a InsertReport) -> BoxFuture<'a, Result<ReportAnswer, InsertError>> {
        Box::pin(async move {
            self.hello().await?;
            let question = requests::report_message(report);
            let ReportReply { token, read_only, node_low, node_high, origin } =
                self.call(path::REPORT, &question, self.options.call_time_max).await?;
            let node = u128::from(node_high) << 64 | u128::from(node_low);
            Ok(ReportAnswer { node, origin: Origin::of(origin), token, read_only })
        })
    }
}

impl From<RpcError> for InsertError {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::Insert(error) => error,
            // Whether they are stored is unknown.
            other => Self::NotDurable(other.to_string()),
        }
    }
}

impl Node {
    async fn send(&self, batch: &NumberedBatch<'_>) -> Result<NumberedOutcome, RpcError> {
        self.hello().await?;
        let mut message = Vec::new();
        rows::write(batch, &mut message);
        self.stats.bytes_sent.fetch_add(message.len() as u64, Relaxed);
        let reply = self.send_rows(message.into()).await?;
        if reply.stale {
            return Ok(NumberedOutcome::Stale);
        }
        if reply.refused.len() > Refusal::ALL.len() {
            return Err(RpcError::Wrong(format!("{}: it refuses rows for a reason of a later version", self.address)));
        }
        let mut inserted = Inserted { samples: reply.samples, dropped: reply.dropped, ..Inserted::default() };
        for (reason, samples) in Refusal::ALL.iter().zip(&reply.refused) {
            inserted.refused.add(*reason, *samples);
        }
        self.stats.rows_sent.fetch_add(inserted.samples, Relaxed);
        Ok(NumberedOutcome::Taken { inserted, unknown: reply.unknown, numbers: reply.numbers })
    }
}
