//! Which parts are merged next.
//!
//! 1. A part that lies in several partitions (written by a backfill) is split first.
//! 2. In a running partition parts are merged by size: when so many of one tier are there, they become one of the next. A sample is rewritten once per tier.
//! 3. A cold partition ends as one dense part, once nothing has come for it for a while: an hour, or a day if what came late is little beside what is dense
//!    already. Until then it is merged by size like a running one, so that a backfill or a trickle of late samples does not rewrite it with each flush.
//! 4. Tombstones that hide rows of old parts are applied when the parts are merged anyway, or when a forced merge asks for it.

use std::collections::BTreeMap;

use part::{Effort, PartMeta};

use crate::{
    arrivals::Arrivals,
    options::{DAY_MS, HOUR_MS},
    partition::Partition,
};

/// So many parts of one tier are merged.
pub const MERGE_PARTS: usize = 8;
/// No merge takes more parts at once.
pub const MERGE_PARTS_MAX: usize = 32;
/// No merge makes a part with more samples; larger ones would take hours to write and to move.
pub const MERGE_SAMPLES_MAX: u64 = 32 << 30;
/// Samples of the lowest tier; each further tier holds `TIER_FACTOR` times as many.
const TIER_SAMPLES: u64 = 1 << 20;
const TIER_FACTOR: u64 = 8;
/// A partition is cold when it has been over for so long: scrapes that were late or sent again have come in by then.
pub const COLD_AFTER_MS: i64 = 3 * HOUR_MS;
/// It becomes dense when nothing came for it for so long …
pub const QUIET_MS: i64 = HOUR_MS;
/// … or for so long, where only one sample in so many is not dense yet.
pub const QUIET_LITTLE_MS: i64 = DAY_MS;
const LITTLE_SHARE: u64 = 16;

/// Work for a merge thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeJob {
    /// Numbers of the parts.
    pub parts: Vec<u64>,
    /// How dense the result shall be.
    pub effort: Effort,
}

/// The most urgent merge among parts that no other merge holds, if there is one.
pub fn next_merge(free: &[&PartMeta], arrivals: &Arrivals, now: i64) -> Option<MergeJob> {
    if let Some(spill) = free.iter().find(|meta| Partition::of_range(meta.range, now).is_none()) {
        return Some(MergeJob { parts: vec![spill.id], effort: spill.effort.max(Effort::Flush) });
    }
    let mut partitions: BTreeMap<Partition, Vec<&PartMeta>> = BTreeMap::new();
    for meta in free {
        let partition = Partition::of(meta.range.min, now);
        partitions.entry(partition).or_default().push(meta);
    }
    // Recent partitions first: they are the ones that are asked.
    partitions.into_iter().rev().find_map(|(partition, parts)| {
        let cold = partition.end.saturating_add(COLD_AFTER_MS) <= now;
        let quiet = cold && arrivals.last(partition).saturating_add(quiet_ms(&parts)) <= now;
        if quiet { merge_cold(parts) } else { merge_tier(parts) }
    })
}

/// How long nothing must have come before a cold partition is made dense.
fn quiet_ms(parts: &[&PartMeta]) -> i64 {
    let all: u64 = parts.iter().map(|meta| meta.samples).sum();
    let dense: u64 = parts.iter().filter(|meta| meta.effort == Effort::Cold).map(|meta| meta.samples).sum();
    let late = all - dense;
    let little = late > 0 && late.saturating_mul(LITTLE_SHARE) < all;
    if little { QUIET_LITTLE_MS } else { QUIET_MS }
}

fn merge_tier(parts: Vec<&PartMeta>) -> Option<MergeJob> {
    let mut tiers: BTreeMap<u32, Vec<&PartMeta>> = BTreeMap::new();
    for meta in parts {
        tiers.entry(tier(meta.samples)).or_default().push(meta);
    }
    let mut tier = tiers.into_values().find(|tier| tier.len() >= MERGE_PARTS)?;
    tier.sort_by_key(|meta| (meta.range.min, meta.id));
    job(&tier, Effort::Flush)
}

fn merge_cold(mut parts: Vec<&PartMeta>) -> Option<MergeJob> {
    if parts.len() == 1 && parts[0].effort == Effort::Cold {
        return None;
    }
    // Smallest first, so that a few late samples do not rewrite the large part alone with each of them.
    parts.sort_by_key(|meta| (meta.samples, meta.id));
    let job = job(&parts, Effort::Cold)?;
    (job.parts.len() > 1 || parts[0].effort != Effort::Cold).then_some(job)
}

fn job(parts: &[&PartMeta], effort: Effort) -> Option<MergeJob> {
    let mut samples = 0;
    let fits = |meta: &&&PartMeta| {
        samples += meta.samples;
        samples <= MERGE_SAMPLES_MAX
    };
    let parts: Vec<u64> = parts.iter().take(MERGE_PARTS_MAX).take_while(fits).map(|meta| meta.id).collect();
    (!parts.is_empty()).then_some(MergeJob { parts, effort })
}

