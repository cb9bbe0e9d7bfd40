//! The way of rows that another node has resolved: their series are named by slots of the head.
//!
//! 1. A slot that the sender was told may stand for another series by now. A check is made over the ids of all slots that the rows name; where it is not the
//!    sender's, nothing is stored.
//! 2. A row by id is stored if one series in memory has it, or one that was there before the last stop, else the sender is asked for the key.
//! 3. A row by key makes its series if there is none. The sender, which reads labels, has applied limits and relabeling.
//! 4. From there on it is the way of every batch.

use head::SlotGuard;
use model::{SeriesId, SeriesKey, ValueKind};
use storage_api::{
    BoxFuture, InsertError, InsertNumbered, Inserted, NO_NUMBER, NumberedBatch, NumberedOutcome, Refusal, SeriesName,
    check_with,
};

use crate::{
    Store,
    counters::add,
    ingest::{Commit, IngestScratch, Staged},
    inner::Inner,
};

/// What is answered beside the samples.
#[derive(Default)]
struct Answered {
    is_stale: bool,
    unknown: Vec<u32>,
    numbers: Vec<u32>,
}

impl InsertNumbered for Store {
    fn insert_numbered<'a>(&'a self, batch: NumberedBatch<'a>) -> BoxFuture<'a, Result<NumberedOutcome, InsertError>> {
        Box::pin(async move {
            let (staged, answered) = self.stage_numbered(&batch, Commit::AtOnce)?;
            Ok(answered.of(self.durable(staged).await?))
        })
    }

    fn insert_together<'a>(
        &'a self,
        batches: Vec<NumberedBatch<'a>>,
    ) -> BoxFuture<'a, Vec<Result<NumberedOutcome, InsertError>>> {
        Box::pin(async move {
            let staged: Vec<_> =
                batches.iter().map(|batch| self.stage_numbered(batch, Commit::WhenWaitedFor)).collect();
            let mut outcomes = Vec::with_capacity(staged.len());
            for batch in staged {
                outcomes.push(match batch {
                    Ok((staged, answered)) => self.durable(staged).await.map(|inserted| answered.of(inserted)),
                    Err(error) => Err(error),
                });
            }
            outcomes
        })
    }
}

impl Answered {
    fn of(self, inserted: Inserted) -> NumberedOutcome {
        let Self { is_stale, unknown, numbers } = self;
        if is_stale { NumberedOutcome::Stale } else { NumberedOutcome::Taken { inserted, unknown, numbers } }
    }
}

impl Store {
    fn stage_numbered(&self, batch: &NumberedBatch<'_>, commit: Commit) -> Result<(Staged, Answered), InsertError> {
        let mut answered = Answered::default();
        let staged = self.with_scratch(|scratch| self.inner.stage_numbered(batch, commit, scratch, &mut answered))?;
        Ok((staged, answered))
    }
}

impl Inner {
    fn stage_numbered(
        &self,
        batch: &NumberedBatch<'_>,
        commit: Commit,
        scratch: &mut IngestScratch,
        answered: &mut Answered,
    ) -> Result<Staged, InsertError> {
        check(batch)?;
        self.stage_resolved(batch.tenant, batch.metadata, commit, scratch, |guard, scratch, inserted| {
            self.resolve_numbered(batch, scratch, guard, inserted, answered)
        })
    }

