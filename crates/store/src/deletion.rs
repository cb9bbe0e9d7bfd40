//! Deleting series.
//!
//! 1. Under the exclusive epoch lock the tail of the running generation is closed and the sequence number raised: every row is on one side of the tombstone, in
//!    memory as in the log.
//! 2. The tombstone's record is appended to the log and the picture changed: queries that begin now do not see the rows.
//! 3. When the record is durable the delete is acknowledged.

use std::sync::Arc;

use index::CompiledSelector;
use storage_api::{AdminError, DeleteRequest, SelectRequest};
use wal::Ticket;

use crate::{
    admin::not_counted,
    inner::Inner,
    select::count_series,
    tombstone::{TOMBSTONE_BYTES_MAX, Tombstone},
};

impl Inner {
    /// Whether it could be done. Gives how many series would be hit.
    pub fn check_delete(&self, request: &DeleteRequest) -> Result<u64, AdminError> {
        CompiledSelector::compile(&request.selector).map_err(|error| AdminError::Invalid(error.to_string()))?;
        if let Some(reason) = self.read_only.reason() {
            return Err(AdminError::Unavailable(format!("the storage is in read-only mode: {reason}")));
        }
        self.count_series(request)
    }

    /// Hides what the request means. Gives how many series are hit.
    pub fn delete(&self, request: &DeleteRequest) -> Result<(u64, Ticket), AdminError> {
        let failed = |error: &dyn std::fmt::Display| AdminError::Failed(error.to_string());
        // Also if nothing is found: rows whose write failed may still stand in the log, and come back at the next start.
        let series = self.check_delete(request)?;
        let mut epoch = self.epoch.write();
        let seq = epoch.seq + 1;
        let tombstone = Tombstone::new(seq, request.tenant, request.selector.clone(), request.range);
        let tombstone = Arc::new(tombstone.map_err(AdminError::Invalid)?);
        let mut record = Vec::new();
        tombstone.write(&mut record);
        if record.len() > TOMBSTONE_BYTES_MAX {
            return Err(AdminError::Invalid(format!(
                "the selector takes {} bytes, {TOMBSTONE_BYTES_MAX} are allowed",
                record.len()
            )));
        }
        let ticket = self.wal.append_tombstone(&record).map_err(|error| failed(&error))?;
        epoch.generation.rows.cut();
        epoch.seq = seq;
        self.add_tombstone(tombstone);
        drop(epoch);
        self.versions.all_changed();
        Ok((series, ticket))
    }

    fn count_series(&self, request: &DeleteRequest) -> Result<u64, AdminError> {
        let mut select = SelectRequest::raw(request.tenant, request.selector.clone(), request.range);
        select.samples = storage_api::SamplesWanted::None;
        select.budget.series_max = request.series_max;
        count_series(self, &select).map_err(not_counted)
    }

    /// Takes a tombstone into the picture and into what the next manifest says.
    pub fn add_tombstone(&self, tombstone: Arc<Tombstone>) {
        let mut published = self.published.lock();
        published.tombstones.push(Arc::clone(&tombstone));
        self.shared.change(|state| state.tombstones.push(tombstone));
    }
}
