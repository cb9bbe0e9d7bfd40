//! Rows that name their series by slot, id or key instead of by label bytes.
//!
//! 1. A slot that somebody was told earlier may stand for another series by now, or for none. [`Head::enter`] marks it as written and gives the id of
//!    its series, which the caller compares with what the sender means.
//! 2. An id names a series if exactly one in memory has it.

use model::{SeriesId, SeriesKey, ValueKind};
use storage_api::Refusal;

use crate::{AdmitAll, Head, HeadFull, SlotGuard};

impl Head {
    /// The id of the series in the slot, which is marked as written; `None` if it holds none.
    pub fn enter(&self, guard: &SlotGuard<'_>, slot: u32) -> Option<SeriesId> {
        let slots = self.slots();
        (slots.is_given_out(slot) && slots.enter(slot, guard.epoch())).then(|| slots.id(slot))
    }

    /// The slot of the one series with this id, which is marked as written.
    pub fn find_by_id(&self, guard: &SlotGuard<'_>, id: SeriesId) -> Option<u32> {
        self.find_one(guard.epoch(), id)
    }

    /// The slot of a series that may be new.
    pub fn find_or_create_by_key(
        &self,
        guard: &SlotGuard<'_>,
        key: &SeriesKey,
        kind: ValueKind,
        other_key: &mut SeriesKey,
    ) -> Result<Result<u32, Refusal>, HeadFull> {
        self.find_or_create_in(guard.epoch(), key, kind, &AdmitAll, other_key)
    }
}
