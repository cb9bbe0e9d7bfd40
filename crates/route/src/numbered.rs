//! Rows of another insert (`-clusternativeListenAddr`): their series are named by slots of this head, or by id, or by key.
//!
//! 1. Slots that stand for other series by now are found out by a check over the ids, as at a storage node; then nothing goes out.
//! 2. What is named by id and not known here is asked back for; the rest goes on to the storage nodes.
//! 3. Nobody asks an insert for samples, so it takes reports and has nothing to keep account of: what it answers for is durable further down.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use head::SlotGuard;
use model::SeriesKey;
use storage_api::{
    BoxFuture, InsertError, InsertNumbered, InsertReport, NO_NUMBER, NumberedBatch, NumberedOutcome, NumberedRow,
    Origin, ReportAnswer, SeriesName, TakeReports, check_with,
};

use crate::{
    router::{Plan, Router},
    split::Split,
};

/// Tokens of all routers of this process; nobody looks what they are.
static TOKENS: AtomicU64 = AtomicU64::new(1);

/// Rows that were understood.
struct Understood {
    split: Split,
    unknown: Vec<u32>,
    numbers: Vec<u32>,
}

impl InsertNumbered for Router {
    fn insert_numbered<'a>(&'a self, batch: NumberedBatch<'a>) -> BoxFuture<'a, Result<NumberedOutcome, InsertError>> {
        Box::pin(async move {
            let _room = self.room(batch.rows.len(), batch.samples.len()).await?;
            let plan = self.plan()?;
            let _pin = self.pin();
            let Some(Understood { split, unknown, numbers }) = self.understand(&batch, &plan)? else {
                return Ok(NumberedOutcome::Stale);
            };
            let inserted = self.spread(&plan, &split).await?;
            Ok(NumberedOutcome::Taken { inserted, unknown, numbers })
        })
    }
}

impl TakeReports for Router {
    fn take_report<'a>(&'a self, _: &'a InsertReport) -> BoxFuture<'a, Result<ReportAnswer, InsertError>> {
        Box::pin(async {
            let token = TOKENS.fetch_add(1, Relaxed);
            Ok(ReportAnswer { node: 0, origin: Origin::Later, token, read_only: None })
        })
    }
}

impl Router {
    /// Splits a batch; `None` if its numbers are those of other series.
    fn understand(&self, batch: &NumberedBatch<'_>, plan: &Plan) -> Result<Option<Understood>, InsertError> {
        let guard = self.head().guard();
        let split = Split::of(batch.tenant, &plan.map);
        let mut understood = Understood { split, unknown: Vec::new(), numbers: Vec::new() };
        let (mut check, mut start) = (0_u64, 0);
        let mut other_key = SeriesKey::default();
        for (place, row) in batch.rows.iter().enumerate() {
            let end = row.samples_end as usize;
            let outside = || InsertError::Invalid("a row's samples lie outside of the batch".into());
            let samples = batch.samples.get(start..end).ok_or_else(outside)?;
            start = end;
            let slot = match row.series {
                SeriesName::Number(number) => {
                    let Some(id) = self.head().enter(&guard, number) else { return Ok(None) };
                    check = check_with(check, id);
                    Some(number)
                }
                SeriesName::Id(id) => self.head().find_by_id(&guard, id),
                SeriesName::Key(key) => Some(self.introduce(&guard, key, row, batch, &mut other_key)?),
            };
            if !matches!(row.series, SeriesName::Number(_)) {
                understood.numbers.push(slot.unwrap_or(NO_NUMBER));
            }
            match slot {
                Some(slot) => understood.split.push(&plan.map, self.head().id(slot).shard(), slot, samples),
                None => understood.unknown.push(place as u32),
            }
        }
        if check != batch.check {
            return Ok(None);
        }
        if start != batch.samples.len() {
            return Err(InsertError::Invalid("rows and samples do not add up".into()));
        }
        understood.split.push_metadata(&plan.map, batch.tenant, batch.metadata);
        Ok(Some(understood))
    }

    /// The slot of a series by its key.
    fn introduce(
        &self,
        guard: &SlotGuard<'_>,
        key: &[u8],
        row: &NumberedRow<'_>,
        batch: &NumberedBatch<'_>,
        other_key: &mut SeriesKey,
    ) -> Result<u32, InsertError> {
        let key = SeriesKey::from_bytes(key.to_vec()).map_err(|why| InsertError::Invalid(why.to_string()))?;
        if key.tenant() != batch.tenant {
            return Err(InsertError::Invalid(format!("a series of tenant {} in a batch of another", key.tenant())));
        }
        let found = self.head().find_or_create_by_key(guard, &key, row.kind, other_key);
        let found = found.map_err(|full| InsertError::Overloaded(full.to_string()))?;
        // Nobody stands at the gate here.
        found.map_err(|reason| InsertError::Invalid(format!("a series is refused: {}", reason.name())))
    }
}
