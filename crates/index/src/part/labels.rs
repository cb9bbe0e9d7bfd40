//! Label names, label values and how many series have them.
//!
//! 1. What is asked of series is turned into weights: how many of the series in question a family has, and an origin, and a bound. Lists that
//!    families share are walked once.
//! 2. Names are read off the shapes of the origins that have any weight, values off the postings that meet them.
//! 3. If a part holds one tenant only and nothing narrows the question, every name and value of the dictionary is an answer.

use std::collections::BTreeMap;
use std::ops::Range;

use disk::Corrupt;
use model::{BUCKET_BOUND, METRIC_NAME, Tenant};
use roaring::RoaringBitmap;

use super::Inner;
use super::dictionary::Name;
use super::layout::Section;
use super::lists::{Entry, List};
use super::origins::OriginReader;
use super::runs::TenantSpan;

/// Reading the value of one origin costs as much as reading this many postings.
const ORIGIN_COST: usize = 8;

/// How many of the series in question there are of each kind.
struct Weights {
    /// By place among the metric names plus one.
    metrics: BTreeMap<u32, u64>,
    origins: Vec<u32>,
    /// By place among the values of `le` plus one.
    bounds: BTreeMap<u32, u64>,
}

impl Weights {
    fn of(index: &Inner, span: &TenantSpan, within: Option<&RoaringBitmap>) -> Result<Self, Corrupt> {
        let origins = vec![0; index.file.counts.origins as usize];
        let mut weights = Self { metrics: BTreeMap::new(), origins, bounds: BTreeMap::new() };
        // Families that count as a whole, by list.
        let mut whole: BTreeMap<u32, (List, u32)> = BTreeMap::new();
        for at in span.runs.clone() {
            let run = index.run(at)?;
            let (series, list) = index.list_of(at, &run)?;
            let count = within.map_or(u64::from(list.len), |within| within.range_cardinality(series.clone()));
            if count == 0 {
                continue;
            }
            *weights.metrics.entry(run.metric).or_default() += count;
            match within {
                Some(within) if count < u64::from(list.len) => weights.add_some(index, &list, series, within)?,
                _ => whole.entry(run.list).or_insert((list, 0)).1 += 1,
            }
        }
        for (list, families) in whole.into_values() {
            weights.add(index, &list, 0, |_| true, families)?;
        }
        Ok(weights)
    }

    /// Counts the series of one family that are `within`.
    fn add_some(
        &mut self,
        index: &Inner,
        list: &List,
        series: Range<u32>,
        within: &RoaringBitmap,
    ) -> Result<(), Corrupt> {
        let mut members = within.range(series.clone()).map(|number| number - series.start).peekable();
        let first = members.peek().copied().unwrap_or(0);
        self.add(index, list, first, |position| members.next_if_eq(&position).is_some(), 1)
    }

    /// Counts the entries from `first` on that are wanted.
    fn add(
        &mut self,
        index: &Inner,
        list: &List,
        first: u32,
        mut wanted: impl FnMut(u32) -> bool,
        weight: u32,
    ) -> Result<(), Corrupt> {
        let mut inside = true;
        list.each_from(&index.file, first, |position, Entry { origin, bound }| {
            if wanted(position) {
                match self.origins.get_mut(origin as usize) {
                    Some(count) => *count += weight,
                    None => inside = false,
                }
                if bound > 0 {
                    *self.bounds.entry(bound).or_default() += u64::from(weight);
                }
            }
            inside
        })?;
        match inside {
            true => Ok(()),
            false => Err(index.file.corrupt(Section::Lists, 0, "an origin is referred to that is not there")),
        }
    }

    fn metric_values(&self) -> impl Iterator<Item = (u32, u64)> {
        self.metrics.iter().filter(|(metric, _)| **metric > 0).map(|(metric, count)| (metric - 1, *count))
    }

    fn bound_values(&self) -> impl Iterator<Item = (u32, u64)> {
        self.bounds.iter().map(|(bound, count)| (bound - 1, *count))
    }

    fn has(&self, origin: u32) -> bool {
        self.origins.get(origin as usize).is_some_and(|count| *count > 0)
    }

    fn weighty_origins(&self) -> impl Iterator<Item = u32> {
        (0u32..).zip(&self.origins).filter(|(_, count)| **count > 0).map(|(origin, _)| origin)
    }
}

/// Whether the question is about everything in the part.
fn is_all(index: &Inner, within: Option<&RoaringBitmap>) -> bool {
    within.is_none() && index.file.counts.tenants == 1
}

