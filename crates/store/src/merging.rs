//! Merges of parts.
//!
//! 1. Take a job from the policy, or the parts of a partition that an operator wants merged; mark its parts as held, so that no other merge takes them.
//! 2. Walk them as one; tombstones known at the start are applied to the parts that they hide rows of, expired rows and duplicates are dropped.
//! 3. Publish: the manifest names the new parts and no longer the old ones; then readers see the change in one step; then the old folders are removed.
//!
//! A merge that fails or is stopped leaves everything as it was.

use std::sync::{Arc, atomic::Ordering};

use model::TimeRange;
use part::{
    Effort, Part, PartMeta, WriterOptions,
    merge::{MergeInput, merge_parts},
};

use crate::{
    counters::add,
    error::StoreError,
    inner::Inner,
    layout,
    partition::Partition,
    partitioned_writer::{PartitionedWriter, SPLIT_WRITERS_MAX, WritePlan},
    policy::{MERGE_SAMPLES_MAX, MergeJob, next_merge},
};

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// There was none.
    Idle,
    /// The store is closing.
    Stopped,
}

/// Marks parts as taken by a merge until it is dropped.
struct Held<'a> {
    inner: &'a Inner,
    parts: Vec<u64>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut merging = self.inner.merging.lock();
        for part in &self.parts {
            merging.remove(part);
        }
    }
}

impl Inner {
    /// Does the most urgent merge.
    pub fn merge_next(&self) -> Result<Outcome, StoreError> {
        if self.read_only.reason().is_some() {
            return Ok(Outcome::Idle);
        }
        let now = self.clock.now_ms();
        let (job, held) = {
            let mut merging = self.merging.lock();
            let state = self.shared.get();
            let free: Vec<&PartMeta> =
                state.parts.iter().map(|part| part.meta()).filter(|meta| !merging.contains(&meta.id)).collect();
            let Some(job) = next_merge(&free, &self.arrivals, now) else { return Ok(Outcome::Idle) };
            merging.extend(&job.parts);
            let held = Held { inner: self, parts: job.parts.clone() };
            (job, held)
        };
        let outcome = self.merge(&job, now);
        drop(held);
        outcome
    }

    /// Merges the parts of each partition whose name starts with `prefix` into one dense part, applying all tombstones.
    pub fn merge_partitions(&self, prefix: &str) -> Result<Outcome, StoreError> {
        let now = self.clock.now_ms();
        loop {
            if self.is_closing() {
                return Ok(Outcome::Stopped);
            }
            let Some((job, held)) = self.forced_job(prefix, now) else { return Ok(Outcome::Done) };
            if job.parts.is_empty() {
                // Another merge holds parts of the partition; wait until it is done.
                self.merge_done.wait_for(&mut self.merging.lock(), crate::background::WAIT);
                continue;
            }
            let outcome = self.merge(&job, now)?;
            drop(held);
            if outcome == Outcome::Stopped {
                return Ok(outcome);
            }
        }
    }

    /// The next partition that is not yet one dense part. A job without parts means that its parts are held.
    fn forced_job(&self, prefix: &str, now: i64) -> Option<(MergeJob, Held<'_>)> {
        let mut merging = self.merging.lock();
        let state = self.shared.get();
        let mut spills = Vec::new();
        let mut partitions = std::collections::BTreeMap::<Partition, Vec<&Arc<Part>>>::new();
        for part in &state.parts {
            match Partition::of_range(part.meta().range, now) {
                Some(partition) => partitions.entry(partition).or_default().push(part),
                None => spills.push(part),
            }
        }
        let mut wanted: Vec<(Vec<u64>, Effort)> =
            spills.iter().map(|part| (vec![part.meta().id], part.meta().effort)).collect();
        for (partition, mut parts) in partitions {
            if !partition.name().starts_with(prefix) {
                continue;
            }
            parts.sort_by_key(|part| (part.meta().samples, part.meta().id));
            let mut samples = 0;
            parts.retain(|part| {
                samples += part.meta().samples;
                samples <= MERGE_SAMPLES_MAX
            });
            let settled = match parts.as_slice() {
                [] => true,
                [one] => one.meta().effort == Effort::Cold && !state.tombstones.iter().any(|t| t.touches(one.meta())),
                _ => false,
            };
            if !settled {
                wanted.push((parts.iter().map(|part| part.meta().id).collect(), Effort::Cold));
            }
        }
        let (parts, effort) = wanted.into_iter().next()?;
        let parts = if parts.iter().any(|part| merging.contains(part)) { Vec::new() } else { parts };
        merging.extend(&parts);
        let held = Held { inner: self, parts: parts.clone() };
        Some((MergeJob { parts, effort }, held))
    }

