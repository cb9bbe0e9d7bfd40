//! Label names, label values and how many series have them, while series come and go.
//!
//! As in a part, what is asked of series becomes weights of families, origins and bounds; then names and values are read off their terms. The
//! lock is held for some thousand steps at a time, and never while the caller is told.

use std::collections::{HashMap, HashSet};

use model::{BUCKET_BOUND, METRIC_NAME, Tenant};
use roaring::RoaringBitmap;

use super::posting::Posting;
use super::state::{NONE, State};
use super::{HeadIndex, READS_PER_LOCK};

/// How many of the series in question there are of each kind.
#[derive(Default)]
struct Weights {
    families: HashMap<u32, u64>,
    origins: Vec<u32>,
    /// By term.
    bounds: HashMap<u32, u64>,
}

impl Weights {
    fn of(index: &HeadIndex, tenant: Tenant, within: Option<&RoaringBitmap>) -> Self {
        let mut weights = Self::default();
        let all;
        let slots = match within {
            Some(slots) => slots,
            None => {
                let state = index.state.read();
                all = state.tenants.get(&tenant).map(|of_tenant| of_tenant.slots.clone()).unwrap_or_default();
                &all
            }
        };
        let mut slots = slots.iter().peekable();
        while slots.peek().is_some() {
            let state = index.state.read();
            weights.origins.resize(state.origin_ids.end() as usize, 0);
            for at in slots.by_ref().take(READS_PER_LOCK) {
                let Some(slot) = state.slot(at).filter(|slot| state.family(slot.family).tenant == tenant) else {
                    continue;
                };
                *weights.families.entry(slot.family).or_default() += 1;
                weights.origins[slot.origin as usize] += 1;
                if slot.bound != NONE {
                    *weights.bounds.entry(slot.bound).or_default() += 1;
                }
            }
        }
        weights
    }

    /// How many series have a term of this name.
    fn of_term(&self, state: &State, name: &str, term: u32) -> u64 {
        if name == BUCKET_BOUND {
            return self.bounds.get(&term).copied().unwrap_or(0);
        }
        let sum = |members: &Posting, weight: &dyn Fn(u32) -> u64| {
            let mut sum = 0;
            members.each_range(&state.memory, 0, usize::MAX, |range| sum += range.map(weight).sum::<u64>());
            sum
        };
        let members = &state.terms.term(term).members;
        if name == METRIC_NAME {
            return sum(members, &|family| self.families.get(&family).copied().unwrap_or(0));
        }
        sum(members, &|origin| self.origins.get(origin as usize).map_or(0, |weight| u64::from(*weight)))
    }

    /// Tells of the tuples of origins with any weight.
    fn each_tuple(&self, index: &HeadIndex, mut visit: impl FnMut(&State, &[u32])) {
        let mut origins = (0u32..).zip(&self.origins).filter(|(_, weight)| **weight > 0).peekable();
        while origins.peek().is_some() {
            let state = index.state.read();
            for (origin, _) in origins.by_ref().take(READS_PER_LOCK / 8) {
                visit(&state, state.tuple(origin));
            }
        }
    }

    /// The terms of the metric names of families with any weight.
    fn metrics(&self, state: &State) -> Vec<u32> {
        self.families.keys().map(|family| state.family(*family).metric).filter(|metric| *metric != NONE).collect()
    }
}

fn is_all(state: &State, tenant: Tenant, within: Option<&RoaringBitmap>) -> bool {
    within.is_none() && state.tenants.len() == 1 && state.tenants.contains_key(&tenant)
}