pub(super) fn names(index: &Inner, tenant: Tenant, within: Option<&RoaringBitmap>) -> Result<Vec<String>, Corrupt> {
    let Some(span) = index.tenant(tenant)? else { return Ok(Vec::new()) };
    let names = index.dictionary.names(&index.file)?;
    if is_all(index, within) {
        return Ok(names.iter().map(|name| name.text.clone()).collect());
    }
    let weights = Weights::of(index, span, within)?;
    let mut present = vec![false; names.len()];
    let mut reader = OriginReader::default();
    for origin in weights.weighty_origins() {
        reader.load(&index.file, origin)?;
        reader.names().iter().for_each(|name| present[*name as usize] = true);
    }
    let is_present = |at: usize, name: &Name| match name.text.as_str() {
        METRIC_NAME => weights.metric_values().next().is_some(),
        BUCKET_BOUND => weights.bound_values().next().is_some(),
        _ => present[at],
    };
    Ok(names.iter().enumerate().filter(|(at, name)| is_present(*at, name)).map(|(_, name)| name.text.clone()).collect())
}

pub(super) fn values(
    index: &Inner,
    tenant: Tenant,
    name: &str,
    within: Option<&RoaringBitmap>,
    limit: usize,
) -> Result<Vec<String>, Corrupt> {
    let Some(span) = index.tenant(tenant)? else { return Ok(Vec::new()) };
    let Some((place, name)) = index.dictionary.find(&index.file, name)? else { return Ok(Vec::new()) };
    if is_all(index, within) {
        let count = name.values.min(u32::try_from(limit).unwrap_or(u32::MAX));
        return texts(index, name, 0..count);
    }
    if name.text == METRIC_NAME && within.is_none() {
        return texts(index, name, metrics_of(index, span)?.into_iter().take(limit));
    }
    let weights = Weights::of(index, span, within)?;
    match name.text.as_str() {
        METRIC_NAME => texts(index, name, weights.metric_values().map(|(value, _)| value).take(limit)),
        BUCKET_BOUND => texts(index, name, weights.bound_values().map(|(value, _)| value).take(limit)),
        _ => texts(index, name, values_of_origins(index, &weights, place, name)?.into_iter().take(limit)),
    }
}

/// The metric names of a tenant, which are those of its families.
fn metrics_of(index: &Inner, span: &TenantSpan) -> Result<Vec<u32>, Corrupt> {
    let metrics = span.runs.clone().map(|at| Ok(index.run(at)?.metric));
    let metrics = metrics.collect::<Result<Vec<_>, Corrupt>>()?;
    Ok(metrics.into_iter().filter_map(|metric| metric.checked_sub(1)).collect())
}

/// The values of a name that origins with any weight have, ascending.
fn values_of_origins(index: &Inner, weights: &Weights, place: u32, name: &Name) -> Result<Vec<u32>, Corrupt> {
    let mut found = Vec::new();
    let few = weights.weighty_origins().count() * ORIGIN_COST < weights.origins.len();
    if few {
        let mut reader = OriginReader::default();
        for origin in weights.weighty_origins() {
            reader.load(&index.file, origin)?;
            found.extend(reader.value_of(place));
        }
        found.sort_unstable();
        found.dedup();
    } else {
        name.each_posting(&index.file, 0..name.values, |value, posting| {
            let mut met = false;
            posting.each_range(index.file.counts.origins, |mut range| met = met || range.any(|at| weights.has(at)))?;
            if met {
                found.push(value);
            }
            Some(())
        })?;
    }
    Ok(found)
}

fn texts(index: &Inner, name: &Name, values: impl IntoIterator<Item = u32>) -> Result<Vec<String>, Corrupt> {
    let mut reader = name.reader();
    let text = |value| Ok(reader.text(&index.file, value)?.to_string());
    values.into_iter().map(text).collect()
}

pub(super) fn cardinality(
    index: &Inner,
    tenant: Tenant,
    within: Option<&RoaringBitmap>,
    visit: &mut dyn FnMut(&str, &str, u64),
) -> Result<(), Corrupt> {
    let Some(span) = index.tenant(tenant)? else { return Ok(()) };
    let weights = Weights::of(index, span, within)?;
    for name in index.dictionary.names(&index.file)? {
        let mut counts: Vec<(u32, u64)> = Vec::new();
        match name.text.as_str() {
            METRIC_NAME => counts.extend(weights.metric_values()),
            BUCKET_BOUND => counts.extend(weights.bound_values()),
            _ => name.each_posting(&index.file, 0..name.values, |value, posting| {
                let mut count = 0;
                posting.each_range(index.file.counts.origins, |range| {
                    let origins = &weights.origins[range.start as usize..range.end as usize];
                    count += origins.iter().map(|weight| u64::from(*weight)).sum::<u64>();
                })?;
                if count > 0 {
                    counts.push((value, count));
                }
                Some(())
            })?,
        }
        let mut reader = name.reader();
        for (value, count) in counts {
            visit(&name.text, reader.text(&index.file, value)?, count);
        }
    }
    Ok(())
}