    fn resolve_numbered(
        &self,
        batch: &NumberedBatch<'_>,
        scratch: &mut IngestScratch,
        guard: &SlotGuard<'_>,
        inserted: &mut Inserted,
        answered: &mut Answered,
    ) -> Result<(), InsertError> {
        let columns = &mut scratch.columns;
        columns.clear();
        let now = self.clock.now_ms();
        let bounds = self.accepted(now);
        let limited = self.hourly.is_set() || self.daily.is_set();
        let slots = self.slots_of(batch, guard, inserted, answered)?;
        if answered.is_stale {
            return Ok(());
        }
        let mut start = 0;
        for (row, slot) in batch.rows.iter().zip(slots) {
            let samples = &batch.samples[start..row.samples_end as usize];
            start = row.samples_end as usize;
            if slot == NO_NUMBER {
                continue;
            }
            match limited.then(|| self.over_limit(slot, now)).flatten() {
                Some(reason) => inserted.refused.add(reason, samples.len() as u64),
                None => columns.push(slot, samples, bounds, inserted),
            }
        }
        inserted.samples = columns.len();
        if inserted.refused.total() > 0 {
            self.counters.refuse(&inserted.refused);
        }
        Ok(())
    }

    /// The slot of each row; [`NO_NUMBER`] for those that are refused or not known.
    fn slots_of(
        &self,
        batch: &NumberedBatch<'_>,
        guard: &SlotGuard<'_>,
        inserted: &mut Inserted,
        answered: &mut Answered,
    ) -> Result<Vec<u32>, InsertError> {
        let mut slots = Vec::with_capacity(batch.rows.len());
        let (mut check, mut start) = (0_u64, 0);
        let mut other_key = SeriesKey::default();
        let returning = self.returning.read().clone();
        for (place, row) in batch.rows.iter().enumerate() {
            let count = u64::from(row.samples_end - start);
            start = row.samples_end;
            let refuse = |reason| {
                inserted.refused.add(reason, count);
                NO_NUMBER
            };
            let slot = match row.series {
                SeriesName::Number(slot) => {
                    let Some(id) = self.head.enter(guard, slot) else {
                        answered.is_stale = true;
                        return Ok(slots);
                    };
                    check = check_with(check, id);
                    slots.push(slot);
                    continue;
                }
                SeriesName::Id(id) => match self.head.find_by_id(guard, id) {
                    Some(slot) => slot,
                    None => match returning.as_ref().and_then(|returning| returning.key(id)) {
                        Some(key) => self.enter_by_key(guard, &key, row.kind, &mut other_key)?.unwrap_or_else(refuse),
                        None => {
                            answered.unknown.push(place as u32);
                            NO_NUMBER
                        }
                    },
                },
                SeriesName::Key(key) => {
                    add(&self.counters.keys_received, 1);
                    let key = read_key(key, batch)?;
                    self.enter_by_key(guard, &key, row.kind, &mut other_key)?.unwrap_or_else(refuse)
                }
            };
            slots.push(slot);
            answered.numbers.push(slot);
        }
        answered.is_stale = check != batch.check;
        Ok(slots)
    }

    fn enter_by_key(
        &self,
        guard: &SlotGuard<'_>,
        key: &SeriesKey,
        kind: ValueKind,
        other_key: &mut SeriesKey,
    ) -> Result<Result<u32, Refusal>, InsertError> {
        let found = self.head.find_or_create_by_key(guard, key, kind, other_key);
        found.map_err(|error| InsertError::Overloaded(error.to_string()))
    }
}

fn read_key(bytes: &[u8], batch: &NumberedBatch<'_>) -> Result<SeriesKey, InsertError> {
    let key = SeriesKey::from_bytes(bytes.to_vec()).map_err(|why| InsertError::Invalid(why.to_string()))?;
    if key.tenant() != batch.tenant {
        let id = SeriesId::of(&key);
        return Err(InsertError::Invalid(format!("series {id:?} is of tenant {}, the batch of another", key.tenant())));
    }
    Ok(key)
}

/// A batch's spans must lie inside its samples.
fn check(batch: &NumberedBatch<'_>) -> Result<(), InsertError> {
    let mut end = 0;
    for row in batch.rows {
        if row.samples_end < end {
            return Err(InsertError::Invalid("a row's samples lie before those of the row before".into()));
        }
        end = row.samples_end;
    }
    if end as usize != batch.samples.len() {
        return Err(InsertError::Invalid("rows and samples do not add up".into()));
    }
    Ok(())
}