fn tier(samples: u64) -> u32 {
    let mut tier = 0;
    let mut limit = TIER_SAMPLES;
    while samples > limit {
        tier += 1;
        limit = limit.saturating_mul(TIER_FACTOR);
    }
    tier
}

#[cfg(test)]
mod tests {
    use model::TimeRange;

    use super::*;

    fn meta(id: u64, day: i64, samples: u64, effort: Effort) -> PartMeta {
        PartMeta {
            id,
            range: TimeRange::new(day * DAY_MS, day * DAY_MS + 1000),
            samples,
            series: 1,
            seq_min: 0,
            seq_max: 0,
            tombstones_applied: 0,
            columns_bytes: 0,
            index_bytes: 0,
            effort,
            dedup_interval_ms: 0,
        }
    }

    /// The next merge when nothing has come for ages.
    fn next(parts: &[PartMeta], now: i64) -> Option<MergeJob> {
        next_since(parts, i64::MIN, now)
    }

    fn next_since(parts: &[PartMeta], last_arrival: i64, now: i64) -> Option<MergeJob> {
        next_merge(&parts.iter().collect::<Vec<_>>(), &Arrivals::since(last_arrival), now)
    }

    #[test]
    fn write_amplification_is_bounded_by_the_tiers() {
        let now = 20_000 * DAY_MS + 5000;
        let mut parts: Vec<PartMeta> = Vec::new();
        let (mut flushed, mut rewritten) = (0u64, 0u64);
        for id in 0..4096 {
            parts.push(meta(id, 20_000, TIER_SAMPLES, Effort::Flush));
            flushed += TIER_SAMPLES;
            while let Some(job) = next(&parts, now) {
                let samples: u64 =
                    parts.iter().filter(|part| job.parts.contains(&part.id)).map(|part| part.samples).sum();
                parts.retain(|part| !job.parts.contains(&part.id));
                parts.push(meta(10_000 + id, 20_000, samples, Effort::Flush));
                rewritten += samples;
            }
            assert!(parts.len() <= MERGE_PARTS * 5, "{}", parts.len());
        }
        assert!(rewritten <= flushed * 4, "{}", rewritten as f64 / flushed as f64);
    }

    #[test]
    fn a_cold_partition_ends_as_one_dense_part() {
        let now = 20_001 * DAY_MS + COLD_AFTER_MS;
        let parts = [meta(1, 20_000, 9, Effort::Flush), meta(2, 20_000, 5, Effort::Merge)];
        assert_eq!(next(&parts, now), Some(MergeJob { parts: vec![2, 1], effort: Effort::Cold }));
        assert_eq!(next(&parts, now - 1), None);
        assert_eq!(next(&[meta(3, 20_000, 14, Effort::Cold)], now), None);
        assert!(next(&[meta(3, 20_000, 14, Effort::Merge)], now).is_some());
    }

    #[test]
    fn a_cold_partition_is_left_alone_while_rows_come_for_it() {
        let now = 20_100 * DAY_MS;
        let fresh = [meta(1, 20_090, 9, Effort::Flush), meta(2, 20_090, 5, Effort::Flush)];
        assert_eq!(next_since(&fresh, now - QUIET_MS + 1, now), None);
        assert!(next_since(&fresh, now - QUIET_MS, now).is_some());
        // A few late samples beside a dense part wait for a day.
        let few = [meta(1, 20_090, 16 * 5, Effort::Cold), meta(2, 20_090, 5, Effort::Flush)];
        assert_eq!(next_since(&few, now - QUIET_LITTLE_MS + 1, now), None);
        assert!(next_since(&few, now - QUIET_LITTLE_MS, now).is_some());
        let many = [meta(1, 20_090, 16 * 5, Effort::Cold), meta(2, 20_090, 6, Effort::Flush)];
        assert!(next_since(&many, now - QUIET_MS, now).is_some());
        // Days that have become a month are dense already; nothing came late.
        let days = [meta(1, 20_000, 9, Effort::Cold), meta(2, 20_001, 9, Effort::Cold)];
        assert!(next_since(&days, now - QUIET_MS, now).is_some());
        // Meanwhile they are merged by size.
        let parts: Vec<PartMeta> = (0..MERGE_PARTS as u64).map(|id| meta(id, 20_090, 9, Effort::Flush)).collect();
        assert_eq!(next_since(&parts, now, now).map(|job| job.effort), Some(Effort::Flush));
    }

    #[test]
    fn a_part_over_several_partitions_is_split() {
        let now = 20_001 * DAY_MS;
        let mut spill = meta(1, 20_000, 9, Effort::Flush);
        spill.range.max += 3 * DAY_MS;
        assert_eq!(next(&[spill], now), Some(MergeJob { parts: vec![1], effort: Effort::Flush }));
    }
}
