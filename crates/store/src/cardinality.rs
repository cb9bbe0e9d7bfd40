//! How the series spread over metrics and labels.
//!
//! Each series is counted once, also if it is in many parts: sources are united by id, and each is asked only for the series that no source before had.

use std::collections::{BTreeMap, HashSet};

use index::CompiledSelector;
use model::{METRIC_NAME, SeriesId, Tenant};
use roaring::RoaringBitmap;
use storage_api::{Cardinality, CardinalityRequest, NamedCount, SelectError};

use crate::{
    inner::Inner,
    select::{HeadSource, failed, tenants, visible},
};

#[derive(Default)]
struct Count {
    series: u64,
    pairs: BTreeMap<String, BTreeMap<String, u64>>,
    seen: HashSet<SeriesId>,
}

impl Count {
    /// Those of `found` whose ids are seen for the first time.
    fn fresh(&mut self, found: &RoaringBitmap, id: impl Fn(u32) -> Option<SeriesId>) -> RoaringBitmap {
        found.iter().filter(|number| id(*number).is_some_and(|id| self.seen.insert(id))).collect()
    }

    fn add(&mut self, name: &str, value: &str, series: u64) {
        if series == 0 {
            return;
        }
        let values = match self.pairs.get_mut(name) {
            Some(values) => values,
            None => self.pairs.entry(name.to_string()).or_default(),
        };
        match values.get_mut(value) {
            Some(count) => *count += series,
            None => drop(values.insert(value.to_string(), series)),
        }
    }
}

/// Counts what the request means.
pub fn count(inner: &Inner, request: &CardinalityRequest) -> Result<Cardinality, SelectError> {
    let of: Vec<Tenant> = match request.tenant {
        Some(tenant) => vec![tenant],
        None => tenants(inner, request.range)?,
    };
    let selector =
        CompiledSelector::compile(&request.selector).map_err(|error| SelectError::BadMatcher(error.to_string()))?;
    let mut count = Count::default();
    for tenant in of {
        count_tenant(inner, request, &selector, tenant, &mut count)?;
    }
    Ok(count.into_cardinality(request))
}

fn count_tenant(
    inner: &Inner,
    request: &CardinalityRequest,
    selector: &CompiledSelector,
    tenant: Tenant,
    count: &mut Count,
) -> Result<(), SelectError> {
    let state = inner.shared.get();
    let guard = inner.head.guard();
    let range = request.range.intersect(inner.kept());
    let views = HeadSource::views(inner, &state, range);
    for part in state.parts.iter().filter(|part| part.meta().range.overlaps(range)) {
        let found = part.search(tenant, selector).map_err(failed)?;
        let found = visible(part, found, &state.hidden(part).map_err(failed)?);
        let labels = part.labels();
        let fresh = count.fresh(&found, |number| labels.id(number).ok());
        count.take(fresh.len(), request.series_max)?;
        let counted =
            labels.cardinality(tenant, Some(&fresh), &mut |name, value, series| count.add(name, value, series));
        counted.map_err(|corrupt| failed(corrupt.into()))?;
    }
    let found = HeadSource::find(&views, &inner.head, tenant, selector, range);
    let fresh = count.fresh(&found, |slot| Some(inner.head.id(slot)));
    count.take(fresh.len(), request.series_max)?;
    inner.head.index().cardinality(tenant, Some(&fresh), &mut |name, value, series| count.add(name, value, series));
    drop(guard);
    Ok(())
}

impl Count {
    fn take(&mut self, series: u64, max: u64) -> Result<(), SelectError> {
        self.series += series;
        if self.series > max { Err(SelectError::TooManySeries { found: self.series, max }) } else { Ok(()) }
    }

    fn into_cardinality(self, request: &CardinalityRequest) -> Cardinality {
        let values_of = |name: &str| {
            let values = self.pairs.get(name).into_iter().flatten();
            top(values.map(|(value, count)| (value.clone(), *count)), request.top)
        };
        let labels = || self.pairs.iter();
        let pairs = labels()
            .flat_map(|(name, values)| values.iter().map(move |(value, count)| (format!("{name}={value}"), *count)));
        Cardinality {
            series: self.series,
            label_value_pairs: labels().map(|(_, values)| values.values().sum::<u64>()).sum(),
            series_by_metric: values_of(METRIC_NAME),
            series_by_label: top(labels().map(|(name, values)| (name.clone(), values.values().sum())), request.top),
            series_by_focus_value: request.focus_label.as_deref().map(values_of).unwrap_or_default(),
            series_by_pair: top(pairs, request.top),
            values_by_label: top(labels().map(|(name, values)| (name.clone(), values.len() as u64)), request.top),
        }
    }
}

/// The entries with the highest counts, ties by name.
fn top(entries: impl Iterator<Item = (String, u64)>, max: usize) -> Vec<NamedCount> {
    let mut entries: Vec<NamedCount> = entries.map(|(name, count)| NamedCount { name, count }).collect();
    entries.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    entries.truncate(max);
    entries
}
