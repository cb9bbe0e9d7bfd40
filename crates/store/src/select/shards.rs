//! Of which virtual shards there may be samples in a range.
//!
//! A part knows it of all its series. Of the rows in memory it is known for the series that have slots, whatever their times are.

use model::TimeRange;
use storage_api::ShardSet;

use super::{head_source::HeadSource, search::widen};
use crate::inner::Inner;

/// See the module.
pub fn shards(inner: &Inner, range: TimeRange) -> ShardSet {
    let state = inner.shared.get();
    let known = range.intersect(inner.kept());
    let mut all = ShardSet::empty();
    if known.is_empty() {
        return all;
    }
    let searched = widen(known, inner.options.dedup_interval_ms);
    for part in state.parts.iter().filter(|part| part.meta().range.overlaps(searched)) {
        match part.shards() {
            Ok(words) => all.unite(&ShardSet::from_words(*words)),
            // Whoever reads it will be told what is damaged.
            Err(_) => return ShardSet::all(),
        }
    }
    if !HeadSource::views(inner, &state, searched).is_empty() {
        all.unite(&ShardSet::from_words(inner.head.held_shards()));
    }
    all
}
