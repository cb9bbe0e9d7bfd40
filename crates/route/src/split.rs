//! A batch to what each node gets of it.
//!
//! 1. The head says which series each row belongs to.
//! 2. The series' id names its shard, the map the shard's owners; the row goes to each of them.
//! 3. What senders told about a metric goes where a series of that name alone would go.

use head::{AdmitAll, Head, ResolveScratch, ResolvedRow};
use model::{KeyBuilder, METRIC_NAME, SHARDS, Sample, SeriesId, Tenant};
use storage_api::{Batch, InsertError, Inserted, MetricMetadata, ShardSet};

use crate::{
    map::ShardMap,
    outgoing::{Outgoing, Told},
};

/// Room is made for so much of a node's even share: series do not spread quite evenly over shards.
const RESERVE_PERCENT: usize = 110;

/// See the module.
#[derive(Debug)]
pub struct Split {
    /// What each node of the map gets, in the map's order.
    pub nodes: Vec<Outgoing>,
    /// The shards that occur.
    pub shards: ShardSet,
    /// What was dropped and refused, and how many samples go out.
    pub inserted: Inserted,
}

/// Splits a batch. The slots must be held by a pin of the head from before the call until the rows are sent.
pub fn split(
    batch: &Batch<'_>,
    map: &ShardMap,
    head: &Head,
    scratch: &mut ResolveScratch,
) -> Result<Split, InsertError> {
    batch.check()?;
    let guard = head.guard();
    let rows = head.resolve(&guard, batch, scratch, &AdmitAll);
    let rows = rows.map_err(|full| InsertError::Overloaded(full.to_string()))?;
    let mut split = Split::of(batch.tenant, map);
    split.reserve(map, batch.series.len(), batch.samples.len());
    // One after the other by themselves, so that the processor waits for many of them at once.
    let shard = |row: &ResolvedRow| if let ResolvedRow::Slot(slot) = row { head.id(*slot).shard() } else { 0 };
    let shards: Vec<u16> = rows.iter().map(shard).collect();
    let mut start = 0;
    for ((series, row), shard) in batch.series.iter().zip(rows).zip(shards) {
        let samples = &batch.samples[start..series.samples_end as usize];
        start = series.samples_end as usize;
        match *row {
            ResolvedRow::Drop => split.inserted.dropped += samples.len() as u64,
            ResolvedRow::Refuse(reason) => split.inserted.refused.add(reason, samples.len() as u64),
            ResolvedRow::Slot(slot) => split.push(map, shard, slot, samples),
        }
    }
    split.push_metadata(map, batch.tenant, batch.metadata);
    Ok(split)
}

impl Split {
    /// Nothing yet.
    pub fn of(tenant: Tenant, map: &ShardMap) -> Self {
        let nodes = map.nodes().iter().map(|_| Outgoing::of(tenant)).collect();
        Self { nodes, shards: ShardSet::empty(), inserted: Inserted::default() }
    }

    /// Makes room for what each node will about get of so many rows and samples.
    fn reserve(&mut self, map: &ShardMap, rows: usize, samples: usize) {
        for (node, share) in self.nodes.iter_mut().zip(map.shares()) {
            let part = |all: usize| all * share * RESERVE_PERCENT / (100 * SHARDS);
            node.reserve(part(rows), part(samples));
        }
    }

    /// Adds samples of a series for all its owners.
    pub fn push(&mut self, map: &ShardMap, shard: u16, slot: u32, samples: &[Sample]) {
        if samples.is_empty() {
            return;
        }
        self.shards.insert(shard);
        self.inserted.samples += samples.len() as u64;
        for owner in map.owners(shard) {
            self.nodes[usize::from(*owner)].push(slot, samples);
        }
    }

    /// Adds what senders told for all its owners.
    pub fn push_metadata(&mut self, map: &ShardMap, tenant: Tenant, metadata: &[MetricMetadata<'_>]) {
        let mut labels = KeyBuilder::new();
        for told in metadata {
            labels.clear();
            labels.push(METRIC_NAME, told.metric);
            // What has no name belongs to no metric.
            let Ok(key) = labels.build(tenant) else { continue };
            let shard = SeriesId::of(&key).shard();
            self.shards.insert(shard);
            for owner in map.owners(shard) {
                self.nodes[usize::from(*owner)].metadata.push(Told::from(told));
            }
        }
    }
}
