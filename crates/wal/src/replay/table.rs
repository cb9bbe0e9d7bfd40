//! Slot → definition, for one segment.
//!
//! 1. Slots are mostly dense, then the table is a plain array. If few of many are defined (most series of a long life
//!    are gone), it is a hash table; so its memory follows the number of definitions, never the highest slot.
//! 2. A slot that has two different definitions has none: no writer does that, and a missing sample is better than a
//!    wrong one.

use std::collections::HashMap;

use crate::format::decode::Definition;

/// An array is used while it has at most this many places for each definition.
const PLACES_PER_DEFINITION_MAX: usize = 4;
/// And always up to this many.
const PLACES_FREE: usize = 1 << 16;

/// The definitions of one segment.
pub(super) enum Table {
    Dense(Vec<Place>),
    Sparse(HashMap<u32, Place>),
}

/// A definition, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    base: u64,
    target: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Undefined,
    Defined,
    Contradicted,
}

const UNDEFINED: Place = Place { base: 0, target: 0, state: State::Undefined };

impl Place {
    fn define(&mut self, definition: Definition) -> bool {
        let new = Place { base: definition.base, target: definition.target, state: State::Defined };
        let fits = self.state == State::Undefined || *self == new;
        *self = if fits { new } else { Place { state: State::Contradicted, ..UNDEFINED } };
        fits
    }

    #[inline(always)]
    pub(super) fn get(self) -> Option<Definition> {
        (self.state == State::Defined).then_some(Definition { base: self.base, target: self.target })
    }
}

impl Table {
    /// A table of these definitions, and how often one contradicted another.
    pub(super) fn of(definitions: &[(u32, Definition)]) -> (Table, u64) {
        let places = definitions.iter().map(|(slot, _)| *slot as usize + 1).max().unwrap_or(0);
        let is_dense = places <= PLACES_FREE.max(definitions.len() * PLACES_PER_DEFINITION_MAX);
        let mut contradictions = 0;
        let mut note = |place: &mut Place, definition| contradictions += u64::from(!place.define(definition));
        let table = if is_dense {
            let mut dense = vec![UNDEFINED; places];
            definitions.iter().for_each(|(slot, definition)| note(&mut dense[*slot as usize], *definition));
            Table::Dense(dense)
        } else {
            let mut sparse = HashMap::with_capacity(definitions.len());
            for (slot, definition) in definitions {
                note(sparse.entry(*slot).or_insert(UNDEFINED), *definition);
            }
            Table::Sparse(sparse)
        };
        (table, contradictions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(table: &Table, slot: u32) -> Option<Definition> {
        match table {
            Table::Dense(dense) => dense.get(slot as usize).and_then(|place| place.get()),
            Table::Sparse(sparse) => sparse.get(&slot).and_then(|place| place.get()),
        }
    }

    #[test]
    fn memory_follows_the_number_of_definitions() {
        let definition = |number: u32| Definition { base: u64::from(number) * 3, target: number + 1 };
        for (step, is_dense) in [(1, true), (3, true), (1000, false)] {
            let all: Vec<_> = (0..50_000).map(|number| (number * step, definition(number))).collect();
            let (table, contradictions) = Table::of(&all);
            assert_eq!((matches!(table, Table::Dense(_)), contradictions), (is_dense, 0));
            for (slot, definition) in all {
                assert_eq!(get(&table, slot), Some(definition));
            }
            assert_eq!(get(&table, u32::MAX), None);
        }
    }

    #[test]
    fn a_contradicted_slot_has_no_definition() {
        let one = Definition { base: 1, target: 1 };
        let other = Definition { base: 2, target: 1 };
        for far in [0, 200_000_000] {
            let (table, contradictions) = Table::of(&[(5, one), (5, one), (6, one), (6, other), (6, one), (far, one)]);
            assert_eq!((get(&table, 5), get(&table, 6), contradictions), (Some(one), None, 2));
        }
    }
}