pub(super) fn names(index: &HeadIndex, tenant: Tenant, within: Option<&RoaringBitmap>) -> Vec<String> {
    let (_search, state) = index.begin_search();
    let mut names: Vec<String> = if is_all(&state, tenant, within) {
        state.terms.names().map(|(text, _)| text.to_string()).collect()
    } else {
        drop(state);
        let weights = Weights::of(index, tenant, within);
        let mut found = HashSet::new();
        weights.each_tuple(index, |state, tuple| {
            found.extend(tuple.iter().map(|term| state.terms.term(*term).name));
        });
        let state = index.state.read();
        let mut texts: Vec<String> = found.iter().map(|name| state.terms.name(*name).text.to_string()).collect();
        if !weights.metrics(&state).is_empty() {
            texts.push(METRIC_NAME.to_string());
        }
        if !weights.bounds.is_empty() {
            texts.push(BUCKET_BOUND.to_string());
        }
        // A name that vanished meanwhile has no text any more.
        texts.retain(|text| !text.is_empty());
        texts
    };
    names.sort_unstable();
    names
}

pub(super) fn values(
    index: &HeadIndex,
    tenant: Tenant,
    name: &str,
    within: Option<&RoaringBitmap>,
    limit: usize,
) -> Vec<String> {
    let (_search, state) = index.begin_search();
    let all = is_all(&state, tenant, within);
    drop(state);
    let mut values = Vec::new();
    if all {
        each_value(index, name, limit, |_, _, text| values.push(text.to_string()), |_| {});
        return values;
    }
    let weights = Weights::of(index, tenant, within);
    let mut terms = Vec::new();
    match name {
        METRIC_NAME => terms = weights.metrics(&index.state.read()),
        BUCKET_BOUND => terms.extend(weights.bounds.keys()),
        _ => weights.each_tuple(index, |state, tuple| {
            let name = state.terms.find_name(name);
            terms.extend(tuple.iter().find(|term| Some(state.terms.term(**term).name) == name));
        }),
    }
    terms.sort_unstable();
    terms.dedup();
    for terms in terms.chunks(READS_PER_LOCK / 8) {
        let state = index.state.read();
        let live = terms.iter().filter(|term| state.terms.is_live(**term));
        values.extend(live.map(|term| utf8(state.terms.text(*term)).to_string()));
    }
    values.sort_unstable();
    values.truncate(limit);
    values
}

fn utf8(text: &[u8]) -> &str {
    std::str::from_utf8(text).expect("BUG: a value is UTF-8")
}

/// Walks the values of a name in order, at most `limit`; `see` is called under the lock, `rest` after each piece without it.
fn each_value<'a>(
    index: &'a HeadIndex,
    name: &str,
    limit: usize,
    mut see: impl FnMut(&State, u32, &str),
    mut rest: impl FnMut(&'a HeadIndex),
) {
    let (mut from, mut left) = (Vec::new(), limit);
    loop {
        let piece = left.min(READS_PER_LOCK / 16);
        let mut seen = 0;
        {
            let state = index.state.read();
            let Some(name) = state.terms.find_name(name) else { return };
            let mut last = None;
            for (term, text) in state.terms.from(name, &from).take(piece) {
                see(&state, term, utf8(text));
                seen += 1;
                last = Some(text);
            }
            if let Some(last) = last {
                from.clear();
                from.extend_from_slice(last);
                from.push(0);
            }
        }
        rest(index);
        left -= seen;
        if seen < piece || left == 0 {
            return;
        }
    }
}

pub(super) fn cardinality(
    index: &HeadIndex,
    tenant: Tenant,
    within: Option<&RoaringBitmap>,
    visit: &mut dyn FnMut(&str, &str, u64),
) {
    let (_search, state) = index.begin_search();
    let mut names: Vec<String> = state.terms.names().map(|(text, _)| text.to_string()).collect();
    drop(state);
    names.sort_unstable();
    let weights = Weights::of(index, tenant, within);
    for name in names {
        let pairs = std::cell::RefCell::new(Vec::new());
        let see = |state: &State, term: u32, text: &str| {
            let count = weights.of_term(state, &name, term);
            if count > 0 {
                pairs.borrow_mut().push((text.to_string(), count));
            }
        };
        let tell = |_: &HeadIndex| pairs.take().iter().for_each(|(text, count)| visit(&name, text, *count));
        each_value(index, &name, usize::MAX, see, tell);
    }
}
