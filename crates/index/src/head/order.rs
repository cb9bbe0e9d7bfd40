//! The order of keys, found without making the keys.
//!
//! 1. What stands in each slot is copied, then the tuple of each origin among it.
//! 2. All terms get a rank: their place among the values of their name, names in order. A tuple of ranks orders as the bytes of its labels do.
//! 3. Families are ranked by tenant and metric, origins by their tuples, bounds by their number; then slots are sorted by three small numbers.
//!
//! Every step holds the lock for some thousand entries at a time. Few slots are sorted by their keys instead.

use std::collections::HashMap;

use model::{BUCKET_BOUND, SeriesKey, Tenant};
use roaring::RoaringBitmap;

use super::state::{NONE, Slot};
use super::{HeadIndex, READS_PER_LOCK};

/// So few slots are sorted by their keys.
const BY_KEY_MAX: u64 = 2_048;

pub(super) fn in_key_order(index: &HeadIndex, slots: &RoaringBitmap) -> Vec<u32> {
    if slots.len() <= BY_KEY_MAX {
        return by_key(index, slots);
    }
    let (_search, state) = index.begin_search();
    drop(state);
    let mut order = copy_slots(index, slots);
    let families = rank_families(index, &order);
    let bounds = rank_bounds(index, &order);
    let origins = rank_origins(index, &order);
    // Ranks take the place of numbers: at a million series a second list would be 16 MB at the moment when memory is fullest.
    for Taken { slot, .. } in &mut order {
        slot.family = families[&slot.family];
        slot.origin = origins[slot.origin as usize];
        slot.bound = if slot.bound == NONE { 0 } else { bounds[&slot.bound] };
    }
    order.sort_unstable_by_key(|taken| (taken.slot.family, taken.slot.origin, taken.slot.bound));
    order.into_iter().map(|taken| taken.at).collect()
}

/// A slot that is taken, and what stands in it.
#[derive(Debug, Clone, Copy)]
struct Taken {
    at: u32,
    slot: Slot,
}

fn by_key(index: &HeadIndex, slots: &RoaringBitmap) -> Vec<u32> {
    let mut keys = Vec::with_capacity(slots.len() as usize);
    for at in slots {
        let mut key = SeriesKey::default();
        if index.key(at, &mut key) {
            keys.push((key, at));
        }
    }
    keys.sort_unstable();
    keys.into_iter().map(|(_, at)| at).collect()
}

fn copy_slots(index: &HeadIndex, slots: &RoaringBitmap) -> Vec<Taken> {
    let mut taken = Vec::with_capacity(slots.len() as usize);
    let mut slots = slots.iter().peekable();
    while slots.peek().is_some() {
        let state = index.state.read();
        taken.extend(slots.by_ref().take(READS_PER_LOCK).filter_map(|at| Some(Taken { at, slot: state.slot(at)? })));
    }
    taken
}

fn rank_families(index: &HeadIndex, taken: &[Taken]) -> HashMap<u32, u32> {
    let mut families: Vec<u32> = taken.iter().map(|taken| taken.slot.family).collect();
    families.sort_unstable();
    families.dedup();
    let mut keys: Vec<(Tenant, Vec<u8>, u32)> = Vec::with_capacity(families.len());
    for families in families.chunks(READS_PER_LOCK / 8) {
        let state = index.state.read();
        keys.extend(families.iter().map(|at| {
            let family = state.family(*at);
            let metric = if family.metric == NONE { Vec::new() } else { state.terms.text(family.metric).to_vec() };
            (family.tenant, metric, *at)
        }));
    }
    keys.sort_unstable();
    keys.into_iter().zip(0..).map(|((.., family), rank)| (family, rank)).collect()
}

fn rank_bounds(index: &HeadIndex, taken: &[Taken]) -> HashMap<u32, u32> {
    let mut bounds: Vec<u32> = taken.iter().map(|taken| taken.slot.bound).filter(|bound| *bound != NONE).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let mut keys: Vec<(Vec<u8>, u32)> = Vec::with_capacity(bounds.len());
    for bounds in bounds.chunks(READS_PER_LOCK / 8) {
        let state = index.state.read();
        keys.extend(bounds.iter().map(|bound| (state.bound_suffix(*bound).unwrap_or_default().to_vec(), *bound)));
    }
    keys.sort_unstable();
    keys.into_iter().zip(1..).map(|((_, bound), rank)| (bound, rank)).collect()
}

/// The rank of each origin, by number.
fn rank_origins(index: &HeadIndex, taken: &[Taken]) -> Vec<u32> {
    let mut ranks = vec![NONE; taken.iter().map(|taken| taken.slot.origin + 1).max().unwrap_or(0) as usize];
    taken.iter().for_each(|taken| ranks[taken.slot.origin as usize] = 0);
    let origins: Vec<u32> = (0u32..).zip(&ranks).filter(|(_, rank)| **rank == 0).map(|(origin, _)| origin).collect();
    // Tuples are copied before terms are ranked: a term that is in use is then there, and one that is not is in no tuple that matters.
    let (mut tuples, mut ends) = (Vec::new(), Vec::with_capacity(origins.len()));
    for origins in origins.chunks(READS_PER_LOCK / 8) {
        let state = index.state.read();
        for origin in origins {
            tuples.extend_from_slice(state.tuple(*origin));
            ends.push(tuples.len());
        }
    }
    let terms = rank_terms(index);
    tuples.iter_mut().for_each(|term| *term = terms.get(*term as usize).copied().unwrap_or(NONE));
    let tuple = |at: u32| {
        let at = at as usize;
        &tuples[if at == 0 { 0 } else { ends[at - 1] }..ends[at]]
    };
    let mut order: Vec<u32> = (0..origins.len() as u32).collect();
    order.sort_unstable_by(|a, b| tuple(*a).cmp(tuple(*b)));
    (0..).zip(order).for_each(|(rank, at)| ranks[origins[at as usize] as usize] = rank);
    ranks
}

/// The rank of each term of origins, by number.
fn rank_terms(index: &HeadIndex) -> Vec<u32> {
    let mut names: Vec<String> = index.state.read().terms.names().map(|(text, _)| text.to_string()).collect();
    names.sort_unstable();
    let (mut ranks, mut next) = (Vec::new(), 0);
    let mut from = Vec::new();
    for name in names.iter().filter(|name| *name != BUCKET_BOUND) {
        from.clear();
        loop {
            let state = index.state.read();
            let Some(name) = state.terms.find_name(name) else { break };
            ranks.resize(state.terms.ids.end() as usize, NONE);
            let mut last = None;
            for (term, text) in state.terms.from(name, &from).take(READS_PER_LOCK) {
                ranks[term as usize] = next;
                next += 1;
                last = Some(text);
            }
            let Some(last) = last else { break };
            from.clear();
            from.extend_from_slice(last);
            from.push(0);
        }
    }
    ranks
}
