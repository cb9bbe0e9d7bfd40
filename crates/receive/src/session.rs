//! Rows of one request on their way to the store, batch by batch.
//!
//! 1. A session computes only while it holds a place at the gate. It takes one before it reads, and gives it back as soon as the store only waits for
//!    the disk, or the request for the network.
//! 2. Every batch goes to the store under the rules that held when the request came in.
//! 3. What could not be read is counted, and its first reason kept: a request of which nothing could be read is broken as a whole.

use std::{fmt, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use basalt_http::{Permit, Request, StatusCode};
use decode::{
    Malformed, Packing,
    rows::{ReadError, Rows, Sink, Skipped},
};
use model::Tenant;
use storage_api::{Batch, Encoding, InsertError, Inserted, Refusal, Refusals};

use crate::{Receiver, ingested_log, rejection::Rejection, rules::Rules, stats::Kind, workspace::BorrowedWorkspace};

/// See the module.
pub struct Session<'a> {
    receiver: &'a Receiver,
    tenant: Tenant,
    kind: Kind,
    rules: Arc<Rules>,
    encoding: &'a dyn Encoding,
    turn: Option<Permit>,
    taken: Taken,
}

/// What became of a request's rows.
#[derive(Debug, Default)]
pub struct Taken {
    /// What the store did.
    pub inserted: Inserted,
    /// What was refused before it came to the store.
    pub refused: Refusals,
    /// Metadata came along.
    pub metadata: bool,
    /// Why the first row that could not be read could not.
    pub first_wrong: Option<String>,
}

impl Taken {
    /// Everything that was refused.
    pub fn all_refused(&self) -> Refusals {
        let mut all = self.refused;
        all.merge(&self.inserted.refused);
        all
    }

    /// A request of which nothing at all could be read is rejected.
    pub fn check(self) -> Result<Self, Rejection> {
        let read = self.inserted.samples + self.inserted.dropped + self.inserted.refused.total();
        match &self.first_wrong {
            Some(why) if read == 0 && !self.metadata => {
                Err(Rejection::new(StatusCode::BAD_REQUEST, format!("cannot read the body: {why}")))
            }
            _ => Ok(self),
        }
    }
}

impl<'a> Session<'a> {
    /// A session that holds no place at the gate yet.
    pub fn new(receiver: &'a Receiver, tenant: Tenant, kind: Kind, encoding: &'a dyn Encoding) -> Self {
        receiver.stats.kind(kind).calls.add(1);
        let rules = receiver.rules.get();
        Self { receiver, tenant, kind, rules, encoding, turn: None, taken: Taken::default() }
    }

    /// Whose rows come.
    pub fn tenant(&self) -> Tenant {
        self.tenant
    }

