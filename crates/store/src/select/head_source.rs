//! The rows in memory as a source of series.

use std::sync::Arc;

use head::{GenerationView, Head};
use index::CompiledSelector;
use model::{Columns, SeriesId, SeriesKey, Tenant, TimeRange};
use roaring::RoaringBitmap;
use storage_api::SelectError;

use super::{search::Search, union::SeriesSource};
use crate::{
    flush::{HiddenSlots, keep_visible},
    inner::Inner,
    state::State,
};

/// The series of the head that are meant and have rows in the range's reach.
pub struct HeadSource {
    pub slots: Vec<u32>,
    ids: Vec<SeriesId>,
    views: Vec<HeadView>,
    head: Arc<Head>,
}

/// A generation, and what tombstones hide in it.
pub struct HeadView {
    view: GenerationView,
    hidden: Vec<HiddenSlots>,
}

impl HeadView {
    /// Whether the slot has rows that nothing hides as a whole.
    fn has_rows(&self, slot: u32, range: TimeRange) -> bool {
        if !self.view.has_rows(slot) {
            return false;
        }
        let suspect = self.hidden.iter().any(|hidden| hidden.slots.contains(slot) && hidden.range.overlaps(range));
        if !suspect {
            return true;
        }
        let (mut piece, mut rows) = (Columns::default(), Columns::default());
        self.view.read_with(slot, TimeRange::ALL, &mut piece, |seqs, times, values| {
            keep_visible(&self.hidden, slot, seqs.max, times, values, &mut rows);
        });
        !rows.is_empty()
    }
}

impl HeadSource {
    /// Views of the generations that may have rows in the range.
    pub fn views(inner: &Inner, state: &State, range: TimeRange) -> Vec<HeadView> {
        let mut views = Vec::new();
        for generation in &state.generations {
            let view = generation.rows.snapshot();
            if view.rows() > 0 && view.time_range().overlaps(range) {
                views.push(HeadView { view, hidden: inner.hidden_slots(state, generation.first_seq) });
            }
        }
        views
    }

    /// The slots of the series that are meant and have rows in the views.
    pub fn find(
        views: &[HeadView],
        head: &Head,
        tenant: Tenant,
        selector: &CompiledSelector,
        range: TimeRange,
    ) -> RoaringBitmap {
        if views.is_empty() {
            return RoaringBitmap::new();
        }
        let found = head.index().search(tenant, selector);
        found.into_iter().filter(|slot| views.iter().any(|view| view.has_rows(*slot, range))).collect()
    }

    /// The slots of the series that a request means.
    pub fn meant(search: &Search<'_>, head: &Head) -> RoaringBitmap {
        let request = search.request;
        let found = Self::find(&search.views, head, request.tenant, &search.selector, search.searched);
        match &request.shards {
            Some(shards) => found.into_iter().filter(|slot| shards.contains(head.id(*slot))).collect(),
            None => found,
        }
    }

    /// These slots as a source, if there are any.
    pub fn of(head: &Arc<Head>, found: &RoaringBitmap, views: Vec<HeadView>) -> Option<Self> {
        if found.is_empty() {
            return None;
        }
        let slots = head.index().in_key_order(found);
        let ids = slots.iter().map(|slot| head.id(*slot)).collect();
        Some(Self { slots, ids, views, head: Arc::clone(head) })
    }

    /// Appends the rows of a slot that lie in the range and that nothing hides, in order of arrival.
    pub fn read(&self, slot: u32, range: TimeRange, rows: &mut Columns) {
        let start = rows.len();
        for HeadView { view, hidden } in &self.views {
            if hidden.is_empty() {
                view.read_near(slot, range, rows);
                continue;
            }
            let mut piece = Columns::default();
            view.read_with(slot, range, &mut piece, |seqs, times, values| {
                keep_visible(hidden, slot, seqs.max, times, values, rows);
            });
        }
        rows.retain_from(start, |time| range.contains(time));
    }
}

impl SeriesSource for HeadSource {
    fn len(&self) -> usize {
        self.slots.len()
    }

    fn id(&self, at: usize) -> SeriesId {
        self.ids[at]
    }

    fn read_key(&self, at: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        let known = self.head.index().key(self.slots[at], key);
        assert!(known, "BUG: a series with rows in memory was forgotten");
        Ok(())
    }
}
