//! What an encoding means, in 32 bits.

use storage_api::Refusal;

use crate::SLOTS_MAX;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolvedRow {
    /// It belongs to the series in this slot.
    Slot(u32),
    /// The operator wants it dropped; it counts as taken.
    Drop,
    /// It is refused.
    Refuse(Refusal),
}

/// An outcome as it is remembered, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning(u32);

const DROPPED: u32 = u32::MAX - 1;
const REFUSED: u32 = u32::MAX - 1 - Refusal::ALL.len() as u32;

impl Meaning {
    /// Of an entry that is not in use.
    pub(super) const NOTHING: Self = Self(u32::MAX);

    /// The slot, if it means one.
    #[inline]
    pub(super) fn slot(self) -> Option<u32> {
        (self.0 < SLOTS_MAX as u32).then_some(self.0)
    }

    /// What to tell for it; `None` for [`Meaning::NOTHING`].
    #[inline]
    pub(super) fn row(self) -> Option<ResolvedRow> {
        match self.0 {
            slot if slot < SLOTS_MAX as u32 => Some(ResolvedRow::Slot(slot)),
            DROPPED => Some(ResolvedRow::Drop),
            code => Refusal::ALL.get(code.wrapping_sub(REFUSED) as usize).map(|reason| ResolvedRow::Refuse(*reason)),
        }
    }
}

impl From<ResolvedRow> for Meaning {
    fn from(outcome: ResolvedRow) -> Self {
        match outcome {
            ResolvedRow::Slot(slot) => {
                assert!((slot as usize) < SLOTS_MAX, "BUG: slot {slot} is out of range");
                Self(slot)
            }
            ResolvedRow::Drop => Self(DROPPED),
            ResolvedRow::Refuse(reason) => Self(REFUSED + reason as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_comes_back() {
        let refused = Refusal::ALL.iter().map(|reason| ResolvedRow::Refuse(*reason));
        let slots = [0, 1, SLOTS_MAX as u32 - 1].map(ResolvedRow::Slot);
        for outcome in refused.chain(slots).chain([ResolvedRow::Drop]) {
            assert_eq!(Meaning::from(outcome).row(), Some(outcome));
        }
        assert_eq!(Meaning::NOTHING.row(), None);
        assert_eq!(Meaning::NOTHING.slot(), None);
    }
}
