//! What has expired: nothing older than the limit is answered, and parts that hold nothing else are dropped.

use model::TimeRange;

use crate::{error::StoreError, inner::Inner};

impl Inner {
    /// The oldest time that is kept, as seen at `now`.
    pub fn oldest_kept(&self, now: i64) -> i64 {
        now.saturating_sub(self.options.retention_ms)
    }

    /// The times that are answered.
    pub fn kept(&self) -> TimeRange {
        TimeRange::new(self.oldest_kept(self.clock.now_ms()), i64::MAX)
    }

    /// Drops the parts that have expired as a whole. Gives how many.
    pub fn drop_expired(&self) -> Result<usize, StoreError> {
        let oldest = self.oldest_kept(self.clock.now_ms());
        let expired: Vec<u64> = {
            let mut merging = self.merging.lock();
            let state = self.shared.get();
            let expired: Vec<u64> = state
                .parts
                .iter()
                .map(|part| part.meta())
                .filter(|meta| meta.range.max < oldest && !merging.contains(&meta.id))
                .map(|meta| meta.id)
                .collect();
            merging.extend(&expired);
            expired
        };
        if expired.is_empty() {
            return Ok(0);
        }
        let dropped = self.replace_parts(&expired, &[]);
        let mut merging = self.merging.lock();
        expired.iter().for_each(|id| {
            merging.remove(id);
        });
        drop(merging);
        dropped?;
        self.versions.all_changed();
        self.versions.forget_before(oldest);
        self.arrivals.forget_before(oldest);
        Ok(expired.len())
    }

    /// Forgets tombstones that hide nothing any more: all parts and rows from before them were rewritten or have expired.
    pub fn forget_tombstones(&self) -> Result<(), StoreError> {
        let mut published = self.published.lock();
        let state = self.shared.get();
        let idle = |seq: u64| {
            let in_parts = state.parts.iter().any(|part| {
                state.tombstones.iter().any(|tombstone| tombstone.seq == seq && tombstone.touches(part.meta()))
            });
            // Rows in memory from before it are judged by it when they are flushed, and so are records in the log.
            let in_memory = state.generations.iter().any(|generation| generation.first_seq < seq);
            !in_parts && !in_memory && seq <= published.floor_seq
        };
        let forgotten: Vec<u64> =
            state.tombstones.iter().map(|tombstone| tombstone.seq).filter(|seq| idle(*seq)).collect();
        if forgotten.is_empty() {
            return Ok(());
        }
        published.tombstones.retain(|tombstone| !forgotten.contains(&tombstone.seq));
        self.publish(&mut published)?;
        self.shared.change(|state| state.tombstones.retain(|tombstone| !forgotten.contains(&tombstone.seq)));
        Ok(())
    }
}