    /// How their labels are read.
    pub fn encoding(&self) -> &'a dyn Encoding {
        self.encoding
    }

    /// Waits for a place at the gate, unless it holds one, to work on so many bytes.
    pub async fn enter(&mut self, bytes: usize) -> Result<(), Rejection> {
        if self.turn.is_none() {
            self.turn = Some(self.receiver.gate.enter().await?);
            tasks::begin(bytes).await;
        }
        Ok(())
    }

    /// Gives the place at the gate back.
    pub fn leave(&mut self) {
        self.turn = None;
    }

    /// Counts unpacked bytes.
    pub fn count_bytes(&self, bytes: u64) {
        self.receiver.stats.kind(self.kind).bytes_read.add(bytes);
    }

    /// Counts rows that could not be read.
    pub fn malformed(&mut self, rows: u64, why: impl fmt::Display) {
        self.receiver.stats.kind(self.kind).rows_invalid.add(rows);
        self.taken.refused.add(Refusal::Malformed, rows);
        self.taken.first_wrong.get_or_insert_with(|| why.to_string());
    }

    /// Counts samples that are refused before they come to the store.
    pub fn refuse_all(&mut self, refused: &Refusals) {
        self.taken.refused.merge(refused);
    }

    /// Hands a batch to the store, and keeps count of it.
    pub async fn insert(&mut self, batch: Batch<'_>) -> Result<(), InsertError> {
        self.receiver.stats.kind(self.kind).rows_read.add(batch.samples.len() as u64);
        let told = self.rules.metadata(batch.metadata);
        self.taken.metadata |= !told.is_empty();
        let news = self.receiver.told.news(batch.tenant, told);
        if batch.series.is_empty() && news.entries.is_empty() {
            return Ok(());
        }
        let admitted = self.receiver.rate.admit(batch.samples.len() as u64).await;
        admitted.map_err(|too_fast| InsertError::Overloaded(too_fast.to_string()))?;
        let encoding = self.rules.around(batch.encoding);
        if self.receiver.log_rows {
            ingested_log::log_rows(&batch, &encoding, self.kind.label());
        }
        let batch = Batch { encoding: &encoding, metadata: &news.entries, ..batch };
        let inserted = wait_without(&mut self.turn, self.receiver.insert.insert(batch)).await?;
        self.receiver.told.remember(&news);
        self.receiver.stats.acknowledged(self.kind, &inserted);
        let all = &mut self.taken.inserted;
        all.samples += inserted.samples;
        all.dropped += inserted.dropped;
        all.refused.merge(&inserted.refused);
        Ok(())
    }

    /// Hands rows to the store, and empties them.
    pub async fn insert_rows(&mut self, rows: &mut Rows) -> Result<(), InsertError> {
        let metadata = rows.metadata_entries();
        let batch = Batch {
            tenant: self.tenant,
            encoding: self.encoding,
            bytes: rows.bytes(),
            series: rows.series(),
            samples: rows.samples(),
            metadata: &metadata,
        };
        self.insert(batch).await?;
        drop(metadata);
        rows.clear();
        Ok(())
    }

    /// Reads a whole body and unpacks it, at the gate.
    pub async fn unpack_body(
        &mut self,
        request: &mut Request,
        packing: Packing,
        max: usize,
    ) -> Result<BorrowedWorkspace<'a>, Rejection> {
        let (packed, held) = self.receiver.read_body(request, max).await?;
        self.enter(packed.len()).await?;
        let mut workspace = self.receiver.pool.workspace();
        workspace.body.unpack(&packed, packing, max)?;
        drop((packed, held));
        self.count_bytes(workspace.body.bytes().len() as u64);
        Ok(workspace)
    }

    /// Counts what a reader of a whole body left out, and stores what it left in `rows`.
    pub async fn finish_rows(
        &mut self,
        read: Result<Skipped, ReadError<Rejection>>,
        rows: &mut Rows,
    ) -> Result<(), Rejection> {
        let skipped = read.map_err(|error| self.rejection(error))?;
        self.refuse_all(&skipped.refused);
        if let Some(first) = &skipped.first {
            self.malformed(skipped.points, first);
        }
        Ok(self.insert_rows(rows).await?)
    }

    /// Ends it.
    pub fn end(self) -> Taken {
        self.receiver.stats.refuse(&self.taken.refused);
        self.taken
    }

    /// What a failed read is answered with.
    pub fn rejection(&self, error: ReadError<Rejection>) -> Rejection {
        match error {
            ReadError::Malformed(malformed) => self.broken(malformed),
            ReadError::Sink(rejection) => rejection,
        }
    }

    /// What a body that breaks its protocol is answered with.
    pub fn broken(&self, malformed: Malformed) -> Rejection {
        self.receiver.stats.kind(self.kind).errors.add(1);
        malformed.into()
    }
}

impl Sink for Session<'_> {
    type Error = Rejection;

    async fn flush(&mut self, rows: &mut Rows) -> Result<(), Rejection> {
        let bytes = rows.bytes().len();
        self.insert_rows(rows).await?;
        // Probably as many come again.
        self.enter(bytes).await
    }
}

/// Waits for the store. Once that no longer computes but waits, which is for the disk, the next request may compute.
async fn wait_without(
    turn: &mut Option<Permit>,
    inserting: impl Future<Output = Result<Inserted, InsertError>>,
) -> Result<Inserted, InsertError> {
    let mut inserting = pin!(inserting);
    poll_fn(|cx| {
        let polled = inserting.as_mut().poll(cx);
        if polled.is_pending() {
            *turn = None;
        }
        match polled {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
