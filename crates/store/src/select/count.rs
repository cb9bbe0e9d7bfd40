//! How many different series a request means, in bounded memory.
//!
//! A series may be in many parts, so ids are sorted and equal ones counted once. Their order is not asked for, so no keys are read: among 130,000 series of
//! 30 parts that took half a second. Where all ids at once would take more memory than is allowed, they are gone through in several passes; an id belongs to
//! one of them by its lower half, which is as good as random.

use model::{Selector, SeriesId, Tenant, TimeRange};
use storage_api::{Budget, SamplesWanted, SelectError, SelectRequest};

use super::{head_source::HeadSource, search::Search};
use crate::inner::Inner;

/// How many different series a request means.
pub fn count_series(inner: &Inner, request: &SelectRequest) -> Result<u64, SelectError> {
    let search = Search::new(inner, request)?;
    let parts = search.parts().collect::<Result<Vec<_>, _>>()?;
    let slots = HeadSource::meant(&search, &inner.head);
    let most = parts.iter().map(|part| part.len_max()).sum::<usize>() + slots.len() as usize;
    let each = |take: &mut dyn FnMut(SeriesId)| {
        slots.iter().for_each(|slot| take(inner.head.id(slot)));
        parts.iter().try_for_each(|part| part.each(|_, id| take(id)))
    };
    different(each, most, inner.options.counting_bytes(), &request.budget)
}

/// How many series a tenant has.
pub fn series_count(inner: &Inner, tenant: Tenant) -> Result<u64, SelectError> {
    let mut request = SelectRequest::raw(tenant, Selector::everything(), TimeRange::ALL);
    request.samples = SamplesWanted::None;
    count_series(inner, &request)
}

/// How many different ids there are among at most `most`.
fn different(
    each: impl Fn(&mut dyn FnMut(SeriesId)) -> Result<(), SelectError>,
    most: usize,
    bytes_max: usize,
    budget: &Budget,
) -> Result<u64, SelectError> {
    let passes = most.div_ceil((bytes_max / size_of::<SeriesId>()).max(1)).max(1);
    let pass_of = |id: SeriesId| (u128::from(id.0 as u64) * passes as u128) >> u64::BITS;
    let mut ids: Vec<SeriesId> = Vec::with_capacity(most.div_ceil(passes));
    let mut count = 0;
    for pass in 0..passes as u128 {
        budget.check()?;
        ids.clear();
        each(&mut |id| {
            if pass_of(id) == pass {
                ids.push(id);
            }
        })?;
        ids.sort_unstable();
        ids.dedup();
        count += ids.len() as u64;
        budget.check_series(count)?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::HashSet};

    use proptest::prelude::*;

    use super::*;

    /// Ids as hashes make them.
    fn id(seed: u16) -> SeriesId {
        let high = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        SeriesId(u128::from(high) << 64 | u128::from(high.swap_bytes() ^ high))
    }

    proptest! {
        #[test]
        fn each_series_counts_once_in_any_number_of_passes(seeds in prop::collection::vec(0_u16..500, 0..600), bytes_max in 0_usize..10_000) {
            let passes = Cell::new(0);
            let each = |take: &mut dyn FnMut(SeriesId)| {
                passes.set(passes.get() + 1);
                seeds.iter().for_each(|seed| take(id(*seed)));
                Ok(())
            };
            let want = seeds.iter().collect::<HashSet<_>>().len() as u64;
            prop_assert_eq!(different(each, seeds.len(), bytes_max, &Budget::default()).expect("nothing fails"), want);
            prop_assert_eq!(passes.get(), (seeds.len() * 16).div_ceil(bytes_max.max(16) / 16 * 16).max(1));
        }
    }

    #[test]
    fn too_many_end_the_count_at_once() {
        let passes = Cell::new(0);
        let each = |take: &mut dyn FnMut(SeriesId)| {
            passes.set(passes.get() + 1);
            (0..1_000).for_each(|seed| take(id(seed)));
            Ok(())
        };
        let budget = Budget { series_max: 100, ..Budget::default() };
        let refused = different(each, 1_000, 16 * 250, &budget);
        assert!(matches!(refused, Err(SelectError::TooManySeries { .. })), "{refused:?}");
        assert_eq!(passes.get(), 1);
    }
}