    fn merge(&self, job: &MergeJob, now: i64) -> Result<Outcome, StoreError> {
        let state = self.shared.get();
        let parts: Vec<&Arc<Part>> = state.parts.iter().filter(|part| job.parts.contains(&part.meta().id)).collect();
        if parts.len() != job.parts.len() {
            // One of them was set aside as damaged meanwhile.
            return Ok(Outcome::Done);
        }
        add(&self.counters.merges_active, 1);
        let merged = self.write_merged(&state, &parts, job, now);
        self.counters.merges_active.fetch_sub(1, Ordering::Relaxed);
        let Some(metas) = merged? else { return Ok(Outcome::Stopped) };
        self.replace_parts(&job.parts, &metas)?;
        if parts.iter().any(|part| Partition::of_range(part.meta().range, now).is_none()) {
            // Only now is it known which days the rows came for.
            self.note_arrivals(&metas, now);
        }
        add(&self.counters.merges, 1);
        self.merge_done.notify_all();
        Ok(Outcome::Done)
    }

    fn write_merged(
        &self,
        state: &crate::state::State,
        parts: &[&Arc<Part>],
        job: &MergeJob,
        now: i64,
    ) -> Result<Option<Vec<PartMeta>>, StoreError> {
        let mut inputs = Vec::with_capacity(parts.len());
        for part in parts {
            let hidden = state.hidden(part).map_err(|error| self.suspect(part, error))?;
            inputs.push(MergeInput { part: Arc::clone(part), hidden });
        }
        let metas = || parts.iter().map(|part| part.meta());
        let plan = WritePlan {
            options: WriterOptions {
                seq_min: metas().map(|meta| meta.seq_min).min().unwrap_or_default(),
                seq_max: metas().map(|meta| meta.seq_max).max().unwrap_or_default(),
                tombstones_applied: self.tombstones_applied(state, parts),
                dedup_interval_ms: self.options.dedup_interval_ms,
                ..WriterOptions::new(0, job.effort)
            },
            keep: TimeRange::new(self.oldest_kept(now), i64::MAX),
            now,
            writers_max: SPLIT_WRITERS_MAX,
        };
        let mut writer = PartitionedWriter::new(&*self.disk, &self.next_part, plan);
        let walked = merge_parts(&inputs, &|| self.is_closing(), &mut writer);
        let merged = match walked {
            Ok(Some(merged)) => merged,
            Ok(None) => {
                writer.abandon()?;
                return Ok(None);
            }
            Err(error) => {
                // What cannot be removed now is swept away at the next start.
                let _ = writer.abandon();
                self.find_damaged(parts);
                return Err(error.into());
            }
        };
        add(&self.counters.merged_samples, merged.read);
        add(&self.counters.deduplicated, merged.duplicates + writer.deduplicated);
        Ok(Some(writer.finish()?))
    }

    /// The newest tombstone of which nothing is left to apply to what these parts become.
    ///
    /// All tombstones of the picture are applied to each input that they touch, so the result is free of what they hide.
    fn tombstones_applied(&self, state: &crate::state::State, parts: &[&Arc<Part>]) -> u64 {
        let before = parts.iter().map(|part| part.meta().tombstones_applied).max().unwrap_or_default();
        before.max(state.newest_tombstone())
    }

    /// Publishes that `new` stand in the place of `old`.
    pub fn replace_parts(&self, old: &[u64], new: &[PartMeta]) -> Result<(), StoreError> {
        let opened = self.open_new_parts(new)?;
        let mut published = self.published.lock();
        published.parts.retain(|meta| !old.contains(&meta.id));
        published.parts.extend(new.iter().cloned());
        if let Err(error) = self.publish(&mut published) {
            // The manifest on disk may be the old or the new one; both name parts that are there, as nothing is removed.
            published.parts.retain(|meta| !new.iter().any(|fresh| fresh.id == meta.id));
            let state = self.shared.get();
            published.parts.extend(
                state.parts.iter().filter(|part| old.contains(&part.meta().id)).map(|part| part.meta().clone()),
            );
            return Err(error);
        }
        self.shared.change(|state| {
            state.parts.retain(|part| !old.contains(&part.meta().id));
            state.parts.extend(opened);
            state.parts.sort_by_key(|part| part.meta().id);
        });
        drop(published);
        for id in old {
            // Readers that still have the files mapped keep them; what cannot be removed now is swept away at the next start.
            if let Err(error) = self.disk.remove_dir_all(&layout::part(*id)) {
                self.report.warning(format!("a merged part stays until the next start: {error}"));
            }
        }
        Ok(())
    }

    /// Rows of these parts came in.
    pub fn note_arrivals(&self, metas: &[PartMeta], now: i64) {
        metas.iter().for_each(|meta| self.arrivals.note(meta.range, now));
    }

    /// Opens parts that were just written.
    pub fn open_new_parts(&self, metas: &[PartMeta]) -> Result<Vec<Arc<Part>>, StoreError> {
        let open = |meta: &PartMeta| Part::open(&*self.disk, &layout::part(meta.id));
        metas.iter().map(|meta| Ok(Arc::new(open(meta)?.remembering(&self.searches)))).collect()
    }
}
